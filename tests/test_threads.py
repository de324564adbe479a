"""The pool of threads: order, sums, errors, and a Ctrl-C that does not wait for running tasks."""

import os
import subprocess
import sys
import threading

import pytest

from aniso import threads


@pytest.mark.parametrize("num_threads", [1, 2, 5])
def test_results_come_in_the_order_of_the_items(num_threads):
    workers = threads.Workers(num_threads)
    texts = list("abcdefghijkl")
    for _ in range(2):
        assert workers.map(str.upper, texts) == list("ABCDEFGHIJKL")
        # addition of texts is not commutative
        assert workers.sum(str.upper, texts) == "ABCDEFGHIJKL"
    assert workers.sum(str.upper, []) is None


def test_an_error_cancels_what_has_not_begun_and_leaves_the_workers_usable():
    workers, begun, release = threads.Workers(2), [], threading.Event()

    def compute(item):
        begun.append(item)
        if item == 0:
            raise ValueError("item 0")
        # the other thread is busy until the error has been raised
        assert release.wait(60)

    with pytest.raises(ValueError, match="item 0"):
        workers.map(compute, range(100))
    # of the three items that were queued, the threads may have begun all
    assert set(begun) <= {0, 1, 2}
    # new threads: those that wait are not asked
    assert workers.map(abs, [-1, -2, -3]) == [1, 2, 3]
    release.set()


def test_tasks_with_a_stop_have_ended_when_the_error_arrives():
    stop, ended, before = threading.Event(), [], set(threading.enumerate())

    def compute(item):
        if item == 0:
            raise ValueError("item 0")
        assert stop.wait(60)
        ended.append(item)

    workers = threads.Workers(3)
    with pytest.raises(ValueError, match="item 0"):
        list(workers.in_order(compute, range(3), stop=stop))
    # a task that had not begun was cancelled
    assert set(ended) <= {1, 2}
    assert set(threading.enumerate()) <= before


@pytest.mark.skipif(sys.platform != "linux", reason="cores of threads are those of Linux")
def test_threads_that_share_stay_off_the_core_of_the_caller_and_others_do_not():
    cores, caller = os.sched_getaffinity(0), threading.get_ident()
    if not 1 < len(cores) <= 8:
        pytest.skip("one core, or many")
    workers, both, seen = threads.Workers(2), threading.Barrier(2), []

    def look():
        both.wait(60)
        if threading.get_ident() != caller:
            seen.append(os.sched_getaffinity(0))

    for _ in range(2):
        workers.share([look, look])
        # what foreign code starts would inherit the cores of the thread
        assert workers.map(lambda _: os.sched_getaffinity(0), range(4)) == [cores] * 4
    assert [len(found) for found in seen] == [len(cores) - 1] * 2
    assert os.sched_getaffinity(0) == cores


INTERRUPTED = """
import os, signal, threading
from aniso import threads
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job inherits it ignored
never = threading.Event()
both_run = threading.Barrier(2)
def compute(item):
    both_run.wait()
    if item == 0:
        os.kill(os.getpid(), signal.SIGINT)
    never.wait()
threads.Workers(2).{method}(compute, range(10))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals are those of POSIX")
@pytest.mark.parametrize("method", ["map", "sum"])
def test_ctrl_c_ends_a_process_whose_tasks_never_end(method):
    # the limit is no measurement, it only ends a test that fails
    found = subprocess.run(
        [sys.executable, "-c", INTERRUPTED.format(method=method)],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "KeyboardInterrupt" in found.stderr
    assert found.returncode != 0
