"""Products with a tall matrix and with its transpose in one pass, for a few vectors.

``R V`` and ``R^T C`` are two BLAS calls, and each reads R from memory. With few vectors that is
most of the time. The compiled kernel takes four rows at a time. They stay in the processor's cache
for both products. It works on four vectors at a time, and loops along the contiguous rows:

- ``R V``: sixteen sums of products run together in registers.
- ``R^T C``: each entry of four rows is added to four results. These lie at fixed distances in
  memory (*tiles* of ``_TILE`` columns, all vectors of a tile together). So the compiler knows that
  they don't overlap, and uses vector instructions.

A kernel of its own is as fast with AVX2 as with AVX-512, where BLAS differs by factors of two.
"""

import numpy as np

from aniso.arrays import njit
from aniso.networks.fast import pooled_kernel

# From more vectors on, BLAS is as fast. A single vector takes BLAS's matrix-vector products.
_MOST_VECTORS = {np.dtype(np.float64): 32, np.dtype(np.float32): 24}
# Smaller matrices stay in the cache between two BLAS calls.
_LEAST_ENTRIES = 50_000
_TILE = 512
_GROUP = 4


def add_row_products(rows, vectors, products, coefficients, total):
    """Add ``R V`` to `products`, then ``R^T C`` to `total`, in place.

    With `coefficients` the same array as `products`, and both zero before, ``R^T R V`` is added.

    Parameters
    ----------
    rows : ndarray, shape (n, S)
        R, contiguous; float64 or float32, as are all arrays.
    vectors : ndarray, shape (S, K)
        V.
    products : ndarray, shape (n, K)
        Result, contiguous.
    coefficients : ndarray, shape (n, K)
        C, read after `products` has been written; contiguous.
    total : ndarray, shape (S, K)
        Result.

    Examples
    --------
    >>> rows, products, total = np.array([[1.0, 2.0]]), np.zeros((1, 1)), np.zeros((2, 1))
    >>> add_row_products(rows, np.array([[3.0], [4.0]]), products, products, total)
    >>> products, total.T
    (array([[11.]]), array([[11., 22.]]))
    """
    if _is_compiled(rows, vectors.shape[1]):
        _by_kernel(rows, vectors, products, coefficients, total)
        return
    products += rows @ vectors
    total += rows.T @ coefficients


def _is_compiled(rows, num_vectors):
    few = 1 < num_vectors <= _MOST_VECTORS[rows.dtype]
    return pooled_kernel.COMPILED and few and rows.size >= _LEAST_ENTRIES


def _by_kernel(rows, vectors, products, coefficients, total):
    length, count = vectors.shape
    padded = -(-count // _GROUP) * _GROUP
    across = np.zeros((padded, length), rows.dtype)
    across[:count] = vectors.T
    tiles = np.zeros((-(-length // _TILE), padded * _TILE), rows.dtype)
    _pass_through(rows, across, products, coefficients, tiles)
    tiles = tiles.reshape(-1, padded, _TILE)[:, :count].transpose(0, 2, 1)
    total += tiles.reshape(-1, count)[:length]


# sums may be taken in any order: one partial sum for each entry of a vector register
@njit(nogil=True, error_model="numpy", fastmath={"contract", "reassoc", "nsz"})
def _inner_products(a, b, c, d, p, q, r, s, result, first):
    """Write the inner products of rows a..d with vectors p..s to result (4, K), from `first`."""
    nil = a.dtype.type(0)
    ap, aq, ar, as_ = nil, nil, nil, nil
    bp, bq, br, bs = nil, nil, nil, nil
    cp, cq, cr, cs = nil, nil, nil, nil
    dp, dq, dr, ds = nil, nil, nil, nil
    for i in range(a.size):
        ap += a[i] * p[i]
        aq += a[i] * q[i]
        ar += a[i] * r[i]
        as_ += a[i] * s[i]
        bp += b[i] * p[i]
        bq += b[i] * q[i]
        br += b[i] * r[i]
        bs += b[i] * s[i]
        cp += c[i] * p[i]
        cq += c[i] * q[i]
        cr += c[i] * r[i]
        cs += c[i] * s[i]
        dp += d[i] * p[i]
        dq += d[i] * q[i]
        dr += d[i] * r[i]
        ds += d[i] * s[i]
    for row, sums in enumerate(
        ((ap, aq, ar, as_), (bp, bq, br, bs), (cp, cq, cr, cs), (dp, dq, dr, ds))
    ):
        for number, value in enumerate(sums):
            result[row, first + number] = value


@njit(nogil=True, error_model="numpy", fastmath={"contract"})
def _add_rows(a, b, c, d, own, first, tile):
    """Add rows a..d times own[:, first + j] to ``tile[j * _TILE:]``, j = 0..3."""
    ap, bp, cp, dp = own[0, first], own[1, first], own[2, first], own[3, first]
    aq, bq, cq, dq = own[0, first + 1], own[1, first + 1], own[2, first + 1], own[3, first + 1]
    ar, br, cr, dr = own[0, first + 2], own[1, first + 2], own[2, first + 2], own[3, first + 2]
    as_, bs, cs, ds = own[0, first + 3], own[1, first + 3], own[2, first + 3], own[3, first + 3]
    for i in range(a.size):
        w, x, y, z = a[i], b[i], c[i], d[i]
        tile[i] = tile[i] + ap * w + bp * x + cp * y + dp * z
        tile[_TILE + i] = tile[_TILE + i] + aq * w + bq * x + cq * y + dq * z
        tile[2 * _TILE + i] = tile[2 * _TILE + i] + ar * w + br * x + cr * y + dr * z
        tile[3 * _TILE + i] = tile[3 * _TILE + i] + as_ * w + bs * x + cs * y + ds * z


@njit(nogil=True, error_model="numpy")
def _pass_through(rows, vectors, products, coefficients, tiles):
    count, length = rows.shape
    num_vectors, given = len(vectors), products.shape[1]
    own = np.zeros((_GROUP, num_vectors), rows.dtype)
    for start in range(0, count, _GROUP):
        group = rows[start : start + _GROUP]
        present = len(group)
        if present < _GROUP:  # the last rows, with rows of zero
            group = np.zeros((_GROUP, length), rows.dtype)
            group[:present] = rows[start:]
        a, b, c, d = group[0], group[1], group[2], group[3]
        for first in range(0, num_vectors, _GROUP):
            p, q, r, s = (
                vectors[first], vectors[first + 1], vectors[first + 2], vectors[first + 3],
            )  # fmt: skip
            _inner_products(a, b, c, d, p, q, r, s, own, first)
        for row in range(present):
            for number in range(given):
                products[start + row, number] += own[row, number]
            for number in range(given):
                own[row, number] = coefficients[start + row, number]
        own[present:] = 0
        for number, begin in enumerate(range(0, length, _TILE)):
            stop = min(begin + _TILE, length)
            for first in range(0, num_vectors, _GROUP):
                tile = tiles[number, first * _TILE : (first + _GROUP) * _TILE]
                _add_rows(
                    a[begin:stop], b[begin:stop], c[begin:stop], d[begin:stop], own, first, tile
                )
