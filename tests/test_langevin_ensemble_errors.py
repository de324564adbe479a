"""Standard errors of ensembles: of few paths, and in every unit."""

import numba
import numpy as np
import pytest
import seeds

from aniso import langevin
from aniso.langevin import drifts, example_chains, example_sets, noises

FAST = not numba.config.DISABLE_JIT
SEED = seeds.integer("langevin_ensemble_errors")


def walk(unit, *, general=False):
    """An Ornstein-Uhlenbeck process in the plane, from near 0, in a unit of length."""
    drift = drifts.of_quadratic(np.diag([1.0, 0.5]))
    if general:
        drift = drifts.Drift(2, drift.function, drift.parameters, drift.potential)
    noise = noises.low_rank(unit * np.array([[1.0, 0.0], [0.5, 2.0]]))
    return langevin.LangevinProblem(drift, noise, [0.0, 0.25 * unit])


@pytest.mark.parametrize("num_paths", [3, 4, 10])
def test_the_error_of_a_covariance_is_its_jackknife(num_paths):
    arguments = walk(1.0), "exact", 0.5, [4], num_paths, SEED
    found = langevin.simulate_ensemble(*arguments)
    paths = langevin.simulate_paths(*arguments)[:, 0]
    left = np.array([np.cov(np.delete(paths, k, axis=0).T) for k in range(num_paths)])
    variance = (num_paths - 1) * left.var(axis=0)
    np.testing.assert_allclose(found.covariance[0], np.cov(paths.T), rtol=1e-12)
    np.testing.assert_allclose(found.covariance_error[0], np.sqrt(variance), rtol=1e-9)


def test_two_paths_leave_the_error_of_a_covariance_unknown():
    found = langevin.simulate_ensemble(walk(1.0), "exact", 0.5, [0, 4], 2, SEED)
    assert (found.covariance_error == np.inf).all()
    assert np.isfinite(found.mean_error).all()


def test_few_paths_do_not_understate_the_error_of_a_covariance():
    # (s^2 - 1)^2 has the mean 2 / (n - 1), and the jackknife no less on average
    problem = langevin.LangevinProblem(drifts.of_quadratic([[0.0]]), noises.diagonal([1.0]), [0.0])
    runs, size = (2000, 5) if FAST else (100, 5)
    found = np.array(
        [
            langevin.simulate_ensemble(
                problem, "exact", 1.0, [1], size, SEED + k, num_threads=1
            ).covariance_error.item()
            for k in range(runs)
        ]
    )
    squares = found**2
    assert squares.mean() + 4 * squares.std() / np.sqrt(runs) > 2 / (size - 1)
    # less than twice as large
    assert squares.mean() - 4 * squares.std() / np.sqrt(runs) < 8 / (size - 1)


def compare(found, expected, unit):
    """Compare statistics in a unit, a power of two, with those in unit 1: no digit changes."""
    np.testing.assert_array_equal(found.mean / unit, expected.mean)
    np.testing.assert_array_equal(found.mean_error / unit, expected.mean_error)
    if 1e-150 < unit < 1e150:
        np.testing.assert_array_equal(found.covariance / unit / unit, expected.covariance)
        error = found.covariance_error / unit / unit
        np.testing.assert_array_equal(error, expected.covariance_error)
        for mine, theirs in zip(found.loss or (), expected.loss or (), strict=True):
            assert mine.value / unit / unit == theirs.value
            assert mine.standard_error / unit / unit == theirs.standard_error


@pytest.mark.parametrize("unit", [2.0**-266, 2.0**-100, 2.0**266, 2.0**480])
@pytest.mark.parametrize("general", [False, True])
def test_an_ensemble_has_the_same_errors_in_every_unit(unit, general):
    paths = 600 if FAST else 260
    found, expected = (
        langevin.simulate_ensemble(
            walk(unit, general=general), "euler_maruyama", 0.5, [0, 1, 4], paths, SEED
        )
        for unit in (unit, 1.0)
    )
    compare(found, expected, unit)
    assert (expected.loss[1].standard_error, expected.mean_error[1, 0]) > (0, 0)


def test_means_so_small_that_their_squares_are_zero_have_an_error():
    unit = 2.0**-600
    found, expected = (
        langevin.simulate_ensemble(walk(unit), "euler_maruyama", 0.5, [1, 4], 300, SEED)
        for unit in (unit, 1.0)
    )
    compare(found, expected, unit)


@pytest.mark.parametrize("unit", [2.0**-266, 2.0**266])
@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_sgd_has_the_same_errors_in_every_unit(unit, momentum):
    found, expected = (
        example_chains.simulate_sgd(
            example_sets.shifted_quadratics(
                np.eye(2), unit * np.array([[1.0, 0], [0, 2], [-1, 1]])
            ),
            0.25,
            1,
            "with_replacement",
            [0.0, 0.0],
            [0, 1, 7],
            300 if FAST else 70,
            SEED,
            momentum=momentum,
        )
        for unit in (unit, 1.0)
    )
    compare(found, expected, unit)


@pytest.mark.parametrize(("unit", "curvature"), [(2.0**-300, 1.0), (2.0**300, 1.0), (1, 2.0**-600)])
def test_a_linear_chain_has_the_same_errors_in_every_unit(unit, curvature):
    # without curvature to speak of the walk is the same, and its loss as small
    expected, found = (
        langevin.simulate_linear_chain(
            [[h]], [[4.0 * unit**2]], 0.5, [0, 1, 5], 300 if FAST else 70, SEED
        )
        for unit, h in ((1.0, 2.0**-60 if curvature < 1 else 1.0), (unit, curvature))
    )
    factor = unit**2 * (curvature * 2.0**60 if curvature < 1 else 1.0)
    for mine, theirs in zip(found.loss, expected.loss, strict=True):
        assert (mine.value / factor, mine.standard_error / factor) == (
            theirs.value,
            theirs.standard_error,
        )
    np.testing.assert_array_equal(found.covariance / unit**2, expected.covariance)
