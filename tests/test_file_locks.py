"""Locks: one holder at a time, the next one afterwards, and nothing left behind."""

import threading
import time

import pytest

from aniso.runs import file_locks


def test_a_lock_that_is_held_is_refused_or_waited_for(tmp_path):
    path, events = tmp_path / "lock", []
    lock = file_locks.acquire(path, wait=False)
    with pytest.raises(BlockingIOError):
        file_locks.acquire(path, wait=False)

    def wait():
        file_locks.acquire(path, wait=True).release()
        events.append("had")

    waiting = threading.Thread(target=wait)
    waiting.start()
    time.sleep(0.2)  # enough for one that does not wait
    events.append("released")
    lock.release()
    waiting.join()
    assert events == ["released", "had"]


def test_many_threads_hold_a_vanishing_lock_one_after_the_other(tmp_path):
    """Without the look at what the path leads to, two would hold two files of the same name."""
    path, counted, inside = tmp_path / "lock", [], []

    def count():
        for _ in range(50):
            with file_locks.held(path):
                inside.append(1)
                counted.append(len(inside))
                time.sleep(1e-4)  # time for another one to come in
                inside.pop()

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counted == [1] * 200
    assert list(tmp_path.iterdir()) == []


def test_the_lock_goes_when_the_block_fails(tmp_path):
    with pytest.raises(KeyError), file_locks.held(tmp_path / "lock"):
        raise KeyError
    assert list(tmp_path.iterdir()) == []
