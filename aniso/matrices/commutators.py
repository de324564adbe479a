"""The commutator of curvature and noise, ``H Sigma - Sigma H``, 0 where they share eigenvectors."""

import math

import numpy as np
from scipy.sparse.linalg import LinearOperator

from aniso.matrices import exact_traces, operands
from aniso.matrices.factored import is_factored


class Commutator(LinearOperator):
    """Antisymmetric operator ``H Sigma - Sigma H`` with block products.

    Parameters
    ----------
    hessian, covariance : array_like (D, D) or LinearOperator
        Symmetric, of the same size. Arrays and sparse matrices are copied.

    Examples
    --------
    >>> Commutator([[1.0, 0.0], [0.0, 2.0]], [[0.0, 1.0], [1.0, 0.0]]) @ np.array([1.0, 0.0])
    array([0., 1.])
    """

    def __init__(self, hessian, covariance):
        self.hessian = operands.held_symmetric("hessian", hessian)
        size = self.hessian.shape[0]
        self.covariance = operands.held_symmetric("covariance", covariance, size=size)
        super().__init__(np.dtype(np.float64), (size, size))

    def _matvec(self, vector):
        return self._matmat(np.reshape(vector, (-1, 1)))[:, 0]

    def _matmat(self, vectors):
        there = self.hessian @ (self.covariance @ vectors)
        return there - self.covariance @ (self.hessian @ vectors)

    def _adjoint(self):
        return -self


def relative_commutator(hessian, covariance):
    """Size of the commutator, ``|H Sigma - Sigma H|_F / (2 |H Sigma|_F)``, between 0 and 1.

    Parameters
    ----------
    hessian : array_like (D, D) or LinearOperator
        Symmetric.
    covariance : array_like (D, D), LinearOperator or GradientCovariance
        Symmetric positive semi-definite.

    Returns
    -------
    float
        0 where they commute; 0 also where the product vanishes, or the covariance is zero to
        its rounding.

    Notes
    -----
    Of a factored covariance, ``Sigma = A^T A`` with n rows: n products of H and two n x n Gram
    matrices; ``|[H, Sigma]|^2 = 2 (Tr(H Sigma^2 H) - Tr(H Sigma H Sigma))`` cancels below about
    1e-8. Of another one, the dense matrix and D products of H.

    Examples
    --------
    >>> from aniso.matrices import noise
    >>> covariance = noise.gradient_covariance([[1.0, 1.0], [-1.0, -1.0]])
    >>> relative_commutator(np.diag([1.0, 0.0]), covariance)  # [[0, 1], [-1, 0]] over [[1, 1], 0]
    0.5
    """
    hessian = operands.symmetric("hessian", hessian)
    covariance = operands.covariance("covariance", covariance, size=hessian.shape[0])
    if not is_factored(covariance):
        product = operands.finite_products(hessian @ operands.to_dense(covariance))
        size = float(np.linalg.norm(product))
        return float(np.linalg.norm(product - product.T)) / (2 * size) if size > 0 else 0.0
    if exact_traces.significant_trace(covariance) == 0:
        return 0.0
    num_rows, dimension = covariance.num_rows, covariance.shape[0]
    images = np.empty((num_rows, dimension))
    gram = np.empty((num_rows, num_rows))
    for start, stop in operands.ranges(num_rows, dimension):
        rows = covariance.factor_rows(start, stop)
        images[start:stop] = (hessian @ rows.T).T
        gram[:, start:stop] = covariance.project(rows.T)
    squared = float(np.einsum("ij,ij->", images @ images.T, gram))
    mixed = float(np.square(covariance.project(images.T)).sum())
    if squared <= 0:
        return 0.0
    return math.sqrt(max(0.0, 2 * (squared - mixed))) / (2 * math.sqrt(squared))
