"""Residual block ``z = F(a) + S(a)``, a layer made of layers."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from array_api_compat import array_namespace

from aniso import checks
from aniso.arrays import places
from aniso.networks.layers.activation import Activation
from aniso.networks.layers.chain import Chain
from aniso.networks.layers.convolution import Convolution
from aniso.networks.layers.dense import Dense
from aniso.networks.layers.layer import Layer

if TYPE_CHECKING:
    from aniso.typing import Array


@dataclass(frozen=True)
class Residual(Layer):
    """``z = F(a) + S(a)``, F a chain of layers and S the identity or a chain of its own.

    Parameters
    ----------
    layers : Layer or tuple of Layer
        F, applied one after the other.
    shortcut : Layer or tuple of Layer, optional
        S, the identity if not given. S and F must have outputs of the same shape. If F changes
        the shape of its inputs, ``Convolution(channels, 1, stride=...)`` is the usual S.

    Raises
    ------
    InputError
        If F has no layers, or an entry of F or S is no layer.

    Notes
    -----
    The parameters of F come first, layer by layer, then the parameters of S. A block counts as one
    layer in quantities by layer. A network with residual blocks has no cached factors of the
    Hessian; its products are passes of tangents. An activation after the sum is a separate layer.

    Examples
    --------
    >>> import numpy as np
    >>> block = Residual((Activation("relu"), Dense(1)))
    >>> weights, biases = np.array([[2.0]]), np.array([1.0])
    >>> block.forward((weights, biases), np.array([[3.0, -1.0]]))[0]  # 2 relu(a) + 1 + a
    array([[10.,  0.]])
    """

    layers: tuple[Layer, ...]
    shortcut: tuple[Layer, ...] = ()

    linear_in_parameters = False

    def __post_init__(self):
        for name in ("layers", "shortcut"):
            given = getattr(self, name)
            given = (given,) if isinstance(given, Layer) else given
            if not isinstance(given, (tuple, list)) or not all(
                isinstance(layer, Layer) for layer in given
            ):
                raise checks.InputError(f"{name}={given!r}; expected a layer or a tuple of layers")
            object.__setattr__(self, name, tuple(given))
        if not self.layers:
            raise checks.InputError("layers is empty; expected at least one layer")

    @classmethod
    def examples(cls) -> list[tuple[Layer, tuple[int, ...]]]:
        """Return cases of the tests: both shortcuts, around activations, blocks in blocks."""
        tanh, relu = Activation("tanh"), Activation("relu")
        return [
            (cls((Dense(4), relu, Dense(3))), (3,)),
            (cls((tanh, Dense(2), tanh, Dense(3))), (3,)),
            (cls((Dense(2), tanh), shortcut=Dense(2)), (3,)),
            (cls((Convolution(2, 3, padding=1), tanh, Convolution(1, 1))), (1, 3, 3)),
            (
                cls(
                    (Convolution(2, 3, stride=2, padding=1), Activation("silu")),
                    shortcut=Convolution(2, 1, stride=2),
                ),
                (1, 4, 3),
            ),
            (cls((cls((Dense(3), tanh)), Dense(2)), shortcut=(tanh, Dense(2))), (3,)),
            (cls(relu), (2, 2)),
        ]

    @property
    def piecewise_linear(self) -> bool:  # type: ignore[override]
        """Whether all layers of the block are."""
        return all(layer.piecewise_linear for layer in (*self.layers, *self.shortcut))

    def _branches(self, input_shape):
        return Chain(self.layers, input_shape), Chain(self.shortcut, input_shape)

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of the outputs, which must be the same for F and S."""
        main, side = self._branches(input_shape)
        if main.output_shape != side.output_shape:
            raise checks.InputError(
                f"the layers of a residual block give outputs of shape {main.output_shape} and its "
                f"shortcut {side.output_shape}; expected the same: give a shortcut that changes "
                "the shape alike, such as Convolution(channels, 1, stride=...)"
            )
        return main.output_shape

    def parameter_shapes(self, input_shape: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
        """Return the parameter shapes of F, layer by layer, then the parameter shapes of S."""
        main, side = self._branches(input_shape)
        return (*main.parameter_shapes, *side.parameter_shapes)

    def leaves(
        self, input_shape: tuple[int, ...]
    ) -> list[tuple[Layer, tuple[tuple[int, ...], ...]]]:
        """Return the layers that own parameters: first the layers of F, then the layers of S."""
        main, side = self._branches(input_shape)
        return [*main.leaves, *side.leaves]

    def _split(self, arrays, input_shape):
        # parameters, or directions, of both branches
        main, side = self._branches(input_shape)
        count = len(main.parameter_shapes)
        return main, arrays[:count], side, arrays[count:]

    def plain(self, parameters: Any, inputs: Array) -> Array:
        """Return ``F(a) + S(a)``, examples first."""
        main, own, side, others = self._split(parameters, inputs.shape[1:])
        return main.plain(own, inputs) + side.plain(others, inputs)

    def forward(self, parameters: Any, prepared: Any) -> tuple[Array, Any]:
        """Return ``F(a) + S(a)``; the memory has the trails of both branches."""
        main, own, side, others = self._split(parameters, prepared.shape[:-1])
        outputs, trail = main.forward(own, prepared)
        added, side_trail = side.forward(others, prepared)
        memory = ResidualMemory(prepared.shape[:-1], parameters, trail, side_trail)
        return outputs + added, memory

    def _with_memory(self, memory, parameters):
        main, own, side, others = self._split(parameters, memory.shape)
        return (main, own, memory.trail), (side, others, memory.side_trail)

    def backward(self, parameters: Any, memory: Any, delta: Array) -> Array:
        """Return the sum of both branches' deltas."""
        first, second = (
            chain.backward(own, trail, delta)
            for chain, own, trail in self._with_memory(memory, parameters)
        )
        return first + second

    def gradient(self, memory: Any, delta: Array) -> tuple[Array, ...]:
        """Return the parameter gradients of both branches."""
        return self.backward_and_gradient(memory.parameters, memory, delta, False)[1]

    def backward_and_gradient(
        self, parameters: Any, memory: Any, delta: Array, needs_inputs: bool
    ) -> tuple[Array | None, tuple[Array, ...]]:
        """Return both, from one pass down each branch."""
        parts = [
            chain.backward_and_gradient(own, trail, delta, needs_inputs)
            for chain, own, trail in self._with_memory(memory, parameters)
        ]
        inputs = parts[0][0] + parts[1][0] if needs_inputs else None
        return inputs, (*parts[0][1], *parts[1][1])

    def per_example_gradients(self, memory: Any, delta: Array) -> Array:
        """Return the gradients of the layers side by side, (..., n, P)."""
        xp = array_namespace(delta)
        rows = self._of_layers(
            memory, delta, lambda layer, own, deltas: layer.per_example_gradients(own, deltas)
        )
        return xp.concat(rows, axis=-1)

    def gradient_square_norms(self, memory: Any, delta: Array) -> Array:
        """Return the squared norms of the gradients, summed over the layers, shape (..., n)."""
        norms = self._of_layers(
            memory, delta, lambda layer, own, deltas: layer.gradient_square_norms(own, deltas)
        )
        return sum(norms[1:], start=norms[0])

    def gradient_squares(self, memory: Any, delta: Array, weights: Array) -> Array:
        """Return the weighted sums of the layers side by side, (..., P)."""
        xp = array_namespace(delta)
        squares = self._of_layers(
            memory, delta, lambda layer, own, deltas: layer.gradient_squares(own, deltas, weights)
        )
        return xp.concat(squares, axis=-1)

    def _of_layers(self, memory, delta, function):
        # function(layer, memory, deltas at its outputs) of every layer with parameters, in order
        results = []
        for chain, own, trail in self._with_memory(memory, memory.parameters):
            deltas, _ = chain.deltas(own, trail, delta)
            results += [function(chain.layers[i], trail[i], deltas[i]) for i in chain.parameterised]
        return results

    def tangent(
        self, parameters: Any, memory: Any, directions: Any, inputs_tangent: Array | None
    ) -> tuple[Array | None, Any]:
        """Return the sum of both branches' tangents; the trace has the traces of both."""
        moving = self._with_memory(memory, directions)
        parts = [
            chain.tangent(own, trail, direction, inputs_tangent)
            for (chain, own, trail), (_, direction, _) in zip(
                self._with_memory(memory, parameters), moving, strict=True
            )
        ]
        tangents = [moved for moved, _ in parts if moved is not None]
        if not tangents:
            return None, None
        return sum(tangents[1:], start=tangents[0]), tuple(traces for _, traces in parts)

    def second_order(
        self, parameters: Any, memory: Any, directions: Any, trace: Any, delta: Array
    ) -> tuple[Array | None, tuple[Array | None, ...] | None]:
        """Return the derivatives of both branches' backward passes at fixed `delta`.

        The deltas at the inputs are None where they vanish, and so is the gradient of a parameter.
        """
        if trace is None:
            return None, None
        moving = self._with_memory(memory, directions)
        inputs, gradients = None, []
        for (chain, own, trail), (_, direction, _), traces in zip(
            self._with_memory(memory, parameters), moving, trace, strict=True
        ):
            more, extra = chain.second_order(own, trail, direction, traces, delta)
            gradients += extra
            if more is not None:
                inputs = more if inputs is None else inputs + more
        return inputs, (tuple(gradients) if gradients else None)

    def second_order_form(
        self,
        parameters: Any,
        memory: Any,
        directions: Any,
        inputs_tangent: Array | None,
        delta: Array,
    ) -> Any:
        """Return the sum of the layers' forms, (K,), or None."""
        total, moving = None, self._with_memory(memory, directions)
        for (chain, own, trail), (_, direction, _) in zip(
            self._with_memory(memory, parameters), moving, strict=True
        ):
            form = chain.second_order_form(own, trail, direction, inputs_tangent, delta)
            if form is not None:
                total = form if total is None else total + form
        return total

    def curved_entries(
        self, parameters: Any, memory: Any, delta: Array
    ) -> list[tuple[Array, Callable[..., Any]]]:
        """Return the entries of the layers, pulled back through the rest of their branch."""
        main, side = self._with_memory(memory, parameters)
        sizes = [chain.num_parameters for chain, _, _ in (main, side)]
        return [
            (weights, _padded(pull_back, *zeros))
            for (chain, own, trail), zeros in zip(
                (main, side), ((0, sizes[1]), (sizes[0], 0)), strict=True
            )
            for weights, pull_back in chain.curved_entries(own, trail, delta)
        ]

    def forward_multiplications(self, input_shape: tuple[int, ...]) -> int:
        """Return the multiplications of both branches."""
        return sum(chain.forward_multiplications for chain in self._branches(input_shape))

    def memory_entries(self, input_shape: tuple[int, ...]) -> int:
        """Return the numbers kept of one example: by both branches, and for their sum."""
        entries = sum(chain.memory_entries for chain in self._branches(input_shape))
        return entries + 2 * math.prod(self.output_shape(input_shape))


class ResidualMemory(NamedTuple):
    """Shape of one example's inputs, the block's parameters, and the trails of both branches."""

    shape: tuple
    parameters: tuple
    trail: list
    side_trail: list


def _padded(pull_back, before, after):
    """Return `pull_back` with squares of 0 for the parameters of the other branch."""

    def padded(units, weights):
        squares, delta = pull_back(units, weights)
        if squares is None:
            return None, delta
        xp, where = array_namespace(squares), places.device(squares)
        zeros = [
            xp.zeros((*squares.shape[:-1], count), dtype=squares.dtype, device=where)
            for count in (before, after)
        ]
        return xp.concat([zeros[0], squares, zeros[1]], axis=-1), delta

    return padded
