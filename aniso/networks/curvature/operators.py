"""Symmetric linear operators with block products."""

import functools

import numpy as np
from scipy.sparse.linalg import LinearOperator

from aniso.arrays import places, transfer
from aniso.matrices import (
    PlacedOperator,
)


class SymmetricOperator(PlacedOperator):
    """A symmetric matrix given by its product with a block of vectors (D, K).

    Parameters
    ----------
    product : callable
        (D, K) -> (D, K), at `place`.
    dimension : int
        D.
    dtype : numpy.dtype
    diagonal : callable, optional
        () -> (D,), exact; the trace is its sum. The exact traces of the matrix storey ask for it
        before they form products; it comes to the host.
    place : places.Place
        Where the product is computed; vectors of the host are sent there and back.

    Examples
    --------
    >>> SymmetricOperator(lambda vectors: 2 * vectors, 3, np.dtype(float)) @ np.ones(3)
    array([2., 2., 2.])
    """

    def __init__(self, product, dimension, dtype, diagonal=None, place=places.NUMPY):
        self._product, self.place = product, place
        if diagonal is not None:
            # set here, for an operator without a diagonal has no such method
            self.diagonal = functools.partial(_on_host, diagonal)
            self.trace = functools.partial(_sum_on_host, diagonal)
        LinearOperator.__init__(self, np.dtype(dtype), (dimension, dimension))

    def _adjoint(self):
        return self


def _on_host(diagonal):
    return transfer.to_numpy(diagonal())


def _sum_on_host(diagonal):
    return float(_on_host(diagonal).sum())
