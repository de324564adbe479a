"""Linear maps of second moments M, symmetric n x n, in the eigenbasis of the mean Hessian.

A map has the form ``M -> W o M + c s o mean_i(H_i (s o M) H_i)``, where o multiplies entry by entry
and s is symmetric. A symmetric M is a vector of its n (n + 1)/2 entries on and below the diagonal,
those below times sqrt(2), so that the scalar product of vectors is that of matrices.
"""

import numpy as np

from aniso.matrices import SymmetricOperator


class PackedMap(SymmetricOperator):
    """A symmetric linear map of second moments as a SciPy operator.

    Parameters
    ----------
    span : matrices.CurvatureSpan
        The Hessians H_i, of dimension n.
    entries : ndarray, shape (n, n)
        W, symmetric.
    factor : float
        c.
    scales : ndarray, shape (n, n), or None
        s, symmetric; None stands for ones.
    """

    def __init__(self, span, entries, factor, scales=None):
        self._span, self._factor = span, factor
        self._rows, self._columns = np.tril_indices(span.dimension)
        self._unfolding = np.where(self._rows == self._columns, 1.0, np.sqrt(0.5))
        self._halves = np.where(self._rows == self._columns, 0.5, np.sqrt(0.5))
        self._entries = entries[self._rows, self._columns]
        self._scales = 1.0 if scales is None else scales[self._rows, self._columns]
        super().__init__(self._images, len(self._rows), np.dtype(np.float64))

    def packed(self, matrix):
        """Return a symmetric matrix (n, n) as a vector."""
        return matrix[self._rows, self._columns] / self._unfolding

    def unpacked(self, vector):
        """Return the symmetric matrix (n, n) of a vector."""
        matrix = np.zeros((self._span.dimension,) * 2)
        matrix[self._rows, self._columns] = vector * self._unfolding
        matrix[self._columns, self._rows] = matrix[self._rows, self._columns]
        return matrix

    def _images(self, vectors):
        result = self._entries[:, None] * vectors
        for column in range(vectors.shape[1]) if self._factor else ():
            lower = np.zeros((self._span.dimension,) * 2)
            lower[self._rows, self._columns] = self._scales * vectors[:, column] * self._halves
            sandwiched = self.packed(self._span.mean_sandwich(lower))
            result[:, column] += self._factor * self._scales * sandwiched
        return result
