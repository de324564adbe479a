"""Leading and extreme eigenpairs of a symmetric matrix, with residuals and a verdict."""

from dataclasses import replace

import numpy as np
import scipy.linalg
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

from aniso import checks
from aniso.estimates import NotConverged
from aniso.matrices import _pairs, block_lanczos, operands
from aniso.matrices._pairs import EigenPairs, with_residuals

__all__ = [
    "EigenPairs",
    "extreme_eigenvalues",
    "leading_eigenpairs",
    "quasi_random_vector",
    "with_residuals",
]

_TOLERANCE = 1e-10
_ROUGH = 1e-3
_SUBSPACE = 20  # ARPACK's for one pair
_ORDERS = {"largest": "LA", "smallest": "SA", "magnitude": "LM"}
# Up to this dimension LAPACK takes about a second; above it Lanczos is faster for a few pairs.
_DENSE_DIMENSION = 1500


def leading_eigenpairs(
    matrix, num_pairs, *, which="largest", tolerance=None, max_products=100_000, start=None
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
    tolerance : float, optional
        Residuals are at most ``tolerance * |A|`` plus the rounding of a product. |A| is the largest
        value or ``|A q|`` of the iteration's unit vectors q. If not given, 1e-10, or more in single
        precision.
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
        If an argument breaks its rule, or the products deny that the matrix is symmetric, or are
        not finite.
    NotConverged
        If the iteration stops before the tolerance, or the measured residuals stay above it;
        `partial` holds the EigenPairs that had converged.
    AllocationRefused
        If a block iteration for multiple eigenvalues does not fit.

    Notes
    -----
    An array of moderate size, or an operator of which a large share of the spectrum is wanted, is
    decomposed by LAPACK; otherwise implicitly restarted Lanczos (ARPACK). Lanczos with one start
    vector may miss copies of a multiple eigenvalue. After it, the leading eigenvalue of the matrix
    without the pairs found, from a random start, tells whether a larger one is missing. If so, the
    pairs are found by :func:`aniso.matrices.block_lanczos.leading_eigenpairs` with a block of k
    vectors, which misses none. The multiplicities of the values returned are right with probability
    one, for values that are further apart than ``tolerance |A|``.

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
    tolerance = _pairs.checked_tolerance(tolerance, matrix, default=_TOLERANCE)
    max_products = checks.integer("max_products", max_products, low=1)
    if start is not None:
        start = checks.array("start", start, shape=(dimension,))
        if not start.any():
            raise checks.InputError("start is zero; expected a vector with a non-zero entry")
    subspace = _subspace_size(num_pairs, dimension)
    if operands.is_dense(matrix) and (dimension <= _DENSE_DIMENSION or 10 * num_pairs > dimension):
        return _decomposed(matrix, num_pairs, which, tolerance, 0)
    if 2 * subspace >= dimension:
        dense = operands.to_dense(matrix)
        return _decomposed(dense, num_pairs, which, tolerance, dimension)
    start = quasi_random_vector(dimension) if start is None else start
    return _iterated(matrix, num_pairs, which, tolerance, max_products, start, subspace)


def extreme_eigenvalues(matrix, *, tolerance=None, max_products=100_000):
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


def quasi_random_vector(dimension):
    """The fixed start vector, entries ``frac(j * golden ratio) - 1/2``, shape (D,)."""
    golden = (1 + np.sqrt(5)) / 2
    return np.modf(golden * np.arange(1, dimension + 1))[0] - 0.5


def _subspace_size(num_pairs, dimension):
    return min(dimension, max(2 * num_pairs + 1, _SUBSPACE))


def _decomposed(array, num_pairs, which, tolerance, num_products):
    dimension = len(array)
    if which == "magnitude":
        values, vectors = np.linalg.eigh(array)
    else:
        low = 0 if which == "smallest" else dimension - num_pairs
        subset = [low, low + num_pairs - 1]
        values, vectors = scipy.linalg.eigh(array, subset_by_index=subset)
    order = _order(values, which)[:num_pairs]
    pairs = with_residuals(array, values[order], vectors[:, order], num_products)
    norm = float(np.linalg.norm(array, axis=0).max())
    return _pairs.require_residuals(pairs, array, tolerance, norm, "raise the tolerance")


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
    pairs = with_residuals(matrix, values[order], vectors[:, order], counter.num_products)
    counter.norm = max(counter.norm, float(np.abs(values).max()))
    _pairs.require_residuals(
        pairs, matrix, tolerance, counter.norm, "raise the tolerance to what the products allow"
    )
    if num_pairs > 1 and _lacks_copies(counter, pairs, which, tolerance, max_products):
        most = min(len(start), max(num_pairs, max_products))
        pairs = block_lanczos.leading_eigenpairs(
            matrix,
            num_pairs,
            which=which,
            tolerance=tolerance,
            block_size=num_pairs,
            max_basis=most,
        )
        return replace(pairs, num_products=counter.num_products + pairs.num_products)
    return replace(pairs, num_products=counter.num_products)


def _lacks_copies(counter, pairs, which, tolerance, max_products):
    """Whether an eigenvalue beyond the last of the pairs is left in the space without them."""
    # ARPACK's tolerance is relative to the value: the shift makes that the size of the matrix
    shift = {"largest": counter.norm, "smallest": -counter.norm, "magnitude": 0.0}[which]
    size = {"largest": float, "smallest": lambda value: -float(value), "magnitude": abs}[which]
    left = _Deflated(counter, pairs.vectors, shift)
    generator = np.random.Generator(np.random.Philox(key=0))
    start = generator.standard_normal(len(pairs.vectors))
    start -= pairs.vectors @ (pairs.vectors.T @ start)
    last = size(pairs.values[-1])
    moved = np.linalg.norm(left @ start - shift * start) / np.linalg.norm(start)
    if moved <= _pairs.rounding_of_residuals(counter.matrix, counter.norm):
        return last < -tolerance * counter.norm  # nothing but zeros is left
    # roughly first: a value well inside needs no more digits
    for accuracy in (max(tolerance, _ROUGH), tolerance):
        try:
            value, vector = eigsh(
                left,
                1,
                which=_ORDERS[which],
                v0=start,
                tol=accuracy,
                maxiter=max(1, max_products // _SUBSPACE),
            )
        except ArpackNoConvergence as error:
            raise NotConverged(
                f"whether copies of multiple eigenvalues are missing is not settled within "
                f"{counter.num_products} products; raise max_products or the tolerance (the "
                "partial result holds the pairs found)",
                replace(pairs, num_products=counter.num_products),
            ) from error
        residual = float(np.linalg.norm(left @ vector[:, 0] - value[0] * vector[:, 0]))
        found = size(value[0] - shift)
        if found > last + tolerance * counter.norm:
            return True
        if found + 2 * residual <= last:
            return False
    return False


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
    """A symmetric matrix that counts its products and keeps the largest ``|A q|`` seen."""

    def __init__(self, matrix):
        self.matrix = matrix
        self.num_products = 0
        self.norm = 0.0
        super().__init__(np.dtype(np.float64), matrix.shape)

    def _matvec(self, vector):
        self.num_products += 1
        vector = np.ravel(vector)
        product = operands.finite_products(self.matrix @ vector)
        length = float(np.linalg.norm(vector))
        if length > 0:
            self.norm = max(self.norm, float(np.linalg.norm(product)) / length)
        return product


class _Deflated(LinearOperator):
    """``A + shift I`` in the complement of eigenvectors V, zero within their span."""

    def __init__(self, matrix, vectors, shift):
        self.matrix, self.vectors, self.shift = matrix, vectors, shift
        super().__init__(np.dtype(np.float64), matrix.shape)

    def _matvec(self, vector):
        vector = np.ravel(vector)
        outside = vector - self.vectors @ (self.vectors.T @ vector)
        moved = self.matrix @ outside
        return moved - self.vectors @ (self.vectors.T @ moved) + self.shift * outside
