"""Spreads of losses and gradients whose mean is large beside them."""

import numba
import numpy as np
import pytest

from aniso import langevin, networks
from aniso.langevin import drifts, example_chains, example_sets, noises
from aniso.langevin._kernels import accumulators
from aniso.matrices import gradient_covariance
from aniso.networks.gradients.kept import GradientFactors
from aniso.networks.gradients.streamed import StreamedGradients
from aniso.problems import losses

FAST = not numba.config.DISABLE_JIT


def fair_statistics(values):
    """Mean and its standard error in extended precision, from the values themselves."""
    values = np.asarray(values, dtype=np.longdouble)
    centred = values - values[0]
    mean = centred.sum() / len(values)
    variance = ((centred - mean) ** 2).sum() / (len(values) - 1)
    return float(values[0] + mean), float(np.sqrt(variance / len(values)))


@pytest.mark.parametrize("offset", [0.0, 1e4, 1e8, -1e8])
def test_a_potential_with_an_offset(offset):
    num_paths = 3000 if FAST else 330  # several cells, the last one and its last panel not full
    problem = langevin.LangevinProblem(
        drifts.of_polynomial([offset, 0.0, 0.5]), noises.constant([[2.0]]), [0.0]
    )
    arguments = problem, "euler_maruyama", 0.1, [0, 3, 10], num_paths, 5
    loss = langevin.simulate_ensemble(*arguments, num_threads=2).loss
    states = langevin.simulate_paths(*arguments)[:, :, 0]
    assert (loss[0].value, loss[0].standard_error) == (offset, 0.0)
    for record in (1, 2):
        mean, error = fair_statistics(0.5 * states[:, record] ** 2)
        assert loss[record].num_samples == num_paths
        # the potential itself is rounded to 1.5e-8 at an offset of 1e8, its spread is about 0.5
        assert loss[record].standard_error == pytest.approx(error, rel=1e-6)
        assert loss[record].value == pytest.approx(offset + mean, abs=1e-7)


def test_a_quadratic_far_from_its_minimum():
    # x near 1e6, spread 1e-3: a loss of 5e11 with a spread of 1e3
    start, num_paths = np.array([1e6, 0.0]), 1000 if FAST else 130
    hessian = np.diag([1.0, 3.0])
    problem = langevin.LangevinProblem(
        drifts.of_quadratic(hessian), noises.constant(1e-6 * np.eye(2)), start
    )
    arguments = problem, "exact", 0.01, [4], num_paths, 5
    loss = langevin.simulate_ensemble(*arguments).loss[0]
    states = langevin.simulate_paths(*arguments)[:, 0].astype(np.longdouble)
    mean, error = fair_statistics(0.5 * (states**2 * np.diag(hessian)).sum(axis=1))
    assert loss.standard_error == pytest.approx(error, rel=1e-5)
    assert loss.value == pytest.approx(mean, rel=1e-12)


@numba.njit
def pull(theta, index, parameters, out):
    for lane in range(theta.shape[1]):
        out[0, lane] = theta[0, lane] - parameters[index[lane]]


@numba.njit
def lifted(theta, _parameters, out):
    for lane in range(theta.shape[1]):
        out[lane] = 1e8 + 0.5 * theta[0, lane] ** 2


@numba.njit
def grounded(theta, _parameters, out):
    for lane in range(theta.shape[1]):
        out[lane] = 0.5 * theta[0, lane] ** 2


def test_a_chain_of_examples_with_an_offset():
    num_paths = 2000 if FAST else 130
    losses = [
        example_chains.simulate_sgd(
            example_sets.custom(pull, 3, 1, parameters=[-1.0, 0.0, 2.5], potential=potential),
            0.3,
            1,
            "with_replacement",
            [0.5],
            [7],
            num_paths,
            3,
        ).loss[0]
        for potential in (lifted, grounded)
    ]
    assert losses[0].standard_error == pytest.approx(losses[1].standard_error, rel=1e-6)
    assert losses[0].value - 1e8 == pytest.approx(losses[1].value, abs=1e-7)


def test_samples_are_merged_as_if_they_were_one(rng):
    parts = [1e9 + rng.standard_normal(size) for size in (1, 7, 300, 2)]
    found = np.zeros(3)
    for part in parts:
        spread = np.array([len(part), part.mean(), ((part - part.mean()) ** 2).sum()])
        found = accumulators.merged(found, spread)
    everything = np.concatenate(parts)
    mean, error = fair_statistics(everything)
    assert found[0] == len(everything)
    assert found[1] == pytest.approx(mean, rel=1e-15)
    assert found[2] == pytest.approx(error**2 * len(everything) * (len(everything) - 1), rel=1e-6)
    assert accumulators.merged(np.zeros(3), np.zeros(3)).tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("kind", [GradientFactors, StreamedGradients])
@pytest.mark.parametrize(("spread", "allowed"), [(1e-7, 1e-6), (1e-2, 1e-10)])
def test_gradients_with_a_mean_that_is_large_beside_their_spread(kind, spread, allowed, rng):
    inputs = 1.0 + spread * rng.standard_normal((40, 3))
    stack = networks.Stack((networks.Dense(2),), (3,))
    theta = rng.standard_normal(stack.num_parameters)
    network = networks.Network(stack, losses.SquaredLoss(), inputs, np.full((40, 2), 50.0))
    # by hand, in extended precision: (f_u - y_u) x times the factor of the loss, and biases
    weights, biases = theta[:6].reshape(2, 3), theta[6:]
    exact = np.asarray(inputs, dtype=np.longdouble)
    residuals = exact @ weights.T.astype(np.longdouble) + biases - 50.0
    gradients = np.hstack([(residuals[:, :, None] * exact[:, None]).reshape(40, 6), residuals])
    gradients *= np.round(network.per_example_gradients(theta)[0, 0] / float(gradients[0, 0]), 6)
    deviations = gradients - gradients.mean(axis=0)
    variances = (deviations**2).mean(axis=0).astype(float)
    covariance = gradient_covariance(kind(network, theta))
    # rounding of a gradient over the spread, or over its square where that leaves half the digits
    assert covariance.trace() == pytest.approx(variances.sum(), rel=allowed)
    np.testing.assert_allclose(
        covariance.diagonal(), variances, rtol=0, atol=allowed * variances.max()
    )
    found = network.linearise(theta).noise_curvature()
    np.testing.assert_allclose(found.covariance_traces, [variances.sum()], rtol=allowed)


def test_equal_gradients_have_no_variance():
    stack = networks.Stack((networks.Dense(2),), (3,))
    theta = np.linspace(-1.0, 1.0, 8)
    network = networks.Network(
        stack, losses.SquaredLoss(), np.full((7, 3), 1 / 3), np.full((7, 2), 0.3)
    )
    for kind in (GradientFactors, StreamedGradients):
        covariance = gradient_covariance(kind(network, theta))
        size = np.linalg.norm(network.gradient(theta)) ** 2
        # the square of a rounding, where the difference of sums leaves a rounding
        assert 0 <= covariance.trace() < 1e-29 * size
        assert 0 <= covariance.diagonal().min() <= covariance.diagonal().max() < 1e-29 * size
