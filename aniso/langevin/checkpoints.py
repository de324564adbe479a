"""Sums over the cells of an ensemble that survive the death of their process.

A file holds the state after the first n cells, the cells that were begun after these, and the
fingerprint of the experiment. The file is either complete or absent. It is written at intervals of
time, also in the middle of a cell. So few long paths are saved as often as many short ones. Cells
are added in their order, and random streams have no state. So a resumed run ends with the same bits
as an uninterrupted one.
"""

import json
import threading
import time
from pathlib import Path

from aniso import checks
from aniso.langevin import cells, experiment_identity
from aniso.runs import array_files, files

SECONDS_BETWEEN_SAVES = 2.0


def fold(
    work,
    add,
    state,
    num_paths,
    *,
    num_threads=None,
    checkpoint=None,
    experiment=(),
    cell_size=cells.CELL,
    stage=0,
):
    """Add the arrays of all cells to `state`, in order.

    Parameters
    ----------
    work : aniso.langevin.cells.Work
        Computes a cell; called from any thread.
    add : callable
        ``add(state, first_path, arrays)`` puts one finished cell into the state.
    state : dict of str to numpy.ndarray
        Changed in place.
    num_paths, num_threads : int
        As in :func:`aniso.langevin.cells.in_order`.
    checkpoint : path-like, optional
        File from which to resume, and in which to save every few seconds and at the end.
    experiment : tuple
        All that the result depends on: numbers, text, None, arrays and functions. Looked into
        only where there is a checkpoint.
    cell_size : int
        Paths in a cell.
    stage : int
        Number of this sum, if an experiment has several that share one file. The state of a later
        stage contains all results of the earlier stages that it needs.

    Returns
    -------
    bool
        False where the file belongs to a later stage. The state has not been changed then.

    Raises
    ------
    InputError
        If the checkpoint can't be written, can't be read, or belongs to another experiment. If a
        function of the experiment reaches something that can't be identified.

    Examples
    --------
    >>> import numpy as np
    >>> state = {"paths": np.zeros(1)}
    >>> def begin(first_path, count):
    ...     return {"count": np.array([count])}
    >>> def add(state, first_path, arrays):
    ...     state["paths"] += arrays["count"]
    >>> work = cells.Work(begin, lambda first_path, count, arrays, num_steps: True)
    >>> fold(work, add, state, 300, num_threads=1)
    True
    >>> state["paths"]
    array([300.])
    """
    if checkpoint is None:
        for cell, arrays in enumerate(cells.in_order(work, num_paths, num_threads, cell=cell_size)):
            add(state, cell * cell_size, arrays)
        return True
    files.require_writable("checkpoint", checkpoint)
    store = _Store(Path(checkpoint), state, experiment_identity.fingerprint(*experiment), stage)
    if not store.load(work, num_paths, cell_size):
        return False
    total = -(-num_paths // cell_size)
    if store.done == total:
        return True
    for arrays in cells.in_order(
        work,
        num_paths,
        num_threads,
        first_cell=store.done,
        cell=cell_size,
        unfinished=store.begun,
        watch=store.watch,
    ):
        with store.lock:
            add(state, store.done * cell_size, arrays)
            store.begun.pop(store.done * cell_size, None)
            store.done += 1
            if store.done == total:
                store.save()
    return True


class _Store:
    """The checkpoint of a fold: the state, how many cells it holds, and the cells begun after."""

    def __init__(self, path, state, experiment, stage):
        self.path, self.state, self.experiment, self.stage = path, state, experiment, stage
        self.done, self.begun = 0, {}
        self.lock = threading.Lock()
        self.saved, self.copied = time.monotonic(), {}

    def watch(self, first_path, arrays, is_finished):
        """Keep a copy of a cell from time to time, and save; called after each of its slices."""
        now = time.monotonic()
        with self.lock:
            if is_finished:
                self.begun[first_path] = arrays
                self.copied.pop(first_path, None)
            elif now - self.copied.setdefault(first_path, self.saved) >= SECONDS_BETWEEN_SAVES / 2:
                self.begun[first_path] = {name: array.copy() for name, array in arrays.items()}
                self.copied[first_path] = now
            if now - self.saved >= SECONDS_BETWEEN_SAVES:
                self.save()

    def save(self):
        """Write the file."""
        stored = {
            f"cell_{first_path}_{name}": array
            for first_path, arrays in self.begun.items()
            for name, array in arrays.items()
            if not name.startswith("_")
        }
        details = {
            "cells": self.done,
            "experiment": self.experiment,
            "stage": self.stage,
            "begun": sorted(self.begun),
        }
        array_files.save_arrays(
            self.path, stored | self.state, json.dumps(details), compressed=False
        )
        self.saved = time.monotonic()

    def load(self, work, num_paths, cell_size):
        """Read the file, where there is one; returns False if it belongs to a later stage."""
        if not self.path.exists():
            return True
        stored, text = array_files.load_arrays(self.path)
        try:
            details = json.loads(text)
            found, stage = details["experiment"], details["stage"]
            arrays, begun = {}, {}
            if (found, stage) == (self.experiment, self.stage):
                arrays = {name: stored[name] for name in self.state}
                for first_path in details["begun"]:
                    cell = work.begin(first_path, min(cell_size, num_paths - first_path))
                    for name, array in cell.items():
                        if not name.startswith("_"):
                            array[...] = stored[f"cell_{first_path}_{name}"]
                    begun[first_path] = cell
        except (ValueError, KeyError, TypeError) as error:
            raise checks.InputError(
                f"checkpoint={str(self.path)!r} is no checkpoint of paths ({error}); remove it to "
                "start anew, or choose another file"
            ) from error
        if found != self.experiment:
            raise checks.InputError(
                f"checkpoint={str(self.path)!r} belongs to another experiment; remove it to start "
                "anew, or choose another file"
            )
        if stage != self.stage:
            return stage < self.stage
        for name, array in arrays.items():
            self.state[name][...] = array
        self.done, self.begun = details["cells"], begun
        return True
