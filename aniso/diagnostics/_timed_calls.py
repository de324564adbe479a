"""Seconds and memory of a call."""

import threading
import time

import psutil

_INTERVAL = 0.005


def timed_call(call):
    """Return the seconds of a call, and by how many bytes the process grew meanwhile at most.

    Parameters
    ----------
    call : callable
        Without arguments.

    Returns
    -------
    seconds : float
    num_bytes : int
        Sampled every five milliseconds; memory that the process held free before is not seen.
    """
    process, ended = psutil.Process(), threading.Event()
    before = process.memory_info().rss
    largest = [before]

    def watch():
        while not ended.wait(_INTERVAL):
            largest[0] = max(largest[0], process.memory_info().rss)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    start = time.perf_counter()
    try:
        call()
        seconds = time.perf_counter() - start
        largest[0] = max(largest[0], process.memory_info().rss)
    finally:
        ended.set()
        watcher.join()
    return seconds, largest[0] - before
