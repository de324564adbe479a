"""Hessians of the single examples, as arrays or as factors, for the stability of SGD.

    H_i = F_i^T S_i F_i,     F_i of shape (r, D),  S_i symmetric of shape (r, r)

A Gauss-Newton matrix has this form with the Jacobian of the outputs in place of F_i. No array of
shape (D, D) is formed from factors.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from aniso import checks
from aniso.matrices.curvature_span import span_of, weighted

if TYPE_CHECKING:
    from aniso.matrices.curvature_span import CurvatureSpan
    from aniso.typing import Array, ArrayLike


class ExampleCurvatures:
    """Hessians H_i of the loss of each example at one theta.

    It is made by :func:`aniso.matrices.example_curvatures`,
    :func:`aniso.matrices.curvatures_from_factors` or :func:`aniso.matrices.curvatures_from_kernel`.
    A problem with outputs gives its Gauss-Newton ones as ``problem.at(theta).example_curvatures``.

    Parameters
    ----------
    rows : ndarray, shape (N, r, D)
        Factors F_i; copied, unless they are read-only already.
    weights : ndarray, shape (N, r, r), or None
        Symmetric S_i; None stands for the identity.

    Attributes
    ----------
    rows, weights
        As given, read-only.

    Notes
    -----
    Holds 8 N r D bytes.
    """

    rows: Array
    weights: Array | None

    def __init__(self, rows: Array, weights: Array | None = None) -> None:
        self.rows = checks.held(rows)
        self.weights = None if weights is None else checks.held(weights)

    @property
    def num_examples(self) -> int:
        """N, the number of examples."""
        return self.rows.shape[0]

    @property
    def num_parameters(self) -> int:
        """D, the number of parameters."""
        return self.rows.shape[2]

    @cached_property
    def span(self) -> CurvatureSpan:
        """The Hessians within their span, a :class:`CurvatureSpan`, computed at its first use.

        Raises
        ------
        InputError
            If the mean has a negative eigenvalue, or is zero in a direction in which an H_i is not.
        AllocationRefused
            If the span does not fit.
        """
        return span_of(self.rows, self.weights)

    def in_parameters(self, coordinates: ArrayLike) -> Array:
        """Return the unit vector (D,) of coordinates (n,) in the basis of the span.

        Its component that is largest in magnitude is positive.
        """
        vector = self.span.combination @ coordinates
        if self.span.of_factors:
            vector = vector @ self.rows.reshape(len(vector), -1)
        vector = vector / np.linalg.norm(vector)
        return vector * np.sign(vector[np.abs(vector).argmax()])

    def along(self, direction: ArrayLike) -> Array:
        """Curvatures of the examples along a unit vector, ``h_i = u^T H_i u``, shape (N,).

        Parameters
        ----------
        direction : array_like, shape (D,)
            Any length but zero.
        """
        images = self.rows @ unit_direction(direction, self.num_parameters)
        return np.einsum("ia,ia->i", images, weighted(self.weights, images[:, :, None])[:, :, 0])

    def mean_product(self, vector: ArrayLike) -> Array:
        """Return ``H v = (1/N) sum_i H_i v``, shape (D,)."""
        vector = checks.array("vector", vector, shape=(self.num_parameters,))
        images = weighted(self.weights, (self.rows @ vector)[:, :, None])
        return images.reshape(-1) @ self.rows.reshape(-1, self.num_parameters) / self.num_examples

    def preconditioned(self, preconditioner: ArrayLike) -> ExampleCurvatures:
        """Return the Hessians ``P^{-1/2} H_i P^{-1/2}`` for a diagonal P.

        SGD with the step ``-eta P^{-1} g`` has their threshold.

        Parameters
        ----------
        preconditioner : array_like, shape (D,)
            Diagonal of P, positive.

        Raises
        ------
        InputError
            If P is not positive.
        """
        scales = 1 / np.sqrt(positive_diagonal(preconditioner, self.num_parameters))
        return ExampleCurvatures(checks.frozen(self.rows * scales), self.weights)

    def __repr__(self):
        return (
            f"<ExampleCurvatures: N = {self.num_examples}, D = {self.num_parameters}, "
            f"rank <= {self.rows.shape[1]} each>"
        )


def unit_direction(direction, size):
    """Return a direction (D,) as a unit vector.

    Raises
    ------
    InputError
        If it is zero, not finite, or of another length.
    """
    direction = checks.array("direction", direction, shape=(size,))
    largest = np.abs(direction).max(initial=0.0)
    if largest == 0:
        raise checks.InputError("direction is zero; expected a vector with a non-zero entry")
    direction = direction / largest
    return direction / np.linalg.norm(direction)


def positive_diagonal(preconditioner, size):
    """Return the diagonal of a preconditioner, shape (D,).

    Raises
    ------
    InputError
        If an entry is not positive and finite, or the length is another.
    """
    diagonal = checks.array("preconditioner", preconditioner, shape=(size,))
    if not (diagonal > 0).all():
        index = int(diagonal.argmin())
        raise checks.InputError(
            f"preconditioner has the entry {float(diagonal[index])} at index {index}; expected "
            "positive numbers, for instance sqrt(v) + floor"
        )
    return diagonal
