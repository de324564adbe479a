"""Per-example gradients that are never kept, against those that are; VGG-11 against autograd."""

import autograd
import numpy as np
import pytest
import seeds
from networks_cases import NetworkCase
from place_cases import every_place
from tolerances import assert_within_sampling_error

from aniso import checks, networks
from aniso.arrays import places, transfer
from aniso.matrices import eigenpairs, gradient_covariance, stochastic_alignment
from aniso.networks import initialisation
from aniso.networks.gradients import squares
from aniso.networks.gradients import streamed as streamed_gradients
from aniso.networks.gradients.kept import GradientFactors
from aniso.networks.gradients.squares import square_norms, weighted_squares
from aniso.networks.gradients.streamed import StreamedGradients
from aniso.problems import losses

# The order of additions differs: some thousand roundings at most.
ROUNDING = 1e-11


def agree(actual, expected):
    actual, expected = transfer.to_numpy(actual), np.asarray(expected)
    assert actual.shape == expected.shape
    scale = max(1e-300, np.abs(expected).max(initial=0))
    np.testing.assert_allclose(actual, expected, rtol=0, atol=ROUNDING * scale)


def vgg_case(num_examples=5, width=1 / 32, side=8):
    rng = seeds.generator()
    model = networks.vgg11((3, side, side), width)
    theta = initialisation.he_normal(model, rng)
    # biases off zero: no unit of a padded corner sits on a kink
    theta = theta + 0.1 * rng.standard_normal(theta.shape)
    inputs = rng.standard_normal((num_examples, 3, side, side))
    targets = rng.integers(0, 10, num_examples)
    return NetworkCase(model, losses.SoftmaxCrossEntropy(), inputs, targets, theta)


def in_chunks(case, size, place=places.NUMPY):
    """The network, its memory budget such that the passes take at most `size` examples."""
    one = case.network(place, num_threads=1)
    budget = 4 * size * one.bytes_per_example + one.data.vector_bytes
    network = case.network(place, num_threads=1, memory_budget=budget)
    sizes = [chunk.size for chunk in network.chunks()]
    assert sum(sizes) == network.num_examples
    assert len(sizes) > 2
    assert max(sizes) <= size
    return network


def autograd_losses(case):
    def function(theta):
        return case.output_loss(case.model.outputs(theta, case.inputs), case.targets)

    return function


@every_place
def test_vgg_equals_autograd_in_first_and_second_order(place):
    case = vgg_case()
    network = case.network(place)
    theta = transfer.to_device(case.theta, place)
    of_losses = autograd_losses(case)
    gradients = autograd.jacobian(of_losses)(case.theta)
    agree(network.per_example_gradients(theta), gradients)
    agree(network.gradient(theta), gradients.mean(axis=0))

    directions = seeds.generator().standard_normal((len(case.theta), 2))
    gradient = autograd.grad(lambda t: of_losses(t).mean())
    products = [autograd.grad(lambda t, v=v: gradient(t) @ v)(case.theta) for v in directions.T]
    found = network.hessian_product(theta, transfer.to_device(directions, place))
    agree(found, np.stack(products, axis=1))

    centred = gradients - gradients.mean(axis=0)
    forms = [c @ autograd.grad(lambda t, c=c: gradient(t) @ c)(case.theta) for c in centred]
    at = network.linearise(theta, "tangents")
    exact = at.noise_curvature().alignment
    assert abs(exact - np.mean(forms)) <= ROUNDING * np.abs(forms).max()


@every_place
@pytest.mark.parametrize("kind", ["vgg", "fused"])
def test_streamed_products_are_those_of_the_gradients(place, kind):
    case = vgg_case(7) if kind == "vgg" else fused_case()
    network = in_chunks(case, 3, place)
    theta = transfer.to_device(case.theta, place)
    streamed = StreamedGradients(network, theta)
    rows = transfer.to_numpy(case.network(place).per_example_gradients(theta))
    count, dimension = rows.shape
    assert streamed.shape == rows.shape
    rng = seeds.generator()
    vectors, weights = rng.standard_normal((dimension, 3)), rng.standard_normal((2, count))
    agree(streamed.mean(), rows.mean(axis=0))
    agree(streamed.project(transfer.to_device(vectors, place)), rows @ vectors)
    agree(streamed.combine(transfer.to_device(weights, place)), weights @ rows)
    agree(streamed.rows(1, 4), rows[1:4])
    agree(streamed.square_norms(), np.square(rows).sum(axis=1))
    agree(streamed.square_sums(), np.square(rows).sum(axis=0))


def fused_case(num_examples=9):
    rng = seeds.generator()
    model = networks.fashion_mnist_network("tanh")
    return NetworkCase(
        model,
        losses.SoftmaxCrossEntropy(),
        rng.standard_normal((num_examples, 1, 28, 28)),
        rng.integers(0, 10, num_examples),
        model.initial_parameters(rng),
    )


def test_covariance_of_streamed_gradients_is_that_of_kept_ones():
    case = fused_case()
    network = in_chunks(case, 4)
    kept = gradient_covariance(GradientFactors(network, case.theta))
    streamed = gradient_covariance(StreamedGradients(network, case.theta))
    agree(streamed.trace(), kept.trace())
    agree(streamed.diagonal(), kept.diagonal())
    vector = seeds.generator().standard_normal(len(case.theta))
    agree(streamed @ vector, kept @ vector)
    agree(streamed.sample(seeds.generator(5), 2), kept.sample(seeds.generator(5), 2))
    pairs, expected = streamed.leading_eigenpairs(3), kept.leading_eigenpairs(3)
    np.testing.assert_allclose(pairs.values, expected.values, rtol=1e-7)


@pytest.mark.parametrize("kind", [GradientFactors, StreamedGradients])
def test_variances_are_not_rounded_below_zero(kind):
    # both gradients are (2e-25, 2): squares of the first entry underflow in single precision,
    # the square of its mean in double precision does not
    network = networks.Network(
        networks.Stack((networks.Dense(1),), (1,)),
        losses.SquaredLoss(),
        inputs=[[1e-25], [1e-25]],
        targets=[[0.0], [0.0]],
        dtype=np.float32,
    )
    noise = gradient_covariance(kind(network, np.array([0.0, 1.0], np.float32)))
    np.testing.assert_array_equal(noise.diagonal(), [0.0, 0.0])
    assert noise.trace() == 0.0


def test_the_alignment_of_vgg_is_estimated_with_an_error_bar():
    case = vgg_case(8)
    network = case.network()
    at = network.linearise(case.theta)
    assert at.strategy == "tangents"
    exact = at.noise_curvature().alignment
    hessian = at.hessian_operator()
    noise = gradient_covariance(network.example_gradients(case.theta))
    rng = seeds.generator()
    estimate = stochastic_alignment.alignment_hutchinson(hessian, noise, 100, rng)
    assert_within_sampling_error(estimate, exact)
    with pytest.raises(AssertionError, match="sampling"):
        assert_within_sampling_error(estimate, exact + 20 * estimate.standard_error)


def test_leading_eigenpairs_of_vgg_have_small_residuals():
    case = vgg_case(6)
    network = case.network()
    pairs = eigenpairs.leading_eigenpairs(
        network.linearise(case.theta).hessian_operator(), 1, tolerance=1e-6, block_size=4
    )
    vector, value = pairs.vectors[:, 0], pairs.values[0]
    residual = np.linalg.norm(network.hessian_product(case.theta, vector) - value * vector)
    assert residual <= 2e-6 * value
    single = case.network(dtype=np.float32)
    noise = gradient_covariance(single.example_gradients(case.theta))
    found = noise.leading_eigenpairs(2)
    assert (found.residuals <= 2e-4 * found.values[0]).all()


def test_kept_where_cheap_and_within_memory_streamed_elsewhere():
    case = fused_case()
    kept = streamed_gradients.gradients_at(case.network(), case.theta)
    assert isinstance(kept, GradientFactors)
    small = case.network(memory_budget=4_000_000, num_threads=1)
    streamed = streamed_gradients.gradients_at(small.subset(np.zeros(200, int)), case.theta)
    assert isinstance(streamed, StreamedGradients)
    vgg = vgg_case()
    streamed = streamed_gradients.gradients_at(vgg.network(), vgg.theta)
    assert isinstance(streamed, StreamedGradients)


@pytest.mark.parametrize(
    ("outputs", "inputs", "num_places"),
    [(3, 4, 1), (3, 4, 3), (2, 3, 9), (9, 8, 9), (40, 30, 5), (40, 30, 2)],
)
@pytest.mark.parametrize("examples_of_a_block", [2, 7])
def test_squares_of_sums_of_outer_products(
    outputs, inputs, num_places, examples_of_a_block, monkeypatch
):
    block_entries = examples_of_a_block * outputs * inputs
    monkeypatch.setattr(squares, "_BLOCK_ENTRIES", block_entries)
    # both routes of each function are among the cases: Gram and direct, paired and direct
    rng = seeds.generator()
    deltas = rng.standard_normal((outputs, num_places, 7))
    columns = rng.standard_normal((inputs, num_places, 7))
    weights = rng.standard_normal(7)
    gradients = np.einsum("opn,qpn->noq", deltas, columns)
    agree(square_norms(deltas, columns), np.square(gradients).sum(axis=(1, 2)))
    expected = np.einsum("n,noq->oq", weights, np.square(gradients))
    agree(weighted_squares(deltas, columns, weights), expected)


@pytest.mark.parametrize("size", [2, 8])
def test_square_norms_of_single_precision_add_up_in_double(size):
    # G = diag(4096, 1): 2^24 + 1 is no number of single precision
    deltas = np.zeros((size, 2, 1), np.float32)
    columns = np.zeros((size, 2, 1), np.float32)
    deltas[0, 0], deltas[1, 1] = 4096, 1
    columns[0, 0] = columns[1, 1] = 1
    assert square_norms(deltas, columns).tolist() == [2.0**24 + 1]


@pytest.mark.parametrize(
    ("shape", "outputs", "parameters"),
    [((3, 32, 32), 10, 9750922), ((3, 16, 16), 10, 9750922), ((1, 28, 28), 10, 9749770)],
)
def test_vgg_has_the_published_sizes(shape, outputs, parameters):
    model = networks.vgg11(shape)
    assert (model.num_outputs, model.num_parameters) == (outputs, parameters)


def test_vgg_starts_with_the_stated_variances():
    model = networks.vgg11(width=0.25)
    theta = initialisation.he_normal(model, seeds.generator())
    for layer, own in zip(model.layers, model.unpacked(theta), strict=True):
        if not own:
            continue
        weights, biases = own
        assert not biases.any()
        convolution = isinstance(layer, networks.Convolution)
        variance = 2 / (9 * layer.num_channels if convolution else weights.shape[1])
        # mean of n squares of normals: relative standard deviation sqrt(2 / n)
        z = (np.mean(weights**2) / variance - 1) / np.sqrt(2 / weights.size)
        assert abs(z) < 5


@pytest.mark.parametrize(
    "arguments",
    [
        {"input_shape": 32},
        {"input_shape": (3, 0, 8)},
        {"input_shape": (32, 32)},
        {"width": 0},
        {"width": -1},
        {"num_classes": 0},
    ],
)
def test_vgg_refuses(arguments):
    with pytest.raises(checks.InputError, match=next(iter(arguments))):
        networks.vgg11(**arguments)
