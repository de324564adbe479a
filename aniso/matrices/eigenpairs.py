"""Leading and extreme eigenpairs of a symmetric matrix, with measured residuals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import scipy.linalg

from aniso import checks
from aniso.matrices import _arpack, _block_lanczos, _pairs, operands
from aniso.matrices._arpack import quasi_random_vector
from aniso.matrices._pairs import EigenPairs, with_residuals

if TYPE_CHECKING:
    from aniso.typing import ArrayLike, Matrix


__all__ = [
    "EigenPairs",
    "extreme_eigenvalues",
    "leading_eigenpairs",
    "quasi_random_vector",
    "with_residuals",
]

_TOLERANCE = 1e-10
# Up to this dimension LAPACK takes about a second; above it Lanczos is faster for a few pairs.
_LAPACK_DIMENSION = 1500
# From so many pairs on, block products are faster than ARPACK's single ones.
_MANY = 21


def leading_eigenpairs(
    matrix: Matrix,
    num_pairs: int,
    *,
    which: Literal["largest", "smallest", "magnitude"] = "largest",
    method: Literal["auto", "dense", "arpack", "block"] = "auto",
    tolerance: float | None = None,
    block_size: int | None = None,
    max_products: int = 100_000,
    start: ArrayLike | None = None,
) -> EigenPairs:
    """Return the k leading eigenpairs of a symmetric matrix.

    Parameters
    ----------
    matrix : array_like (D, D) or LinearOperator
        Symmetric.
    num_pairs : int
        k, 1 <= k <= D.
    which : {"largest", "smallest", "magnitude"}
        Largest eigenvalues in decreasing order, smallest in increasing order, or largest in
        magnitude, in decreasing order of the magnitude.
    method : {"auto", "dense", "arpack", "block"}
        "dense": LAPACK; an operator is formed by D products. "arpack": implicitly restarted
        Lanczos, products with single vectors, k < D. "block": block Lanczos with full
        reorthogonalisation, for operators with a fast product of blocks. "auto": dense for an array
        of moderate size, or if many of the D pairs are wanted; block with `block_size`, with a
        block `start`, or for more than 20 pairs; ARPACK otherwise.
    tolerance : float, optional
        Residuals are at most ``tolerance * |A|`` plus the rounding of a product. ``|A|`` is the
        largest value or ``|A q|`` of the iteration's unit vectors q. If not given, 1e-10, or more
        in single precision.
    block_size : int, optional
        Start vectors b of the block iteration; about k/10 between 8 and 40 if not given.
    max_products : int
        Bound on the iteration; a block iteration keeps a basis of as many vectors, at most D.
    start : array_like, shape (D,) or (D, b), optional
        Start vector, or the first block; fixed numbers if not given, so that the result is
        reproducible.

    Returns
    -------
    EigenPairs
        Pairs with their measured residuals.

    Raises
    ------
    InputError
        If an argument breaks its rule. If the products are not finite, or show that the matrix is
        not symmetric.
    NotConverged
        If the iteration stops before the tolerance, or the measured residuals stay above it;
        `partial` holds the pairs that were found.
    AllocationRefused
        If the basis of a block iteration, or a dense matrix, does not fit.

    Notes
    -----
    Multiplicities are right with probability one, for values that are further apart than
    ``2 tolerance |A|``. Lanczos with one start vector may miss copies of a multiple eigenvalue. So
    the pairs found are removed from the matrix, and its leading eigenvalue is computed from a
    random start. If that value shows that a pair is missing, a block of k vectors finds the pairs.

    A random block of b vectors finds up to b directions of each eigenspace. The iteration may find
    b copies of one eigenvalue above the last of the k values. It is then repeated with
    ``min(k, max(64, 4 b))`` vectors, until no eigenvalue has so many copies.

    A block iteration of m basis vectors costs m products and one more, 4 D m^2 flops of
    orthogonalisation and 8 D m bytes. Its residuals come from the products of the iteration. The
    last product, with the signed sum of the vectors, measures what these leave out. Formulas:
    "Residuals of eigenpairs" in docs/theory/estimates.md.

    Examples
    --------
    >>> pairs = leading_eigenpairs([[2.0, 0.0], [0.0, -3.0]], 1, which="magnitude")
    >>> pairs.values
    array([-3.])
    >>> pairs
    <EigenPairs: k = 1, D = 2, values from -3 to -3, residuals <= 0, 0 products>
    """
    checked = operands.symmetric("matrix", matrix, probed=False)
    dimension = checked.shape[0]
    num_pairs = checks.integer("num_pairs", num_pairs, low=1, high=dimension, high_name="D")
    checks.one_of("which", which, list(_pairs.ORDERS))
    tolerance = _pairs.checked_tolerance(tolerance, checked, default=_TOLERANCE)
    max_products = checks.integer("max_products", max_products, low=1)
    start = _checked_start(start, dimension)
    method = _chosen(method, checked, num_pairs, block_size, start)
    if method == "block":
        limit = min(dimension, max_products)
        checks.integer("max_products", limit, low=num_pairs)
        block = start if start is not None and start.ndim == 2 else None
        if block is None:
            block = _block_lanczos.first_block(dimension, num_pairs, block_size, start)
        return _block_lanczos.iterate(checked, num_pairs, which, tolerance, limit, block)
    if not operands.is_dense(checked):
        checked = operands.symmetric("matrix", matrix)  # probed
    if method == "arpack":
        return _arpack.iterate(checked, num_pairs, which, tolerance, max_products, start)
    num_products = 0 if operands.is_dense(checked) else dimension
    return _decomposed(operands.to_dense(checked), num_pairs, which, tolerance, num_products)


def _checked_start(start, dimension):
    if start is None:
        return None
    start = checks.array("start", start)
    if start.ndim not in (1, 2) or start.shape[0] != dimension:
        raise checks.InputError(
            f"start has shape {start.shape}; expected ({dimension},) or ({dimension}, b)"
        )
    if not start.any():
        raise checks.InputError("start is zero; expected a vector with a non-zero entry")
    return start


def _chosen(method, matrix, num_pairs, block_size, start):
    """Return the method, chosen for "auto" and checked against the other arguments."""
    checks.one_of("method", method, ["auto", "dense", "arpack", "block"])
    dimension = matrix.shape[0]
    many_vectors = block_size is not None or (start is not None and start.ndim == 2)
    if method == "auto":
        if many_vectors:
            return "block"
        moderate = dimension <= _LAPACK_DIMENSION or 10 * num_pairs > dimension
        few = 2 * _arpack.subspace_size(num_pairs, dimension) < dimension
        if not few or (operands.is_dense(matrix) and moderate):
            return "dense"
        return "block" if num_pairs >= _MANY else "arpack"
    if method != "block" and many_vectors:
        raise checks.InputError(
            f"block_size={block_size!r} or a start block is given with method={method!r}; "
            'expected method="block"'
        )
    if method == "arpack" and num_pairs == dimension:
        raise checks.InputError(
            f'num_pairs={num_pairs} with method="arpack"; expected less than D={dimension}, or '
            'method="dense"'
        )
    return method


def extreme_eigenvalues(
    matrix: Matrix, *, tolerance: float | None = None, max_products: int = 100_000
) -> tuple[float, float]:
    """Return the smallest and the largest eigenvalue of a symmetric matrix, a pair of floats.

    Parameters
    ----------
    matrix : array_like (D, D) or LinearOperator
        Symmetric.
    tolerance, max_products
        As for :func:`leading_eigenpairs`.

    Raises
    ------
    InputError
        If an argument breaks its rule.
    NotConverged
        If either iteration stops before the tolerance.

    Examples
    --------
    >>> extreme_eigenvalues([[2.0, 0.0], [0.0, -3.0]])
    (-3.0, 2.0)
    """
    matrix = operands.symmetric("matrix", matrix)
    if operands.is_dense(matrix) and len(matrix) <= _LAPACK_DIMENSION:
        values = np.linalg.eigvalsh(matrix)
        return float(values[0]), float(values[-1])
    ends = [
        leading_eigenpairs(matrix, 1, which=end, tolerance=tolerance, max_products=max_products)
        for end in ("smallest", "largest")
    ]
    return float(ends[0].values[0]), float(ends[1].values[0])


def _decomposed(array, num_pairs, which, tolerance, num_products):
    dimension = len(array)
    if which == "magnitude":
        values, vectors = np.linalg.eigh(array)
    else:
        low = 0 if which == "smallest" else dimension - num_pairs
        subset = [low, low + num_pairs - 1]
        values, vectors = scipy.linalg.eigh(array, subset_by_index=subset)
    order = _pairs.order_of(values, which)[:num_pairs]
    pairs = with_residuals(array, values[order], vectors[:, order], num_products)
    norm = float(np.linalg.norm(array, axis=0).max())
    return _pairs.require_residuals(pairs, array, tolerance, norm, "raise the tolerance")
