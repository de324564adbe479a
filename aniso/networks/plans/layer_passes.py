"""Passes of one layer for n examples, in memory that is made once."""

import math

import numpy as np
from array_api_compat import array_namespace

from aniso.networks.layers.activation import RULES
from aniso.networks.matrix_products import BoundProduct
from aniso.networks.plans import image_kernels

# numbers that are treated, and multiplications that are made, with the interpreter's lock: in less
# time than its return may take
_FEW, _FEW_MULTIPLICATIONS = 2**14, 2**20


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
    is_idle : bool
        Whether the passes do nothing.
    """

    is_idle = False

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

    def load(self, examples, kept):
        """Read examples, for the first layer.

        Parameters
        ----------
        examples : ndarray, shape (n, \\*input_shape)
            In the precision in which they are given.
        kept : object or None
            The same as the layer prepares it, if that is kept.
        """
        if kept is None:
            examples = np.moveaxis(examples.astype(self.outputs.dtype), 0, -1)
            kept = self.layer.prepare(np.ascontiguousarray(examples))
        self.prepared = kept

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

    def take_slopes(self, slopes):  # noqa: ARG002
        """Return whether the layer itself rectifies its outputs, and writes flat slopes."""
        return False

    def release(self):
        """Forget arrays of the last call that are not the plan's own."""
        self.prepared = self.memory = None


class ActivationPasses(LayerPasses):
    """An activation, in the memory of the layer below.

    The layer below may rectify its outputs and multiply its deltas by the slopes itself.
    """

    def make_arrays(self, shape, dtype, arena):
        """Share outputs and deltas with the layer below."""
        self.outputs, self.deltas = self.below.outputs, self.below.deltas
        self._slopes = arena.empty(shape, dtype)
        self._flat = tuple(a.reshape(-1) for a in (self.outputs, self.deltas, self._slopes))
        self._rectifies = self.layer.name == "relu" and image_kernels.COMPILED
        self.is_idle = self._rectifies and self.below.take_slopes(self._flat[2])
        few = math.prod(shape) < _FEW
        self._rectify = image_kernels.rectify_few if few else image_kernels.rectify
        self._multiply = image_kernels.multiply_few if few else image_kernels.multiply

    def forward(self, parameters):  # noqa: ARG002
        """Replace z by ``rho(z)``, and keep ``rho'(z)``."""
        z, slopes = self.outputs, self._slopes
        if self._rectifies:
            self._rectify(self._flat[0], self._flat[2])
            return
        rule, xp = RULES[self.layer.name], array_namespace(z)
        slopes[...] = rule.slope(z, xp)
        z[...] = rule.value(z, xp)

    def backward(self, parameters, results, needs_inputs):  # noqa: ARG002
        """Multiply the deltas by the slopes."""
        if needs_inputs:
            self._multiply(self._flat[1], self._flat[2])


class FlattenPasses(LayerPasses):
    """A flattening: the memory of the layer below in another shape."""

    is_idle = True

    def make_arrays(self, shape, dtype, arena):  # noqa: ARG002
        """Share outputs and deltas with the layer below."""
        self.outputs, self.deltas = (
            self.below.outputs.reshape(shape),
            self.below.deltas.reshape(shape),
        )


class DensePasses(LayerPasses):
    """A dense layer: bound products, whose weights lie in theta and in the result."""

    def __init__(self, layer, shape, count, dtype, below, weights, arena):
        super().__init__(layer, shape, count, dtype, below, weights, arena)
        weights = np.empty((layer.num_outputs, *shape), dtype)  # of these strides
        lock = {"releases": weights.size * count > _FEW_MULTIPLICATIONS}
        self._forward = BoundProduct(self.outputs, weights, self.inputs, **lock)
        self._backward = BoundProduct(below.deltas, weights.T, self.deltas, **lock)
        self._gradient = BoundProduct(weights, self.deltas, self.inputs.T, **lock)

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
