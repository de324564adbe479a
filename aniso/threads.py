"""Threads over chunks of examples, each with a single-threaded BLAS.

Two threads that each run their own small matrix products use both cores where one product on two
BLAS threads is too small for them, and lose far less when another process holds a core. Results
come back in the order of the chunks, so sums over them do not depend on the number of threads.
"""

import functools
import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor

import scipy.linalg.blas  # noqa: F401  (loads SciPy's own BLAS before the libraries are counted)
from threadpoolctl import ThreadpoolController

from aniso import checks, cores


class Workers:
    """A pool of threads; made once, its threads start with the first task.

    A forked process starts threads of its own: it has none of its parent's.

    Parameters
    ----------
    num_threads : int, optional
        All cores available to the process if not given.

    Examples
    --------
    >>> Workers(2).map(abs, [-1, -2, -3])
    [1, 2, 3]
    """

    def __init__(self, num_threads=None):
        if num_threads is None:
            num_threads = cores.available()
        self.num_threads = checks.integer("num_threads", num_threads, low=1)
        self._pool = self._process = None

    def __reduce__(self):
        # threads belong to one process: a copy starts its own
        return type(self), (self.num_threads,)

    def map(self, function, items):
        """``[function(item) for item in items]`` on the threads, in the order of the items."""
        return list(self._results(function, items))

    def sum(self, function, items):
        """Sum of ``function(item)`` over the items, in their order; arrays are added in place.

        Parts are added as they arrive: one more than there are threads may wait.
        """
        total = None
        for part in self._results(function, items):
            if total is None:
                total = part
            else:
                total += part
        return total

    def _results(self, function, items):
        items = list(items)
        with blas_threads(1):
            if self.num_threads == 1 or len(items) < 2:
                yield from map(function, items)
                return
            pool = self._running_pool()
            # a task starts when a result has gone: results that wait don't grow with the items
            waiting = deque()
            try:
                for item in items:
                    if len(waiting) > self.num_threads:
                        yield waiting.popleft().result()
                    waiting.append(pool.submit(function, item))
                while waiting:
                    yield waiting.popleft().result()
            finally:
                for task in waiting:
                    task.cancel()

    def _running_pool(self):
        # a fork copies the pool but not its threads: tasks given to the copy would wait for ever
        if self._pool is None or self._process != os.getpid():
            self._pool = ThreadPoolExecutor(self.num_threads, thread_name_prefix="aniso")
            self._process = os.getpid()
        return self._pool


@functools.cache
def _controller():
    # finding the libraries takes milliseconds: once per process
    return ThreadpoolController().select(user_api="blas")


def blas_threads(number):
    """Context in which BLAS uses `number` threads."""
    return _controller().limit(limits=number)
