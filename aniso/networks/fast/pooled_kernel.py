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
pixels                   (H, W C) of one example, with the padding of the convolution
cells                    (O, m) of all examples, for m = P Q n; a winner is the number
                         ``2 * row + column`` of the largest slot of a pooling window
deltas, winners          (O P Q,) of one example
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
def cut_strips(pixels, channels, num_strips, span, strips):
    """Copy pixels (H, W C) to strips: strip q, row r has `span` numbers from column q on."""
    height = pixels.shape[0]
    for strip in range(num_strips):
        for row in range(height):
            start = (strip * height + row) * span
            source = pixels[row, strip * channels : strip * channels + span]
            target = strips[start : start + span]
            for i in range(span):
                target[i] = source[i]


@njit(**KERNEL)
def add_strips(strips, channels, num_strips, span, pixels):
    """Add strips to pixels: the transpose of :func:`cut_strips`."""
    height = pixels.shape[0]
    for strip in range(num_strips):
        for row in range(height):
            start = (strip * height + row) * span
            target = pixels[row, strip * channels : strip * channels + span]
            source = strips[start : start + span]
            for i in range(span):
                target[i] += source[i]


@njit(**KERNEL)
def starts_of_windows(down, across, height, span):
    """Return where the window of each slot of each cell starts in the strips, (cells, 4)."""
    starts = np.empty((down * across, 4), np.int64)
    for row in range(down):
        for column in range(across):
            for slot in range(4):
                strip = 2 * column + (slot & 1)
                start = (strip * height + 2 * row + (slot >> 1)) * span
                starts[row * across + column, slot] = start
    return starts


@njit(**KERNEL)
def surviving(deltas, winners, window_starts, values, starts, ends):
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
def accumulate(strips, values, starts, ends, gradient):
    """Add deltas times their windows to gradient (O, length), four at a time."""
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
def spread(weights, values, starts, ends, strips):
    """Add deltas times their channel's weights to the strips."""
    length, number = weights.shape[1], 0
    for output in range(len(ends)):
        own = weights[output]
        while number < ends[output]:
            value, start = values[number], starts[number]
            window = strips[start : start + length]
            for i in range(length):
                window[i] += value * own[i]
            number += 1
