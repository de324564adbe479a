""""""

import os
import signal
import subprocess
import sys
import time
import warnings

import numba
import numpy as np
import pytest
import reference_langevin as reference
import scipy.linalg
from ensemble_cases import FAST, SCHEMES, SEED, cubic, details, geometric_amplitude, linear_problem

from aniso import checks, langevin
from aniso.closed_forms import diffusion
from aniso.langevin import (
    drifts,
    experiment_identity,
    linear_schemes,
    noises,
    schemes,
)
from aniso.langevin._kernels import accumulators


@numba.njit
def geometric_drift(theta, parameters, out):
    for lane in range(theta.shape[1]):
        out[0, lane] = parameters[0] * theta[0, lane]


@numba.njit
def first_component(theta, _parameters, out):
    for lane in range(theta.shape[1]):
        out[lane] = theta[0, lane]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_moments_are_those_of_the_scheme_and_not_of_the_equation(scheme):
    problem = linear_problem()
    h, steps, paths = 0.2, 10, 40_000 if FAST else 60
    ensemble = langevin.simulate_ensemble(problem, scheme, h, [0, steps], paths, SEED)
    step = linear_schemes.step(scheme, problem.drift.hessian, problem.noise.factor, h)
    mean, covariance = linear_schemes.moments_at(step, problem.start, np.zeros((3, 3)), steps)
    np.testing.assert_array_equal(ensemble.mean[0], problem.start)
    # Gaussian sampling errors; nine entries within five of them
    assert np.abs((ensemble.mean[1] - mean) / ensemble.mean_error[1]).max() < 5
    errors = np.sqrt((np.outer(np.diag(covariance), np.diag(covariance)) + covariance**2) / paths)
    assert np.abs((ensemble.covariance[1] - covariance) / errors).max() < 5
    if FAST:
        np.testing.assert_allclose(ensemble.covariance_error[1], errors, rtol=0.15)
    hessian = problem.drift.hessian
    loss = 0.5 * (mean @ hessian @ mean + np.trace(hessian @ covariance))
    assert abs(ensemble.loss[1].z_score(loss)) < 5
    if FAST and scheme == "euler_maruyama":
        # planted: the continuous formula at this coarse step
        decay = scipy.linalg.expm(-h * steps * hessian) @ problem.start
        wrong = diffusion.covariance_at(hessian, problem.noise.covariance, h * steps)
        z_mean = np.abs((ensemble.mean[1] - decay) / ensemble.mean_error[1]).max()
        z_covariance = np.abs((ensemble.covariance[1] - wrong) / errors).max()
        assert max(z_mean, z_covariance) > 5


@pytest.mark.parametrize("scheme", SCHEMES[:4])
def test_the_general_kernel_walks_the_paths_of_the_linear_one(scheme):
    paths = [
        langevin.simulate_paths(linear_problem(general=general), scheme, 0.1, [0, 1, 4], 5, SEED)
        for general in (False, True)
    ]
    # rounding of a few dozen operations on numbers of order 1
    np.testing.assert_allclose(paths[0], paths[1], rtol=0, atol=1e-12)


def test_euler_walks_the_path_of_the_reference():
    problem = linear_problem()
    step = linear_schemes.step("euler_maruyama", problem.drift.hessian, problem.noise.factor, 0.1)
    paths = langevin.simulate_paths(problem, "euler_maruyama", 0.1, range(6), 4, SEED)
    for path in range(4):
        expected = reference.linear_chain(
            step.propagator, step.factor, problem.start, SEED, path, 5
        )
        np.testing.assert_allclose(paths[path], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("scheme", ["euler_maruyama", "stochastic_heun", "milstein"])
def test_geometric_brownian_motion(scheme):
    # E X_T = x e^{aT}, and the schemes on one path in the limit of small steps
    a, b, t, fine = -0.5, 0.4, 1.0, 64 if FAST else 8
    problem = langevin.LangevinProblem(
        drifts.of_function(geometric_drift, 1, parameters=[a], potential=first_component),
        noises.state_dependent(geometric_amplitude, 1, parameters=[b]),
        [1.0],
    )
    errors = []
    paths = 2000 if FAST else 20
    for steps in (fine // 4, fine):
        ends = langevin.simulate_paths(
            problem, scheme, t / steps, [steps], paths, SEED, substeps=fine // steps
        )[:, 0, 0]
        # the same Wiener path, from the increments of the finest grid
        normals = np.array(
            [
                [reference.step_normals(SEED, path, step, 1)[0] for step in range(fine)]
                for path in range(min(paths, 200))
            ]
        )
        wiener = normals.sum(axis=1) * np.sqrt(t / fine)
        exact = np.exp((a - 0.5 * b**2) * t + b * wiener)
        errors.append(np.sqrt(np.mean((ends[: len(exact)] - exact) ** 2)))
    order = np.log(errors[0] / errors[1]) / np.log(4)
    promised = schemes.scheme(scheme).strong_order_diagonal
    if FAST:
        # 200 paths leave the measured order uncertain by about 0.1
        assert abs(order - promised) < 0.3
    ensemble = langevin.simulate_ensemble(problem, scheme, t / fine, [fine], 4 * paths, SEED)
    # weak error (a t)^2 / (2 n) of the mean beside the sampling error
    bias = 0.5 * (a * t) ** 2 / fine
    assert abs(ensemble.loss[0].value - np.exp(a * t)) < 5 * ensemble.loss[0].standard_error + bias


def test_diagonal_noise_full_noise_and_state_noise_agree_where_they_are_the_same():
    @numba.njit
    def constant_amplitude(theta, parameters, out):
        for lane in range(theta.shape[1]):
            out[0, lane] = parameters[0]
            out[1, lane] = 0.0

    drift = drifts.of_function(cubic, 1)
    forms = [
        noises.diagonal([0.25]),
        noises.low_rank([[0.5]]),
        noises.state_dependent(constant_amplitude, 1, parameters=[0.5]),
    ]
    for scheme in ("euler_maruyama", "stochastic_heun", "milstein"):
        paths = [
            langevin.simulate_paths(
                langevin.LangevinProblem(drift, noise, [-1.0]), scheme, 0.1, [5], 7, SEED
            )
            for noise in forms
        ]
        np.testing.assert_allclose(paths[0], paths[1], rtol=0, atol=1e-13)
        np.testing.assert_allclose(paths[0], paths[2], rtol=0, atol=1e-13)


def test_proportional_noise_is_that_of_geometric_motion():
    start, drift = [1.0], drifts.of_function(geometric_drift, 1, parameters=[-0.5])
    own = noises.state_dependent(geometric_amplitude, 1, parameters=[0.8])
    paths = [
        langevin.simulate_paths(
            langevin.LangevinProblem(drift, noise, start), "milstein", 0.1, [5], 7, SEED
        )
        for noise in (own, noises.proportional([0.8]))
    ]
    np.testing.assert_array_equal(*paths)


def test_paths_beyond_the_last_one_may_break():
    # lanes that no path was asked for are nobody's business
    panel = np.zeros((1, 64))
    panel[0, 5] = np.nan
    assert not accumulators.all_finite(panel, 1)
    assert accumulators.first_broken_lane(panel, 1, 5) == -1
    assert accumulators.first_broken_lane(panel, 1, 6) == 5


def test_substeps_follow_the_same_wiener_process():
    # with drift 0 every step size ends at the same point
    drift = drifts.Drift(2, drifts.of_quadratic(np.zeros((2, 2))).function, np.zeros(4))
    problem = langevin.LangevinProblem(drift, noises.low_rank([[1.0, 0.3], [0.0, 2.0]]), [0, 0])
    for scheme in ("euler_maruyama", "sra1"):
        ends = [
            langevin.simulate_paths(problem, scheme, 1 / n, [n], 3, SEED, substeps=8 // n)
            for n in (1, 2, 8)
        ]
        np.testing.assert_allclose(ends[0], ends[2], rtol=0, atol=1e-13)
        np.testing.assert_allclose(ends[1], ends[2], rtol=0, atol=1e-13)


def test_bits_do_not_depend_on_threads():
    problem = linear_problem(general=True)
    paths = 1500 if FAST else 260
    runs = [
        langevin.simulate_ensemble(problem, "sra1", 0.1, [2, 4], paths, SEED, num_threads=threads)
        for threads in (1, 2, 3)
    ]
    for run in runs[1:]:
        np.testing.assert_array_equal(run.mean, runs[0].mean)
        np.testing.assert_array_equal(run.covariance, runs[0].covariance)
        assert run.loss == runs[0].loss
    stored = langevin.simulate_paths(problem, "sra1", 0.1, [2, 4], paths, SEED, num_threads=2)
    np.testing.assert_allclose(stored.mean(axis=0), runs[0].mean, rtol=1e-12, atol=1e-13)


KILLED = """
import numpy as np, sys
from aniso import langevin
from aniso.langevin._kernels import accumulators
from aniso.langevin import checkpoints, drifts, noises
checkpoints.SECONDS_BETWEEN_SAVES = 0.0
drift = drifts.of_quadratic([[1.0]])
drift = drifts.Drift(1, drift.function, drift.parameters, drift.potential)
problem = langevin.LangevinProblem(drift, noises.diagonal([1.0]), [0.5])
langevin.simulate_ensemble(problem, "sra1", 0.1, [50, 100], int(sys.argv[2]), 7, num_threads=1,
                           checkpoint=sys.argv[1])
"""


@pytest.mark.skipif(not FAST, reason="a killed ensemble has to be a long one")
def test_an_ensemble_that_is_killed_and_resumed_has_the_same_bits(tmp_path):
    checkpoint, paths = tmp_path / "ensemble.npz", 1_000_000
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(checkpoint), str(paths)])
    deadline = time.monotonic() + 60

    def num_folded():
        if not checkpoint.exists():
            return 0
        stored = details(checkpoint)
        return stored["cells"] if stored["stage"] else 0

    while num_folded() < 2 and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    done = details(checkpoint)["cells"]
    assert 0 < done < paths // 256  # killed in the middle
    drift = drifts.of_quadratic([[1.0]])
    drift = drifts.Drift(1, drift.function, drift.parameters, drift.potential)
    problem = langevin.LangevinProblem(drift, noises.diagonal([1.0]), [0.5])
    arguments = (problem, "sra1", 0.1, [50, 100], paths, 7)
    resumed = langevin.simulate_ensemble(*arguments, checkpoint=checkpoint)
    straight = langevin.simulate_ensemble(*arguments)
    np.testing.assert_array_equal(resumed.mean, straight.mean)
    np.testing.assert_array_equal(resumed.covariance, straight.covariance)
    assert resumed.loss == straight.loss
    # a finished one is read, not computed again
    assert langevin.simulate_ensemble(*arguments, checkpoint=checkpoint).loss == straight.loss
    with pytest.raises(checks.InputError, match="belongs to another experiment"):
        langevin.simulate_ensemble(*arguments[:-1], 8, checkpoint=checkpoint)


def test_a_checkpoint_knows_what_a_drift_takes_from_outside(tmp_path):
    def pulled(strength, shape):
        @numba.njit
        def drift(theta, _parameters, out):
            for lane in range(theta.shape[1]):
                out[0, lane] = -strength * shape(theta[0, lane])

        return langevin.LangevinProblem(drifts.of_function(drift, 1), noises.diagonal([1.0]), [1.0])

    first, second = numba.njit(lambda x: np.sin(x)), numba.njit(lambda x: np.cos(x))
    arguments = ("euler_maruyama", 0.1, [3], 4, SEED)
    checkpoint = tmp_path / "run.npz"
    langevin.simulate_ensemble(pulled(1.0, first), *arguments, checkpoint=checkpoint)
    langevin.simulate_ensemble(pulled(1.0, first), *arguments, checkpoint=checkpoint)
    for other in (pulled(2.0, first), pulled(1.0, second)):
        with pytest.raises(checks.InputError, match="belongs to another experiment"):
            langevin.simulate_ensemble(other, *arguments, checkpoint=checkpoint)


@pytest.mark.parametrize("content", [b"not an archive", b"PK\x03\x04 cut off"])
def test_a_broken_checkpoint_is_refused(tmp_path, content):
    broken = tmp_path / "broken.npz"
    broken.write_bytes(content)
    with pytest.raises(checks.InputError, match="is damaged"):
        langevin.simulate_paths(linear_problem(), "exact", 0.1, [1], 2, 1, checkpoint=broken)


def test_stored_paths_resume(tmp_path):
    checkpoint = tmp_path / "paths.npz"
    problem = linear_problem(1, 1)
    first = langevin.simulate_paths(problem, "exact", 0.1, [1], 300, 1, checkpoint=checkpoint)
    again = langevin.simulate_paths(problem, "exact", 0.1, [1], 300, 1, checkpoint=checkpoint)
    np.testing.assert_array_equal(first, again)
    first_drift = experiment_identity.fingerprint(cubic)
    assert first_drift != experiment_identity.fingerprint(geometric_drift)


def test_a_drift_that_breaks_is_named_by_path_and_step():
    @numba.njit
    def breaks(theta, _parameters, out):
        for lane in range(theta.shape[1]):
            x = theta[0, lane]
            out[0, lane] = np.nan if x > 1.0 else 1.0

    # moves by 0.25 a step without noise: beyond 1 after five steps, NaN in the sixth
    problem = langevin.LangevinProblem(drifts.of_function(breaks, 1), noises.diagonal([0.0]), [0.0])
    with pytest.raises(langevin.NonFiniteState, match="path 0 is not finite after step 6") as info:
        langevin.simulate_ensemble(problem, "euler_maruyama", 0.25, [10], 5, 1)
    assert (info.value.path, info.value.step) == (0, 6)
    unstable = langevin.LangevinProblem(drifts.of_quadratic([[1e9]]), noises.diagonal([1.0]), [1.0])
    # 1e9 to the power 35 is the first beyond the largest number, for every path
    with pytest.raises(langevin.NonFiniteState) as info:
        langevin.simulate_ensemble(unstable, "euler_maruyama", 1.0, [2, 80], 5, 1)
    assert (info.value.path, info.value.step) == (0, 35)


@pytest.mark.skipif(not FAST, reason="without compilation there is no slow path")
def test_a_plain_drift_warns_of_its_factor_and_gives_the_same_paths():
    def plain(theta, _parameters, out):
        out[0] = theta[0] - theta[0] ** 3

    noise, steps = noises.diagonal([0.5]), [0, 3]
    with pytest.warns(UserWarning, match=r"steps take about \d+ times as long"):
        slow = langevin.simulate_paths(
            langevin.LangevinProblem(drifts.of_function(plain, 1), noise, [-1.0]),
            "sra1",
            0.1,
            steps,
            3,
            SEED,
        )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fast = langevin.simulate_paths(
            langevin.LangevinProblem(drifts.of_function(cubic, 1), noise, [-1.0]),
            "sra1",
            0.1,
            steps,
            3,
            SEED,
        )
    np.testing.assert_allclose(slow, fast, rtol=0, atol=1e-13)
