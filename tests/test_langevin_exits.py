import numba
import numpy as np
import pytest
import reference_langevin as reference
import seeds

from aniso import checks, langevin
from aniso.langevin import drifts, function_trials, functions, noises, region_margins, regions

FAST = not numba.config.DISABLE_JIT
SEED = seeds.integer("langevin_exits")
NUM_PATHS = 60_000 if FAST else 70


def brownian(dimension=1):
    return langevin.LangevinProblem(
        drifts.of_quadratic(np.zeros((dimension, dimension))),
        noises.diagonal(np.ones(dimension)),
        np.zeros(dimension),
    )


def score(exits, expected, allowance=0.0):
    """Distance of the mean exit time to `expected`, less an allowance, in standard errors."""
    error = exits.times.std() / np.sqrt(len(exits.times))
    return max(abs(exits.times.mean() - expected) - allowance, 0.0) / error


@pytest.mark.parametrize("method", ["bridge", "shift"])
def test_brownian_motion_leaves_the_interval_after_a_mean_time_of_one(method):
    step = 0.04 if FAST else 0.16
    exits = langevin.simulate_exits(
        brownian(), regions.interval(-1.0, 1.0), step, 60.0, NUM_PATHS, SEED, method=method
    )
    assert exits.exited.all()
    # discretisation within 2 % at 0.04, and it grows no faster than linearly
    assert score(exits, 1.0, 0.02 * step / 0.04) < 4.5
    assert np.abs(np.abs(exits.points) - 1.0).max() < 1e-9


@pytest.mark.skipif(not FAST, reason="needs many paths")
@pytest.mark.parametrize(("step", "late"), [(0.04, 1.256), (0.01, 1.119), (0.0025, 1.061)])
def test_the_naive_first_passage_is_late(step, late):
    # planted falsehood: detection on the grid alone, exact mean 1
    exits = langevin.simulate_exits(
        brownian(), regions.interval(-1.0, 1.0), step, 60.0, NUM_PATHS, SEED, method="grid"
    )
    assert score(exits, late, 0.004) < 4.5  # the figures are known to about 0.4 %
    assert score(exits, 1.0, 0.02) > 4.5


def test_brownian_motion_leaves_the_ball_after_r_squared_over_d():
    step = 0.01 if FAST else 0.1
    for dimension in (2, 3):
        exits = langevin.simulate_exits(
            brownian(dimension),
            regions.ball(np.zeros(dimension), 1.0),
            step,
            60.0,
            NUM_PATHS // 2,
            SEED,
        )
        # a curved boundary: error of the flat bridge O(h), about 1 % at 0.01
        assert score(exits, 1.0 / dimension, 1.5 * step) < 4.5
        np.testing.assert_allclose(np.linalg.norm(exits.points, axis=1), 1.0, atol=1e-3)


def test_paths_leave_when_the_reference_does():
    problem = langevin.LangevinProblem(
        drifts.of_quadratic([[1.0, 0.0], [0.0, 2.0]]), noises.low_rank([[1.0], [0.5]]), [0.1, 0.0]
    )
    region = regions.half_space([1.0, 1.0], 0.7)
    exits = langevin.simulate_exits(problem, region, 0.1, 2.0, 30, SEED, method="grid")
    for path in range(30):
        theta, expected = problem.start, 0
        for step in range(20):
            # two steps share a block of the stream, with one Wiener process
            z = reference.normal_pair(SEED, path, step // 2)[step % 2]
            theta = theta - 0.1 * np.array([1.0, 2.0]) * theta
            theta = theta + np.sqrt(0.1) * np.array([1.0, 0.5]) * z
            if theta.sum() >= 0.7:
                expected = step + 1
                break
        assert exits.exited[path] == (expected > 0)
        assert exits.times[path] == pytest.approx(0.1 * (expected or 20))
        np.testing.assert_allclose(exits.points[path], theta, atol=1e-12)


def test_bits_do_not_depend_on_threads_or_resumption(tmp_path):
    arguments = (brownian(2), regions.ball([0.2, 0.0], 1.0), 0.05, 5.0)
    paths = 5000 if FAST else 130
    one = langevin.simulate_exits(*arguments, paths, SEED, num_threads=1)
    for options in ({"num_threads": 3}, {"checkpoint": tmp_path / "exits.npz"}):
        other = langevin.simulate_exits(*arguments, paths, SEED, **options)
        np.testing.assert_array_equal(one.times, other.times)
        np.testing.assert_array_equal(one.points, other.points)
    fewer = langevin.simulate_exits(*arguments, 70, SEED, num_threads=1)
    np.testing.assert_array_equal(one.times[:70], fewer.times)


@pytest.mark.parametrize("unit", [2.0**-23, 2.0**-80, 2.0**40])
@pytest.mark.parametrize("shape", ["interval", "ball", "half-space"])
def test_points_of_exits_are_the_same_in_every_unit(shape, unit):
    paths = 40 if FAST else 4

    # a power of two changes no digit
    def exits(unit, method):
        region = {
            "interval": regions.interval(-unit, unit),
            "ball": regions.ball([0.25 * unit, 0.0], unit),
            "half-space": regions.half_space([1.0, 0.5], 0.75 * unit),
        }[shape]
        size = region.dimension
        noise = noises.low_rank(unit * np.eye(size))
        problem = langevin.LangevinProblem(brownian(size).drift, noise, np.zeros(size))
        return langevin.simulate_exits(problem, region, 0.05, 5.0, paths, SEED, method=method)

    for method in ("bridge", "shift"):
        found, expected = exits(unit, method), exits(1.0, method)
        np.testing.assert_array_equal(found.times, expected.times)
        np.testing.assert_array_equal(found.points / unit, expected.points)
        if shape == "interval":
            left = found.points[found.exited] / unit
            np.testing.assert_allclose(np.abs(left), 1.0, rtol=1e-12)


def test_a_sublevel_set_is_left_through_its_boundary():
    hessian = np.diag([1.0, 4.0])
    problem = langevin.LangevinProblem(
        drifts.of_quadratic(hessian), noises.constant([[1.0, 0.5], [0.5, 2.0]]), [0.0, 0.0]
    )
    exits = langevin.simulate_exits(
        problem, regions.sublevel_set(hessian, 1.0), 0.01, 100.0, 200 if FAST else 10, SEED
    )
    levels = 0.5 * np.einsum("pi,ij,pj->p", exits.points, hessian, exits.points)
    # Newton's steps start within a tenth of the boundary and square their distance
    np.testing.assert_allclose(levels, 1.0, atol=1e-3)


def test_a_horizon_too_short_leaves_paths_censored():
    exits = langevin.simulate_exits(
        brownian(), regions.interval(-50.0, np.inf), 0.1, 0.35, 20, SEED
    )
    assert not exits.exited.any()
    assert exits.horizon == pytest.approx(0.4)  # an even number of steps
    np.testing.assert_array_equal(exits.times, exits.horizon)
    assert exits.num_steps == 20 * 4


def test_a_region_of_ones_own():
    @numba.njit
    def strip(theta, parameters, out):
        for lane in range(theta.shape[1]):
            out[0, lane] = parameters[0] - theta[0, lane]
            out[1, lane] = 1.0

    own = regions.custom(strip, 1, parameters=[0.5])
    arguments = (0.02, 3.0, 50, SEED)
    ours = langevin.simulate_exits(brownian(), own, *arguments)
    built_in = langevin.simulate_exits(brownian(), regions.half_space([1.0], 0.5), *arguments)
    np.testing.assert_array_equal(ours.times, built_in.times)


def test_a_drift_that_breaks_is_named():
    @numba.njit
    def breaks(theta, _parameters, out):
        for lane in range(theta.shape[1]):
            out[0, lane] = np.nan if theta[0, lane] > 0.7 else 1.0

    problem = langevin.LangevinProblem(drifts.of_function(breaks, 1), noises.diagonal([0.0]), [0.0])
    with pytest.raises(langevin.NonFiniteState, match="path 0 is not finite after step 5"):
        langevin.simulate_exits(problem, regions.interval(-9.0, 9.0), 0.2, 9.0, 3, SEED)


@pytest.mark.parametrize("method", ["grid", "bridge", "shift"])
def test_an_infinite_state_is_no_exit(method):
    @numba.njit
    def explodes(theta, _parameters, out):
        for lane in range(theta.shape[1]):
            out[0, lane] = np.inf if theta[0, lane] > 0.7 else 1.0

    drift = drifts.of_function(explodes, 1)
    problem = langevin.LangevinProblem(drift, noises.diagonal([0.0]), [0.0])
    with pytest.raises(langevin.NonFiniteState, match="path 0 is not finite after step 5"):
        langevin.simulate_exits(
            problem, regions.interval(-9.0, 9.0), 0.2, 9.0, 3, SEED, method=method
        )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"step_size": 0}, "0 < step_size"),
        ({"step_size": -1.0}, "0 < step_size"),
        ({"horizon": 0.01}, "0 < step_size <= horizon"),
        ({"num_paths": 0}, "num_paths=0"),
        ({"method": "exact"}, "method='exact'"),
        ({"problem": 3}, "LangevinProblem"),
        ({"region": regions.ball([0, 0], 1.0)}, "in 1 dimensions"),
        ({"region": regions.interval(0.5, 1.0)}, r"start=\[0.0\] has margin -0.5"),
        ({"region": regions.interval(0.0, 1.0)}, "has margin 0"),
        ({"region": regions.interval(-0.1, 1.0), "method": "shift"}, "within the shift 0.184"),
    ],
)
def test_bad_input_is_refused(change, message):
    arguments = {
        "problem": brownian(),
        "region": regions.interval(-1.0, 1.0),
        "step_size": 0.1,
        "horizon": 1.0,
        "num_paths": 5,
        "seed": 1,
    }
    with pytest.raises(checks.InputError, match=message):
        langevin.simulate_exits(**(arguments | change))


@pytest.mark.parametrize(("centre", "radius"), [([1e4, 0.0], 1e-3), ([1e8, -1e8], 1.0)])
def test_the_margin_of_a_ball_does_not_depend_on_where_its_centre_is(centre, radius):
    region = regions.ball(centre, radius)
    assert regions.margin(region, centre, np.eye(2)) == (radius**2 / 2, 0.0)
    # the kernels of equations, and of chains
    parameters = region.parameters_for(np.eye(2))
    for function in (region.function, region_margins.quadratic_margin_alone):
        arguments = (function, functions.PANEL_FUNCTION, np.array([centre]), parameters, 2)
        assert function_trials.evaluate(*arguments)[0, 0] == radius**2 / 2


def test_a_path_leaves_a_ball_far_from_the_origin():
    # the walk is that of the same ball about 0, to the rounding of numbers near 2^20
    far, near = 2.0**20, regions.ball([0.0, 0.0], 1.0)
    problem = langevin.LangevinProblem(brownian(2).drift, brownian(2).noise, [far, far])
    exits = [
        langevin.simulate_exits(*arguments, 0.05, 20.0, 50, SEED)
        for arguments in ((brownian(2), near), (problem, regions.ball([far, far], 1.0)))
    ]
    np.testing.assert_allclose(exits[1].times, exits[0].times, rtol=1e-6)


def test_ends_of_an_interval_may_be_numbers_of_numpy():
    ends = np.array([-1, 2])
    assert regions.margin(regions.interval(*ends), [0.0], np.eye(1)) == (1.0, 1.0)


def test_regions_refuse_what_is_none():
    for call, message in (
        (lambda: regions.interval(1.0, 1.0), "low < high"),
        (lambda: regions.interval(-np.inf, np.inf), "whole line"),
        (lambda: regions.half_space([0.0], 1.0), "normal is zero"),
        (lambda: regions.ball([0.0], 0.0), "radius=0.0"),
        (lambda: regions.sublevel_set([[1.0]], 0.0), "level=0.0"),
        (lambda: regions.custom(4, 1), "function=4"),
    ):
        with pytest.raises(checks.InputError, match=message):
            call()


@pytest.mark.skipif(not FAST, reason="without compilation everything is plain")
def test_plain_functions_are_refused():
    def plain(_theta, _parameters, out):
        out[0] = 1.0

    with pytest.raises(checks.InputError, match="plain Python function"):
        regions.custom(plain, 1)
    drift = langevin.LangevinProblem(drifts.of_function(plain, 1), noises.diagonal([1.0]), [0.0])
    with pytest.raises(checks.InputError, match="one compiled with numba"):
        langevin.simulate_exits(drift, regions.interval(-1, 1), 0.1, 1.0, 2, 1)
