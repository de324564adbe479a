"""Leading eigenpairs of a factored covariance, through the smaller of its two Gram matrices."""

import numpy as np
import scipy.linalg

from aniso import checks, memory
from aniso.arrays import transfer
from aniso.matrices import _pairs, eigenpairs, operands
from aniso.threads import blas_threads

_ARRAY_TOLERANCE = 1e-10
_TOLERANCE = 1e-9


def leading_pairs(covariance, num_pairs):
    """Return the leading eigenpairs of a factored covariance.

    Parameters
    ----------
    covariance : FactoredCovariance
        Covariance given by its rows.
    num_pairs : int
        As in :meth:`aniso.matrices.FactoredCovariance.leading_eigenpairs`.

    Returns
    -------
    EigenPairs
    """
    gradients, (num_rows, dimension) = covariance.gradients, covariance.gradients.shape
    num_pairs = checks.integer("num_pairs", num_pairs, low=1, high=dimension, high_name="D")
    default = _ARRAY_TOLERANCE if gradients.holds_rows else _TOLERANCE
    tolerance = _pairs.checked_tolerance(None, covariance, default=default)
    if not gradients.holds_rows and gradients.gram is None:
        return eigenpairs.leading_eigenpairs(
            covariance, num_pairs, method="block", tolerance=tolerance
        )
    memory.require(
        8 * (3 * min(num_rows, dimension) ** 2 + 3 * dimension * num_pairs),
        f"{num_pairs} eigenpairs through a Gram matrix",
        'ask for fewer pairs, or use matrices.leading_eigenpairs(..., method="arpack"), which '
        "needs products alone",
    )
    if gradients.holds_rows and covariance.mean is None and dimension <= num_rows:
        rows = covariance.rows
        values, vectors = _leading(rows.T @ rows, num_pairs)
    else:
        found = min(num_pairs, num_rows)
        values, weights = _leading(gram_of(covariance), found)
        values = np.append(values, np.zeros(num_pairs - found))
        candidates = np.zeros((dimension, num_pairs), covariance.dtype)
        candidates[:, :found] = covariance.combine(weights.T).T
        # Householder QR keeps the basis orthonormal where columns vanish beyond the rank.
        with blas_threads(1):
            vectors = np.linalg.qr(candidates)[0]
    values = covariance.scale * np.maximum(values, 0.0)
    pairs = _pairs.with_residuals(covariance, values, vectors, num_products=0)
    return _pairs.require_residuals(
        pairs, covariance, tolerance, float(values[0]), "the gradients are too inaccurate"
    )


def gram_of(covariance):
    """Return the inner products of the deviations, (n, n), without the scale; a new array."""
    if covariance.gradients.gram is None:
        rows = covariance.rows
        return rows @ rows.T
    # a copy: the gradients may keep theirs
    gram = np.array(transfer.to_numpy(covariance.gradients.gram()))
    if covariance.mean is not None:
        gram -= gram.mean(axis=0)
        gram -= gram.mean(axis=1)[:, None]
    return gram


def _leading(matrix, count):
    last = len(operands.finite_products(matrix)) - 1
    with blas_threads(1):
        values, vectors = scipy.linalg.eigh(
            matrix,
            subset_by_index=[last + 1 - count, last],
            driver="evr",
            overwrite_a=True,
            check_finite=False,
        )
    return values[::-1].astype(np.float64), vectors[:, ::-1]
