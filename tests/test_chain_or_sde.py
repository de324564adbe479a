"""Exits of mini-batch chains from a double well made of data, against their own equation."""

import numba
import numpy as np
import pytest
import reference_example_chains as reference
import scipy.optimize
import seeds
from scipy.stats import norm
from tolerances import Z_LIMIT

from aniso import escape, langevin
from aniso.escape import quadrature
from aniso.langevin import drifts, example_chains, example_sets, noises, regions

pytestmark = pytest.mark.needs_jit

SEED = seeds.integer("chain_or_sde")
CLUSTER = 0.5 * norm.ppf((np.arange(50) + 0.5) / 50) - 1.5
DATA = np.concatenate([CLUSTER, -CLUSTER])
MINIMUM, LOW, HIGH = -1.40005743, -5.0, 0.0


@numba.njit
def robust(theta, index, data, out):
    """Gradient of ``1 - exp(-(theta - x)^2 / 2)``."""
    for lane in range(theta.shape[1]):
        distance = theta[0, lane] - data[index[lane]]
        out[0, lane] = distance * np.exp(-0.5 * distance**2)


EXAMPLES = example_sets.custom(robust, len(DATA), 1, parameters=DATA)


def gradients(theta):
    distance = np.subtract.outer(theta, DATA)
    return distance * np.exp(-0.5 * distance**2)


def chain_time(rate, batch_size=1, sampling="with_replacement", num_paths=20_000):
    found = escape.simulate_sgd_mean_exit_time(
        EXAMPLES,
        regions.interval(LOW, HIGH),
        *(rate, batch_size, sampling, [MINIMUM], 1e7, num_paths, SEED),
    )
    assert found.num_censored == 0
    return found.mean


def equation_time(noise_scale, *, is_constant=False):
    """Mean exit time of the equation with Sigma = `noise_scale` times the variance of one g_i."""
    at_minimum = noise_scale * gradients(np.array([MINIMUM])).var()
    return quadrature.mean_exit_time(
        lambda theta: -gradients(theta).mean(axis=-1),
        at_minimum if is_constant else lambda theta: noise_scale * gradients(theta).var(axis=-1),
        MINIMUM,
        LOW,
        HIGH,
    ).value


@pytest.mark.parametrize(("rate", "ratio"), [(0.8, 1.325), (0.6, 1.336)])
def test_the_chain_has_the_exit_time_of_its_transfer_operator(rate, ratio):
    found = chain_time(rate)
    exact, coarse = (
        reference.mean_exit_time(gradients, rate, LOW, HIGH, MINIMUM, cells)
        for cells in (1000, 500)
    )
    discretisation = abs(exact - coarse)
    assert discretisation < 2e-3 * exact
    assert abs(found.value - exact) < Z_LIMIT * found.standard_error + discretisation
    # planted falsehood: a chain with other steps
    other = reference.mean_exit_time(gradients, 1.05 * rate, LOW, HIGH, MINIMUM, 500)
    assert abs(found.value - other) > Z_LIMIT * found.standard_error + discretisation
    # the equation leaves earlier, by a ratio that the how-to states to 1 %
    equation = equation_time(rate)
    assert exact / equation == pytest.approx(ratio, rel=0.01)
    assert found.z_score(equation) > 20


def test_chains_of_one_equation_leave_at_different_times():
    # learning rate over batch size is 0.6 for all
    one, four = chain_time(0.6), chain_time(2.4, 4)
    error = np.hypot(one.standard_error, four.standard_error)
    assert four.value - one.value > 2 * Z_LIMIT * error
    assert one.z_score(equation_time(0.6)) > 20


def test_the_equation_is_worse_where_exits_are_rare():
    # exact chain against exact equation: nothing is sampled
    ratios = [
        reference.mean_exit_time(gradients, rate, LOW, HIGH, MINIMUM, 1000) / equation_time(rate)
        for rate in (0.8, 0.4, 0.3)
    ]
    np.testing.assert_allclose(ratios, [1.323, 1.383, 1.445], rtol=5e-3)
    assert ratios == sorted(ratios)


def test_chain_and_equation_have_different_exponents():
    # V of both by the midpoint rule: the chain's from its cumulants, the equation's from two
    edges = np.linspace(MINIMUM, HIGH, 201)
    slopes = []
    for x in (edges[1:] + edges[:-1]) / 2:
        (g,) = gradients(np.array([x]))
        two_moments = 2 * g.mean() / g.var()
        whole = scipy.optimize.brentq(
            lambda p, g=g: np.mean(np.exp(-p * g)) - 1, 0.2 * two_moments, 9 * two_moments
        )
        slopes.append((whole, two_moments))
    of_chain, of_equation = np.mean(slopes, axis=0) * (HIGH - MINIMUM)
    chain, equation = (
        np.log(time(0.2) / time(0.25)) / (1 / 0.2 - 1 / 0.25)
        for time in (
            lambda rate: reference.mean_exit_time(gradients, rate, LOW, HIGH, MINIMUM, 1000),
            equation_time,
        )
    )
    # prefactors change by little more than a per cent between the two rates
    assert chain == pytest.approx(of_chain, rel=0.015)
    assert equation == pytest.approx(of_equation, rel=0.015)
    # planted falsehood: the exponent of the equation for the chain, and the other way round
    assert chain != pytest.approx(of_equation, rel=0.03)
    assert equation != pytest.approx(of_chain, rel=0.03)


@pytest.mark.parametrize(("scale", "factor"), [(0.6, 4.42), (0.3, 27.4)])
def test_noise_held_constant_misses_by_a_factor(scale, factor):
    ratio = equation_time(scale, is_constant=True) / equation_time(scale)
    assert ratio == pytest.approx(factor, rel=1e-2)


def test_epochs_stay_far_longer_than_batches_without_replacement():
    single = chain_time(1.2, 4, "without_replacement", num_paths=400)
    epochs = chain_time(1.2, 4, "epochs", num_paths=100)
    assert epochs.value / single.value > 3


@numba.njit
def force(theta, parameters, out):
    for lane in range(theta.shape[1]):
        total = 0.0
        for i in range(1, len(parameters)):
            u = theta[0, lane] - parameters[i]
            total -= u * np.exp(-0.5 * u * u)
        out[0, lane] = total / (len(parameters) - 1)


@numba.njit
def spread(theta, parameters, out):
    """Standard deviation of the gradients times the root of the first parameter."""
    count = len(parameters) - 1
    for lane in range(theta.shape[1]):
        mean, square, slope, product = 0.0, 0.0, 0.0, 0.0
        for i in range(1, count + 1):
            u = theta[0, lane] - parameters[i]
            weight = np.exp(-0.5 * u * u)
            g, h = u * weight, (1 - u * u) * weight
            mean, square = mean + g / count, square + g * g / count
            slope, product = slope + h / count, product + g * h / count
        out[0, lane] = np.sqrt(parameters[0] * (square - mean**2))
        out[1, lane] = parameters[0] * (product - mean * slope) / out[0, lane]


def test_moments_within_the_well_agree_although_exits_do_not():
    parameters = np.concatenate([[0.3], DATA])
    problem = langevin.LangevinProblem(
        drifts.of_function(force, 1, parameters=parameters),
        noises.state_dependent(spread, 1, parameters=parameters),
        [MINIMUM],
    )
    equation = langevin.simulate_ensemble(problem, "milstein", 0.3, [40], 1000, SEED)
    settings = (EXAMPLES, 0.3, 1, "with_replacement", [MINIMUM], [40], 20_000, SEED)
    chain = example_chains.simulate_sgd(*settings)
    for name in ("mean", "covariance"):
        error = np.hypot(getattr(equation, f"{name}_error"), getattr(chain, f"{name}_error"))
        difference = getattr(equation, name) - getattr(chain, name)
        # discretisation of both, beside the sampling error
        assert (np.abs(difference) < Z_LIMIT * error + 0.004).all()
