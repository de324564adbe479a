"""Sums over the lanes of a panel, in one fixed order."""

import numpy as np
from numba import njit

from aniso.langevin.streams import INLINE, KERNEL, LANES

_REDUCTION = INLINE | {"fastmath": {"contract", "reassoc", "nsz"}}


@njit(**_REDUCTION)
def dot(first, second):
    """Inner product of two rows of LANES numbers, summed in vectors."""
    total = 0.0
    for lane in range(LANES):
        total += first[lane] * second[lane]
    return total


@njit(**_REDUCTION)
def total(row):
    """Sum of a row of LANES numbers, summed in vectors."""
    result = 0.0
    for lane in range(LANES):
        result += row[lane]
    return result


@njit(**KERNEL)
def add_moments(panel, dimension, active, centre, scratch, first, second):
    """Adds ``sum (x - c)`` and ``sum (x - c)(x - c)^T`` of the active lanes (lower triangle).

    `panel` (D or more, LANES), `centre` (D,), `scratch` (D or more, LANES) is overwritten,
    `first` (D,) and `second` (D, D) are added to.
    """
    for i in range(dimension):
        for lane in range(LANES):
            scratch[i, lane] = panel[i, lane] - centre[i] if lane < active else 0.0
        first[i] += total(scratch[i])
        for j in range(i + 1):
            second[i, j] += dot(scratch[i], scratch[j])


@njit(**KERNEL)
def add_observable(values, active, sums):
    """Adds the sum and the sum of squares of the active lanes of `values` to `sums` (2,)."""
    for lane in range(active, LANES):
        values[lane] = 0.0
    sums[0] += total(values)
    sums[1] += dot(values, values)


def mirrored(lower):
    """Symmetric matrices from their lower triangles, shape (..., D, D).

    Examples
    --------
    >>> mirrored(np.array([[1.0, 0.0], [2.0, 3.0]])).tolist()
    [[1.0, 2.0], [2.0, 3.0]]
    """
    return np.tril(lower) + np.swapaxes(np.tril(lower, -1), -1, -2)
