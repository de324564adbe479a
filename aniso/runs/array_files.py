"""Arrays and a text in one NPZ file that carries its own checksum."""

import hashlib
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from aniso import checks
from aniso.runs import files

_DETAILS = "details_json"
_DIGITS = 64  # of a SHA-256 checksum
_RESERVED = ("allow_pickle", "file", _DETAILS)  # arguments of numpy.savez, and the text


def save_arrays(path, arrays, text, *, compressed=True):
    """Write arrays and a text to one NPZ file, which is whole or absent.

    Parameters
    ----------
    path : path-like
        File to write; one that exists is replaced.
    arrays : dict of str to ndarray
        Arrays by name.
    text : str
        Text that is stored with them.
    compressed : bool
        Whether to compress the arrays; without it a large file is written some times faster.

    Raises
    ------
    InputError
        Before anything is written: if a name can't be stored, an array has a mask or holds Python
        objects, or a value is no array.

    Notes
    -----
    The comment of the archive, its last bytes, is the SHA-256 checksum of all bytes before it.
    """
    arrays = _checked(arrays)
    buffer = io.BytesIO()
    save = np.savez_compressed if compressed else np.savez
    save(buffer, **{_DETAILS: np.array(text)}, **arrays)
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.comment = bytes(_DIGITS)
    content = memoryview(buffer.getvalue())[:-_DIGITS]
    with files.atomic_writer(path, "wb") as stream:
        stream.write(content)
        stream.write(_checksum(content))


def _checked(arrays):
    if not isinstance(arrays, Mapping):
        raise checks.InputError(
            f"arrays has type {type(arrays).__name__}; expected a dictionary of arrays by name"
        )
    return {_stored_name(name): _plain_array(name, array) for name, array in arrays.items()}


def _stored_name(name):
    # NPZ files add the ending, and end a name at a zero
    if not isinstance(name, str) or name in _RESERVED or name.endswith(".npy") or "\0" in name:
        raise checks.InputError(
            f"an array has the name {name!r}; expected text without zeros that does not end in "
            f"'.npy', and none of: {', '.join(_RESERVED)}"
        )
    return name


def _plain_array(name, value):
    array = checks.as_given(f"array {name!r}", value)
    if array.dtype.hasobject:
        raise checks.InputError(
            f"array {name!r} has dtype {array.dtype}; expected numbers, truth values or text, "
            "not Python objects"
        )
    return array


def load_arrays(path):
    """Return arrays and text of :func:`save_arrays`, a pair (dict, str).

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    InputError
        If the file is not as it was written.
    """
    try:
        return verified(path)
    except (FileNotFoundError, MemoryError):
        raise
    except Exception as error:
        raise checks.InputError(
            f"{str(path)!r} is damaged ({type(error).__name__}: {error}); expected a file that "
            "is as it was written; remove it to compute it anew"
        ) from error


def verified(path):
    """Return the same as :func:`load_arrays`; a damaged file raises any exception."""
    content = Path(path).read_bytes()
    if _checksum(memoryview(content)[:-_DIGITS]) != content[-_DIGITS:]:
        raise ValueError("its content does not agree with its checksum")
    with np.load(io.BytesIO(content), allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    return arrays, str(arrays.pop(_DETAILS))


def _checksum(content):
    return hashlib.sha256(content).hexdigest().encode()
