"""Real images for experiments: FashionMNIST, as a subset in the package or whole and verified.

The subset is the first 1,200 training and the first 2,000 test images in the official order.
1,200 is the size of the training set of the paper's experiment: 1,000 clean images and 200 with
random labels, in the published script those of the indices 1000 to 1199.
"""

import importlib.resources
from dataclasses import dataclass

import numpy as np

from aniso import checks, memory, official_files

FASHION_MNIST = official_files.Distribution(
    name="FashionMNIST",
    folder="fashion-mnist",
    mirrors=(
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    ),
    files=(
        official_files.OfficialFile(
            "train-images-idx3-ubyte",
            47040016,
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        ),
        official_files.OfficialFile(
            "train-labels-idx1-ubyte",
            60008,
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        ),
        official_files.OfficialFile(
            "t10k-images-idx3-ubyte",
            7840016,
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        ),
        official_files.OfficialFile(
            "t10k-labels-idx1-ubyte",
            10008,
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
            "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        ),
    ),
)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled images in the official order; the arrays are read-only.

    Attributes
    ----------
    name : str
        Name of the data set.
    source : str
        Where the arrays come from.
    train_images, test_images : ndarray of uint8, shape (N, height, width)
        Grey values, 0 to 255.
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


def fashion_mnist(subset=True, data_dir=None, *, download=True):
    """FashionMNIST, 28 x 28 grey images of ten kinds of clothing.

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
        official file.
    DownloadFailed
        If no mirror delivered a file intact, or if the cache lacks one and ``download=False``.

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
    if not checks.flag("subset", subset):
        return _whole_fashion_mnist(data_dir, download)
    if data_dir is not None:
        raise checks.InputError(
            f"data_dir={str(data_dir)!r} has no use with subset=True, whose images are in the "
            "package; expected subset=False or no data_dir"
        )
    resource = importlib.resources.files("aniso") / "data" / "fashion_mnist_subset.npz"
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
    files = official_files.contents(FASHION_MNIST, data_dir, download=download)
    train_images, train_labels, test_images, test_labels = files
    # IDX: 16 bytes before the images, 8 before the labels; the checksum stands for the rest.
    return Dataset(
        FASHION_MNIST.name,
        "the official files, checksums verified",
        np.frombuffer(train_images, np.uint8, offset=16).reshape(-1, 28, 28),
        np.frombuffer(train_labels, np.uint8, offset=8).astype(np.int64),
        np.frombuffer(test_images, np.uint8, offset=16).reshape(-1, 28, 28),
        np.frombuffer(test_labels, np.uint8, offset=8).astype(np.int64),
    )


def pair(images, labels, first, second):
    """The images of two classes, in their order, with the labels 0 and 1.

    Parameters
    ----------
    images : array_like, shape (N, ...)
        Images of any shape and type.
    labels : array_like of int, shape (N,)
        Class of each image.
    first, second : int
        The class that gets the label 0, and the one that gets 1.

    Returns
    -------
    images : ndarray, shape (n, ...)
        The n images of the two classes, a copy.
    labels : ndarray of int64, shape (n,)
        0 where the class was `first`, 1 where it was `second`.

    Raises
    ------
    InputError
        If there is not one label for each image, or a class is absent, or both are the same.

    Examples
    --------
    >>> pair(np.array([[10], [20], [30]]), [7, 5, 9], first=9, second=7)
    (array([[10],
           [30]]), array([1, 0]))
    """
    images = np.asarray(images)
    if images.ndim == 0:
        raise checks.InputError("images has shape (); expected (N, ...), N images")
    labels = checks.array("labels", labels, shape=(len(images),))
    first = checks.integer("first", first)
    second = checks.integer("second", second)
    if first == second:
        raise checks.InputError(f"first=second={first}; expected two different classes")
    for name, label in (("first", first), ("second", second)):
        if not (labels == label).any():
            present = ", ".join(f"{value:g}" for value in np.unique(labels))
            raise checks.InputError(
                f"{name}={label} is not among the labels; expected one of: {present}"
            )
    chosen = (labels == first) | (labels == second)
    return images[chosen], (labels[chosen] == second).astype(np.int64)


def scale_images(images, low, high):
    """Grey values as floats, ``low + (high - low) grey / 255``.

    Parameters
    ----------
    images : ndarray of uint8, any shape
        Grey values, 0 to 255. Floats are refused: they have been scaled before.
    low, high : float, low < high
        What 0 and 255 become, exactly; the paper scales FashionMNIST to -1 and 1.

    Returns
    -------
    ndarray of float64, the shape of `images`
        Values from `low` to `high`.

    Raises
    ------
    InputError
        If `images` is not of type uint8, or `low` is not below `high`.
    AllocationRefused
        If the floats, 8 bytes for each grey value, would not fit into memory.

    Examples
    --------
    >>> scale_images(np.array([0, 51, 255], dtype=np.uint8), 0, 1)
    array([0. , 0.2, 1. ])
    """
    images = np.asarray(images)
    if images.dtype != np.uint8:
        raise checks.InputError(
            f"images has dtype {images.dtype}; expected uint8, grey values as they were read"
        )
    low = checks.number("low", low)
    high = checks.number("high", high)
    if low >= high:
        raise checks.InputError(f"low={low:g}, high={high:g}; expected low < high")
    memory.require(8 * images.size, "the scaled images", "scale fewer images at a time")
    return np.linspace(low, high, 256)[images]


def average_pool(images, size):
    """Means over the size x size blocks of each image, for a smaller input dimension.

    Parameters
    ----------
    images : array_like, shape (N, height, width)
        Grey values or scaled images.
    size : int
        Side of a block; divides height and width.

    Returns
    -------
    ndarray of float64, shape (N, height / size, width / size)
        One mean for each block.

    Raises
    ------
    InputError
        If `images` has another number of axes, or `size` does not divide height and width.

    Examples
    --------
    >>> average_pool([[[1, 3, 0, 0], [2, 2, 4, 0]]], 2)
    array([[[2., 1.]]])
    """
    images = checks.array("images", images, shape=(None, None, None))
    num_images, height, width = images.shape
    size = checks.integer("size", size, low=1)
    if height % size or width % size:
        raise checks.InputError(
            f"size={size}; expected a divisor of the height {height} and the width {width}"
        )
    blocks = images.reshape(num_images, height // size, size, width // size, size)
    return blocks.mean(axis=(2, 4))


def with_random_labels(labels, indices, num_classes, rng):
    """The labels with those at `indices` drawn anew, uniformly from all classes.

    Parameters
    ----------
    labels : array_like of int, shape (N,)
        Labels 0 to num_classes - 1.
    indices : array_like of int, shape (n,)
        Which labels to draw, each at most once. The old label is drawn again with probability
        1 / num_classes.
    num_classes : int
        Number of classes.
    rng : numpy.random.Generator
        Source of the labels.

    Returns
    -------
    ndarray of int64, shape (N,)
        A changed copy.

    Raises
    ------
    InputError
        If a label is out of range, or an index is out of range or repeated.

    Examples
    --------
    >>> with_random_labels([0, 0, 1], [2], 2, np.random.default_rng(0))[:2]
    array([0, 0])
    """
    num_classes = checks.integer("num_classes", num_classes, low=1)
    labels = checks.class_labels("labels", labels, num_classes=num_classes)
    indices = np.asarray(indices)
    if indices.ndim != 1 or (indices.size and indices.dtype.kind not in "iu"):
        raise checks.InputError(
            f"indices has shape {indices.shape} and dtype {indices.dtype}; expected integers, "
            "shape (n,)"
        )
    wrong = indices[(indices < 0) | (indices >= len(labels))]
    if wrong.size:
        raise checks.InputError(
            f"indices has {wrong[0]}; expected integers in 0..{len(labels) - 1}"
        )
    if np.unique(indices).size < indices.size:
        raise checks.InputError("indices has a repeated entry; expected each at most once")
    rng = checks.generator("rng", rng)
    labels[indices.astype(np.intp)] = rng.integers(num_classes, size=indices.size)
    return labels
