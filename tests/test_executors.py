"""Executors: the same results wherever units run, and what happens when a worker dies."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import executor_units
import numpy as np
import pytest
import worker_units

from aniso import checks
from aniso.runs import _clusters, executors, processes

# for programs of their own: these tests and the sources they lie with
TESTS = Path(__file__).parent
ENVIRONMENT = os.environ | {"PYTHONPATH": f"{TESTS}:{TESTS.parent}"}
SEEDS = [3, 1, 2, 5]


@contextlib.contextmanager
def cluster_of(num_workers):
    """Address of a cluster of worker processes, as one names it on the command line."""
    distributed = pytest.importorskip("distributed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cluster = distributed.LocalCluster(
            n_workers=num_workers, threads_per_worker=1, processes=True, dashboard_address=None
        )
        try:
            yield cluster.scheduler_address.replace("tcp://", "dask://")
        finally:
            cluster.close()


@pytest.fixture(scope="module")
def dask():
    """Address of a cluster of two worker processes."""
    with cluster_of(2) as address:
        yield address


def values(outcomes):
    assert [outcome.error for outcome in outcomes] == [None] * len(outcomes)
    return [outcome.value for outcome in outcomes]


def test_results_do_not_depend_on_the_executor(dask):
    expected = [worker_units.draw(seed) for seed in SEEDS]
    for name in ("serial", "processes:1", "processes:2", dask):
        assert values(executors.run_units(worker_units.draw, SEEDS, name)) == expected
    with ThreadPoolExecutor(2) as pool:
        assert values(executors.run_units(worker_units.draw, SEEDS, pool)) == expected


def test_an_exception_ends_its_unit_alone(dask):
    for name in ("serial", "processes:2", dask):
        outcomes = executors.run_units(worker_units.fail, [0, 1, 2], name)
        assert [outcome.value for outcome in outcomes] == [0, None, 2]
        assert str(outcomes[1].error) == "unit 1 has no value"
        assert outcomes[1].unit == 1


def test_a_unit_that_exits_costs_itself_alone(dask):
    with ThreadPoolExecutor(1) as pool:
        for executor in ("serial", "processes:2", dask, pool):
            outcomes = executors.run_units(worker_units.leave, [0, 1, 2], executor)
            assert [outcome.value for outcome in outcomes] == [0, None, 2]
            assert "the unit raised SystemExit('no more')" in str(outcomes[1].error)


def test_a_killed_local_worker_costs_its_unit_alone(tmp_path):
    units = [(None, 1), (tmp_path / "marker", 2), (None, 3)]
    seen = []
    outcomes = executors.run_units(worker_units.die_once, units, "processes:2", on_done=seen.append)
    assert values(outcomes) == [1, 2, 3]
    assert sorted(outcome.value for outcome in seen) == [1, 2, 3]


def test_every_unit_has_its_own_attempts(tmp_path):
    units = [(tmp_path / f"{i}" if i < 3 else None, i) for i in range(6)]
    outcomes = executors.run_units(worker_units.die_once, units, "processes:1")
    assert values(outcomes) == list(range(6))


def test_a_deadly_unit_costs_itself_alone():
    outcomes = executors.run_units(
        worker_units.die_if_negative, [-1, 2, -3, 4, 5, 6], "processes:2"
    )
    assert [outcome.value for outcome in outcomes] == [None, 2, None, 4, 5, 6]
    assert "terminated abruptly" in str(outcomes[2].error)


def test_a_unit_that_always_kills_its_worker_is_given_up():
    (outcome,) = executors.run_units(worker_units.die_always, [0], "processes:1")
    assert outcome.value is None
    assert "terminated abruptly" in str(outcome.error)


def test_a_killed_dask_worker_loses_nothing(dask, tmp_path):
    units = [(None, 1), (tmp_path / "marker", 2), (None, 3)]
    assert values(executors.run_units(worker_units.die_once, units, dask)) == [1, 2, 3]


def test_a_run_killed_at_a_random_step_equals_the_uninterrupted_one(dask, tmp_path, rng):
    for number, name in enumerate(("processes:2", dask)):
        step = int(rng.integers(1, executor_units.NUM_STEPS))
        units = [(tmp_path / f"{number}whole", 4, None), (tmp_path / f"{number}killed", 4, step)]
        whole, killed = values(executors.run_units(executor_units.descend, units, name))
        assert (tmp_path / f"{number}killed.killed").exists()
        assert whole.keys() == killed.keys()
        for key in whole:
            assert np.array_equal(whole[key], killed[key], equal_nan=True), (name, step, key)


def test_linear_algebra_has_one_thread_everywhere(dask):
    with ThreadPoolExecutor(1) as pool:
        for executor in ("serial", "processes:1", dask, pool):
            (outcome,) = executors.run_units(worker_units.blas_threads, [0], executor)
            assert outcome.value == [1], executor


def test_an_unfinished_block_of_processes_starts_no_more():
    began = []

    def stop_after_the_first():
        with processes.Processes(1) as pool:
            began.extend(pool.submit(worker_units.draw, seed) for seed in range(200))
            assert began[0].result() == worker_units.draw(0)
            raise KeyError

    with pytest.raises(KeyError):
        stop_after_the_first()
    assert sum(not future.cancelled() for future in began) < 200


def test_an_executor_that_is_broken_from_the_start_is_reported(tmp_path):
    from concurrent.futures.process import BrokenProcessPool

    class Broken:
        def submit(self, *_):
            raise BrokenProcessPool("gone")

    outcomes = executors.run_units(abs, [1, 2], Broken())
    assert [str(outcome.error) for outcome in outcomes] == ["gone", "gone"]
    del tmp_path


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("slurm", "executor='slurm'; expected one of: serial, processes"),
        ("processes:many", "expected one of"),
        ("processes:0", "number of processes"),
        ("dask://nowhere", "expected dask://<host>:<port>"),
        ("dask://nowhere:99999", "the port between 1 and 65535"),
        ("dask://nowhere:abc", "the port between 1 and 65535"),
        ("dask://[nowhere:1", "the port between 1 and 65535"),
        (3, "expected one of"),
    ],
)
def test_unknown_executors_are_refused(name, message):
    if "dask" in str(name):
        pytest.importorskip("distributed")
    with pytest.raises(checks.InputError, match=message):
        executors.run_units(abs, [1], name)


def test_ctrl_c_ends_the_pool_and_is_passed_on():
    def stop(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        executors.run_units(worker_units.draw, SEEDS, "processes:1", on_done=stop)


PROGRAM = """
import executor_units, signal
from aniso.runs import executors, interruptions

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    units = [({folder!r} + f"/{{seed}}", seed, None) for seed in (4, 5, 6)]
    with interruptions.handled():
        executors.run_units(executor_units.descend_until_stopped, units, "processes:2")
"""


# a whole group that is killed leaves nothing to be taken along
@pytest.mark.parametrize(
    ("whole_group", "number"),
    [
        *((False, number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)),
        *((True, number) for number in (signal.SIGINT, signal.SIGTERM)),
    ],
)
def test_a_stopped_program_takes_its_workers_along(tmp_path, number, whole_group):
    (tmp_path / "program.py").write_text(PROGRAM.format(folder=str(tmp_path)))
    process = subprocess.Popen(
        [sys.executable, tmp_path / "program.py"],
        stderr=subprocess.PIPE,
        start_new_session=True,
        env=ENVIRONMENT,
    )
    executor_units.wait_for(lambda: all((tmp_path / f"{seed}.begun").exists() for seed in (4, 5)))
    (os.killpg if whole_group else os.kill)(process.pid, number)  # a terminal signals the group
    # the workers hold standard error too: its end is theirs
    process.communicate(timeout=120)
    assert not (tmp_path / "6.begun").exists()
    for seed in (4, 5):
        assert list((tmp_path / str(seed)).glob("checkpoint-*"))
        whole = executor_units.descend((tmp_path / f"{seed}whole", seed, None))
        resumed = executor_units.descend((tmp_path / str(seed), seed, None))
        for key, expected in whole.items():
            assert np.array_equal(resumed[key], expected, equal_nan=True), key


@pytest.mark.parametrize("seconds", [0.4, 0.7, 1.0])
def test_workers_that_are_stopped_while_they_start_print_nothing(tmp_path, seconds):
    (tmp_path / "program.py").write_text(
        PROGRAM.format(folder=str(tmp_path)).replace(
            "executors.run_units", "print('ready', flush=True)\n        executors.run_units"
        )
    )
    process = subprocess.Popen(
        [sys.executable, tmp_path / "program.py"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        env=ENVIRONMENT,
    )
    process.stdout.readline()
    time.sleep(seconds)
    os.killpg(process.pid, signal.SIGINT)
    told = process.communicate(timeout=120)[1].decode()
    assert told.count("Traceback") == 1, told  # of the program itself
    assert "Process Spawn" not in told


def test_a_worker_that_is_stopped_alone_costs_its_unit_alone(tmp_path):
    units = [(None, 1), (tmp_path / "marker", 2), (None, 3)]
    assert values(executors.run_units(worker_units.stop_once, units, "processes:2")) == [1, 2, 3]


def test_an_unreachable_cluster_is_an_error():
    pytest.importorskip("distributed")
    with pytest.raises(checks.InputError, match="can't be reached"):
        executors.require_reachable("dask://127.0.0.1:1")


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"", None])
def test_whatever_is_no_dask_scheduler_is_refused_in_bounded_time(answer, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr(_clusters, "_SECONDS_TO_CONNECT", 0.3)

    refused = threading.Event()

    def serve(server):
        connection, _ = server.accept()
        with connection:
            if answer is not None:
                connection.sendall(answer)
            else:
                refused.wait()  # accepts and keeps silent

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=(server,))
        thread.start()
        try:
            with pytest.raises(checks.InputError, match="can't be reached"):
                executors.require_reachable(f"dask://127.0.0.1:{server.getsockname()[1]}")
        finally:
            refused.set()
            thread.join()


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(checks.InputError, match=r"pip install 'aniso\[dask\]'"):
        executors.require_reachable("dask://127.0.0.1:8786")


def test_a_missing_mpi_is_named_before_the_work(monkeypatch):
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    monkeypatch.setitem(sys.modules, "mpi4py.futures", None)
    with pytest.raises(checks.InputError, match=r"pip install 'aniso\[mpi\]'"):
        executors.require_reachable("mpi")


def test_mpi_is_looked_for_without_meeting_its_workers(monkeypatch):
    class Futures:
        @staticmethod
        def MPIPoolExecutor():
            raise AssertionError("the workers have been met")

    monkeypatch.setitem(sys.modules, "mpi4py", Futures)
    monkeypatch.setitem(sys.modules, "mpi4py.futures", Futures)
    executors.require_reachable("mpi")


def test_a_cluster_without_workers_is_refused(monkeypatch):
    monkeypatch.setattr(_clusters, "_SECONDS_TO_CONNECT", 1)
    with (
        cluster_of(0) as address,
        pytest.raises(checks.InputError, match=r"has no workers; .* dask worker tcp://127"),
    ):
        executors.require_reachable(address)


INTERRUPTED = """
import executor_units, signal
from aniso.runs import interruptions
from analysis import units_of_work

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    work = [("fig", {{"seed": seed}}, {folder!r} + f"/{{seed}}") for seed in (4, 5, 6, 7)]
    with interruptions.handled():
        units_of_work.values("fig", executor_units.descend_until_asked, work, {executor!r})
"""


@pytest.mark.filterwarnings("ignore::aniso.runs.DirectoryInUse")
def test_after_an_interrupted_program_the_next_takes_over_on_dask(dask, tmp_path):
    (tmp_path / "program.py").write_text(INTERRUPTED.format(folder=str(tmp_path), executor=dask))
    process = subprocess.Popen(
        [sys.executable, tmp_path / "program.py"],
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
    )
    executor_units.wait_for(lambda: len(list(tmp_path.glob("*.begun"))) == 2)
    process.send_signal(signal.SIGINT)
    assert b"KeyboardInterrupt" in process.communicate(timeout=120)[1]
    begun = sorted(path.stem for path in tmp_path.glob("*.begun"))
    for seed in begun:
        # without the request the unit would hold its directory, and this be refused
        resumed = executor_units.descend((tmp_path / seed, int(seed), None))
        whole = executor_units.descend((tmp_path / f"{seed}whole", int(seed), None))
        for key, expected in whole.items():
            assert np.array_equal(resumed[key], expected, equal_nan=True), key
    time.sleep(0.5)
    assert sorted(path.stem for path in tmp_path.glob("*.begun")) == begun
    # the workers have stayed alive
    assert values(executors.run_units(worker_units.draw, [3], dask)) == [worker_units.draw(3)]


def test_the_same_numbers_come_over_mpi(tmp_path):
    pytest.importorskip("mpi4py")
    mpiexec = Path(sys.executable).with_name("mpiexec")
    if not mpiexec.exists():
        pytest.skip("no mpiexec beside this Python")
    program = (
        "import worker_units; from aniso.runs import executors\n"
        "if __name__ == '__main__':\n"
        f"    found = executors.run_units(worker_units.draw, {SEEDS}, 'mpi')\n"
        "    print([outcome.value for outcome in found])\n"
    )
    (tmp_path / "program.py").write_text(program)
    done = subprocess.run(
        [mpiexec, "-n", "3", sys.executable, "-m", "mpi4py.futures", tmp_path / "program.py"],
        capture_output=True,
        text=True,
        timeout=60,
        env=ENVIRONMENT,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str([worker_units.draw(seed) for seed in SEEDS])
