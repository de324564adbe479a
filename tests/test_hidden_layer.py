"""Compiled passes of one hidden layer: the same as autograd's derivatives, kinks included."""

import numpy as np
import pytest
import reference_networks
from autograd import elementwise_grad
from networks_cases import PIECEWISE, SMOOTH
from tolerances import assert_equal_up_to_rounding

from aniso import networks
from aniso.checks import InputError
from aniso.networks.hidden import activations, kernel
from aniso.networks.hidden import losses as compiled_losses
from aniso.networks.hidden.way import HiddenWay
from aniso.problems import losses
from aniso.problems.mean_squared_loss import MeanSquaredLoss

COUNT = 7
LOSSES = [
    (losses.SoftmaxCrossEntropy(), 3),
    (losses.SquaredLoss(), 2),
    (MeanSquaredLoss(), 2),
    (losses.LogisticLoss(), 1),
    (losses.ClippedSquaredLoss(0.05), 1),
]


CROSS_ENTROPY = LOSSES[0][0]


def made(rng, activation="relu", loss=CROSS_ENTROPY, outputs=3, inputs=2, **options):
    """A network of 18 units with COUNT examples, or `count`, and parameters; some z are 0."""
    count, units = options.pop("count", COUNT), options.pop("units", 18)
    if options.pop("fixed", False):
        model = networks.one_hidden_layer(inputs, units, activation)
    else:
        model = networks.multilayer_perceptron((inputs, units, outputs), activation)
    x, theta = rng.normal(size=(count, inputs)), model.initial_parameters(rng)
    # units whose z is exactly 0, 1 and -1 on some examples
    x[:3] = 0.0
    theta[units * inputs : units * inputs + 3] = 0.0, 1.0, -1.0
    if outputs == 1:
        theta[-1] += 0.5  # some clipped outputs between the bounds
    if isinstance(loss, losses.SquaredLoss):
        targets = rng.normal(size=(count, outputs))
    else:
        targets = rng.integers(0, max(outputs, 2), count)
    return networks.Network(model, loss, x, targets, **options), theta


def way_of(network):
    """The compiled way, also where kernels run as Python functions."""
    return HiddenWay(network, compiled_losses.described(network.output_loss, network.num_outputs))


def computed(network, theta, vectors):
    """Every quantity of the compiled way, by the names of the reference."""
    way, count, size = way_of(network), network.num_examples, network.num_parameters
    theta = theta.astype(network.dtype)
    outputs, values = np.empty((count, network.num_outputs)), np.empty(count)
    found = {
        "gradient": np.empty(size, network.dtype),
        "rows": np.empty((count, size), network.dtype),
        "products": np.empty((len(vectors), size), network.dtype),
    }
    assert way.outputs(network, theta, outputs)
    assert way.gradient(network, theta, found["gradient"], values)
    assert way.per_example_gradients(network, theta, found["rows"])
    assert way.hessian_product(network, theta, vectors.astype(network.dtype), found["products"])
    return found | {"outputs": outputs, "losses": values}


def compare(network, theta, rng):
    """Refuse a quantity that is not autograd's, up to rounding."""
    vectors = rng.normal(size=(3, network.num_parameters))
    found = computed(network, theta, vectors)
    expected = reference_networks.derivatives(
        network.model, network.output_loss, network.inputs, network.targets, theta
    )
    expected["products"] = vectors @ expected["hessian"]
    expected["outputs"] = network.model.outputs(theta, network.inputs)
    for name, value in found.items():
        scale = 1 + np.abs(expected[name]).max() + np.abs(expected["hessian"]).max()
        assert_equal_up_to_rounding(
            value, expected[name], num_terms=100, scale=scale, dtype=network.dtype
        )


@pytest.mark.parametrize("activation", PIECEWISE + SMOOTH)
def test_every_activation_is_autograds_on_its_kinks_too(activation, rng):
    compare(*made(rng, activation), rng)


@pytest.mark.parametrize(("loss", "outputs"), LOSSES)
def test_every_loss_is_the_plain_one(loss, outputs, rng):
    compare(*made(rng, "tanh", loss, outputs, inputs=3), rng)


def test_fixed_output_weights(rng):
    compare(*made(rng, "relu", LOSSES[-1][0], 1, fixed=True), rng)
    compare(*made(rng, "gelu", LOSSES[-2][0], 1, fixed=True, inputs=1), rng)


@pytest.mark.needs_jit
def test_single_precision(rng):
    compare(*made(rng, "silu", dtype=np.float32), rng)
    compare(*made(rng, "relu", LOSSES[-1][0], 1, fixed=True, dtype=np.float32), rng)


@pytest.mark.parametrize("name", PIECEWISE + SMOOTH)
def test_values_slopes_and_curvatures_to_the_last_digits(name):
    z = np.concatenate([np.linspace(-40, 40, 161), [0.0, 1.0, -1.0, 1e-9, -1e-9, 300.0, -300.0]])
    kind, shape = activations.described(name)
    work = np.empty((2, len(z))) if kind else None
    rows = np.zeros((3, len(z)))
    respond = getattr(activations.respond, "py_func", activations.respond)
    if work is None:
        respond(kind, shape, z, len(z), work, *rows)
    else:
        smooth = activations._respond_smoothly
        getattr(smooth, "py_func", smooth)(kind, shape, z, len(z), work, *rows)
    plain = networks.Activation(name).plain
    value = lambda v: plain((), v)  # noqa: E731
    with np.errstate(over="ignore"):
        expected = [value(z), elementwise_grad(value)(z)]
        if work is not None:
            expected.append(elementwise_grad(elementwise_grad(value))(z))
    for found, exact in zip(rows, expected, strict=False):
        # autograd's own differences, as 1 - tanh^2, have an error of some 1e-15
        assert (np.abs(found - exact) <= 4e-15 + 1e-14 * np.abs(exact)).all()


@pytest.mark.needs_jit
def test_networks_take_the_kernels_where_these_are_faster(rng):
    small, theta = made(rng)
    assert small.gradient(theta).shape == theta.shape
    assert type(small.ways._made[0]) is HiddenWay
    wide, theta = made(rng, inputs=40)
    wide.gradient(theta)
    assert not any(isinstance(way, HiddenWay) for way in wide.ways._made)


@pytest.mark.needs_jit
def test_the_number_of_threads_does_not_change_a_bit(rng):
    seed, results = int(rng.integers(2**32)), []
    for threads in (1, 2, 3):
        network, theta = made(
            np.random.default_rng(seed),
            "relu",
            LOSSES[-1][0],
            1,
            fixed=True,
            count=1700,
            units=300,
            num_threads=threads,
        )
        vectors = np.random.default_rng(seed).normal(size=(2, len(theta)))
        results.append(computed(network, theta, vectors))
    for other in results[1:]:
        for name, value in results[0].items():
            assert np.array_equal(value, other[name]), name


@pytest.mark.needs_jit
def test_blocks_and_tasks_add_up_to_the_plain_passes(rng):
    network, theta = made(rng, "tanh", count=2 * kernel.BLOCK + 5, units=40)
    found = computed(network, theta, np.eye(len(theta))[:2])
    network.ways._made = ()
    plain = {
        "gradient": network.gradient(theta),
        "rows": network.per_example_gradients(theta),
        "products": network.hessian_product(theta, np.eye(len(theta))[:, :2]).T,
        "outputs": network.outputs(theta),
        "losses": network.losses(theta),
    }
    for name, value in plain.items():
        assert_equal_up_to_rounding(found[name], value, num_terms=200)


@pytest.mark.needs_jit
def test_given_memory_of_any_columns_and_read_only_arguments(rng):
    network, theta = made(rng)
    theta.setflags(write=False)
    block = np.asfortranarray(rng.normal(size=(len(theta), 3)))
    out = np.empty(block.shape, order="F")
    network.hessian_product(theta, block, out=out)
    assert_equal_up_to_rounding(out[:, 1], network.hessian_product(theta, block[:, 1]), num_terms=9)


def test_derivatives_that_are_not_finite_are_refused(rng):
    network, theta = made(rng, loss=losses.SquaredLoss(), outputs=2)
    theta[:] = 1e200
    with pytest.raises(InputError, match="not finite in float64"), np.errstate(all="ignore"):
        way_of(network).gradient(network, theta, np.empty_like(theta), None)


def test_a_wrong_slope_on_a_kink_is_seen(monkeypatch, rng):
    changed = dict(activations._PIECEWISE)
    numbers = list(changed["relu"])
    numbers[3] = 1.0
    changed["relu"] = tuple(numbers)
    monkeypatch.setattr(activations, "_PIECEWISE", changed)
    network, theta = made(rng)
    with pytest.raises(AssertionError, match="rounding"):
        compare(network, theta, rng)
