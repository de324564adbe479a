"""Official files of the data sets: found in a folder or downloaded, and verified before use."""

import gzip
import hashlib
import os
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path

import filelock

from aniso import checks

FOLDER_VARIABLE = "ANISO_DATA"
"""Environment variable that names a folder of official files, or an ``.npz`` of the user's."""

_SECONDS_OF_SILENCE = 30


class DownloadFailed(OSError):
    """No mirror delivered an intact file; the message lists the failure of each mirror."""


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
        Checksum uncompressed: it identifies the content after a new compression too.
    gz_sha256 : str, optional
        Checksum of ``name + ".gz"`` on the mirrors; if not given, they offer the file itself.
    """

    name: str
    num_bytes: int
    sha256: str
    gz_sha256: str | None = None


@dataclass(frozen=True)
class Distribution:
    """The files of one data set and the mirrors that offer them.

    Attributes
    ----------
    name : str
        Name of the data set.
    folder : str
        Name of its folder, in the cache and in a folder that holds several data sets.
    mirrors : tuple of str
        Base addresses, tried in this order.
    files : tuple of OfficialFile
        Files of the data set, in the order in which they are read.
    npz : str
        Name of a file of the user's own images that takes its place; "" for none.
    """

    name: str
    folder: str
    mirrors: tuple
    files: tuple
    npz: str = ""


FASHION_MNIST = Distribution(
    name="FashionMNIST",
    folder="fashion-mnist",
    mirrors=(
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    ),
    files=(
        OfficialFile(
            "train-images-idx3-ubyte",
            47040016,
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        ),
        OfficialFile(
            "train-labels-idx1-ubyte",
            60008,
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        ),
        OfficialFile(
            "t10k-images-idx3-ubyte",
            7840016,
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        ),
        OfficialFile(
            "t10k-labels-idx1-ubyte",
            10008,
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
            "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        ),
    ),
)

CIFAR10 = Distribution(
    name="CIFAR-10",
    folder="cifar-10",
    mirrors=("https://www.cs.toronto.edu/~kriz/", "https://cave.cs.toronto.edu/kriz/"),
    files=(
        OfficialFile(
            "cifar-10-binary.tar.gz",
            170052171,
            "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
        ),
    ),
    npz="cifar10.npz",
)

CIFAR10_BATCH_BYTES = 30_730_000
"""Length of each file in the archive, 10,000 records; nobody publishes their checksums."""

SVHN = Distribution(
    name="SVHN",
    folder="svhn",
    mirrors=("http://ufldl.stanford.edu/housenumbers/",),
    files=(
        OfficialFile(
            "train_32x32.mat",
            182040794,
            "435e94d69a87fde4fd4d7f3dd208dfc32cb6ae8af2240d066de1df7508d083b8",
        ),
        OfficialFile(
            "test_32x32.mat",
            64275384,
            "cdce80dfb2a2c4c6160906d0bd7c68ec5a99d7ca4831afa54f09182025b6a75b",
        ),
    ),
    npz="svhn.npz",
)


def contents(distribution, data_dir=None, *, download=True):
    """Return the verified uncompressed bytes of each file of a distribution, in its order.

    Parameters
    ----------
    distribution : Distribution
        Data set to read.
    data_dir : path-like, optional
        Folder with the files, gzipped or not, directly or in ``distribution.folder``; the
        environment variable ``ANISO_DATA`` if not given; the user's cache if neither is.
    download : bool
        Whether to download files that are missing or damaged in the cache.

    Returns
    -------
    list of bytes
        One entry for each file.

    Raises
    ------
    InputError
        If `data_dir` is no folder or lacks a file, if a file is not the official one, or if
        `download` is neither True nor False.
    DownloadFailed
        If no mirror delivered an intact file, or if the cache lacks one and ``download=False``.

    Notes
    -----
    A file gets its name in the cache after its checksum agreed. If a file was damaged later, a
    download replaces it. If no download succeeds, the file stays and an error reports it. A
    download that was cut off starts again.
    """
    checks.flag("download", download)
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
    """Return the folder or file of data that the caller or the environment names.

    Parameters
    ----------
    data_dir : path-like, optional
        Path given by the caller; the environment variable ``ANISO_DATA`` if not given.

    Returns
    -------
    named : str
        "data_dir" or the variable, for messages.
    path : Path or None
        It exists; None if nothing is named.

    Raises
    ------
    InputError
        If it is no path, empty, or nothing is there.

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
    if isinstance(given, str) and not given:  # which Path takes for the working directory
        raise checks.InputError(f"{named}=''; {expected}; '.' is the working directory")
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

    name = file.name if file.gz_sha256 is None else f"{file.name}.gz"
    path = Path(pooch.os_cache("aniso")) / distribution.folder / name
    if not download and not path.is_file():
        raise DownloadFailed(
            f"{name} is not in the cache and download=False; {_remedy(distribution)}"
        )
    sha256 = file.gz_sha256 or file.sha256
    if not download or (path.is_file() and pooch.file_hash(path) == sha256):
        return path
    damaged = ""
    if path.is_file():
        damaged = (
            f" (a damaged copy of {path.stat().st_size} bytes is at {str(path)!r}; it is not used, "
            "and replaced once a download succeeds)"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # a second process or thread waits, then finds the file of the first one
        with filelock.FileLock(path.parent / ".lock"):
            failures = _failures(path, sha256, distribution.mirrors)
    except (OSError, NotImplementedError) as error:
        failures = [f"the folder {path.parent}: {type(error).__name__}: {error}"]
    if failures:
        raise DownloadFailed(
            f"{name} could not be downloaded{damaged}; {_remedy(distribution)}. Tried:\n  "
            + "\n  ".join(failures)
        )
    return path


def _failures(path, sha256, mirrors):
    """Download a file; the failures of all mirrors, empty as soon as one has delivered it."""
    import pooch

    failures = []
    for mirror in mirrors:
        bar = _Bar(path.name)
        receive = pooch.HTTPDownloader(
            progressbar=bar,
            chunk_size=2**14,
            timeout=_SECONDS_OF_SILENCE,
            hooks={"response": _refuse_web_page},
        )
        try:
            pooch.retrieve(
                mirror + path.name,
                f"sha256:{sha256}",
                path.name,
                path.parent,
                downloader=receive,
            )
            return []
        except (OSError, ValueError) as error:  # ValueError: another checksum
            failures.append(f"{mirror}{path.name}: {type(error).__name__}: {error}")
        finally:
            bar.close()
    return failures


def _refuse_web_page(answer, **_):
    # a network that asks for a login answers every address with its page
    if answer.ok and answer.headers.get("Content-Type", "").startswith("text/html"):
        raise ConnectionError("answered with a web page; does this network ask for a login?")


class _Bar:
    """A progress bar on standard error, if that is a terminal, with the members pooch asks for."""

    def __init__(self, label):
        from rich import console, progress

        self.display = progress.Progress(
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            progress.DownloadColumn(),
            progress.TransferSpeedColumn(),
            progress.TimeRemainingColumn(),
            console=console.Console(stderr=True),
            disable=not sys.stderr.isatty(),
        )
        self.total, self.task = None, self.display.add_task(label, total=None)

    def update(self, count):
        """Advance by `count` bytes."""
        self.display.start()
        self.display.update(self.task, advance=count, total=self.total)

    def reset(self):
        """Go back to the start."""
        self.display.reset(self.task)

    def close(self):
        """Leave the bar as it stands."""
        self.display.stop()


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
