"""Processes on this machine that stop on request and end with their parent."""

import _thread
import contextlib
import multiprocessing
import multiprocessing.connection
import multiprocessing.context
import os
import signal
import threading
import time
from concurrent.futures import ProcessPoolExecutor

from aniso.runs import interruptions

_BLAS_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_SECONDS_TO_STOP = 120
# not SIGTERM: a worker may have that from a signal to its group, and a second one never waits
_STOP = getattr(signal, "SIGUSR1", signal.SIGTERM)  # Windows has no other
_REQUESTS = tuple({*interruptions.SIGNALS, _STOP})


class _Process(multiprocessing.context.SpawnProcess):
    """A process that a broken pool can end: workers do not heed SIGTERM between functions."""

    def terminate(self):
        self.kill()


class _Context(multiprocessing.context.SpawnContext):
    Process = _Process


class Processes(ProcessPoolExecutor):
    """A pool of spawned processes with one BLAS thread each.

    Parameters
    ----------
    num_processes : int
        Largest number of processes at a time. A process starts when a function needs it.

    Notes
    -----
    The ``with`` block may end by an exception, for instance by Ctrl-C. Then running functions get a
    request to stop, see :mod:`aniso.runs.interruptions`, and the other functions never start. The
    same happens when this process dies. A function that does not stop is killed after two minutes.
    Where one worker dies, the pool is broken and the others are killed.

    Examples
    --------
    >>> with Processes(1) as pool:
    ...     pool.submit(abs, -2).result()
    2
    """

    def __init__(self, num_processes):
        context = _Context()
        # the workers see when the end of this process is closed, on request or by death
        self.end_of_workers, self.own_end = context.Pipe(duplex=False)
        super().__init__(
            num_processes, context, initializer=_begin_worker, initargs=(self.end_of_workers,)
        )

    def submit(self, function, *arguments):
        """Return the future of ``function(*arguments)``."""
        with _requests_wait():  # until a process that is born here has its handlers
            return super().submit(_work, function, *arguments)

    def __exit__(self, kind, *_):
        if kind is not None:
            self.own_end.close()
        self.shutdown(cancel_futures=kind is not None)
        self.own_end.close()
        self.end_of_workers.close()


@contextlib.contextmanager
def _requests_wait():
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    kept = signal.pthread_sigmask(signal.SIG_BLOCK, _REQUESTS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, kept)


_working = threading.Event()
_stopping = threading.Event()


def _begin_worker(pool_end):
    # for libraries that load later; those that are loaded are limited where a unit begins
    os.environ.update(dict.fromkeys(_BLAS_VARIABLES, "1"))
    for number in _REQUESTS:  # between functions: an idle worker ends with its pool
        signal.signal(number, _nothing)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _REQUESTS)
    threading.Thread(target=_leave_with_pool, args=(pool_end,), daemon=True).start()


def _nothing(*_):
    pass


def _work(function, *arguments):
    _working.set()
    try:
        with interruptions.handled(signals=_REQUESTS):
            if _stopping.is_set():
                raise KeyboardInterrupt
            return function(*arguments)
    finally:
        _working.clear()


def _leave_with_pool(pool_end):
    multiprocessing.connection.wait([pool_end])  # nothing is ever sent: the other end was closed
    _stopping.set()
    if hasattr(signal, "pthread_kill"):  # interrupts a system call of the main thread
        signal.pthread_kill(threading.main_thread().ident, _STOP)
    else:
        _thread.interrupt_main(_STOP)
    # an orphan would finish its work, keep the run directory locked, and wait for ever
    multiprocessing.parent_process().join()
    end = time.monotonic() + _SECONDS_TO_STOP
    while _working.is_set() and time.monotonic() < end:
        time.sleep(0.05)
    os._exit(1)
