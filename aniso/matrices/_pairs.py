"""Eigenpairs with residuals, and the check of the residuals before they are returned."""

import math
from dataclasses import dataclass

import numpy as np

from aniso import checks
from aniso.estimates import NotConverged
from aniso.matrices import operands

ORDERS = {
    "largest": lambda values: -values,
    "smallest": lambda values: values,
    "magnitude": lambda values: -np.abs(values),
}


def order_of(values, which):
    """Return the indices that sort eigenvalues, the leading one first."""
    return np.argsort(ORDERS[which](values), kind="stable")


@dataclass(frozen=True, repr=False)
class EigenPairs:
    """Eigenvalues and eigenvectors of a symmetric matrix, with residuals.

    Attributes
    ----------
    values : ndarray, shape (k,)
        Eigenvalues in the order of the argument `which`.
    vectors : ndarray, shape (D, k)
        Orthonormal eigenvectors in the columns; the component largest in magnitude is positive.
    residuals : ndarray, shape (k,)
        ``|A v - value v|``; some eigenvalue lies within it of each value.
    num_products : int
        Products of the matrix with a vector that it took; 0 where an array was decomposed. The
        two products that probe the symmetry of an operator are not counted.
    """

    values: np.ndarray
    vectors: np.ndarray
    residuals: np.ndarray
    num_products: int

    def __repr__(self):
        values = "none"
        if len(self.values):
            values = (
                f"values from {self.values[0]:.6g} to {self.values[-1]:.6g}, "
                f"residuals <= {self.residuals.max():.2g}"
            )
        return (
            f"<EigenPairs: k = {len(self.values)}, D = {self.vectors.shape[0]}, {values}, "
            f"{self.num_products} products>"
        )


def with_residuals(matrix, values, vectors, num_products):
    """Return EigenPairs with the sign convention and the measured residuals of given pairs."""
    largest = np.abs(vectors).argmax(axis=0)
    signs = np.sign(vectors[largest, np.arange(vectors.shape[1])])
    vectors = vectors * np.where(signs == 0, 1.0, signs)
    residuals = np.linalg.norm(matrix @ vectors - vectors * values, axis=0)
    return EigenPairs(np.array(values), vectors, residuals, num_products)


def checked_tolerance(tolerance, matrix, *, default):
    """Return the tolerance of an eigensolver, by default the finest that the numbers allow.

    Parameters
    ----------
    tolerance : float or None
        None: `default`, or ``1e3 eps`` where the numbers of the matrix are coarser.
    matrix : ndarray or LinearOperator
        Matrix of the eigenproblem; it determines the rounding.
    default : float
        Tolerance in double precision.

    Raises
    ------
    InputError
        If it is not between 0 and 1, or below ``16 eps``.

    Examples
    --------
    >>> checked_tolerance(None, np.eye(2), default=1e-10)
    1e-10
    """
    eps = operands.rounding(matrix)
    if tolerance is None:
        return max(default, 1e3 * eps)
    tolerance = checks.number("tolerance", tolerance, low=0, high=1, strict=True)
    if tolerance < 16 * eps:
        raise checks.InputError(
            f"tolerance={tolerance:g} is below the rounding of {np.dtype(matrix.dtype)}; expected "
            f"at least {16 * eps:.2g}, or an operator of higher precision"
        )
    return tolerance


def rounding_of_residuals(matrix, norm):
    """Residual that the rounding of one product leaves, ``64 eps |A| sqrt(D)``."""
    return 64 * operands.rounding(matrix) * norm * math.sqrt(matrix.shape[0])


def require_residuals(pairs, matrix, tolerance, norm, remedy):
    """Return the pairs if each residual is at most ``tolerance * |A|`` up to rounding.

    Raises
    ------
    InputError
        If a number is not finite.
    NotConverged
        If a residual is larger; `partial` holds the pairs.
    """
    operands.finite_products(pairs.residuals)
    met = pairs.residuals <= tolerance * norm + rounding_of_residuals(matrix, norm)
    if not met.all():
        raise NotConverged(
            f"{int(met.sum())} of {len(met)} eigenpairs reached the tolerance {tolerance:g}; the "
            f"largest residual is {pairs.residuals.max():.2g}, {tolerance:g} |A| is "
            f"{tolerance * norm:.2g}; {remedy} (the partial result holds all pairs)",
            pairs,
        )
    return pairs


def may_hide_copies(values, block_size, width):
    """Return whether a Krylov space of so many start vectors may lack copies of an eigenvalue.

    Such a space holds at most `block_size` vectors of each eigenspace. An eigenvalue of which
    fewer copies were found has no others. Copies of the last value are none of the leading ones.

    Parameters
    ----------
    values : ndarray, shape (k,)
        Leading eigenvalues, the last one last.
    block_size : int
        Start vectors.
    width : float
        Values that are no further apart may be copies of one eigenvalue.

    Examples
    --------
    >>> may_hide_copies(np.array([3.0, 3.0, 1.0]), 2, 1e-9)
    True
    >>> may_hide_copies(np.array([3.0, 2.0, 1.0, 1.0]), 2, 1e-9)
    False
    """
    if block_size >= len(values):
        return False
    before_last = values[np.abs(values - values[-1]) > width]
    copies = np.sum(np.abs(before_last[:, None] - values) <= width, axis=1)
    return bool((copies >= block_size).any())
