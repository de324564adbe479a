"""Symmetric linear operators with block products."""

import numpy as np
from scipy.sparse.linalg import LinearOperator


class SymmetricOperator(LinearOperator):
    """A symmetric matrix given by its product with a block of vectors (D, K).

    Parameters
    ----------
    product : callable
        (D, K) -> (D, K).
    dimension : int
        D.
    dtype : numpy.dtype
    diagonal : callable, optional
        () -> (D,), exact; the trace is its sum. The exact traces of the matrix storey ask for it
        before they form products.

    Examples
    --------
    >>> SymmetricOperator(lambda vectors: 2 * vectors, 3, np.dtype(float)) @ np.ones(3)
    array([2., 2., 2.])
    """

    def __init__(self, product, dimension, dtype, diagonal=None):
        self._product = product
        if diagonal is not None:
            self.diagonal = diagonal
            self.trace = lambda: float(diagonal().sum())
        super().__init__(np.dtype(dtype), (dimension, dimension))

    def _matvec(self, vector):
        return self._product(np.reshape(vector, (-1, 1)))[:, 0]

    def _matmat(self, vectors):
        return self._product(vectors)

    def _adjoint(self):
        return self
