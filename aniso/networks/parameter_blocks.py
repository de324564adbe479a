"""Parts of flat parameters by layer and by output unit, weights and bias of a unit together."""

import math
from typing import NamedTuple

import numpy as np


class ParameterBlock(NamedTuple):
    """Part of theta with the parameters of one layer: W (units, inputs), then b (units,).

    Attributes
    ----------
    position : int
        Position of the layer in the stack.
    start : int
        Index of the first weight in theta.
    num_units : int
        Output channels or units.
    num_inputs : int
        Weights of a unit.
    """

    position: int
    start: int
    num_units: int
    num_inputs: int

    @property
    def biases(self):
        """Slice of the biases in theta."""
        first = self.start + self.num_units * self.num_inputs
        return slice(first, first + self.num_units)

    @property
    def weights(self):
        """Slice of the weights in theta."""
        return slice(self.start, self.start + self.num_units * self.num_inputs)

    @property
    def whole(self):
        """Slice of both."""
        return slice(self.start, self.biases.stop)

    @property
    def size(self):
        """Number of parameters."""
        return self.num_units * (self.num_inputs + 1)

    def unit(self, number):
        """Return the slice of one unit's weights, and the index of its bias."""
        first = self.start + number * self.num_inputs
        return slice(first, first + self.num_inputs), self.biases.start + number

    def gather(self, vectors):
        """Return this block of flat vectors (D, K), shape (units, inputs + 1, K)."""
        joined = np.empty((self.num_units, self.num_inputs + 1, vectors.shape[1]), vectors.dtype)
        joined[:, :-1] = vectors[self.weights].reshape(self.num_units, self.num_inputs, -1)
        joined[:, -1] = vectors[self.biases]
        return joined

    def inputs_first(self, vectors):
        """Return this block of flat vectors (D, K) as one matrix, shape (inputs + 1, units * K)."""
        joined = self.gather(vectors)
        units, inputs, columns = joined.shape
        return np.ascontiguousarray(joined.transpose(1, 0, 2)).reshape(inputs, units * columns)

    def scatter(self, joined, vectors):
        """Add an array (units, inputs + 1, K) to this block of flat vectors (D, K)."""
        weights = vectors[self.weights].reshape(self.num_units, self.num_inputs, -1)
        weights += joined[:, :-1]
        vectors[self.biases] += joined[:, -1]


def blocks_of(stack):
    """Return one block for every layer with parameters, in the order of theta."""
    blocks = []
    for position in stack.parameterised:
        part = stack.parameter_slices[position]
        if stack.layers[position].linear_in_parameters:
            weights, _ = stack.parameter_shapes[position]
            units, inputs = weights[0], math.prod(weights[1:])
        else:
            # a layer made of layers: only `whole` has a meaning
            units, inputs = 1, part.stop - part.start - 1
        blocks.append(ParameterBlock(position, part.start, units, inputs))
    return tuple(blocks)
