"""The matrix ``(1/N) sum_i J_i^T S_i J_i`` of a loss on outputs, through stored Jacobians."""

import numpy as np
from scipy.sparse.linalg import LinearOperator

from aniso import checks, memory

_CHUNK_BYTES = 128 * 2**20


class OutputCurvature(LinearOperator):
    """Matrix ``(1/N) sum_i J_i^T S_i J_i`` through the Jacobians of the outputs.

    Parameters
    ----------
    jacobians : ndarray, shape (n, C, D)
        J_i of the examples with S_i != 0; copied, unless they are read-only already
        (:func:`aniso.checks.held`).
    weights : ndarray, shape (n, C, C)
        Symmetric S_i.
    num_examples : int
        N, the examples without weight included.

    Notes
    -----
    Holds 8 n C D bytes. A product with K vectors costs 4 n C D K flops in two matrix products.
    """

    def __init__(self, jacobians, weights, num_examples):
        self.jacobians = checks.held(jacobians)
        self.weights = weights / num_examples
        dimension = jacobians.shape[2]
        super().__init__(np.dtype(np.float64), (dimension, dimension))

    def _matvec(self, vector):
        return self._matmat(np.reshape(vector, (-1, 1)))[:, 0]

    def _matmat(self, vectors):
        num_active, num_outputs, dimension = self.jacobians.shape
        rows = self.jacobians.reshape(num_active * num_outputs, dimension)
        num_vectors = vectors.shape[1]
        images = self.weights @ (rows @ vectors).reshape(num_active, num_outputs, num_vectors)
        return rows.T @ images.reshape(num_active * num_outputs, num_vectors)

    def _adjoint(self):
        return self

    def trace(self):
        """``Tr G = (1/N) sum_i Tr(S_i J_i J_i^T)``, float."""
        grams = self.jacobians @ self.jacobians.transpose(0, 2, 1)
        return float(np.einsum("iab,iab->", self.weights, grams))

    def diagonal(self):
        """``diag G``, shape (D,)."""
        result = np.zeros(self.shape[0])
        for start, stop in example_chunks(*self.jacobians.shape):
            part = self.jacobians[start:stop]
            result += np.einsum("iad,iad->d", part, self.weights[start:stop] @ part)
        return result

    def to_dense(self):
        """The matrix, shape (D, D), by one matrix product per chunk of examples."""
        dimension = self.shape[0]
        memory.require(
            2 * 8 * dimension**2,
            f"the dense matrix, {dimension} × {dimension}",
            "keep the operator",
        )
        return self.add_to(np.zeros((dimension, dimension)))

    def add_to(self, total):
        """The array `total`, shape (D, D), with the matrix added to it in place."""
        num_outputs, dimension = self.jacobians.shape[1:]
        for start, stop in example_chunks(*self.jacobians.shape):
            part = self.jacobians[start:stop]
            rows = part.reshape((stop - start) * num_outputs, dimension)
            total += rows.T @ (self.weights[start:stop] @ part).reshape(rows.shape)
        return total


def example_chunks(num_examples, num_outputs, dimension):
    """Ranges (start, stop) of examples whose Jacobians take at most 128 MiB.

    Examples
    --------
    >>> list(example_chunks(3, 1, 2**24))
    [(0, 1), (1, 2), (2, 3)]
    """
    size = max(1, _CHUNK_BYTES // (8 * num_outputs * dimension))
    for start in range(0, num_examples, size):
        yield start, min(num_examples, start + size)
