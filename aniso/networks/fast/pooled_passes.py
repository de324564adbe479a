"""Passes back through a convolution followed by 2x2 max pooling, for n examples.

The compiled functions take the examples first: pixels (n, H, W C), with the padding of the
convolution and channels last; deltas and winners (n, O P Q). See
:mod:`aniso.networks.fast.pooled_kernel` for the rest.
"""

import math

import numpy as np

from aniso.arrays import njit
from aniso.networks.fast import pooled_kernel as kernel
from aniso.networks.fast.pooled_kernel import KERNEL

# examples whose entries are moved together: a line of the cache
_TOGETHER = 8


class PassesBack:
    """Memory for the passes back of n examples, and the passes.

    Parameters
    ----------
    convolution : Convolution
        The convolution.
    image_shape, cells_shape : tuple of int
        (C, H, W) of the images, and (O, P, Q) of the pooled outputs.
    count : int
        n.
    dtype : numpy.dtype
        Precision.
    num_each : int
        n for the gradient of each example, 1 for their sum.
    scratch : callable
        Function of (shape, dtype) that returns memory for what no call needs of another.

    Attributes
    ----------
    memory : tuple
        Pixels, winners and deltas of the examples, sums of gradients (num_each, O, padded length),
        starts of the windows, sizes (C, strips, kernel width times C), lists for one example, and
        memory for deltas of the pixels.
    gradients : ndarray, shape (num_each, O, C, k, l)
        View of the sums.
    pixels, moved : ndarray, shape (n, H, W C)
        Padded images, and memory for their deltas.
    """

    def __init__(
        self, convolution, image_shape, cells_shape, count, dtype, num_each=1, scratch=np.empty
    ):
        (channels, height, width), (num_outputs, down, across) = image_shape, cells_shape
        self.padding, units = convolution.padding, math.prod(cells_shape)
        height, width = height + 2 * self.padding[0], width + 2 * self.padding[1]
        shape, span = (*convolution.kernel, channels), convolution.kernel[1] * channels
        length = math.prod(shape)
        # zeros around the images, if any
        make = np.zeros if any(self.padding) else np.empty
        self.pixels = make((count, height, width * channels), dtype)
        self._winners = scratch((count, units), np.uint8)
        self._deltas = scratch((count, units), dtype)
        self._sums = scratch((num_each, num_outputs, padded(length)), dtype)
        self._rows = np.zeros((num_outputs, padded(length)), dtype)
        self._weights = self._rows[:, :length].reshape(num_outputs, *shape)
        self.moved = scratch(self.pixels.shape, dtype)
        # numbers beyond the last window are read, and multiplied by 0 or not used
        strips = np.zeros(2 * across * height * span + padded(length), dtype)
        # one entry more, which is written but not counted
        lists = np.empty(units + 1, dtype), np.empty(units + 1, np.int64)
        self._memory = (
            kernel.starts_of_windows(down, across, height, span),
            (channels, 2 * across, span),
            (strips, *lists, np.empty(num_outputs, np.int64)),
        )
        self.memory = (
            *(self.pixels, self._winners, self._deltas, self._sums),
            *(*self._memory, self.moved),
        )
        self.gradients = self._sums[..., :length].reshape(num_each, num_outputs, *shape)
        self.gradients = self.gradients.transpose(0, 1, 4, 2, 3)

    def load(self, winners=None, images=None):
        """Set the winners (O, P, Q, n) and the images (C, H, W, n), those that are given."""
        if winners is not None:
            by_example(winners.reshape(-1, winners.shape[-1]), self._winners)
        if images is not None:
            pixels_by_example(images, *self.padding, self.pixels)

    def weight_gradients(self, delta):
        """Return deltas (O, P, Q, n) times their windows, (num_each, O, C, k, l), a view."""
        flat = delta.reshape(-1, delta.shape[-1])
        _weights_back(flat, self.pixels, self._winners, self._deltas, *self._memory, self._sums)
        return self.gradients

    def image_deltas(self, weights, delta, out):
        """Write the deltas of the images to `out` (C, H, W, n)."""
        # as the kernels read them: (O, k l C), and zeros
        self._weights[...] = weights.transpose(0, 2, 3, 1)
        flat, memory = delta.reshape(-1, delta.shape[-1]), (self._winners, self._deltas)
        _images_back(flat, self._rows, *memory, *self._memory, self.moved, *self.padding, out)


def padded(length):
    """Return the length of a row of weights with its zeros.

    Examples
    --------
    >>> padded(25)
    32
    """
    return -(-length // kernel.PADDING) * kernel.PADDING


@njit(**KERNEL)
def by_example(arrays, rows):
    """Write arrays (units, n) to rows (n, units)."""
    units, count = arrays.shape
    for start in range(0, count, _TOGETHER):
        stop = min(start + _TOGETHER, count)
        for unit in range(units):
            for example in range(start, stop):
                rows[example, unit] = arrays[unit, example]


@njit(**KERNEL)
def pixels_by_example(images, down, across, pixels):
    """Write images (C, H, W, n) to pixels (n, H + 2 down, (W + 2 across) C), channels last."""
    channels, height, width, count = images.shape
    for channel in range(channels):
        for row in range(height):
            for column in range(width):
                place = (column + across) * channels + channel
                source = images[channel, row, column]
                for example in range(count):
                    pixels[example, row + down, place] = source[example]


@njit(**KERNEL)
def images_by_channel(pixels, down, across, images):
    """Write the inner part of pixels to images: the transpose of :func:`pixels_by_example`."""
    channels, height, width, count = images.shape
    for channel in range(channels):
        for row in range(height):
            for column in range(width):
                place = (column + across) * channels + channel
                target = images[channel, row, column]
                for example in range(count):
                    target[example] = pixels[example, row + down, place]


@njit(**KERNEL)
def weight_gradients(pixels, winners, deltas, window_starts, sizes, lists, gradients):
    """Add deltas times windows to gradients (n, O, padded length), one for each example.

    With gradients (1, O, padded length) the sum over the examples is added. Entries beyond the
    length of a window have no meaning.
    """
    channels, num_strips, span = sizes
    strips, values, starts, ends = lists
    for example in range(len(pixels)):
        kernel.cut_strips(pixels[example], channels, num_strips, span, strips)
        kernel.surviving(deltas[example], winners[example], window_starts, values, starts, ends)
        kernel.accumulate(strips, values, starts, ends, gradients[example % len(gradients)])


@njit(**KERNEL)
def image_deltas(weights, winners, deltas, window_starts, sizes, lists, pixels):
    """Write the deltas of the images to pixels (n, H, W C); weights (O, padded length)."""
    channels, num_strips, span = sizes
    strips, values, starts, ends = lists
    for example in range(len(pixels)):
        strips[:] = 0
        kernel.surviving(deltas[example], winners[example], window_starts, values, starts, ends)
        kernel.spread(weights, values, starts, ends, strips)
        pixels[example] = 0
        kernel.add_strips(strips, channels, num_strips, span, pixels[example])


@njit(**KERNEL)
def _weights_back(flat, pixels, winners, deltas, window_starts, sizes, lists, gradients):
    # of deltas (O P Q, n), in one call
    by_example(flat, deltas)
    gradients[...] = 0
    weight_gradients(pixels, winners, deltas, window_starts, sizes, lists, gradients)


@njit(**KERNEL)
def _images_back(
    flat, weights, winners, deltas, window_starts, sizes, lists, pixels, down, across, images
):
    # of deltas (O P Q, n), in one call
    by_example(flat, deltas)
    image_deltas(weights, winners, deltas, window_starts, sizes, lists, pixels)
    images_by_channel(pixels, down, across, images)
