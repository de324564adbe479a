"""Covariance of position and velocity together, of motion that has both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from aniso.typing import Array


@dataclass(frozen=True)
class PhaseCovariance:
    """Covariance of theta and its velocity v, the displacement per unit of time.

    Attributes
    ----------
    position : numpy.ndarray, shape (D, D)
        Cov theta.
    cross : numpy.ndarray, shape (D, D)
        Entry (i, j) is the covariance of theta_i and v_j.
    velocity : numpy.ndarray, shape (D, D)
        Cov v.

    Examples
    --------
    >>> PhaseCovariance(np.array([[4.0]]), np.array([[1.0]]), np.array([[2.0]]))
    PhaseCovariance of (theta, v), D = 1: Tr Cov theta 4, Tr Cov v 2
    """

    position: np.ndarray
    cross: np.ndarray
    velocity: np.ndarray

    def __repr__(self):
        return (
            f"PhaseCovariance of (theta, v), D = {len(self.position)}: "
            f"Tr Cov theta {np.trace(self.position):.6g}, Tr Cov v {np.trace(self.velocity):.6g}"
        )

    def to_dense(self) -> Array:
        """Return the covariance of the vector (theta, v), shape (2 D, 2 D).

        Examples
        --------
        >>> one = np.array([[1.0]])
        >>> PhaseCovariance(4 * one, one, 2 * one).to_dense().tolist()
        [[4.0, 1.0], [1.0, 2.0]]
        """
        return np.block([[self.position, self.cross], [self.cross.T, self.velocity]])
