"""Compiled passes of one hidden layer: outputs, gradient, per-example gradients, Hessian products.

    z = W x + b,   f = V rho(z) + v

Examples go through in blocks that stay in the nearest cache, one unit after the other. Nothing of
size units x examples is stored. The way back computes z again, and only for examples whose
loss is not flat. All results are sums in a fixed order.

===========  ====================================================================================
argument     meaning
===========  ====================================================================================
theta        W (units, d), b (units,) and, where they are trained, V (C, units), v (C,), flat
fixed        V and v where V is not trained, flat, v = 0; else empty
kind, shape  the activation, from :func:`aniso.networks.hidden.activations.described`
work         two rows of BLOCK or of `units` numbers, for a smooth activation; else None
loss         kind and parameter of the loss, from :func:`aniso.networks.hidden.losses.described`
x, targets   inputs (d, n); targets (n, C), or labels (n, 1)
===========  ====================================================================================
"""

import math

import numpy as np

from aniso.arrays import njit
from aniso.networks.hidden import activations, losses
from aniso.networks.hidden.sums import FEW, product_sum, row_sum

# sums in the order that is written: code that may reorder them would round in another way where
# another process compiled it
_KERNEL = {"nogil": True, "error_model": "numpy"}
_INNER = {**_KERNEL, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}

BLOCK = 512
"""Examples of a block."""

_UNITS_TOGETHER = 16
# most numbers that are kept for the way back, and fewest examples of a block
_KEPT, _LEAST_BLOCK = 2**19, 32
_FRONT = np.int64(0)  # with a type, so that no kernel is compiled again for a literal


@njit(**_INNER)
def _add_multiple(factor, row, n, out):
    for i in range(n):
        out[i] += factor * row[i]


@njit(**_INNER)
def _multiply(out, row, n):
    for i in range(n):
        out[i] *= row[i]


@njit(**_INNER)
def _affine(theta, units, u, x, first, n, z):
    """Write ``w_u . x + b_u`` of n examples from `first` on to z."""
    inputs = len(x)
    start, bias, own = u * inputs, theta[units * inputs + u], x[0][first : first + n]
    if inputs == 1:
        weight = theta[start]
        for i in range(n):
            z[i] = weight * own[i] + bias
        return
    weight, second, other = theta[start], theta[start + 1], x[1][first : first + n]
    for i in range(n):
        z[i] = weight * own[i] + (second * other[i] + bias)
    for j in range(2, inputs):
        _add_multiple(theta[start + j], x[j][first : first + n], n, z)


@njit(**_INNER, inline="always")
def _unit(theta, units, u, kind, shape, x, first, n, rows, work):
    """Write z, its value, slope and curvature, rows 0 to 3, of one unit on n examples."""
    _affine(theta, units, u, x, first, n, rows[0])
    activations.respond(kind, shape, rows[0], n, work, rows[1], rows[2], rows[3])


@njit(**_INNER)
def _combine(weights, start, step, arrays, n, out):
    """Write ``sum_c weights[start + c step] arrays[c]`` to `out`."""
    weight, row = weights[start], arrays[0]
    for i in range(n):
        out[i] = weight * row[i]
    for c in range(1, len(arrays)):
        _add_multiple(weights[start + c * step], arrays[c], n, out)


@njit(**_INNER)
def _add_moments(delta, units, u, x, n, out, sums):
    """Add ``sum_i delta_i x_ji`` and ``sum_i delta_i`` to the entries of unit u in `out` (D,)."""
    inputs, nil = len(x), delta.dtype.type(0)
    start, total = u * inputs, nil
    if inputs == 2 and n < FEW:
        first, second, own, other = nil, nil, x[0], x[1]
        for i in range(n):
            first += delta[i] * own[i]
            second += delta[i] * other[i]
            total += delta[i]
        out[start] += first
        out[start + 1] += second
    else:
        for j in range(inputs):
            out[start + j] += product_sum(delta, x[j], n, sums)
        total = row_sum(delta, n, sums)
    out[units * inputs + u] += total


@njit(**_INNER)
def _add_kinked(theta, units, u, weight, shape, x, first, n, total):
    """Add ``weight rho(w . x + b)`` of a unit of two inputs, rho piecewise linear, in one loop."""
    real = x.dtype.type
    low_kink, high_kink = real(shape[0]), real(shape[1])
    below, between, above = real(shape[2]), real(shape[4]), real(shape[6])
    low, high = real(shape[7]), real(shape[8])
    w, second, bias = theta[2 * u], theta[2 * u + 1], theta[2 * units + u]
    own, other = x[0][first : first + n], x[1][first : first + n]
    for i in range(n):
        z = w * own[i] + (second * other[i] + bias)
        line = below * z + low if z < low_kink else between * z
        total[i] += weight * (line if z <= high_kink else above * z + high)


@njit(**_INNER)
def _forward(theta, units, last, at, kind, shape, x, first, n, rows, work, part, f, kept):
    """Write the outputs of n examples from `first` on to f (C, BLOCK); V, v are last[at:].

    The rows of every unit stay in `kept`, if it has rows (see :func:`_unit`).
    """
    num_outputs, nil, one = len(f), x.dtype.type(0), x.dtype.type(1)
    for c in range(num_outputs):
        for i in range(n):
            f[c, i] = last[at + num_outputs * units + c]
            part[c, i] = nil
    # sums of few units, then of these sums: single precision keeps its digits
    for u in range(units):
        if work is None and len(x) == 2 and num_outputs == 1:
            _add_kinked(theta, units, u, last[at + u], shape, x, first, n, part[0])
        else:
            own = kept[u] if len(kept) > 0 else rows
            _unit(theta, units, u, kind, shape, x, first, n, own, work)
            for c in range(num_outputs):
                _add_multiple(last[at + c * units + u], own[1], n, part[c])
        if u % _UNITS_TOGETHER == _UNITS_TOGETHER - 1 or u == units - 1:
            for c in range(num_outputs):
                _add_multiple(one, part[c], n, f[c])
                for i in range(n):
                    part[c, i] = nil


@njit(**_INNER)
def _gather(loss, x, first, n, f, slopes):
    """Move the examples that take part to the front of f and slopes; return their x and number.

    An example whose clipped loss is flat contributes to no derivative.
    """
    own, count = np.empty((len(x), BLOCK), x.dtype), 0
    for i in range(n):
        if loss == losses.CLIPPED:
            if slopes[0, i] == 0:
                continue
            f[0, count], slopes[0, count] = f[0, i], slopes[0, i]
        for j in range(len(x)):
            own[j, count] = x[j, first + i]
        count += 1
    return own, count


@njit(**_INNER)
def _kept_rows(units, work, loss, x):
    """Return memory for the rows of all units on a block of examples, and the examples of a block.

    There is none where the activation costs less than memory, or examples leave the block.
    """
    if work is None or loss == losses.CLIPPED or units == 0:
        return np.empty((0, 4, 0), x.dtype), BLOCK
    size = min(BLOCK, max(_LEAST_BLOCK, _KEPT // (4 * units)))
    return np.empty((units, 4, size), x.dtype), size


@njit(**_KERNEL)
def first_order(theta, units, fixed, kind, shape, work, loss, margin, x, targets, f, values, out):
    """Write outputs (N, C), losses (N,) and the sum of the gradients (D,); any may be empty."""
    inputs, count, trained = len(x), x.shape[1], len(fixed) == 0
    last, at = (theta, units * (inputs + 1)) if trained else (fixed, 0)
    num_outputs = len(last[at:]) // (units + 1)
    rows, block = np.empty((6, BLOCK), x.dtype), np.empty((3, num_outputs, BLOCK), x.dtype)
    outputs, slopes, delta, sums = block[0], block[1], rows[4], rows[5]
    kept, size = _kept_rows(units if len(out) > 0 else 0, work, loss, x)
    for i in range(len(out)):
        out[i] = x.dtype.type(0)
    for first in range(0, count, size):
        n = size if count - first > size else count - first
        _forward(
            theta, units, last, at, kind, shape, x, first, n, rows, work, block[2], outputs, kept
        )
        if len(f) > 0:
            for i in range(n):
                for c in range(num_outputs):
                    f[first + i, c] = outputs[c, i]
        if len(out) == 0 and len(values) == 0:
            continue
        losses.first_order(loss, margin, outputs, n, targets, first, values, slopes)
        if len(out) == 0:
            continue
        near, n = _gather(loss, x, first, n, outputs, slopes)
        for u in range(units):
            own = kept[u] if len(kept) > 0 else rows
            if len(kept) == 0:
                _unit(theta, units, u, kind, shape, near, _FRONT, n, rows, work)
            _combine(last, at + u, units, slopes, n, delta)
            _multiply(delta, own[2], n)
            _add_moments(delta, units, u, near, n, out, sums)
            if trained:
                for c in range(num_outputs):
                    out[at + c * units + u] += product_sum(slopes[c], own[1], n, sums)
        if trained:
            for c in range(num_outputs):
                out[at + num_outputs * units + c] += row_sum(slopes[c], n, sums)


@njit(**_KERNEL)
def example_gradients(theta, units, fixed, kind, shape, work, loss, margin, x, targets, out):
    """Write the gradient of every example's loss to `out` (N, D); return whether all are finite."""
    inputs, count, trained = len(x), x.shape[1], len(fixed) == 0
    last, at = (theta, units * (inputs + 1)) if trained else (fixed, 0)
    num_outputs, middle = len(last[at:]) // (units + 1), units * inputs
    rows = np.empty((5, BLOCK if units < BLOCK else units), x.dtype)
    block = np.empty((3, num_outputs, BLOCK), x.dtype)
    outputs, slopes, z, delta = block[0], block[1], rows[0], rows[4]
    weights, values, nil = np.empty((inputs, units), x.dtype), np.empty(0), x.dtype.type(0)
    kept = np.empty((0, 4, 0), x.dtype)
    is_finite = True
    for u in range(units):
        for j in range(inputs):
            weights[j, u] = theta[u * inputs + j]
    for first in range(0, count, BLOCK):
        n = BLOCK if count - first > BLOCK else count - first
        _forward(
            theta, units, last, at, kind, shape, x, first, n, rows, work, block[2], outputs, kept
        )
        losses.first_order(loss, margin, outputs, n, targets, first, values, slopes)
        for i in range(n):
            row = out[first + i]
            if loss == losses.CLIPPED and slopes[0, i] == 0:
                for number in range(len(row)):
                    row[number] = nil
                continue
            # here a row of numbers runs over the units of one example
            for u in range(units):
                z[u], delta[u] = theta[middle + u], nil
            for j in range(inputs):
                _add_multiple(x[j, first + i], weights[j], units, z)
            activations.respond(kind, shape, z, units, work, rows[1], rows[2], rows[3])
            for c in range(num_outputs):
                start = at + c * units
                _add_multiple(slopes[c, i], last[start : start + units], units, delta)
            _multiply(delta, rows[2], units)
            if inputs == 2:
                own, other = x[0, first + i], x[1, first + i]
                for u in range(units):
                    row[2 * u] = delta[u] * own
                    row[2 * u + 1] = delta[u] * other
            else:
                for u in range(units):
                    for j in range(inputs):
                        row[u * inputs + j] = delta[u] * x[j, first + i]
            largest = nil
            for u in range(units):
                row[middle + u] = delta[u]
                largest += abs(delta[u])
            is_finite = is_finite and math.isfinite(largest)
            if trained:
                for c in range(num_outputs):
                    for u in range(units):
                        row[at + c * units + u] = slopes[c, i] * rows[1, u]
                    row[at + num_outputs * units + c] = slopes[c, i]
    return is_finite


@njit(**_KERNEL)
def hessian_products(
    theta, units, fixed, kind, shape, work, loss, margin, x, targets, vectors, out
):
    """Write the sums of the examples' Hessian products with vectors (K, D) to `out` (K, D)."""
    inputs, count, trained = len(x), x.shape[1], len(fixed) == 0
    last, at = (theta, units * (inputs + 1)) if trained else (fixed, 0)
    num_outputs, num_vectors = len(last[at:]) // (units + 1), len(vectors)
    rows, block = np.empty((7, BLOCK), x.dtype), np.empty((3, num_outputs, BLOCK), x.dtype)
    shift, delta, sums = rows[4], rows[5], rows[6]
    kept, size = _kept_rows(units, work, loss, x)
    outputs, slopes, values, nil = block[0], block[1], np.empty(0), x.dtype.type(0)
    tangents = np.empty((num_vectors, num_outputs, BLOCK), x.dtype)
    moved = np.empty((num_vectors, num_outputs, BLOCK), x.dtype)
    for k in range(num_vectors):
        for i in range(len(theta)):
            out[k, i] = nil
    for first in range(0, count, size):
        n = size if count - first > size else count - first
        _forward(
            theta, units, last, at, kind, shape, x, first, n, rows, work, block[2], outputs, kept
        )
        losses.first_order(loss, margin, outputs, n, targets, first, values, slopes)
        near, n = _gather(loss, x, first, n, outputs, slopes)
        # tangents of the outputs, and of the slopes
        for k in range(num_vectors):
            for c in range(num_outputs):
                bias = vectors[k, at + num_outputs * units + c] if trained else nil
                for i in range(n):
                    tangents[k, c, i] = bias
        for u in range(units):
            own = kept[u] if len(kept) > 0 else rows
            if len(kept) == 0:
                _unit(theta, units, u, kind, shape, near, _FRONT, n, rows, work)
            value, slope, curvature = own[1], own[2], own[3]
            for k in range(num_vectors):
                _affine(vectors[k], units, u, near, _FRONT, n, shift)
                _multiply(shift, slope, n)
                for c in range(num_outputs):
                    _add_multiple(last[at + c * units + u], shift, n, tangents[k, c])
                    if trained:
                        _add_multiple(vectors[k, at + c * units + u], value, n, tangents[k, c])
        for k in range(num_vectors):
            losses.second_order(loss, margin, outputs, n, tangents[k], moved[k])
        # and back
        for u in range(units):
            own = kept[u] if len(kept) > 0 else rows
            if len(kept) == 0:
                _unit(theta, units, u, kind, shape, near, _FRONT, n, rows, work)
            value, slope, curvature = own[1], own[2], own[3]
            if work is not None:
                _combine(last, at + u, units, slopes, n, delta)
                _multiply(curvature, delta, n)
            for k in range(num_vectors):
                _combine(last, at + u, units, moved[k], n, delta)
                if trained:
                    for c in range(num_outputs):
                        _add_multiple(vectors[k, at + c * units + u], slopes[c], n, delta)
                _multiply(delta, slope, n)
                if trained or work is not None:
                    _affine(vectors[k], units, u, near, _FRONT, n, shift)
                if work is not None:
                    for i in range(n):
                        delta[i] += curvature[i] * shift[i]
                _add_moments(delta, units, u, near, n, out[k], sums)
                if trained:
                    _multiply(shift, slope, n)
                    for c in range(num_outputs):
                        out[k, at + c * units + u] += product_sum(moved[k, c], value, n, sums)
                        out[k, at + c * units + u] += product_sum(slopes[c], shift, n, sums)
        if trained:
            for k in range(num_vectors):
                for c in range(num_outputs):
                    out[k, at + num_outputs * units + c] += row_sum(moved[k, c], n, sums)
