"""Processes on this machine whose units stop on request, and which never outlive their parent."""

import _thread
import contextlib
import multiprocessing
import multiprocessing.connection
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

from aniso.runs import interruptions, _sent_results

_BLAS_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_SECONDS_TO_STOP = 120
# not SIGTERM: a worker may have that from whoever signals the group, and a second one never waits
_STOP = getattr(signal, "SIGUSR1", signal.SIGTERM)  # Windows has no other
_REQUESTS = tuple({*interruptions.SIGNALS, _STOP})


@contextlib.contextmanager
def opened(num_processes):
    """Processes with one BLAS thread each, behind an object with ``submit``.

    Parameters
    ----------
    num_processes : int

    Notes
    -----
    A unit has a process to itself while it runs: whatever ends that process fails this unit, by
    BrokenExecutor, and no other; the next unit finds a new process. It begins when the caller has
    called ``resume`` of the pool in its main thread: a signal that ended the process may have been
    meant for the program, which then hears it first.

    When the block ends by an exception, Ctrl-C included, units that run are asked to stop (see
    :mod:`aniso.runs.interruptions`) and the others never start. When this process dies, its workers
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
    pool = _Pool(num_processes)
    try:
        yield pool
    except BaseException:
        pool.stop()
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
        self.context = multiprocessing.get_context("spawn")
        # the workers' end of the pipe sees when this end is closed, on request or by death
        self.workers_end, self.own_end = self.context.Pipe(duplex=False)
        self.idle = queue.SimpleQueue()  # processes without a unit
        self.state, self.num_lost, self.stopped = threading.Condition(), 0, False

    def submit(self, function, *arguments):
        return self.threads.submit(self._run, function, *arguments)

    def resume(self):
        """Let units begin again after one was lost: once for each, from the main thread."""
        with self.state:
            self.num_lost = max(0, self.num_lost - 1)
            self.state.notify_all()

    def stop(self):
        """No unit begins any more, and those that run are asked to stop."""
        with self.state:
            self.stopped = True
            self.state.notify_all()
        self.threads.shutdown(wait=False, cancel_futures=True)
        self.own_end.close()

    def shutdown(self):
        self.threads.shutdown()
        while not self.idle.empty():
            self.idle.get().shutdown()
        self.own_end.close()
        self.workers_end.close()

    def _run(self, function, *arguments):
        try:
            process = self.idle.get_nowait()
        except queue.Empty:
            process = ProcessPoolExecutor(
                1, self.context, initializer=_begin_worker, initargs=(self.workers_end,)
            )
        try:
            content = self._begin(process, function, *arguments).result()
        except (BrokenExecutor, KeyboardInterrupt):  # dead, or told to stop
            self._lose()
            process.shutdown()
            raise
        except BaseException:
            self.idle.put(process)
            raise
        self.idle.put(process)
        return pickle.loads(content)

    def _lose(self):
        # who ended this worker may have signalled the program too: nothing begins before the main
        # thread, which hears signals before all else, has taken note of the loss
        with self.state:
            self.num_lost += 1

    def _begin(self, process, function, *arguments):
        with self.state:
            self.state.wait_for(lambda: self.stopped or self.num_lost == 0)
            if self.stopped:
                raise CancelledError("the pool has been stopped")
            with _requests_wait():
                return process.submit(_work, function, *arguments)


@contextlib.contextmanager
def _requests_wait():
    """A process that is born here hears no request before it has its handlers."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    kept = signal.pthread_sigmask(signal.SIG_BLOCK, _REQUESTS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, kept)


_working = threading.Event()
_lifetime = contextlib.ExitStack()


def _begin_worker(pool_end):
    # between units a request is only noted: an idle worker ends with its pool
    _lifetime.enter_context(interruptions.handled(waiting=True, signals=_REQUESTS))
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _REQUESTS)
    threading.Thread(target=_leave_with_pool, args=(pool_end,), daemon=True).start()


def _work(function, *arguments):
    _working.set()
    try:
        with interruptions.handled():
            if interruptions.requested():
                raise KeyboardInterrupt
            return _sent_results.called_and_pickled(function, *arguments)
    finally:
        _working.clear()


def _leave_with_pool(pool_end):
    multiprocessing.connection.wait([pool_end])  # nothing is ever sent: the other end was closed
    _ask_main_thread_to_stop()
    # an orphan would finish its unit, keep the run directory locked, and wait for ever
    multiprocessing.parent_process().join()
    end = time.monotonic() + _SECONDS_TO_STOP
    while _working.is_set() and time.monotonic() < end:
        time.sleep(0.05)
    os._exit(1)


def _ask_main_thread_to_stop():
    if hasattr(signal, "pthread_kill"):  # interrupts what the system does for the thread
        signal.pthread_kill(threading.main_thread().ident, _STOP)
    else:
        _thread.interrupt_main(_STOP)
