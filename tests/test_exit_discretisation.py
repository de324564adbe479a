"""Simulated mean exit times carry the error of their step beside that of sampling."""

import pickle

import numba
import numpy as np
import pytest
import reference_exit_chain as reference
import reference_langevin
import seeds

from aniso import checks, escape, estimates, langevin
from aniso.escape import discretisation, quadrature
from aniso.langevin import drifts, noises, regions

FAST = not numba.config.DISABLE_JIT
SEED = seeds.integer("exit_discretisation")
SEXTIC = [0.0, 0.05, -0.5, 0.0, 0.0, 0.0, 1 / 6]
EXACT = 147.3507
METHODS = ["bridge", "shift", "grid"]


def sextic_drift(x):
    return -(x**5) + x - 0.05


def sextic_well():
    return langevin.LangevinProblem(drifts.of_polynomial(SEXTIC), noises.diagonal([0.2]), [-1.0])


def chain_time(step, method):
    """Exact mean exit time of Euler's chain from the sextic well."""
    return reference.mean_exit_time(sextic_drift, 0.2, -1.0, -1.9, 0.5, step, method)


def halves(step, number):
    return step / 2 ** np.arange(number)


def test_the_exact_mean_of_the_sextic_well():
    found = quadrature.mean_exit_time(sextic_drift, 0.2, -1.0, -np.inf, 0.5)
    assert found.value == pytest.approx(EXACT, abs=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_orders_of_the_step_are_those_that_the_extrapolation_removes(method):
    # no sampling: means of the chain by its integral equation
    powers = discretisation.POWERS[method]
    steps = halves(0.005, len(powers) + 1)
    means = np.array([chain_time(h, method) for h in steps])
    rest = abs(discretisation.extrapolation_weights(method) @ means - EXACT)
    assert rest < 0.05 * abs(means[-1] - EXACT)
    half = np.array([chain_time(h, method) for h in steps / 2])
    # what is left falls at least as fast as h^(3/2)
    assert abs(discretisation.extrapolation_weights(method) @ half - EXACT) < 0.45 * rest + 2e-4
    if method == "grid":
        # planted: grid detection extrapolated as if its order were one
        assert abs(2 * means[-1] - means[-2] - EXACT) > 10 * rest


@pytest.mark.parametrize("method", METHODS)
def test_the_discretisation_error_covers_at_every_step_size(method):
    for step in (0.16, 0.08, 0.04, 0.02, 0.01):
        number = len(discretisation.extrapolation_weights(method))
        means = [chain_time(h, method) for h in halves(step, number)]
        # an ensemble whose sample means are those of the chain
        times = [m + np.array([-1.0, 1.0]) for m in means]
        left = [np.ones(2, bool)] * number
        found = escape.extrapolate_mean_exit_time(times, left, 1e3, method=method).mean
        assert abs(found.value - EXACT) <= found.discretisation_error


@pytest.mark.needs_jit
@pytest.mark.parametrize(
    ("step", "method", "substeps"),
    [(0.08, "bridge", 1), (0.08, "bridge", 2), (0.08, "shift", 1), (0.16, "grid", 4)],
)
def test_a_run_has_the_mean_of_its_chain(step, method, substeps):
    exits = langevin.simulate_exits(
        sextic_well(),
        regions.interval(-np.inf, 0.5),
        step,
        1e5,
        8000,
        SEED,
        method=method,
        substeps=substeps,
    )
    mean = estimates.Estimate.from_samples(exits.times)
    assert abs(mean.z_score(chain_time(step, method))) < 4.5


@pytest.mark.needs_jit
@pytest.mark.parametrize(("step", "method"), [(0.16, "bridge"), (0.04, "bridge"), (0.08, "grid")])
def test_the_sextic_well_within_its_combined_error(step, method):
    found = escape.simulate_mean_exit_time(
        sextic_well(), regions.interval(-np.inf, 0.5), step, 1e4, 3000, SEED, method=method
    )
    assert found.num_censored == 0
    mean = found.mean
    allowed = 4.5 * mean.standard_error + mean.discretisation_error
    assert abs(mean.value - EXACT) < allowed
    assert found.interval[1] - mean.value == pytest.approx(
        1.959964 * mean.standard_error + mean.discretisation_error
    )
    assert f"discretisation {mean.discretisation_error:.2g}" in repr(found)


@pytest.mark.needs_jit
def test_a_single_step_size_misleads():
    # planted falsehood: the sampling error alone
    exits = langevin.simulate_exits(
        sextic_well(), regions.interval(-np.inf, 0.5), 0.08, 1e5, 80_000, SEED
    )
    mean = estimates.Estimate.from_samples(exits.times)
    assert mean.z_score(EXACT) < -4.5


def test_coarse_steps_follow_the_same_wiener_paths():
    problem = langevin.LangevinProblem(
        drifts.of_quadratic(np.diag([1.0, 2.0])), noises.low_rank([[1.0], [0.5]]), [0.1, 0.0]
    )
    region = regions.half_space([1.0, 1.0], 0.7)
    for substeps in (2, 3):
        exits = langevin.simulate_exits(
            problem, region, 0.1, 2.0, 20, SEED, method="grid", substeps=substeps
        )
        for path in range(20):
            theta, expected = problem.start, 0
            for step in range(20):
                fine = [
                    reference_langevin.normal_pair(SEED, path, j // 2)[j % 2]
                    for j in range(substeps * step, substeps * (step + 1))
                ]
                theta = theta - 0.1 * np.array([1.0, 2.0]) * theta
                theta = theta + np.sqrt(0.1 / substeps) * np.array([1.0, 0.5]) * sum(fine)
                if theta.sum() >= 0.7:
                    expected = step + 1
                    break
            assert exits.exited[path] == (expected > 0)
            np.testing.assert_allclose(exits.points[path], theta, atol=1e-12)


@pytest.mark.needs_jit
def test_runs_of_two_steps_leave_together():
    arguments = (sextic_well(), regions.interval(-np.inf, 0.5))
    num_paths = 1000
    coarse = langevin.simulate_exits(*arguments, 0.02, 20.0, num_paths, SEED, substeps=2)
    fine = langevin.simulate_exits(*arguments, 0.01, 20.0, num_paths, SEED)
    other = langevin.simulate_exits(*arguments, 0.01, 20.0, num_paths, SEED + 1)
    apart = np.mean(coarse.exited != fine.exited)
    assert apart < 0.04
    assert np.mean(other.exited != fine.exited) > 2 * apart


def test_bits_do_not_depend_on_threads_or_resumption(tmp_path):
    arguments = (sextic_well(), regions.interval(-np.inf, 0.5), 0.1, 5.0 if FAST else 0.6, 70, SEED)
    one = escape.simulate_mean_exit_time(*arguments, num_threads=1)
    for _ in range(2):
        other = escape.simulate_mean_exit_time(
            *arguments, num_threads=2, checkpoint=tmp_path / "exits.npz"
        )
        # a p-value that is NaN is no number to compare
        assert pickle.dumps(one) == pickle.dumps(other)
    assert {p.name for p in tmp_path.glob("exits*.npz")} == {"exits.npz", "exits-1.npz"}


def test_censored_runs_stay_honest():
    rng = np.random.default_rng(SEED)
    covered, z = 0, []
    for _ in range(300):
        # exponential times with a mean of 2 (1 - h / 4) at the steps h = 0.4 and 0.2
        unit = rng.exponential(2.0, 60)
        times = [np.minimum(0.9 * unit, 3.0), np.minimum(0.95 * unit, 3.0)]
        exited = [0.9 * unit < 3.0, 0.95 * unit < 3.0]
        found = escape.extrapolate_mean_exit_time(times, exited, 3.0, method="bridge")
        if found.mean is None:  # rejected as not exponential, once in a thousand
            continue
        covered += found.interval[0] <= 2.0 <= found.interval[1]
        z.append((found.mean.value - 2.0) / found.mean.standard_error)
    assert covered > 0.93 * 300
    assert abs(np.mean(z)) < 0.5
    assert 0.75 < np.std(z) < 1.35


def test_what_cannot_be_extrapolated_says_so():
    left, none = np.ones(2, bool), np.zeros(2, bool)
    four = np.full(2, 4.0)
    found = escape.extrapolate_mean_exit_time(
        [four, [1.0, 2.0]], [none, left], 4.0, method="bridge"
    )
    assert found.mean is None
    assert found.interval == (pytest.approx(1.5 - 1.959964 / 2), np.inf)
    assert "no path left" in found.verdict
    assert "discretisation error unknown" in found.verdict
    found = escape.extrapolate_mean_exit_time(
        [[3.0, 3.5], [1.0, 2.0]], [left, left], 4.0, method="bridge"
    )
    assert found.mean is None
    assert found.interval == (0.0, np.inf)
    assert "do not extrapolate" in found.verdict


def test_extrapolation_refuses():
    left = np.ones(2, bool)
    for arguments, message in (
        (([[1.0, 2.0]], [left], 4.0, "bridge"), "times holds 1 runs and exited 1; expected 2"),
        (([[1.0, 2.0]] * 2, [left] * 2, 4.0, "grid"), "expected 3"),
        (([[1.0, 2.0], [1.0]], [left, left[:1]], 4.0, "bridge"), r"\[2, 1\] paths"),
        (([[1.0, 2.0]] * 2, [left] * 2, 4.0, "exact"), "method='exact'"),
    ):
        with pytest.raises(checks.InputError, match=message):
            escape.extrapolate_mean_exit_time(*arguments[:3], method=arguments[3])
