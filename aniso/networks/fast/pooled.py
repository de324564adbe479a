"""Convolution fused with 2x2 max pooling, for kernels with stride 1.

Forward. A pooling cell contains four outputs of the convolution. They depend on a *tile* of
(k + 1) x (k + 1) pixels, k the size of the kernel. One product of a matrix (4 channels, tile) with
all tiles as columns gives the four outputs of every cell. It takes ((k + 1) / k)^2 times the
multiplications of the plain convolution, but up to 2.8 times fewer copies. Pooling is then the
maximum of four contiguous arrays.

Backward. Only the largest output of a cell has a non-zero delta: a quarter of the outputs, and half
of these after a ReLU. Compiled kernels visit only the windows of these outputs.

:func:`aniso.networks.fast.choice.fused` uses this layer where it is faster.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from aniso.networks.fast import pooled_kernel as kernel
from aniso.networks.fast.pooled_passes import PassesBack
from aniso.networks.layers import windows
from aniso.networks.layers.convolution import Convolution
from aniso.networks.layers.layer import Layer
from aniso.networks.layers.max_pooling import MaxPooling

_SLOTS = ((0, 0), (0, 1), (1, 0), (1, 1))


@dataclass(frozen=True)
class PooledConvolution(Layer):
    """``MaxPooling(2)`` applied to the outputs of a convolution.

    Parameters
    ----------
    convolution : Convolution
        With stride 1.

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
        """Return cases of the tests: even and odd images, padding."""
        return [
            (cls(Convolution(2, 2)), (1, 5, 5)),
            (cls(Convolution(3, (2, 3), padding=1)), (2, 3, 6)),
        ]

    def output_shape(self, input_shape):
        """Return (channels, cells down, cells across)."""
        return MaxPooling(2).output_shape(self.convolution.output_shape(input_shape))

    def parameter_shapes(self, input_shape):
        """Return the parameter shapes of the convolution."""
        return self.convolution.parameter_shapes(input_shape)

    def plain(self, parameters, inputs):
        """Return the pooled convolution by autograd's NumPy, examples first."""
        return MaxPooling(2).plain((), self.convolution.plain(parameters, inputs))

    @property
    def _tile(self):
        return tuple(length + 1 for length in self.convolution.kernel)

    def prepare(self, inputs):
        """Return the tiles of the inputs, one a column."""
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

    def _passes_back(self, memory, delta, num_each=1, images=None):
        cells, count = delta.shape[-4:-1], delta.shape[-1]
        passes = PassesBack(
            self.convolution, memory.prepared.shape, cells, count, delta.dtype, num_each
        )
        passes.load(memory.winners, images)
        return passes

    def _weight_gradients(self, memory, delta, num_each=1):
        # (..., num_each, O, C, k, l): of every example, or their sum where num_each is 1
        passes = self._passes_back(memory, delta, num_each, memory.prepared.inputs)
        return _over_blocks(
            lambda own: passes.weight_gradients(np.ascontiguousarray(own)).copy(), delta
        )

    def _image_deltas(self, memory, delta):
        # a function of weights and of the deltas of one block, and deltas of images (C, H, W, n)
        passes = self._passes_back(memory, delta)

        def of_block(weights, own):
            images = np.empty((*memory.prepared.shape, own.shape[-1]), own.dtype)
            passes.image_deltas(weights, np.ascontiguousarray(own), images)
            return images

        return of_block

    def forward(self, parameters, prepared):
        """Return the maxima of the cells; the memory has their slots, the first of equal ones."""
        weights, biases = parameters
        slots = (self._tiled(weights) @ prepared.columns).reshape(4, len(biases), -1)
        cells = np.empty(slots.shape[1:], slots.dtype)
        winners = np.empty(cells.shape, np.uint8)
        kernel.pool(slots, np.ascontiguousarray(biases), cells, winners)
        shape = (-1, *prepared.counts, prepared.count)
        return cells.reshape(shape), PooledMemory(prepared, winners.reshape(shape))

    def backward(self, parameters, memory, delta):
        """Return ``W^T delta`` of the maximal outputs, summed over windows that share a pixel."""
        image_deltas = self._image_deltas(memory, delta)
        return _over_blocks(lambda own: image_deltas(parameters[0], own), delta)

    def gradient(self, memory, delta):
        """Return the deltas of the maximal outputs times their windows, and the sums of delta."""
        weights = self._weight_gradients(memory, delta)[..., 0, :, :, :, :]
        return weights, delta.sum(axis=(-3, -2, -1))

    def per_example_gradients(self, memory, delta):
        """Return the gradients of the single examples, flat: (..., n, P)."""
        weights = self._weight_gradients(memory, delta, memory.prepared.count)
        biases = np.moveaxis(delta.sum(axis=(-3, -2)), -1, -2)
        return np.concatenate([weights.reshape(*biases.shape[:-1], -1), biases], axis=-1)

    def tangent(self, parameters, memory, directions, inputs_tangent):
        """Return the tangents of the largest outputs; the trace is the tangent of the inputs."""
        prepared = memory.prepared
        slots = self._tiled(directions[0]) @ prepared.columns
        if inputs_tangent is not None:
            slots += self._tiled(parameters[0]) @ self._columns(inputs_tangent, prepared.counts)
        num_outputs = directions[1].shape[-1]
        slots = slots.reshape(len(slots), 4, num_outputs, -1)
        cells = np.empty((len(slots), *slots.shape[2:]), slots.dtype)
        winners = memory.winners.reshape(cells.shape[1:])
        for own, tangents in zip(slots, cells, strict=True):
            kernel.pick(own, winners, tangents)
        cells += directions[1][..., None]
        return cells.reshape(len(cells), *memory.winners.shape), inputs_tangent

    def second_order(self, parameters, memory, directions, trace, delta):  # noqa: ARG002
        """Return ``V^T delta`` at the inputs, ``delta windows(x')^T`` in the weights."""
        image_deltas = self._image_deltas(memory, delta)
        inputs = _over_blocks(lambda weights: image_deltas(weights, delta), directions[0])
        if trace is None:
            return inputs, None
        passes = self._passes_back(memory, delta)
        delta = np.ascontiguousarray(delta)

        def of_block(images):
            passes.load(images=images)
            return passes.weight_gradients(delta)[0].copy()

        return inputs, (_over_blocks(of_block, trace), None)

    def unit_deltas(self, memory, delta):
        """Return deltas at the convolution's outputs (O, down, across, n), 0 if not maximal."""
        prepared = memory.prepared
        shape = self.convolution.output_shape(prepared.shape)
        result = np.zeros((*shape, prepared.count), delta.dtype)
        stops = 2 * prepared.counts[0], 2 * prepared.counts[1]
        for slot, (row, column) in enumerate(_SLOTS):
            survived = delta * (memory.winners == slot)
            result[:, row : stops[0] : 2, column : stops[1] : 2] = survived
        return result

    def start_route(self, memory):
        """Return the number of the maximal output unit of each cell, (O, down, across, n)."""
        prepared = memory.prepared
        height, width = self.convolution.output_shape(prepared.shape)[1:]
        num_outputs = len(memory.winners)
        corner = 2 * np.arange(prepared.counts[0])[:, None] * width
        corner = corner + 2 * np.arange(prepared.counts[1])
        offsets = np.array([row * width + column for row, column in _SLOTS])
        first = np.arange(num_outputs)[:, None, None] * (height * width) + corner
        return first[..., None] + offsets[memory.winners]

    def unit_patches(self, memory, index):
        """Return the windows of output units; see :meth:`Convolution.unit_patches`."""
        return self.convolution.unit_patches(
            self.convolution.prepare(memory.prepared.inputs), index
        )

    def input_rows(self, parameters, input_shape):
        """Return the map of the convolution in its inputs as a matrix (units out, units in)."""
        return self.convolution.input_rows(parameters, input_shape)

    def forward_multiplications(self, input_shape):
        """Return one multiplication for every pixel of a tile, every slot and every cell."""
        cells = self.output_shape(input_shape)
        return 4 * math.prod(cells) * input_shape[0] * math.prod(self._tile)

    def memory_entries(self, input_shape):
        """Return the numbers kept of one example: tiles, slots and cells."""
        cells = self.output_shape(input_shape)
        return math.prod(cells[1:]) * input_shape[0] * math.prod(self._tile) + 5 * math.prod(cells)


class PooledMemory(NamedTuple):
    """Tiles with the inputs, and the slot of the maximum of each cell, (O, down, across, n)."""

    prepared: windows.Windows
    winners: np.ndarray


def _over_blocks(function, arrays):
    """Return `function` of every array of 4 axes in a block (..., 4 axes), stacked likewise."""
    blocks = arrays.reshape(-1, *arrays.shape[-4:])
    results = np.stack([function(own) for own in blocks])
    return results.reshape(*arrays.shape[:-4], *results.shape[1:])
