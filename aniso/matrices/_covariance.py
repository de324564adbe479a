"""The base of all covariances that are linear operators."""

from __future__ import annotations

import math
import numbers
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse.linalg import LinearOperator

from aniso import checks

if TYPE_CHECKING:
    from aniso.typing import Array, ArrayLike


class CovarianceOperator(LinearOperator):
    """Multiples, the transpose and the convention that all covariances share."""

    symmetric_by_construction = True
    convention = None

    def dot(self, x: ArrayLike) -> Array:
        """Product with a vector, a block of vectors or an operator."""
        checks.refuse_loss_of_meaning("the right factor", x)
        return super().dot(x)

    def __mul__(self, other):
        return self._multiple(other) if np.isscalar(other) else super().__mul__(other)

    def __rmul__(self, other):
        return self._multiple(other) if np.isscalar(other) else super().__rmul__(other)

    def __truediv__(self, other):
        return self._multiple(1 / other) if np.isscalar(other) and other else NotImplemented

    def _multiple(self, factor):
        real = isinstance(factor, numbers.Real) and 0 <= factor < math.inf
        if not real:
            return super().__mul__(factor)
        convention = None if self.convention is None else self.convention.scaled(factor)
        return self.rescaled(float(factor), convention)

    def _adjoint(self):
        return self

    _transpose = _adjoint
