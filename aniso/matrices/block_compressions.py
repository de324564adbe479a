"""Compressions ``V_b^T A_bb V_b`` of a matrix to given vectors, by block of parameters."""

import numpy as np

from aniso import memory
from aniso.matrices import operands


def compressions(matrix, vectors, parts):
    """Return ``V_b^T A_bb V_b`` of each block b, and ``V^T A V`` last.

    Parameters
    ----------
    matrix : ndarray (D, D), LinearOperator or FactoredCovariance
        Symmetric, checked.
    vectors : ndarray, shape (D, K)
        V; V_b are its rows in the block b.
    parts : sequence of slice
        The B blocks; together they cover 0..D once.

    Returns
    -------
    ndarray, shape (B + 1, K, K)
        In double precision.

    Raises
    ------
    InputError
        If a product is not finite.
    AllocationRefused
        If the result does not fit.

    Notes
    -----
    Cost: a factored covariance of n gradients takes one pass over them and 2 n D K flops. Another
    operator takes K products for each block and K for the whole.

    Examples
    --------
    >>> ones = np.ones((2, 1))
    >>> compressions(np.array([[2.0, 1.0], [1.0, 3.0]]), ones, [slice(0, 1), slice(1, 2)]).ravel()
    array([2., 3., 7.])
    """
    size = vectors.shape[1]
    memory.require(
        8 * 2 * (len(parts) + 1) * size**2,
        f"compressions of {len(parts)} blocks to {size} vectors",
        "give fewer vectors or blocks",
    )
    if hasattr(matrix, "compressed"):
        return operands.finite_products(matrix.compressed(vectors, parts))
    result = np.empty((len(parts) + 1, size, size))
    for number, part in enumerate((*parts, slice(0, len(vectors)))):
        own = np.zeros_like(vectors)
        own[part] = vectors[part]
        result[number] = own.T @ np.asarray(matrix @ own)
    return operands.finite_products(result)
