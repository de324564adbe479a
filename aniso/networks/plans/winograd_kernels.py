"""Compiled transforms of Winograd filtering; see :mod:`aniso.networks.fast.winograd`.

Channels are treated one after the other, with memory for one channel that stays in the cache. The
sums have the order of :class:`aniso.networks.fast.winograd.WinogradConvolution`, and its bits.

==================  ==============================================================================
tiles               (4, 4, C, down, across, n), the entries of ``B^T d B`` or of ``A delta A^T``
images              (C, H, W, n), of which ``2 down + 2`` rows and ``2 across + 2`` columns count,
                    with 0 beyond
==================  ==============================================================================
"""

from aniso.arrays import njit
from aniso.networks.plans.kernels import KERNEL


@njit(**KERNEL)
def _add(first, second, out):
    for i in range(out.size):
        out[i] = first[i] + second[i]


@njit(**KERNEL)
def _subtract(first, second, out):
    for i in range(out.size):
        out[i] = first[i] - second[i]


@njit(**KERNEL)
def _halve(first, second, third, fourth, upper, lower):
    # A^T times four arrays
    for i in range(upper.size):
        upper[i] = (first[i] + second[i]) + third[i]
    for i in range(lower.size):
        lower[i] = (second[i] - third[i]) - fourth[i]


@njit(**KERNEL)
def _pad(image, down, across, padded):
    # (H, W, n) into the zeros of padded
    for row in range(image.shape[0]):
        for column in range(image.shape[1]):
            target, source = padded[row + down, column + across], image[row, column]
            for i in range(target.size):
                target[i] = source[i]


@njit(**KERNEL)
def write_tiles(images, padding, padded, rows, tiles):
    """Write ``B^T d B``.

    `padded` (2 down + 2, 2 across + 2, n) has zeros at its border; `rows` (4, (2 across + 2) n) is
    memory.
    """
    _, _, channels, down, across, count = tiles.shape
    for channel in range(channels):
        _pad(images[channel], padding[0], padding[1], padded)
        flat = padded.reshape(padded.shape[0], -1)
        for i in range(down):
            first, second = flat[2 * i], flat[2 * i + 1]
            third, fourth = flat[2 * i + 2], flat[2 * i + 3]
            _subtract(first, third, rows[0])
            _add(second, third, rows[1])
            _subtract(third, second, rows[2])
            _subtract(second, fourth, rows[3])
            for number in range(4):
                own = tiles[number]
                for j in range(across):
                    start = 2 * j * count
                    first = rows[number, start : start + count]
                    second = rows[number, start + count : start + 2 * count]
                    third = rows[number, start + 2 * count : start + 3 * count]
                    fourth = rows[number, start + 3 * count : start + 4 * count]
                    _subtract(first, third, own[0, channel, i, j])
                    _add(second, third, own[1, channel, i, j])
                    _subtract(third, second, own[2, channel, i, j])
                    _subtract(second, fourth, own[3, channel, i, j])


@njit(**KERNEL)
def write_outputs(products, biases, halves, outputs):
    """Write ``A^T M A + b`` to outputs (C, H, W, n); `halves` (2, 4, down across n) is memory."""
    _, _, channels, down, across, count = products.shape
    height, width = outputs.shape[1], outputs.shape[2]
    flat = products.reshape(4, 4, channels, -1)
    for channel in range(channels):
        bias = biases[channel]
        for b in range(4):
            first, second = flat[0, b, channel], flat[1, b, channel]
            third, fourth = flat[2, b, channel], flat[3, b, channel]
            _halve(first, second, third, fourth, halves[0, b], halves[1, b])
        for half in range(2):
            for i in range(down):
                row = 2 * i + half
                if row == height:
                    continue
                for j in range(across):
                    start = (i * across + j) * count
                    first = halves[half, 0, start : start + count]
                    second = halves[half, 1, start : start + count]
                    third = halves[half, 2, start : start + count]
                    fourth = halves[half, 3, start : start + count]
                    own = outputs[channel, row, 2 * j]
                    for e in range(count):
                        own[e] = ((first[e] + second[e]) + third[e]) + bias
                    if 2 * j + 1 < width:
                        own = outputs[channel, row, 2 * j + 1]
                        for e in range(count):
                            own[e] = ((second[e] - third[e]) - fourth[e]) + bias


@njit(**KERNEL)
def write_deltas(deltas, padded, rows, tiles):
    """Write ``A delta A^T`` of deltas (C, H, W, n).

    `padded` (2 down, 2 across, n) has zeros beyond H and W; `rows` (4, 2 across n) is memory.
    """
    _, _, channels, down, across, count = tiles.shape
    for channel in range(channels):
        _pad(deltas[channel], 0, 0, padded)
        flat = padded.reshape(padded.shape[0], -1)
        for i in range(down):
            first, second = flat[2 * i], flat[2 * i + 1]
            rows[0, :] = first
            _add(first, second, rows[1])
            _subtract(first, second, rows[2])
            rows[3, :] = -second
            for number in range(4):
                own = tiles[number]
                for j in range(across):
                    start = 2 * j * count
                    left = rows[number, start : start + count]
                    right = rows[number, start + count : start + 2 * count]
                    own[0, channel, i, j, :] = left
                    _add(left, right, own[1, channel, i, j])
                    _subtract(left, right, own[2, channel, i, j])
                    own[3, channel, i, j, :] = -right


@njit(**KERNEL)
def _transposed(number, first, second, third, fourth, out):
    # row `number` of B times four arrays
    if number == 0:
        out[:] = first
    elif number == 1:
        for i in range(out.size):
            out[i] = (second[i] - third[i]) + fourth[i]
    elif number == 2:
        for i in range(out.size):
            out[i] = (second[i] + third[i]) - first[i]
    else:
        out[:] = -fourth


@njit(**KERNEL)
def write_images(tiles, padding, rows, part, padded, images):
    """Write the transpose of :func:`write_tiles` to images (C, H, W, n).

    `padded` (2 down + 2, 2 across + 2, n), `rows` (4, down across n) and `part` (n,) are memory.
    """
    _, _, channels, down, across, count = tiles.shape
    flat = tiles.reshape(4, 4, channels, -1)
    height, width = images.shape[1], images.shape[2]
    for channel in range(channels):
        padded[...] = 0
        for row in range(4):
            for b in range(4):
                first, second = flat[0, b, channel], flat[1, b, channel]
                third, fourth = flat[2, b, channel], flat[3, b, channel]
                _transposed(row, first, second, third, fourth, rows[b])
            for column in range(4):
                for i in range(down):
                    for j in range(across):
                        start = (i * across + j) * count
                        first = rows[0, start : start + count]
                        second = rows[1, start : start + count]
                        third = rows[2, start : start + count]
                        fourth = rows[3, start : start + count]
                        _transposed(column, first, second, third, fourth, part)
                        target = padded[2 * i + row, 2 * j + column]
                        for e in range(count):
                            target[e] += part[e]
        for row in range(height):
            for column in range(width):
                target = images[channel, row, column]
                source = padded[row + padding[0], column + padding[1]]
                for e in range(count):
                    target[e] = source[e]
