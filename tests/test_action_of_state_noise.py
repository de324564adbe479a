"""Minimum action and quasi-potential where the covariance depends on theta."""

import math

import numba
import numpy as np
import pytest
import scipy.optimize
import seeds

from aniso import checks, escape, estimates, langevin
from aniso.langevin import drifts, regions, state_noises

COARSE = {"num_points": 41, "tolerance": 1e-4}
SEED = seeds.integer("action_of_state_noise")


def loss(x):
    return x[:, 0] ** 4 / 4 - x[:, 0] ** 2 / 2 + 0.5 * x[:, 1] ** 2 * (1 + 0.5 * x[:, 0])


def gradient(x):
    return np.stack(
        [x[:, 0] ** 3 - x[:, 0] + 0.25 * x[:, 1] ** 2, x[:, 1] * (1 + 0.5 * x[:, 0])], axis=1
    )


def covariance(x):
    """Principal axes that turn with x, variances 1 + y^2 / 2 and 0.2 along them."""
    angle = 0.8 * x[:, 0] + 0.5 * x[:, 1]
    c, s = np.cos(angle), np.sin(angle)
    first, second = 1 + 0.5 * x[:, 1] ** 2, 0.2 + 0 * angle
    return np.stack(
        [
            np.stack([c * c * first + s * s * second, c * s * (first - second)], axis=1),
            np.stack([c * s * (first - second), s * s * first + c * c * second], axis=1),
        ],
        axis=1,
    )


def preconditioned(x):
    """Drift -Sigma grad V: the action along any way uphill is at least 2 V, and 2 V is reached."""
    return -np.einsum("nij,nj->ni", covariance(x), gradient(x))


@pytest.mark.parametrize("end", [[0.0, 0.0], [-0.3, 0.4]])
def test_the_action_along_sigma_times_a_gradient_is_twice_the_rise(end):
    found = escape.minimise_action(preconditioned, covariance, [-1.0, 0.0], end, **COARSE)
    rise = float(loss(np.array([end]))[0]) + 0.25
    assert found.action == pytest.approx(2 * rise, rel=2e-3)
    if end == [0.0, 0.0]:
        # planted falsehood: the covariance at the start, everywhere
        frozen = covariance(np.array([[-1.0, 0.0]]))[0]
        with pytest.raises(estimates.NotConverged) as info:
            escape.minimise_action(preconditioned, frozen, [-1.0, 0.0], end, **COARSE, max_rounds=1)
        assert info.value.partial.action > 1.5 * 2 * rise


def test_on_the_line_the_action_is_an_integral():
    def drift(x):
        return x - x**3 - 0.2

    def variance(x):
        return 0.5 + 0.4 * np.sin(2 * x)

    start = float(scipy.optimize.brentq(drift, -2.0, -0.9))
    saddle = float(scipy.optimize.brentq(drift, 0.0, 0.5))
    # midpoint rule on a fine grid, uphill from the minimum to the saddle
    edges = np.linspace(start, saddle, 20_001)
    x = 0.5 * (edges[1:] + edges[:-1])
    exact = float(np.sum(-2 * drift(x) / variance(x)) * (edges[1] - edges[0]))
    found = escape.quasi_potential_on_line(drift, variance, start, saddle)
    assert found == pytest.approx(exact, rel=1e-7)
    # downhill beyond the saddle costs nothing, and there is nothing to pay backwards
    assert escape.quasi_potential_on_line(drift, variance, start, 0.5) == pytest.approx(exact)
    assert escape.quasi_potential_on_line(drift, variance, saddle, start) == 0.0
    path = escape.minimise_action(
        drift, lambda x: variance(x)[:, :, None], [start], [saddle], num_points=51
    )
    assert path.action == pytest.approx(exact, rel=3e-3)
    # error O(num_points^-2)
    coarse = escape.minimise_action(
        drift, lambda x: variance(x)[:, :, None], [start], [saddle], num_points=26
    )
    assert abs(path.action - exact) < 0.3 * abs(coarse.action - exact)


@pytest.mark.parametrize("end", [10.0, 1e3, 1e5, -1e5, 1e9])
def test_on_the_line_a_feature_near_an_end_is_seen_however_long_the_way(end):
    def drift(x):
        return -x * np.exp(-(x**2))

    def one(x):
        return np.ones_like(x)

    assert escape.quasi_potential_on_line(drift, one, 0.0, end) == pytest.approx(1.0)
    # the same well at the other end, and within the way
    assert escape.quasi_potential_on_line(lambda x: drift(x - end), one, 0.0, end) == pytest.approx(
        0.0
    )
    assert escape.quasi_potential_on_line(
        lambda x: -drift(x - end), one, 0.0, end
    ) == pytest.approx(1.0)
    middle = 0.3 * end
    for corners in ([middle], [middle, 2 * end, -end]):
        found = escape.quasi_potential_on_line(
            lambda x: drift(x - middle), one, 0.0, end, breakpoints=corners
        )
        assert found == pytest.approx(1.0, abs=2e-4)  # at 10 the well begins before the way


def test_a_constant_covariance_may_be_a_function():
    hessian, sigma = np.array([[2.0, 0.5], [0.5, 1.0]]), np.array([[1.0, 0.4], [0.4, 0.5]])
    arguments = ([0.0, 0.0], escape.exit_through_level(hessian, sigma, 1.0).point)
    matrix = escape.minimise_action(lambda x: -x @ hessian, sigma, *arguments, **COARSE)
    function = escape.minimise_action(
        lambda x: -x @ hessian,
        lambda x: np.broadcast_to(sigma, (len(x), 2, 2)),
        *arguments,
        **COARSE,
    )
    assert function.action == pytest.approx(matrix.action, rel=1e-6)


def test_a_point_without_a_metric_is_named():
    def singular(x):
        found = np.zeros((len(x), 2, 2))
        found[:, 0, 0], found[:, 1, 1] = 1.0, 0.5 - x[:, 0]
        return found

    drift = lambda x: -x  # noqa: E731
    with pytest.raises(checks.InputError, match=r"eigenvalues \[-0\.\d+, 1\.0\] at theta=\[0\.5"):
        escape.minimise_action(drift, singular, [0.0, 0.0], [1.0, 0.0])
    for function, message in (
        (lambda x: x, r"gives shape \(\d+, 2\) .* one matrix per point"),
        (lambda x: np.full((len(x), 2, 2), np.nan), r"not finite at theta=\[0\.0, 0\.0\]"),
        (lambda x: np.tile([[1.0, 0.5], [0.0, 1.0]], (len(x), 1, 1)), "not symmetric at theta"),
    ):
        with pytest.raises(checks.InputError, match=message):
            escape.minimise_action(drift, function, [0.0, 0.0], [1.0, 0.0])
    with pytest.raises(checks.InputError, match=r"variance (0|-\S+) at x=1"):
        escape.quasi_potential_on_line(lambda x: -x, lambda x: 1.0 - x, 0.0, 2.0)
    with pytest.raises(estimates.NotConverged, match="quadrature gives the quasi-potential"):
        escape.quasi_potential_on_line(
            lambda x: -np.sign(np.sin(1e4 * x)), lambda x: 1 + 0 * x, 0.0, 2.0, tolerance=1e-12
        )


@numba.njit
def compiled_parts(theta, lane):
    x, y = theta[0, lane], theta[1, lane]
    angle = 0.8 * x + 0.5 * y
    c, s = np.cos(angle), np.sin(angle)
    first, second = 1.0 + 0.5 * y * y, 0.2
    a, b = c * c * first + s * s * second, c * s * (first - second)
    return a, b, s * s * first + c * c * second


@numba.njit
def compiled_covariance(theta, parameters, out):
    for lane in range(theta.shape[1]):
        a, b, d = compiled_parts(theta, lane)
        out[0, lane], out[3, lane] = parameters[0] * a, parameters[0] * d
        out[1, lane] = out[2, lane] = parameters[0] * b


@numba.njit
def compiled_drift(theta, _parameters, out):
    for lane in range(theta.shape[1]):
        x, y = theta[0, lane], theta[1, lane]
        a, b, d = compiled_parts(theta, lane)
        first, second = x**3 - x + 0.25 * y * y, y * (1.0 + 0.5 * x)
        out[0, lane] = -(a * first + b * second)
        out[1, lane] = -(b * first + d * second)


@numba.njit
def before_the_plane(theta, parameters, out):
    """x < 0.4, with the variance of the noise across the plane."""
    for lane in range(theta.shape[1]):
        out[0, lane] = 0.4 - theta[0, lane]
        out[1, lane] = parameters[0] * compiled_parts(theta, lane)[0]


@pytest.mark.needs_jit
def test_simulation_and_action_agree_on_the_exponent():
    # log of the mean exit time against 1 / eps: slope 2 (V(saddle) - V(minimum))
    noise_levels, logs, errors = np.array([0.25, 0.125]), [], []
    for eps in noise_levels:
        problem = langevin.LangevinProblem(
            drifts.of_function(compiled_drift, 2),
            state_noises.covariance(compiled_covariance, 2, parameters=[eps]),
            [-1.0, 0.0],
        )
        region = regions.custom(before_the_plane, 2, parameters=[eps])
        mean = escape.simulate_mean_exit_time(problem, region, 0.04, 1e5, 400, SEED).mean
        logs.append(math.log(mean.value))
        errors.append(4.5 * mean.standard_error + mean.discretisation_error)
        errors[-1] /= mean.value
    difference = 1 / noise_levels[1] - 1 / noise_levels[0]
    slope, allowed = (logs[1] - logs[0]) / difference, math.hypot(*errors) / difference
    action = escape.minimise_action(
        preconditioned, covariance, [-1.0, 0.0], [0.0, 0.0], **COARSE
    ).action
    # corrections of order eps to the logarithm
    allowed += 0.05
    assert abs(slope - action) < allowed
    # planted falsehood: V instead of 2 V
    assert abs(slope - 0.5 * action) > allowed
