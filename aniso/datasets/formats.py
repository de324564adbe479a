"""Labelled images from the files in which they are published, or from a user's ``.npz``.

Every reader returns (images uint8 (N, height, width, 3), labels int64 (N,)). It refuses a file of
another form and names it. Every exception of a library on a damaged file becomes an InputError.
"""

import io
import tarfile

import numpy as np

from aniso import checks

NUM_CLASSES = 10
_RECORD = 1 + 3 * 32 * 32


def cifar_batches(archive, names, label):
    """Return the records of CIFAR-10's binary version from the bytes of its archive.

    Parameters
    ----------
    archive : bytes
        A gzipped tar.
    names : sequence of str
        Members, without their folder.
    label : str
        Name of the archive, for messages.

    Returns
    -------
    list of bytes

    Raises
    ------
    InputError
        If the archive is damaged or cut off, or lacks a member.
    """
    found = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as members:
            for member in members:
                name = member.name.rpartition("/")[2]
                if name in names and member.isfile():
                    found[name] = members.extractfile(member).read()
    except Exception as error:
        raise checks.InputError(
            f"{label} is damaged or cut off ({type(error).__name__}: {error}); replace it by a "
            "fresh copy"
        ) from error
    for name in names:
        if name not in found:
            raise checks.InputError(f"{label} has no file {name}; expected the binary version")
    return [found[name] for name in names]


def cifar_images(records, name):
    """Return images and labels of records of one label byte and 3 x 32 x 32 colour values.

    Parameters
    ----------
    records : bytes
        Content of the file.
    name : str
        Where they are from, for messages.

    Returns
    -------
    images : ndarray of uint8, shape (N, 32, 32, 3)
    labels : ndarray of int64, shape (N,)

    Raises
    ------
    InputError
        If the length is no multiple of a record, or a label is above 9.

    Examples
    --------
    >>> images, labels = cifar_images(bytes([7]) + bytes(1024) + bytes([5]) * 2048, "two planes")
    >>> labels, images[0, 0, 0]
    (array([7]), array([0, 5, 5], dtype=uint8))
    """
    if not records or len(records) % _RECORD:
        raise checks.InputError(
            f"{name} has {len(records)} bytes; expected a positive multiple of {_RECORD}, a record "
            "of label and colours: replace it by a fresh copy"
        )
    rows = np.frombuffer(records, np.uint8).reshape(-1, _RECORD)
    images = rows[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return _checked(np.ascontiguousarray(images), rows[:, 0], name, name)


def svhn_images(content, name):
    """Return images and labels of a file of SVHN's format 2, whose label 10 is the digit 0.

    Parameters
    ----------
    content : bytes
        A MATLAB 5 file with X (32, 32, 3, N) and y (N, 1).
    name : str
        Where they are from, for messages.

    Returns
    -------
    images : ndarray of uint8, shape (N, 32, 32, 3)
    labels : ndarray of int64, shape (N,)

    Raises
    ------
    InputError
        If the content is no such file, or its arrays have other shapes or labels.
    """
    from scipy import io as scipy_io

    try:
        arrays = scipy_io.loadmat(io.BytesIO(content), variable_names=["X", "y"])
        images, labels = arrays["X"], arrays["y"].ravel()
    except Exception as error:
        raise checks.InputError(
            f"{name} is no MATLAB file with X and y ({type(error).__name__}: {error}); replace it "
            "by a fresh copy"
        ) from error
    if images.ndim != 4 or images.shape[:3] != (32, 32, 3):
        raise checks.InputError(
            f"{name} has X of shape {images.shape}; expected (32, 32, 3, N), N colour images"
        )
    if labels.dtype.kind not in "iu" or not set(np.unique(labels)) <= set(range(1, 11)):
        raise checks.InputError(
            f"{name} has y of dtype {labels.dtype} with the labels {set(labels.tolist())}; "
            "expected integers, 1 to 10"
        )
    return _checked(
        np.ascontiguousarray(images.transpose(3, 0, 1, 2)), labels % 10, name, f"{name}: y"
    )


def npz_images(path):
    """Return training images and labels, test images and labels of a user's file.

    Parameters
    ----------
    path : Path
        An ``.npz`` with x_train, y_train, x_test and y_test: uint8 images (N, height, width, 3) of
        even height and width, which Figures 1 and 6 pool, and labels 0 to 9.

    Returns
    -------
    tuple of ndarray

    Raises
    ------
    InputError
        If it is unreadable, lacks an array, or one has a wrong shape, type or label.
    """
    names = ("x_train", "y_train", "x_test", "y_test")
    try:
        found = _arrays(path, names)
    except Exception as error:
        raise checks.InputError(
            f"{str(path)!r} is no readable .npz ({_reason(error)}); expected an archive of "
            f"{', '.join(names)}, arrays of numbers: write it anew by numpy.savez(path, "
            "x_train=..., y_train=..., x_test=..., y_test=...)"
        ) from error
    for name in names:
        if name not in found:
            raise checks.InputError(f"{str(path)!r} has no {name}; expected {', '.join(names)}")
    found = list(found.values())
    of_file = [f"{path.name}: {name}" for name in names]
    train = _checked(*found[:2], *of_file[:2])
    test = _checked(*found[2:], *of_file[2:])
    if train[0].shape[1:] != test[0].shape[1:]:
        raise checks.InputError(
            f"{str(path)!r} has training images of shape {train[0].shape[1:]} and test images of "
            f"{test[0].shape[1:]}; expected the same"
        )
    return *train, *test


def _arrays(path, names):
    """Return the arrays of these names that an .npz holds."""
    with path.open("rb") as stream:
        stored = np.load(stream, allow_pickle=False)
        if isinstance(stored, np.ndarray):
            raise ValueError("it is a single array, an .npy of another name")
        with stored:
            return {name: np.asarray(stored[name]) for name in names if name in stored.files}


def _reason(error):
    """Return why a file can't be read, without NumPy's advice to unpickle it."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if "pickle" in str(error):
        return "it is no archive of NumPy, or an array in it holds Python objects"
    return f"{type(error).__name__}: {error}"


def _checked(images, labels, name, labels_name):
    if images.dtype != np.uint8:
        raise checks.InputError(
            f"{name} has dtype {images.dtype}; expected uint8, colours as they were read"
        )
    if images.ndim != 4 or images.shape[-1] != 3:
        raise checks.InputError(
            f"{name} has shape {images.shape}; expected (N, height, width, 3), colour images (grey "
            "values become that by np.repeat(images[..., None], 3, axis=-1))"
        )
    if len(images) == 0:
        raise checks.InputError(f"{name} has no images")
    height, width = images.shape[1:3]
    if min(height, width) == 0 or height % 2 or width % 2:
        raise checks.InputError(
            f"{name} has images of {height} x {width} pixels; expected an even height and width, "
            "at least 2 x 2"
        )
    labels = checks.as_given(labels_name, labels)
    if labels.shape != (len(images),) or labels.dtype.kind not in "iu":
        raise checks.InputError(
            f"{labels_name} has shape {labels.shape} and dtype {labels.dtype}; expected one "
            f"integer for each of {len(images)} images"
        )
    wrong = np.flatnonzero((labels < 0) | (labels >= NUM_CLASSES))
    if wrong.size:
        raise checks.InputError(
            f"{labels_name} has the label {labels[wrong[0]]} at {wrong[0]}; expected 0 to "
            f"{NUM_CLASSES - 1}"
        )
    return images, labels.astype(np.int64)
