"""Files of official distributions: found in a folder or downloaded, and verified before use."""

import gzip
import hashlib
import os
import zlib
from dataclasses import dataclass
from pathlib import Path

from aniso import checks
from aniso.datasets.downloads import DownloadFailed, fetch

FOLDER_VARIABLE = "ANISO_DATA"
"""Environment variable that names a folder of official files, or an ``.npz`` of the user's."""


@dataclass(frozen=True)
class OfficialFile:
    """One file of a distribution, with the checksums that identify it.

    Attributes
    ----------
    name : str
        Name of the uncompressed file.
    num_bytes : int
        Length uncompressed.
    sha256 : str
        Checksum uncompressed: it identifies the content also where somebody compressed it anew.
    gz_sha256 : str, optional
        Checksum of the ``name + ".gz"`` that the mirrors offer; if not given, they offer the file
        as it is.
    gz_num_bytes : int, optional
        Length of that, given with its checksum.
    """

    name: str
    num_bytes: int
    sha256: str
    gz_sha256: str | None = None
    gz_num_bytes: int | None = None

    @property
    def offered_name(self):
        """Name of what the mirrors offer."""
        return self.name if self.gz_sha256 is None else f"{self.name}.gz"

    @property
    def offered_num_bytes(self):
        """Length of what the mirrors offer."""
        return self.num_bytes if self.gz_sha256 is None else self.gz_num_bytes

    @property
    def offered_sha256(self):
        """Checksum of what the mirrors offer."""
        return self.sha256 if self.gz_sha256 is None else self.gz_sha256


@dataclass(frozen=True)
class Distribution:
    """The files of one data set and the places that offer them.

    Attributes
    ----------
    name : str
        Name of the data set.
    folder : str
        Name of its folder, in the cache and in a folder that holds several data sets.
    mirrors : tuple of str
        Base addresses, tried in this order.
    files : tuple of OfficialFile
        What belongs to it.
    npz : str
        Name of a file of the user's own images that is taken in its place; "" for none.
    """

    name: str
    folder: str
    mirrors: tuple
    files: tuple
    npz: str = ""


def contents(distribution, data_dir=None, *, download=True):
    """Verified uncompressed bytes of each file of a distribution, in its order.

    Parameters
    ----------
    distribution : Distribution
        What to read.
    data_dir : path-like, optional
        Folder with the files, gzipped or not, directly or in ``distribution.folder``; the
        environment variable ``ANISO_DATA`` if not given; the user's cache if neither is.
    download : bool
        Whether files that the cache lacks, or holds damaged, may be fetched.

    Returns
    -------
    list of bytes
        One entry for each file.

    Raises
    ------
    InputError
        If what is named is no folder or lacks a file, or if a file is not the official one.
    DownloadFailed
        If no mirror delivered a file intact, or if the cache lacks one and ``download=False``.

    Notes
    -----
    A file gets its name in the cache only after its checksum agreed. One that was damaged later is
    never served: a download replaces it, and where none succeeds it stays and the message tells.
    """
    named, folder = named_path(data_dir)
    if folder is not None:
        paths = [_find(named, folder, file, distribution) for file in distribution.files]
    else:
        paths = [_from_cache(file, distribution, download) for file in distribution.files]
    return [_verified(path, file) for path, file in zip(paths, distribution.files, strict=True)]


def _find(named, folder, file, distribution):
    if not folder.is_dir():
        raise checks.InputError(
            f"{named}={str(folder)!r} is a file without the images of {distribution.name}; "
            f"{_expected(distribution)}"
        )
    names = [file.name] if file.name.endswith(".gz") else [file.name, f"{file.name}.gz"]
    for inner in ("", distribution.folder):
        for name in names:
            path = folder / inner / name
            if path.is_file():
                return path
    raise checks.InputError(
        f"{named}={str(folder)!r} has no {' or '.join(names)}, neither directly nor in "
        f"{distribution.folder}; {_expected(distribution)}"
    )


def _expected(distribution):
    own = f", or {distribution.npz} with images of your own" if distribution.npz else ""
    names = ", ".join(file.name for file in distribution.files)
    return f"expected a folder with the official files of {distribution.name} ({names}){own}"


def named_path(data_dir=None):
    """The folder or file of data that the caller or the environment names, and by which name.

    Parameters
    ----------
    data_dir : path-like, optional

    Returns
    -------
    named : str
        "data_dir" or the variable, for messages.
    path : Path or None
        It exists; None if nothing is named.

    Raises
    ------
    InputError
        If it is no path, or nothing is there.

    Examples
    --------
    >>> named_path("images")
    Traceback (most recent call last):
        ...
    aniso.checks.InputError: data_dir='images': this folder does not exist, and the argument ...
    """
    named, given = "data_dir", data_dir
    if data_dir is None:
        named, given = FOLDER_VARIABLE, os.environ.get(FOLDER_VARIABLE)
        if not given:
            return named, None
    expected = "expected a folder of images, or an .npz of your own"
    try:
        path = Path(given)
        exists = path.exists()
    except TypeError as error:
        raise checks.InputError(f"{named}={given!r} is no path; {expected}") from error
    except OSError as error:
        raise checks.InputError(
            f"{named}={str(given)!r} can't be read: {error.strerror}; {expected}"
        ) from error
    if not exists:
        kind = "file" if path.suffix == ".npz" else "folder"
        by = "argument" if named == "data_dir" else "environment variable"
        raise checks.InputError(
            f"{named}={str(path)!r}: this {kind} does not exist, and the {by} {named} names it; "
            f"{expected}"
        )
    return named, path


def _from_cache(file, distribution, download):
    import pooch

    path = Path(pooch.os_cache("aniso")) / distribution.folder / file.offered_name
    if download:
        addresses = [mirror + file.offered_name for mirror in distribution.mirrors]
        expected = file.offered_num_bytes, file.offered_sha256
        fetch(path, *expected, addresses, _remedy(distribution))
    elif not path.is_file():
        raise DownloadFailed(
            f"{path.name} is not in the cache and download=False; {_remedy(distribution)}"
        )
    return path


def _remedy(distribution):
    return (
        f"put the official files of {distribution.name} into a folder and name it by data_dir or "
        f"by the environment variable {FOLDER_VARIABLE}"
    )


def _verified(path, file):
    opened = gzip.open if path.name == f"{file.name}.gz" else open
    try:
        with opened(path, "rb") as stream:
            content = stream.read(file.num_bytes + 1)
    except (EOFError, OSError, zlib.error) as error:
        found = f"damaged: {error}"
    else:
        checksum = hashlib.sha256(content).hexdigest()
        if checksum == file.sha256:
            return content
        found = f"its first {len(content)} bytes have sha256 {checksum}"
    raise checks.InputError(
        f"{str(path)!r} is not the official file ({found}); expected {file.num_bytes} bytes "
        f"uncompressed with sha256 {file.sha256}; replace it by a fresh copy"
    )
