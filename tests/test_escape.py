import math
import warnings

import numba
import numpy as np
import pytest
import scipy.integrate
import scipy.linalg
import seeds

from aniso import checks, escape, estimates, langevin
from aniso.closed_forms import diffusion
from aniso.escape import censoring, kramers, quadrature
from aniso.langevin import drifts, noises, regions

FAST = not numba.config.DISABLE_JIT
SEED = seeds.integer("escape")


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
    # discretisation of the drift is O(h), about its curvature times the step
    allowance = 2 * step * exact
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
    tolerance = 4.5 * both.equation.mean.standard_error + 0.02 * exact
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


# quasi-potential ------------------------------------------------------------------------------


def random_problem(seed=SEED, size=3):
    rng = seeds.generator(seed)
    a, b = rng.standard_normal((2, size, size))
    return a @ a.T + 0.3 * np.eye(size), b @ b.T + 0.1 * np.eye(size)


def test_quasi_potential_solves_the_hamilton_jacobi_equation():
    # grad V^T Sigma grad V / 2 + f . grad V = 0 with f = -H x
    hessian, covariance = random_problem()
    x = np.random.default_rng(SEED + 1).standard_normal(3)
    width = 1e-5
    gradient = np.array(
        [
            (
                escape.quasi_potential_at(hessian, covariance, x + width * e)
                - escape.quasi_potential_at(hessian, covariance, x - width * e)
            )
            / (2 * width)
            for e in np.eye(3)
        ]
    )
    terms = 0.5 * gradient @ covariance @ gradient, hessian @ x @ gradient
    assert terms[0] == pytest.approx(terms[1], rel=1e-6)  # central differences


def test_exits_are_minima_over_their_boundaries():
    hessian, covariance = random_problem()
    rng = np.random.default_rng(SEED + 2)
    directions = rng.standard_normal((2000, 3))
    directions /= np.linalg.norm(directions, axis=1)[:, None]
    level = escape.exit_through_level(hessian, covariance, 0.7)
    on_level = (
        directions
        * np.sqrt(1.4 / np.einsum("ni,ij,nj->n", directions, hessian, directions))[:, None]
    )
    ball = escape.exit_from_ball(hessian, covariance, 1.3)
    normal = directions[0]
    plane = escape.exit_through_plane(hessian, covariance, normal, 0.4)
    on_plane = directions - np.outer(directions @ normal, normal) + 0.4 * normal
    for found, points in ((level, on_level), (ball, 1.3 * directions), (plane, on_plane)):
        assert escape.quasi_potential_at(hessian, covariance, found.point) == pytest.approx(
            found.value, rel=1e-9
        )
        others = [escape.quasi_potential_at(hessian, covariance, point) for point in points]
        assert min(others) >= found.value * (1 - 1e-9)
    assert 0.5 * level.point @ hessian @ level.point == pytest.approx(0.7)
    assert np.linalg.norm(ball.point) == pytest.approx(1.3)
    assert normal @ plane.point == pytest.approx(0.4)


def test_where_the_noise_does_not_reach():
    hessian, covariance = np.diag([1.0, 2.0]), np.diag([1.0, 0.0])
    assert escape.quasi_potential_at(hessian, covariance, [0.0, 1.0]) == math.inf
    assert escape.quasi_potential_at(hessian, covariance, [1.0, 0.0]) == pytest.approx(1.0)
    assert escape.exit_through_plane(hessian, covariance, [0.0, 1.0], 1.0).value == math.inf
    assert escape.exit_through_level(hessian, covariance, 1.0).value == pytest.approx(2.0)
    assert escape.exit_from_ball(hessian, np.zeros((2, 2)), 1.0).value == math.inf
    for call in (
        lambda: escape.exit_from_ball(hessian, covariance, 0.0),
        lambda: escape.exit_through_level(np.diag([1.0, 1.0]), covariance, 0.0),
    ):
        with pytest.raises(checks.InputError):
            call()


@pytest.mark.parametrize("smallest", [-0.5, 0.0])
def test_a_saddle_has_no_exponent_and_the_refusal_says_what_to_do(smallest):
    hessian, covariance = np.diag([1.0, smallest]), np.eye(2)
    for call in (
        lambda: escape.exit_through_level(hessian, covariance, 1.0),
        lambda: escape.exit_from_ball(hessian, covariance, 1.0),
        lambda: escape.exit_through_plane(hessian, covariance, [1.0, 0.0], 1.0),
        lambda: escape.quasi_potential_at(hessian, covariance, [1.0, 0.0]),
    ):
        with pytest.raises(checks.InputError) as caught:
            call()
        message = str(caught.value)
        assert f"smallest eigenvalue of hessian is {smallest:.3g}; expected a" in message
        assert "without a barrier" in message
        assert "simulate_mean_exit_time" in message
        assert "stationary" not in message


# minimum action -------------------------------------------------------------------------------


def test_minimum_action_of_a_linear_drift_is_the_closed_form():
    hessian, covariance = random_problem(size=2)
    end = np.array([0.8, -0.5])
    result = escape.minimise_action(lambda x: -x @ hessian, covariance, [0.0, 0.0], end)
    exact = escape.quasi_potential_at(hessian, covariance, end)
    # midpoint rule, error O(n^-2); an action above the infimum
    assert result.action == pytest.approx(exact, rel=5e-3)
    np.testing.assert_allclose(result.path[[0, -1]], [[0.0, 0.0], end], atol=1e-12)
    # planted: the exponent of isotropic noise with the same trace
    isotropic = escape.quasi_potential_at(hessian, np.trace(covariance) / 2 * np.eye(2), end)
    assert abs(isotropic - exact) < 1e-3 * exact or abs(result.action - isotropic) > abs(
        result.action - exact
    )


def test_minimum_action_of_a_gradient_is_twice_the_rise():
    # two-dimensional double well, to its saddle, isotropic noise of variance 0.5
    def drift(x):
        return np.column_stack([x[:, 0] - x[:, 0] ** 3, -3.0 * x[:, 1]])

    result = escape.minimise_action(
        drift,
        0.5 * np.eye(2),
        [-1.0, 0.0],
        [0.0, 0.0],
        initial_path=np.column_stack(
            [np.linspace(-1, 0, 101), 0.2 * np.sin(np.linspace(0, np.pi, 101))]
        ),
    )
    assert result.action == pytest.approx(2 * 0.25 / 0.5, rel=2e-3)
    assert np.abs(result.path[:, 1]).max() < 0.02


def test_minimum_action_reports_what_it_reached_and_refuses():
    hessian, covariance = random_problem(size=2)
    arguments = (lambda x: -x @ hessian, covariance, [0.0, 0.0], [1.0, 1.0])
    with pytest.raises(estimates.NotConverged, match="after 1 rounds") as info:
        escape.minimise_action(*arguments, max_rounds=1)
    assert info.value.partial.action > 0
    for wrong in (lambda x: np.nan * x, lambda x: x[:, 0]):
        with pytest.raises(checks.InputError, match="expected finite numbers, one row per point"):
            escape.minimise_action(wrong, *arguments[1:])
    # the same through a boundary keeps the partial results
    result = escape.exit_over_boundary(
        *arguments[:3], np.array([[1.0, 1.0], [2.0, 2.0]]), max_rounds=1
    )
    np.testing.assert_allclose(result.path[-1], [1.0, 1.0])
    assert result.change > 1e-6  # and says that it is one
    assert escape.minimise_action(*arguments).change <= 1e-6
    for change, message in (
        ({1: np.diag([1.0, 0.0])}, "singular"),
        ({3: [0.0, 0.0]}, "the same point"),
        ({3: [0.0]}, "end has shape"),
    ):
        changed = [change.get(i, value) for i, value in enumerate(arguments)]
        with pytest.raises(checks.InputError, match=message):
            escape.minimise_action(*changed)
    with pytest.raises(checks.InputError, match="boundary is empty"):
        escape.exit_over_boundary(*arguments[:3], np.zeros((0, 2)))


# efficiency -----------------------------------------------------------------------------------


@pytest.mark.needs_jit
def test_three_ways_to_the_efficiency():
    hessian, covariance = np.diag([2.0, 0.5, -0.3]), np.diag([1.0, 2.0, 0.5])
    times = [0.0, 0.5, 1.0, 2.0]
    slope = escape.by_slope(hessian, covariance, times)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", diffusion.BeyondQuadraticModel)
        closed = escape.by_closed_form(hessian, covariance, times)
    decay = [scipy.linalg.expm(-2 * hessian * t) for t in times]
    expected = [0.25 * np.trace((np.eye(3) - d) @ covariance) for d in decay]
    np.testing.assert_allclose(closed.values, expected, rtol=1e-12)
    simulated = escape.by_simulation(
        hessian,
        covariance,
        times,
        step_size=0.25,
        num_paths=20_000 if FAST else 64,
        seed=SEED,
    )
    for estimate, value in zip(simulated.efficiency, closed.values, strict=True):
        assert abs(estimate.z_score(value)) < 4.5
    # planted: the slope is the efficiency at short times only
    early = escape.by_closed_form(hessian, covariance, [1e-4]).values
    np.testing.assert_allclose(
        escape.by_slope(hessian, covariance, [1e-4]).values, early, rtol=1e-3
    )
    if FAST:
        assert abs(simulated.efficiency[3].z_score(slope.values[3])) > 4.5


@pytest.mark.needs_jit
def test_a_curve_carries_the_time_of_its_quadratic_model():
    # along -0.3 the loss falls by Tr(Sigma) / 4 at log(1 + 3.5 / 0.5) / 0.6
    hessian, covariance = np.diag([2.0, 0.5, -0.3]), np.diag([1.0, 2.0, 0.5])
    options = {"step_size": 0.5, "num_paths": 8, "seed": SEED}
    for times in ([1.0], [1.0, 200.0]):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            curves = [
                escape.by_closed_form(hessian, covariance, times),
                escape.by_slope(hessian, covariance, times),
                escape.by_simulation(hessian, covariance, times[:1], **options),
            ]
        for curve in curves:
            assert curve.meaningful_until == pytest.approx(math.log(8) / 0.6)
        # the closed form says so itself: -1e51 at t = 200
        beyond = [w for w in caught if w.category is diffusion.BeyondQuadraticModel]
        assert len(beyond) == len(times) - 1
    assert curves[0].values[1] < -1e50
    assert escape.by_closed_form(np.eye(2), np.eye(2), [1e6]).meaningful_until == math.inf


def test_efficiency_refuses():
    for arguments, message in (
        (([[1.0]], [[-1.0]], [1.0]), "diffusion_covariance"),
        (([[1.0]], [[1.0]], []), "at least one time"),
        (([[1.0]], [[1.0]], [-1.0]), "none of them negative"),
    ):
        for call in (escape.by_slope, escape.by_closed_form):
            with pytest.raises(checks.InputError, match=message):
                call(*arguments)
    for times, step, message in (([0.3], 0.2, "multiples"), ([0.2], 0.0, "step_size=0.0")):
        with pytest.raises(checks.InputError, match=message):
            escape.by_simulation([[1.0]], [[1.0]], times, step_size=step, num_paths=9, seed=1)
