"""Leading and extreme eigenpairs of a symmetric matrix, with residuals and a verdict."""

from dataclasses import dataclass

import numpy as np
import scipy.linalg
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

from aniso import checks, operands
from aniso.estimates import NotConverged

_ORDERS = {"largest": "LA", "smallest": "SA", "magnitude": "LM"}
# Up to this dimension LAPACK takes about a second; above it Lanczos is faster for a few pairs.
_DENSE_DIMENSION = 1500


@dataclass(frozen=True)
class EigenPairs:
    """Eigenvalues and eigenvectors of a symmetric matrix, with residuals.

    Attributes
    ----------
    values : ndarray, shape (k,)
        Eigenvalues in the order that was asked for.
    vectors : ndarray, shape (D, k)
        Orthonormal eigenvectors in the columns; the component largest in magnitude is positive.
    residuals : ndarray, shape (k,)
        ``|A v - value v|``; some eigenvalue lies within it of each value.
    num_products : int
        Products of the matrix with a vector that it took; 0 where an array was decomposed.
    """

    values: np.ndarray
    vectors: np.ndarray
    residuals: np.ndarray
    num_products: int


def leading_eigenpairs(
    matrix, num_pairs, *, which="largest", tolerance=1e-10, max_products=100_000, start=None
):
    """The `num_pairs` leading eigenpairs of a symmetric matrix.

    Parameters
    ----------
    matrix : array_like (D, D) or LinearOperator
        Symmetric.
    num_pairs : int
        k, 1 <= k <= D.
    which : {"largest", "smallest", "magnitude"}
        Largest eigenvalues in decreasing order, smallest in increasing order, or largest in
        magnitude in decreasing order of it.
    tolerance : float
        Residuals are at most ``tolerance * |A|``, |A| the largest magnitude found.
    max_products : int
        Bound on the iteration.
    start : array_like, shape (D,), optional
        Start vector of the iteration; a fixed quasi-random sequence if not given, so that the
        result is reproducible.

    Returns
    -------
    EigenPairs

    Raises
    ------
    InputError
        If an argument breaks its rule.
    NotConverged
        If the iteration stops before the tolerance; `partial` holds the EigenPairs that had
        converged.

    Notes
    -----
    An array of moderate size, or an operator of which a large share of the spectrum is wanted, is
    decomposed by LAPACK; otherwise implicitly restarted Lanczos (ARPACK). Lanczos with one start
    vector sees a multiple eigenvalue through rounding alone and may miss a copy.

    Examples
    --------
    >>> pairs = leading_eigenpairs([[2.0, 0.0], [0.0, -3.0]], 1, which="magnitude")
    >>> pairs.values
    array([-3.])
    """
    matrix = operands.symmetric("matrix", matrix)
    dimension = matrix.shape[0]
    num_pairs = checks.integer("num_pairs", num_pairs, low=1, high=dimension, high_name="D")
    checks.one_of("which", which, list(_ORDERS))
    tolerance = checks.number("tolerance", tolerance, low=0, high=1, strict=True)
    max_products = checks.integer("max_products", max_products, low=1)
    if start is not None:
        start = checks.array("start", start, shape=(dimension,))
        if not start.any():
            raise checks.InputError("start is zero; expected a vector with a non-zero entry")
    subspace = _subspace_size(num_pairs, dimension)
    if operands.is_dense(matrix) and (dimension <= _DENSE_DIMENSION or 10 * num_pairs > dimension):
        return _decomposed(matrix, num_pairs, which, 0)
    if 2 * subspace >= dimension:
        return _decomposed(operands.to_dense(matrix), num_pairs, which, dimension)
    start = quasi_random_vector(dimension) if start is None else start
    return _iterated(matrix, num_pairs, which, tolerance, max_products, start, subspace)


def extreme_eigenvalues(matrix, *, tolerance=1e-10, max_products=100_000):
    """The smallest and the largest eigenvalue of a symmetric matrix, a pair of floats.

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
    if operands.is_dense(matrix) and len(matrix) <= _DENSE_DIMENSION:
        values = np.linalg.eigvalsh(matrix)
        return float(values[0]), float(values[-1])
    ends = [
        leading_eigenpairs(matrix, 1, which=end, tolerance=tolerance, max_products=max_products)
        for end in ("smallest", "largest")
    ]
    return float(ends[0].values[0]), float(ends[1].values[0])


def with_residuals(matrix, values, vectors, num_products):
    """EigenPairs with the sign convention and the measured residuals of given pairs."""
    largest = np.abs(vectors).argmax(axis=0)
    signs = np.sign(vectors[largest, np.arange(vectors.shape[1])])
    vectors = vectors * np.where(signs == 0, 1.0, signs)
    residuals = np.linalg.norm(matrix @ vectors - vectors * values, axis=0)
    return EigenPairs(np.array(values), vectors, residuals, num_products)


def quasi_random_vector(dimension):
    """The fixed start vector, entries ``frac(j * golden ratio) - 1/2``, shape (D,)."""
    golden = (1 + np.sqrt(5)) / 2
    return np.modf(golden * np.arange(1, dimension + 1))[0] - 0.5


def _subspace_size(num_pairs, dimension):
    return min(dimension, max(2 * num_pairs + 1, 20))


def _decomposed(array, num_pairs, which, num_products):
    dimension = len(array)
    if which == "magnitude":
        values, vectors = np.linalg.eigh(array)
    else:
        low = 0 if which == "smallest" else dimension - num_pairs
        subset = [low, low + num_pairs - 1]
        values, vectors = scipy.linalg.eigh(array, subset_by_index=subset)
    order = _order(values, which)[:num_pairs]
    return with_residuals(array, values[order], vectors[:, order], num_products)


def _order(values, which):
    keys = {"largest": -values, "smallest": values, "magnitude": -np.abs(values)}
    return np.argsort(keys[which], kind="stable")


def _iterated(matrix, num_pairs, which, tolerance, max_products, start, subspace):
    counter = _Counted(matrix)
    if not (counter @ start).any():
        return _pairs_of_zero(counter, num_pairs)
    try:
        values, vectors = eigsh(
            counter,
            num_pairs,
            which=_ORDERS[which],
            v0=start,
            tol=tolerance,
            ncv=subspace,
            maxiter=max(1, max_products // (subspace - num_pairs)),
        )
    except ArpackNoConvergence as error:
        order = _order(error.eigenvalues, which)
        partial = with_residuals(
            matrix, error.eigenvalues[order], error.eigenvectors[:, order], counter.num_products
        )
        raise NotConverged(
            f"{len(order)} of {num_pairs} eigenpairs reached the tolerance {tolerance:g} within "
            f"{counter.num_products} products; raise max_products or the tolerance "
            "(the partial result holds the converged ones)",
            partial,
        ) from error
    order = _order(values, which)
    return with_residuals(matrix, values[order], vectors[:, order], counter.num_products)


def _pairs_of_zero(counter, num_pairs):
    """Eigenpairs of a matrix that maps the start vector to 0: of the zero matrix."""
    dimension = counter.shape[0]
    if (counter @ quasi_random_vector(dimension)).any():
        raise checks.InputError(
            "start lies in the null space of the matrix, where the iteration would stay; "
            "expected another start vector"
        )
    vectors = operands.unit_columns(dimension, 0, num_pairs)
    return with_residuals(counter, np.zeros(num_pairs), vectors, counter.num_products)


class _Counted(LinearOperator):
    """A symmetric matrix that counts its products."""

    def __init__(self, matrix):
        self.matrix = matrix
        self.num_products = 0
        super().__init__(np.dtype(np.float64), matrix.shape)

    def _matvec(self, vector):
        self.num_products += 1
        return operands.finite_products(self.matrix @ np.ravel(vector))
