"""Compiled loops of a plan over activations and outputs.

Kernels take whole arrays and the examples start..stop, because inner strides are then known to the
compiler. Zeros are typed, because an integer would turn single precision into double.
"""

import math

import numpy as np
from numba import config

from aniso.arrays import njit

KERNEL = {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}}
COMPILED = not config.DISABLE_JIT
"""Whether kernels are compiled. If not, the passes by layers are faster."""


@njit(**KERNEL)
def copy_rows(target, source):
    """Copy a block (K, n) whose columns may be contiguous, 64 columns after the other."""
    count = target.shape[1]
    for first in range(0, count, 64):
        last = min(first + 64, count)
        for k in range(target.shape[0]):
            for i in range(first, last):
                target[k, i] = source[k, i]


@njit(**KERNEL)
def relu(z, biases, slopes, start, stop):
    """Add biases to z (units, N), write the slopes there, and replace z by its positive part.

    The slope at 0 is 1/2. NaN stays NaN.
    """
    nil, one = z.dtype.type(0), z.dtype.type(1)
    half = z.dtype.type(0.5)
    for unit in range(z.shape[0]):
        bias = biases[unit]
        row, slope = z[unit, start:stop], slopes[unit, start:stop]
        for i in range(row.size):
            value = row[i] + bias
            slope[i] = one if value > nil else (half if value == nil else nil)
            row[i] = nil if value < nil else value


@njit(**KERNEL)
def moved(tangents, biases, slopes, start, stop):
    """Add biases (K, units) to tangents (K, units, N), and multiply them by slopes (units, N)."""
    for k in range(tangents.shape[0]):
        for unit in range(tangents.shape[1]):
            bias = biases[k, unit]
            row, slope = tangents[k, unit, start:stop], slopes[unit, start:stop]
            for i in range(row.size):
                row[i] = (row[i] + bias) * slope[i]


@njit(**KERNEL)
def scaled(deltas, slopes, start, stop):
    """Multiply deltas (K, units, N) by slopes (units, N)."""
    for k in range(deltas.shape[0]):
        for unit in range(deltas.shape[1]):
            row, slope = deltas[k, unit, start:stop], slopes[unit, start:stop]
            for i in range(row.size):
                row[i] *= slope[i]


@njit(**KERNEL)
def softmax_tangents(z, tangents, labels, scale, deltas, moved_deltas, start, stop):
    """Write the deltas of the cross-entropy and their tangents, both times `scale`.

    Parameters
    ----------
    z : ndarray, shape (C, N)
        Outputs.
    tangents : ndarray, shape (K, C, N)
        Tangents of the outputs. K may be 0.
    labels : ndarray of int, shape (stop - start,)
        Labels of the examples start..stop.
    scale : float
        Factor of both results.
    deltas : ndarray, shape (C, N)
        Memory for ``p - e_y``, which is found to relative accuracy.
    moved_deltas : ndarray, shape (K, C, N)
        Memory for ``(diag(p) - p p^T) z'``.
    start, stop : int
        Examples to treat.

    Returns
    -------
    bool
        Whether all outputs are finite.
    """
    classes, number = z.shape[0], z.dtype.type
    p, check = np.empty(classes), 0.0
    for i in range(start, stop):
        label, largest, leading = labels[i - start], float(z[0, i]), 0
        for c in range(classes):
            value = float(z[c, i])
            check += value * 0.0
            if value > largest:
                largest, leading = value, c
        total = 0.0
        for c in range(classes):
            p[c] = math.exp(z[c, i] - largest)
            total += p[c]
        others = 0.0
        for c in range(classes):
            p[c] /= total
            if c != label:
                others += p[c]
                deltas[c, i] = number(scale * p[c])
        # p_y - 1 is minus the sum of the others, without a difference
        deltas[label, i] = number(-scale * others)
        for k in range(tangents.shape[0]):
            # relative to the leading class, whose p may be nearly 1: no difference of large numbers
            base, mean = float(tangents[k, leading, i]), 0.0
            for c in range(classes):
                mean += p[c] * (tangents[k, c, i] - base)
            for c in range(classes):
                moved_deltas[k, c, i] = number(scale * p[c] * (tangents[k, c, i] - base - mean))
    return check == 0.0


@njit(**{**KERNEL, "fastmath": False})
def stepped(theta, gradient, learning_rate, moved):
    """Write ``theta - learning_rate gradient`` to `moved`; return whether it is finite.

    Product and difference are rounded one after the other, as NumPy rounds them.
    """
    rate, is_finite = theta.dtype.type(learning_rate), True
    for i in range(theta.size):
        value = theta[i] - rate * gradient[i]
        moved[i] = value
        is_finite &= math.isfinite(value)
    return is_finite
