"""Run directories: what a long computation leaves on disk so that nothing recorded is lost.

    run.json               parameters, seed, environments (versions and machines that worked on it)
    progress.json          step, number of steps, seconds
    checkpoint-000120.npz  state after 120 steps; the last two are kept
    result.npz             final arrays, with details

Every file is whole or absent. A directory belongs to one set of parameters and one process at a
time.
"""

import contextlib
import io
import json
import os
import time
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aniso import checks, file_locks, files, parameter_differences, provenance

_KEPT = 2
_DETAILS = "details_json"


class DamagedFile(UserWarning):
    """A stored file that can't be read; the one before it takes its place."""


@dataclass(frozen=True)
class Stored:
    """Arrays with details, as they were saved.

    Attributes
    ----------
    step : int
        Steps that had been done.
    arrays : dict of str to ndarray
    details : dict
        Plain data.
    """

    step: int
    arrays: dict
    details: dict


class RunDirectory:
    """The directory of one run, locked for this process while the context lasts.

    Parameters
    ----------
    folder : path-like
        Created if absent.
    parameters : dict
        Plain data (numbers, text, lists, dicts) that define the computation.
    seed : int or list of int
        Root of its randomness.

    Raises
    ------
    InputError
        If the directory belongs to other parameters (the message shows the difference), holds
        something else, is being worked on by another process, or can't be written.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> with RunDirectory(folder, {"learning_rate": 0.1}, seed=1) as run:
    ...     run.save_checkpoint(5, {"theta": np.ones(2)}, {})
    >>> with RunDirectory(folder, {"learning_rate": 0.1}, seed=1) as run:
    ...     run.latest_checkpoint().step
    5
    >>> RunDirectory(folder, {"learning_rate": 0.2}, seed=1)
    Traceback (most recent call last):
        ...
    aniso.checks.InputError: the run directory ... belongs to other parameters:
      learning_rate: stored 0.1, asked for 0.2
    choose another directory, or remove this one
    """

    def __init__(self, folder, parameters, *, seed):
        self.folder = Path(folder)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise checks.InputError(
                f"the run directory {str(folder)!r} can't be created: {error.strerror}"
            ) from error
        self._identity = json.loads(json.dumps({"parameters": parameters, "seed": seed}))
        self._refuse_foreign()
        self._lock = None

    def __enter__(self):
        files.require_writable("the run directory", self.folder / "run.json")
        try:
            self._lock = file_locks.acquire(self.folder / "lock", wait=False)
        except BlockingIOError as error:
            raise checks.InputError(
                f"another process works in the run directory {str(self.folder)!r}; wait for it, "
                "or choose another directory"
            ) from error
        try:
            self._refuse_foreign()
            self._describe()
        except BaseException:
            self._lock.close()
            raise
        return self

    def __exit__(self, *_):
        self._lock.close()

    # ---- identity

    def _read_json(self, name):
        path = self.folder / name
        if not path.exists():
            return None
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise checks.InputError(
                f"{str(path)!r} can't be read ({error}); remove the directory to start anew"
            ) from error

    def _refuse_foreign(self):
        found = self._read_json("run.json")
        if found is None:
            return
        stored = {key: found.get(key) for key in self._identity}
        lines = list(parameter_differences.differences(stored, self._identity))
        if lines:
            shown = "\n".join(f"  {line}" for line in lines)
            raise checks.InputError(
                f"the run directory {str(self.folder)!r} belongs to other parameters:\n{shown}\n"
                "choose another directory, or remove this one"
            )

    def _describe(self):
        found = self._read_json("run.json") or self._identity | {"environments": []}
        environment = provenance.environment()
        if environment not in found["environments"]:
            found["environments"].append(environment)
            self._write_json("run.json", found)

    def _write_json(self, name, content):
        with files.atomic_writer(self.folder / name) as stream:
            json.dump(content, stream, indent=1)

    # ---- checkpoints

    def _checkpoints(self):
        # newest first
        paths = self.folder.glob("checkpoint-*.npz")
        return sorted(paths, key=lambda path: int(path.stem.split("-")[1]), reverse=True)

    def save_checkpoint(self, step, arrays, details, *, num_steps=None):
        """The state after `step` steps; older ones but the last are removed afterwards."""
        self._save(f"checkpoint-{step:09d}.npz", step, arrays, details)
        progress = {"step": step, "num_steps": num_steps, "written": time.time()}
        self._write_json("progress.json", progress)
        for path in self._checkpoints()[_KEPT:]:
            with contextlib.suppress(FileNotFoundError):
                path.unlink()

    def latest_checkpoint(self):
        """The newest checkpoint that can be read, as :class:`Stored`; None if there is none.

        Warns
        -----
        DamagedFile
            For each that can't be read.
        """
        for path in self._checkpoints():
            stored = self._load(path)
            if stored is not None:
                return stored
        return None

    def save_result(self, step, arrays, details):
        """The final arrays; checkpoints are removed afterwards."""
        self._save("result.npz", step, arrays, details)
        for path in self._checkpoints():
            with contextlib.suppress(FileNotFoundError):
                path.unlink()

    def result(self):
        """The final arrays as :class:`Stored`, or None."""
        path = self.folder / "result.npz"
        return self._load(path) if path.exists() else None

    def _save(self, name, step, arrays, details):
        content = json.dumps({"step": step, "details": details})
        save_arrays(self.folder / name, arrays, content)

    def _load(self, path):
        try:
            arrays, text = load_arrays(path)
            content = json.loads(text)
            return Stored(content["step"], arrays, content["details"])
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            warnings.warn(
                f"{str(path)!r} is damaged ({type(error).__name__}: {error}); the state before "
                "it is used",
                DamagedFile,
                stacklevel=3,
            )
            return None


def stored_arrays(folder, parameters, seed, compute):
    """Arrays of a computation without steps, done once: taken from its directory afterwards.

    Parameters
    ----------
    folder, parameters, seed
        As of :class:`RunDirectory`.
    compute : callable
        ``compute() -> dict of str to ndarray``.

    Returns
    -------
    dict of str to ndarray

    Raises
    ------
    InputError
        As :class:`RunDirectory`.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> for attempt in (1, 2):
    ...     stored_arrays(folder, {}, 0, lambda: {"attempt": np.array(attempt)})
    {'attempt': array(1)}
    {'attempt': array(1)}
    """
    with RunDirectory(folder, parameters, seed=seed) as run:
        stored = run.result()
        if stored is None:
            run.save_result(0, compute(), {})
            stored = run.result()
    return stored.arrays


def save_arrays(path, arrays, text):
    """Arrays and a text in one NPZ file, whole or absent."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **{_DETAILS: np.array(text)}, **arrays)
    with files.atomic_writer(path, "wb") as stream:
        stream.write(buffer.getvalue())


def load_arrays(path):
    """Arrays and text of :func:`save_arrays`, a pair (dict, str).

    Raises
    ------
    OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile
        If the file is not whole.
    """
    if os.path.getsize(path) == 0:
        raise EOFError("the file is empty")
    with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    return arrays, str(arrays.pop(_DETAILS))
