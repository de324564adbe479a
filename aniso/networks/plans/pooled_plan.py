"""Passes of a convolution with 2x2 pooling after it, in memory that is made once."""

import numpy as np

from aniso.networks.fast import pooled_kernel
from aniso.networks.fast.pooled import SLOTS
from aniso.networks.fast.pooled_passes import PassesBack
from aniso.networks.matrix_products import BoundProduct
from aniso.networks.plans import image_kernels
from aniso.networks.plans.layer_passes import LayerPasses


class TiledWeights:
    """The weights of all four slots of a cell, (4 O, C (k+1) (l+1)), made once a call."""

    def __init__(self, layer, shape, dtype):
        channels, (height, width) = shape[0], layer.convolution.kernel
        num_outputs = layer.convolution.num_channels
        tiled = np.zeros((4, num_outputs, channels, height + 1, width + 1), dtype)
        self.rows, self.biases = tiled.reshape(4 * num_outputs, -1), np.empty(num_outputs, dtype)
        self._parts = [
            tiled[slot, :, :, row : row + height, column : column + width]
            for slot, (row, column) in enumerate(SLOTS)
        ]

    def update(self, parameters):
        """Read the layer's parameters."""
        for part in self._parts:
            np.copyto(part, parameters[0])
        np.copyto(self.biases, parameters[1])


class PooledPasses(LayerPasses):
    """A pooled convolution: one product for the tiles of all cells, compiled passes back."""

    weights_of = TiledWeights

    def __init__(self, layer, shape, count, dtype, below, weights, arena):
        super().__init__(layer, shape, count, dtype, below, weights, arena)
        (down, across), (channels, height, width) = layer.convolution.padding, shape
        self._padding = down, across
        self._winners = arena.empty(self.outputs.shape, np.uint8)
        cells = self.outputs.shape[:-1]
        self._back = PassesBack(
            layer.convolution, shape, cells, count, dtype, scratch=arena.scratch
        )
        tile = tuple(length + 1 for length in layer.convolution.kernel)
        self._columns = arena.empty((channels, *tile, *cells[1:], count), dtype)
        self._own_images = None
        if below is None or (down, across) != (0, 0):
            padded = channels, height + 2 * down, width + 2 * across, count
            make = np.zeros if any(self._padding) else arena.scratch
            self._own_images = make(padded, dtype)
            self._inner = self._own_images[:, down : down + height, across : across + width]
        slots = arena.scratch((len(weights.rows), cells[1] * cells[2] * count), dtype)
        self._slots = slots.reshape(4, cells[0], -1)
        columns = self._columns.reshape(weights.rows.shape[1], -1)
        self._product = BoundProduct(slots, weights.rows, columns)
        self._address = columns.ctypes.data

    def load(self, data, rows, kept):
        """Read examples: tiles for the pass forward, and pixels for the pass back."""
        examples, (down, across) = data.inputs[rows], self._padding
        channels, height, width = examples.shape[1:]
        pixels = self._back.pixels
        pixels = pixels.reshape(*pixels.shape[:2], -1, channels)
        np.copyto(
            pixels[:, down : down + height, across : across + width],
            np.moveaxis(examples, 1, -1),
            casting="unsafe",
        )
        if kept is None:
            np.copyto(self._inner, np.moveaxis(examples, 0, -1), casting="unsafe")
            self._copy_windows(self._own_images)
        self._product.right.value = self._address if kept is None else kept.columns.ctypes.data

    def _copy_windows(self, images):
        image_kernels.copy_windows(images, 2, 2, self._columns)

    def forward(self, parameters):  # noqa: ARG002
        """Compute the maxima of the cells, and their slots."""
        if self.below:
            images = self.inputs
            if self._own_images is not None:
                np.copyto(self._inner, images)
                images = self._own_images
            self._copy_windows(images)
        self._product()
        num_outputs = len(self.outputs)
        pooled_kernel.pool(
            self._slots,
            self.weights.biases,
            self.outputs.reshape(num_outputs, -1),
            self._winners.reshape(num_outputs, -1),
        )

    def backward(self, parameters, results, needs_inputs):
        """Visit the windows of the maximal outputs whose delta is not 0."""
        weights, biases = results
        self._back.load(self._winners, self.inputs if self.below else None)
        np.copyto(weights, self._back.weight_gradients(self.deltas)[0])
        np.add.reduce(self.deltas, axis=(1, 2, 3), out=biases)
        if needs_inputs:
            self._back.image_deltas(parameters[0], self.deltas, self.below.deltas)
