"""Quasi-potential, minimum action and efficiency against closed forms."""

import math
import warnings

import numpy as np
import pytest
import scipy.integrate
import scipy.linalg
import seeds
from escape_cases import FAST, SEED

from aniso import checks, escape, estimates
from aniso.closed_forms import diffusion

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


def test_the_least_noise_that_counts_is_the_one_that_is_stated():
    for share, counts in ((2e-12, True), (5e-13, False)):
        found = escape.quasi_potential_at(np.eye(2), np.diag([1.0, share]), [0.0, 1e-3])
        assert found == (pytest.approx(1e-6 / share) if counts else math.inf)
    for share, counts in ((2e-14, True), (5e-15, False)):
        found = escape.exit_through_plane(np.eye(2), np.diag([1.0, share]), [0.0, 1.0], 1e-3)
        assert found.value == (pytest.approx(1e-6 / share) if counts else math.inf)
    for function, limit in (
        (escape.quasi_potential_at, "1e-12"),
        (escape.exit_through_plane, "1e-14"),
    ):
        assert function.__doc__ is None or limit in function.__doc__


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


@pytest.mark.parametrize(
    ("drift_size", "noise_size", "length"),
    [(1e-7, 1.0, 1.0), (1.0, 1e7, 1.0), (1.0, 1.0, 1e-7), (1e-7, 1.0, 1e-7), (1e5, 1.0, 1e5)],
)
def test_minimum_action_is_the_same_in_all_units(drift_size, noise_size, length):
    hessian, covariance = np.diag([1.0, 10.0]), np.array([[1.0, 0.8], [0.8, 1.0]])
    result = escape.minimise_action(
        lambda x: -drift_size * x @ hessian,
        noise_size * covariance,
        [0.0, 0.0],
        [length, length],
        num_points=41,
    )
    unit = drift_size * length**2 / noise_size
    exact = escape.quasi_potential_at(hessian, covariance, [1.0, 1.0])
    assert result.action / unit == pytest.approx(exact, rel=1e-4)  # 11.15 along the straight line


def test_minimum_action_refuses_a_search_that_did_not_begin():
    def rough(x):  # its differences have nothing to do with the action
        return -x + 1e-3 * np.sin(1e9 * x[:, ::-1])

    with pytest.raises(estimates.NotConverged, match="no lower action"):
        escape.minimise_action(rough, np.eye(2), [0.0, 0.0], [1.0, 0.3], num_points=11)


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
    slope = escape.efficiency_by_slope(hessian, covariance, times)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", diffusion.BeyondQuadraticModel)
        closed = escape.efficiency_by_closed_form(hessian, covariance, times)
    decay = [scipy.linalg.expm(-2 * hessian * t) for t in times]
    expected = [0.25 * np.trace((np.eye(3) - d) @ covariance) for d in decay]
    np.testing.assert_allclose(closed.values, expected, rtol=1e-12)
    simulated = escape.simulate_efficiency(
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
    early = escape.efficiency_by_closed_form(hessian, covariance, [1e-4]).values
    np.testing.assert_allclose(
        escape.efficiency_by_slope(hessian, covariance, [1e-4]).values, early, rtol=1e-3
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
                escape.efficiency_by_closed_form(hessian, covariance, times),
                escape.efficiency_by_slope(hessian, covariance, times),
                escape.simulate_efficiency(hessian, covariance, times[:1], **options),
            ]
        for curve in curves:
            assert curve.meaningful_until == pytest.approx(math.log(8) / 0.6)
        # the closed form says so itself: -1e51 at t = 200
        beyond = [w for w in caught if w.category is diffusion.BeyondQuadraticModel]
        assert len(beyond) == len(times) - 1
    assert curves[0].values[1] < -1e50
    assert (
        escape.efficiency_by_closed_form(np.eye(2), np.eye(2), [1e6]).meaningful_until == math.inf
    )


def test_efficiency_refuses():
    for arguments, message in (
        (([[1.0]], [[-1.0]], [1.0]), "diffusion_covariance"),
        (([[1.0]], [[1.0]], []), "at least one time"),
        (([[1.0]], [[1.0]], [-1.0]), "none of them negative"),
    ):
        for call in (escape.efficiency_by_slope, escape.efficiency_by_closed_form):
            with pytest.raises(checks.InputError, match=message):
                call(*arguments)
    for times, step, message in (([0.3], 0.2, "multiples"), ([0.2], 0.0, "step_size=0.0")):
        with pytest.raises(checks.InputError, match=message):
            escape.simulate_efficiency([[1.0]], [[1.0]], times, step_size=step, num_paths=9, seed=1)
