"""Files that are either whole or absent: written under a temporary name, then renamed."""

import contextlib
import os
import tempfile
from pathlib import Path

from aniso import checks


def require_writable(name, path):
    """The path, after checking that a file can be created there; nothing is left behind.

    Raises
    ------
    InputError
        If the folder does not exist, is not writable, or the path is a folder.
    """
    path = Path(path)
    if path.is_dir():
        raise checks.InputError(f"{name}={str(path)!r} is a folder; expected the name of a file")
    try:
        handle, probe = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise checks.InputError(
            f"{name}={str(path)!r} can't be written: {error.strerror}; "
            "expected a file in an existing, writable folder"
        ) from error
    os.close(handle)
    os.unlink(probe)
    return path


def require_folder(name, path):
    """The path of a folder, made with its parents where it is not there.

    Raises
    ------
    InputError
        If it can't be made.
    """
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise checks.InputError(
            f"{name}={str(path)!r} can't be made: {error.strerror}; expected a folder, or a name "
            "for one in a writable place"
        ) from error
    return path


@contextlib.contextmanager
def atomic_writer(path, mode="w"):
    """A file object whose contents appear under `path` only when the block has succeeded.

    Parameters
    ----------
    path : path-like
        Final name; an existing file is replaced in one step.
    mode : {"w", "wb"}
        Text (UTF-8) or binary.
    """
    path = Path(path)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, mode, encoding=None if "b" in mode else "utf-8") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask
