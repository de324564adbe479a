"""The contract of a layer: four rules on blocks of tangents, batch axis last.

A layer maps inputs (\\*input_shape, n) to outputs (\\*output_shape, n); the last axis runs over
the n examples of a chunk, so that every copy and every elementwise pass has a contiguous inner
axis and a dense layer is a plain matrix product. A block of K tangents adds a leading axis:
(K, \\*shape, n). Rules are written against the array API standard: they run in the library and on
the device of the arrays that they are given.

===============  ==================================================================================
rule             what it computes
===============  ==================================================================================
``forward``      outputs, and a memory of what the other rules need
``backward``     the transpose of the derivative in the inputs, applied to deltas
                 (..., \\*output_shape, n); ``gradient`` is the same in the parameters, summed over
                 the examples, ``per_example_gradients`` before that sum
``tangent``      the derivative in parameters and inputs together, applied to K directions, and a
                 trace of what the second-order rule needs
``second_order`` the derivative of ``backward`` and ``gradient`` at a fixed delta along K directions
===============  ==================================================================================

With ``delta`` the gradient of the loss at the outputs and ``delta'`` its tangent, the tangent of
the gradient is ``gradient(delta') + second_order(delta)``: the first term alone is the generalised
Gauss-Newton product, both together are the Hessian product.

Examples do not interact: the outputs of one depend on no other example's inputs, whatever chunk
it is in. Batch normalisation is a layer only with fixed statistics.

Adding a layer is one file with one subclass of :class:`Layer`; the tests find it by itself, take
the cases of its ``examples()`` and compare all rules with autograd's derivatives of ``plain``.
"""

import math

from array_api_compat import array_namespace

from aniso.arrays import functions


class Layer:
    """Defaults of a layer without parameters; the module's docstring states the contract."""

    #: whether outputs are, between kinks, linear in the parameters and linear in the inputs
    piecewise_linear = True
    #: whether outputs are linear in all of the layer's parameters together
    linear_in_parameters = True
    #: whether every output is one of the inputs times a slope, which ``route`` tells
    routed = False

    @classmethod
    def examples(cls):
        """Small cases for the tests: a list of (layer, input_shape)."""
        raise NotImplementedError(f"{cls.__name__}.examples")

    def output_shape(self, input_shape):
        """Shape of one example's outputs; InputError where the inputs don't fit."""
        return input_shape

    def parameter_shapes(self, input_shape):  # noqa: ARG002
        """Shapes of the parameter arrays, weights before biases."""
        return ()

    def leaves(self, input_shape):
        """Layers that own the parameters, in their order: pairs (layer, parameter shapes)."""
        return [(self, self.parameter_shapes(input_shape))]

    def plain(self, parameters, inputs):
        """The map in its plainest form, for autograd: examples first, (n, \\*input_shape)."""
        raise NotImplementedError(f"{type(self).__name__}.plain")

    def prepare(self, inputs):
        """Whatever ``forward`` reads of the inputs and does not depend on the parameters."""
        return inputs

    def forward(self, parameters, prepared):
        """Outputs (\\*output_shape, n) and the memory of the other rules."""
        raise NotImplementedError(f"{type(self).__name__}.forward")

    def backward(self, parameters, memory, delta):
        """Deltas at the inputs (..., \\*input_shape, n) from those at the outputs."""
        raise NotImplementedError(f"{type(self).__name__}.backward")

    def gradient(self, memory, delta):  # noqa: ARG002
        """Parameter gradients summed over examples, a tuple of (..., \\*parameter_shape)."""
        return ()

    def backward_and_gradient(self, parameters, memory, delta, needs_inputs):
        """Both at once, the deltas None unless needed; a layer may share work here."""
        inputs = self.backward(parameters, memory, delta) if needs_inputs else None
        return inputs, self.gradient(memory, delta)

    def per_example_gradients(self, memory, delta):
        """Parameter gradients of each example, flat: (..., n, P)."""
        raise NotImplementedError(f"{type(self).__name__}.per_example_gradients")

    def tangent(self, parameters, memory, directions, inputs_tangent):
        """Tangents of the outputs (K, \\*output_shape, n) and a trace for ``second_order``.

        `directions` is a tuple like the parameters with a leading axis K; `inputs_tangent` is
        (K, \\*input_shape, n), or None for the first layer, whose inputs are data.
        """
        raise NotImplementedError(f"{type(self).__name__}.tangent")

    def second_order(self, parameters, memory, directions, trace, delta):  # noqa: ARG002
        """Second-order parts: (deltas at the inputs or None, parameter gradients or None)."""
        return None, None

    def second_order_form(self, parameters, memory, directions, inputs_tangent, delta):
        """What the layer adds to ``v^T H v`` beyond Gauss-Newton: (K,), or None.

        ``2 <delta, V a'>`` of a layer linear in its parameters, ``<delta rho'', z'^2>`` of an
        activation; `inputs_tangent` is None where the inputs are data.
        """
        if inputs_tangent is None:
            return None
        trace = None if parameters else inputs_tangent
        more, _ = self.second_order(parameters, memory, directions, trace, delta)
        if more is None:
            return None
        return (2 if parameters else 1) * functions.inner_products(
            *(functions.reshape(part, (part.shape[0], -1)) for part in (more, inputs_tangent))
        )

    def curved_entries(self, parameters, memory, delta):  # noqa: ARG002
        r"""Entries z with a second derivative of their own: pairs (weights, pull back).

        Returns
        -------
        list of (array, callable)
            ``rho''(z) delta``, (\*shape, n), and a function of unit deltas at z
            (U, \*shape, n) and weights (U, n). It returns the weighted sums over examples of
            squared gradients of the layer's own parameters below z, (U, P) or None, and the
            deltas at the layer's inputs (U, \*input_shape, n).
        """
        return []

    def write_per_example_gradients(self, memory, delta, out):
        """Parameter gradients of each example for one delta, written into `out` (n, P)."""
        out[...] = self.per_example_gradients(memory, delta)

    # ---- per-example quantities; a layer overrides them where factors make them cheap

    def gradient_square_norms(self, memory, delta):
        """Squared norms of the per-example parameter gradients, (..., n)."""
        xp = array_namespace(delta)
        rows = self.per_example_gradients(memory, delta)
        return xp.sum(rows * rows, axis=-1)

    def gradient_squares(self, memory, delta, weights):
        """Weighted sums over examples of squared parameter gradients, (..., P).

        `weights` (..., n) may have either sign.
        """
        xp = array_namespace(delta)
        rows = self.per_example_gradients(memory, delta)
        return xp.sum(weights[..., None] * rows * rows, axis=-2)

    # ---- counts behind ``cost``

    def forward_multiplications(self, input_shape):  # noqa: ARG002
        """Multiplications of one forward pass of one example (0 where passes are elementwise)."""
        return 0

    def memory_entries(self, input_shape):
        """Numbers that one example's forward pass keeps, about."""
        return 2 * math.prod(self.output_shape(input_shape))
