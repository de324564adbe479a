"""Run directories: a long computation on disk, so that no recorded number is lost.

    run.json               parameters, seed, environments (versions and machines that worked on it)
    progress.json          step, number of steps, time of writing
    stop                   present while a stop of the working process is requested
    checkpoint-000120.npz  state after 120 steps; the last two are kept
    result.npz             final arrays, with details; the last checkpoint is kept too

Every file is whole or absent; arrays carry a checksum by which later damage is found. A directory
belongs to one set of parameters and one process at a time.
"""

import contextlib
import json
import os
import re
import time
import warnings
from collections.abc import Iterable
from dataclasses import dataclass

from aniso import checks
from aniso.runs import _description, array_files, files
from aniso.runs._directory_lock import acquire
from aniso.runs._identity import plain_data

_KEPT = 2
_CHECKPOINT = re.compile(r"checkpoint-(\d+)\.npz")
_STOP = "stop"
_FILES = ("progress.json", _STOP, "result.npz")
_SECONDS_TO_WAIT = 60.0
_SECONDS_BETWEEN_LOOKS = 1.0


class DamagedFile(UserWarning):
    """A stored file is damaged; the run continues from the state before it."""


@dataclass(frozen=True)
class Stored:
    """Arrays and details of a run, as they were saved.

    Attributes
    ----------
    step : int
        Number of steps before the save.
    arrays : dict of str to ndarray
        Saved arrays by name.
    details : dict
        Plain data.
    """

    step: int
    arrays: dict
    details: dict


class RunDirectory:
    """The directory of one run, locked for this process while the context lasts.

    Its methods read and write within the context alone.

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
        If the folder is no path. If the parameters are no dictionary of plain data, or differ from
        the parameters of the directory; the message shows the difference. If the directory is
        damaged, is in use for more than a minute, or can't be made, locked or written.

    Warns
    -----
    DirectoryInUse
        While it waits for another process.

    Examples
    --------
    >>> import numpy as np, tempfile
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
        if not isinstance(parameters, dict):
            raise checks.InputError(
                f"parameters has type {type(parameters).__name__}; expected a dictionary of plain "
                "data that defines the computation"
            )
        self._identity = plain_data({"parameters": parameters, "seed": seed})
        self.folder = files.require_folder("the run directory", folder)
        _description.refuse_foreign(self.folder, self._identity)
        self._lock, self._looked = None, 0.0

    def _require_open(self):
        if self._lock is None:
            raise checks.InputError(
                f"the run directory {str(self.folder)!r} is not open; expected calls within "
                "`with RunDirectory(...) as run:`"
            )

    def __reduce__(self):
        raise TypeError(
            f"the run directory {str(self.folder)!r} belongs to one process, which holds its lock; "
            "send the folder, and open a RunDirectory there"
        )

    def __enter__(self):
        files.require_writable("the run directory", self.folder / "run.json")
        lock = acquire(self.folder, _SECONDS_TO_WAIT)
        try:
            for name in _FILES:
                _refuse_folder(self.folder / name)
            (self.folder / _STOP).unlink(missing_ok=True)
            self._looked = time.monotonic()
            _description.refuse_foreign(self.folder, self._identity)
            _description.note_environment(self.folder, self._identity)
        except BaseException:
            lock.release()
            raise
        self._lock = lock
        return self

    def __exit__(self, *_):
        lock, self._lock = self._lock, None
        lock.release()

    def _checkpoints(self):
        # newest first
        names = filter(None, map(_CHECKPOINT.fullmatch, os.listdir(self.folder)))
        ordered = sorted(names, key=lambda name: int(name[1]), reverse=True)
        paths = [self.folder / name[0] for name in ordered]
        for path in paths:
            _refuse_folder(path)
        return paths

    def save_checkpoint(self, step, arrays, details, *, num_steps=None):
        """Write the state after `step` steps; of the older ones only the last is kept.

        Raises
        ------
        InputError
            If the directory is not open, or an argument can't be stored.
        """
        self._require_open()
        step = checks.integer("step", step, low=0)
        if num_steps is not None:
            num_steps = checks.integer("num_steps", num_steps, low=0)
        self._save(f"checkpoint-{step:09d}.npz", step, arrays, details)
        self._write_progress(step, num_steps)
        self._remove_checkpoints(_KEPT)

    def attend(self, step, num_steps):
        """Write the progress, and return whether the run is asked to stop.

        Returns
        -------
        bool
            Whether :func:`ask_to_stop` has been called for the folder since it was opened.

        Raises
        ------
        InputError
            If the directory is not open.

        Notes
        -----
        It may be called at every step: it acts once a second, and returns False in between.
        """
        self._require_open()
        now = time.monotonic()
        if now - self._looked < _SECONDS_BETWEEN_LOOKS:
            return False
        self._looked = now
        self._write_progress(step, num_steps)
        return (self.folder / _STOP).exists()

    def _write_progress(self, step, num_steps):
        progress = {"step": step, "num_steps": num_steps, "written": time.time()}
        _description.write_json(self.folder / "progress.json", progress)

    def _remove_checkpoints(self, kept):
        for path in self._checkpoints()[kept:]:
            with contextlib.suppress(FileNotFoundError):
                path.unlink()

    def latest_checkpoint(self):
        """Return the newest readable checkpoint as :class:`Stored`; None if there is none.

        Raises
        ------
        InputError
            If the directory is not open.

        Warns
        -----
        DamagedFile
            For each damaged one.
        """
        self._require_open()
        for path in self._checkpoints():
            stored = self._load(path)
            if stored is not None:
                return stored
        return None

    def save_result(self, step, arrays, details):
        """Write the final arrays; of the checkpoints the last is kept, for the case of damage.

        Raises
        ------
        InputError
            If the directory is not open, or an argument can't be stored.
        """
        self._require_open()
        step = checks.integer("step", step, low=0)
        self._save("result.npz", step, arrays, details)
        self._remove_checkpoints(1)

    def result(self):
        """Return the final arrays as :class:`Stored`; None if they are absent or damaged.

        Raises
        ------
        InputError
            If the directory is not open.

        Warns
        -----
        DamagedFile
            If they are damaged. The last checkpoint is still there.
        """
        self._require_open()
        path = self.folder / "result.npz"
        return self._load(path) if path.exists() else None

    def _save(self, name, step, arrays, details):
        try:
            content = json.dumps({"step": step, "details": details})
        except (TypeError, ValueError) as error:
            raise checks.InputError(
                f"details of {name} can't be stored ({error}); expected plain data: numbers, text, "
                "lists and dicts"
            ) from error
        array_files.save_arrays(self.folder / name, arrays, content)

    def _load(self, path):
        try:
            arrays, text = array_files.verified(path)
            content = json.loads(text)
            return Stored(content["step"], arrays, content["details"])
        except MemoryError:
            raise
        except Exception as error:
            warnings.warn(
                f"{str(path)!r} is damaged ({type(error).__name__}: {error}); the run goes on "
                "from the state before it",
                DamagedFile,
                stacklevel=3,
            )
            return None


def _refuse_folder(path):
    # before the work, because a file can't replace a folder
    if path.is_dir():
        raise checks.InputError(
            f"{str(path)!r} is a folder; expected a file of the run; remove the folder, or choose "
            "another directory"
        )


def ask_to_stop(folders):
    """Ask the runs in these directories, in any process, to write a checkpoint and stop.

    Parameters
    ----------
    folders : path-like or sequence of path-like
        Run directories; absent ones are ignored. Opening a directory again clears the request.

    Raises
    ------
    InputError
        If one of them is no path; then none is asked.
    """
    if isinstance(folders, (str, os.PathLike)):
        folders = [folders]
    if isinstance(folders, bytes) or not isinstance(folders, Iterable):
        raise checks.InputError(f"folders={folders!r}; expected a path, or a sequence of paths")
    for path in [files.require_path("folders", folder) for folder in folders]:
        with contextlib.suppress(OSError):
            (path / _STOP).touch()


def stored_arrays(folder, parameters, seed, compute):
    """Return the arrays of a computation without steps, from its directory once it was done.

    Parameters
    ----------
    folder, parameters, seed
        As in :class:`RunDirectory`.
    compute : callable
        ``compute() -> dict of str to ndarray``. A change of the function is not
        noticed: `parameters` must hold everything that determines the arrays.

    Returns
    -------
    dict of str to ndarray

    Raises
    ------
    InputError
        As :class:`RunDirectory`. If `compute` is no function, or its arrays can't be stored.

    Examples
    --------
    >>> import numpy as np, tempfile
    >>> folder = tempfile.mkdtemp()
    >>> for attempt in (1, 2):
    ...     stored_arrays(folder, {}, 0, lambda: {"attempt": np.array(attempt)})
    {'attempt': array(1)}
    {'attempt': array(1)}
    """
    if not callable(compute):
        raise checks.InputError(f"compute={compute!r}; expected a function without arguments")
    with RunDirectory(folder, parameters, seed=seed) as run:
        stored = run.result()
        if stored is None:
            run.save_result(0, compute(), {})
            stored = run.result()
    return stored.arrays
