"""Dense layer ``z = W a + b``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from array_api_compat import array_namespace

from aniso import checks
from aniso.arrays import places
from aniso.networks.layers.layer import Layer

if TYPE_CHECKING:
    from aniso.typing import Array


_LONG_LOOP = 16


@dataclass(frozen=True)
class Dense(Layer):
    """``z = W a + b`` with weights W (num_outputs, num_inputs) and biases b (num_outputs,).

    Parameters
    ----------
    num_outputs : int
        Number of units.

    Raises
    ------
    InputError
        If it is no integer above 0.

    Examples
    --------
    >>> layer = Dense(2)
    >>> weights, biases = np.array([[1.0, 2.0], [0.0, 1.0]]), np.array([0.5, 0.0])
    >>> layer.forward((weights, biases), np.array([[1.0], [3.0]]))[0]
    array([[7.5],
           [3. ]])
    """

    num_outputs: int

    def __post_init__(self):
        checks.integer("num_outputs", self.num_outputs, low=1)

    @classmethod
    def examples(cls) -> list[tuple[Layer, tuple[int, ...]]]:
        """Return cases of the tests."""
        return [(cls(3), (4,)), (cls(1), (2,))]

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return (num_outputs,); the inputs must be a vector."""
        if len(input_shape) != 1:
            raise checks.InputError(
                f"a dense layer got inputs of shape {input_shape}; expected a vector: put a "
                "Flatten layer before it"
            )
        return (self.num_outputs,)

    def parameter_shapes(self, input_shape: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
        """Return the shapes of W and b."""
        return (self.num_outputs, *input_shape), (self.num_outputs,)

    def plain(self, parameters: Any, inputs: Array) -> Array:
        """Return ``a W^T + b``, examples first."""
        weights, biases = parameters
        return inputs @ weights.T + biases

    def forward(self, parameters: Any, prepared: Any) -> tuple[Array, Any]:
        """Return ``W a + b``; the memory is the inputs a."""
        weights, biases = parameters
        outputs = weights @ prepared
        outputs += biases[:, None]
        return outputs, prepared

    def backward(self, parameters: Any, memory: Any, delta: Array) -> Array:  # noqa: ARG002
        """Return ``W^T delta``."""
        return parameters[0].T @ delta

    def gradient(self, memory: Any, delta: Array) -> tuple[Array, ...]:
        """Return ``delta a^T`` and ``sum delta``."""
        xp = array_namespace(delta)
        # one product of all K deltas' rows, which is faster than K products
        rows = xp.reshape(delta, (-1, delta.shape[-1])) @ memory.T
        return xp.reshape(rows, (*delta.shape[:-1], memory.shape[0])), xp.sum(delta, axis=-1)

    def per_example_gradients(self, memory: Any, delta: Array) -> Array:
        """Return the outer products ``delta_i a_i^T``, then ``delta_i``: (..., n, P)."""
        xp = array_namespace(delta)
        rows = xp.matrix_transpose(delta)
        inputs = xp.matrix_transpose(memory)
        outer = rows[..., :, None] * inputs[:, None, :]
        flat = xp.reshape(outer, (*rows.shape[:-1], -1))
        return xp.concat([flat, rows], axis=-1)

    def write_per_example_gradients(self, memory: Any, delta: Array, out: Array | None) -> None:
        """Write the same for one delta (units, n) into rows `out` (n, P)."""
        if not places.is_numpy(out):
            super().write_per_example_gradients(memory, delta, out)
            return
        rows = np.ascontiguousarray(delta.T)
        inputs = np.ascontiguousarray(memory.T)
        split = rows.shape[1] * inputs.shape[1]
        outer = out[:, :split].reshape(len(rows), rows.shape[1], inputs.shape[1])  # a view
        # long inner loops: over the inputs of a unit, or over the units of one of few inputs
        if inputs.shape[1] >= min(rows.shape[1], _LONG_LOOP):
            np.multiply(rows[:, :, None], inputs[:, None, :], out=outer)
        else:
            for number in range(inputs.shape[1]):
                np.multiply(rows, inputs[:, number, None], out=outer[:, :, number])
        out[:, split:] = rows

    def tangent(
        self, parameters: Any, memory: Any, directions: Any, inputs_tangent: Array | None
    ) -> tuple[Array | None, Any]:
        """Return ``V a + v + W a'``; the trace is a'."""
        weights_direction, biases_direction = directions
        outputs = weights_direction @ memory
        outputs += biases_direction[..., None]
        if inputs_tangent is not None:
            outputs += parameters[0] @ inputs_tangent
        return outputs, inputs_tangent

    def second_order(
        self,
        parameters: Any,  # noqa: ARG002
        memory: Any,  # noqa: ARG002
        directions: Any,
        trace: Any,
        delta: Array,
    ) -> tuple[Array | None, tuple[Array | None, ...] | None]:
        """Return ``V^T delta`` at the inputs and ``delta a'^T`` in the weights."""
        xp = array_namespace(delta)
        inputs = xp.matrix_transpose(directions[0]) @ delta
        if trace is None:
            return inputs, None
        return inputs, (delta @ xp.matrix_transpose(trace), None)

    def gradient_square_norms(self, memory: Any, delta: Array) -> Array:
        """Return ``|delta_i|^2 (|a_i|^2 + 1)``."""
        xp = array_namespace(delta)
        return xp.sum(delta * delta, axis=-2) * (xp.sum(memory * memory, axis=0) + 1)

    def gradient_squares(self, memory: Any, delta: Array, weights: Array) -> Array:
        """Return ``(w delta^2) (a^2)^T``, then the row sums of ``w delta^2``."""
        xp = array_namespace(delta)
        squares = weights[..., None, :] * delta * delta
        weights = squares @ (memory * memory).T
        flat = xp.reshape(weights, (*weights.shape[:-2], -1))
        return xp.concat([flat, xp.sum(squares, axis=-1)], axis=-1)

    def forward_multiplications(self, input_shape: tuple[int, ...]) -> int:
        """Return the number of multiplications for one example: one for every weight."""
        return self.num_outputs * input_shape[0]
