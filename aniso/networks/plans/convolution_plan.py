"""Passes of a plain convolution, in memory that is made once."""

import numpy as np

from aniso.networks.matrix_products import BoundProduct
from aniso.networks.plans import image_kernels
from aniso.networks.plans.layer_passes import LayerPasses


class ConvolutionPasses(LayerPasses):
    """A convolution: products with the columns of its windows."""

    def __init__(self, layer, shape, count, dtype, below, weights, arena):
        super().__init__(layer, shape, count, dtype, below, weights, arena)
        (down, across), (channels, height, width) = layer.padding, shape
        num_outputs, *counts = self.outputs.shape[:-1]
        self._windows = arena.empty((channels, *layer.kernel, *counts, count), dtype)
        self._images = None
        if below is None or layer.padding != (0, 0):
            padded = channels, height + 2 * down, width + 2 * across, count
            make = np.zeros if any(layer.padding) else arena.scratch
            self._images = make(padded, dtype)
            self._inner = self._images[:, down : down + height, across : across + width]
        columns = self._windows.reshape(-1, counts[0] * counts[1] * count)
        outputs, deltas = (a.reshape(num_outputs, -1) for a in (self.outputs, self.deltas))
        self._flat_outputs, self._flat_deltas = outputs, deltas
        matrix = np.empty((num_outputs, len(columns)), dtype)  # of the weights' strides
        self._forward = BoundProduct(outputs, matrix, columns)
        self._gradient = BoundProduct(matrix, deltas, columns.T)
        # deltas of the windows, which are not needed any more
        self._backward = BoundProduct(columns, matrix.T, deltas)
        self._address = columns.ctypes.data
        self._moved = None if below is None else self._images
        if below is not None and self._moved is not None:
            self._moved = arena.scratch(self._images.shape, dtype)

    def load(self, examples, kept):
        """Read examples."""
        if kept is None:
            np.copyto(self._inner, np.moveaxis(examples, 0, -1), casting="unsafe")
            image_kernels.copy_windows(self._images, *self.layer.stride, self._windows)
        address = self._address if kept is None else kept.columns.ctypes.data
        self._forward.right.value = self._gradient.right.value = address

    def forward(self, parameters):
        """Compute ``W columns + b``."""
        weights, biases = parameters
        if self.below:
            images = self.inputs
            if self._images is not None:
                np.copyto(self._inner, images)
                images = self._images
            image_kernels.copy_windows(images, *self.layer.stride, self._windows)
        self._forward.left.value = self._backward.left.value = weights.ctypes.data
        self._forward()
        np.add(self._flat_outputs, biases[:, None], out=self._flat_outputs)

    def backward(self, parameters, results, needs_inputs):  # noqa: ARG002
        """Compute ``delta columns^T``, the sums of delta, and ``W^T delta`` at the pixels."""
        weights, biases = results
        self._gradient.result.value = weights.ctypes.data
        self._gradient()
        np.add.reduce(self._flat_deltas, axis=1, out=biases)
        if not needs_inputs:
            return
        self._backward()
        images = self.below.deltas if self._moved is None else self._moved
        image_kernels.add_windows(self._windows, *self.layer.stride, images)
        if self._moved is not None:
            (down, across), (_, height, width, _) = self.layer.padding, self.below.deltas.shape
            inner = images[:, down : down + height, across : across + width]
            np.copyto(self.below.deltas, inner)
