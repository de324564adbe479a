"""The lock of a run directory: one process, and one thread of it, at a time, by filelock.

The system drops the lock of a process that dies.
"""

import warnings

import filelock

from aniso import checks


class DirectoryInUse(UserWarning):
    """Another process works in a run directory, and this one waits for its end."""


def acquire(folder, seconds):
    """Return the lock of a directory, held until it is released.

    Parameters
    ----------
    folder : Path
        Run directory.
    seconds : float
        How long to wait for another process.

    Returns
    -------
    filelock.FileLock

    Raises
    ------
    InputError
        If another process still holds it, or the file system has no locks.

    Warns
    -----
    DirectoryInUse
        Before it waits.
    """
    lock = filelock.FileLock(folder / "lock", thread_local=False)
    busy = f"another process works in the run directory {str(folder)!r}"
    try:
        try:
            lock.acquire(blocking=False)
        except filelock.Timeout:
            message = f"{busy}; waiting for it, {seconds:g} s at most"
            warnings.warn(message, DirectoryInUse, stacklevel=3)
            lock.acquire(timeout=seconds, poll_interval=0.1)
    except filelock.Timeout as error:
        raise checks.InputError(f"{busy}; wait for it, or choose another directory") from error
    except (OSError, NotImplementedError) as error:
        reason = getattr(error, "strerror", None) or "its file system has no locks"
        raise checks.InputError(
            f"the run directory {str(folder)!r} can't be locked: {reason}; choose one on another "
            "file system"
        ) from error
    return lock
