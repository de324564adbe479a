"""Cores of threads: those that help a caller stay off the core on which it runs.

When all cores are busy, if only with work of the lowest priority, Linux puts a thread that wakes up
on the core of its waker. Both then take turns there, and a second thread saves nothing.
"""

import contextlib
import ctypes
import os

# with more cores one is free nearly always
_FEW = 8


class OtherCores:
    """Threads that are kept off the core of their caller, where cores are few.

    Parameters
    ----------
    threads : list of threading.Thread
        Threads that have started.

    Notes
    -----
    It acts on Linux alone. Threads and processes that are started by a kept thread would inherit
    its cores, so that :meth:`release` comes before foreign code.
    """

    def __init__(self, threads):
        self._threads = [thread.native_id for thread in threads]
        self._cores = os.sched_getaffinity(0) if _current_core is not None else set()
        self._avoided = None

    def keep(self):
        """Keep the threads off the core of the caller."""
        if not 1 < len(self._cores) <= _FEW:
            return
        core = _current_core()
        if core != self._avoided:
            self._allow(self._cores - {core})
            self._avoided = core

    def release(self):
        """Let the threads run on all cores."""
        if self._avoided is not None:
            self._allow(self._cores)
            self._avoided = None

    def _allow(self, cores):
        # a container may forbid it, and cores may have been taken away
        with contextlib.suppress(OSError):
            for thread in self._threads:
                os.sched_setaffinity(thread, cores)


def _core_function():
    if not hasattr(os, "sched_setaffinity"):
        return None
    try:
        return ctypes.CDLL(None).sched_getcpu
    except (AttributeError, OSError):
        return None


_current_core = _core_function()
