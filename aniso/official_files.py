"""Files of official distributions: found in a folder or downloaded, and verified before use."""

import contextlib
import gzip
import hashlib
import os
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path

from aniso import checks

FOLDER_VARIABLE = "ANISO_DATA"
"""Environment variable that names a folder of official files."""


class DownloadFailed(OSError):
    """A file that no mirror delivered intact; the message says what each mirror did."""


@dataclass(frozen=True)
class OfficialFile:
    """One file of a distribution, with the checksums that identify it.

    Attributes
    ----------
    name : str
        Name of the uncompressed file; mirrors offer it as ``name + ".gz"``.
    num_bytes : int
        Length uncompressed.
    sha256 : str
        Checksum uncompressed: it identifies the content also where somebody compressed it anew.
    gz_sha256 : str
        Checksum of the ``.gz`` that the mirrors offer.
    """

    name: str
    num_bytes: int
    sha256: str
    gz_sha256: str


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
    """

    name: str
    folder: str
    mirrors: tuple
    files: tuple


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
        If a folder is named that lacks a file, or if a file is not the official one.
    DownloadFailed
        If no mirror delivered a file intact, or if the cache lacks one and ``download=False``.

    Notes
    -----
    A file gets its name in the cache only after its checksum agreed; a damaged one is deleted.
    """
    named, folder = "data_dir", data_dir
    if folder is None:
        named, folder = FOLDER_VARIABLE, os.environ.get(FOLDER_VARIABLE) or None
    if folder is not None:
        paths = [_find(named, Path(folder), file, distribution) for file in distribution.files]
    else:
        paths = [_from_cache(file, distribution, download) for file in distribution.files]
    return [_verified(path, file) for path, file in zip(paths, distribution.files, strict=True)]


def _find(named, folder, file, distribution):
    for inner in ("", distribution.folder):
        for ending in ("", ".gz"):
            path = folder / inner / (file.name + ending)
            if path.is_file():
                return path
    raise checks.InputError(
        f"{named}={str(folder)!r} has no {file.name} or {file.name}.gz, neither directly nor in "
        f"{distribution.folder}; expected the official files of {distribution.name}"
    )


def _from_cache(file, distribution, download):
    import pooch

    path = Path(pooch.os_cache("aniso")) / distribution.folder / f"{file.name}.gz"
    if download:
        _fetch(path, file, distribution)
    elif not path.is_file():
        raise DownloadFailed(
            f"{path.name} is not in the cache and download=False; {_remedy(distribution)}"
        )
    return path


def _fetch(path, file, distribution):
    import pooch

    failures = []
    for mirror in distribution.mirrors:
        with _progress_bar(path.name) as bar:
            try:
                pooch.retrieve(
                    url=mirror + path.name,
                    known_hash=f"sha256:{file.gz_sha256}",
                    fname=path.name,
                    path=path.parent,
                    downloader=pooch.HTTPDownloader(progressbar=bar, chunk_size=2**16),
                )
                return
            except OSError as error:
                failures.append(f"{mirror}: {type(error).__name__}: {error}")
            except ValueError:
                failures.append(f"{mirror}: what arrived has a wrong checksum and was deleted")
    raise DownloadFailed(
        f"{path.name} could not be downloaded; {_remedy(distribution)}. Tried:\n  "
        + "\n  ".join(failures)
    )


def _remedy(distribution):
    return (
        f"put the official files of {distribution.name} into a folder and name it by data_dir or "
        f"by the environment variable {FOLDER_VARIABLE}, or use the subset in the package"
    )


def _verified(path, file):
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rb") as stream:
            content = stream.read(file.num_bytes + 1)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
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


@contextlib.contextmanager
def _progress_bar(label):
    """A bar on standard error that appears with the first bytes; False if no terminal."""
    if not sys.stderr.isatty():
        yield False
        return
    from rich import console, progress

    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.DownloadColumn(),
        progress.TransferSpeedColumn(),
    )
    display = progress.Progress(*columns, console=console.Console(stderr=True))
    try:
        yield _Bar(display, display.add_task(label, total=None))
    finally:
        display.stop()


class _Bar:
    """What pooch expects of a progress bar, drawn by rich."""

    def __init__(self, display, task):
        self.display, self.task, self.total = display, task, 0

    def update(self, num_bytes):
        self.display.start()
        self.display.update(self.task, total=self.total or None, advance=num_bytes)

    def reset(self):
        self.display.update(self.task, completed=0)

    def close(self):
        self.display.stop()
