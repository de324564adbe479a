"""Squared error averaged over the outputs, the loss of many frameworks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aniso.problems.losses import SquaredLoss

if TYPE_CHECKING:
    import numpy as np

    from aniso.typing import Array


@dataclass(frozen=True)
class MeanSquaredLoss(SquaredLoss):
    """Squared error, a mean over the outputs: ``l = (1/C) sum_c (f_c - y_c)^2``.

    ``torch.nn.MSELoss`` is this loss, averaged over examples. Targets have the shape of the
    outputs, (n, C). The model is y ~ N(f, (C/2) I).

    Examples
    --------
    >>> import numpy as np
    >>> loss = MeanSquaredLoss()
    >>> loss(np.array([[3.0, 1.0]]), np.array([[1.0, 0.0]]))
    array([2.5])
    >>> loss.gradient(np.array([[3.0, 1.0]]), np.array([[1.0, 0.0]]))
    array([[2., 1.]])
    """

    def __call__(self, outputs: Array, targets: Array) -> Array:
        return super().__call__(outputs, targets) / outputs.shape[-1]

    def gradient(self, outputs: Array, targets: Array) -> Array:
        """``(2/C) (f - y)``, shape (..., n, C)."""
        return super().gradient(outputs, targets) / outputs.shape[-1]

    def hessian(self, outputs: Array, targets: Array) -> Array:  # noqa: ARG002
        """``(2/C) I``, shape (..., n, C, C)."""
        return self.fisher_information(outputs)

    def hessian_root(self, outputs: Array) -> Array:
        """``sqrt(2/C) I``, a root L of the Hessian, ``S = L L^T``, shape (..., n, C, C)."""
        return self.fisher_information(outputs) * math.sqrt(outputs.shape[-1] / 2)

    def whitened_gradient(self, outputs: Array, targets: Array) -> Array:
        """w with ``r = L w``, so that ``|w|^2 = r^T S^+ r = 2 l``, shape (..., n, C)."""
        return self.gradient(outputs, targets) * math.sqrt(outputs.shape[-1] / 2)

    def sample_targets(self, outputs: Array, rng: np.random.Generator) -> Array:
        """``y = f + sqrt(C/2) z``, z standard normal, shape (..., n, C)."""
        samples = super().sample_targets(outputs, rng)
        return outputs + math.sqrt(outputs.shape[-1]) * (samples - outputs)

    def fisher_information(self, outputs: Array) -> Array:
        """``E[grad grad^T] = (2/C) I``, shape (..., n, C, C)."""
        return super().fisher_information(outputs) / outputs.shape[-1]
