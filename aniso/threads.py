"""The one pool of threads: results in the order of the items, and a Ctrl-C that ends promptly.

Two threads that each run small matrix products use both cores. One product on two BLAS threads is
too small for that. Sums do not depend on the number of threads, because parts are added in the
order of the items.
"""

import contextlib
import itertools
import os
import queue
import threading
import weakref
from collections import deque
from concurrent.futures import Future, wait

from aniso import checks
from aniso._blas_threads import blas_threads
from aniso._cores import OtherCores

__all__ = ["Workers", "available_cores", "blas_threads", "thread_count"]


def available_cores():
    """Return the number of processor cores that this process may use, at least 1.

    Notes
    -----
    Linux reports the cores on which a process may run; macOS and Windows only how many there are.

    Examples
    --------
    >>> available_cores() >= 1
    True
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def thread_count(num_threads):
    """Return `num_threads`, or the number of available cores where it is None.

    Raises
    ------
    InputError
        If `num_threads` is neither None nor an integer of at least 1.

    Examples
    --------
    >>> thread_count(0)
    Traceback (most recent call last):
        ...
    aniso.checks.InputError: num_threads=0; expected an integer with 1 <= num_threads
    """
    if num_threads is None:
        return available_cores()
    return checks.integer("num_threads", num_threads, low=1)


class Workers:
    """A number of threads, which start with the first task.

    Parameters
    ----------
    num_threads : int, optional
        All cores available to the process if not given.

    Notes
    -----
    A forked process and a copy start threads of their own. After an exception, Ctrl-C included,
    tasks that have not begun are cancelled. Tasks that run are not waited for, and the end of the
    process does not wait for them either.

    Examples
    --------
    >>> Workers(2).map(abs, [-1, -2, -3])
    [1, 2, 3]
    """

    def __init__(self, num_threads=None):
        self.num_threads = thread_count(num_threads)
        self._pool = None

    def __reduce__(self):
        # threads belong to one process
        return type(self), (self.num_threads,)

    def map(self, function, items):
        """Return ``[function(item) for item in items]``, each with one BLAS thread."""
        items = list(items)
        if len(items) == 1:
            with blas_threads(1):
                return [function(items[0])]
        with blas_threads(1), contextlib.closing(self.in_order(function, items)) as results:
            return list(results)

    def sum(self, function, items):
        """Return the sum of ``function(item)`` in the order of the items; None without items.

        The first part is the sum, to which the others are added in place. At most one part more
        than there are threads waits to be added.
        """
        items = list(items)
        if len(items) == 1:
            with blas_threads(1):
                return function(items[0])
        total = None
        with blas_threads(1), contextlib.closing(self.in_order(function, items)) as results:
            for part in results:
                if total is None:
                    total = part
                else:
                    total += part
        return total

    def share(self, tasks):
        """Call every task once, on the threads and by the caller, and return when all have ended.

        The caller takes tasks like any thread, so that nothing waits for a thread that is busy
        elsewhere. The threads stay off the caller's core. BLAS keeps its number of threads. After
        an exception, tasks that have not begun are left out, and those that run are waited for.

        Parameters
        ----------
        tasks : list of callable
            Tasks that write to memory of their own, in the order in which they begin.
        """
        helpers = min(self.num_threads, len(tasks)) - 1
        if helpers < 1:
            for task in tasks:
                task()
            return
        share = _Share(tasks)
        pool = self._running_pool()
        pool.cores.keep()
        for _ in range(helpers):
            pool.assist(share)
        try:
            share.work()
        finally:
            share.wait()

    def in_order(self, function, items, *, num_waiting=None, stop=None):
        """Yield ``function(item)`` for each item, in the order of the items.

        Parameters
        ----------
        function : callable
            Called on the threads, or by the caller where one thread is enough.
        items : iterable
            Arguments of the function.
        num_waiting : int, optional
            Results that may wait for their turn; as many as threads if not given.
        stop : threading.Event, optional
            For tasks that look at it and end early once it is set. It is set when the results end
            or an exception interrupts them, and then all tasks are waited for. Such tasks never
            run on the main thread, which alone receives Ctrl-C.
        """
        items = list(items)
        on_main = threading.current_thread() is threading.main_thread()
        if (self.num_threads == 1 or len(items) < 2) and (stop is None or not on_main):
            yield from map(function, items)
            return
        num_waiting = self.num_threads if num_waiting is None else num_waiting
        pool, begun, is_complete = self._running_pool(), deque(), False
        try:
            for item in items:
                if len(begun) > num_waiting:
                    yield _taken(begun)
                begun.append(pool.submit(function, item))
            while begun:
                yield _taken(begun)
            is_complete = True
        finally:
            if stop is not None:
                stop.set()
            if stop is not None or not is_complete:
                # the next tasks get new threads, and do not wait for those that still run
                self._pool = None
                for task in begun:
                    task.cancel()
                pool.close()
            if stop is not None:
                pool.join()

    def _running_pool(self):
        # a fork copies the pool but not its threads
        if self._pool is None or self._pool.process != os.getpid():
            self._pool = _Pool(self.num_threads)
        return self._pool


_SECONDS_BETWEEN_LOOKS = 0.5


def _taken(begun):
    """Wait for the first task of a deque, remove it and return its result."""
    task = begun[0]
    while not task.done():
        # a signal that another thread received does not end a wait without a limit
        wait([task], timeout=_SECONDS_BETWEEN_LOOKS)
    begun.popleft()
    return task.result()


class _Share:
    """Tasks that several threads take from one list, each when it has ended its last."""

    def __init__(self, tasks):
        self._pending, self._error = deque(tasks), None
        # next() of a count is atomic
        self._remaining, self._ended = itertools.count(len(tasks) - 1, -1), threading.Lock()
        self._ended.acquire()

    def work(self):
        """Run pending tasks until there is none."""
        while True:
            try:
                task = self._pending.popleft()
            except IndexError:
                return
            try:
                if self._error is None:
                    task()
            except BaseException as error:
                self._error = error
            finally:
                if next(self._remaining) == 0:
                    self._ended.release()

    def wait(self):
        """Wait for the tasks of all threads; raise the exception of one that failed."""
        try:
            self._ended.acquire()
        except BaseException as error:  # Ctrl-C; the other threads end their tasks first
            self._error = error
            self._ended.acquire()
        if self._error is not None:
            raise self._error


class _Pool:
    """Threads that take tasks from one queue and end with this object."""

    def __init__(self, num_threads):
        self.process, self._tasks = os.getpid(), queue.SimpleQueue()
        # the end of the interpreter waits for threads that are no daemons
        self._threads = [
            threading.Thread(target=_serve, args=(self._tasks,), name="aniso", daemon=True)
            for _ in range(num_threads)
        ]
        for thread in self._threads:
            thread.start()
        self.cores = OtherCores(self._threads)
        self.close = weakref.finalize(self, _end, self._tasks, num_threads)

    def submit(self, function, item):
        """Queue ``function(item)`` and return its future."""
        future = Future()
        self.cores.release()
        self._tasks.put((future, function, item))
        return future

    def assist(self, share):
        """Let one of the threads take part in a share."""
        self._tasks.put((None, share.work, None))

    def join(self):
        """Wait until all threads have ended, after ``close``."""
        for thread in self._threads:
            thread.join()


def _serve(tasks):
    while (task := tasks.get()) is not None:
        _run(*task)
        # an idle thread keeps no arrays alive
        del task


def _run(future, function, item):
    if future is None:
        function()
        return
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(function(item))
    except BaseException as error:
        future.set_exception(error)
    finally:
        # the traceback of an exception holds this frame
        del future, function, item


def _end(tasks, num_threads):
    for _ in range(num_threads):
        tasks.put(None)
