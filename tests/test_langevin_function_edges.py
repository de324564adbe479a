"""Users' functions that change, that fail far from the start, or that differ by lanes."""

import numba
import numpy as np
import pytest
from function_cases import compiled_only, problem, right

from aniso import checks, langevin
from aniso.langevin import (
    drifts,
    function_trials,
    noises,
    regions,
)


def test_a_drift_that_forgets_a_component_is_refused():
    @numba.njit
    def forgets(theta, parameters, out):  # noqa: ARG001
        for lane in range(theta.shape[1]):
            out[0, lane] = -theta[0, lane]
            out[2, lane] = -theta[2, lane]

    wrong = langevin.LangevinProblem(
        drifts.of_function(forgets, 3), noises.diagonal(np.ones(3)), np.zeros(3)
    )
    with pytest.raises(checks.InputError, match="does not write row 1 of out"):
        langevin.simulate_paths(wrong, "euler_maruyama", 0.1, [3], 3, seed=1)


STRENGTH = 1.0


@compiled_only
def test_a_value_from_outside_that_has_changed_since_compilation_is_refused(monkeypatch):
    @numba.njit
    def pulls(theta, parameters, out):  # noqa: ARG001
        for lane in range(theta.shape[1]):
            out[0, lane] = -STRENGTH * theta[0, lane]

    pulled = langevin.LangevinProblem(drifts.of_function(pulls, 1), noises.diagonal([0.0]), [1.0])
    paths = langevin.simulate_paths(pulled, "euler_maruyama", 0.5, [1], 1, seed=1)
    assert paths[0, 0, 0] == 0.5
    monkeypatch.setitem(globals(), "STRENGTH", 2.0)
    with pytest.raises(checks.InputError, match=r"gives -1\.0.* once compiled, and -2\.0"):
        langevin.simulate_paths(pulled, "euler_maruyama", 0.5, [1], 1, seed=1)


@compiled_only
def test_a_function_that_can_not_be_compiled_is_refused_by_name():
    def lists(theta, parameters, out):
        out[0] = [-parameters[0] * value for value in theta[0].tolist()]

    with pytest.raises(checks.InputError, match="'lists' can't be compiled"):
        langevin.simulate_paths(problem(lists), "euler_maruyama", 0.1, [3], 3, seed=1)


def test_a_function_may_be_defined_on_one_side_only():
    # the logarithm of a negative number raises in Python and is NaN once compiled
    def logarithmic(theta, parameters, out):
        for lane in range(theta.shape[1]):
            out[0, lane] = -np.log(theta[0, lane]) * parameters[0]

    near_the_edge = problem(logarithmic, start=0.01)
    paths = langevin.simulate_paths(near_the_edge, "euler_maruyama", 1e-9, [1], 3, seed=1)
    assert np.isfinite(paths).all()


@compiled_only
@pytest.mark.parametrize("kind", ["raises", "leaves out"])
def test_what_fails_far_from_the_start_stops_the_run(kind):
    # a drift of 1 without noise passes 2 in the ninth step of a quarter
    if kind == "raises":

        @numba.njit
        def fails(theta, parameters, out):  # noqa: ARG001
            for lane in range(theta.shape[1]):
                if theta[0, lane] > 2:
                    raise ValueError("too far")
                out[0, lane] = 1.0
    else:

        @numba.njit
        def fails(theta, parameters, out):  # noqa: ARG001
            for lane in range(theta.shape[1]):
                if theta[0, lane] <= 2:
                    out[0, lane] = 1.0

    still = langevin.LangevinProblem(drifts.of_function(fails, 1), noises.diagonal([0.0]), [0.0])
    for call in (
        lambda: langevin.simulate_ensemble(still, "euler_maruyama", 0.25, [20], 5, seed=1),
        lambda: langevin.simulate_exits(still, regions.interval(-9, 9), 0.25, 9.0, 5, seed=1),
    ):
        with pytest.raises(langevin.NonFiniteState, match="after step 10") as info:
            call()
        assert info.value.path == 0


@numba.njit
def strip(theta, parameters, out):
    """|a . theta| < 1, with the variance that the parameters say."""
    size = theta.shape[0]
    for lane in range(theta.shape[1]):
        along = 0.0
        for i in range(size):
            along += parameters[1 + i] * theta[i, lane]
        out[0, lane] = 1.0 - abs(along)
        out[1, lane] = parameters[0]


@pytest.mark.parametrize("start", [0.0, 0.03])
def test_the_crossing_variance_of_a_region_of_ones_own_is_checked(start, rng):
    # the start 0 lies on the kink of the margin, where differences say nothing
    normal, factor = rng.standard_normal(3), rng.standard_normal((3, 2))
    right_one = float(np.sum((factor.T @ normal) ** 2))
    own = langevin.LangevinProblem(
        drifts.of_quadratic(np.eye(3)), noises.low_rank(factor), np.full(3, start)
    )

    def exits(variance, method):
        region = regions.custom(strip, 3, parameters=[variance, *normal])
        return langevin.simulate_exits(own, region, 1e-6, 4e-6, 2, 1, method=method)

    for method in ("bridge", "shift"):
        assert exits(right_one, method).num_steps > 0
        for wrong in (0.99 * right_one, 2 * right_one, 0.0):
            with pytest.raises(checks.InputError, match=r"expected grad m\^T Sigma grad m"):
                exits(wrong, method)
    # a chain has no bridge
    assert exits(2 * right_one, "grid").num_steps > 0


def test_a_variance_that_is_wrong_near_the_edge_alone_is_refused():
    # margin 2 - x^2, variance 4 x^2 up to |x| = 1.2, nothing beyond
    @numba.njit
    def fading(theta, parameters, out):
        for lane in range(theta.shape[1]):
            x = theta[0, lane]
            out[0, lane] = 2.0 - x * x
            out[1, lane] = 4.0 * x * x if abs(x) < parameters[0] else 0.0

    flat = langevin.LangevinProblem(drifts.of_quadratic([[0.0]]), noises.diagonal([1.0]), [0.1])

    def exits(end):
        region = regions.custom(fading, 1, parameters=[end])
        return langevin.simulate_exits(flat, region, 1e-3, 1e-2, 2, 1)

    assert exits(9.0).num_steps > 0
    with pytest.raises(checks.InputError, match=r"expected grad m\^T Sigma grad m"):
        exits(1.2)


def test_the_variance_of_a_curved_and_far_margin_is_not_mistaken(rng):
    # margin 1e9 + r^2 - |theta|^2, variance 4 theta^T Sigma theta, by hand
    @numba.njit
    def curved(theta, parameters, out):
        for lane in range(theta.shape[1]):
            square, variance = 0.0, 0.0
            for i in range(2):
                square += theta[i, lane] ** 2
                for j in range(2):
                    variance += 4 * theta[i, lane] * theta[j, lane] * parameters[2 * i + j]
            out[0, lane] = 1e9 - square
            out[1, lane] = variance

    factor = rng.standard_normal((2, 2))
    own = langevin.LangevinProblem(
        drifts.of_quadratic(np.eye(2)), noises.low_rank(factor), [0.0, 0.0]
    )
    region = regions.custom(curved, 2, parameters=(factor @ factor.T).ravel())
    assert not langevin.simulate_exits(own, region, 0.1, 0.2, 2, 1).exited.any()


def test_a_derivative_that_is_right_by_chance_at_the_start_is_refused():
    @numba.njit
    def amplitude(theta, parameters, out):  # noqa: ARG001
        for lane in range(theta.shape[1]):
            out[0, lane] = theta[0, lane] ** 2
            out[1, lane] = 2.0

    noise = noises.state_dependent(amplitude, 1)
    wrong = langevin.LangevinProblem(drifts.of_quadratic([[1.0]]), noise, [1.0])
    with pytest.raises(checks.InputError, match="central difference"):
        langevin.simulate_paths(wrong, "milstein", 0.1, [3], 3, seed=1)


@compiled_only
def test_a_function_may_count_on_the_lanes_of_a_kernel():
    def sixty_four(theta, parameters, out):
        for lane in range(64):
            out[0, lane] = -parameters[0] * theta[0, lane]

    a, b = (
        langevin.simulate_paths(problem(drift), "euler_maruyama", 0.1, [3], 3, seed=1)
        for drift in (sixty_four, right)
    )
    np.testing.assert_array_equal(a, b)


def test_the_trial_itself_is_told_apart_from_a_right_function():
    signature = function_trials.functions.PANEL_FUNCTION
    points = function_trials.points_around(np.array([2.0]))
    assert len(np.unique(points)) == 6
    function_trials.require_sound(
        "drift", numba.njit(right), signature, points, np.array([3.0]), num_rows=1
    )
