"""Compiled sums over a row of numbers, in a fixed order that vector instructions can follow.

One sum after the other waits for itself. Numbers are therefore added quarter to quarter, until few
are left.
"""

from aniso.arrays import njit
from aniso.networks.hidden.activations import INNER

FEW = 64
"""Fewer numbers are added one after the other."""


@njit(**INNER)
def _folded(sums, n, total):
    """Return `total` and the sum of n numbers, which are added quarter to quarter."""
    while n >= FEW // 2:
        size = n // 4
        for i in range(4 * size, n):
            total += sums[i]
        first, second = sums[:size], sums[size : 2 * size]
        third, fourth = sums[2 * size : 3 * size], sums[3 * size : 4 * size]
        for i in range(size):
            first[i] = (first[i] + second[i]) + (third[i] + fourth[i])
        n = size
    for i in range(n):
        total += sums[i]
    return total


@njit(**INNER)
def product_sum(own, other, n, sums):
    """Return ``sum_i own_i other_i``; `sums` is memory for n / 4 numbers."""
    total = own.dtype.type(0)
    size = n // 4 if n >= FEW else 0
    for i in range(4 * size, n):
        total += own[i] * other[i]
    if size == 0:
        return total
    a, b, c, d = own[:size], own[size : 2 * size], own[2 * size : 3 * size], own[3 * size :]
    e, f, g, h = other[:size], other[size : 2 * size], other[2 * size : 3 * size], other[3 * size :]
    for i in range(size):
        sums[i] = (a[i] * e[i] + b[i] * f[i]) + (c[i] * g[i] + d[i] * h[i])
    return _folded(sums, size, total)


@njit(**INNER)
def row_sum(own, n, sums):
    """Return ``sum_i own_i``; `sums` is memory for n / 4 numbers."""
    total = own.dtype.type(0)
    size = n // 4 if n >= FEW else 0
    for i in range(4 * size, n):
        total += own[i]
    if size == 0:
        return total
    a, b, c, d = own[:size], own[size : 2 * size], own[2 * size : 3 * size], own[3 * size :]
    for i in range(size):
        sums[i] = (a[i] + b[i]) + (c[i] + d[i])
    return _folded(sums, size, total)
