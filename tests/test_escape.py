""""""

import math

import numba
import numpy as np
import pytest
import scipy.integrate
import scipy.linalg
from escape_cases import FAST, SEED

from aniso import checks, escape, estimates, langevin
from aniso.escape import censoring, kramers, quadrature
from aniso.langevin import drifts, noises, regions


def double_well(x):
    return x - x**3


# quadrature -----------------------------------------------------------------------------------


def test_quadrature_of_brownian_motion_is_elementary():
    for start, low, high in ((0.0, -1.0, 1.0), (0.3, -2.0, 0.5)):
        result = quadrature.mean_exit_time(np.zeros_like, 2.0, start, low, high)
        assert result.value == pytest.approx((start - low) * (high - start) / 2.0, rel=1e-12)


def test_quadrature_solves_the_boundary_value_problem():
    # s^2 T'' / 2 + f T' = -1 with T = 0 at both ends, with a variance that depends on x
    def variance(x):
        return 0.5 + 0.1 * np.sin(x)

    solution = scipy.integrate.solve_bvp(
        lambda x, t: np.vstack([t[1], -2 * (1 + double_well(x) * t[1]) / variance(x)]),
        lambda left, right: np.array([left[0], right[0]]),
        np.linspace(-1.5, 0.5, 200),
        np.zeros((2, 200)),
        tol=1e-9,
        max_nodes=100_000,
    )
    result = quadrature.mean_exit_time(double_well, variance, -1.0, -1.5, 0.5)
    assert result.value == pytest.approx(float(solution.sol(-1.0)[0]), rel=1e-7)


def test_quadrature_is_symmetric_and_knows_its_error():
    right = quadrature.mean_exit_time(lambda x: -x, 1.0, 0.3, -np.inf, 2.0)
    left = quadrature.mean_exit_time(lambda x: -x, 1.0, -0.3, -2.0, np.inf)
    assert left.value == pytest.approx(right.value, rel=1e-12)
    assert right.error < 1e-9 * right.value
    with pytest.raises(estimates.NotConverged, match="more panels") as info:
        quadrature.mean_exit_time(
            lambda x: np.sign(np.sin(40 * x)), 0.2, 0.0, -1.0, 1.0, num_panels=8
        )
    assert info.value.partial.value > 0


def test_a_natural_boundary_is_cut_off_where_nothing_is_lost():
    # with a steady drift to the exit the time is the distance, however much phi falls on the way
    result = quadrature.mean_exit_time(np.ones_like, 1.0, 0.0, -np.inf, 100.0)
    assert result.value == pytest.approx(100.0, rel=1e-9)
    # two wells behind a barrier of 65 noise strengths: both are visited before a higher exit
    times = [
        quadrature.mean_exit_time(double_well, 1 / 130, start, -np.inf, 1.6).value
        for start in (1.0, -1.0)
    ]
    assert times[0] == pytest.approx(times[1], rel=1e-6)


def test_quadrature_refuses():
    for drift, variance in ((double_well, lambda x: x), (lambda x: np.nan * x, 1.0)):
        with pytest.raises(checks.InputError, match="the variance above 0"):
            quadrature.mean_exit_time(drift, variance, 0.0, -1.0, 1.0)
    for arguments, message in (
        ((double_well, 0.5, 2.0, -1.0, 1.0), "low=-1.0 < start < high=1.0"),
        ((double_well, 0.5, 0.0, -np.inf, np.inf), "one end to leave through"),
        ((double_well, 0.0, 0.0, -1.0, 1.0), "variance=0.0"),
        ((lambda x: x, 1.0, 0.0, -np.inf, 1.0), "does not rise"),
    ):
        with pytest.raises(checks.InputError, match=message):
            quadrature.mean_exit_time(*arguments)


@pytest.mark.parametrize(
    ("temperature", "ratio"), [(0.02, 1.034), (0.03, 1.054), (0.05, 1.107), (0.08, 1.187)]
)
def test_double_well_over_kramers(temperature, ratio):
    # from one well to the bottom of the other, exact over Kramers
    exact = quadrature.mean_exit_time(double_well, 2 * temperature, -1.0, -np.inf, 1.0)
    formula = kramers.kramers_time(2.0, -1.0, 0.25, 2 * temperature)
    assert exact.value / formula.value == pytest.approx(ratio, abs=6e-4)  # three digits given
    assert formula.is_valid == (0.25 / temperature >= 5)


# Kramers --------------------------------------------------------------------------------------


def test_eyring_kramers_is_a_product_of_independent_directions():
    flat = kramers.kramers_time(2.0, -1.0, 0.25, 0.1)
    for curvature in (0.3, 7.0):
        # a transverse direction of equal curvature at both points changes nothing
        several = escape.eyring_kramers_time(
            np.diag([2.0, curvature]), np.diag([-1.0, curvature]), 0.25, 0.1 * np.eye(2)
        )
        assert several.value == pytest.approx(flat.value, rel=1e-12)
    wide = escape.eyring_kramers_time(
        np.eye(500) * 3.0, np.diag([-1.0] + [3.0] * 499), 1.0, 0.5 * np.eye(500)
    )
    assert wide.value == pytest.approx(2 * math.pi / math.sqrt(3.0) * math.exp(4.0))
    assert escape.eyring_kramers_time([[1.0]], [[-1.0]], 9.0, [[1e-3]]).value == math.inf


def turned(angle, *eigenvalues):
    c, s = np.cos(angle), np.sin(angle)
    turn = np.array([[c, -s], [s, c]])
    product = turn @ np.diag(eigenvalues) @ turn.T
    return (product + product.T) / 2


@pytest.mark.parametrize("angle", np.linspace(0.0, 1.5, 16))
def test_a_curvature_of_zero_is_refused_in_every_basis(angle):
    saddle, minimum = turned(angle, -1.0, 2.0), turned(angle, 1.0, 2.0)
    escape.eyring_kramers_time(minimum, saddle, 1.0, np.eye(2))
    for size in (1e-6, 1.0, 1e6):
        with pytest.raises(checks.InputError, match="hessian_minimum has the eigenvalue"):
            escape.eyring_kramers_time(turned(angle, size, 0.0), saddle, 1.0, np.eye(2))
        for flat in (turned(angle, -size, 0.0), turned(angle, size, 0.0)):
            with pytest.raises(checks.InputError, match="exactly one negative"):
                escape.eyring_kramers_time(minimum, flat, 1.0, np.eye(2))


def test_the_time_is_infinite_only_beyond_the_largest_number():
    # 2 pi e^x, to the rounding of a logarithm of 700
    for barrier in (352.0, 353.9):
        found = kramers.kramers_time(1.0, -1.0, barrier, 1.0).value
        assert found / math.exp(2 * barrier - 10) == pytest.approx(2 * np.pi * math.exp(10))
    assert kramers.kramers_time(1.0, -1.0, 354.0, 1.0).value == math.inf
    # a steep saddle and minimum divide by 1e100
    steep = kramers.kramers_time(1e100, -1e100, 400.0, 1.0).value
    assert steep == pytest.approx(2 * np.pi * math.exp(800 - 100 * math.log(10)), rel=1e-11)


def test_eyring_kramers_refuses():
    well, saddle = np.diag([1.0, 2.0]), np.diag([-1.0, 2.0])
    for arguments, message in (
        ((well, saddle, 1.0, np.diag([1.0, 2.0])), "quasi-potential for anisotropic noise"),
        ((well, saddle, 0.0, np.eye(2)), "barrier=0.0"),
        ((saddle, saddle, 1.0, np.eye(2)), "expected a minimum"),
        ((well, well, 1.0, np.eye(2)), "exactly one negative"),
        ((well, -well, 1.0, np.eye(2)), "exactly one negative"),
        ((well, saddle, 1.0, np.zeros((2, 2))), "positive multiple"),
    ):
        with pytest.raises(checks.InputError, match=message):
            escape.eyring_kramers_time(*arguments)


# simulation -----------------------------------------------------------------------------------


@numba.njit
def cubic(theta, _parameters, out):
    for lane in range(theta.shape[1]):
        out[0, lane] = theta[0, lane] - theta[0, lane] ** 3


def test_simulation_quadrature_and_kramers_agree_on_the_double_well():
    variance, step = 0.5, 0.005 if FAST else 0.1
    problem = langevin.LangevinProblem(
        drifts.of_function(cubic, 1), noises.diagonal([variance]), [-1]
    )
    result = escape.simulate_mean_exit_time(
        problem, regions.interval(-np.inf, 0.0), step, 400.0, 20_000 if FAST else 12, SEED
    )
    exact = quadrature.mean_exit_time(double_well, variance, -1.0, -np.inf, 0.0).value
    allowance = result.mean.discretisation_error
    assert abs(result.mean.value - exact) < 4.5 * result.mean.standard_error + allowance
    if FAST:
        low = quadrature.mean_exit_time(double_well, variance / 8, -1.0, -np.inf, 0.0).value
        formula = kramers.kramers_time(2.0, -1.0, 0.25, variance / 8)
        assert formula.is_valid
        assert low == pytest.approx(formula.value / 2, rel=0.1)
        assert not kramers.kramers_time(2.0, -1.0, 0.25, variance).is_valid
        # planted: the time of a barrier half as high again
        wrong = quadrature.mean_exit_time(
            lambda x: 1.5 * double_well(x), variance, -1.0, -np.inf, 0.0
        )
        assert abs(result.mean.value - wrong.value) > 4.5 * result.mean.standard_error + allowance


def test_censored_simulation_says_so():
    problem = langevin.LangevinProblem(
        drifts.of_function(cubic, 1), noises.diagonal([1e-3]), [-1.0]
    )
    result = escape.simulate_mean_exit_time(
        problem, regions.interval(-np.inf, 0.0), 0.1, 1.0, 30, SEED
    )
    assert result.mean is None
    assert result.num_censored == 30
    assert result.verdict.startswith("censored: no path left")
    assert result.interval[0] == pytest.approx(30 * 1.0 / -math.log(0.05))
    assert result.interval[1] == math.inf


def test_chain_and_equation_are_both_reported():
    rate, covariance = 0.1, np.array([[4.0]])
    both = escape.simulate_chain_and_equation(
        drifts.of_quadratic([[1.0]]),
        covariance,
        rate,
        [0.0],
        regions.interval(-0.8, 0.8),
        400.0,
        20_000 if FAST else 12,
        SEED,
    )
    with pytest.raises(checks.InputError, match=r"learning_rate=0\.0"):
        escape.simulate_chain_and_equation(
            drifts.of_quadratic([[1.0]]), covariance, 0.0, [0.0], regions.interval(-1, 1), 1, 1, 1
        )
    exact = quadrature.mean_exit_time(lambda x: -x, 0.4, 0.0, -0.8, 0.8).value
    equation = both.equation.mean
    tolerance = 4.5 * equation.standard_error + equation.discretisation_error
    assert abs(both.equation.mean.value - exact) < tolerance
    if FAST:
        # the chain's own time is another number, and later
        gap = both.chain.mean.value - both.equation.mean.value
        assert gap > 4.5 * both.chain.mean.standard_error


def test_exit_points_of_weak_anisotropic_noise_gather_at_the_predicted_one():
    hessian, covariance = np.diag([1.0, 1.0]), np.diag([0.4, 0.1])
    problem = langevin.LangevinProblem(
        drifts.of_quadratic(hessian), noises.constant(covariance), [0.0, 0.0]
    )
    points = escape.simulate_exit_points(
        problem, regions.ball([0.0, 0.0], 1.0), 0.02, 2000.0, 300 if FAST else 5, SEED
    )
    predicted = escape.exit_from_ball(hessian, covariance, 1.0).point
    angle = np.abs(points @ predicted)
    assert np.median(angle) > 0.85  # isotropic exits have a median of 0.71


# statistics of exits --------------------------------------------------------------------------


def test_censored_maximum_likelihood_covers_the_truth():
    rng = np.random.default_rng(SEED)
    rounds, covered, z = 400, 0, []
    for _ in range(rounds):
        drawn = rng.exponential(2.0, 40)
        result = censoring.estimate_mean_exit_time(np.minimum(drawn, 3.0), drawn < 3.0, 3.0)
        if result.mean is None:  # rejected as not exponential, once in a thousand
            continue
        covered += result.interval[0] <= 2.0 <= result.interval[1]
        z.append(result.mean.z_score(2.0))
    # 95 % nominal, conservative; 400 rounds leave it uncertain by about 1.1 %
    assert covered / rounds > 0.90
    assert abs(np.mean(z)) < 0.5


def test_the_exponentiality_test_accepts_and_rejects():
    rng = np.random.default_rng(SEED)
    times = rng.exponential(1.0, 2000)
    for horizon in (50.0, 1.0):
        p_value = censoring.estimate_mean_exit_time(
            np.minimum(times, horizon), times < horizon, horizon
        ).exponential_p_value
        assert p_value > 1e-6
    # exits that all wait: gamma of shape 3
    late = rng.gamma(3.0, 1.0, 2000)
    result = censoring.estimate_mean_exit_time(np.minimum(late, 3.0), late < 3.0, 3.0)
    assert not result.is_exponential
    assert result.mean is None
    assert "not exponential" in result.verdict
    # without censoring the sample mean needs no law
    result = censoring.estimate_mean_exit_time(late, np.ones(2000, bool), 100.0)
    assert result.mean.value == pytest.approx(late.mean())
    assert result.verdict == "every path left: sample mean"


def test_a_chain_of_constant_rate_is_not_called_otherwise_for_its_steps():
    # at a level of 1e-3 two of five are rejected once in 100,000 runs
    rng = np.random.default_rng(SEED)
    verdicts = []
    for _ in range(5):
        steps = rng.geometric(1 / 20, 4000)
        times, exited = 0.1 * np.minimum(steps, 40), steps <= 40
        result = censoring.estimate_mean_exit_time(times, exited, 4.0, step_size=0.1)
        verdicts.append(result.is_exponential)
        # taken as continuous, the steps themselves look like a changing rate
        assert not censoring.estimate_mean_exit_time(times, exited, 4.0).is_exponential
    assert sum(verdicts) >= 4
    # a rate that does change is still seen
    steps = rng.negative_binomial(3, 0.15, 4000) + 1
    times, exited = 0.1 * np.minimum(steps, 40), steps <= 40
    assert not censoring.estimate_mean_exit_time(times, exited, 4.0, step_size=0.1).is_exponential


def test_p_values_of_exponential_exits_are_uniform():
    rng = np.random.default_rng(SEED)
    p_values = []
    for _ in range(300):
        times = rng.exponential(1.0, 200)
        p_values.append(
            censoring.estimate_mean_exit_time(
                np.minimum(times, 1.5), times < 1.5, 1.5
            ).exponential_p_value
        )
    # total time at risk is estimated, which makes the test slightly conservative
    assert 0.4 < np.mean(p_values) < 0.65


def test_exit_statistics_refuse():
    good = ([1.0, 2.0], [True, False], 2.0)
    assert math.isnan(censoring.estimate_mean_exit_time(*good).exponential_p_value)
    for arguments, message in (
        (([1.0], [1], 2.0), "one bool per time"),
        (([1.0], [True, False], 2.0), "one bool per time"),
        (([0.0], [True], 2.0), r"times have to lie in \(0, horizon\]"),
        (([3.0], [True], 2.0), r"times have to lie in \(0, horizon\]"),
        (([1.0], [False], 2.0), "below the horizon"),
    ):
        with pytest.raises(checks.InputError, match=message):
            censoring.estimate_mean_exit_time(*arguments)
