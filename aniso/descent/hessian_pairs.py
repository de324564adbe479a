"""Leading eigenvectors of the Hessian, as the noise of a run of descent needs them."""

import numpy as np

from aniso.matrices import eigenpairs

_EXTRA_VECTORS = 4
# A refresh recomputes the matrix: beyond, a few block products cost less than D products. Where
# the matrix is kept for several quantities, problems.local_geometry.DENSE_DIMENSION counts.
_DENSE_REFRESH_DIMENSION = 400


def hessian_eigenpairs(at, settings, num_pairs, which="largest", start=None):
    """Compute the leading eigenpairs of the Hessian, to the tolerance of the settings.

    Parameters
    ----------
    at : problems.LocalGeometry
        Curvature at the present theta.
    settings : Settings
        `eigen_tolerance` bounds the residuals, relative to the norm of the Hessian.
    num_pairs : int
        k; fewer where D is smaller.
    which : {"largest", "magnitude"}
        Pairs with the largest eigenvalues, or with the largest absolute values.
    start : ndarray, shape (D, k), optional
        Eigenvectors of an earlier Hessian, from which the iteration starts.

    Returns
    -------
    EigenPairs

    Raises
    ------
    NotConverged
        If a residual stays above the tolerance; `partial` holds the pairs.

    Notes
    -----
    Up to D = 400 by the dense matrix, else by block Lanczos.
    """
    size = at.num_parameters
    num_pairs = min(num_pairs, size)
    if size <= _DENSE_REFRESH_DIMENSION:
        return eigenpairs.leading_eigenpairs(at.hessian.to_dense(), num_pairs, which=which)
    # one vector alone takes products from scratch; of more vectors a few spare ones help
    block_size = 1 if num_pairs == 1 else min(size, num_pairs + _EXTRA_VECTORS)
    return eigenpairs.leading_eigenpairs(
        at.hessian_for(block_size, settings.eigen_tolerance),
        num_pairs,
        which=which,
        tolerance=settings.eigen_tolerance,
        method="block",
        block_size=block_size,
        start=start,
    )


def power_iteration(at, num_iterations):
    """Return an approximate leading eigenvector of the Hessian, by power iterations.

    Parameters
    ----------
    at : problems.LocalGeometry
        Curvature at the present theta.
    num_iterations : int
        Number of products with H.

    Returns
    -------
    ndarray, shape (D,)
        Of norm 1. A vector in the null space of H is an eigenvector, and ends the iteration.
    """
    vector = eigenpairs.quasi_random_vector(at.num_parameters)
    vector = vector / np.linalg.norm(vector)
    for _ in range(num_iterations):
        product = at.hessian @ vector
        norm = np.linalg.norm(product)
        if norm == 0:
            break
        vector = product / norm
    return np.asarray(vector, dtype=np.float64)
