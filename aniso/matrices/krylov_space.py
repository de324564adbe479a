"""A Krylov space of a symmetric matrix that holds its leading eigenvectors, with all products.

With an orthonormal basis W of the space and ``Q = I - W W^T``,

    A = V S V^T + Q A Q,      V = (W, N),   S = (W^T A W, C^T; C, 0),

where N spans the part of A W outside of the space, and ``C = N^T A W``. So traces of A with any
matrix are exact but for those of Q A Q, which holds none of the leading eigenvalues.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from aniso import checks
from aniso.estimates import NotConverged
from aniso.matrices import _block_lanczos, _pairs, operands
from aniso.matrices._pairs import EigenPairs

if TYPE_CHECKING:
    from aniso.typing import Array, ArrayLike, Matrix


_BLOCK_SIZE = 4


@dataclass(frozen=True, repr=False)
class LeadingSpace:
    """Leading eigenpairs of a symmetric matrix A, and the Krylov space that they came from.

    Attributes
    ----------
    pairs : EigenPairs
        The k leading eigenpairs.
    vectors : ndarray, shape (D, M)
        V, orthonormal; the first m columns are W.
    coupling : ndarray, shape (M, M)
        S, symmetric.
    dimension : int
        m.

    Examples
    --------
    >>> space = leading_space(np.diag([4.0, 2.0, 1.0]), 1)
    >>> space.pairs.values, round(float(np.trace(space.coupling)), 12)  # the whole space
    (array([4.]), 7.0)
    >>> space
    <LeadingSpace: D = 3, 1 eigenpairs from 4 to 4, in 3 dimensions>
    """

    pairs: EigenPairs
    vectors: np.ndarray
    coupling: np.ndarray
    dimension: int

    @property
    def basis(self) -> Array:
        """W, shape (D, m)."""
        return self.vectors[:, : self.dimension]

    def outside(self, vectors: ArrayLike) -> Array:
        """``Q X`` of vectors X, shape (D, K)."""
        return vectors - self.basis @ (self.basis.T @ vectors)

    def __repr__(self):
        values = self.pairs.values
        return (
            f"<LeadingSpace: D = {len(self.vectors)}, {len(values)} eigenpairs from "
            f"{values[0]:.6g} to {values[-1]:.6g}, in {self.dimension} dimensions>"
        )


def leading_space(
    matrix: Matrix,
    num_pairs: int,
    *,
    tolerance: float = 1e-4,
    block_size: int | None = None,
    max_products: int = 10_000,
) -> LeadingSpace:
    """Return the leading eigenpairs of a symmetric matrix and the Krylov space of the iteration.

    Parameters
    ----------
    matrix : array_like (D, D) or LinearOperator
        Symmetric.
    num_pairs : int
        k, 1 <= k <= D.
    tolerance : float
        Residuals are at most ``tolerance * |A|`` and the rounding of a product.
    block_size : int, optional
        Start vectors; 4, or k/10 if that is more, where it is not given.
    max_products : int
        Largest dimension of the space.

    Returns
    -------
    LeadingSpace

    Raises
    ------
    InputError
        If an argument breaks its rule, or products are not finite or not symmetric.
    NotConverged
        If the space is as large as allowed before the tolerance; `partial` holds the pairs.
    AllocationRefused
        If the space does not fit.

    Notes
    -----
    Cost: m products, and one of the signed sum of the pairs. Its difference from the products of
    the iteration is added to each residual. Memory 8 D (m + b) bytes. Formulas: "Traces beyond a
    Krylov space" in docs/theory/estimates.md.

    Examples
    --------
    >>> found = leading_space(np.diag(np.arange(100.0)), 2, tolerance=1e-6)
    >>> np.round(found.pairs.values, 6), bool(found.pairs.residuals.max() < 1e-4)
    (array([99., 98.]), True)
    """
    matrix = operands.symmetric("matrix", matrix, probed=False)
    size = matrix.shape[0]
    num_pairs = checks.integer("num_pairs", num_pairs, low=1, high=size, high_name="D")
    tolerance = _pairs.checked_tolerance(tolerance, matrix, default=1e-4)
    limit = min(size, checks.integer("max_products", max_products, low=num_pairs))
    if block_size is None:
        block_size = min(size, max(_BLOCK_SIZE, num_pairs // 10))
    block = _block_lanczos.first_block(size, num_pairs, block_size)
    pairs, iteration = _block_lanczos.run(
        _SpaceIteration, matrix, num_pairs, "largest", tolerance, limit, block
    )
    space = LeadingSpace(pairs, *iteration.whole_space(), iteration.count)
    return _measured(matrix, space, tolerance, iteration.norm)


class _SpaceIteration(_block_lanczos.Iteration):
    """Block Lanczos whose residuals come from the products of the basis."""

    def _pairs(self, values, vectors):
        values, lifted, residuals, _ = self._lifted(values, vectors)
        return EigenPairs(values, lifted, residuals, self.count)

    def whole_space(self):
        """Return V, shape (D, M), and S."""
        count = self.count
        inside = self.projected[:count, :count]
        if self.coupling is None or not len(self.next):
            return self.basis[:count].copy().T, (inside + inside.T) / 2
        rows, last = len(self.next), self.coupling.shape[1]
        coupling = np.zeros((count + rows, count + rows))
        coupling[:count, :count] = (inside + inside.T) / 2
        coupling[count:, count - last : count] = self.coupling
        coupling[count - last : count, count:] = self.coupling.T
        return np.vstack([self.basis[:count], self.next]).T, coupling


def _measured(matrix, space, tolerance, norm):
    """Return the space with what one product of the pairs shows beyond their residuals."""
    pairs, basis = space.pairs, space.basis
    signs = _block_lanczos.alternating(len(pairs.values)).astype(basis.dtype)
    summed = pairs.vectors @ signs
    expected = space.vectors @ (space.coupling[:, : space.dimension] @ (basis.T @ summed))
    image = operands.finite_products(np.asarray(matrix @ summed, dtype=np.float64))
    beyond = float(np.linalg.norm(image - expected))
    pairs = replace(
        pairs,
        residuals=np.hypot(pairs.residuals, beyond),
        num_products=pairs.num_products + 1,
    )
    # the sum of k unit vectors has the norm sqrt(k), and so much more rounding
    allowed = tolerance * norm + np.sqrt(len(signs)) * _pairs.rounding_of_residuals(matrix, norm)
    if pairs.residuals.max() > np.sqrt(2) * allowed:
        raise NotConverged(
            f"a product with the eigenvectors differs by {beyond:.2g} from the products of the "
            f"iteration, whose residuals may be {allowed:.2g}: the products are not accurate "
            "enough; raise the tolerance (the partial result holds the pairs)",
            pairs,
        )
    return replace(space, pairs=pairs)
