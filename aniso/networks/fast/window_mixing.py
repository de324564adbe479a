"""Compiled sums over the windows of a convolution, for the cross-layer blocks below it.

The arrays are *patches* (n, units, cells, q): q numbers for every pixel, ``cells = H * W``, of each
input channel (unit) of the convolution. As matrix products these sums take every window, or every
pixel. The kernels take the pixels of a window only, and of the windows only those with a slope or
delta other than 0. After pooling and a ReLU that is one in eight.
"""

import numpy as np

from aniso.arrays import njit

KERNEL = {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}}


@njit(**KERNEL)
def _pixels(row, column, geometry, taps, cells):
    """List the taps and pixels of the window at (row, column); return their number."""
    height, width, tall, broad, down, across, step, stride = geometry
    number = 0
    for k in range(tall):
        y = row * step + k - down
        if y < 0 or y >= height:
            continue
        for m in range(broad):
            x = column * stride + m - across
            if 0 <= x < width:
                taps[number], cells[number] = k * broad + m, y * width + x
                number += 1
    return number


@njit(**KERNEL)
def _mix(patches, weights, slope, taps, cells, number, result):
    # result (q,) = slope times the sum over taps of weights (taps,) times patches (cells, q)
    result[:] = 0
    place = 0
    while place + 3 < number:
        a, b = slope * weights[taps[place]], slope * weights[taps[place + 1]]
        c, d = slope * weights[taps[place + 2]], slope * weights[taps[place + 3]]
        first, second = patches[cells[place]], patches[cells[place + 1]]
        third, fourth = patches[cells[place + 2]], patches[cells[place + 3]]
        for j in range(result.size):
            result[j] += (a * first[j] + b * second[j]) + (c * third[j] + d * fourth[j])
        place += 4
    while place < number:
        a, first = slope * weights[taps[place]], patches[cells[place]]
        for j in range(result.size):
            result[j] += a * first[j]
        place += 1


@njit(**KERNEL)
def mix_windows(patches, weights, index, slopes, counts, geometry, result):
    """Write the convolution of the patches at some outputs to `result`, times their slopes.

    Parameters
    ----------
    patches : ndarray, shape (n, units, cells, q)
        Contiguous, as are all arrays.
    weights : ndarray, shape (channels, units, taps)
        Weights of the convolution.
    index : ndarray of int, shape (n, entries)
        Numbers of the outputs, row-major over (channel, row, column).
    slopes : ndarray, shape (n, entries)
        With slope 0 the result is 0.
    counts : tuple of int
        Windows down and across.
    geometry : tuple of int
        (height, width, kernel height, kernel width, padding down, across, stride down, across).
    result : ndarray, shape (n, entries, units, q)
    """
    count, units, _, _ = patches.shape
    down, across = counts
    taps, cells = np.empty(weights.shape[2], np.int64), np.empty(weights.shape[2], np.int64)
    for example in range(count):
        for entry in range(index.shape[1]):
            slope = slopes[example, entry]
            if slope == 0:
                result[example, entry] = 0
                continue
            channel, place = divmod(index[example, entry], down * across)
            row, column = divmod(place, across)
            number = _pixels(row, column, geometry, taps, cells)
            for unit in range(units):
                _mix(
                    patches[example, unit], weights[channel, unit], slope, taps, cells, number,
                    result[example, entry, unit],
                )  # fmt: skip


@njit(**KERNEL)
def add_window_products(patches, deltas, geometry, total):
    """Add deltas times the patches of their windows to `total`, by tap of the kernel.

    Parameters
    ----------
    patches : ndarray, shape (n, units, cells, q)
        Contiguous, as are all arrays.
    deltas : ndarray, shape (n, channels, down, across)
        Deltas at the outputs of the convolution.
    geometry : tuple of int
        As for :func:`mix_windows`.
    total : ndarray, shape (taps, channels, units * q)
        Changed in place.
    """
    count, units, _, length = patches.shape
    _, channels, down, across = deltas.shape
    taps, cells = np.empty(len(total), np.int64), np.empty(len(total), np.int64)
    for example in range(count):
        for row in range(down):
            for column in range(across):
                number = _pixels(row, column, geometry, taps, cells)
                for channel in range(channels):
                    delta = deltas[example, channel, row, column]
                    if delta == 0:
                        continue
                    for place in range(number):
                        own = total[taps[place], channel]
                        for unit in range(units):
                            patch = patches[example, unit, cells[place]]
                            target = own[unit * length : (unit + 1) * length]
                            for j in range(length):
                                target[j] += delta * patch[j]
