"""Curvature of a problem at one theta: definitions by loops, identities, what is kept."""

import numpy as np
import pytest
from reference_matrices import curvature_by_loops, random_positive, random_symmetric
from tolerances import assert_equal_up_to_rounding, assert_within_sampling_error

from aniso import checks, memory, networks
from aniso.matrices import indicators
from aniso.networks import Network
from aniso.problems import (
    AutogradModel,
    Problem,
    _output_curvature,
    local_geometry,
    losses,
    quadratic_problem,
)

NUM_EXAMPLES, NUM_OUTPUTS, DIMENSION = 7, 3, 11
every_form = pytest.mark.parametrize("form", [AutogradModel, Network])


class LinearOutputs(Problem):
    """Outputs J_i theta with given output Hessians: every curvature is known in closed form."""

    targets = None

    def __init__(self, jacobians, weights):
        self.stored, self.weights = jacobians, weights
        self.num_examples = len(jacobians)
        self.output_loss = self
        self.num_products = 0

    def subset(self, indices):
        return LinearOutputs(self.stored[indices], self.weights[indices])

    def losses(self, theta):
        outputs = self.outputs(theta)
        return np.einsum("na,nab,nb->n", outputs, self.weights, outputs) / 2

    def gradient(self, theta):
        return self.example_gradients(theta).mean(axis=0)

    def example_gradients(self, theta):
        slopes = np.einsum("nab,nb->na", self.weights, self.outputs(theta))
        return np.einsum("na,nad->nd", slopes, self.stored)

    def outputs(self, theta):
        return self.stored @ theta

    def jacobians(self, theta):  # noqa: ARG002
        return self.stored

    def hessian_product(self, theta, vectors):  # noqa: ARG002
        self.num_products += 1 if vectors.ndim == 1 else vectors.shape[1]
        return curvature_by_loops(self.stored, self.weights) @ vectors

    def output_hessians(self, theta):  # noqa: ARG002
        return self.weights

    # as a loss of the outputs

    def hessian(self, outputs, targets=None):  # noqa: ARG002
        # called with theta as a problem, with outputs and targets as a loss
        return super().hessian(outputs) if np.ndim(outputs) == 1 else self.weights

    def fisher_information(self, outputs):
        return outputs[:, :, None] * outputs[:, None, :]


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
    monkeypatch.setattr(_output_curvature, "_CHUNK_BYTES", chunk_bytes)
    at = linear.at(theta)
    expected = curvature_by_loops(linear.stored, linear.weights)
    assert_close(at.gauss_newton.to_dense(), expected)
    fisher = curvature_by_loops(linear.stored, linear.fisher_information(linear.outputs(theta)))
    assert_close(at.fisher.to_dense(), fisher)
    assert_close(at.fisher.diagonal(), fisher.diagonal())
    with pytest.raises(AssertionError, match="rounding"):
        assert_close(1.05 * at.fisher.to_dense(), fisher)
    with pytest.raises(AssertionError, match="rounding"):
        assert_close(at.fisher.to_dense(), expected)


@pytest.mark.parametrize("silent", [[], [0, 3], list(range(NUM_EXAMPLES))])
def test_operators_agree_with_their_arrays(linear, theta, rng, silent):
    linear.weights[silent] = 0.0
    vectors, at = rng.standard_normal((DIMENSION, 4)), linear.at(theta)
    assert len(at.gauss_newton.jacobians) == NUM_EXAMPLES - len(silent)
    for operator in (at.gauss_newton, at.fisher, at.hessian):
        dense = operator.to_dense()
        np.testing.assert_array_equal(dense, dense.T)
        np.testing.assert_allclose(operator @ vectors, dense @ vectors, atol=1e-12)
        np.testing.assert_allclose(operator @ vectors[:, 0], dense @ vectors[:, 0], atol=1e-12)
        np.testing.assert_allclose(operator.T @ vectors, dense @ vectors, atol=1e-12)
        np.testing.assert_allclose(operator.trace(), np.trace(dense), rtol=1e-12)
        np.testing.assert_allclose(operator.diagonal(), np.diag(dense), atol=1e-12)


def test_indefinite_output_hessians_are_kept(linear, theta, rng):
    linear.weights = np.array([random_symmetric(rng, NUM_OUTPUTS) for _ in range(NUM_EXAMPLES)])
    expected = curvature_by_loops(linear.stored, linear.weights)
    assert_close(linear.at(theta).gauss_newton.to_dense(), expected)


def test_a_small_hessian_is_formed_once_and_a_large_one_by_every_quantity(
    linear, theta, monkeypatch
):
    at = linear.at(theta)
    at.hessian @ theta
    assert linear.num_products == 1  # a product alone forms no matrix
    for quantity in (at.hessian.trace, at.hessian.diagonal, at.hessian.to_dense, at.by_block):
        quantity()
    at.hessian @ theta
    assert linear.num_products == 1 + DIMENSION
    monkeypatch.setattr(local_geometry, "DENSE_DIMENSION", DIMENSION - 1)
    large = linear.at(theta)
    np.testing.assert_allclose(large.hessian.trace(), at.hessian.trace(), rtol=1e-12)
    np.testing.assert_allclose(large.hessian.to_dense(), at.hessian.to_dense(), rtol=1e-12)
    assert linear.num_products == 1 + 3 * DIMENSION


def perceptron(rng, form):
    stack = networks.multilayer_perceptron((3, 4, 3), activation="tanh")
    inputs, labels = rng.standard_normal((20, 3)), rng.integers(0, 3, 20)
    problem = form(stack, losses.SoftmaxCrossEntropy(), inputs, labels)
    return problem, stack.initial_parameters(rng)


@every_form
def test_fisher_is_gauss_newton_for_softmax_and_neither_is_the_hessian(form, rng):
    problem, theta = perceptron(rng, form)
    at = problem.at(theta)
    newton, fisher = at.gauss_newton.to_dense(), at.fisher.to_dense()
    np.testing.assert_allclose(fisher, newton, atol=1e-12 * np.linalg.norm(newton))
    assert np.linalg.norm(at.hessian.to_dense() - newton) > 1e-3 * np.linalg.norm(newton)
    empirical = at.empirical_fisher.to_dense()
    assert np.linalg.norm(empirical - fisher) > 1e-3 * np.linalg.norm(fisher)


@every_form
def test_fisher_is_the_mean_over_labels_of_the_model(form, rng):
    problem, theta = perceptron(rng, form)
    at, outputs = problem.at(theta), problem.outputs(theta)
    expected, jacobians = at.fisher.to_dense(), problem.jacobians(theta)
    num_draws, total, squares = 1000, 0.0, 0.0
    for _ in range(num_draws):
        labels = problem.output_loss.sample_targets(outputs, rng)
        scores = problem.output_loss.gradient(outputs, labels)
        slopes = np.einsum("nc,ncd->nd", scores, jacobians)
        drawn = slopes.T @ slopes / len(slopes)
        total, squares = total + drawn, squares + drawn**2
    mean = total / num_draws
    errors = np.sqrt(np.maximum(squares / num_draws - mean**2, 0) / num_draws)
    # An entry that no draw changes leaves a variance of rounding alone.
    errors = np.maximum(errors, 1e-12 * np.abs(mean).max())
    assert_within_sampling_error(mean, expected, errors)
    # The data's own labels are another matrix.
    own = np.asarray(at.empirical_fisher.to_dense())
    with pytest.raises(AssertionError, match="sampling"):
        assert_within_sampling_error(mean, own, errors)


@every_form
def test_gauss_newton_is_the_hessian_of_a_network_linear_almost_everywhere(form, rng):
    stack = networks.one_hidden_layer(4, 6, activation="relu")
    inputs = rng.standard_normal((30, 4))
    problem = form(stack, losses.ClippedSquaredLoss(), inputs, np.arange(30) % 2)
    theta = stack.initial_parameters(rng)
    at = problem.at(theta)
    hessian, newton = at.hessian.to_dense(), at.gauss_newton
    scale = max(np.linalg.norm(hessian), 1e-300)
    np.testing.assert_allclose(newton.to_dense(), hessian, atol=1e-12 * scale)
    exact = np.trace(hessian @ np.asarray(at.noise.to_dense()))
    made = indicators.alignment(newton, at.noise)
    np.testing.assert_allclose(made, exact, rtol=1e-11, atol=1e-300)


@every_form
def test_hessian_is_symmetric_to_the_last_bit(form, rng):
    problem, theta = perceptron(rng, form)
    matrix = problem.at(theta).hessian.to_dense()
    np.testing.assert_array_equal(matrix, matrix.T)


def test_refusals_come_before_the_work(linear, theta, monkeypatch):
    bowl = quadratic_problem(np.eye(3), np.zeros(3), np.zeros((1, 3)))
    with pytest.raises(checks.InputError, match="theta is empty"):
        linear.at([])
    with pytest.raises(checks.InputError, match=r"theta has shape \(2,\); expected .*D=3"):
        bowl.at([1.0, 1.0])
    with pytest.raises(checks.InputError, match="non-finite"):
        linear.at(np.full(theta.size, np.nan))
    at = linear.at(theta)
    made = at.gauss_newton
    monkeypatch.setattr(memory, "available_bytes", lambda: 1000)
    for refused in (lambda: at.fisher, lambda: at.hessian.trace(), made.to_dense):
        with pytest.raises(memory.AllocationRefused, match="use"):
            refused()
