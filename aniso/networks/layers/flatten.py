"""Flattening of an image into a vector, channels first."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from array_api_compat import array_namespace

from aniso.networks.layers.layer import Layer

if TYPE_CHECKING:
    from aniso.typing import Array


@dataclass(frozen=True)
class Flatten(Layer):
    """Outputs (C H W,) from inputs (C, H, W), row-major.

    Examples
    --------
    >>> Flatten().output_shape((10, 4, 4))
    (160,)
    """

    routed = True

    @classmethod
    def examples(cls) -> list[tuple[Layer, tuple[int, ...]]]:
        """Return cases of the tests."""
        return [(cls(), (2, 3, 2))]

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return one axis with all entries."""
        return (math.prod(input_shape),)

    def plain(self, parameters: Any, inputs: Array) -> Array:  # noqa: ARG002
        """Return the reshaped inputs, examples first."""
        return inputs.reshape(inputs.shape[0], -1)

    def forward(self, parameters: Any, prepared: Any) -> tuple[Array, Any]:  # noqa: ARG002
        """Return the reshaped inputs; the memory is the input shape."""
        xp = array_namespace(prepared)
        return xp.reshape(prepared, (-1, prepared.shape[-1])), prepared.shape[:-1]

    def backward(self, parameters: Any, memory: Any, delta: Array) -> Array:  # noqa: ARG002
        """Return the deltas in the shape of the inputs."""
        xp = array_namespace(delta)
        return xp.reshape(delta, (*delta.shape[:-2], *memory, delta.shape[-1]))

    def tangent(
        self,
        parameters: Any,  # noqa: ARG002
        memory: Any,  # noqa: ARG002
        directions: Any,  # noqa: ARG002
        inputs_tangent: Array | None,
    ) -> tuple[Array | None, Any]:
        """Return the reshaped tangents."""
        if inputs_tangent is None:
            return None, None
        xp = array_namespace(inputs_tangent)
        lead, count = inputs_tangent.shape[0], inputs_tangent.shape[-1]
        return xp.reshape(inputs_tangent, (lead, -1, count)), None

    def route(self, memory: Any, index: int, slope: Array) -> Any:  # noqa: ARG002
        """Return the route of a stage, flattened."""
        return index.reshape(-1, index.shape[-1]), slope.reshape(-1, slope.shape[-1])

    def memory_entries(self, input_shape: tuple[int, ...]) -> int:  # noqa: ARG002
        """Return 0: nothing is kept."""
        return 0
