"""Plans of dense networks against autograd and against the passes by layers."""

import pickle

import numpy as np
import pytest
import reference_networks as reference
import seeds
from networks_cases import NetworkCase, require_equal_from_threads

from aniso import checks, networks
from aniso.networks import ways
from aniso.networks.layers.activation import RULES
from aniso.networks.plans import kernels
from aniso.problems import losses

LOSSES = (
    (losses.SoftmaxCrossEntropy(), 3),
    (losses.SquaredLoss(), 2),
    (losses.LogisticLoss(), 1),
    (losses.ClippedSquaredLoss(0.05), 1),
)
# some thousand operations on numbers of order one
ROUNDING = {"float64": 1e-11, "float32": 3e-4}


def dense_case(output_loss, num_outputs, activation="relu", num_examples=9, widths=(4, 6, 5)):
    rng = seeds.generator(7)
    model = networks.multilayer_perceptron((*widths, num_outputs), activation)
    inputs = rng.normal(size=(num_examples, widths[0]))
    if isinstance(output_loss, losses.SquaredLoss):
        targets = rng.normal(size=(num_examples, num_outputs))
    else:
        targets = rng.integers(0, max(2, num_outputs), num_examples)
    theta = model.initial_parameters(rng)
    theta[-num_outputs:] += 0.4  # some examples between the bounds of the clipped loss
    return NetworkCase(model, output_loss, inputs, targets, theta)


def by_layers(network):
    """The same network without its plans."""
    plain = network.subset(slice(None))
    plain.ways = ways.Ways()
    plain.ways._made = ()
    return plain


def quantities(network, theta, vectors):
    loss, gradient = network.loss_and_gradient(theta)
    return {
        "outputs": network.outputs(theta),
        "loss": np.array(loss),
        "gradient": gradient,
        "gradient alone": network.gradient(theta),
        "rows": network.per_example_gradients(theta),
        "product": network.hessian_product(theta, vectors[:, 0]),
        "products": network.hessian_product(theta, vectors),
    }


def agree(actual, expected, relative):
    assert actual.shape == expected.shape
    scale = max(1e-2, np.abs(expected).max())
    np.testing.assert_allclose(actual, expected, rtol=0, atol=relative * scale)


def check_against_autograd(case, dtype="float64"):
    network = case.network(dtype=dtype)
    vectors = seeds.generator(1).normal(size=(case.theta.size, 11))
    found = quantities(network, case.theta, vectors)
    expected = reference.derivatives(
        case.model, case.output_loss, case.inputs, np.asarray(network.targets), case.theta
    )
    expected |= {
        "loss": np.asarray(expected["losses"].mean()),
        "gradient alone": expected["gradient"],
        "outputs": case.model.outputs(case.theta, case.inputs),
        "products": expected["hessian"] @ vectors,
    }
    expected["product"] = expected["products"][:, 0]
    for name, value in found.items():
        agree(value, expected[name], ROUNDING[dtype])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("activation", RULES)
def test_every_activation_is_autograds(activation, dtype):
    check_against_autograd(dense_case(*LOSSES[0], activation), dtype)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("number", range(1, len(LOSSES)))
def test_every_loss_is_autograds(number, activation):
    check_against_autograd(dense_case(*LOSSES[number], activation))


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "abs", "hard_tanh"])
def test_at_a_kink_the_slope_is_autograds(activation):
    case = dense_case(*LOSSES[0], activation)
    theta, inputs = case.theta.copy(), case.inputs.copy()
    inputs[::2] = 0  # z is 0 at every unit of the first layer
    theta[24:30] = 0
    if activation == "hard_tanh":
        theta[24:27] = 1
    case = case._replace(theta=theta, inputs=inputs)
    check_against_autograd(case)


@pytest.mark.needs_jit
def test_a_wrong_slope_is_found(monkeypatch):
    relu = kernels.relu

    def wrong(z, biases, slopes, start, stop):
        relu(z, biases, slopes, start, stop)
        slopes[0] = 1

    case = dense_case(*LOSSES[0])
    monkeypatch.setattr(kernels, "relu", wrong)
    with pytest.raises(AssertionError):
        check_against_autograd(case)


@pytest.mark.needs_jit
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_without_its_second_order_terms_a_product_is_found_wrong(monkeypatch, activation):
    scaled = kernels.scaled

    def without_moved(deltas, slopes, start, stop):
        if len(deltas) == 1:
            return scaled(deltas, slopes, start, stop)
        deltas[:, 0] = 0
        return scaled(deltas, slopes, start, stop)

    monkeypatch.setattr(kernels, "scaled", without_moved)
    with pytest.raises(AssertionError):
        check_against_autograd(dense_case(*LOSSES[0], activation))


def images(dtype, num_examples, **options):
    """A network of several parts, with images that are flattened first."""
    rng = seeds.generator(3)
    dense = networks.multilayer_perceptron((128, 96, 10)).layers
    model = networks.Stack((networks.Flatten(), *dense), (1, 8, 16))
    inputs = rng.normal(size=(num_examples, 1, 8, 16)).astype(dtype)
    labels = rng.integers(0, 10, num_examples)
    network = networks.Network(
        model, losses.SoftmaxCrossEntropy(), inputs, labels, dtype=dtype, **options
    )
    return network, model.initial_parameters(rng).astype(dtype)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_bits_do_not_depend_on_the_number_of_threads(dtype):
    found = []
    for num_threads in (1, 2, 3):
        network, theta = images(dtype, 930, num_threads=num_threads)
        vectors = seeds.generator(4).normal(size=(theta.size, 3)).astype(dtype)
        few = network.subset(slice(0, 330))
        found.append(
            [
                *network.loss_and_gradient(theta),
                network.hessian_product(theta, vectors[:, 0]),
                network.hessian_product(theta, vectors),
                few.per_example_gradients(theta),
            ]
        )
    for other in found[1:]:
        for one, two in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("given", ["float64", "float32"])
def test_large_networks_compute_what_the_passes_by_layers_compute(given):
    network, theta = images("float32", 620)
    network = networks.Network(
        network.model,
        network.output_loss,
        np.asarray(network.inputs, given)[::-1],  # neither copied nor contiguous
        network.targets,
        dtype="float32",
    )
    vectors = seeds.generator(4).normal(size=(theta.size, 11)).astype("float32")
    found = quantities(network, theta, vectors)
    expected = quantities(by_layers(network), theta, vectors)
    for name, value in found.items():
        agree(value, expected[name], 1e-5)


def test_calls_from_several_threads_wait_for_each_other():
    require_equal_from_threads(dense_case(*LOSSES[0]), repetitions=20)


def test_a_copy_and_a_subset_compute_the_same_bits():
    case = dense_case(*LOSSES[0], num_examples=20)
    network = case.network()
    gradient = network.gradient(case.theta)
    copy = pickle.loads(pickle.dumps(network))
    np.testing.assert_array_equal(copy.gradient(case.theta), gradient)
    some = np.array([3, 1, 7])
    rows = network.per_example_gradients(case.theta)[some]
    agree(network.subset(some).gradient(case.theta), rows.mean(axis=0), 1e-14)
    np.testing.assert_array_equal(network.gradient(case.theta), gradient)


@pytest.mark.needs_jit
def test_numbers_that_are_not_finite_are_refused():
    case = dense_case(*LOSSES[0])
    network, large = case.network(), np.full_like(case.theta, 1e160)
    vectors = np.ones((case.theta.size, 2))
    for compute in (network.gradient, network.per_example_gradients):
        with pytest.raises(checks.InputError, match=r"up to 1e\+160.*not finite in float64"):
            compute(large)
    with pytest.raises(checks.InputError, match="not finite in float64"):
        network.hessian_product(large, vectors)
    assert np.isfinite(network.gradient(case.theta)).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_vectors_that_are_not_finite_are_named(bad):
    case = dense_case(*LOSSES[0])
    vectors = np.ones((case.theta.size, 2))
    vectors[5, 1] = bad
    with pytest.raises(checks.InputError, match=r"vectors has a non-finite entry .* \(5, 1\)"):
        case.network().hessian_product(case.theta, vectors)
    with pytest.raises(checks.InputError, match=r"vectors has a non-finite entry .* \(5,\)"):
        case.network().hessian_product(case.theta, vectors[:, 1])
