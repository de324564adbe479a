"""Curvature matrices: definitions by loops, identities between them, arrays and operators."""

import numpy as np
import pytest
from reference_matrices import curvature_by_loops, random_positive, random_symmetric
from tolerances import assert_equal_up_to_rounding, assert_within_sampling_error

from aniso import checks, memory
from aniso.matrices import exact_traces, indicators
from aniso.matrices import noise as gradient_noise
from aniso.problems import curvature, losses, output_curvature
from aniso.problems.model_objective import ModelObjective
from aniso.problems.multilayer_perceptron import MultilayerPerceptron
from aniso.problems.one_hidden_layer import OneHiddenLayer
from aniso.problems.quadratic import quadratic_objective

NUM_EXAMPLES, NUM_OUTPUTS, DIMENSION = 7, 3, 11


class LinearOutputs:
    """Outputs J_i theta with given output Hessians: every curvature is known in closed form."""

    def __init__(self, jacobians, weights):
        self.stored, self.weights = jacobians, weights
        self.num_examples = len(jacobians)
        self.output_loss = self

    def subset(self, indices):
        return LinearOutputs(self.stored[indices], self.weights[indices])

    def outputs(self, theta):
        return self.stored @ theta

    def jacobians(self, theta):  # noqa: ARG002
        return self.stored

    def output_hessians(self, theta):  # noqa: ARG002
        return self.weights

    def fisher_information(self, outputs):
        return outputs[:, :, None] * outputs[:, None, :]

    def hessian(self, theta):  # noqa: ARG002
        return curvature_by_loops(self.stored, self.weights)

    def hessian_product(self, theta, vectors):
        return self.hessian(theta) @ vectors


@pytest.fixture
def linear(rng):
    jacobians = rng.standard_normal((NUM_EXAMPLES, NUM_OUTPUTS, DIMENSION))
    weights = np.array([random_positive(rng, NUM_OUTPUTS) for _ in range(NUM_EXAMPLES)])
    return LinearOutputs(jacobians, weights)


@pytest.fixture
def theta(rng):
    return rng.standard_normal(DIMENSION)


def assert_close(actual, expected):
    # Sums over examples and pairs of outputs.
    assert_equal_up_to_rounding(actual, expected, num_terms=NUM_EXAMPLES * NUM_OUTPUTS**2)


@pytest.mark.parametrize("chunk_bytes", [2**27, 8 * NUM_OUTPUTS * DIMENSION * 2])
def test_gauss_newton_and_fisher_are_their_definitions(linear, theta, monkeypatch, chunk_bytes):
    monkeypatch.setattr(output_curvature, "_CHUNK_BYTES", chunk_bytes)
    expected = curvature_by_loops(linear.stored, linear.weights)
    assert_close(curvature.generalized_gauss_newton(linear, theta), expected)
    fisher = curvature_by_loops(linear.stored, linear.fisher_information(linear.outputs(theta)))
    assert_close(curvature.fisher(linear, theta), fisher)
    with pytest.raises(AssertionError, match="rounding"):
        assert_close(1.05 * curvature.fisher(linear, theta), fisher)
    with pytest.raises(AssertionError, match="rounding"):
        assert_close(curvature.fisher(linear, theta), expected)


@pytest.mark.parametrize("silent", [[], [0, 3], list(range(NUM_EXAMPLES))])
def test_operators_agree_with_their_arrays(linear, theta, rng, silent):
    linear.weights[silent] = 0.0
    vectors = rng.standard_normal((DIMENSION, 4))
    for operator, dense in [
        (
            curvature.generalized_gauss_newton_operator(linear, theta),
            curvature.generalized_gauss_newton(linear, theta),
        ),
        (curvature.fisher_operator(linear, theta), curvature.fisher(linear, theta)),
        (curvature.hessian_operator(linear, theta), curvature.hessian(linear, theta)),
    ]:
        np.testing.assert_allclose(operator @ vectors, dense @ vectors, atol=1e-12)
        np.testing.assert_allclose(operator @ vectors[:, 0], dense @ vectors[:, 0], atol=1e-12)
        np.testing.assert_allclose(operator.T @ vectors, dense @ vectors, atol=1e-12)
        if isinstance(operator, output_curvature.OutputCurvature):
            assert len(operator.jacobians) <= NUM_EXAMPLES
            np.testing.assert_allclose(operator.trace(), np.trace(dense), rtol=1e-12)
            np.testing.assert_allclose(operator.diagonal(), np.diag(dense), atol=1e-12)
            np.testing.assert_allclose(operator.to_dense(), dense, atol=1e-12)


def test_indefinite_output_hessians_are_kept(linear, theta, rng):
    linear.weights = np.array([random_symmetric(rng, NUM_OUTPUTS) for _ in range(NUM_EXAMPLES)])
    expected = curvature_by_loops(linear.stored, linear.weights)
    assert_close(curvature.generalized_gauss_newton(linear, theta), expected)


def perceptron(rng, output_loss=None):
    model = MultilayerPerceptron((3, 4, 3), activation="tanh")
    inputs = rng.standard_normal((20, 3))
    loss = losses.SoftmaxCrossEntropy() if output_loss is None else output_loss
    objective = ModelObjective(model, loss, inputs, rng.integers(0, 3, 20))
    return objective, model.initial_parameters(rng)


def test_fisher_is_gauss_newton_for_softmax_and_neither_is_the_hessian(rng):
    objective, theta = perceptron(rng)
    newton = curvature.generalized_gauss_newton(objective, theta)
    fisher = curvature.fisher(objective, theta)
    np.testing.assert_allclose(fisher, newton, atol=1e-12 * np.linalg.norm(newton))
    hessian = curvature.hessian(objective, theta)
    assert np.linalg.norm(hessian - newton) > 1e-3 * np.linalg.norm(newton)
    gradients = objective.per_example_gradients(theta)
    empirical = gradient_noise.empirical_fisher(gradients).to_dense()
    assert np.linalg.norm(empirical - fisher) > 1e-3 * np.linalg.norm(fisher)


def test_fisher_is_the_mean_over_labels_of_the_model(rng):
    objective, theta = perceptron(rng)
    outputs = objective.outputs(theta)
    expected = curvature.fisher(objective, theta)
    jacobians = objective.jacobians(theta)
    num_draws, total, squares = 1000, 0.0, 0.0
    for _ in range(num_draws):
        labels = objective.output_loss.sample_targets(outputs, rng)
        scores = objective.output_loss.gradient(outputs, labels)
        slopes = np.einsum("nc,ncd->nd", scores, jacobians)
        drawn = slopes.T @ slopes / len(slopes)
        total, squares = total + drawn, squares + drawn**2
    mean = total / num_draws
    errors = np.sqrt(np.maximum(squares / num_draws - mean**2, 0) / num_draws)
    # An entry that no draw changes leaves a variance of rounding alone.
    errors = np.maximum(errors, 1e-12 * np.abs(mean).max())
    assert_within_sampling_error(mean, expected, errors)
    # The data's own labels are another matrix.
    own = gradient_noise.empirical_fisher(objective.per_example_gradients(theta)).to_dense()
    with pytest.raises(AssertionError, match="sampling"):
        assert_within_sampling_error(mean, own, errors)


def test_gauss_newton_is_the_hessian_of_a_network_linear_almost_everywhere(rng):
    model = OneHiddenLayer(4, 6, activation="relu")
    inputs = rng.standard_normal((30, 4))
    objective = ModelObjective(model, losses.ClippedSquaredLoss(), inputs, np.arange(30) % 2)
    theta = model.initial_parameters(rng)
    hessian = curvature.hessian(objective, theta)
    newton = curvature.generalized_gauss_newton_operator(objective, theta)
    scale = max(np.linalg.norm(hessian), 1e-300)
    np.testing.assert_allclose(newton.to_dense(), hessian, atol=1e-12 * scale)
    active = objective.output_hessians(theta).any(axis=(1, 2)).sum()
    assert len(newton.jacobians) == active
    noise = gradient_noise.gradient_covariance(objective.per_example_gradients(theta))
    exact = np.trace(hessian @ noise.to_dense())
    made = indicators.alignment(newton, noise)
    np.testing.assert_allclose(made, exact, rtol=1e-11, atol=1e-300)


def test_the_operator_of_a_model_linear_almost_everywhere_keeps_its_jacobians(rng, monkeypatch):
    model = OneHiddenLayer(4, 6, activation="relu")
    inputs = rng.standard_normal((30, 4))
    objective = ModelObjective(model, losses.SquaredLoss(), inputs, rng.standard_normal(30))
    theta = model.initial_parameters(rng)
    vectors, hessian = rng.standard_normal((theta.size, 3)), curvature.hessian(objective, theta)
    moving = curvature.HessianOperator(objective, theta) @ vectors

    def forbidden(*_):
        raise AssertionError("Jacobians formed for every product")

    monkeypatch.setattr(ModelObjective, "hessian_product", forbidden)
    operator = curvature.hessian_operator(objective, theta)
    scale = np.linalg.norm(hessian)
    np.testing.assert_allclose(exact_traces.trace(operator), np.trace(hessian), rtol=1e-12)
    np.testing.assert_allclose(operator @ vectors, moving, atol=1e-12 * scale)
    monkeypatch.setattr(memory, "available_bytes", lambda: 1000)
    assert isinstance(curvature.hessian_operator(objective, theta), curvature.HessianOperator)


def test_hessian_is_symmetric_to_the_last_bit(rng):
    objective, theta = perceptron(rng)
    matrix = curvature.hessian(objective, theta)
    np.testing.assert_array_equal(matrix, matrix.T)


def test_refusals_come_before_the_work(linear, theta, monkeypatch):
    class LossAlone:
        pass

    with pytest.raises(checks.InputError, match=r"LossAlone has no outputs.*ModelObjective"):
        curvature.fisher(LossAlone(), theta)
    with pytest.raises(checks.InputError, match="theta is empty"):
        curvature.hessian(linear, [])
    bowl = quadratic_objective(np.eye(3), np.zeros(3), np.zeros((1, 3)))
    for function in (curvature.hessian, curvature.hessian_operator):
        with pytest.raises(checks.InputError, match="LossAlone has no hessian"):
            function(LossAlone(), theta)
        with pytest.raises(checks.InputError, match=r"theta has shape \(2,\); expected \(3\)"):
            function(bowl, [1.0, 1.0])
    with pytest.raises(checks.InputError, match="non-finite"):
        curvature.hessian_operator(linear, np.full(theta.size, np.nan))
    monkeypatch.setattr(memory, "available_bytes", lambda: 1000)
    for refused in (
        curvature.hessian,
        curvature.generalized_gauss_newton,
        curvature.generalized_gauss_newton_operator,
        curvature.fisher_operator,
    ):
        with pytest.raises(memory.AllocationRefused, match="use"):
            refused(linear, theta)
