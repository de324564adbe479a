"""Products of a matrix with a panel of paths, arrays [component, lane] with LANES lanes."""

import numpy as np

from aniso.arrays import (
    njit,
)
from aniso.langevin._kernels.streams import INLINE, INNER, LANES

ROWS, COLUMNS = 5, 4
"""Tile of a product: matrices are padded with zeros to multiples of these."""


def padded(matrix):
    """Return `matrix` with zero rows and columns up to multiples of ROWS and COLUMNS.

    Examples
    --------
    >>> padded(np.ones((3, 5))).shape
    (5, 8)
    """
    rows, columns = matrix.shape
    result = np.zeros((round_up(rows, ROWS), round_up(columns, COLUMNS)))
    result[:rows, :columns] = matrix
    return result


def round_up(number, multiple):
    """Return the smallest multiple of `multiple` at or above `number`.

    Examples
    --------
    >>> round_up(5, 4)
    8
    """
    return -(-number // multiple) * multiple


@njit(**INLINE)
def multiply(matrix, panel, out):
    """Write `matrix` @ `panel` into `out`: (n, m), (m or more, LANES), (n, LANES), n and m padded.

    Tiles of ROWS by COLUMNS with the lanes innermost; the sum over m runs in one fixed order.
    """
    for i in range(0, matrix.shape[0], ROWS):
        for row in range(i, i + ROWS):
            for lane in range(LANES):
                out[row, lane] = 0.0
        for j in range(0, matrix.shape[1], COLUMNS):
            a0, a1, a2, a3 = matrix[i, j], matrix[i, j + 1], matrix[i, j + 2], matrix[i, j + 3]
            b0, b1 = matrix[i + 1, j], matrix[i + 1, j + 1]
            b2, b3 = matrix[i + 1, j + 2], matrix[i + 1, j + 3]
            c0, c1 = matrix[i + 2, j], matrix[i + 2, j + 1]
            c2, c3 = matrix[i + 2, j + 2], matrix[i + 2, j + 3]
            d0, d1 = matrix[i + 3, j], matrix[i + 3, j + 1]
            d2, d3 = matrix[i + 3, j + 2], matrix[i + 3, j + 3]
            e0, e1 = matrix[i + 4, j], matrix[i + 4, j + 1]
            e2, e3 = matrix[i + 4, j + 2], matrix[i + 4, j + 3]
            for lane in range(LANES):
                p0, p1 = panel[j, lane], panel[j + 1, lane]
                p2, p3 = panel[j + 2, lane], panel[j + 3, lane]
                out[i, lane] += a0 * p0 + a1 * p1 + a2 * p2 + a3 * p3
                out[i + 1, lane] += b0 * p0 + b1 * p1 + b2 * p2 + b3 * p3
                out[i + 2, lane] += c0 * p0 + c1 * p1 + c2 * p2 + c3 * p3
                out[i + 3, lane] += d0 * p0 + d1 * p1 + d2 * p2 + d3 * p3
                out[i + 4, lane] += e0 * p0 + e1 * p1 + e2 * p2 + e3 * p3


@njit(**INNER)
def multiply_unpadded(matrix, panel, out):
    """Write `matrix` @ `panel` into `out` for any (n, m), (m, LANES), (n, LANES).

    Tiles that reach over the last column take coefficients of zero on the last row of the panel.
    """
    rows, columns = matrix.shape
    last = columns - 1
    for i in range(rows):
        for lane in range(LANES):
            out[i, lane] = 0.0
    for j in range(0, columns, COLUMNS):
        j1, j2, j3 = min(j + 1, last), min(j + 2, last), min(j + 3, last)
        w1 = 1.0 if j + 1 <= last else 0.0
        w2 = 1.0 if j + 2 <= last else 0.0
        w3 = 1.0 if j + 3 <= last else 0.0
        for i in range(0, rows - 1, 2):
            a0, a1 = matrix[i, j], w1 * matrix[i, j1]
            a2, a3 = w2 * matrix[i, j2], w3 * matrix[i, j3]
            b0, b1 = matrix[i + 1, j], w1 * matrix[i + 1, j1]
            b2, b3 = w2 * matrix[i + 1, j2], w3 * matrix[i + 1, j3]
            for lane in range(LANES):
                p0, p1 = panel[j, lane], panel[j1, lane]
                p2, p3 = panel[j2, lane], panel[j3, lane]
                out[i, lane] += a0 * p0 + a1 * p1 + a2 * p2 + a3 * p3
                out[i + 1, lane] += b0 * p0 + b1 * p1 + b2 * p2 + b3 * p3
        if rows % 2:
            i = rows - 1
            a0, a1 = matrix[i, j], w1 * matrix[i, j1]
            a2, a3 = w2 * matrix[i, j2], w3 * matrix[i, j3]
            for lane in range(LANES):
                out[i, lane] += (
                    a0 * panel[j, lane]
                    + a1 * panel[j1, lane]
                    + a2 * panel[j2, lane]
                    + a3 * panel[j3, lane]
                )
