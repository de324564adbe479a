"""Files that only one process, and one thread of it, holds at a time, by filelock.

The system drops the lock of a process that dies: a lock file that was left behind locks nobody out.
"""

import contextlib
import errno
import os

import filelock


def acquire(path, *, wait):
    """Return the lock of the file at `path`, created if absent and locked until it is released.

    Parameters
    ----------
    path : path-like
    wait : bool
        Whether to wait while somebody else holds it.

    Returns
    -------
    filelock.FileLock

    Raises
    ------
    BlockingIOError
        If somebody else holds it and ``wait=False``.
    OSError
        If it can't be opened, or its file system knows no locks.
    """
    lock = filelock.FileLock(path, thread_local=False)
    try:
        lock.acquire(blocking=wait)
    except filelock.Timeout as error:
        raise BlockingIOError(errno.EAGAIN, "somebody else holds the lock", str(path)) from error
    except NotImplementedError as error:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK), str(path)) from error
    return lock


@contextlib.contextmanager
def held(path):
    """The lock at `path` for the block, after whoever holds it; the file goes with the lock.

    Raises
    ------
    OSError
        As :func:`acquire`.
    """
    lock = acquire(path, wait=True)
    try:
        yield
    finally:
        # while it is held: whoever waits for this file sees that it has gone, and makes a new one
        with contextlib.suppress(OSError):
            os.unlink(path)
        lock.release()
