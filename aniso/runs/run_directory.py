"""Run directories: what a long computation leaves on disk so that nothing recorded is lost.

    run.json               parameters, seed, environments (versions and machines that worked on it)
    progress.json          step, number of steps, time of writing
    stop                   there while somebody asks the process at work to stop
    checkpoint-000120.npz  state after 120 steps; the last two are kept
    result.npz             final arrays, with details; the last checkpoint stays beside it

Every file is whole or absent; arrays carry a checksum by which later damage is found. A directory
belongs to one set of parameters and one process at a time.
"""

import contextlib
import json
import os
import re
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

from aniso.runs import (array_files, file_locks, files, parameter_differences, provenance,)
from aniso import checks

_KEPT = 2
_CHECKPOINT = re.compile(r"checkpoint-(\d+)\.npz")
_STOP = "stop"
_SECONDS_TO_WAIT = 60.0
_SECONDS_BETWEEN_LOOKS = 1.0


class DamagedFile(UserWarning):
    """A stored file that can't be read; the run goes on from the state before it."""


class DirectoryInUse(UserWarning):
    """Another process works in a run directory; its end is waited for."""


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
        something else, is still worked on by another process after a minute, or can't be written;
        or if the parameters are no plain data.

    Warns
    -----
    DirectoryInUse
        While it waits for another process, a unit for example that goes on after its program.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
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
        self._identity = _plain({"parameters": parameters, "seed": seed})
        self._refuse_foreign()
        self._lock, self._looked = None, 0.0

    def __reduce__(self):
        raise TypeError(
            f"the run directory {str(self.folder)!r} belongs to one process, which holds its lock; "
            "send the folder, and open a RunDirectory there"
        )

    def __enter__(self):
        files.require_writable("the run directory", self.folder / "run.json")
        self._lock = self._waited_for()
        try:
            (self.folder / _STOP).unlink(missing_ok=True)
            self._looked = time.monotonic()
            self._refuse_foreign()
            self._describe()
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(self, *_):
        self._lock.release()

    def _waited_for(self):
        # the lock, once whoever holds it has gone
        end = time.monotonic() + _SECONDS_TO_WAIT
        told, warned = f"another process works in the run directory {str(self.folder)!r}", False
        while True:
            try:
                return file_locks.acquire(self.folder / "lock", wait=False)
            except BlockingIOError as error:
                if time.monotonic() > end:
                    raise checks.InputError(
                        f"{told}; wait for it, or choose another directory"
                    ) from error
            except OSError as error:
                raise checks.InputError(
                    f"the run directory {str(self.folder)!r} can't be locked: {error.strerror}; "
                    "choose one on another file system"
                ) from error
            if not warned:
                warned = True
                warnings.warn(
                    f"{told}; waiting for it, {_SECONDS_TO_WAIT:g} s at most",
                    DirectoryInUse,
                    stacklevel=3,
                )
            time.sleep(0.1)

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
        names = filter(None, map(_CHECKPOINT.fullmatch, os.listdir(self.folder)))
        ordered = sorted(names, key=lambda name: int(name[1]), reverse=True)
        return [self.folder / name[0] for name in ordered]

    def save_checkpoint(self, step, arrays, details, *, num_steps=None):
        """The state after `step` steps; older ones but the last are removed afterwards."""
        self._save(f"checkpoint-{step:09d}.npz", step, arrays, details)
        self._tell(step, num_steps)
        self._remove_checkpoints(_KEPT)

    def attend(self, step, num_steps):
        """Tell those who watch how far the run is, and hear whether they ask it to stop.

        Returns
        -------
        bool
            Whether :func:`ask_to_stop` has been called for the folder since it was opened.

        Notes
        -----
        For every step: between seconds it does nothing, and says no.
        """
        now = time.monotonic()
        if now - self._looked < _SECONDS_BETWEEN_LOOKS:
            return False
        self._looked = now
        self._tell(step, num_steps)
        return (self.folder / _STOP).exists()

    def _tell(self, step, num_steps):
        progress = {"step": step, "num_steps": num_steps, "written": time.time()}
        self._write_json("progress.json", progress)

    def _remove_checkpoints(self, kept):
        for path in self._checkpoints()[kept:]:
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
        """The final arrays; checkpoints but the last, for the case of damage, are removed."""
        self._save("result.npz", step, arrays, details)
        self._remove_checkpoints(1)

    def result(self):
        """The final arrays as :class:`Stored`, or None.

        Warns
        -----
        DamagedFile
            If they can't be read; None is returned and the last checkpoint is still there.
        """
        path = self.folder / "result.npz"
        return self._load(path) if path.exists() else None

    def _save(self, name, step, arrays, details):
        content = json.dumps({"step": step, "details": details})
        array_files.save_arrays(self.folder / name, arrays, content)

    def _load(self, path):
        try:
            arrays, text = array_files.unsealed(path)
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


def _plain(identity):
    try:
        return json.loads(json.dumps(identity))
    except (TypeError, ValueError) as error:
        raise checks.InputError(
            f"parameters or seed of the run directory can't be stored ({error}); expected plain "
            "data: numbers, text, lists and dicts; for a function its name and version, for an "
            "array its hash"
        ) from error


def ask_to_stop(folders):
    """Ask the runs in these directories, in whatever process, to write a checkpoint and stop.

    Parameters
    ----------
    folders : sequence of path-like
        Those that do not exist are passed over; the next opening forgets the request.
    """
    for folder in folders:
        with contextlib.suppress(OSError):
            (Path(folder) / _STOP).touch()


def stored_arrays(folder, parameters, seed, compute):
    """Arrays of a computation without steps, done once: taken from its directory afterwards.

    Parameters
    ----------
    folder, parameters, seed
        As of :class:`RunDirectory`.
    compute : callable
        ``compute() -> dict of str to ndarray``. The function itself does not count: whatever
        decides what it computes belongs into `parameters`.

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
    >>> import numpy as np
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
