"""Squared error averaged over the outputs, the loss of many frameworks."""

import math
from dataclasses import dataclass

from aniso.problems.losses import SquaredLoss


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

    def __call__(self, outputs, targets):
        return super().__call__(outputs, targets) / outputs.shape[-1]

    def gradient(self, outputs, targets):
        """``(2/C) (f - y)``, shape (..., n, C)."""
        return super().gradient(outputs, targets) / outputs.shape[-1]

    def hessian(self, outputs, targets):  # noqa: ARG002
        """``(2/C) I``, shape (..., n, C, C)."""
        return self.fisher_information(outputs)

    def hessian_root(self, outputs):
        """``sqrt(2/C) I``, a root L of the Hessian, ``S = L L^T``, shape (..., n, C, C)."""
        return self.fisher_information(outputs) * math.sqrt(outputs.shape[-1] / 2)

    def whitened_gradient(self, outputs, targets):
        """w with ``r = L w``, so that ``|w|^2 = r^T S^+ r = 2 l``, shape (..., n, C)."""
        return self.gradient(outputs, targets) * math.sqrt(outputs.shape[-1] / 2)

    def sample_targets(self, outputs, rng):
        """``y = f + sqrt(C/2) z``, z standard normal, shape (..., n, C)."""
        samples = super().sample_targets(outputs, rng)
        return outputs + math.sqrt(outputs.shape[-1]) * (samples - outputs)

    def fisher_information(self, outputs):
        """``E[grad grad^T] = (2/C) I``, shape (..., n, C, C)."""
        return super().fisher_information(outputs) / outputs.shape[-1]
