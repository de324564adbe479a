"""A trace that is zero to its own rounding: no ratio to it, whoever states it."""

import numpy as np
import pytest
from scipy.sparse.linalg import LinearOperator, aslinearoperator

from aniso import checks, networks
from aniso.descent import measurements
from aniso.matrices import SymmetricOperator, gradient_covariance, indicators, noise, subspaces
from aniso.problems import losses
from aniso.problems.autograd_problem import AutogradProblem

DIMENSION = 6


def noise_of_equal_gradients(rng, count, dtype):
    gradient = (rng.standard_normal(DIMENSION) * 1e3).astype(dtype)
    rows = np.tile(gradient, (count, 1))
    if dtype == np.float32:
        # the last bit of single precision differs from example to example
        rows = rows * (1 + np.float32(6e-8) * rng.integers(-1, 2, rows.shape).astype(dtype))
    return rows.astype(dtype)


def traceless(rng):
    """A symmetric matrix of norm 1 whose trace is the rounding of products."""
    basis = np.linalg.qr(rng.standard_normal((DIMENSION, DIMENSION)))[0]
    matrix = (basis * np.array([1.0, 1.0, 0.5, -0.5, -1.0, -1.0])) @ basis.T
    return (matrix + matrix.T) / 2


class WithTrace(LinearOperator):
    """An operator that states its trace, and not its diagonal."""

    def __init__(self, matrix):
        self.matrix = matrix
        super().__init__(np.dtype(float), matrix.shape)

    def _matvec(self, vector):
        return self.matrix @ vector

    def trace(self):
        return float(np.trace(self.matrix))


def placed(matrix):
    return SymmetricOperator(
        lambda vectors: matrix @ vectors, len(matrix), matrix.dtype, lambda: matrix.diagonal()
    )


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("count", [1, 7, 1000])
def test_equal_gradients_leave_no_noise_to_compare_with(rng, count, dtype):
    one = noise.gradient_covariance(noise_of_equal_gradients(rng, count, dtype))
    batch = noise.minibatch_covariance(one, 5, replacement=True)
    for covariance in (one, batch, noise.diffusion_covariance(batch, 0.1)):
        for ratio in (indicators.trace_ratio, indicators.projection_coefficient):
            with pytest.raises(checks.InputError, match="the trace of covariance is"):
                ratio(np.diag(np.arange(1.0, DIMENSION + 1)), covariance)
        with pytest.raises(checks.InputError, match="the trace of covariance is"):
            subspaces.captured_share(covariance, np.eye(DIMENSION)[:, :2])
        assert indicators.relative_commutator(np.diag(np.arange(6.0)), covariance) == 0
        assert not covariance.to_dense().any()


@pytest.mark.parametrize("size", [1e-9, 1e-3, 1.0])
def test_small_noise_around_a_large_mean_is_noise(rng, size):
    mean = rng.standard_normal(DIMENSION)
    mean /= np.linalg.norm(mean)
    deviations = np.outer([1.0, -1.0, 1.0, -1.0], np.eye(DIMENSION)[0])
    covariance = noise.gradient_covariance(mean + size * deviations)
    # rank one along the first axis: ratio D H_11 / Tr H
    ratio = indicators.trace_ratio(np.diag(np.arange(1.0, DIMENSION + 1)), covariance)
    assert abs(ratio - DIMENSION / 21) < 1e-5


@pytest.mark.parametrize("wrap", [np.asarray, aslinearoperator, WithTrace, placed])
def test_a_curvature_of_trace_zero_is_refused_in_every_form(rng, wrap):
    for matrix in (traceless(rng), traceless(rng) * 1e-150, np.diag([1.0, -1, 0, 0, 0, 0])):
        for ratio in (indicators.trace_ratio, indicators.projection_coefficient):
            with pytest.raises(checks.InputError, match="the trace of hessian is"):
                ratio(wrap(matrix), np.eye(DIMENSION))
    shifted = traceless(rng) + 1e-6 * np.eye(DIMENSION)
    assert abs(indicators.trace_ratio(wrap(shifted), np.eye(DIMENSION)) - 1) < 1e-8


def test_single_precision_has_the_rounding_of_single_precision(rng):
    matrix = (traceless(rng) + 1e-8 * np.eye(DIMENSION)).astype(np.float32)
    operator = SymmetricOperator(
        lambda v: matrix @ v.astype(np.float32), DIMENSION, np.float32, lambda: matrix.diagonal()
    )
    with pytest.raises(checks.InputError, match="the trace of hessian is"):
        indicators.trace_ratio(operator, np.eye(DIMENSION))


def network_of(inputs, labels, dtype=np.float64, activation="relu"):
    stack = networks.Stack(
        (networks.Dense(5), networks.Activation(activation), networks.Dense(3)), inputs.shape[1:]
    )
    return networks.Network(
        stack, losses.SoftmaxCrossEntropy(), inputs.astype(dtype), labels, dtype=dtype
    )


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("count", [1, 9])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_a_network_of_equal_examples_has_no_noise(rng, count, dtype, activation):
    inputs = np.tile(rng.standard_normal(4), (count, 1))
    network = network_of(inputs, np.ones(count, int), dtype, activation)
    theta = rng.standard_normal(network.num_parameters)
    at = network.linearise(theta)
    found = at.noise_curvature()
    assert found.alignment == found.isotropic == 0
    assert not found.covariance_traces.any()
    assert not found.alignments.any()
    with pytest.raises(checks.InputError, match="zero to its rounding"):
        _ = found.ratio
    covariance = gradient_covariance(at.gradient_factors)
    with pytest.raises(checks.InputError, match="the trace of covariance is"):
        indicators.trace_ratio(at.hessian_operator(), covariance)
    plan = measurements.Measurements(steps=(0,), quantities=("curvature", "leading", "noise"))
    record = plan.at(network, theta, rng)
    assert record["alignment"] == record["example_noise_trace"] == 0
    assert np.isnan([record["trace_ratio"], record["projection_coefficient"]]).all()


def test_the_noise_of_a_network_of_different_examples_is_kept(rng):
    network = network_of(rng.standard_normal((9, 4)), rng.integers(0, 3, 9))
    theta = rng.standard_normal(network.num_parameters)
    gradients = network.per_example_gradients(theta)
    sigma = np.cov(gradients.T, ddof=0)
    hessian = network.hessian(theta)
    expected = len(theta) * np.sum(hessian * sigma) / (np.trace(hessian) * np.trace(sigma))
    ratio = network.linearise(theta).noise_curvature().ratio
    np.testing.assert_allclose(ratio, expected, rtol=1e-9)


def test_measurements_of_equal_examples_are_of_no_noise(rng):
    inputs = np.tile(rng.standard_normal(4), (7, 1))
    objective = AutogradProblem(lambda theta, x, y: (x @ theta - y) ** 2, inputs, np.ones(7))
    plan = measurements.Measurements(steps=(0,), quantities=("curvature", "leading", "noise"))
    record = plan.at(objective, rng.standard_normal(4), rng)
    assert record["alignment"] == record["example_noise_trace"] == 0
    assert np.isnan([record["trace_ratio"], record["projection_coefficient"]]).all()
