"""Arrays and a text in one NPZ file that carries its own checksum."""

import hashlib
import io
import zipfile
from pathlib import Path

import numpy as np

from aniso import checks
from aniso.runs import files

_DETAILS = "details_json"
_DIGITS = 64  # of a SHA-256 checksum


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

    Notes
    -----
    The comment of the archive, its last bytes, is the SHA-256 checksum of all bytes before it.
    """
    buffer = io.BytesIO()
    save = np.savez_compressed if compressed else np.savez
    save(buffer, **{_DETAILS: np.array(text)}, **arrays)
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.comment = bytes(_DIGITS)
    content = memoryview(buffer.getvalue())[:-_DIGITS]
    with files.atomic_writer(path, "wb") as stream:
        stream.write(content)
        stream.write(_checksum(content))


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
