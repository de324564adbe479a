"""Passes of a convolution by its Toeplitz matrix, in memory that is made once."""

import numpy as np

from aniso.networks.fast import toeplitz_kernels as kernels
from aniso.networks.matrix_products import BoundProduct
from aniso.networks.plans.layer_passes import LayerPasses


class ToeplitzMatrix:
    """The matrix (O P Q, C H W), made once a call."""

    def __init__(self, layer, shape, dtype):
        self._places = np.empty((*layer.output_shape(shape), *shape), dtype)
        self._geometry = layer.convolution.stride, layer.convolution.padding
        self.matrix = self._places.reshape(np.prod(self._places.shape[:3]), -1)
        self.biases = np.empty(layer.convolution.num_channels, dtype)

    def update(self, parameters):
        """Read the layer's parameters."""
        kernels.write_matrix(parameters[0], *self._geometry, self._places)
        np.copyto(self.biases, parameters[1])


class ToeplitzPasses(LayerPasses):
    """A convolution by its matrix: products with the images as they are."""

    weights_of = ToeplitzMatrix

    def __init__(self, layer, shape, count, dtype, below, weights, arena):
        super().__init__(layer, shape, count, dtype, below, weights, arena)
        matrix = weights.matrix
        self._geometry = layer.convolution.stride, layer.convolution.padding
        self._products = arena.scratch((*self.outputs.shape[:-1], *shape), dtype)
        outputs, deltas = (a.reshape(len(matrix), count) for a in (self.outputs, self.deltas))
        inputs, moved = (a.reshape(-1, count) for a in (below.outputs, below.deltas))
        self._forward = BoundProduct(outputs, matrix, inputs)
        self._backward = BoundProduct(moved, matrix.T, deltas)
        self._gradient = BoundProduct(self._products.reshape(matrix.shape), deltas, inputs.T)

    def forward(self, parameters):  # noqa: ARG002
        """Compute ``T a + b``."""
        self._forward()
        np.add(self.outputs, self.weights.biases[:, None, None, None], out=self.outputs)

    def backward(self, parameters, results, needs_inputs):  # noqa: ARG002
        """Compute the sums of ``delta a^T`` and of delta, and ``T^T delta``."""
        weights, biases = results
        self._gradient()
        kernels.sum_of_places(self._products, *self._geometry, weights)
        np.add.reduce(self.deltas, axis=(1, 2, 3), out=biases)
        if needs_inputs:
            self._backward()
