"""Implicitly restarted Lanczos (ARPACK) with a search for missing copies of eigenvalues."""

from dataclasses import replace

import numpy as np
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

from aniso import checks
from aniso.estimates import NotConverged
from aniso.matrices import _block_lanczos, _pairs, operands

_ROUGH = 1e-3
_SUBSPACE = 20  # ARPACK's for one pair
_ORDERS = {"largest": "LA", "smallest": "SA", "magnitude": "LM"}


def subspace_size(num_pairs, dimension):
    """Return the number of vectors that ARPACK keeps for k pairs, at least 2 k + 1 or D."""
    return min(dimension, max(2 * num_pairs + 1, _SUBSPACE))


def quasi_random_vector(dimension):
    """Return the fixed start vector, entries ``frac(j * golden ratio) - 1/2``, shape (D,)."""
    golden = (1 + np.sqrt(5)) / 2
    return np.modf(golden * np.arange(1, dimension + 1))[0] - 0.5


def iterate(matrix, num_pairs, which, tolerance, max_products, start):
    """Return the leading eigenpairs, k < D.

    Parameters
    ----------
    matrix : ndarray (D, D) or LinearOperator
        Checked to be symmetric.
    num_pairs, which, tolerance, max_products
        As for :func:`aniso.matrices.leading_eigenpairs`.
    start : ndarray, shape (D,), or None
        Start vector; fixed numbers if None.

    Returns
    -------
    EigenPairs

    Raises
    ------
    InputError
        If the start vector is in the null space.
    NotConverged
        As :func:`aniso.matrices.leading_eigenpairs`.
    """
    dimension = matrix.shape[0]
    subspace = subspace_size(num_pairs, dimension)
    start = quasi_random_vector(dimension) if start is None else start
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
        order = _pairs.order_of(error.eigenvalues, which)
        partial = _pairs.with_residuals(
            matrix, error.eigenvalues[order], error.eigenvectors[:, order], counter.num_products
        )
        raise NotConverged(
            f"{len(order)} of {num_pairs} eigenpairs reached the tolerance {tolerance:g} within "
            f"{counter.num_products} products; raise max_products or the tolerance "
            "(the partial result holds the converged ones)",
            partial,
        ) from error
    order = _pairs.order_of(values, which)
    pairs = _pairs.with_residuals(matrix, values[order], vectors[:, order], counter.num_products)
    counter.norm = max(counter.norm, float(np.abs(values).max()))
    _pairs.require_residuals(
        pairs,
        matrix,
        tolerance,
        counter.norm,
        "raise the tolerance to the products' rounding",
    )
    if num_pairs > 1 and _lacks_copies(counter, pairs, which, tolerance, max_products):
        limit = min(dimension, max(num_pairs, max_products))
        block = _block_lanczos.first_block(dimension, num_pairs, num_pairs)
        pairs = _block_lanczos.iterate(matrix, num_pairs, which, tolerance, limit, block)
        return replace(pairs, num_products=counter.num_products + pairs.num_products)
    return replace(pairs, num_products=counter.num_products)


def _lacks_copies(counter, pairs, which, tolerance, max_products):
    """Return whether the complement of the pairs has an eigenvalue beyond the last of them."""
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
    """Return eigenpairs of the zero matrix, after a product of the start vector that was 0."""
    dimension = counter.shape[0]
    if (counter @ quasi_random_vector(dimension)).any():
        raise checks.InputError(
            "start lies in the null space of the matrix, where the iteration would stay; "
            "expected another start vector"
        )
    vectors = operands.unit_columns(dimension, 0, num_pairs)
    return _pairs.with_residuals(counter, np.zeros(num_pairs), vectors, counter.num_products)


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
