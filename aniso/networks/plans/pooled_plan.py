"""Passes of a convolution with 2x2 pooling after it, in memory that is made once.

Each pass is one compiled function, with the matrix product in it.
"""

import numpy as np

from aniso.arrays import njit
from aniso.networks.fast import pooled_kernel, pooled_passes
from aniso.networks.fast.pooled_passes import PassesBack
from aniso.networks.matrix_products import BoundProduct
from aniso.networks.plans import bound_calls, image_kernels
from aniso.networks.plans.kernels import KERNEL
from aniso.networks.plans.layer_passes import LayerPasses

_HOLDING = KERNEL | {"nogil": False}


@njit(**KERNEL)
def _load(examples, down, across, pixels, copies, images, columns):
    """Copy examples (n, C, H, W) to pixels (n, H, W C), and to tiles where `copies`."""
    count, channels, height, width = examples.shape
    for example in range(count):
        for channel in range(channels):
            for row in range(height):
                own, target = examples[example, channel, row], pixels[example, row + down]
                for column in range(width):
                    target[(column + across) * channels + channel] = own[column]
    if copies:
        for channel in range(channels):
            for row in range(height):
                for column in range(width):
                    inner = images[channel, row + down, column + across]
                    for example in range(count):
                        inner[example] = examples[example, channel, row, column]
        image_kernels.copy_windows(images, 2, 2, columns)


@njit(**_HOLDING)
def _tile(weights, tiled, padded):
    """Write the weights (O, C, k, l) of all slots, and rows over (row, column, channel)."""
    outputs, channels, height, width = weights.shape
    for output in range(outputs):
        for channel in range(channels):
            for row in range(height):
                for column in range(width):
                    value = weights[output, channel, row, column]
                    padded[output, (row * width + column) * channels + channel] = value
                    for slot in range(4):
                        place = row + (slot >> 1), column + (slot & 1)
                        tiled[slot, output, channel, place[0], place[1]] = value


@njit(**KERNEL)
def _forward(inputs, copies, columns, product, slots, biases, cells, winners, slopes):
    """Write maxima (O, m) and winners of inputs (C, H, W, n), or of columns where not `copies`.

    With flat slopes the maxima are rectified.
    """
    if copies:
        image_kernels.copy_windows(inputs, 2, 2, columns)
    bound_calls.call(product)
    pooled_kernel.pool(slots, biases, cells, winners)
    if slopes.size > 0:
        image_kernels.rectify(cells.reshape(-1), slopes)


@njit(**KERNEL)
def _backward(inputs, reads, padding, winners, deltas, slopes, back, rows, result, moves, out):
    """Write gradients of the weights, and deltas of the inputs to `out` where `moves`.

    `back` has the memory of :class:`PassesBack`; pixels are made of the inputs where `reads`.
    """
    pixels, own_winners, own_deltas, sums, window_starts, sizes, lists, moved = back
    if slopes.size > 0:
        image_kernels.multiply(deltas.reshape(-1), slopes)
    pooled_passes.by_example(winners, own_winners)
    pooled_passes.by_example(deltas, own_deltas)
    if reads:
        pooled_passes.pixels_by_example(inputs, padding[0], padding[1], pixels)
    sums[...] = 0
    pooled_passes.weight_gradients(
        pixels, own_winners, own_deltas, window_starts, sizes, lists, sums
    )
    outputs, channels, height, width = result.shape
    for output in range(outputs):
        for channel in range(channels):
            for place in range(height * width):
                value = sums[0, output, place * channels + channel]
                result[output, channel, place // width, place % width] = value
    if moves:
        pooled_passes.image_deltas(
            rows, own_winners, own_deltas, window_starts, sizes, lists, moved
        )
        pooled_passes.images_by_channel(moved, padding[0], padding[1], out)


@njit(**KERNEL)
def _first(examples, padding, pixels, copies, images, columns, product, *others):
    """Read examples (n, C, H, W), and write the maxima and the winners of their cells."""
    _load(examples, padding[0], padding[1], pixels, copies, images, columns)
    _forward(images, False, columns, product, *others)


class TiledWeights:
    """The weights of all four slots of a cell, (4 O, C (k+1) (l+1)), made once a call."""

    def __init__(self, layer, shape, dtype):
        channels, (height, width) = shape[0], layer.convolution.kernel
        num_outputs = layer.convolution.num_channels
        tiled = np.zeros((4, num_outputs, channels, height + 1, width + 1), dtype)
        self.rows, self._tiled = tiled.reshape(4 * num_outputs, -1), tiled
        self.biases = np.empty(num_outputs, dtype)
        # as the compiled passes back read them
        length = channels * height * width
        self.padded = np.zeros((num_outputs, pooled_passes.padded(length)), dtype)

    def update(self, parameters):
        """Read the layer's parameters."""
        weights, biases = parameters
        _tile(weights, self._tiled, self.padded)
        np.copyto(self.biases, biases)


class PooledPasses(LayerPasses):
    """A pooled convolution: one product for the tiles of all cells, compiled passes back."""

    weights_of = TiledWeights

    def __init__(self, layer, shape, count, dtype, below, weights, arena):
        super().__init__(layer, shape, count, dtype, below, weights, arena)
        (down, across), (channels, height, width) = layer.convolution.padding, shape
        self._padding, cells = (down, across), self.outputs.shape[:-1]
        self._winners = arena.empty((cells[0], cells[1] * cells[2] * count), np.uint8)
        self._back = PassesBack(
            layer.convolution, shape, cells, count, dtype, scratch=arena.scratch
        )
        tile = tuple(length + 1 for length in layer.convolution.kernel)
        self._columns = arena.empty((channels, *tile, *cells[1:], count), dtype)
        self._images = None
        if below is None or any(self._padding):
            padded = channels, height + 2 * down, width + 2 * across, count
            self._images = (np.zeros if any(self._padding) else arena.scratch)(padded, dtype)
            self._inner = self._images[:, down : down + height, across : across + width]
        slots = arena.scratch((len(weights.rows), cells[1] * cells[2] * count), dtype)
        self._slots = slots.reshape(4, cells[0], -1)
        self._cells = self.outputs.reshape(cells[0], -1)
        columns = self._columns.reshape(weights.rows.shape[1], -1)
        self._product = bound_calls.BoundCall(BoundProduct(slots, weights.rows, columns))
        self._address, self._slopes = columns.ctypes.data, np.empty(0, dtype)
        self._flat_deltas = self.deltas.reshape(-1, count)
        self._flat_winners = self._winners.reshape(-1, count)

    def take_slopes(self, slopes):
        """Rectify the outputs, and write the slopes."""
        self._slopes = slopes
        return True

    def load(self, examples, kept):
        """Read examples: tiles for the pass forward, and pixels for the pass back."""
        if not (examples.flags.carray and examples.dtype == self.outputs.dtype):
            examples = np.array(examples, self.outputs.dtype, order="C")
        self._examples, self._copies = examples, kept is None
        self._product.move_right(self._address if kept is None else kept.columns.ctypes.data)

    def forward(self, parameters):  # noqa: ARG002
        """Compute the maxima of the cells, and their slots."""
        others = (
            *(self._columns, self._product.addresses, self._slots, self.weights.biases),
            *(self._cells, self._winners, self._slopes),
        )
        if self.below is None:
            given = self._examples, self._padding, self._back.pixels, self._copies
            _first(*given, self._images, *others)
            self._examples = None
            return
        images = self.inputs
        if self._images is not None:
            images = self._images
            np.copyto(self._inner, self.inputs)
        _forward(images, True, *others)

    def backward(self, parameters, results, needs_inputs):  # noqa: ARG002
        """Visit the windows of the maximal outputs whose delta is not 0."""
        weights, biases = results
        inputs, below = (self.inputs, self.below) if self.below else (self.outputs, self)
        _backward(
            inputs, self.below is not None, self._padding, self._flat_winners, self._flat_deltas,
            self._slopes, self._back.memory, self.weights.padded, weights, needs_inputs,
            below.deltas,
        )  # fmt: skip
        np.add.reduce(self.deltas, axis=(1, 2, 3), out=biases)
