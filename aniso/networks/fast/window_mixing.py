"""Compiled sums over the windows of a convolution, for the cross-layer blocks below it.

The arrays are *patches* (n, cells, S): for every pixel, ``cells = H * W``, q numbers of each input
channel (unit) of the convolution, ``S = units * q``. As matrix products these sums take every
window, or every pixel. The kernels take the pixels of a window only, and of the windows only those
with a slope or delta other than 0. After pooling and a ReLU that is one in eight. Their loops run
along all S numbers of a pixel, so that vector instructions leave few over.
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
    # result (S,) = slope times the sum over taps of weights (taps, S) times patches (cells, S)
    result[:] = 0
    place = 0
    while place + 3 < number:
        a, b = weights[taps[place]], weights[taps[place + 1]]
        c, d = weights[taps[place + 2]], weights[taps[place + 3]]
        first, second = patches[cells[place]], patches[cells[place + 1]]
        third, fourth = patches[cells[place + 2]], patches[cells[place + 3]]
        for j in range(result.size):
            result[j] += (a[j] * first[j] + b[j] * second[j]) + (c[j] * third[j] + d[j] * fourth[j])
        place += 4
    while place < number:
        a, first = weights[taps[place]], patches[cells[place]]
        for j in range(result.size):
            result[j] += a[j] * first[j]
        place += 1
    if slope != 1:
        for j in range(result.size):
            result[j] *= slope


def repeated_weights(weights, length):
    """Return weights (channels, units, taps) once for each number of a patch.

    Parameters
    ----------
    weights : ndarray, shape (channels, units, taps)
        Weights of the convolution.
    length : int
        q, the numbers of one unit at a pixel.

    Returns
    -------
    ndarray, shape (channels, taps, units * q)

    Examples
    --------
    >>> repeated_weights(np.array([[[1.0], [2.0]]]), 2)
    array([[[1., 1., 2., 2.]]])
    """
    return np.repeat(weights.transpose(0, 2, 1), length, axis=2)


@njit(**KERNEL)
def mix_windows(patches, weights, index, slopes, counts, geometry, result):
    """Write the convolution of the patches at some outputs to `result`, times their slopes.

    Parameters
    ----------
    patches : ndarray, shape (n, cells, S)
        Contiguous, as are all arrays.
    weights : ndarray, shape (channels, taps, S)
        From :func:`repeated_weights`.
    index : ndarray of int, shape (n, entries)
        Numbers of the outputs, row-major over (channel, row, column).
    slopes : ndarray, shape (n, entries)
        With slope 0 the result is 0.
    counts : tuple of int
        Windows down and across.
    geometry : tuple of int
        (height, width, kernel height, kernel width, padding down, across, stride down, across).
    result : ndarray, shape (n, entries, S)
    """
    down, across = counts
    taps, cells = np.empty(weights.shape[1], np.int64), np.empty(weights.shape[1], np.int64)
    for example in range(patches.shape[0]):
        for entry in range(index.shape[1]):
            slope = slopes[example, entry]
            if slope == 0:
                result[example, entry] = 0
                continue
            channel, place = divmod(index[example, entry], down * across)
            row, column = divmod(place, across)
            number = _pixels(row, column, geometry, taps, cells)
            _mix(
                patches[example], weights[channel], slope, taps, cells, number,
                result[example, entry],
            )  # fmt: skip


@njit(**KERNEL)
def add_window_products(patches, deltas, geometry, total):
    """Add deltas times the patches of their windows to `total`, by tap of the kernel.

    Parameters
    ----------
    patches : ndarray, shape (n, cells, S)
        Contiguous, as are all arrays.
    deltas : ndarray, shape (n, channels, down, across)
        Deltas at the outputs of the convolution.
    geometry : tuple of int
        As for :func:`mix_windows`.
    total : ndarray, shape (taps, channels, S)
        Changed in place.
    """
    count, channels, down, across = deltas.shape
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
                        own, patch = total[taps[place], channel], patches[example, cells[place]]
                        for j in range(own.size):
                            own[j] += delta * patch[j]
