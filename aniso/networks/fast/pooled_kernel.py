"""Compiled kernels of a convolution followed by 2x2 max pooling.

One output in four is the maximum of its pooling cell, and after a ReLU about half of these have
delta 0. The backward kernels visit only windows with a non-zero delta: an eighth of all
multiplications.

A kernel copies the image of an example into *strips*. Strip q holds the columns
q .. q + kernel width of all rows, channels last. So every window of the convolution is one run of
``length`` consecutive numbers. Runs are padded to a multiple of ``PADDING`` numbers, whole vectors
of the processor. Numbers beyond the window are multiplied by weights of zero, or are added to
entries that are not used.

All arrays are contiguous:

=======================  ==========================================================================
images                   (C, H, W, n), with the padding of the convolution
cells, deltas, winners   (O, P, Q, n), examples last; a winner is the number ``2 * row + column``
                         of the largest slot of a pooling window
weights                  (O, padded length), a row over (row, column, channel)
=======================  ==========================================================================
"""

import numpy as np
from numba import config

from aniso.arrays import (
    njit,
)

KERNEL = {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}}
COMPILED = not config.DISABLE_JIT
"""Whether kernels are compiled. If not, the plain layers are faster."""

PADDING = 16
"""The length of a run is a multiple of this number."""


@njit(**KERNEL)
def pool(slots, biases, cells, winners):
    """Write maxima of slots (4, O, m) plus biases to cells (O, m), and the winners.

    Of equal slots the first is taken, and a NaN before any number.
    """
    _, num_outputs, count = slots.shape
    for output in range(num_outputs):
        bias = biases[output]
        first, second = slots[0, output], slots[1, output]
        third, fourth = slots[2, output], slots[3, output]
        own, winner = cells[output], winners[output]
        for i in range(count):
            best, slot = first[i], np.uint8(0)
            value = second[i]
            better = value > best or value != value
            best, slot = (value, np.uint8(1)) if better else (best, slot)
            value = third[i]
            better = value > best or value != value
            best, slot = (value, np.uint8(2)) if better else (best, slot)
            value = fourth[i]
            better = value > best or value != value
            best, slot = (value, np.uint8(3)) if better else (best, slot)
            own[i], winner[i] = best + bias, slot


@njit(**KERNEL)
def pick(slots, winners, cells):
    """Write the winners' entries of slots (4, O, m) to cells (O, m)."""
    _, num_outputs, count = slots.shape
    for output in range(num_outputs):
        first, second = slots[0, output], slots[1, output]
        third, fourth = slots[2, output], slots[3, output]
        own, winner = cells[output], winners[output]
        for i in range(count):
            slot = winner[i]
            upper = second[i] if slot & 1 else first[i]
            lower = fourth[i] if slot & 1 else third[i]
            own[i] = lower if slot & 2 else upper


@njit(**KERNEL)
def _pixels_by_example(images):
    # (C, H, W, n) -> (n, H, W * C), channels last
    channels, height, width, count = images.shape
    pixels = np.empty((count, height, width * channels), images.dtype)
    for channel in range(channels):
        for row in range(height):
            for column in range(width):
                place = column * channels + channel
                for example in range(count):
                    pixels[example, row, place] = images[channel, row, column, example]
    return pixels


@njit(**KERNEL)
def _cut_strips(pixels, channels, num_strips, span, strips):
    # strip q, row r: `span` numbers from column q on
    height = pixels.shape[0]
    for strip in range(num_strips):
        for row in range(height):
            start = (strip * height + row) * span
            source = pixels[row, strip * channels : strip * channels + span]
            target = strips[start : start + span]
            for i in range(span):
                target[i] = source[i]


@njit(**KERNEL)
def _add_strips(strips, channels, num_strips, span, pixels):
    # transpose of _cut_strips
    height = pixels.shape[0]
    for strip in range(num_strips):
        for row in range(height):
            start = (strip * height + row) * span
            target = pixels[row, strip * channels : strip * channels + span]
            source = strips[start : start + span]
            for i in range(span):
                target[i] += source[i]


@njit(**KERNEL)
def _window_starts(down, across, height, span):
    # (cells, 4): where the window of each slot of each cell starts in the strips
    starts = np.empty((down * across, 4), np.int64)
    for row in range(down):
        for column in range(across):
            for slot in range(4):
                strip = 2 * column + (slot & 1)
                start = (strip * height + 2 * row + (slot >> 1)) * span
                starts[row * across + column, slot] = start
    return starts


@njit(**KERNEL)
def _lists(deltas):
    # for the deltas of one example, and one entry more that is written but not counted
    units = deltas.shape[0] * deltas.shape[1] * deltas.shape[2]
    return np.empty(units + 1, deltas.dtype), np.empty(units + 1, np.int64)


@njit(**KERNEL)
def _surviving(deltas, winners, window_starts, values, starts, ends):
    """List the non-zero deltas of one example, and the starts of their windows.

    ``ends[o]`` is the number of them in the output channels up to o.
    """
    # unsigned: no test for negative indices
    number, unit, one, nothing = np.uint64(0), np.uint64(0), np.uint64(1), np.uint64(0)
    num_cells = len(window_starts)
    for output in range(len(ends)):
        for cell in range(num_cells):
            delta = deltas[unit]
            values[number] = delta
            starts[number] = window_starts[cell, winners[unit]]
            number += one if delta != 0 else nothing
            unit += one
        ends[output] = number


@njit(**KERNEL)
def _accumulate(strips, values, starts, ends, gradient):
    # gradient (O, length) += deltas times their windows, four at a time
    length, number = gradient.shape[1], 0
    for output in range(len(ends)):
        own = gradient[output]
        while number + 3 < ends[output]:
            a, b = values[number], values[number + 1]
            c, d = values[number + 2], values[number + 3]
            first = strips[starts[number] : starts[number] + length]
            second = strips[starts[number + 1] : starts[number + 1] + length]
            third = strips[starts[number + 2] : starts[number + 2] + length]
            fourth = strips[starts[number + 3] : starts[number + 3] + length]
            for i in range(length):
                own[i] += (a * first[i] + b * second[i]) + (c * third[i] + d * fourth[i])
            number += 4
        while number < ends[output]:
            value = values[number]
            window = strips[starts[number] : starts[number] + length]
            for i in range(length):
                own[i] += value * window[i]
            number += 1


@njit(**KERNEL)
def _spread(weights, values, starts, ends, strips):
    # strips += deltas times their channel's weights
    length, number = weights.shape[1], 0
    for output in range(len(ends)):
        own = weights[output]
        while number < ends[output]:
            value, start = values[number], starts[number]
            window = strips[start : start + length]
            for i in range(length):
                window[i] += value * own[i]
            number += 1


@njit(**KERNEL)
def _by_example(arrays):
    # (O, P, Q, n) -> (n, O * P * Q)
    num_outputs, down, across, count = arrays.shape
    units = num_outputs * down * across
    result = np.empty((count, units), arrays.dtype)
    rows = arrays.reshape(units, count)
    for unit in range(units):
        for example in range(count):
            result[example, unit] = rows[unit, example]
    return result


@njit(**KERNEL)
def weight_gradients(images, winners, deltas, kernel_width, gradients):
    """Add deltas times windows to gradients (n, O, padded length), one for each example.

    With gradients (1, O, padded length) the sum over the examples is added. Entries beyond the
    length of a window have no meaning.
    """
    channels, height, _, count = images.shape
    num_outputs, down, across, _ = deltas.shape
    span = kernel_width * channels
    pixels = _pixels_by_example(images)
    own_deltas, own_winners = _by_example(deltas), _by_example(winners)
    window_starts = _window_starts(down, across, height, span)
    strips = np.zeros(2 * across * height * span + gradients.shape[2], images.dtype)
    values, starts = _lists(deltas)
    ends = np.empty(num_outputs, np.int64)
    for example in range(count):
        _cut_strips(pixels[example], channels, 2 * across, span, strips)
        _surviving(own_deltas[example], own_winners[example], window_starts, values, starts, ends)
        _accumulate(strips, values, starts, ends, gradients[example % len(gradients)])


@njit(**KERNEL)
def image_deltas(weights, winners, deltas, kernel_width, out):
    """Write the deltas of the images to `out` (C, H, W, n)."""
    channels, height, width, count = out.shape
    num_outputs, down, across, _ = deltas.shape
    span = kernel_width * channels
    own_deltas, own_winners = _by_example(deltas), _by_example(winners)
    window_starts = _window_starts(down, across, height, span)
    pixels = np.zeros((count, height, width * channels), out.dtype)
    strips = np.empty(2 * across * height * span + weights.shape[1], out.dtype)
    values, starts = _lists(deltas)
    ends = np.empty(num_outputs, np.int64)
    for example in range(count):
        strips[:] = 0
        _surviving(own_deltas[example], own_winners[example], window_starts, values, starts, ends)
        _spread(weights, values, starts, ends, strips)
        _add_strips(strips, channels, 2 * across, span, pixels[example])
    for channel in range(channels):
        for row in range(height):
            for column in range(width):
                place = column * channels + channel
                for example in range(count):
                    out[channel, row, column, example] = pixels[example, row, place]
