"""3x3 convolution by Winograd's minimal filtering.

With d a 4x4 tile of an image, g a 3x3 kernel and Y the 2x2 outputs of the tile,

    Y = A^T [ (G g G^T) * (B^T d B) ] A,

where * multiplies entry by entry, and the bracket is summed over the input channels. Four outputs
take 16 multiplications instead of 36. Over all tiles these are sixteen matrix products, and 4
numbers a pixel are copied instead of 9. The formula is linear in g and in d, so that all rules of
the layer follow from it.

The entries of B, G and A are 0, 1, -1 and 1/2. The result differs from the plain
convolution by a few units in the last place. NumPy only;
:func:`aniso.networks.fast.choice.fused` uses the layer where it is faster.

Source: Lavin & Gray, arXiv:1509.09308.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from aniso.networks.fast import winograd_transforms as transforms
from aniso.networks.fast.convolution_form import ConvolutionForm
from aniso.networks.layers import windows
from aniso.networks.layers.convolution import Convolution


class Tiles(NamedTuple):
    """``B^T d B`` of all tiles, (16, channels, tiles * n), with shapes and inputs."""

    shape: tuple
    counts: tuple
    tiles: object
    inputs: object

    @property
    def count(self):
        """Number of examples n."""
        return self.inputs.shape[-1]

    @property
    def num_tiles(self):
        """Tiles down and across."""
        return tuple(-(-length // 2) for length in self.counts)


class Memory(NamedTuple):
    """Tiles of the inputs and the transformed kernels ``G g G^T``, (16, out, in)."""

    prepared: Tiles
    kernels: object


@dataclass(frozen=True)
class WinogradConvolution(ConvolutionForm):
    """The same map as a convolution, by Winograd's filtering.

    Parameters
    ----------
    convolution : Convolution
        With a 3x3 kernel and stride 1.

    Examples
    --------
    >>> layer = WinogradConvolution(Convolution(1, 3))
    >>> parameters = np.ones((1, 1, 3, 3)), np.array([0.5])
    >>> images = np.ones((1, 3, 3, 1))
    >>> layer.forward(parameters, layer.prepare(images))[0].ravel()
    array([9.5])
    """

    @classmethod
    def examples(cls):
        """Return cases of the tests: even and odd outputs, with and without padding."""
        return [
            (cls(Convolution(2, 3)), (1, 4, 6)),
            (cls(Convolution(3, 3, padding=1)), (2, 3, 4)),
            (cls(Convolution(2, 3, padding=(1, 0))), (2, 5, 5)),
        ]

    def prepare(self, inputs):
        """Return the transformed tiles of the inputs."""
        shape = inputs.shape[:-1]
        counts = self.output_shape(shape)[1:]
        return Tiles(shape, counts, self._tiles(inputs, counts), inputs)

    def _tiles(self, images, counts):
        images = windows.padded(images, self.convolution.padding)
        *lead, channels, height, width, count = images.shape
        down, across = (-(-length // 2) for length in counts)
        if (height, width) != (2 * down + 2, 2 * across + 2):  # odd outputs: one more row, column
            larger = np.zeros((*lead, channels, 2 * down + 2, 2 * across + 2, count), images.dtype)
            larger[..., :height, :width, :] = images
            images = larger
        rows = [images[..., a : a + 2 * down - 1 : 2, :, :] for a in range(4)]
        tiles = np.empty((*lead, 4, 4, channels, down, across, count), images.dtype)
        part = np.empty((*lead, channels, down, 2 * across + 2, count), images.dtype)
        for number, combine in enumerate(transforms.INPUT_ROWS):
            combine(rows, part)
            columns = [part[..., b : b + 2 * across - 1 : 2, :] for b in range(4)]
            for other, combine_columns in enumerate(transforms.INPUT_ROWS):
                combine_columns(columns, tiles[..., number, other, :, :, :, :])
        return tiles.reshape(*lead, 16, channels, -1)

    def _images(self, tiles, prepared):
        # transpose of _tiles
        (down, across), count = prepared.num_tiles, prepared.count
        *lead, _, channels, _ = tiles.shape
        tiles = tiles.reshape(*lead, 4, 4, channels, down, across, count)
        images = np.zeros((*lead, channels, 2 * down + 2, 2 * across + 2, count), tiles.dtype)
        for row, entries in enumerate(
            transforms.transposed([tiles[..., a, :, :, :, :, :] for a in range(4)])
        ):
            split = transforms.transposed([entries[..., b, :, :, :, :] for b in range(4)])
            target = images[..., row : row + 2 * down - 1 : 2, :, :]
            for column, part in enumerate(split):
                target[..., column : column + 2 * across - 1 : 2, :] += part
        pad = self.convolution.padding
        height, width = (n + 2 * p for n, p in zip(prepared.shape[1:], pad, strict=True))
        return windows.unpadded(images[..., :height, :width, :], pad)

    def _outputs(self, products, prepared):
        # A^T M A: (..., 16, channels, tiles * n) -> (..., channels, down, across, n)
        (down, across), count = prepared.num_tiles, prepared.count
        *lead, _, channels, _ = products.shape
        products = products.reshape(*lead, 4, 4, channels, down, across, count)
        outputs = np.empty((*lead, channels, down, 2, across, 2, count), products.dtype)
        halves = transforms.halved([products[..., a, :, :, :, :, :] for a in range(4)])
        for row, half in enumerate(halves):
            quarters = transforms.halved([half[..., b, :, :, :, :] for b in range(4)])
            for column, quarter in enumerate(quarters):
                outputs[..., row, :, column, :] = quarter
        outputs = outputs.reshape(*lead, channels, 2 * down, 2 * across, count)
        if prepared.counts == (2 * down, 2 * across):
            return outputs
        height, width = prepared.counts
        return np.ascontiguousarray(outputs[..., :height, :width, :])

    def _deltas(self, delta, prepared):
        # A Y A^T, transpose of _outputs
        (down, across), count = prepared.num_tiles, prepared.count
        *lead, channels, height, width, _ = delta.shape
        if (height, width) != (2 * down, 2 * across):
            larger = np.zeros((*lead, channels, 2 * down, 2 * across, count), delta.dtype)
            larger[..., :height, :width, :] = delta
            delta = larger
        split = delta.reshape(*lead, channels, down, 2, across, 2, count)
        tiles = np.empty((*lead, 4, 4, channels, down, across, count), delta.dtype)
        part = np.empty((*lead, channels, down, across, 2, count), delta.dtype)
        for number, combine in enumerate(transforms.OUTPUT_ROWS):
            combine(split[..., 0, :, :, :], split[..., 1, :, :, :], part)
            for other, combine_columns in enumerate(transforms.OUTPUT_ROWS):
                combine_columns(
                    part[..., 0, :], part[..., 1, :], tiles[..., number, other, :, :, :, :]
                )
        return tiles.reshape(*lead, 16, channels, -1)

    def forward(self, parameters, prepared):
        """Return ``A^T (U V) A + b``; the memory is the tiles V and the kernels U."""
        weights, biases = parameters
        kernels = transforms.kernels_of(weights)
        outputs = self._outputs(kernels @ prepared.tiles, prepared)
        outputs += biases[:, None, None, None]
        return outputs, Memory(prepared, kernels)

    def backward(self, parameters, memory, delta):  # noqa: ARG002
        """Return ``B (U^T A delta A^T) B^T``."""
        tiles = self._deltas(delta, memory.prepared)
        return self._images(np.swapaxes(memory.kernels, 1, 2) @ tiles, memory.prepared)

    def gradient(self, memory, delta):
        """Return ``G^T (A delta A^T V^T) G`` and the sums of delta."""
        return self._gradient(memory, delta, self._deltas(delta, memory.prepared))

    def _gradient(self, memory, delta, tiles):
        kernels = tiles @ np.swapaxes(memory.prepared.tiles, 1, 2)
        return transforms.weights_of(kernels), delta.sum(axis=(-3, -2, -1))

    def backward_and_gradient(self, parameters, memory, delta, needs_inputs):  # noqa: ARG002
        """Return both, from the same transformed deltas."""
        tiles = self._deltas(delta, memory.prepared)
        gradient, inputs = self._gradient(memory, delta, tiles), None
        if needs_inputs:
            inputs = self._images(np.swapaxes(memory.kernels, 1, 2) @ tiles, memory.prepared)
        return inputs, gradient

    def tangent(self, parameters, memory, directions, inputs_tangent):  # noqa: ARG002
        """Return ``A^T (U' V + U V') A + v``; the trace is V'."""
        products, trace = transforms.kernels_of(directions[0]) @ memory.prepared.tiles, None
        if inputs_tangent is not None:
            trace = self._tiles(inputs_tangent, memory.prepared.counts)
            products += memory.kernels @ trace
        outputs = self._outputs(products, memory.prepared)
        outputs += directions[1][..., None, None, None]
        return outputs, trace

    def second_order(self, parameters, memory, directions, trace, delta):  # noqa: ARG002
        """Return ``B (U'^T A delta A^T) B^T`` and, in weights, ``G^T (A delta A^T V'^T) G``."""
        tiles = self._deltas(delta, memory.prepared)
        kernels = transforms.kernels_of(directions[0])
        inputs = self._images(np.swapaxes(kernels, -1, -2) @ tiles, memory.prepared)
        if trace is None:
            return inputs, None
        return inputs, (transforms.weights_of(tiles @ np.swapaxes(trace, -1, -2)), None)

    def inputs_of(self, memory):
        """Return the inputs (C, H, W, n) of a forward pass."""
        return memory.prepared.inputs

    def forward_multiplications(self, input_shape):
        """Return sixteen multiplications for every four outputs."""
        channels, *counts = self.output_shape(input_shape)
        num_tiles = -(-counts[0] // 2) * (-(-counts[1] // 2))
        return 16 * num_tiles * channels * input_shape[0]

    def memory_entries(self, input_shape):
        """Return the numbers kept of one example: tiles, their products and outputs."""
        channels, *counts = self.output_shape(input_shape)
        num_tiles = -(-counts[0] // 2) * (-(-counts[1] // 2))
        return num_tiles * (16 * input_shape[0] + 20 * channels)
