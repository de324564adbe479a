"""Convolution of small images, as one product with its Toeplitz matrix.

On images with no more pixels than a window, most windows reach beyond the image. A 3x3 kernel on
2x2 images multiplies 36 numbers a channel by its windows, 20 of them zeros of the padding; the
matrix of the map has 16 entries a channel, and acts on the images as they are, without copies. The
matrix has the weights at their places, and zeros.

:func:`aniso.networks.fast.choice.fused` uses the layer where it is faster.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from aniso.networks.fast import toeplitz_kernels as kernels
from aniso.networks.fast.convolution_form import ConvolutionForm
from aniso.networks.layers.convolution import Convolution


class Memory(NamedTuple):
    """Inputs (C, H, W, n), and the matrix (O P Q, C H W)."""

    inputs: object
    matrix: object


@dataclass(frozen=True)
class ToeplitzConvolution(ConvolutionForm):
    """The same map as a convolution, by its matrix on flat inputs.

    Parameters
    ----------
    convolution : Convolution
        The convolution.

    Examples
    --------
    >>> layer = ToeplitzConvolution(Convolution(1, 3, padding=1))
    >>> parameters = np.arange(9.0).reshape(1, 1, 3, 3), np.array([0.5])
    >>> images = np.ones((1, 1, 2, 1))
    >>> layer.forward(parameters, layer.prepare(images))[0].ravel()
    array([9.5, 7.5])
    """

    @classmethod
    def examples(cls):
        """Return cases of the tests: padding, strides, and an image of one pixel."""
        return [
            (cls(Convolution(2, 3, padding=1)), (3, 2, 2)),
            (cls(Convolution(3, (3, 2), stride=(2, 1), padding=(1, 0))), (2, 4, 3)),
            (cls(Convolution(2, 3, padding=1)), (2, 1, 1)),
        ]

    def matrices(self, weights, input_shape):
        """Return the matrices of weights (..., O, C, k, l), shape (..., O P Q, C H W)."""
        *lead, _, _, _, _ = weights.shape
        shape = *self.output_shape(input_shape), *input_shape
        result = np.empty((math.prod(lead), *shape), weights.dtype)
        flat = weights.reshape(-1, *weights.shape[-4:])
        for own, matrix in zip(flat, result, strict=True):
            kernels.write_matrix(own, self.convolution.stride, self.convolution.padding, matrix)
        return result.reshape(*lead, math.prod(shape[:3]), -1)

    def _weights(self, matrices, input_shape):
        # transpose of `matrices`
        *lead, _, _ = matrices.shape
        shape = *self.output_shape(input_shape), *input_shape
        result = np.empty((math.prod(lead), *self.parameter_shapes(input_shape)[0]), matrices.dtype)
        for matrix, own in zip(matrices.reshape(-1, *shape), result, strict=True):
            kernels.sum_of_places(matrix, self.convolution.stride, self.convolution.padding, own)
        return result.reshape(*lead, *result.shape[1:])

    def inputs_of(self, memory):
        """Return the inputs (C, H, W, n) of a forward pass."""
        return memory.inputs

    def forward(self, parameters, prepared):
        """Return ``T a + b``; the memory is the inputs and the matrix T."""
        weights, biases = parameters
        shape = prepared.shape[:-1]
        matrix = self.matrices(weights, shape)
        outputs = (matrix @ _flat(prepared)).reshape(*self.output_shape(shape), -1)
        outputs += biases[:, None, None, None]
        return outputs, Memory(prepared, matrix)

    def backward(self, parameters, memory, delta):  # noqa: ARG002
        """Return ``T^T delta``."""
        inputs = memory.matrix.T @ _flat(delta)
        return inputs.reshape(*delta.shape[:-4], *memory.inputs.shape)

    def gradient(self, memory, delta):
        """Return the sums of ``delta a^T`` over the places of each weight, and those of delta."""
        products = _flat(delta) @ _flat(memory.inputs).T
        return self._weights(products, memory.inputs.shape[:-1]), delta.sum(axis=(-3, -2, -1))

    def tangent(self, parameters, memory, directions, inputs_tangent):  # noqa: ARG002
        """Return ``T' a + T a' + v``; the trace is a', flat."""
        weights, biases = directions
        shape = memory.inputs.shape[:-1]
        outputs, trace = self.matrices(weights, shape) @ _flat(memory.inputs), None
        if inputs_tangent is not None:
            trace = _flat(inputs_tangent)
            outputs += memory.matrix @ trace
        outputs = outputs.reshape(len(biases), *self.output_shape(shape), -1)
        outputs += biases[..., None, None, None]
        return outputs, trace

    def second_order(self, parameters, memory, directions, trace, delta):  # noqa: ARG002
        """Return ``T'^T delta``, and in the weights the sums of ``delta a'^T``."""
        shape, flat = memory.inputs.shape[:-1], _flat(delta)
        inputs = np.swapaxes(self.matrices(directions[0], shape), -1, -2) @ flat
        inputs = inputs.reshape(len(inputs), *memory.inputs.shape)
        if trace is None:
            return inputs, None
        return inputs, (self._weights(flat @ np.swapaxes(trace, -1, -2), shape), None)

    def forward_multiplications(self, input_shape):
        """Return one multiplication for every entry of the matrix."""
        return math.prod(self.output_shape(input_shape)) * math.prod(input_shape)

    def memory_entries(self, input_shape):
        """Return the numbers of the convolution: quantities of single examples make its windows."""
        return self.convolution.memory_entries(input_shape)


def _flat(images):
    # (..., C, H, W, n) -> (..., C H W, n)
    return images.reshape(*images.shape[:-4], math.prod(images.shape[-4:-1]), images.shape[-1])
