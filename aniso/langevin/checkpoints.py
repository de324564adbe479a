"""Sums over the cells of an ensemble that survive the death of their process.

The state after the first n cells goes to a file that is either whole or absent, together with the
fingerprint of the experiment. Cells are folded in their order, and streams have no state, so a
resumed run ends with the bits of an uninterrupted one.
"""

import hashlib
import inspect
import io
import time
import types
import zipfile
from pathlib import Path

import numpy as np

from aniso import checks, files
from aniso.langevin import cells

SECONDS_BETWEEN_SAVES = 2.0


def fold(
    work,
    add,
    state,
    num_paths,
    *,
    num_threads=None,
    checkpoint=None,
    fingerprint="",
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
    fingerprint : str
        Identity of the experiment.
    cell_size : int
        Paths in a cell.

    Raises
    ------
    InputError
        If the checkpoint can't be written, can't be read, or belongs to another experiment.

    Examples
    --------
    >>> state = {"paths": np.zeros(1)}
    >>> def add(state, first_path, partial):
    ...     state["paths"] += partial
    >>> fold(lambda first, count: count, add, state, 300, num_threads=1)
    >>> state["paths"]
    array([300.])
    """
    done = 0
    if checkpoint is not None:
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


def fingerprint(*parts):
    """Hash of an experiment: numbers, text, None, arrays and functions.

    Functions count by their code and by the numbers, arrays and functions they take from outside.

    Examples
    --------
    >>> fingerprint(1, np.ones(2)) == fingerprint(1, np.ones(2)) != fingerprint(1, np.ones(3))
    True
    """
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            digest.update(f"{part.dtype.str}{part.shape}".encode())
            digest.update(np.ascontiguousarray(part).tobytes())
        elif callable(part):
            digest.update(_described(part, set()).encode())
        else:
            digest.update(repr(part).encode())
        digest.update(b";")
    return digest.hexdigest()


def _described(value, seen):
    """Text that is the same in every process and changes with what a function computes."""
    source = getattr(value, "py_func", value)
    if isinstance(source, types.CodeType):
        constants = [_described(constant, seen) for constant in source.co_consts]
        return f"{source.co_code.hex()} {source.co_names} {constants}"
    if isinstance(source, types.FunctionType):
        name = f"{source.__module__}.{source.__qualname__}"
        if id(source) in seen:
            return name
        seen.add(id(source))
        outside = inspect.getclosurevars(source)
        taken = sorted((outside.nonlocals | outside.globals).items())
        described = [(key, _described(part, seen)) for key, part in taken]
        return f"{name} {_described(source.__code__, seen)} {described}"
    if isinstance(source, np.ndarray):
        return fingerprint(source)
    if isinstance(source, (str, bytes, int, float, complex, tuple, np.generic, types.NoneType)):
        return repr(source)
    if isinstance(source, frozenset):
        return repr(sorted(map(repr, source)))
    return type(source).__name__


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
