"""Plans of networks with convolutions: against autograd, and against the passes by layers."""

import pickle

import autograd.numpy as anp
import numpy as np
import pytest
import seeds
from autograd import grad
from networks_cases import NetworkCase, require_equal_from_threads

from aniso import checks, networks
from aniso.networks import ways
from aniso.networks.fast import toeplitz_kernels
from aniso.networks.layers.activation import RULES
from aniso.networks.plans import chunk_plan, chunk_way, image_kernels, pooled_plan, winograd_kernels
from aniso.networks.plans.chunk_way import ChunkWay
from aniso.problems import losses

ROUNDING = {"float64": 1e-11, "float32": 3e-4}
Convolution, MaxPooling, Dense = networks.Convolution, networks.MaxPooling, networks.Dense
Activation, Flatten = networks.Activation, networks.Flatten
needs_jit = pytest.mark.needs_jit


def case_of(layers, shape, num_examples=7, seed=7, output_loss=None):
    rng = seeds.generator(seed)
    model = networks.Stack((*layers, Flatten(), Dense(3)), shape)
    inputs, targets = rng.normal(size=(num_examples, *shape)), rng.integers(0, 3, num_examples)
    loss = losses.SoftmaxCrossEntropy() if output_loss is None else output_loss
    return NetworkCase(model, loss, inputs, targets, model.initial_parameters(rng))


def pooled(activation="relu"):
    rho = Activation(activation)
    return case_of(
        (
            *(Convolution(3, (3, 2), padding=(1, 0)), MaxPooling(2), rho),
            *(Convolution(2, 2, padding=1), MaxPooling(2), rho),
        ),
        (1, 8, 7),
    )


def filtered(padding=1, num_examples=3):
    """Winograd's filtering, twice, after and before layers of other kinds."""
    return case_of(
        (
            *(Convolution(16, 2, stride=2, padding=1), Activation("tanh")),
            *(Convolution(48, 3, padding=padding), Activation("relu"), MaxPooling(3, 2)),
            *(Convolution(48, 3, padding=2), networks.AveragePooling(2), Activation("relu")),
        ),
        (2, 19, 17),
        num_examples,
    )


def small(num_examples=5):
    """Images with no more pixels than the windows: padding, strides, a single pixel."""
    return case_of(
        (
            *(Convolution(4, 3, padding=1), Activation("tanh")),
            *(Convolution(3, (3, 3), stride=(2, 1), padding=(1, 0)), Activation("relu")),
            *(Convolution(5, 3, padding=1), MaxPooling((2, 1)), Convolution(2, 3, padding=2)),
            *(Activation("tanh"), Convolution(3, 3), Activation("tanh")),
        ),
        (2, 3, 3),
        num_examples,
    )


def by_layers(network):
    """The same network without its plans."""
    plain = network.subset(slice(None))
    plain.ways = ways.Ways()
    plain.ways._made = ()
    return plain


def quantities(network, theta):
    loss, gradient = network.loss_and_gradient(theta)
    outputs = network.outputs(theta)
    return {
        "loss": np.array(loss),
        "gradient": gradient,
        "outputs": outputs,
        "gradient once more": network.gradient(theta),  # of columns that are kept
    }


def planned(network):
    """The way of the network by plans of chunks; None without one."""
    network.ways.compute("per_example_gradients", network, None, None)
    return next((way for way in network.ways._made if isinstance(way, ChunkWay)), None)


def check_against_autograd(case, dtype="float64"):
    network = case.network(dtype=dtype)
    found = quantities(network, case.theta)
    assert planned(network) is not None or not image_kernels.COMPILED

    def mean(theta):
        return anp.mean(case.output_loss(case.model.outputs(theta, case.inputs), network.targets))

    expected = {
        "loss": mean(case.theta),
        "gradient": grad(mean)(case.theta),
        "outputs": case.model.outputs(case.theta, case.inputs),
    }
    expected["gradient once more"] = expected["gradient"]
    for name, value in found.items():
        scale = max(1e-2, np.abs(expected[name]).max())
        np.testing.assert_allclose(value, expected[name], rtol=0, atol=ROUNDING[dtype] * scale)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("activation", RULES)
def test_every_activation_is_autograds(activation, dtype):
    check_against_autograd(pooled(activation), dtype)


@needs_jit
@pytest.mark.parametrize("padding", [0, 1, (2, 1)])
def test_every_layer_is_autograds(padding):
    check_against_autograd(filtered(padding))


@needs_jit
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_small_images_are_autograds(dtype):
    case = small()
    kinds = [type(layer).__name__ for layer in case.network().layers]
    assert kinds.count("ToeplitzConvolution") == 5
    check_against_autograd(case, dtype)


def test_any_loss_and_type_of_inputs_is_autograds():
    case = pooled("tanh")
    inputs, rng = np.round(case.inputs).astype(np.int8), seeds.generator(2)
    targets = rng.normal(size=(len(inputs), 3))
    check_against_autograd(
        case._replace(inputs=inputs, targets=targets, output_loss=losses.SquaredLoss())
    )


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "abs", "hard_tanh"])
def test_at_a_kink_the_slope_is_autograds(activation):
    case = case_of((Convolution(2, 3), MaxPooling(2), Activation(activation)), (1, 6, 8))
    theta, inputs = case.theta.copy(), np.ones_like(case.inputs)  # windows tie, all equal
    inputs *= np.arange(1, 1 + len(inputs))[:, None, None, None]
    theta[:9] = 0
    theta[18] = activation == "hard_tanh"  # z of the first channel
    check_against_autograd(case._replace(theta=theta, inputs=inputs))


@needs_jit
@pytest.mark.parametrize(
    ("module", "name", "case"),
    [
        (pooled_plan, "_forward", pooled),
        (pooled_plan, "_backward", pooled),
        (image_kernels, "copy_windows", filtered),
        (image_kernels, "max_pool_backward", filtered),
        (winograd_kernels, "write_images", filtered),
        (toeplitz_kernels, "write_matrix", small),
        (toeplitz_kernels, "sum_of_places", small),
    ],
)
def test_a_wrong_kernel_is_found(monkeypatch, module, name, case):
    kernel = getattr(module, name)

    def wrong(*arguments):
        kernel(*arguments)
        arguments[-1][...] *= 1.01

    monkeypatch.setattr(module, name, wrong)
    with pytest.raises(AssertionError):
        check_against_autograd(case())


def images(dtype, num_examples, **options):
    rng = seeds.generator(3)
    model = networks.fashion_mnist_network()
    inputs = rng.random((num_examples, 1, 28, 28)).astype(dtype)
    labels = rng.integers(0, 10, num_examples)
    network = networks.Network(
        model, losses.SoftmaxCrossEntropy(), inputs, labels, dtype=dtype, **options
    )
    return network, model.initial_parameters(rng).astype(dtype)


@needs_jit
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_bits_are_those_of_the_passes_by_layers_on_any_number_of_threads(dtype):
    expected = None
    for num_threads in (1, 2, 3):
        network, theta = images(dtype, 130, num_threads=num_threads)
        few = network.subset(np.arange(130)[::-7])
        found = [*quantities(network, theta).values(), *quantities(few, theta).values()]
        if expected is None:
            expected = [
                *quantities(by_layers(network), theta).values(),
                *quantities(by_layers(few), theta).values(),
            ]
        for one, two in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one, two)


@needs_jit
@pytest.mark.parametrize("make", [filtered, small])
def test_fast_convolutions_have_the_bits_of_the_passes_by_layers(make):
    case = make(num_examples=5)
    network = case.network(dtype="float32", num_threads=2, memory_budget=2**26)
    expected = quantities(by_layers(network), case.theta)
    for name, value in quantities(network, case.theta).items():
        np.testing.assert_array_equal(value, expected[name])
    assert not planned(network)._seats  # the budget is free for other quantities


def test_calls_from_several_threads_wait_for_each_other():
    require_equal_from_threads(pooled(), repetitions=10)


@needs_jit
def test_chunks_of_many_sizes_and_more_than_wait_to_be_added(monkeypatch):
    network, theta = images("float64", 130, num_threads=2)
    expected = by_layers(network).gradient(theta)
    monkeypatch.setattr(chunk_way, "_MOST_ROWS", 1)
    for size in (20, 7, 130, 33, 2, 50, 100):
        part = network.subset(slice(0, size))
        np.testing.assert_array_equal(part.gradient(theta), by_layers(part).gradient(theta))
    network.data.chunk_size = 13
    network.data._chunks = None
    np.testing.assert_allclose(network.gradient(theta), expected, rtol=0, atol=1e-15)
    assert all(len(seat._plans) <= chunk_plan.KEPT_SIZES for seat in planned(network)._seats)


def test_a_copy_and_memory_that_is_given_have_the_same_bits():
    case = pooled()
    network = case.network()
    gradient, out = network.gradient(case.theta), np.full(case.theta.size, np.nan)
    assert network.gradient(case.theta, out=out) is out
    np.testing.assert_array_equal(out, gradient)
    copy = pickle.loads(pickle.dumps(network))
    held = case.theta.copy()
    held.flags.writeable = False
    np.testing.assert_array_equal(copy.gradient(held), gradient)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (lambda d: np.empty(d + 1), "shape"),
        (lambda d: np.empty(d, np.float32), "dtype"),
        (lambda d: np.empty(2 * d)[::2], "C-contiguous"),
    ],
)
def test_memory_of_another_kind_is_refused(wrong, reason):
    case = pooled()
    with pytest.raises(checks.InputError, match=reason):
        case.network().gradient(case.theta, out=wrong(case.theta.size))
    with pytest.raises(checks.InputError, match="out overlaps theta"):
        case.network().gradient(case.theta, out=case.theta)


@needs_jit
def test_numbers_that_are_not_finite_are_refused_and_nothing_stays():
    case = pooled()
    network = case.network()
    gradient = network.gradient(case.theta)
    with pytest.raises(checks.InputError, match=r"up to 1e\+200.*not finite in float64"):
        network.gradient(np.full_like(case.theta, 1e200))
    np.testing.assert_array_equal(network.gradient(case.theta), gradient)


@needs_jit
@pytest.mark.parametrize("size", [2, 20, 60])
def test_steps_that_are_taken_together_have_the_bits_of_single_steps(size):
    network, start = images("float32", 130)
    rng = seeds.generator(5)
    batches, rates = rng.integers(130, size=(4, size)), np.array([0.1, 0.2, 0.05, 0.1])
    theta = start.copy()
    for batch, rate in zip(batches, rates, strict=True):
        theta = theta - np.float32(rate) * network.subset(batch).gradient(theta)
    found, taken = network.sgd_steps(start, batches, rates)
    assert taken == 4
    np.testing.assert_array_equal(found, theta)
    _, taken = network.sgd_steps(start, batches, np.array([0.1, 1e38, 0.1, 0.1]))
    assert taken < 4
