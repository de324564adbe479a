"""Images made ready for networks: classes, scales, resolution, labels."""

import numpy as np

from aniso import checks, memory


def pair(images, labels, first, second):
    """Return the images of two classes, in their order, with the labels 0 and 1.

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
    images = checks.as_given("images", images)
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
    """Return grey values as floats, ``low + (high - low) grey / 255``.

    Parameters
    ----------
    images : ndarray of uint8, any shape
        Grey values, 0 to 255. Floats are refused: they have been scaled before.
    low, high : float, low < high
        Exact images of 0 and 255; the paper scales FashionMNIST to -1 and 1.

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
    images = checks.as_given("images", images)
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
    """Return the means over the size x size blocks of each image.

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
    """Return the labels; at `indices` they are drawn uniformly from all classes.

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
    indices = checks.as_given("indices", indices)
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


def channels_first(images, size=1):
    """Return float pixels (N, channels, height, width), means over size x size blocks.

    Parameters
    ----------
    images : ndarray of uint8, shape (N, height, width) or (N, height, width, channels)
        Grey or colour values, 0 to 255.
    size : int
        Side of a block; divides height and width.

    Returns
    -------
    ndarray of float32, shape (N, channels, height / size, width / size)

    Raises
    ------
    InputError
        If `images` has another number of axes or is not of type uint8, or `size` does not divide
        height and width.

    Examples
    --------
    >>> images = np.array([[[[1, 10], [3, 10]], [[2, 30], [2, 30]]]], dtype=np.uint8)
    >>> channels_first(images, 2)
    array([[[[ 2.]],
    <BLANKLINE>
            [[20.]]]], dtype=float32)
    """
    images = checks.as_given("images", images)
    if images.dtype != np.uint8:
        raise checks.InputError(
            f"images has dtype {images.dtype}; expected uint8, colours as they were read"
        )
    if images.ndim not in (3, 4):
        raise checks.InputError(
            f"images has shape {images.shape}; expected (N, height, width) or (N, height, width, "
            "channels)"
        )
    size = checks.integer("size", size, low=1)
    images = images.reshape(*images.shape[:3], -1).transpose(0, 3, 1, 2)
    num_images, channels, height, width = images.shape
    if height % size or width % size:
        raise checks.InputError(
            f"size={size}; expected a divisor of the height {height} and the width {width}"
        )
    memory.require(4 * images.size // size**2, "the pixels as floats", "take fewer images")
    blocks = images.reshape(num_images, channels, height // size, size, width // size, size)
    return blocks.mean(axis=(3, 5), dtype=np.float32)
