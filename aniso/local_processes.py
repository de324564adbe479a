"""Processes on this machine whose units stop on request, and which never outlive their parent."""

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from concurrent.futures import ProcessPoolExecutor

from aniso import interruptions

_BLAS_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_SECONDS_TO_STOP = 120
# not SIGTERM: a worker may have that from whoever signals the group, and a second one never waits
_STOP = signal.SIGUSR1


@contextlib.contextmanager
def opened(num_processes):
    """A pool of processes with one BLAS thread each, an object with ``submit``.

    Parameters
    ----------
    num_processes : int

    Notes
    -----
    When the block ends by an exception, Ctrl-C included, units that run are asked to stop (see
    :mod:`aniso.interruptions`) and the others never start. When this process dies, its workers
    stop in the same way instead of holding their run directories.

    Examples
    --------
    >>> with opened(1) as pool:
    ...     pool.submit(abs, -2).result()
    2
    """
    # the children read these before NumPy loads: no two libraries of threads on one core
    kept = {name: os.environ.get(name) for name in _BLAS_VARIABLES}
    os.environ.update(dict.fromkeys(_BLAS_VARIABLES, "1"))
    before = set(multiprocessing.active_children())
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(num_processes, context, initializer=_begin_worker)
    try:
        yield _Pool(pool)
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for child in set(multiprocessing.active_children()) - before:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child.pid, _STOP)
        raise
    finally:
        pool.shutdown()
        for name, value in kept.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


class _Pool:
    """A pool whose units stop on request."""

    def __init__(self, pool):
        self.pool = pool

    def submit(self, function, *arguments):
        return self.pool.submit(_work, function, *arguments)


_working = threading.Event()
_lifetime = contextlib.ExitStack()


def _begin_worker():
    # between units a request is only noted: an idle worker ends with its pool
    _lifetime.enter_context(
        interruptions.handled(waiting=True, signals=(*interruptions.SIGNALS, _STOP))
    )
    threading.Thread(target=_leave_with_parent, daemon=True).start()


def _work(function, *arguments):
    _working.set()
    try:
        with interruptions.handled():
            if interruptions.requested():
                raise KeyboardInterrupt
            return function(*arguments)
    finally:
        _working.clear()


def _leave_with_parent():
    # an orphan would finish its unit, keep the run directory locked, and wait for ever
    multiprocessing.parent_process().join()
    os.kill(os.getpid(), _STOP)
    end = time.monotonic() + _SECONDS_TO_STOP
    while _working.is_set() and time.monotonic() < end:
        time.sleep(0.05)
    os._exit(1)
