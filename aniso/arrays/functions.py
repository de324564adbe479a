"""Array functions that the array API standard leaves out, or that NumPy has in a faster form.

Each works on the arrays of every library of :mod:`aniso.arrays.places`, on their device.
"""

import importlib
import math
import sys

import numpy as np
from scipy import special

from aniso.arrays import places, transfer


def contiguous(array):
    """Return the array with its last axis running fastest, copied where it is not.

    Examples
    --------
    >>> contiguous(np.ones((2, 3)).T).flags.c_contiguous
    True
    """
    if places.is_numpy(array):
        return np.ascontiguousarray(array)
    if hasattr(array, "contiguous"):
        return array.contiguous()
    xp = places.namespace(array)
    return xp.ascontiguousarray(array) if hasattr(xp, "ascontiguousarray") else array


def normal_distribution(array):
    """Distribution function of a standard normal number, by the array's own library if it has one.

    Examples
    --------
    >>> normal_distribution(np.zeros(1))
    array([0.5])
    """
    library = places.place_of(array).library
    if library == "numpy":
        return special.ndtr(array)
    if library == "torch":
        return sys.modules["torch"].special.ndtr(array)
    if library == "cupy":
        return importlib.import_module("cupyx.scipy.special").ndtr(array)
    return transfer.asarray_like(special.ndtr(transfer.to_numpy(array)), array)


def double_sum(array, axis=None):
    """Return the sum in double precision for entries of any precision.

    Parameters
    ----------
    array : array
        Entries to add.
    axis : int or tuple of int, optional
        Axes of the sum; all if not given.

    Returns
    -------
    array

    Examples
    --------
    >>> float(double_sum(np.ones(3, np.float32)))
    3.0
    """
    xp = places.namespace(array)
    return xp.sum(array, axis=axis, dtype=xp.float64)


def inner_products(first, second):
    """``sum_j a_kj b_kj`` of each row k, in double precision.

    Parameters
    ----------
    first, second : array, shape (K, n)
        Rows a_k and b_k.

    Returns
    -------
    array, shape (K,)

    Examples
    --------
    >>> inner_products(np.ones((1, 2)), np.array([[3.0, 4.0]]))
    array([7.])
    """
    if places.is_numpy(first):
        return np.einsum("ki,ki->k", first, second, dtype=np.float64)
    xp = places.namespace(first)
    return xp.vecdot(xp.astype(first, xp.float64), xp.astype(second, xp.float64))


def take(array, indices):
    """Return entries of the first axis; `indices` is a slice, or integers in a NumPy array.

    Examples
    --------
    >>> take(np.array([5, 6, 7]), [2, 0])
    array([7, 5])
    """
    if isinstance(indices, slice):
        return array[indices, ...]
    if places.is_numpy(array):
        return array[np.asarray(indices)]
    indices = np.asarray(indices)
    if indices.dtype == bool:
        indices = np.flatnonzero(indices)
    return places.namespace(array).take(array, transfer.asarray_like(indices, array), axis=0)


def reshape(array, shape):
    """Return the array in another shape; autograd's traced arrays are accepted too.

    Examples
    --------
    >>> reshape(np.zeros(6), (2, 3)).shape
    (2, 3)
    """
    if hasattr(array, "reshape"):
        return array.reshape(shape)
    return places.namespace(array).reshape(array, shape)


def centring_error(gradients):
    """Share of ``sum_i |g_i|^2`` that rounding leaves in ``sum_i |g_i|^2 - N |g|^2``.

    Parameters
    ----------
    gradients : array or factors
        With ``shape`` (N, D) and ``dtype``.

    Returns
    -------
    float
        ``16 sqrt(N) eps``.

    Examples
    --------
    >>> centring_error(np.ones((4, 2))) == 2**-47
    True
    """
    eps = float(np.finfo(np.dtype(gradients.dtype)).eps)
    return 16 * math.sqrt(gradients.shape[0]) * eps
