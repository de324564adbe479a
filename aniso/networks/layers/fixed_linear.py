"""Linear layer with fixed weights, which are not trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import autograd.numpy as anp
import numpy as np
from array_api_compat import array_namespace

from aniso import checks
from aniso.arrays import places
from aniso.networks.layers.layer import Layer

if TYPE_CHECKING:
    from aniso.typing import Array


@dataclass(frozen=True)
class FixedLinear(Layer):
    """``z = V a`` with constant weights V, no parameters.

    Parameters
    ----------
    weights : tuple of tuple of float
        V, one row for each output; a row has the length of the inputs.

    Raises
    ------
    InputError
        If the weights are no finite matrix.

    Examples
    --------
    >>> FixedLinear(((1.0, -1.0),)).forward((), np.array([[5.0], [2.0]]))[0]
    array([[3.]])
    """

    weights: tuple[tuple[float, ...], ...]

    def __post_init__(self):
        rows = checks.array("weights", self.weights, shape=(None, None))
        object.__setattr__(self, "weights", tuple(tuple(row) for row in rows.tolist()))

    def __repr__(self):
        shape = len(self.weights), len(self.weights[0])
        return f"FixedLinear(weights of shape {shape})"

    @classmethod
    def examples(cls) -> list[tuple[Layer, tuple[int, ...]]]:
        """Return cases of the tests."""
        return [(cls(((1.0, -1.0, 0.5), (0.0, 2.0, 1.0))), (3,))]

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return (number of rows of V,)."""
        if input_shape != (len(self.weights[0]),):
            raise checks.InputError(
                f"fixed weights have {len(self.weights[0])} columns and the inputs shape "
                f"{input_shape}; expected them to agree"
            )
        return (len(self.weights),)

    def matrix(self, like: Array) -> Array:
        """Return V as an array of the library, device and dtype of `like`."""
        xp = array_namespace(like)
        return xp.asarray(self.weights, dtype=like.dtype, device=places.device(like))

    def plain(self, parameters: Any, inputs: Array) -> Array:  # noqa: ARG002
        """Return ``a V^T``, examples first."""
        return inputs @ anp.array(self.weights).T

    def forward(self, parameters: Any, prepared: Any) -> tuple[Array, Any]:  # noqa: ARG002
        """Return ``V a``; the memory is V."""
        matrix = self.matrix(prepared)
        return matrix @ prepared, matrix

    def backward(self, parameters: Any, memory: Any, delta: Array) -> Array:  # noqa: ARG002
        """Return ``V^T delta``."""
        if memory.shape[0] == 1:
            # an outer product is far cheaper than a matrix product with one inner index
            return memory.T * delta
        return memory.T @ delta

    def tangent(
        self,
        parameters: Any,  # noqa: ARG002
        memory: Any,
        directions: Any,  # noqa: ARG002
        inputs_tangent: Array | None,
    ) -> tuple[Array | None, Any]:
        """Return ``V a'``."""
        return (None if inputs_tangent is None else memory @ inputs_tangent), None

    def forward_multiplications(self, input_shape: tuple[int, ...]) -> int:
        """Return one multiplication for every weight."""
        return len(self.weights) * input_shape[0]


def signed_sum(num_inputs: int) -> FixedLinear:
    """Return a layer with weights +1 for the first half of the inputs, -1 for the rest, one output.

    Parameters
    ----------
    num_inputs : int
        Number of inputs; of an odd number the one in the middle has weight +1.

    Returns
    -------
    FixedLinear

    Examples
    --------
    >>> signed_sum(3).weights
    ((1.0, 1.0, -1.0),)
    """
    signs = np.where(np.arange(num_inputs) < (num_inputs + 1) // 2, 1.0, -1.0)
    return FixedLinear((tuple(signs.tolist()),))
