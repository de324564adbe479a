"""Processes on this machine whose units stop on request, and which never outlive their parent."""

import contextlib
import multiprocessing
import os
import pickle
import queue
import signal
import threading
import time
from concurrent.futures import (
    BrokenExecutor,
    CancelledError,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
)

from aniso import interruptions, sent_results

_BLAS_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_SECONDS_TO_STOP = 120
_SECONDS_TO_FOLLOW = 2
# not SIGTERM: a worker may have that from whoever signals the group, and a second one never waits
_STOP = signal.SIGUSR1
_REQUESTS = (*interruptions.SIGNALS, _STOP)


@contextlib.contextmanager
def opened(num_processes):
    """Processes with one BLAS thread each, behind an object with ``submit``.

    Parameters
    ----------
    num_processes : int

    Notes
    -----
    A unit has a process to itself while it runs: whatever ends that process fails this unit, by
    BrokenExecutor, and no other; the next unit finds a new process.

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
    pool = _Pool(num_processes)
    try:
        yield pool
    except BaseException:
        pool.stop()
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
    """Threads that each hand one unit after the other to a process that does nothing else."""

    def __init__(self, num_processes):
        self.threads = ThreadPoolExecutor(num_processes)
        self.idle = queue.SimpleQueue()  # processes without a unit
        self.starting, self.stopped = threading.Lock(), threading.Event()

    def submit(self, function, *arguments):
        return self.threads.submit(self._run, function, *arguments)

    def stop(self):
        """No unit begins any more."""
        with self.starting:
            self.stopped.set()
        self.threads.shutdown(wait=False, cancel_futures=True)

    def shutdown(self):
        self.threads.shutdown()
        while not self.idle.empty():
            self.idle.get().shutdown()

    def _run(self, function, *arguments):
        try:
            process = self.idle.get_nowait()
        except queue.Empty:
            context = multiprocessing.get_context("spawn")
            process = ProcessPoolExecutor(1, context, initializer=_begin_worker)
        try:
            content = self._begin(process, function, *arguments).result()
        except (BrokenExecutor, KeyboardInterrupt):  # dead, or told to stop
            process.shutdown()
            # who ended it may be about to end the program: begin nothing new before that is known
            self.stopped.wait(_SECONDS_TO_FOLLOW)
            raise
        except BaseException:
            self.idle.put(process)
            raise
        self.idle.put(process)
        return pickle.loads(content)

    def _begin(self, process, function, *arguments):
        with self.starting:
            if self.stopped.is_set():
                raise CancelledError("the pool has been stopped")
            # a process is born with these blocked, and hears them once it has its handlers
            kept = signal.pthread_sigmask(signal.SIG_BLOCK, _REQUESTS)
            try:
                return process.submit(_work, function, *arguments)
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, kept)


_working = threading.Event()
_lifetime = contextlib.ExitStack()


def _begin_worker():
    # between units a request is only noted: an idle worker ends with its pool
    _lifetime.enter_context(interruptions.handled(waiting=True, signals=_REQUESTS))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _REQUESTS)
    threading.Thread(target=_leave_with_parent, daemon=True).start()


def _work(function, *arguments):
    _working.set()
    try:
        with interruptions.handled():
            if interruptions.requested():
                raise KeyboardInterrupt
            return sent_results.called_and_pickled(function, *arguments)
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
