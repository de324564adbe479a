"""Curvatures of examples in the span of their factors, in the eigenbasis of their mean.

With R factors in R^D, all Hessians H_i act within the span of the factors, of dimension
``n <= min(R, D)``. An orthonormal basis of the span comes from the R x R Gram matrix of the factors
where R < D, so that nothing of size D x D is formed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import scipy.linalg

from aniso import checks, memory

if TYPE_CHECKING:
    from aniso.typing import Array


_EPS = np.finfo(np.float64).eps


@dataclass(frozen=True, repr=False)
class CurvatureSpan:
    """Hessians ``H_i = X_i^T S_i X_i`` within their span, in the eigenbasis of ``H = mean H_i``.

    Attributes
    ----------
    eigenvalues : ndarray, shape (n,)
        Eigenvalues of H, increasing, all positive.
    coordinates : ndarray, shape (N, r, n)
        Factors X_i.
    weights : ndarray, shape (N, r, r), or None
        Symmetric S_i; None stands for the identity.
    combination : ndarray, shape (R, n) or (D, n)
        Combination of the R factors, or of the unit vectors, that makes each basis vector.
    of_factors : bool
        Whether it combines factors.
    """

    eigenvalues: np.ndarray
    coordinates: np.ndarray
    weights: np.ndarray | None
    combination: np.ndarray
    of_factors: bool

    @property
    def dimension(self) -> int:
        """n, dimension of the span."""
        return len(self.eigenvalues)

    def mean_sandwich(self, lower: Array) -> Array:
        """Return ``(1/N) sum_i H_i M H_i`` of a symmetric M, its lower triangle.

        Parameters
        ----------
        lower : ndarray, shape (n, n)
            M below the diagonal, and *half* of its diagonal, so that ``M = L + L^T``. Entries above
            the diagonal are not read.

        Returns
        -------
        ndarray, shape (n, n)
            Only entries on and below the diagonal are meant.

        Notes
        -----
        Two products with a triangle, 2 n^2 R flops.
        """
        count, rank, dimension = self.coordinates.shape
        rows = self.coordinates.reshape(count * rank, dimension)
        # LAPACK's order is by columns: X L = (L^T X^T)^T
        images = scipy.linalg.blas.dtrmm(1.0, lower.T, rows.T, lower=0).T
        if rank == 1:
            forms = 2 * np.einsum("ij,ij->i", images, rows)
            if self.weights is not None:
                forms *= self.weights[:, 0, 0] ** 2
            return _signed_gram(rows, forms / count)
        inner = images.reshape(self.coordinates.shape) @ self.coordinates.transpose(0, 2, 1)
        inner += inner.transpose(0, 2, 1)
        if self.weights is not None:
            inner = self.weights @ inner @ self.weights
        values, vectors = np.linalg.eigh(inner)
        turned = vectors.transpose(0, 2, 1) @ self.coordinates
        return _signed_gram(turned.reshape(rows.shape), values.reshape(-1) / count)

    def __repr__(self):
        ends = "" if self.dimension == 0 else f", largest eigenvalue {self.eigenvalues[-1]:.6g}"
        return f"<CurvatureSpan: n = {self.dimension}{ends}>"


def _signed_gram(rows, factors):
    """Return the lower triangle of ``sum_i c_i x_i x_i^T``, factors of one sign at a time."""
    total = np.zeros((rows.shape[1],) * 2)
    for sign in (1.0, -1.0):
        chosen = sign * factors > 0
        if chosen.any():
            scaled = rows[chosen] * np.sqrt(sign * factors[chosen])[:, None]
            total += sign * scipy.linalg.blas.dsyrk(1.0, scaled.T, lower=0).T
    return total


def weighted(weights, coordinates):
    """Return ``S_i X_i``, shape (N, r, K), of weights (N, r, r) or None and arrays (N, r, K)."""
    return coordinates if weights is None else weights @ coordinates


def span_of(rows, weights):
    """Return the span of the Hessians ``H_i = F_i^T S_i F_i``.

    Parameters
    ----------
    rows : ndarray, shape (N, r, D)
        Factors F_i.
    weights : ndarray, shape (N, r, r), or None
        Symmetric S_i; None stands for the identity.

    Returns
    -------
    CurvatureSpan

    Raises
    ------
    InputError
        If the mean has a negative eigenvalue, or is zero in a direction in which an H_i is not.
    AllocationRefused
        If the matrices of size R x R or D x D do not fit.

    Notes
    -----
    Eigenvalues below ``8 max(R, n) eps`` times the largest count as zero. The examples' own
    curvature there is at most N times as large, which changes no threshold beyond rounding.
    """
    count, rank, dimension = rows.shape
    num_rows = count * rank
    size = min(num_rows, dimension)
    memory.require(
        8 * (num_rows * size + 6 * size**2),
        f"the span of {num_rows} factors of {dimension} parameters",
        "use problem.subset of fewer examples",
    )
    flat = rows.reshape(num_rows, dimension)
    of_factors = num_rows < dimension
    if of_factors:
        values, vectors = np.linalg.eigh(flat @ flat.T)
        kept = values > 8 * num_rows * _EPS * values[-1]
        roots = np.sqrt(values[kept])
        coordinates, combination = vectors[:, kept] * roots, vectors[:, kept] / roots
        if weights is None:
            coordinates = coordinates.reshape(count, rank, len(roots))
            return CurvatureSpan(values[kept] / count, coordinates, None, combination, True)
    else:
        coordinates, combination = flat, np.eye(dimension)
    values, vectors, kept = _decomposed_mean(coordinates.reshape(count, rank, -1), weights)
    coordinates = (coordinates @ vectors[:, kept]).reshape(count, rank, -1)
    combination = combination @ vectors[:, kept]
    return CurvatureSpan(values[kept], coordinates, weights, combination, of_factors)


def _decomposed_mean(coordinates, weights):
    """Return eigenvalues and eigenvectors of the mean, and which of them are not zero."""
    count, rank, dimension = coordinates.shape
    if dimension == 0:
        return np.zeros(0), np.zeros((0, 0)), np.zeros(0, dtype=bool)
    flat = coordinates.reshape(count * rank, dimension)
    mean = flat.T @ weighted(weights, coordinates).reshape(flat.shape) / count
    values, vectors = np.linalg.eigh((mean + mean.T) / 2)
    # |H_i| in the Frobenius norm, from the r x r Gram matrix of each example
    products = weighted(weights, coordinates @ coordinates.transpose(0, 2, 1))
    sizes = np.sqrt(np.maximum(np.einsum("iab,iba->i", products, products), 0.0))
    scale = max(float(np.abs(values).max()), float(sizes.max()) / count)
    limit = 8 * max(dimension, count * rank) * _EPS * scale
    if values[0] < -limit:
        raise checks.InputError(
            f"the mean of the examples' Hessians has the negative eigenvalue {values[0]:.6g}, "
            "along which every learning rate is unstable; expected a positive semi-definite mean, "
            "as at a minimum, or Gauss-Newton factors"
        )
    kept = values > limit
    flat_directions = vectors[:, ~kept]
    if weights is not None and flat_directions.shape[1]:
        _require_flat(coordinates, weights, flat_directions, limit * float(sizes.max()))
    return values, vectors, kept


def _require_flat(coordinates, weights, directions, limit):
    """Refuse examples with curvature where the mean has none; v^T H v >= |H_i v|^2 / (N |H_i|)."""
    images = weights @ (coordinates @ directions)
    grams = coordinates @ coordinates.transpose(0, 2, 1)
    squares = np.einsum("iak,iab,ibk->k", images, grams, images) / len(coordinates)
    if squares.max() > 8 * limit:
        raise checks.InputError(
            "the mean of the examples' Hessians is zero in a direction in which examples have "
            f"curvature (root mean square {np.sqrt(squares.max()):.6g}), and every learning rate "
            "is unstable along it; expected positive semi-definite H_i, or a positive mean there"
        )
