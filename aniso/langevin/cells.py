"""Ensembles split into cells of CELL paths, computed on threads and returned in order.

Sums over an ensemble add the cells in their order. So the result has the same bits on any number
of threads. Kernels release the interpreter's lock, so plain threads are enough.

A kernel computes a cell in slices of about SLICE_SECONDS. Between two slices a thread can stop, and
the state of the cell can be stored. A slice ends between two steps, and the arrays of the cell hold
everything that the next slice needs. So the division into slices doesn't change any bit.
"""

import contextlib
import threading
import time
from dataclasses import dataclass

from aniso.threads import Workers, thread_count

CELL = 256
"""Paths in a cell; a multiple of the lanes of a kernel."""

SLICE_SECONDS = 0.05
"""Time that a kernel runs without a pause; a single step may take longer."""

FIRST_SLICE = 1
"""Steps of the first slice, when nothing is known yet of the time that a step takes."""

LARGEST_GROWTH = 64.0
"""Bound on the ratio of the numbers of steps of two consecutive slices."""


@dataclass(frozen=True)
class Work:
    """Computation of a cell in any number of slices.

    Attributes
    ----------
    begin : callable
        ``begin(first_path, count)`` makes the arrays of a cell, a dict by name. They are the
        whole state between two slices. An array whose name begins with an underscore can be
        recomputed and is not stored.
    advance : callable
        ``advance(first_path, count, arrays, num_steps)`` advances by at most `num_steps` steps
        and returns whether the cell is finished. Any thread may call it.
    """

    begin: object
    advance: object


class _Pace:
    """Number of steps in a slice, from the time that the last slices took."""

    def __init__(self):
        self.num_steps = FIRST_SLICE

    def advance(self, work, first_path, count, arrays):
        """One slice; returns whether the cell is finished."""
        num_steps = self.num_steps
        begin = time.perf_counter()
        is_finished = work.advance(first_path, count, arrays, num_steps)
        factor = SLICE_SECONDS / max(time.perf_counter() - begin, 1e-9)
        # a slice that ended with its cell gives only a lower bound of the time
        if factor < 1.0 or not is_finished:
            self.num_steps = max(1, int(num_steps * min(LARGEST_GROWTH, factor)))
        return is_finished


def in_order(
    work, num_paths, num_threads=None, *, first_cell=0, cell=CELL, unfinished=None, watch=None
):
    """Arrays of one finished cell after the other.

    Parameters
    ----------
    work : Work
        The cells may be computed in any order.
    num_paths : int
        Number of paths of the ensemble; the last cell may be smaller than the others.
    num_threads : int, optional
        Threads to use; the number of CPUs this process may run on if not given.
    first_cell : int
        Cell to begin with.
    cell : int
        Paths in a cell.
    unfinished : dict of int to dict, optional
        Arrays of cells that were begun earlier, by their first path.
    watch : callable, optional
        ``watch(first_path, arrays, is_finished)`` is called after every slice, on its thread.

    Yields
    ------
    dict of str to numpy.ndarray
        The arrays of the cells, in their order. At most a few cells per thread are waiting at any
        time, so the memory does not grow with `num_paths`.

    Notes
    -----
    An exception in the calling thread, KeyboardInterrupt among them, ends all threads after their
    present slice.

    Examples
    --------
    >>> def begin(first_path, count):
    ...     return {"paths": [first_path, count]}
    >>> work = Work(begin, lambda first_path, count, arrays, num_steps: True)
    >>> [arrays["paths"] for arrays in in_order(work, 300)]
    [[0, 256], [256, 44]]
    """
    starts = range(first_cell * cell, num_paths, cell)
    threads = min(thread_count(num_threads), max(1, len(starts)))
    # watched cells are returned one by one, without waiting for a batch
    batch = 1 if watch else max(1, min(16, len(starts) // (4 * threads)))
    begun = dict(unfinished or {})
    pace, stop = _Pace(), threading.Event()

    def finish(start):
        count = min(cell, num_paths - start)
        arrays = begun.pop(start) if start in begun else work.begin(start, count)
        is_finished = False
        while not (is_finished or stop.is_set()):
            is_finished = pace.advance(work, start, count, arrays)
            if watch:
                watch(start, arrays, is_finished)
        return {name: array for name, array in arrays.items() if not name.startswith("_")}

    def run(batch_starts):
        return [finish(start) for start in batch_starts]

    batches = [starts[i : i + batch] for i in range(0, len(starts), batch)]
    if threading.current_thread() is threading.main_thread():
        # compile or load the kernel here, where Ctrl-C can interrupt that
        first_count = min(cell, num_paths - starts[0])
        if starts[0] not in begun:
            begun[starts[0]] = work.begin(starts[0], first_count)
        work.advance(starts[0], first_count, begun[starts[0]], 0)
    results = Workers(threads).in_order(run, batches, num_waiting=2 * threads, stop=stop)
    with contextlib.closing(results):
        for finished in results:
            yield from finished
