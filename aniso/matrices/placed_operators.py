"""Linear operators that compute where their data live, for vectors from there or from the host."""

from scipy.sparse.linalg import LinearOperator

from aniso import checks
from aniso.arrays import places, transfer


class PlacedOperator(LinearOperator):
    """A SciPy operator with block products at a place.

    A subclass gives ``_product(vectors)`` for a block (D, K) at its place. The product of vectors
    of the host comes back to the host, so that SciPy's and this package's eigensolvers work with
    any operator; that of vectors at the place stays there.

    Attributes
    ----------
    place : places.Place
        NumPy's, if a subclass does not say otherwise.

    Examples
    --------
    >>> import numpy as np
    >>> class Twice(PlacedOperator):
    ...     def _product(self, vectors):
    ...         return 2 * vectors
    >>> Twice(float, (2, 2)) @ np.array([1.0, 3.0])
    array([2., 6.])
    """

    place = places.NUMPY

    def __matmul__(self, other):
        checks.refuse_loss_of_meaning("the right factor", other)
        if not places.is_foreign(other):
            return super().__matmul__(other)
        transfer.require_place("the right factor", other, self.place)
        shape, dimension = tuple(other.shape), self.shape[1]
        if len(shape) not in (1, 2) or shape[0] != dimension:
            raise checks.InputError(
                f"the right factor has shape {shape}; expected ({dimension},) or ({dimension}, K)"
            )
        if other.ndim == 1:
            return self._product(other[:, None])[:, 0]
        return self._product(other)

    def _matvec(self, vector):
        return self._matmat(vector.reshape(-1, 1))[:, 0]

    def _matmat(self, vectors):
        return transfer.at_place(self._product, vectors, self.place)
