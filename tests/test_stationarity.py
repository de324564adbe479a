"""The stationarity relation: exact moments, coverage under autocorrelation, and three verdicts."""

import numpy as np
import pytest
import scipy.signal
import scipy.stats
from reference_matrices import random_positive

from aniso import checks, descent, estimates, matrices
from aniso.closed_forms import chain
from aniso.problems import quadratic_problem


def simulated(rng, curvatures, deviation, rate, num_steps, start, momentum=0.0):
    """Both series of SGD with additive noise on a diagonal quadratic."""
    theta, velocity = np.array(start, float), np.zeros(len(curvatures))
    noise = deviation * rng.normal(size=(num_steps, len(curvatures)))
    products, norms = np.empty(num_steps), np.empty(num_steps)
    for step in range(num_steps):
        products[step] = theta @ (curvatures * theta)
        velocity = momentum * velocity - (curvatures * theta + noise[step])
        theta = theta + rate * velocity
        norms[step] = velocity @ velocity
    return products, norms


def test_the_relation_holds_in_the_exact_stationary_state(rng):
    hessian, noise, rate = random_positive(rng, 4) + np.eye(4), random_positive(rng, 4), 0.1
    covariance = chain.chain_stationary_covariance(hessian, noise, rate)
    left = np.trace(hessian @ covariance)
    right = 0.5 * rate * (np.trace(hessian @ hessian @ covariance) + np.trace(noise))
    np.testing.assert_allclose(left, right, rtol=1e-12)
    diffusion = 0.5 * rate * np.trace(noise)  # without the gradient's own part
    assert abs(left / diffusion - 1) > 1e-3


def test_the_relation_with_momentum_holds_in_the_exact_stationary_state():
    # second moments of (theta, v), v <- beta v - (h theta + xi), theta <- theta + eta v
    h, beta, rate, variance = 1.7, 0.8, 0.2, 0.6
    step = np.array([[1 - rate * h, rate * beta], [-h, beta]])
    drive = variance * np.array([[rate**2, rate], [rate, 1.0]])
    moments = np.linalg.solve(np.eye(4) - np.kron(step, step), drive.ravel()).reshape(2, 2)
    left, right = h * moments[0, 0], 0.5 * rate * (1 + beta) * moments[1, 1]
    np.testing.assert_allclose(left, right, rtol=1e-12)
    assert abs(left / (right / (1 + beta)) - 1) > 0.5


@pytest.mark.parametrize("correlation", [-0.5, 0.0, 0.9])
def test_the_error_of_a_correlated_mean_covers(correlation, rng):
    runs, count, hits, naive, times = 300, 2000, 0, 0, []
    for _ in range(runs):
        drive = rng.normal(size=count + 200)
        series = scipy.signal.lfilter([1.0], [1.0, -correlation], drive)[200:]
        made, time = estimates.correlated_mean(series)
        quantile = scipy.stats.t.ppf(0.95, count / time / 5)
        hits += abs(made.value) <= quantile * made.standard_error
        naive += abs(made.value) <= 1.645 * series.std() / np.sqrt(count)
        times.append(time)
    expected = max(1.0, (1 + correlation) / (1 - correlation))
    np.testing.assert_allclose(np.mean(times), expected, rtol=0.15)
    if correlation < 0:
        assert hits > 0.95 * runs  # overstated, as documented
    else:
        assert abs(hits / runs - 0.9) < 4 * 0.0175 + 0.02
    if correlation > 0.5:
        assert naive < 0.6 * runs  # independent samples would be a falsehood


def test_a_constant_series_and_short_ones():
    made, time = estimates.correlated_mean(np.full(10, 2.0))
    assert (made.value, made.standard_error, time) == (2.0, 0.0, 1.0)
    with pytest.raises(checks.InputError, match="expected at least 4"):
        estimates.correlated_mean([1.0, 2.0])


@pytest.mark.parametrize("momentum", [0.0, 0.6])
def test_a_stationary_run_is_called_so(momentum, rng):
    series = simulated(rng, np.array([1.0, 0.6]), 1.0, 0.2, 12_000, [0.0, 0.0], momentum)
    made = descent.stationarity_test(
        *(each[500:] for each in series), 0.2, momentum=momentum, tolerance=0.5, confidence=0.9999
    )
    assert made.low <= 0 <= made.high
    assert made.verdict == "stationary"
    assert abs(made.difference.z_score(0)) < 4.5
    # the velocity with another formula is refuted
    wrong = descent.stationarity_test(
        *(each[500:] for each in series), 0.2, momentum=0.9 - momentum
    )
    assert wrong.verdict == "not stationary"


def test_a_run_that_still_descends_is_not_stationary(rng):
    # a slow direction without noise, far from its minimum, under the noise of 30 fast ones
    curvatures, deviation = np.append(np.full(30, 1.0), 1e-6), np.append(np.ones(30), 0.0)
    start = np.append(np.zeros(30), 3000.0)
    products, norms = simulated(rng, curvatures, deviation, 0.3, 4000, start)
    made = descent.stationarity_test(products[100:], norms[100:], 0.3)
    assert made.verdict == "not stationary"
    assert made.difference.value > 0.5
    products, norms = simulated(rng, curvatures[:30], 1.0, 0.3, 4000, start[:30])
    made = descent.stationarity_test(products[100:], norms[100:], 0.3, confidence=0.9999)
    assert made.low <= 0 <= made.high


def slow_series(rng, memory, num_steps):
    """A stationary series of mean 1 with a slow part, hidden under white noise as large."""
    correlation = np.exp(-1 / memory)
    drive = rng.normal(size=num_steps + 10 * memory) * np.sqrt(1 - correlation**2)
    slow = scipy.signal.lfilter([1.0], [1.0, -correlation], drive)[10 * memory :]
    return 1 + 0.3 * slow + 0.3 * rng.normal(size=num_steps)


def test_a_run_too_short_for_its_memory_is_unresolved(rng):
    # norms of 20 and a rate of 0.1 make the noise side 1, so that every "not stationary" is false
    runs, false, trusted = 150, 0, 0
    for _ in range(runs):
        series = slow_series(rng, 300, 3000)
        made = descent.stationarity_test(series, np.full(3000, 20.0), 0.1, tolerance=0.01)
        false += made.verdict == "not stationary"
        error = series.std() / np.sqrt(3000)
        trusted += abs(series.mean() - 1) > 2 * error
    # 0.05 by its confidence, 0.07 measured over 400 runs
    assert false < (0.07 + 4 * 0.021) * runs
    assert trusted > 0.5 * runs  # independent samples would be a falsehood
    made = descent.stationarity_test(np.linspace(0, 3, 3000), np.full(3000, 20.0), 0.1)
    assert made.verdict == "unresolved"


def test_a_wide_interval_around_zero_is_unresolved(rng):
    series = 1 + rng.normal(size=400)
    series += 1 - series.mean()
    made = descent.stationarity_test(series, np.full(400, 20.0), 0.1)
    assert made.verdict == "unresolved"
    assert made.autocorrelation_time < 3


def test_records_of_a_run_give_both_series(rng):
    problem = quadratic_problem(np.diag([1.0, 0.8]), [0.0, 0.0], rng.normal(size=(20, 2)))
    settings = descent.Settings(
        "sgd", learning_rate=0.6, num_steps=600, batch_size=2, sampling="with_replacement"
    )
    measure = descent.Measurements(tuple(range(100, 601, 4)), ("stationarity",))
    result = descent.simulate_descent(problem, [0.1, 0.1], settings, rng, measurements=measure)
    records = result.records
    scale = matrices.minibatch_scale(20, 2, replacement=True)
    noise = np.asarray(records["example_noise_trace"]) * scale
    norms = np.asarray(records["gradient_square_norm"]) + noise
    made = descent.stationarity_test(
        records["position_gradient"], norms, 0.6, every=4, tolerance=5.0, confidence=0.9999
    )
    assert made.verdict == "stationary"
    theta = np.asarray(result.theta)
    at = problem.at(theta)
    np.testing.assert_allclose(records["position_gradient"][-1], theta @ at.gradient, rtol=1e-12)


def test_bad_arguments_are_refused():
    fine = np.ones(70)
    for arguments, more, match in (
        ((fine[:40], fine[:40], 0.1), {}, "expected at least 64"),
        ((fine, fine[:50], 0.1), {}, "square_norms has shape"),
        ((fine, -fine, 0.1), {}, "expected numbers >= 0"),
        ((fine, 0 * fine, 0.1), {}, "not all 0"),
        ((fine, fine, 0.0), {}, "learning_rate=0.0"),
        ((fine, fine, 0.1), {"momentum": 1.0}, "momentum=1"),
        ((fine, fine, 0.1), {"tolerance": 0.0}, "tolerance=0.0"),
        ((fine, fine, 0.1), {"confidence": 1.0}, "confidence=1.0"),
        ((fine, fine, 0.1), {"every": 0}, "every=0"),
    ):
        with pytest.raises(checks.InputError, match=match):
            descent.stationarity_test(*arguments, **more)
