"""Max pooling over windows, without padding; the first of equal entries is the maximum."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import autograd.numpy as anp
import numpy as np
from array_api_compat import array_namespace

from aniso.arrays import places
from aniso.networks.layers.layer import Layer
from aniso.networks.layers.pooling import Pooling

if TYPE_CHECKING:
    from aniso.typing import Array


@dataclass(frozen=True)
class MaxPooling(Pooling, Layer):
    """Maximum over windows of an image; windows that leave the image are dropped.

    Parameters
    ----------
    size : int or (int, int)
        Height and width of a window.
    stride : int or (int, int), optional
        Distance between windows, `size` if not given.

    Raises
    ------
    InputError
        If a size or stride is no integer above 0, or no pair of such integers.

    Notes
    -----
    Where several entries of a window are equal, the first in row-major order is the maximum and has
    the whole derivative. autograd's ``max`` divides the derivative evenly. On constant images both
    give the same parameter gradients.

    Examples
    --------
    >>> images = np.array([[[1.0, 2.0], [4.0, 3.0]]])[..., None]
    >>> MaxPooling(2).forward((), images)[0].ravel()
    array([4.])
    """

    kind = "max pooling"
    routed = True

    @classmethod
    def examples(cls) -> list[tuple[Layer, tuple[int, ...]]]:
        """Return cases of the tests: windows that tile, that overlap, that leave a rest."""
        return [(cls(2), (2, 4, 4)), (cls(3, 2), (2, 7, 5)), (cls((1, 2)), (1, 3, 5))]

    def plain(self, parameters: Any, inputs: Array) -> Array:  # noqa: ARG002
        """Return the maxima of the windows by autograd's NumPy, shape (n, \\*output_shape)."""
        shifts = [inputs[:, :, rows, columns] for rows, columns in self._windows(inputs.shape[1:])]
        return anp.max(anp.stack(shifts), axis=0)

    def forward(self, parameters: Any, prepared: Any) -> tuple[Array, Any]:  # noqa: ARG002
        """Return the maxima, and as memory the place of the largest entry of each window."""
        xp = array_namespace(prepared)
        windows, where = self._windows(prepared.shape[:-1]), places.device(prepared)
        best: Any = None
        winner: Any = None
        for place, (rows, columns) in enumerate(windows):
            entry = prepared[:, rows, columns, :]
            if best is None:
                best = xp.asarray(entry, copy=True)
                winner = xp.zeros(entry.shape, dtype=xp.uint8, device=where)
                continue
            better = entry > best
            best = xp.where(better, entry, best)
            winner = xp.where(better, xp.full((), place, dtype=xp.uint8, device=where), winner)
        return best, PoolingMemory(prepared.shape[:-1], winner)

    def backward(self, parameters: Any, memory: Any, delta: Array) -> Array:  # noqa: ARG002
        """Return deltas at the largest entries, 0 elsewhere."""
        xp = array_namespace(delta)
        lead = delta.shape[:-4]
        shape = (*lead, *memory.shape, delta.shape[-1])
        inputs = xp.zeros(shape, dtype=delta.dtype, device=places.device(delta))
        for place, (rows, columns) in enumerate(self._windows(memory.shape)):
            won = xp.astype(memory.winner == place, delta.dtype)
            inputs[..., rows, columns, :] += delta * won
        return inputs

    def tangent(
        self,
        parameters: Any,  # noqa: ARG002
        memory: Any,
        directions: Any,  # noqa: ARG002
        inputs_tangent: Array | None,
    ) -> tuple[Array | None, Any]:
        """Return the tangents of the largest entries."""
        if inputs_tangent is None:
            return None, None
        xp = array_namespace(inputs_tangent)
        outputs = None
        for place, (rows, columns) in enumerate(self._windows(memory.shape)):
            won = xp.astype(memory.winner == place, inputs_tangent.dtype)
            part = inputs_tangent[..., rows, columns, :] * won
            outputs = part if outputs is None else outputs + part
        return outputs, None

    def route(self, memory: Any, index: int, slope: Array) -> Any:
        """Return the route of a stage, taken from the largest entries."""
        windows = self._windows(memory.shape)
        routed_index, routed_slope = np.empty_like(memory.winner, index.dtype), None
        routed_slope = np.empty(memory.winner.shape, slope.dtype)
        for place, (rows, columns) in enumerate(windows):
            won = memory.winner == place
            np.copyto(routed_index, index[:, rows, columns, :], where=won)
            np.copyto(routed_slope, slope[:, rows, columns, :], where=won)
        return routed_index, routed_slope

    def memory_entries(self, input_shape: tuple[int, ...]) -> int:
        """Return the numbers kept of one example: about two for each output."""
        return 2 * math.prod(self.output_shape(input_shape))


class PoolingMemory(NamedTuple):
    """Shape of one example's inputs, and the place of the largest entry of each window."""

    shape: tuple
    winner: object
