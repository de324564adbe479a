"""Passes of a convolution by Winograd's filtering, in memory that is made once."""

import numpy as np

from aniso.networks.fast import winograd_transforms as transforms
from aniso.networks.matrix_products import BoundProduct
from aniso.networks.plans import winograd_kernels
from aniso.networks.plans.layer_passes import LayerPasses


class TransformedKernels:
    """``G g G^T`` of all kernels, (16, O, I), made once a call."""

    def __init__(self, layer, shape, dtype):
        self.kernels = np.empty((16, layer.convolution.num_channels, shape[0]), dtype)
        self.biases = np.empty(layer.convolution.num_channels, dtype)

    def update(self, parameters):
        """Read the layer's parameters."""
        transforms.kernels_of(parameters[0], self.kernels)
        np.copyto(self.biases, parameters[1])


class WinogradPasses(LayerPasses):
    """A convolution by Winograd's filtering: sixteen products, compiled transforms."""

    weights_of = TransformedKernels

    def __init__(self, layer, shape, count, dtype, below, weights, arena):
        super().__init__(layer, shape, count, dtype, below, weights, arena)
        num_outputs, *counts = self.outputs.shape[:-1]
        num_inputs, (down, across) = shape[0], (-(-length // 2) for length in counts)
        self._padding = layer.convolution.padding
        self._tiles = arena.empty((4, 4, num_inputs, down, across, count), dtype)
        self._products = arena.scratch((4, 4, num_outputs, down, across, count), dtype)
        self._padded = np.zeros((2 * down + 2, 2 * across + 2, count), dtype)
        self._moved = arena.scratch(self._padded.shape, dtype)
        self._padded_deltas = np.zeros((2 * down, 2 * across, count), dtype)
        self._rows = arena.scratch((4, (2 * across + 2) * count), dtype)
        self._delta_rows = arena.scratch((4, 2 * across * count), dtype)
        self._halves = arena.scratch((2, 4, down * across * count), dtype)
        self._part = arena.scratch((count,), dtype)
        self._gradient = arena.scratch((16, num_outputs, num_inputs), dtype)
        tiles, products = (a.reshape(16, a.shape[2], -1) for a in (self._tiles, self._products))
        numbers, kernels = range(16), weights.kernels
        self._forward = [BoundProduct(products[i], kernels[i], tiles[i]) for i in numbers]
        self._gradients = [
            BoundProduct(self._gradient[i], products[i], tiles[i].T) for i in numbers
        ]
        # the tiles of the inputs are not needed any more
        self._backward = [BoundProduct(tiles[i], kernels[i].T, products[i]) for i in numbers]

    def forward(self, parameters):  # noqa: ARG002
        """Compute ``A^T (U V) A + b``."""
        winograd_kernels.write_tiles(
            self.inputs, self._padding, self._padded, self._rows, self._tiles
        )
        for product in self._forward:
            product()
        winograd_kernels.write_outputs(
            self._products, self.weights.biases, self._halves, self.outputs
        )

    def backward(self, parameters, results, needs_inputs):  # noqa: ARG002
        """Compute ``G^T (A delta A^T V^T) G``, sums of delta, and ``B (U^T A delta A^T) B^T``."""
        weights, biases = results
        winograd_kernels.write_deltas(
            self.deltas, self._padded_deltas, self._delta_rows, self._products
        )
        for product in self._gradients:
            product()
        transforms.write_weights(self._gradient, weights)
        np.add.reduce(self.deltas, axis=(1, 2, 3), out=biases)
        if needs_inputs:
            for product in self._backward:
                product()
            winograd_kernels.write_images(
                self._tiles, self._padding, self._halves[0], self._part, self._moved,
                self.below.deltas,
            )  # fmt: skip
