"""The base class of layers: four rules, which every layer defines.

A layer maps inputs (\\*input_shape, n) to outputs (\\*output_shape, n). The last axis runs over
the n examples of a chunk: the inner axis of every copy is then contiguous, and a dense layer is one
matrix product. A block of K tangents has a leading axis, (K, \\*shape, n). Rules are written in
the array API standard. They run in the library and on the device of their arguments.

===============  ==================================================================================
rule             result
===============  ==================================================================================
``forward``      outputs, and a *memory*, which the other rules read
``backward``     transposed derivative in the inputs, applied to deltas (..., \\*output_shape, n);
                 ``gradient`` is the same in the parameters, summed over the examples;
                 ``per_example_gradients`` is not summed
``tangent``      derivative in parameters and inputs together, applied to K directions, and a
                 *trace*, which the second-order rule reads
``second_order`` derivative of ``backward`` and ``gradient`` along K directions, delta fixed
===============  ==================================================================================

Let ``delta`` be the gradient of the loss in the outputs and ``delta'`` its tangent. The tangent of
the gradient is ``gradient(delta') + second_order(delta)``. The first term alone gives the
generalised Gauss-Newton product, both terms give the Hessian product.

Examples do not interact: the outputs of one example depend on its own inputs alone. Batch
normalisation is a layer only with fixed statistics.

A new layer is one file with one subclass of :class:`Layer`. The tests find the subclass, take the
cases of its ``examples()`` and compare all rules with autograd's derivatives of ``plain``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from array_api_compat import array_namespace

from aniso.arrays import functions

if TYPE_CHECKING:
    from aniso.typing import Array


class Layer:
    """Base class of layers; by default a layer has no parameters.

    Attributes
    ----------
    piecewise_linear : bool
        Whether outputs are, between kinks, linear in the parameters and linear in the inputs.
    linear_in_parameters : bool
        Whether outputs are linear in all parameters of the layer together.
    routed : bool
        Whether every output is one of the inputs times a slope. If so, ``route`` returns the index
        of the input and the slope.
    """

    piecewise_linear = True
    linear_in_parameters = True
    routed = False

    @classmethod
    def examples(cls) -> list[tuple[Layer, tuple[int, ...]]]:
        """Return small cases for the tests, a list of (layer, input_shape)."""
        raise NotImplementedError(f"{cls.__name__}.examples")

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of one example's outputs.

        Raises
        ------
        InputError
            If the layer cannot take inputs of this shape.
        """
        return input_shape

    def parameter_shapes(self, input_shape: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:  # noqa: ARG002
        """Return the shapes of the parameter arrays, weights before biases."""
        return ()

    def leaves(
        self, input_shape: tuple[int, ...]
    ) -> list[tuple[Layer, tuple[tuple[int, ...], ...]]]:
        """Return the layers that own the parameters, in order: pairs (layer, parameter shapes)."""
        return [(self, self.parameter_shapes(input_shape))]

    def plain(self, parameters: Any, inputs: Array) -> Array:
        """Return the outputs by autograd's NumPy, examples first: inputs (n, \\*input_shape)."""
        raise NotImplementedError(f"{type(self).__name__}.plain")

    def prepare(self, inputs: Array) -> Any:
        """Return the part of ``forward`` that depends on the inputs alone; chunks may keep it."""
        return inputs

    def forward(self, parameters: Any, prepared: Any) -> tuple[Array, Any]:
        """Return the outputs (\\*output_shape, n) and the memory for the other rules."""
        raise NotImplementedError(f"{type(self).__name__}.forward")

    def backward(self, parameters: Any, memory: Any, delta: Array) -> Array:
        """Return deltas at the inputs (..., \\*input_shape, n) from deltas at the outputs."""
        raise NotImplementedError(f"{type(self).__name__}.backward")

    def gradient(self, memory: Any, delta: Array) -> tuple[Array, ...]:  # noqa: ARG002
        """Return parameter gradients summed over examples, a tuple of (..., \\*parameter_shape)."""
        return ()

    def backward_and_gradient(
        self, parameters: Any, memory: Any, delta: Array, needs_inputs: bool
    ) -> tuple[Array | None, tuple[Array, ...]]:
        """Return (deltas at the inputs, gradient); the deltas are None unless needed.

        A layer may share work between both here.
        """
        inputs = self.backward(parameters, memory, delta) if needs_inputs else None
        return inputs, self.gradient(memory, delta)

    def per_example_gradients(self, memory: Any, delta: Array) -> Array:
        """Return the parameter gradients of each example, flat: (..., n, P)."""
        raise NotImplementedError(f"{type(self).__name__}.per_example_gradients")

    def tangent(
        self, parameters: Any, memory: Any, directions: Any, inputs_tangent: Array | None
    ) -> tuple[Array | None, Any]:
        """Return tangents of the outputs (K, \\*output_shape, n) and a trace.

        `directions` is a tuple as `parameters`, with a leading axis K. `inputs_tangent` has the
        shape (K, \\*input_shape, n); it is None for the first layer, whose inputs are data.
        """
        raise NotImplementedError(f"{type(self).__name__}.tangent")

    def second_order(
        self,
        parameters: Any,  # noqa: ARG002
        memory: Any,  # noqa: ARG002
        directions: Any,  # noqa: ARG002
        trace: Any,  # noqa: ARG002
        delta: Array,  # noqa: ARG002
    ) -> tuple[Array | None, tuple[Array | None, ...] | None]:
        """Return second-order parts: deltas at the inputs and parameter gradients, or None."""
        return None, None

    def second_order_form(
        self,
        parameters: Any,
        memory: Any,
        directions: Any,
        inputs_tangent: Array | None,
        delta: Array,
    ) -> Any:
        """Return the layer's term of ``v^T H v`` beyond Gauss-Newton, shape (K,), or None.

        It is ``2 <delta, V a'>`` for a layer that is linear in its parameters, and
        ``<delta rho'', z'^2>`` for an activation.
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

    def curved_entries(
        self,
        parameters: Any,  # noqa: ARG002
        memory: Any,  # noqa: ARG002
        delta: Array,  # noqa: ARG002
    ) -> list[tuple[Array, Callable[..., Any]]]:
        r"""Return the entries z of smooth activations: pairs (curvatures, pull back).

        Returns
        -------
        curvatures : array, shape (\*shape, n)
            ``rho''(z) delta``.
        pull_back : callable
            Function of unit deltas at z, (U, \*shape, n), and weights (U, n). It returns two
            arrays. The first, (U, P) or None, has the weighted sums over examples of squared
            gradients in the parameters of this layer below z. The second has the deltas at the
            layer's inputs, (U, \*input_shape, n).
        """
        return []

    def write_per_example_gradients(self, memory: Any, delta: Array, out: Array | None) -> None:
        """Write the parameter gradients of each example for one delta into `out` (n, P)."""
        out[...] = self.per_example_gradients(memory, delta)

    # ---- per-example quantities; a layer overrides them where factors make them cheap

    def gradient_square_norms(self, memory: Any, delta: Array) -> Array:
        """Return the squared norms of the per-example parameter gradients, (..., n)."""
        xp = array_namespace(delta)
        rows = self.per_example_gradients(memory, delta)
        return xp.sum(rows * rows, axis=-1)

    def gradient_squares(self, memory: Any, delta: Array, weights: Array) -> Array:
        """Return weighted sums over examples of squared parameter gradients, (..., P).

        Weights (..., n) may have either sign.
        """
        xp = array_namespace(delta)
        rows = self.per_example_gradients(memory, delta)
        return xp.sum(weights[..., None] * rows * rows, axis=-2)

    # ---- counts for the choice of chunks and of the cheaper route

    def forward_multiplications(self, input_shape: tuple[int, ...]) -> int:  # noqa: ARG002
        """Return the multiplications of one example's forward pass, 0 for an elementwise layer."""
        return 0

    def memory_entries(self, input_shape: tuple[int, ...]) -> int:
        """Return about how many numbers one example's forward pass keeps."""
        return 2 * math.prod(self.output_shape(input_shape))
