"""Products of a matrix with a panel of paths, arrays [component, lane] with LANES lanes."""

import numpy as np
from numba import njit

from aniso.langevin.streams import INLINE, LANES

ROWS, COLUMNS = 5, 4
"""Tile of a product: matrices are padded with zeros to multiples of these."""


def padded(matrix):
    """`matrix` with zero rows and columns up to multiples of ROWS and COLUMNS.

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
    """Smallest multiple of `multiple` at or above `number`.

    Examples
    --------
    >>> round_up(5, 4)
    8
    """
    return -(-number // multiple) * multiple


@njit(**INLINE)
def multiply(matrix, panel, out):
    """`out` = `matrix` @ `panel`: (n, m), (m or more, LANES), (n, LANES), n and m padded.

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
