"""Runs that stop in the middle of a path: by slices, by Ctrl-C, by kill -9."""

import json
import os
import subprocess
import sys

import numba
import numpy as np
import pytest
from ensemble_cases import details

from aniso import langevin
from aniso.langevin import (
    cells,
    checkpoints,
    drifts,
    example_chains,
    example_sets,
    noises,
    regions,
    two_basin_dynamics,
)
from aniso.runs import files

FAST = not numba.config.DISABLE_JIT
HESSIAN = np.array([[1.0, 0.3], [0.3, 0.5]])
NOISE = noises.constant([[0.5, 0.1], [0.1, 0.3]])
STEPS, PATHS = ([0, 7, 20], 100) if FAST else ([0, 2, 5], 70)


@numba.njit
def pull(theta, _parameters, out):
    for lane in range(theta.shape[1]):
        out[0, lane] = -theta[0, lane]
        out[1, lane] = theta[0, lane] - theta[1, lane] ** 3


@numba.njit
def growing(theta, _parameters, out):
    for lane in range(theta.shape[1]):
        out[0, lane] = 0.4 + 0.1 * theta[0, lane]
        out[1, lane] = 0.3
        out[2, lane] = 0.1
        out[3, lane] = 0.0


GENERAL = langevin.LangevinProblem(drifts.of_function(pull, 2), NOISE, [0.4, 0.2])
DIAGONAL = langevin.LangevinProblem(
    drifts.of_function(pull, 2), noises.diagonal([0.5, 0.2]), [0.4, 0.2]
)
STATE_DEPENDENT = langevin.LangevinProblem(
    drifts.of_function(pull, 2), noises.state_dependent(growing, 2), [0.4, 0.2]
)
LINEAR = langevin.LangevinProblem(drifts.of_quadratic(HESSIAN), NOISE, [0.4, 0.2])
EXAMPLES = example_sets.least_squares(
    np.linspace(-1.0, 1.0, 12).reshape(6, 2) ** 3, np.arange(6.0) / 6
)
BALL = regions.ball([0.0, 0.0], 1.0)


def ensemble(problem, scheme):
    def run(**options):
        found = langevin.simulate_ensemble(problem, scheme, 0.05, STEPS, PATHS, 7, **options)
        return found.mean, found.covariance, found.covariance_error

    return run


def exits(problem, method):
    def run(**options):
        found = langevin.simulate_exits(
            problem, BALL, 0.05, STEPS[-1] / 10, PATHS, 7, method=method, **options
        )
        return found.times, found.points, found.exited

    return run


def sgd(sampling, momentum=0.0):
    def run(**options):
        found = example_chains.simulate_sgd(
            EXAMPLES, 0.1, 2, sampling, [0.0, 0.0], STEPS, PATHS, 7, momentum=momentum, **options
        )
        return found.mean, found.covariance

    return run


def sgd_exits(**options):
    found = langevin.simulate_sgd_exits(
        EXAMPLES,
        regions.half_space([1.0, 1.0], 0.45),
        *(0.1, 2, "epochs", [0.0, 0.0], STEPS[-1] / 10, PATHS, 7),
        momentum=0.4,
        **options,
    )
    return found.times, found.points, found.exited


def svag(**options):
    found = example_chains.simulate_svag(
        EXAMPLES, 0.1, 2, "with_replacement", 3, [0.0, 0.0], STEPS, PATHS, 7, **options
    )
    return found.mean, found.covariance


def stored_paths(**options):
    return (langevin.simulate_paths(GENERAL, "sra1", 0.05, STEPS, PATHS, 7, **options),)


def linear_chain(**options):
    found = langevin.simulate_linear_chain(HESSIAN, HESSIAN, 0.1, STEPS, PATHS, 7, **options)
    return (found.covariance, [loss.value for loss in found.loss])


def two_basin(dynamics):
    def run(**options):
        data = np.linspace(-0.2, 0.2, 10).reshape(5, 2)
        found = two_basin_dynamics.simulate_two_basin(
            dynamics, data, PATHS, 7, num_steps=STEPS[-1], store_paths=True, **options
        )
        return found.ends, found.paths, found.alignments

    return run


RESUMABLE = {
    "full noise": ensemble(GENERAL, "sra1"),
    "diagonal noise": ensemble(DIAGONAL, "stochastic_heun"),
    "noise of the state": ensemble(STATE_DEPENDENT, "euler_maruyama"),
    "linear": ensemble(LINEAR, "exact"),
    "paths": stored_paths,
    "sgd with replacement": sgd("with_replacement"),
    "sgd in epochs": sgd("epochs"),
    "sgd with momentum": sgd("epochs", 0.4),
    "svag": svag,
    "exits of sgd": sgd_exits,
    "exits by bridge": exits(GENERAL, "bridge"),
    "exits on the grid": exits(DIAGONAL, "grid"),
}
ALL = RESUMABLE | {
    "exits by shift": exits(GENERAL, "shift"),
    "linear chain": linear_chain,
    "two basins": two_basin("gld_leading"),
    "two basins, sgd": two_basin("sgd"),
}


def slices(monkeypatch, first, then):
    """Let kernels pause after `first` steps, and after one step each time where `then` is 0."""
    monkeypatch.setattr(cells, "FIRST_SLICE", first)
    monkeypatch.setattr(cells, "SLICE_SECONDS", then)


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("threads", [1, 2])
def test_slices_do_not_change_a_bit(monkeypatch, kind, threads):
    slices(monkeypatch, 10**9, 1e9)
    whole = ALL[kind](num_threads=threads)
    for first in (1, 3):
        slices(monkeypatch, first, 0.0)
        for cut, uncut in zip(ALL[kind](num_threads=threads), whole, strict=True):
            np.testing.assert_array_equal(cut, uncut)


class _Writes:
    """Lets the writer of files raise KeyboardInterrupt once it has written `number` times."""

    def __init__(self, monkeypatch, number):
        self.left, self.write = number, files.atomic_writer
        monkeypatch.setattr(files, "atomic_writer", self)

    def __call__(self, *arguments):
        return _Writing(self, self.write(*arguments))


class _Writing:
    def __init__(self, writes, context):
        self.writes, self.context = writes, context

    def __enter__(self):
        return self.context.__enter__()

    def __exit__(self, *error):
        self.context.__exit__(*error)
        self.writes.left -= 1
        if self.writes.left == 0:
            raise KeyboardInterrupt


@pytest.mark.parametrize("kind", RESUMABLE)
@pytest.mark.parametrize("threads", [1, 2])
def test_few_long_paths_are_saved_on_the_way_and_resume_to_the_same_bits(
    monkeypatch, tmp_path, kind, threads
):
    whole = RESUMABLE[kind](num_threads=1)
    slices(monkeypatch, 1, 0.0)
    monkeypatch.setattr(checkpoints, "SECONDS_BETWEEN_SAVES", 0.0)
    checkpoint = tmp_path / "run.npz"
    # again and again, after another save each time
    for number in (1, 2, 3, 5, 11) if FAST else (1, 2):
        with monkeypatch.context() as patch:
            _Writes(patch, number)
            with pytest.raises(KeyboardInterrupt):
                RESUMABLE[kind](num_threads=threads, checkpoint=checkpoint)
        stored = details(checkpoint)
        # nothing but the middle of the only cell
        assert (stored["cells"], stored["begun"]) == (0, [0])
    slices(monkeypatch, 5, 0.0)
    for resumed, uncut in zip(
        RESUMABLE[kind](num_threads=threads, checkpoint=checkpoint), whole, strict=True
    ):
        np.testing.assert_array_equal(resumed, uncut)


def test_a_pilot_is_resumed_and_not_begun_again(monkeypatch, tmp_path):
    slices(monkeypatch, 1, 0.0)
    monkeypatch.setattr(checkpoints, "SECONDS_BETWEEN_SAVES", 0.0)
    run, checkpoint, stages = ensemble(GENERAL, "sra1"), tmp_path / "run.npz", []
    for _ in range(1000):
        with monkeypatch.context() as patch:
            _Writes(patch, 20 if FAST else 3)
            try:
                resumed = run(num_threads=1, checkpoint=checkpoint)
                break
            except KeyboardInterrupt:
                stages.append(details(checkpoint)["stage"])
    # a pilot of as many steps as the run itself
    assert stages == sorted(stages)
    assert set(stages) == {0, 1}
    for array, uncut in zip(resumed, run(), strict=True):
        np.testing.assert_array_equal(array, uncut)


KILLED = """
import os, signal, sys
from aniso.runs import files
from aniso import langevin
from aniso.langevin import cells, checkpoints, drifts, noises, regions
cells.FIRST_SLICE, cells.SLICE_SECONDS, checkpoints.SECONDS_BETWEEN_SAVES = 5, 0.0, 0.0
kind, path, number = sys.argv[1], sys.argv[2], int(sys.argv[3])
drift = drifts.of_polynomial([0.0, 0.0, -0.5, 0.0, 0.25])
well = langevin.LangevinProblem(drift, noises.constant([[0.25]]), [-1.0])
save = checkpoints._Store.save
def save_or_die(store):
    global number
    save(store)
    number -= 1
    if number == 0:
        os.kill(os.getpid(), signal.SIGKILL)
checkpoints._Store.save = save_or_die
if kind == "exits":
    langevin.simulate_exits(
        well, regions.interval(-9, 0), 0.01, 40.0, 100, 1, num_threads=2, checkpoint=path)
else:
    langevin.simulate_ensemble(
        well, "sra1", 0.01, [100, 4000], 100, 1, num_threads=2, checkpoint=path)
"""


@pytest.mark.needs_jit
@pytest.mark.parametrize("kind", ["exits", "ensemble"])
def test_a_run_of_a_hundred_long_paths_survives_kill_9(tmp_path, kind):
    checkpoint = tmp_path / "run.npz"
    for number in (40, 70):
        command = [sys.executable, "-c", KILLED, kind, str(checkpoint), str(number)]
        killed = subprocess.run(command, check=False, capture_output=True, text=True)
        assert killed.returncode == -9, killed.stderr
    stored = details(checkpoint)
    assert (stored["cells"], stored["begun"]) == (0, [0])
    drift = drifts.of_polynomial([0.0, 0.0, -0.5, 0.0, 0.25])
    well = langevin.LangevinProblem(drift, noises.constant([[0.25]]), [-1.0])
    if kind == "exits":
        arguments = (well, regions.interval(-9, 0), 0.01, 40.0, 100, 1)
        resumed = langevin.simulate_exits(*arguments, checkpoint=checkpoint)
        whole = langevin.simulate_exits(*arguments)
        np.testing.assert_array_equal(resumed.times, whole.times)
        np.testing.assert_array_equal(resumed.points, whole.points)
    else:
        arguments = (well, "sra1", 0.01, [100, 4000], 100, 1)
        resumed = langevin.simulate_ensemble(*arguments, checkpoint=checkpoint)
        whole = langevin.simulate_ensemble(*arguments)
        np.testing.assert_array_equal(resumed.mean, whole.mean)
        np.testing.assert_array_equal(resumed.covariance, whole.covariance)


INTERRUPTED = """
import json, os, signal, sys, threading
import numpy as np
from aniso import langevin
from aniso.langevin import (
    drifts, example_chains, example_sets, noises, regions, two_basin_dynamics)
threads, long, many = int(sys.argv[1]), 2**39, 10**6
hessian, noise, start = np.eye(2), noises.constant(np.eye(2)), [0.1, 0.1]
linear = langevin.LangevinProblem(drifts.of_quadratic(hessian), noise, start)
drift = drifts.of_quadratic(hessian)
general = langevin.LangevinProblem(
    drifts.Drift(2, drift.function, drift.parameters, drift.potential), noise, start)
examples = example_sets.least_squares(np.eye(4)[:, :2], np.ones(4))
far = regions.ball([0.0, 0.0], 1e3)
# much work in few long paths, and in many short ones
kinds = {
    "linear ensemble": lambda n: langevin.simulate_ensemble(
        linear, "exact", 0.01, [n], 100, 1, num_threads=threads),
    "ensemble": lambda n: langevin.simulate_ensemble(
        general, "sra1", 0.01, [n], 100, 1, num_threads=threads),
    "many paths": lambda n: langevin.simulate_ensemble(
        general, "sra1", 0.01, [min(n, many)], n, 1, num_threads=threads),
    "paths": lambda n: langevin.simulate_paths(
        general, "sra1", 0.01, [n], 100, 1, num_threads=threads),
    "exits": lambda n: langevin.simulate_exits(
        general, far, 0.01, 0.01 * n, 100, 1, num_threads=threads),
    "sgd": lambda n: example_chains.simulate_sgd(
        examples, 0.01, 2, "epochs", start, [n], 100, 1, num_threads=threads),
    "sgd with momentum": lambda n: example_chains.simulate_sgd(
        examples, 0.01, 2, "epochs", start, [n], 100, 1, momentum=0.5, num_threads=threads),
    "sgd exits": lambda n: langevin.simulate_sgd_exits(
        examples, far, 0.01, 2, "epochs", start, 0.01 * n, 100, 1, num_threads=threads),
    "linear chain": lambda n: langevin.simulate_linear_chain(
        hessian, hessian, 0.01, [n], 100, 1, num_threads=threads),
    "two basins": lambda n: two_basin_dynamics.simulate_two_basin(
        "sgd", [[0.0, 0.0]], 100, 1, num_steps=n, num_threads=threads),
}
# a shell may have started the tests with SIGINT ignored
signal.signal(signal.SIGINT, signal.default_int_handler)
interrupted = []
for name, run in kinds.items():
    run(10)
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    try:
        timer.start()
        run(long)
    except KeyboardInterrupt:
        interrupted.append(name)
assert threading.active_count() == 1, threading.enumerate()
print(json.dumps([interrupted, list(kinds)]))
"""


@pytest.mark.needs_jit
@pytest.mark.parametrize("threads", [1, 2])
def test_ctrl_c_ends_every_compiled_simulation(threads):
    # each of them would take days; the limit is no measurement, it only ends a test that fails
    found = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, str(threads)],
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    assert found.returncode == 0, found.stderr
    interrupted, kinds = json.loads(found.stdout)
    assert interrupted == kinds


@pytest.mark.parametrize("first", [1, 4, 10**9])
def test_a_linear_chain_that_breaks_is_named_by_path_and_step_wherever_it_pauses(
    monkeypatch, first
):
    slices(monkeypatch, first, 0.0)
    # 1e60 to the power 6 is the first beyond the largest number
    unstable = langevin.LangevinProblem(
        drifts.of_quadratic([[1e60]]), noises.diagonal([0.0]), [1.0]
    )
    with pytest.raises(langevin.NonFiniteState) as info:
        langevin.simulate_ensemble(unstable, "euler_maruyama", 1.0, [1, 9], 70, 1)
    assert (info.value.path, info.value.step) == (0, 6)
    with pytest.raises(langevin.NonFiniteState) as info:
        langevin.simulate_paths(unstable, "euler_maruyama", 1.0, [9], 70, 1)
    assert (info.value.path, info.value.step) == (0, 6)


def test_a_failing_save_is_told(tmp_path, monkeypatch):
    slices(monkeypatch, 1, 0.0)
    monkeypatch.setattr(checkpoints, "SECONDS_BETWEEN_SAVES", 0.0)

    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr(files, "atomic_writer", full)
    with pytest.raises(OSError, match="no space left"):
        stored_paths(num_threads=2, checkpoint=tmp_path / "run.npz")
