"""Extremes of ``v^T F v / v^T G v`` in the span of the factors of G, without D x D matrices.

With ``G = A^T A``, A of shape (n, D), and ``F = (W A)^T (W A)``, where row i of W holds w_i at the
columns of example i. With an orthonormal basis Q of the range of A, the ratios are those of
``|W Q z|^2 / |z|^2``: squares of the singular values of W Q. G is not inverted, so that the rows
of A may differ in size by many powers of ten.
"""

from dataclasses import dataclass

import numpy as np
import scipy.linalg

# Relative to the largest, with rows of unit length: below it, singular values may be rounding.
_SMALLEST_SINGULAR_VALUE = 1e-11


@dataclass(frozen=True)
class Extremes:
    """Extremes of the ratio of two quadratic forms.

    Attributes
    ----------
    smallest, mean, largest : float
        Extremes over the range of G, and ``Tr(F G) / Tr(G^2)``.
    direction : ndarray, shape (D,)
        Unit vector of the largest ratio.
    rank : int
        Dimension of the range of G.
    """

    smallest: float
    mean: float
    largest: float
    direction: np.ndarray
    rank: int


@dataclass(frozen=True)
class Factor:
    """Factor A of the Gauss-Newton matrix, with the weights W that make the Fisher matrix.

    Parameters
    ----------
    rows : ndarray, shape (n, D)
        A; no row is 0 for every theta.
    weights : ndarray, shape (n,)
        The entries of w_i, one for each row.
    examples : ndarray of int, shape (n,)
        The example of each row, not decreasing.

    Examples
    --------
    G = diag(1, 4), and F = 9 e_1 e_1^T + 4 * 4 e_2 e_2^T:

    >>> factor = Factor(np.diag([1.0, 2.0]), np.array([3.0, 2.0]), np.array([0, 1]))
    >>> found = factor.extremes(reached_below=True)
    >>> round(found.smallest, 12), round(found.largest, 12), abs(found.direction)
    (4.0, 9.0, array([1., 0.]))
    """

    rows: np.ndarray
    weights: np.ndarray
    examples: np.ndarray

    def combined(self, rows):
        """``W rows``: the weighted sum of the rows of each example, shape (number, k)."""
        starts = np.flatnonzero(np.diff(self.examples, prepend=-1))
        return np.add.reduceat(self.weights[:, None] * rows, starts, axis=0)

    def extremes(self, *, reached_below):
        """Return the extremes of the ratio.

        Parameters
        ----------
        reached_below : bool
            Whether each example has one row and no weight is 0, so that the smallest ratio is
            positive. It is then the inverse of the largest ratio of G to F.

        Returns
        -------
        Extremes
        """
        to_parameters, rows = self._reduced()
        images, rank = self.combined(rows), rows.shape[1]
        basis, coordinates = _row_wise_basis(rows)
        _, values, vectors = np.linalg.svd(self.combined(basis), full_matrices=False)
        if reached_below:
            inverse = _row_wise_basis(images)[0] / self.weights[:, None]
            smallest = np.linalg.norm(inverse, 2) ** -2
        else:
            # F has at most one direction for each example.
            smallest = 0.0 if len(images) < rank else values[-1] ** 2
        mean = _mean_ratio(images, rows)
        direction = to_parameters(coordinates(vectors[0]))
        direction /= np.abs(direction).max()
        direction /= np.linalg.norm(direction)
        return Extremes(float(smallest), float(mean), float(values[0] ** 2), direction, rank)

    def _reduced(self):
        """Map to parameter space, and A in a basis of its row space, (n, k), up to a factor."""
        # without squares of the entries, which leave the floating-point numbers
        sizes = np.abs(self.rows).max(axis=1)
        sizes[sizes == 0] = 1.0
        unit = self.rows / sizes[:, None]
        lengths = np.maximum(np.linalg.norm(unit, axis=1), 1.0)
        unit /= lengths[:, None]
        sizes *= lengths
        sizes /= sizes.max()  # a factor of A changes no ratio
        small = unit
        if unit.shape[1] > unit.shape[0]:
            # the transposed triangle of a QR decomposition has the same left singular vectors
            small = scipy.linalg.qr(unit.T, mode="raw", check_finite=False)[1].T
        left, values, _ = np.linalg.svd(small, full_matrices=False)
        kept = values > _SMALLEST_SINGULAR_VALUE * values[0]
        left, values = left[:, kept], values[kept]
        return lambda v: unit.T @ (left @ (v / values)), sizes[:, None] * (left * values)


def _mean_ratio(images, rows):
    """``|images rows^T|_F^2 / |rows rows^T|_F^2``, without squares outside of the numbers."""
    sizes = [float(np.abs(each).max()) or 1.0 for each in (images, rows)]
    images, rows = images / sizes[0], rows / sizes[1]
    root = np.linalg.norm(images @ rows.T) / np.linalg.norm(rows @ rows.T)
    return (root * (sizes[0] / sizes[1])) ** 2


def _row_wise_basis(rows):
    """Orthonormal basis Q of the range of `rows`, (n, k), and the map from z to v, rows v = c Q z.

    The number c > 0 keeps v within the range of floating-point numbers.
    The columns of `rows` are independent.
    """
    # Pivots on rows in decreasing order make Q accurate relative to every row.
    order = np.argsort(-np.abs(rows).max(axis=1), kind="stable")
    sorted_basis, factor, columns = scipy.linalg.qr(rows[order], mode="economic", pivoting=True)
    basis = np.empty_like(sorted_basis)
    basis[order] = sorted_basis

    def coordinates(z):
        result = np.empty(len(columns))
        least = np.abs(np.diagonal(factor)).min()
        result[columns] = scipy.linalg.solve_triangular(factor, least * z)
        return result

    return basis, coordinates
