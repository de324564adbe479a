"""The cached linearisation against autograd and against passes of tangents."""

import dataclasses

import numpy as np
import pytest
import reference_networks as reference
import seeds
from hypothesis import given, settings
from networks_cases import PIECEWISE, cases
from test_networks import agree, curvature_floor, small_case

from aniso import checks, memory, networks
from aniso.matrices import exact_traces, gradient_covariance, indicators, noise
from aniso.networks import ways
from aniso.networks.curvature import factor_cache, gauss_newton, linearisation, tangent_products
from aniso.networks.matrix_products import accumulate_product
from aniso.problems import losses


def layer_slices(model):
    return [part for part in model.parameter_slices if part.stop > part.start]


@given(cases())
@settings(max_examples=60)
def test_every_quantity_is_autograds(case):
    network, theta = case.network(num_threads=1), case.theta
    expected = reference.derivatives(
        case.model, case.output_loss, case.inputs, network.targets, theta
    )
    hessian, covariance = expected["hessian"], expected["covariance"]
    vectors = seeds.generator().normal(size=(theta.size, 3))
    floor = curvature_floor(expected)
    for strategy in ("auto", "tangents"):
        at = network.linearise(theta, strategy)
        agree(at.loss, expected["losses"].mean())
        agree(at.gradient, expected["gradient"])
        agree(at.hessian_product(vectors), hessian @ vectors, floor=10 * floor)
        agree(at.hessian_product(vectors[:, 0]), hessian @ vectors[:, 0], floor=10 * floor)
        agree(
            at.generalized_gauss_newton_product(vectors),
            expected["gauss_newton"] @ vectors,
            floor=10 * floor,
        )
        agree(at.fisher_product(vectors), expected["fisher"] @ vectors, floor=10 * floor)
        agree(at.hessian(), hessian, floor=floor)
        agree(at.generalized_gauss_newton(), expected["gauss_newton"], floor=floor)
        agree(at.fisher(), expected["fisher"], floor=floor)
        scale = max(np.abs(hessian).max(), floor)
        np.testing.assert_allclose(
            at.hessian_diagonal, hessian.diagonal(), rtol=0, atol=1e-10 * scale
        )
        agree(
            at.generalized_gauss_newton_diagonal, expected["gauss_newton"].diagonal(), floor=floor
        )
        blocks = [hessian[part, part] for part in layer_slices(case.model)]
        for actual, block in zip(at.layer_blocks(), blocks, strict=True):
            np.testing.assert_allclose(actual, block, rtol=0, atol=1e-10 * scale)
        found, tolerance = at.noise_curvature(), 1e-9 * scale * max(np.abs(covariance).max(), 1e-3)
        assert abs(found.alignment - np.trace(hessian @ covariance)) < tolerance
        isotropic = np.trace(hessian) * np.trace(covariance) / theta.size
        assert abs(found.isotropic - isotropic) < tolerance
        for value, part in zip(found.alignments, layer_slices(case.model), strict=True):
            assert abs(value - np.trace(hessian[part, part] @ covariance[part, part])) < tolerance


@given(cases(activations=PIECEWISE))
@settings(max_examples=60)
def test_cached_factors_hold_the_same_matrix_as_tangents(case):
    network = case.network(num_threads=1)
    try:
        at = network.linearise(case.theta, "factors")
    except checks.InputError:
        return
    vectors = seeds.generator().normal(size=(case.theta.size, 2))
    floor = curvature_floor({"jacobians": network.jacobians(case.theta)})
    expected = network.linearise(case.theta, "tangents").hessian()
    agree(at.hessian_product(vectors), expected @ vectors, floor=10 * floor)
    agree(at.hessian(), expected, floor=floor)
    assert at.hessian_trace() == at.generalized_gauss_newton_trace()


@given(cases())
@settings(max_examples=30)
def test_the_covariance_on_factors_is_that_of_the_rows(case):
    network, theta = case.network(num_threads=1), case.theta
    rows = network.per_example_gradients(theta)
    centred = rows - rows.mean(axis=0)
    dense = centred.T @ centred / len(rows)
    covariance = gradient_covariance(network.linearise(theta).gradient_factors)
    rng = seeds.generator()
    vectors, weights = rng.normal(size=(theta.size, 2)), rng.normal(size=(3, len(rows)))
    agree(covariance @ vectors, dense @ vectors)
    agree(covariance @ vectors[:, 0], dense @ vectors[:, 0])
    agree(covariance.rows, centred)
    agree(covariance.factor_rows(1, 3), centred[1:3] / np.sqrt(len(rows)))
    agree(covariance.combine(weights), weights @ centred / np.sqrt(len(rows)))
    agree(covariance.quadratic_form(vectors), np.einsum("dk,de,ek->k", vectors, dense, vectors))
    agree(covariance.quadratic_form(vectors[:, 0]), vectors[:, 0] @ dense @ vectors[:, 0])
    scale = max(np.abs(rows).max() ** 2, 1e-3)
    np.testing.assert_allclose(covariance.diagonal(), dense.diagonal(), rtol=0, atol=1e-10 * scale)
    assert abs(covariance.trace() - np.trace(dense)) < 1e-10 * scale * theta.size
    np.testing.assert_allclose(covariance.to_dense(), dense, rtol=0, atol=1e-10 * scale)


def test_the_covariance_converts_samples_and_has_leading_eigenpairs(rng):
    case = small_case()
    factors = case.network().linearise(case.theta).gradient_factors
    covariance = gradient_covariance(factors)
    values = np.linalg.eigvalsh(covariance.to_dense())[::-1]
    pairs = covariance.leading_eigenpairs(5)
    agree(pairs.values, values[:5])
    assert pairs.residuals.max() < 1e-10 * values[0]
    batch = noise.minibatch_covariance(covariance, 10, replacement=True)
    agree(batch.trace(), covariance.trace() / 10)
    assert "batch of 10 of 60" in repr(batch)
    # 4,000 samples of a sum of squares: relative error below 2 / sqrt(4000 * effective rank)
    samples = covariance.sample(rng, 4000)
    power = np.sum(samples**2, axis=1)
    error = power.std() / np.sqrt(len(power))
    assert abs(power.mean() - covariance.trace()) < 4 * error


def test_operators_work_with_the_functions_of_matrices():
    case = small_case()
    at = case.network().linearise(case.theta)
    hessian = at.hessian_operator()
    covariance = gradient_covariance(at.gradient_factors)
    agree(exact_traces.trace(hessian), np.trace(at.hessian()))
    agree(indicators.alignment(hessian, covariance), at.noise_curvature().alignment, 1e-9)
    ratio = indicators.trace_ratio(hessian, covariance)
    agree(ratio, at.noise_curvature().ratio, 1e-9)
    assert at.noise_curvature().names == ("Convolution 1", "Dense 2", "Dense 3")
    vectors = np.eye(case.theta.size)[:, :4]
    dense = at.hessian_operator(num_products=10**6)
    agree(dense @ vectors, hessian @ vectors)
    agree(at.fisher_operator() @ vectors, at.fisher() @ vectors)
    operator = at.generalized_gauss_newton_operator()
    agree(operator.T @ vectors, operator @ vectors)
    agree(operator.trace(), at.generalized_gauss_newton_trace())


def test_results_do_not_depend_on_threads():
    case = small_case()
    vectors = np.eye(case.theta.size)[:, :5]
    one, two = (case.network(num_threads=n).linearise(case.theta, "factors") for n in (1, 2))
    np.testing.assert_array_equal(one.hessian_product(vectors), two.hessian_product(vectors))
    np.testing.assert_array_equal(one.hessian(), two.hessian())
    assert one.noise_curvature().alignment == two.noise_curvature().alignment


def test_examples_with_a_flat_loss_leave_the_cache():
    case = small_case()
    layers = (*case.model.layers[:-1], networks.Dense(1))
    model = networks.Stack(layers, case.model.input_shape)
    rng = seeds.generator(1)
    theta = model.initial_parameters(rng)
    network = networks.Network(
        model, losses.ClippedSquaredLoss(0.05), case.inputs, case.targets % 2
    )
    # half of the outputs are clipped, whatever the seed
    theta[-1] += 0.95 - np.median(network.outputs(theta))
    at = network.linearise(theta, "factors")
    active = network.output_loss.active(network.outputs(theta)).sum()
    assert at._newton.plan.num_rows == active < network.num_examples
    agree(at.hessian(), network.linearise(theta, "tangents").hessian())
    theta[-1] = 100.0  # every output clipped
    flat = network.linearise(theta, "factors")
    assert not flat.hessian().any()
    assert flat.hessian_trace() == 0


def test_single_precision_accumulates_traces_in_double():
    case = small_case()
    double = case.network().linearise(case.theta)
    single = case.network(dtype=np.float32).linearise(case.theta, "factors")
    vectors = np.eye(case.theta.size)[:, :5]
    assert single.hessian_product(vectors).dtype == np.float32
    # a few hundred single-precision operations behind each number
    agree(single.hessian(), double.hessian(), 1e-4)
    agree(single.hessian_product(vectors), double.hessian_product(vectors), 1e-4)
    assert single.hessian_diagonal.dtype == np.float64
    agree(single.hessian_trace(), double.hessian_trace(), 1e-5)
    agree(single.noise_curvature().alignment, double.noise_curvature().alignment, 1e-4)


def test_memory_is_stated_and_a_small_budget_falls_back_to_tangents():
    case = small_case()
    at = case.network().linearise(case.theta, "factors")
    factors, bilinear = at._cache
    held = factors.rows.nbytes + sum(block.values.nbytes for block in bilinear.blocks)
    held += sum(array.nbytes for array in (*factors.inputs.values(), *factors.pullbacks.values()))
    assert held == at.num_bytes <= at.peak_bytes
    tight = case.network(memory_budget=at.num_bytes // 2, num_threads=1)
    streamed = tight.linearise(case.theta)
    assert streamed.strategy == "tangents"
    vectors = np.eye(case.theta.size)[:, :5]
    agree(streamed.hessian_product(vectors), at.hessian_product(vectors))
    for refused in (
        lambda: tight.linearise(case.theta, "factors"),
        streamed.generalized_gauss_newton,
        lambda: case.network(memory_budget=30_000, num_threads=1).linearise(case.theta).hessian(),
    ):
        with pytest.raises(memory.AllocationRefused):
            refused()


def test_wide_networks_of_few_examples_take_factors_for_many_products_alone(rng, monkeypatch):
    model = networks.multilayer_perceptron((60, 40, 30, 3))
    inputs, targets = rng.normal(size=(40, 60)), rng.integers(0, 3, 40)
    network = networks.Network(model, losses.SoftmaxCrossEntropy(), inputs, targets)
    theta = model.initial_parameters(rng)
    at, tangents = network.linearise(theta), network.linearise(theta, "tangents")
    assert at.strategy == "tangents"
    expected, hessian = tangents.noise_curvature().alignment, tangents.hessian()

    def forbidden(*_):
        raise AssertionError("one product after the other")

    monkeypatch.setattr(linearisation.alignment, "from_forms", forbidden)
    agree(at.noise_curvature().alignment, expected, 1e-10)
    monkeypatch.setattr(linearisation.Linearisation, "hessian_product", forbidden)
    agree(at.hessian(), hessian, 1e-10)


def test_products_by_tangents_are_counted_and_spare_the_first_layer(rng, monkeypatch):
    model = networks.multilayer_perceptron((4, 3, 2))  # 12 and 6 weights
    network = networks.Network(
        model, losses.SoftmaxCrossEntropy(), rng.normal(size=(5, 4)), rng.integers(0, 2, 5)
    )
    assert network.product_multiplications() == 2 * 12 + 6 * 6
    seen, own = [], networks.Dense.second_order
    monkeypatch.setattr(ways, "MAKERS", ())
    monkeypatch.setattr(
        networks.Dense,
        "second_order",
        lambda self, *arguments: seen.append(self.num_outputs) or own(self, *arguments),
    )
    network.hessian_product(model.initial_parameters(rng), rng.normal(size=(23, 2)))
    assert set(seen) == {2}


def test_three_convolutions_and_smooth_activations_are_left_to_tangents(rng):
    layers = []
    for _ in range(3):
        layers += [networks.Convolution(2, 2), networks.Activation("relu")]
    model = networks.Stack((*layers, networks.Flatten(), networks.Dense(2)), (1, 6, 6))
    inputs, targets = rng.normal(size=(20, 1, 6, 6)), rng.integers(0, 2, 20)
    network = networks.Network(model, losses.SoftmaxCrossEntropy(), inputs, targets)
    theta = model.initial_parameters(rng)
    at = network.linearise(theta)
    assert at.strategy == "tangents"
    agree(at.hessian_trace(), np.trace(network.linearise(theta, "tangents").hessian()), 1e-9)
    with pytest.raises(checks.InputError, match="third"):
        network.linearise(theta, "factors")
    with pytest.raises(checks.InputError, match="strategy"):
        network.linearise(theta, "magic")


@pytest.mark.parametrize("stored", [0, 10**6])
def test_stored_and_factored_layers_in_either_order(stored, monkeypatch, rng):
    # one output: a dense layer is stored if small, factored if large
    model = networks.multilayer_perceptron((3, 5, 4, 1))
    monkeypatch.setattr(gauss_newton, "_STORED_ENTRIES", stored)
    for limit in (stored, 20 * 21, 20 * 6):
        monkeypatch.setattr(gauss_newton, "_STORED_ENTRIES", limit)
        network = networks.Network(
            model, losses.LogisticLoss(), rng.normal(size=(20, 3)), rng.integers(0, 2, 20)
        )
        theta = model.initial_parameters(rng)
        at = network.linearise(theta, "factors")
        agree(at.hessian(), network.linearise(theta, "tangents").hessian())
        vectors = rng.normal(size=(theta.size, 3))
        agree(at.hessian_product(vectors), network.hessian_product(theta, vectors))
        expected = network.linearise(theta, "tangents").noise_curvature()
        agree(at.noise_curvature().alignment, expected.alignment, 1e-9)
        agree(at.noise_curvature().alignments, expected.alignments, 1e-9)


def test_a_dropped_cross_layer_block_is_found():
    case = small_case()
    at = case.network().linearise(case.theta, "factors")
    _, bilinear = at._cache
    bilinear.blocks = bilinear.blocks[1:]
    with pytest.raises(AssertionError):
        agree(at.hessian(), case.network().linearise(case.theta, "tangents").hessian())


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 4, 5), (1, 4, 5), (3, 1, 5), (3, 4, 1)])
def test_accumulated_products_are_numpys(dtype, shape, rng):
    rows, inner, columns = shape
    left, right = rng.normal(size=(rows, inner)), rng.normal(size=(inner, columns))
    left, right = left.astype(dtype), right.astype(dtype)
    for first in (left, np.asfortranarray(left), np.repeat(left, 2, axis=1)[:, ::2]):
        for second in (right, np.asfortranarray(right)):
            frame = np.ones((rows, columns + 2), dtype)
            accumulate_product(frame[:, :columns], first, second, alpha=2.0, beta=3.0)
            # one rounding an addition, of numbers of order one
            np.testing.assert_allclose(
                frame[:, :columns], 2 * left @ right + 3, rtol=0, atol=100 * np.finfo(dtype).eps
            )
            assert (frame[:, columns:] == 1).all()
    accumulate_product(np.empty((0, 3)), np.empty((0, 2)), np.ones((2, 3)))
    with pytest.raises(ValueError, match="contiguous rows"):
        accumulate_product(np.ones((3, 3)).T[:2], np.ones((2, 1)), np.ones((1, 3)))


def forbid_long_blocks_of_tangents(monkeypatch, longest=40):
    """Let no more vectors than that pass as tangents in one call."""
    own = tangent_products.products

    def products(network, theta, rows, *arguments, **options):
        assert len(rows) <= longest, f"{len(rows)} vectors passed as tangents"
        return own(network, theta, rows, *arguments, **options)

    monkeypatch.setattr(tangent_products, "products", products)


def test_every_route_to_a_dense_matrix_or_a_trace_takes_the_cached_factors(monkeypatch, rng):
    case = small_case()
    network, theta = case.network(), case.theta
    by_tangents = network.linearise(theta, "tangents")
    hessian = by_tangents.hessian()
    identity = np.eye(theta.size)
    newton = by_tangents.generalized_gauss_newton_product(identity)
    fisher = by_tangents.fisher_product(identity)
    forms = by_tangents.quadratic_forms(identity)
    layer_blocks = by_tangents.layer_blocks()
    forbid_long_blocks_of_tangents(monkeypatch)
    agree(network.hessian(theta), hessian)
    agree(network.at(theta).hessian.to_dense(), hessian)
    agree(network.hessian_product(theta, identity), hessian)
    agree(network.generalized_gauss_newton_product(theta, identity), newton)
    agree(network.fisher_product(theta, identity), fisher)
    agree(network.quadratic_forms(theta, identity), forms)
    sparing = network.linearise(theta, num_products=0)
    assert sparing.strategy == "tangents"
    agree(sparing.hessian(), hessian)
    agree(sparing.hessian_product(identity), hessian)
    agree(sparing.quadratic_forms(identity), forms)
    for actual, expected in zip(sparing.layer_blocks(), layer_blocks, strict=True):
        agree(actual, expected)
    operator = network.at(theta).hessian
    agree(exact_traces.trace(operator), np.trace(hessian))
    agree(exact_traces.diagonal(operator), hessian.diagonal())
    agree(operator @ identity, hessian)
    for _ in range(20):  # one vector after the other, as SciPy's solvers ask
        vector = rng.normal(size=theta.size)
        agree(operator @ vector, hessian @ vector)
    agree(exact_traces.trace(network.linearise(theta).fisher_operator()), np.trace(fisher))


def test_smooth_networks_have_cached_factors_of_gauss_newton_blocks(monkeypatch, rng):
    model = networks.multilayer_perceptron((5, 8, 3), "tanh")
    inputs, targets = rng.normal(size=(40, 5)), rng.integers(0, 3, 40)
    network = networks.Network(model, losses.SoftmaxCrossEntropy(), inputs, targets)
    theta, identity = model.initial_parameters(rng), np.eye(model.num_parameters)
    at = network.linearise(theta, "tangents")
    newton, fisher = at.generalized_gauss_newton_product(identity), at.fisher_product(identity)
    forbid_long_blocks_of_tangents(monkeypatch)
    agree(network.generalized_gauss_newton_product(theta, identity), newton)
    agree(network.fisher_product(theta, identity), fisher)
    agree(network.linearise(theta).generalized_gauss_newton_product(identity), newton)


@dataclasses.dataclass(frozen=True)
class SteepLoss(losses.SquaredLoss):
    """Squared loss of a model whose Fisher information is not the Hessian in the outputs."""

    def fisher_information(self, outputs):
        return 3.0 * super().fisher_information(outputs)

    def hessian(self, outputs, targets):  # noqa: ARG002
        return super().fisher_information(outputs)


def test_a_fisher_matrix_of_its_own_has_factors_and_a_trace_too(monkeypatch, rng):
    model = networks.multilayer_perceptron((5, 8, 2))
    inputs, targets = rng.normal(size=(40, 5)), rng.normal(size=(40, 2))
    network = networks.Network(model, SteepLoss(), inputs, targets)
    theta, identity = model.initial_parameters(rng), np.eye(model.num_parameters)
    jacobians = network.jacobians(theta)
    # E = 3 * 2 I for every example
    expected = 6 * np.einsum("ncd,nce->de", jacobians, jacobians) / len(inputs)
    agree(network.linearise(theta, "tangents").fisher_product(identity), expected)
    forbid_long_blocks_of_tangents(monkeypatch)
    at = network.linearise(theta)
    agree(at.fisher(), expected)
    agree(at.fisher_product(identity), expected)
    agree(exact_traces.trace(at.fisher_operator()), np.trace(expected))


def test_blocks_longer_than_what_passes_together_are_products_of_their_parts(monkeypatch, rng):
    case = small_case()
    at = case.network().linearise(case.theta, "factors")
    vectors = rng.normal(size=(case.theta.size, 7))
    whole = at.hessian_product(vectors)
    monkeypatch.setattr(factor_cache, "TOGETHER", 3)
    agree(at.hessian_product(vectors), whole)
