"""Factors F of a covariance, ``F F^T = Sigma``, with as many columns as its rank."""

import numpy as np


def full(covariance):
    """Factor F (D, r) of a positive semi-definite matrix, r its numerical rank, at least 1.

    Parameters
    ----------
    covariance : numpy.ndarray, shape (D, D)
        Symmetric and positive semi-definite; already checked.

    Returns
    -------
    numpy.ndarray, shape (D, r)
        Eigenvectors scaled by the square roots of their eigenvalues; eigenvalues below
        ``8 D eps lambda_max`` are rounding and left out. A covariance of zero gives one zero
        column.

    Examples
    --------
    >>> full(np.diag([0.0, 4.0])).tolist()
    [[0.0], [2.0]]
    """
    eigenvalues, vectors = np.linalg.eigh(covariance)
    cut = 8 * len(eigenvalues) * np.finfo(np.float64).eps * max(eigenvalues[-1], 0.0)
    kept = eigenvalues > cut
    if not kept.any():
        return np.zeros((len(eigenvalues), 1))
    vectors = vectors[:, kept]
    # the sign of an eigenvector is the library's choice: largest entry positive
    largest = np.abs(vectors).argmax(axis=0)
    signs = np.sign(vectors[largest, np.arange(vectors.shape[1])])
    return vectors * (signs * np.sqrt(eigenvalues[kept]))
