"""Sums of squared deviations of gradients from their mean, where the mean is large beside them."""

import numpy as np

from aniso import backend

_BLOCK_ENTRIES = 2**22


def is_cancelled(centred, squares, dtype):
    """Whether ``centred``, the small difference of sums like ``squares``, has lost half its digits.

    Parameters
    ----------
    centred, squares : float or ndarray
    dtype : numpy.dtype
        Precision of what was summed.

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
    """``sum_i (g_i - g)^2`` entry by entry, shape (D,), in double precision.

    Parameters
    ----------
    gradients : GradientFactors or StreamedGradients
        The g_i, with ``shape``, ``dtype``, ``square_sums`` and ``rows``.
    mean : array, shape (D,)
        g.

    Returns
    -------
    ndarray
        Not negative.

    Notes
    -----
    ``sum_i g_i^2 - N g^2`` where that keeps at least half the digits. Otherwise the gradients are
    formed in blocks of rows, at the cost of one pass.
    """
    mean = backend.to_numpy(mean).astype(np.float64)
    squares = backend.to_numpy(gradients.square_sums())
    centred = squares - gradients.shape[0] * mean**2
    if is_cancelled(centred, squares, gradients.dtype).any():
        del squares, centred
        return square_sums_of_rows(gradients, mean)
    return centred


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
    mean = backend.to_numpy(mean).astype(np.float64)
    size = max(1, min(count, _BLOCK_ENTRIES // max(1, dimension)))
    network = getattr(gradients, "network", None)
    if network is not None and network.data.vectors_at_once is not None:
        # deviations and their squares are in double precision
        size = max(1, min(size, network.data.vectors_at_once // 2))
    first, second = np.zeros(dimension), np.zeros(dimension)
    for start in range(0, count, size):
        rows = backend.to_numpy(gradients.rows(start, min(start + size, count)))
        deviations = rows - mean
        first += deviations.sum(axis=0)
        second += np.einsum("np,np->p", deviations, deviations)
    # the mean that was given is itself rounded
    return np.maximum(second - first**2 / count, 0.0)
