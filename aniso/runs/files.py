"""Files that are either whole or absent: written under a temporary name, then renamed."""

import contextlib
import errno
import io
import os
import re
import stat
import sys
import tempfile
from pathlib import Path

from aniso import checks

_LONGEST_CHAIN = 40  # of symbolic links, as in Linux


def require_path(name, value):
    """Return the path of a file or a folder, which may be absent.

    Raises
    ------
    InputError
        If the value is no path, or holds a zero character.

    Examples
    --------
    >>> require_path("folder", None)
    Traceback (most recent call last):
        ...
    aniso.checks.InputError: folder=None; expected a path: text or a pathlib.Path
    """
    if not isinstance(value, (str, os.PathLike)) or not isinstance(os.fspath(value), str):
        raise checks.InputError(f"{name}={value!r}; expected a path: text or a pathlib.Path")
    if "\0" in os.fspath(value):
        raise checks.InputError(f"{name}={value!r}; expected a path without zero characters")
    return Path(value)


def require_writable(name, path, *, devices=False):
    """Return the path after checking that it can be written; no file is created.

    Parameters
    ----------
    name : str
        Name of the argument, for the message.
    path : path-like
        Path of the file; a symbolic link is followed.
    devices : bool
        Whether the path may be a character device or a named pipe, which cannot be read again.

    Returns
    -------
    Path

    Raises
    ------
    InputError
        If the folder does not exist, is not writable, or the path is something else than a file.
    """
    path = require_path(name, path)
    target, kind = _destination(path)
    if kind is not None and not (devices and kind in _STREAMS):
        takes = "the name of a file" + ", a character device or a named pipe" * devices
        raise checks.InputError(f"{name}={str(path)!r} is a {kind}; expected {takes}")
    if kind is not None:
        return path
    try:
        handle, probe = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    except OSError as error:
        raise checks.InputError(
            f"{name}={str(path)!r} can't be written: {error.strerror}; "
            "expected a file in an existing, writable folder"
        ) from error
    os.close(handle)
    os.unlink(probe)
    return path


def require_folder(name, path):
    """Return the path of a folder, made with its parents if absent.

    Raises
    ------
    InputError
        If it is no path, or can't be made.
    """
    path = require_path(name, path)
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
    """Open a file whose contents appear under `path` only when the block has succeeded.

    Parameters
    ----------
    path : path-like
        Final name; an existing file is replaced in one step. Of a symbolic link the file that it
        leads to is. Character devices, named pipes and open files (``/dev/stdout``) are written to.
    mode : {"w", "wb"}
        Text (UTF-8) or binary.

    Raises
    ------
    OSError
        With the path, if it is a block device, a socket or a loop of links, or the disk is full.
    """
    target, kind = _destination(Path(path))
    try:
        if kind in _STREAMS:
            with _passed_on(path, mode) as stream:
                yield stream
        elif kind in _REFUSED:
            raise OSError(errno.EINVAL, f"can't be written to, it is a {kind}", str(path))
        else:
            with _renamed(target, mode) as stream:
                yield stream
    except OSError as error:
        if error.filename is None:  # a full disk does not say where
            error.filename = str(path)
        raise


@contextlib.contextmanager
def _renamed(path, mode):
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


@contextlib.contextmanager
def _passed_on(path, mode):
    # write all at once at the end, because drawing and archiving code seeks in its file
    stream = io.BytesIO() if "b" in mode else io.StringIO()
    yield stream
    content = stream.getvalue()
    descriptor = _descriptor(path)
    if descriptor is not None:
        # at the same place in the file as the printed text, and after it
        sys.stdout.flush()
    with open(path if descriptor is None else os.dup(descriptor), "wb") as device:
        device.write(content if "b" in mode else content.encode("utf-8"))


_STREAMS = ("character device", "named pipe", "open file")
_LOOP = "loop of symbolic links"
_REFUSED = ("block device", "socket", _LOOP)


def _destination(path):
    """Return the path to write to, and its kind: None for a file or a path that does not exist."""
    if _descriptor(path) is not None:
        return path, "open file"
    target = Path(os.path.realpath(path))
    try:
        mode = os.stat(path).st_mode
    except OSError as error:  # no file yet, or an error that writing will raise
        return target, _LOOP if error.errno == errno.ELOOP else None
    kinds = {
        stat.S_IFDIR: "folder",
        stat.S_IFCHR: "character device",
        stat.S_IFIFO: "named pipe",
        stat.S_IFBLK: "block device",
        stat.S_IFSOCK: "socket",
    }
    return target, kinds.get(stat.S_IFMT(mode))


def _descriptor(path):
    """Return the number of the open file of this process that the path names, or None."""
    for _ in range(_LONGEST_CHAIN):
        path = os.path.abspath(path)
        named = re.fullmatch(rf"(?:/dev|/proc/(?:self|{os.getpid()}))/fd/(\d+)", path)
        if named:
            return int(named[1])
        if not os.path.islink(path):
            return None
        path = os.path.join(os.path.dirname(path), os.readlink(path))
    return None


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask
