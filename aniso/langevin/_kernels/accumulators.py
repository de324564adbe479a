"""Sums over the lanes of a panel, always in the same order."""

import numpy as np

from aniso.arrays import (
    njit,
)
from aniso.langevin._kernels.streams import INLINE, INNER, LANES

REDUCTION = INLINE | {"fastmath": {"contract", "reassoc", "nsz"}}
"""Options of functions whose sums may run in vectors."""


@njit(**REDUCTION)
def dot(first, second):
    """Return the inner product of two rows of LANES numbers."""
    total = 0.0
    for lane in range(LANES):
        total += first[lane] * second[lane]
    return total


@njit(**REDUCTION)
def dot_of_squares(first, second):
    """Return the inner product of the squares of two rows of LANES numbers."""
    total = 0.0
    for lane in range(LANES):
        total += (first[lane] * second[lane]) * (first[lane] * second[lane])
    return total


@njit(**REDUCTION)
def row_sum(row):
    """Return the sum of a row of LANES numbers."""
    result = 0.0
    for lane in range(LANES):
        result += row[lane]
    return result


@njit(**INLINE)
def add_moments(panel, dimension, active, centre, scratch, first, second, fourth):
    """Add sums of d, ``d_i d_j`` and ``(d_i d_j)^2``, d = x - c, over the active lanes.

    `panel` (D or more, LANES) holds x and `centre` (D,) holds c. The sums are added to `first`
    (D,), `second` (D, D) and `fourth` (D, D), lower triangles only. A `fourth` of shape (0, 0) is
    left out. `scratch` (D or more, LANES) is overwritten.
    """
    for i in range(dimension):
        for lane in range(LANES):
            scratch[i, lane] = panel[i, lane] - centre[i] if lane < active else 0.0
        first[i] += row_sum(scratch[i])
        for j in range(i + 1):
            second[i, j] += dot(scratch[i], scratch[j])
    for i in range(fourth.shape[0]):
        for j in range(i + 1):
            fourth[i, j] += dot_of_squares(scratch[i], scratch[j])


@njit(**INLINE)
def add_observable(values, active, spread):
    """Merge the active lanes of `values` into `spread` (3,), see :func:`merged`.

    `values` is overwritten.
    """
    # deviations from one of the values, then from their mean: a common offset cancels exactly
    offset = values[0]
    for lane in range(LANES):
        values[lane] = values[lane] - offset if lane < active else 0.0
    shift = row_sum(values) / active
    for lane in range(active):
        values[lane] -= shift
    total = spread[0] + active
    difference = offset + shift - spread[1]
    spread[1] += difference * active / total
    spread[2] += dot(values, values) + difference * difference * spread[0] * active / total
    spread[0] = total


@njit(**INLINE)
def add_record(sums, record, panel, dimension, active, first_path, observed, scratch):
    """Add the active lanes of a panel, and their `observed` (LANES,), to the sums of a record.

    `first_path` is the number of lane 0 within the cell. `observed` and `scratch` (D or more,
    LANES) are overwritten. Panel and observed are multiplied by the scales of the sums.
    """
    for lane in range(LANES):
        observed[lane] *= sums.observable_scale[record]
    add_observable(observed, active, sums.observable[record])
    scaled = np.empty((dimension, LANES))
    for i in range(dimension):
        for lane in range(LANES):
            scaled[i, lane] = sums.scale[record, i] * panel[i, lane]
    add_moments(
        scaled,
        dimension,
        active,
        sums.centre[record],
        scratch,
        sums.first[record],
        sums.second[record],
        sums.fourth[record],
    )
    if sums.snapshots.shape[0] > 0:
        for lane in range(active):
            for i in range(dimension):
                sums.snapshots[first_path + lane, record, i] = panel[i, lane]


@njit(**REDUCTION)
def all_finite(panel, dimension):
    """Return whether all lanes of the first `dimension` rows are finite."""
    # 0 times infinity is NaN
    check = 0.0
    for i in range(dimension):
        row = panel[i]
        for lane in range(LANES):
            check += row[lane] * 0.0
    return check == 0.0


@njit(**INNER)
def first_broken_lane(panel, dimension, active):
    """Return the first active lane with an entry that is not finite, or -1."""
    for lane in range(active):
        for i in range(dimension):
            if not np.isfinite(panel[i, lane]):
                return lane
    return -1


def merged(first, second):
    """Return count, mean and sum of squared deviations of two samples together, shape (..., 3).

    No digits are lost where the mean is large beside the spread. Source: Chan, Golub and LeVeque,
    "Algorithms for computing the sample variance" (1983).

    Examples
    --------
    >>> merged(np.array([1.0, 5.0, 0.0]), np.array([2.0, 8.0, 2.0])).tolist()
    [3.0, 7.0, 8.0]
    """
    count = first[..., 0] + second[..., 0]
    share = second[..., 0] / np.maximum(count, 1.0)
    with np.errstate(over="ignore", invalid="ignore"):
        difference = second[..., 1] - first[..., 1]
        mean = first[..., 1] + difference * share
        squares = first[..., 2] + second[..., 2] + difference**2 * first[..., 0] * share
    return np.stack([count, mean, squares], axis=-1)


def unscaled(products, scale):
    """Return products ``d_i d_j`` (T, D, D) of deviations (T, D) that a scale (T, D) multiplied.

    Examples
    --------
    >>> unscaled(np.array([[[8.0]]]), np.array([[2.0]])).tolist()
    [[[2.0]]]
    """
    with np.errstate(over="ignore", under="ignore"):
        return products / scale[:, :, None] / scale[:, None, :]


def mirrored(lower):
    """Return symmetric matrices from their lower triangles, shape (..., D, D).

    Examples
    --------
    >>> mirrored(np.array([[1.0, 0.0], [2.0, 3.0]])).tolist()
    [[1.0, 2.0], [2.0, 3.0]]
    """
    return np.tril(lower) + np.swapaxes(np.tril(lower, -1), -1, -2)
