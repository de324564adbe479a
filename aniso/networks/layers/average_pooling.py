"""Average pooling over windows, without padding."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from array_api_compat import array_namespace

from aniso.arrays import places
from aniso.networks.layers.layer import Layer
from aniso.networks.layers.pooling import Pooling

if TYPE_CHECKING:
    from aniso.typing import Array


@dataclass(frozen=True)
class AveragePooling(Pooling, Layer):
    """Mean over windows of an image; windows that leave the image are dropped.

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
    A window of the size of the image gives global average pooling. A network with this layer has no
    cached factors of the Hessian: Hessian products are passes of tangents.

    Examples
    --------
    >>> import numpy as np
    >>> images = np.array([[[1.0, 2.0], [4.0, 3.0]]])[..., None]
    >>> AveragePooling(2).forward((), images)[0].ravel()
    array([2.5])
    """

    kind = "average pooling"

    @classmethod
    def examples(cls) -> list[tuple[Layer, tuple[int, ...]]]:
        """Return cases of the tests: windows that tile, overlap, leave a rest, fill the image."""
        return [
            (cls(2), (2, 4, 4)),
            (cls(3, 2), (2, 7, 5)),
            (cls((1, 2)), (1, 3, 5)),
            (cls((3, 4)), (2, 3, 4)),
        ]

    def _means(self, images):
        # of images (..., channels, height, width, n)
        total = None
        for rows, columns in self._windows(images.shape[-4:-1]):
            part = images[..., rows, columns, :]
            total = part if total is None else total + part
        return total / math.prod(self.size)

    def plain(self, parameters: Any, inputs: Array) -> Array:  # noqa: ARG002
        """Return the mean of shifted images by autograd's NumPy, examples first."""
        shifts = [inputs[:, :, rows, columns] for rows, columns in self._windows(inputs.shape[1:])]
        return sum(shifts[1:], start=shifts[0]) / len(shifts)

    def forward(self, parameters: Any, prepared: Any) -> tuple[Array, Any]:  # noqa: ARG002
        """Return the means; the memory is the shape of one example's inputs."""
        return self._means(prepared), AverageMemory(prepared.shape[:-1])

    def backward(self, parameters: Any, memory: Any, delta: Array) -> Array:  # noqa: ARG002
        """Return deltas shared evenly among the entries of their windows."""
        xp = array_namespace(delta)
        shape = (*delta.shape[:-4], *memory.shape, delta.shape[-1])
        inputs = xp.zeros(shape, dtype=delta.dtype, device=places.device(delta))
        share = delta / math.prod(self.size)
        for rows, columns in self._windows(memory.shape):
            inputs[..., rows, columns, :] += share
        return inputs

    def tangent(
        self,
        parameters: Any,  # noqa: ARG002
        memory: Any,  # noqa: ARG002
        directions: Any,  # noqa: ARG002
        inputs_tangent: Array | None,
    ) -> tuple[Array | None, Any]:
        """Return the means of the tangents."""
        return (None if inputs_tangent is None else self._means(inputs_tangent)), None

    def memory_entries(self, input_shape: tuple[int, ...]) -> int:
        """Return twice the number of outputs."""
        return 2 * math.prod(self.output_shape(input_shape))


class AverageMemory(NamedTuple):
    """Shape of one example's inputs."""

    shape: tuple
