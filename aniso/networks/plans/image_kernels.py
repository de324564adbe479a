"""Compiled passes of images: windows as columns, rectified outputs, max pooling.

They work in memory that a plan gives, and compute the bits of the layers' own rules.
"""

import numpy as np
from numba import config

from aniso.arrays import njit
from aniso.networks.plans.kernels import KERNEL

COMPILED = not config.DISABLE_JIT
"""Whether these functions are compiled. If not, the layers' own rules are faster."""

# where few numbers are treated, another thread would take the lock for longer
_HOLDING = KERNEL | {"nogil": False}


@njit(**KERNEL)
def copy_windows(images, down_step, across_step, columns):
    """Copy windows of images (C, H, W, n) to columns (C, height, width, down, across, n)."""
    channels, height, width, down, across, count = columns.shape
    for channel in range(channels):
        for row in range(height):
            for column in range(width):
                for i in range(down):
                    for j in range(across):
                        source = images[channel, i * down_step + row, j * across_step + column]
                        target = columns[channel, row, column, i, j]
                        for example in range(count):
                            target[example] = source[example]


@njit(**KERNEL)
def add_windows(columns, down_step, across_step, images):
    """Write columns to images, 0 elsewhere: the transpose of :func:`copy_windows`."""
    channels, height, width, down, across, count = columns.shape
    images[...] = 0
    for channel in range(channels):
        # by places: windows that overlap add up in this order
        for row in range(height):
            for column in range(width):
                for i in range(down):
                    for j in range(across):
                        target = images[channel, i * down_step + row, j * across_step + column]
                        source = columns[channel, row, column, i, j]
                        for example in range(count):
                            target[example] += source[example]


@njit(**KERNEL)
def rectify(z, slopes):
    """Replace flat z by its positive part, and write the slopes: 1/2 at 0. NaN stays NaN."""
    nil, one = z.dtype.type(0), z.dtype.type(1)
    half = z.dtype.type(0.5)
    for i in range(z.size):
        value = z[i]
        slopes[i] = one if value > nil else (half if value == nil else nil)
        z[i] = nil if value < nil else value


@njit(**KERNEL)
def multiply(target, factors):
    """Multiply a flat array in place."""
    for i in range(target.size):
        target[i] *= factors[i]


@njit(**_HOLDING)
def rectify_few(z, slopes):
    """Do what :func:`rectify` does, and keep the interpreter's lock."""
    rectify(z, slopes)


@njit(**_HOLDING)
def multiply_few(target, factors):
    """Do what :func:`multiply` does, and keep the interpreter's lock."""
    multiply(target, factors)


@njit(**KERNEL)
def max_pool(images, size, stride, maxima, winners):
    """Write maxima of windows of images (C, H, W, n) to (C, down, across, n), and their places.

    Of equal entries the first is taken.
    """
    channels, down, across, count = maxima.shape
    for channel in range(channels):
        for i in range(down):
            for j in range(across):
                own, winner = maxima[channel, i, j], winners[channel, i, j]
                corner = images[channel, i * stride[0], j * stride[1]]
                for example in range(count):
                    own[example], winner[example] = corner[example], np.uint8(0)
                for place in range(1, size[0] * size[1]):
                    row, column = place // size[1], place % size[1]
                    entry = images[channel, i * stride[0] + row, j * stride[1] + column]
                    number = np.uint8(place)
                    for example in range(count):
                        better = entry[example] > own[example]
                        own[example] = entry[example] if better else own[example]
                        winner[example] = number if better else winner[example]


@njit(**KERNEL)
def max_pool_backward(deltas, winners, size, stride, images):
    """Write deltas to the largest entries of their windows, and 0 elsewhere."""
    channels, down, across, count = deltas.shape
    nil = images.dtype.type(0)
    for channel in range(channels):
        images[channel] = nil
        # by places: windows that overlap add up in this order
        for place in range(size[0] * size[1]):
            row, column = place // size[1], place % size[1]
            for i in range(down):
                for j in range(across):
                    own, winner = deltas[channel, i, j], winners[channel, i, j]
                    target = images[channel, i * stride[0] + row, j * stride[1] + column]
                    for example in range(count):
                        target[example] += own[example] if winner[example] == place else nil
