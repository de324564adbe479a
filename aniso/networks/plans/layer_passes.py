"""Passes of one layer for n examples, in memory that is made once."""

import numpy as np
from array_api_compat import array_namespace

from aniso.networks.layers.activation import RULES
from aniso.networks.matrix_products import BoundProduct
from aniso.networks.plans import image_kernels


class LayerPasses:
    """Passes by the layer's own rules, which take memory in every call; for any layer.

    Subclasses know one kind of layer and take no memory in a call. They compute the same bits.

    Parameters
    ----------
    layer : Layer
        The layer.
    shape : tuple of int
        Shape of one example's inputs.
    count : int
        n.
    dtype : numpy.dtype
        Precision.
    below : LayerPasses or None
        Passes of the layer below; None for the first layer.
    weights : object or None
        What all threads read, made of the layer's parameters once a call.
    arena : Arena
        Where the arrays are placed.

    Attributes
    ----------
    outputs, deltas : ndarray, shape (\\*output_shape, n)
        Outputs, and the gradients of the loss in them, which the layer above writes.
    """

    @classmethod
    def weights_of(cls, layer, shape, dtype):  # noqa: ARG003
        """Return what is made of the parameters once a call; None if nothing is."""
        return None

    def __init__(self, layer, shape, count, dtype, below, weights, arena):
        self.layer, self.below, self.weights, self.prepared = layer, below, weights, None
        self.make_arrays((*layer.output_shape(shape), count), dtype, arena)

    def make_arrays(self, shape, dtype, arena):
        """Make the memory of outputs and deltas."""
        self.outputs, self.deltas = arena.empty(shape, dtype), arena.empty(shape, dtype)

    @property
    def inputs(self):
        """Outputs of the layer below."""
        return self.below.outputs

    def load(self, data, rows, kept):
        """Read examples, for the first layer.

        Parameters
        ----------
        data : ChunkedData
            The data.
        rows : slice
            Numbers of the examples.
        kept : object or None
            The same as the layer prepares it, if the data keep it.
        """
        self.prepared = data.prepared_rows(rows) if kept is None else kept

    def forward(self, parameters):
        """Compute the outputs."""
        prepared = self.layer.prepare(self.inputs) if self.below else self.prepared
        outputs, self.memory = self.layer.forward(parameters, prepared)
        np.copyto(self.outputs, outputs)

    def backward(self, parameters, results, needs_inputs):
        """Write the gradients of the parameters to `results`, and the deltas of the layer below.

        Parameters
        ----------
        parameters, results : tuple of ndarray
            Parameters of the layer, and memory for their gradients.
        needs_inputs : bool
            Whether the layer below needs its deltas.
        """
        inputs, gradients = self.layer.backward_and_gradient(
            parameters, self.memory, self.deltas, needs_inputs
        )
        for result, gradient in zip(results, gradients, strict=True):
            np.copyto(result, gradient)
        if needs_inputs:
            np.copyto(self.below.deltas, inputs)

    def release(self):
        """Forget arrays of the last call that are not the plan's own."""
        self.prepared = self.memory = None


class ActivationPasses(LayerPasses):
    """An activation, in the memory of the layer below."""

    def make_arrays(self, shape, dtype, arena):
        """Share outputs and deltas with the layer below."""
        self.outputs, self.deltas = self.below.outputs, self.below.deltas
        self._slopes = arena.empty(shape, dtype)

    def forward(self, parameters):  # noqa: ARG002
        """Replace z by ``rho(z)``, and keep ``rho'(z)``."""
        z, slopes = self.outputs, self._slopes
        if self.layer.name == "relu" and image_kernels.COMPILED:
            image_kernels.rectify(z.reshape(-1), slopes.reshape(-1))
            return
        rule, xp = RULES[self.layer.name], array_namespace(z)
        slopes[...] = rule.slope(z, xp)
        z[...] = rule.value(z, xp)

    def backward(self, parameters, results, needs_inputs):  # noqa: ARG002
        """Multiply the deltas by the slopes."""
        if needs_inputs:
            np.multiply(self.deltas, self._slopes, out=self.deltas)


class FlattenPasses(LayerPasses):
    """A flattening: the memory of the layer below in another shape."""

    def make_arrays(self, shape, dtype, arena):  # noqa: ARG002
        """Share outputs and deltas with the layer below."""
        self.outputs, self.deltas = (
            self.below.outputs.reshape(shape),
            self.below.deltas.reshape(shape),
        )

    def forward(self, parameters):
        """Do nothing."""

    def backward(self, parameters, results, needs_inputs):
        """Do nothing."""


class DensePasses(LayerPasses):
    """A dense layer: bound products, whose weights lie in theta and in the result."""

    def __init__(self, layer, shape, count, dtype, below, weights, arena):
        super().__init__(layer, shape, count, dtype, below, weights, arena)
        weights = np.empty((layer.num_outputs, *shape), dtype)  # of these strides
        self._forward = BoundProduct(self.outputs, weights, self.inputs)
        self._backward = BoundProduct(below.deltas, weights.T, self.deltas)
        self._gradient = BoundProduct(weights, self.deltas, self.inputs.T)

    def forward(self, parameters):
        """Compute ``W a + b``."""
        weights, biases = parameters
        self._forward.left.value = self._backward.left.value = weights.ctypes.data
        self._forward()
        np.add(self.outputs, biases[:, None], out=self.outputs)

    def backward(self, parameters, results, needs_inputs):  # noqa: ARG002
        """Compute ``delta a^T``, the sums of delta, and ``W^T delta``."""
        weights, biases = results
        self._gradient.result.value = weights.ctypes.data
        self._gradient()
        np.add.reduce(self.deltas, axis=1, out=biases)
        if needs_inputs:
            self._backward()


class MaxPoolingPasses(LayerPasses):
    """A max pooling, compiled."""

    def make_arrays(self, shape, dtype, arena):
        """Make the memory of outputs, deltas and winners."""
        super().make_arrays(shape, dtype, arena)
        self._winners = arena.empty(shape, np.uint8)
        self._windows = self.layer.size, self.layer.stride

    def forward(self, parameters):  # noqa: ARG002
        """Compute the maxima."""
        image_kernels.max_pool(self.inputs, *self._windows, self.outputs, self._winners)

    def backward(self, parameters, results, needs_inputs):  # noqa: ARG002
        """Write the deltas to the largest entries."""
        if needs_inputs:
            image_kernels.max_pool_backward(
                self.deltas, self._winners, *self._windows, self.below.deltas
            )
