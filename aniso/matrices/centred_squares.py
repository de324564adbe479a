"""Sums of squared deviations of gradients from their mean, also where the mean is far larger."""

import numpy as np

from aniso.arrays import functions, transfer

_BLOCK_ENTRIES = 2**22


def is_cancelled(centred, squares, dtype):
    """Return whether ``centred``, a difference of sums like ``squares``, has lost half its digits.

    Parameters
    ----------
    centred, squares : float or ndarray
        Differences, and the sums that were subtracted.
    dtype : numpy.dtype
        Precision of the numbers that were summed.

    Returns
    -------
    bool or ndarray of bool

    Examples
    --------
    >>> is_cancelled(np.array([1.0, 1.0]), np.array([1e9, 1e6]), np.float64).tolist()
    [True, False]
    """
    return centred < np.sqrt(np.finfo(dtype).eps) * squares


def centred_square_sums(gradients, mean):
    """``sum_i (g_i - g)^2`` entry by entry, and the rounding error of each.

    Parameters
    ----------
    gradients : ExampleGradients
        The g_i.
    mean : array, shape (D,)
        g.

    Returns
    -------
    sums : ndarray, shape (D,)
        In double precision, not negative.
    rounding : ndarray, shape (D,)
        The largest sum that rounding alone can make where all gradients are equal.

    Notes
    -----
    ``sum_i g_i^2 - N g^2`` where that keeps at least half the digits. Otherwise the gradients are
    formed in blocks of rows, at the cost of one pass.
    """
    mean = transfer.to_numpy(mean).astype(np.float64)
    squares = transfer.to_numpy(gradients.square_sums())
    centred = squares - gradients.shape[0] * mean**2
    error = functions.centring_error(gradients)
    if is_cancelled(centred, squares, gradients.dtype).any():
        del centred
        return square_sums_of_rows(gradients, mean), error**2 * squares
    return centred, error * squares


def centred_square_norm(gradients, mean):
    """``sum_i |g_i - g|^2`` and its rounding error, a pair of floats.

    Parameters
    ----------
    gradients, mean
        As for :func:`centred_square_sums`.

    Returns
    -------
    total, rounding : float
    """
    squares = float(functions.double_sum(gradients.square_norms()))
    square_mean = float(functions.inner_products(mean[None, ...], mean[None, ...])[0])
    centred = squares - gradients.shape[0] * square_mean
    error = functions.centring_error(gradients)
    if is_cancelled(centred, squares, gradients.dtype):
        return float(square_sums_of_rows(gradients, mean).sum()), error**2 * squares
    return centred, error * squares


def square_sums_of_rows(gradients, mean):
    """``sum_i (g_i - g)^2`` from gradients that are formed in blocks of rows.

    Parameters
    ----------
    gradients, mean
        As for :func:`centred_square_sums`.

    Returns
    -------
    ndarray, shape (D,)
        Not negative.
    """
    count, dimension = gradients.shape
    mean = transfer.to_numpy(mean).astype(np.float64)
    size = max(1, min(count, _BLOCK_ENTRIES // max(1, dimension)))
    if gradients.rows_at_once is not None:
        # deviations and their squares are in double precision
        size = max(1, min(size, gradients.rows_at_once // 2))
    first, second = np.zeros(dimension), np.zeros(dimension)
    for start in range(0, count, size):
        rows = transfer.to_numpy(gradients.rows(start, min(start + size, count)))
        deviations = rows - mean
        first += deviations.sum(axis=0)
        second += np.einsum("np,np->p", deviations, deviations)
    # the mean that was given is itself rounded
    return np.maximum(second - first**2 / count, 0.0)
