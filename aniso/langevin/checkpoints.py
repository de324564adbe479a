"""Sums over the cells of an ensemble that survive the death of their process.

The state after the first n cells goes to a file that is either whole or absent, together with the
fingerprint of the experiment. Cells are folded in their order, and streams have no state, so a
resumed run ends with the bits of an uninterrupted one.
"""

import io
import time
import zipfile
from pathlib import Path

import numpy as np

from aniso import checks, files
from aniso.langevin import cells, experiment_identity

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
):
    """Folds ``work(first_path, count)`` over all cells into `state`, in order.

    Parameters
    ----------
    work : callable
        Computes one cell; called from any thread.
    add : callable
        ``add(state, first_path, partial)`` puts one cell's result into the state.
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

    Raises
    ------
    InputError
        If the checkpoint can't be written, can't be read, or belongs to another experiment. If a
        function of the experiment reaches something that can't be identified.

    Examples
    --------
    >>> state = {"paths": np.zeros(1)}
    >>> def add(state, first_path, partial):
    ...     state["paths"] += partial
    >>> fold(lambda first, count: count, add, state, 300, num_threads=1)
    >>> state["paths"]
    array([300.])
    """
    done, fingerprint = 0, ""
    if checkpoint is not None:
        fingerprint = experiment_identity.fingerprint(*experiment)
        files.require_writable("checkpoint", checkpoint)
        done = _load(Path(checkpoint), state, fingerprint)
    saved = time.monotonic()
    total = -(-num_paths // cell_size)
    if done == total:
        return
    for cell, partial in enumerate(
        cells.in_order(work, num_paths, num_threads, first_cell=done, cell=cell_size), start=done
    ):
        add(state, cell * cell_size, partial)
        if checkpoint is None:
            continue
        if cell + 1 == total or time.monotonic() - saved > SECONDS_BETWEEN_SAVES:
            _save(Path(checkpoint), state, cell + 1, fingerprint)
            saved = time.monotonic()


def _save(path, state, num_cells, experiment):
    buffer = io.BytesIO()
    np.savez(buffer, _cells=np.int64(num_cells), _experiment=np.array(experiment), **state)
    with files.atomic_writer(path, "wb") as stream:
        stream.write(buffer.getvalue())


def _load(path, state, experiment):
    if not path.exists():
        return 0
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
            found = str(stored["_experiment"])
            num_cells = int(stored["_cells"])
            arrays = {name: stored[name] for name in state}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise checks.InputError(
            f"checkpoint={str(path)!r} can't be read ({error}); remove it to start anew"
        ) from error
    if found != experiment:
        raise checks.InputError(
            f"checkpoint={str(path)!r} belongs to another experiment; remove it to start anew, "
            "or choose another file"
        )
    for name, array in arrays.items():
        state[name][...] = array
    return num_cells
