"""Convolution fused with 2x2 max pooling: all four outputs of a pooling cell from one tile.

A pooling cell of a convolution with a k x k kernel and stride 1 sees a tile of (k + 1) x (k + 1)
pixels. One product of a (4 channels, tile) matrix with the tile columns gives its four outputs:
((k + 1) / k)^2 times the multiplications of the plain product, but four times the rows and up to
2.8 times fewer columns to copy, and pooling becomes a maximum of four contiguous slabs. This is
NumPy code; :func:`aniso.networks.fast_layers.fused` puts it where it pays.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from aniso.networks import windows
from aniso.networks.convolution import Convolution
from aniso.networks.layer import Layer
from aniso.networks.max_pooling import MaxPooling

_SLOTS = ((0, 0), (0, 1), (1, 0), (1, 1))


@dataclass(frozen=True)
class PooledConvolution(Layer):
    """``MaxPooling(2)`` of `convolution`, whose stride is 1.

    Examples
    --------
    >>> layer = PooledConvolution(Convolution(1, 1))
    >>> parameters = np.array([[[[2.0]]]]), np.array([1.0])
    >>> images = np.array([[[1.0, 2.0], [4.0, 3.0]]])[..., None]
    >>> layer.forward(parameters, layer.prepare(images))[0].ravel()
    array([9.])
    """

    convolution: Convolution

    @classmethod
    def examples(cls):
        """Cases of the tests: even and odd images, padding."""
        return [
            (cls(Convolution(2, 2)), (1, 5, 5)),
            (cls(Convolution(3, (2, 3), padding=1)), (2, 3, 6)),
        ]

    def output_shape(self, input_shape):
        """(channels, cells down, cells across)."""
        return MaxPooling(2).output_shape(self.convolution.output_shape(input_shape))

    def parameter_shapes(self, input_shape):
        """Those of the convolution."""
        return self.convolution.parameter_shapes(input_shape)

    def plain(self, parameters, inputs):
        """Convolution, then pooling, examples first."""
        return MaxPooling(2).plain((), self.convolution.plain(parameters, inputs))

    @property
    def _tile(self):
        return tuple(length + 1 for length in self.convolution.kernel)

    def prepare(self, inputs):
        """Tile columns of the inputs."""
        shape = inputs.shape[:-1]
        cells = self.output_shape(shape)[1:]
        return windows.Windows(shape, cells, self._columns(inputs, cells), inputs)

    def _columns(self, images, cells):
        images = windows.padded(images, self.convolution.padding)
        return windows.window_columns(images, self._tile, (2, 2), cells)

    def _tiled(self, weights):
        # (..., O, C, k, l) -> (..., 4 O, C (k+1) (l+1)), one block of rows for each slot
        *lead, num_outputs, channels, height, width = weights.shape
        tiled = np.zeros(
            (*lead, 4, num_outputs, channels, height + 1, width + 1), dtype=weights.dtype
        )
        for slot, (row, column) in enumerate(_SLOTS):
            tiled[..., slot, :, :, row : row + height, column : column + width] = weights
        return tiled.reshape(*lead, 4 * num_outputs, -1)

    def _untiled(self, tiled, channels):
        # transpose of _tiled
        height, width = self.convolution.kernel
        lead, num_outputs = tiled.shape[:-2], tiled.shape[-2] // 4
        tiled = tiled.reshape(*lead, 4, num_outputs, channels, height + 1, width + 1)
        weights = tiled[..., 0, :, :, :height, :width].copy()
        for slot, (row, column) in enumerate(_SLOTS[1:], start=1):
            weights += tiled[..., slot, :, :, row : row + height, column : column + width]
        return weights

    def _spread(self, memory, delta):
        # deltas of cells (..., O, down, across, n) -> of the four slots (..., 4 O, cells * n)
        flat = delta.reshape(*delta.shape[:-4], 1, delta.shape[-4], -1)
        slots = flat * memory.won
        return slots.reshape(*flat.shape[:-3], -1, flat.shape[-1])

    def _images(self, columns, memory):
        shape = memory.prepared.shape
        down, across = self.convolution.padding
        padded = (shape[0], shape[1] + 2 * down, shape[2] + 2 * across)
        images = windows.images_from_columns(
            columns, padded, self._tile, (2, 2), memory.prepared.counts, memory.prepared.count
        )
        return windows.unpadded(images, self.convolution.padding)

    def forward(self, parameters, prepared):
        """Maxima of the four slots; the memory says which slot won (the first of equals)."""
        weights, biases = parameters
        tiled = self._tiled(weights)
        slots = (tiled @ prepared.columns).reshape(4, len(biases), -1)
        upper, lower = np.maximum(slots[0], slots[1]), np.maximum(slots[2], slots[3])
        won = np.empty(slots.shape, bool)
        top = upper >= lower
        np.greater_equal(slots[0], slots[1], out=won[0])
        np.greater_equal(slots[2], slots[3], out=won[2])
        np.greater(top, won[0], out=won[1])
        won[0] &= top
        np.logical_or(top, won[2], out=won[3])
        np.logical_not(won[3], out=won[3])
        np.greater(won[2], top, out=won[2])
        cells = np.maximum(upper, lower, out=upper)
        cells += biases[:, None]
        cells = cells.reshape(-1, *prepared.counts, prepared.count)
        return cells, PooledMemory(prepared, tiled, won)

    def backward(self, parameters, memory, delta):  # noqa: ARG002
        """``W^T`` of the deltas of the winners, summed over the tiles that share a pixel."""
        return self._images(memory.tiled.T @ self._spread(memory, delta), memory)

    def gradient(self, memory, delta):
        """Deltas of the winners times the tile columns, and the sums of delta."""
        slots = self._spread(memory, delta)
        weights = self._untiled(slots @ memory.prepared.columns.T, memory.prepared.shape[0])
        return weights, delta.sum(axis=(-3, -2, -1))

    def backward_and_gradient(self, parameters, memory, delta, needs_inputs):  # noqa: ARG002
        """Both at once: the deltas of the slots are formed once."""
        slots = self._spread(memory, delta)
        weights = self._untiled(slots @ memory.prepared.columns.T, memory.prepared.shape[0])
        gradient = weights, delta.sum(axis=(-3, -2, -1))
        if not needs_inputs:
            return None, gradient
        return self._images(memory.tiled.T @ slots, memory), gradient

    def per_example_gradients(self, memory, delta):
        """Products of one example's deltas and tile columns, flat: (..., n, P)."""
        count, channels = memory.prepared.count, memory.prepared.shape[0]
        slots = self._spread(memory, delta)
        slots = slots.reshape(*slots.shape[:-1], -1, count)
        rows = np.ascontiguousarray(np.moveaxis(slots, -1, -3))
        columns = memory.prepared.columns
        columns = columns.reshape(len(columns), -1, count).transpose(2, 1, 0)
        weights = self._untiled(rows @ np.ascontiguousarray(columns), channels)
        biases = np.moveaxis(delta.sum(axis=(-3, -2)), -1, -2)
        return np.concatenate([weights.reshape(*biases.shape[:-1], -1), biases], axis=-1)

    def tangent(self, parameters, memory, directions, inputs_tangent):  # noqa: ARG002
        """Tangents of the winners; the trace is the tile columns of x'."""
        prepared = memory.prepared
        slots = self._tiled(directions[0]) @ prepared.columns
        trace = None
        if inputs_tangent is not None:
            trace = self._columns(inputs_tangent, prepared.counts)
            slots += memory.tiled @ trace
        num_outputs = directions[1].shape[-1]
        slots = slots.reshape(len(slots), 4, num_outputs, -1)
        slots *= memory.won
        cells = slots[:, 0] + slots[:, 1]
        cells += slots[:, 2]
        cells += slots[:, 3]
        cells += directions[1][..., None]
        return cells.reshape(len(cells), num_outputs, *prepared.counts, prepared.count), trace

    def second_order(self, parameters, memory, directions, trace, delta):  # noqa: ARG002
        """``V^T delta`` at the inputs, ``delta columns(x')^T`` in the weights."""
        slots = self._spread(memory, delta)
        tiled = self._tiled(directions[0])
        inputs = self._images(np.matmul(tiled.swapaxes(-1, -2), slots), memory)
        if trace is None:
            return inputs, None
        weights = np.matmul(slots, trace.swapaxes(-1, -2))
        return inputs, (self._untiled(weights, memory.prepared.shape[0]), None)

    def unit_deltas(self, memory, delta):
        """Deltas of the convolution's own outputs (O, down, across, n), 0 where pooled away."""
        prepared = memory.prepared
        shape = self.convolution.output_shape(prepared.shape)
        result = np.zeros((*shape, prepared.count), delta.dtype)
        slots = self._spread(memory, delta).reshape(4, *delta.shape)
        for (row, column), slot in zip(_SLOTS, slots, strict=True):
            stops = 2 * prepared.counts[0], 2 * prepared.counts[1]
            result[:, row : stops[0] : 2, column : stops[1] : 2] = slot
        return result

    def start_route(self, memory):
        """Output unit of the convolution behind every cell, (O, down, across, n)."""
        prepared = memory.prepared
        height, width = self.convolution.output_shape(prepared.shape)[1:]
        num_outputs = memory.won.shape[1]
        corner = 2 * np.arange(prepared.counts[0])[:, None] * width
        corner = corner + 2 * np.arange(prepared.counts[1])
        offsets = np.array([row * width + column for row, column in _SLOTS])
        slot = offsets[memory.won.argmax(axis=0)]
        slot = slot.reshape(num_outputs, *prepared.counts, prepared.count)
        first = np.arange(num_outputs)[:, None, None] * (height * width) + corner
        return first[..., None] + slot

    def unit_patches(self, memory, index):
        """Windows behind output units of the convolution; see there."""
        return self.convolution.unit_patches(
            self.convolution.prepare(memory.prepared.inputs), index
        )

    def input_rows(self, parameters, input_shape):
        """Those of the convolution."""
        return self.convolution.input_rows(parameters, input_shape)

    def forward_multiplications(self, input_shape):
        """One for every pixel of a tile, every slot and every cell."""
        cells = self.output_shape(input_shape)
        return 4 * math.prod(cells) * input_shape[0] * math.prod(self._tile)

    def memory_entries(self, input_shape):
        """Tile columns, slots and cells."""
        cells = self.output_shape(input_shape)
        return math.prod(cells[1:]) * input_shape[0] * math.prod(self._tile) + 5 * math.prod(cells)


class PooledMemory(NamedTuple):
    """Tile columns, tiled weights and which slot won (4, O, cells * n)."""

    prepared: windows.Windows
    tiled: np.ndarray
    won: np.ndarray
