"""Files that only one process, and one thread of it, holds at a time.

The system drops the lock of a process that dies: a lock file that was left behind locks nobody out.
"""

import contextlib
import fcntl
import os


def acquire(path, *, wait):
    """The open file at `path`, created if absent and locked until it is closed.

    Parameters
    ----------
    path : path-like
    wait : bool
        Whether to wait while somebody else holds it.

    Returns
    -------
    file object

    Raises
    ------
    BlockingIOError
        If somebody else holds it and ``wait=False``.
    OSError
        If it can't be opened, or its file system knows no locks.
    """
    stream = open(path, "w")  # noqa: SIM115 (the caller closes it)
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BaseException:
        stream.close()
        raise
    return stream


@contextlib.contextmanager
def held(path):
    """The lock at `path` for the block, after whoever holds it; the file goes with the lock.

    Raises
    ------
    OSError
        As :func:`acquire`.
    """
    stream = acquire(path, wait=True)
    while not _is_still_there(stream, path):  # its holder removed it while this one waited
        stream.close()
        stream = acquire(path, wait=True)
    try:
        yield
    finally:
        with stream, contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def _is_still_there(stream, path):
    try:
        return os.path.samestat(os.fstat(stream.fileno()), os.stat(path))
    except FileNotFoundError:
        return False
