"""Ensembles cut into cells of CELL paths, computed on threads and handed back in order.

A cell is the unit of the sums: whoever adds the cells up in their order gets the same bits on any
number of threads. Kernels release the interpreter's lock, so plain threads are enough.
"""

from collections import deque
from concurrent.futures import ThreadPoolExecutor

from aniso import checks, cores

CELL = 256
"""Paths in a cell; a multiple of the lanes of a kernel."""


def in_order(work, num_paths, num_threads=None, *, first_cell=0, cell=CELL):
    """Results of ``work(first_path, count)`` for one cell after the other.

    Parameters
    ----------
    work : callable
        Called once per cell, from any thread; the cells may be computed in any order.
    num_paths : int
        Paths in all; the last cell may be smaller than the others.
    num_threads : int, optional
        Threads to use; the number of CPUs this process may run on if not given.
    first_cell : int
        Cell to begin with.
    cell : int
        Paths in a cell.

    Yields
    ------
    object
        What `work` returned, in the order of the cells. At most a few cells per thread are
        waiting at any time, so the memory does not grow with `num_paths`.

    Examples
    --------
    >>> list(in_order(lambda first, count: (first, count), 300))
    [(0, 256), (256, 44)]
    """
    starts = range(first_cell * cell, num_paths, cell)
    threads = min(thread_count(num_threads), max(1, len(starts)))
    batch = max(1, min(16, len(starts) // (4 * threads)))

    def run(batch_starts):
        return [work(start, min(cell, num_paths - start)) for start in batch_starts]

    batches = [starts[i : i + batch] for i in range(0, len(starts), batch)]
    if threads == 1:
        for batch_starts in batches:
            yield from run(batch_starts)
        return
    with ThreadPoolExecutor(threads) as pool:
        waiting = deque()
        try:
            for batch_starts in batches:
                waiting.append(pool.submit(run, batch_starts))
                if len(waiting) > 2 * threads:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def thread_count(num_threads):
    """`num_threads`, or the number of CPUs this process may run on where it is None.

    Examples
    --------
    >>> thread_count(0)
    Traceback (most recent call last):
        ...
    aniso.checks.InputError: num_threads=0; expected an integer with 1 <= num_threads
    """
    if num_threads is None:
        return cores.available()
    return checks.integer("num_threads", num_threads, low=1)
