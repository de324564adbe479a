"""Real images for experiments: FashionMNIST, CIFAR-10 and SVHN.

A subset of FashionMNIST is part of the package: the first 1,200 training and the first 2,000 test
images in the official order. 1,200 is the size of the training set of the paper's experiment: 1,000
clean images and 200 with random labels. In the published script the latter have the indices 1000 to
1199.

All other images come from official files, verified by their checksums, or from an ``.npz`` that the
user names. Unpacked batches of CIFAR-10 are verified by their lengths alone.
"""

from __future__ import annotations

import importlib.resources
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from aniso import checks
from aniso.datasets import formats, official
from aniso.datasets.official import CIFAR10, CIFAR10_BATCH_BYTES, FASHION_MNIST, SVHN

if TYPE_CHECKING:
    from aniso.typing import PathLike


_BATCHES = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
_TEST_BATCH = "test_batch.bin"
_OFFICIAL = "the official files, checksums verified"


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled images in the official order; the arrays are read-only.

    Attributes
    ----------
    name : str
        Name of the data set.
    source : str
        Where the arrays come from.
    train_images, test_images : ndarray of uint8, shape (N, height, width[, 3])
        Grey or colour values, 0 to 255.
    train_labels, test_labels : ndarray of int64, shape (N,)
        Class of each image.
    """

    name: str
    source: str
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray

    def __post_init__(self):
        for array in (self.train_images, self.train_labels, self.test_images, self.test_labels):
            array.setflags(write=False)


def fashion_mnist(
    subset: bool = True, data_dir: PathLike | None = None, *, download: bool = True
) -> Dataset:
    """Return FashionMNIST, 28 x 28 grey images of ten kinds of clothing.

    Parameters
    ----------
    subset : bool
        True for the images in the package, the first 1,200 of the training set and the first
        2,000 of the test set; False for all 60,000 and 10,000.
    data_dir : path-like, optional
        For ``subset=False``: a folder with the four official files, gzipped or not, directly or
        in its folder ``fashion-mnist``. If not given, the environment variable ``ANISO_DATA``;
        without either, the user's cache, filled by a download (30 MB).
    download : bool
        Whether files that the cache lacks may be fetched.

    Returns
    -------
    Dataset
        Images of shape (N, 28, 28), labels 0 to 9.

    Raises
    ------
    InputError
        If `data_dir` is given with ``subset=True``, lacks a file or holds one that is not the
        official file; if `subset` or `download` is neither True nor False.
    DownloadFailed
        If no mirror delivered an intact file, or if the cache lacks one and ``download=False``.

    Notes
    -----
    Xiao, Rasul & Vollgraf, arXiv:1708.07747; copyright 2017 Zalando SE, MIT licence.

    Examples
    --------
    >>> clothing = fashion_mnist()
    >>> clothing.train_images.shape, clothing.test_images.shape
    ((1200, 28, 28), (2000, 28, 28))
    >>> clothing.train_labels[:6]
    array([9, 0, 0, 3, 0, 2])
    """
    checks.flag("download", download)
    if not checks.flag("subset", subset):
        return _whole_fashion_mnist(data_dir, download)
    if data_dir is not None:
        raise checks.InputError(
            f"data_dir={str(data_dir)!r} has no use with subset=True, whose images are in the "
            "package; expected subset=False or no data_dir"
        )
    resource = importlib.resources.files("aniso.datasets") / "data" / "fashion_mnist_subset.npz"
    with resource.open("rb") as stream, np.load(stream) as arrays:
        return Dataset(
            FASHION_MNIST.name,
            "the subset in the package, first images of the official order",
            arrays["train_images"],
            arrays["train_labels"].astype(np.int64),
            arrays["test_images"],
            arrays["test_labels"].astype(np.int64),
        )


def _whole_fashion_mnist(data_dir, download):
    files = official.contents(FASHION_MNIST, data_dir, download=download)
    train_images, train_labels, test_images, test_labels = files
    # IDX: 16 bytes before the images, 8 before the labels; the checksum verifies the rest.
    return Dataset(
        FASHION_MNIST.name,
        _OFFICIAL,
        np.frombuffer(train_images, np.uint8, offset=16).reshape(-1, 28, 28),
        np.frombuffer(train_labels, np.uint8, offset=8).astype(np.int64),
        np.frombuffer(test_images, np.uint8, offset=16).reshape(-1, 28, 28),
        np.frombuffer(test_labels, np.uint8, offset=8).astype(np.int64),
    )


def cifar10(data_dir: PathLike | None = None, *, download: bool = True) -> Dataset:
    """Return CIFAR-10, 32 x 32 colour photographs of ten kinds of things.

    Parameters
    ----------
    data_dir : path-like, optional
        A folder with the official binary archive, with its unpacked ``.bin`` files or with
        ``cifar10.npz``, or the path of an ``.npz`` (see :func:`aniso.datasets.formats.npz_images`).
        If not given, the environment variable ``ANISO_DATA``, whose ``.npz`` must be called
        ``cifar10.npz``; without either, the user's cache, filled by a download (170 MB).
    download : bool
        Whether the archive may be fetched if the cache lacks it.

    Returns
    -------
    Dataset
        Images of shape (N, 32, 32, 3), or of the size in an ``.npz``, labels 0 to 9; officially
        50,000 and 10,000.

    Raises
    ------
    InputError
        If `data_dir` holds none of these, or a damaged file; if `download` is neither True nor
        False.
    DownloadFailed
        If no mirror delivered the archive intact, or the cache lacks it and ``download=False``.

    Notes
    -----
    The archive is verified by its checksum. Of unpacked files, for which none is published, the
    lengths and the range of the labels are.

    Krizhevsky, "Learning multiple layers of features from tiny images", 2009; no licence is stated.
    """
    checks.flag("download", download)
    npz = _own_npz(data_dir, CIFAR10)
    if npz is not None:
        return _from_npz("CIFAR-10", npz)
    names = (*_BATCHES, _TEST_BATCH)
    folder = _folder_with(data_dir, names, ("", "cifar-10-batches-bin"))
    if folder is not None:
        contents = [_unpacked_batch(folder / name) for name in names]
        source = f"{folder}/*.bin, lengths verified"
    else:
        (archive,) = official.contents(CIFAR10, data_dir, download=download)
        contents = formats.cifar_batches(archive, names, CIFAR10.files[0].name)
        source = _OFFICIAL
    parts = [formats.cifar_images(c, n) for c, n in zip(contents, names, strict=True)]
    images, labels = (np.concatenate(arrays) for arrays in zip(*parts[:-1], strict=True))
    return Dataset("CIFAR-10", source, images, labels, *parts[-1])


def svhn(
    data_dir: PathLike | None = None, *, exchanged: bool = False, download: bool = True
) -> Dataset:
    """Return SVHN, 32 x 32 colour images of digits cut out of house numbers (format 2).

    Parameters
    ----------
    data_dir : path-like, optional
        A folder with the two official ``.mat`` files or with ``svhn.npz``, or the path of an
        ``.npz`` (see :func:`aniso.datasets.formats.npz_images`). If not given, the environment
        variable ``ANISO_DATA``, whose ``.npz`` must be called ``svhn.npz``; without either, the
        user's cache, filled by a download (246 MB).
    exchanged : bool
        The paper's split: training images from the official test file and test images from the
        official training file. It then takes 25,000 of the 26,032 and 70,000 of the 73,257: which
        ones is the caller's to draw.
    download : bool
        Whether files that the cache lacks may be fetched.

    Returns
    -------
    Dataset
        Images of shape (N, 32, 32, 3), or of the size in an ``.npz``, labels 0 to 9; officially
        73,257 and 26,032.

    Raises
    ------
    InputError
        If `data_dir` holds none of these, or a damaged file; if `exchanged` or `download` is
        neither True nor False.
    DownloadFailed
        If no mirror delivered an intact file, or the cache lacks one and ``download=False``.

    Notes
    -----
    Netzer et al., "Reading digits in natural images with unsupervised feature learning", 2011; for
    non-commercial use only.
    """
    exchanged = checks.flag("exchanged", exchanged)
    checks.flag("download", download)
    npz = _own_npz(data_dir, SVHN)
    if npz is not None:
        found = _from_npz("SVHN", npz)
    else:
        contents = official.contents(SVHN, data_dir, download=download)
        parts = [
            formats.svhn_images(content, file.name)
            for content, file in zip(contents, SVHN.files, strict=True)
        ]
        found = Dataset("SVHN", _OFFICIAL, *parts[0], *parts[1])
    if not exchanged:
        return found
    return Dataset(
        found.name,
        f"{found.source}, training and test images exchanged",
        found.test_images,
        found.test_labels,
        found.train_images,
        found.train_labels,
    )


def _own_npz(data_dir, distribution):
    """Return the path of the user's .npz for this data set, or None.

    An argument may name any file, except the file of another data set. The environment variable
    is common to all data sets, so it may name this data set's file alone.
    """
    named, path = official.named_path(data_dir)
    if path is None:
        return None
    if path.is_dir():
        path = path if path.suffix == ".npz" else path / distribution.npz
        if path.is_dir():
            raise checks.InputError(
                f"{str(path)!r} is a folder; expected an .npz file of that name: pack the arrays "
                "by numpy.savez, or rename the folder"
            )
        return path if path.is_file() else None
    others = {other.npz for other in (CIFAR10, SVHN)} - {distribution.npz}
    free = named == "data_dir" and path.suffix == ".npz" and path.name not in others
    return path if free or path.name == distribution.npz else None


def _from_npz(name, path):
    return Dataset(name, f"{path.name}, a file of the user's", *formats.npz_images(path))


def _folder_with(data_dir, names, places):
    """Return the first place in the named folder that holds all the files, or None."""
    _, folder = official.named_path(data_dir)
    if folder is None:
        return None
    found = [folder / p for p in places if all((folder / p / name).is_file() for name in names)]
    return found[0] if found else None


def _unpacked_batch(path):
    try:
        size = path.stat().st_size
        if size == CIFAR10_BATCH_BYTES:
            return path.read_bytes()
    except OSError as error:
        raise checks.InputError(f"{str(path)!r} can't be read: {error.strerror}") from error
    raise checks.InputError(
        f"{str(path)!r} has {size} bytes; expected {CIFAR10_BATCH_BYTES}, 10,000 records of label "
        "and colours: unpack the archive anew, or name a folder that holds the archive itself"
    )
