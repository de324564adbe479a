"""Covariances as linear operators that never form D x D: factored and diagonal.

The protocol
------------
A covariance is a symmetric `LinearOperator` of shape (D, D) with `trace()`, `diagonal()`,
`to_dense()`, `quadratic_form(vectors)` and `sample(rng, num_samples)`. A *factored* covariance
``Sigma = A^T A``, A of shape (n, D), offers besides

====================================  ==========================================================
`num_rows`                            n
`factor_rows(start, stop)`            rows start..stop of A, shape (stop - start, D)
`combine(weights)`                    ``weights @ A``, weights (K, n) -> (K, D)
`project(vectors)`                    ``A @ vectors``, vectors (D, K) -> (n, K)
====================================  ==========================================================

It may state `rows_at_once`, how many rows fit into its memory together. The exact traces and the
estimators of this storey ask for nothing else, so that a covariance whose
rows exist only as products of activations and deltas can take part by offering the same names.
"""

import math
import numbers

import numpy as np
from scipy.sparse.linalg import LinearOperator

from aniso import checks, memory
from aniso.matrices import _pairs, operators
from aniso.matrices.covariance_arrays import with_convention

_EIGEN_TOLERANCE = 1e-10


class _Covariance(LinearOperator):
    """What covariances share: multiples, the transpose and a convention of their own."""

    symmetric_by_construction = True
    convention = None

    def dot(self, x):
        """Product with a vector, a block of vectors or an operator."""
        checks.refuse_loss_of_meaning("the right factor", x)
        return super().dot(x)

    def __mul__(self, other):
        return self._multiple(other) if np.isscalar(other) else super().__mul__(other)

    def __rmul__(self, other):
        return self._multiple(other) if np.isscalar(other) else super().__rmul__(other)

    def __truediv__(self, other):
        return self._multiple(1 / other) if np.isscalar(other) and other else NotImplemented

    def _multiple(self, factor):
        real = isinstance(factor, numbers.Real) and 0 <= factor < math.inf
        if not real:
            return super().__mul__(factor)
        convention = None if self.convention is None else self.convention.scaled(factor)
        return self.rescaled(float(factor), convention)

    def _adjoint(self):
        return self

    _transpose = _adjoint


class FactoredCovariance(_Covariance):
    """Covariance ``Sigma = scale * rows^T rows``, kept as its factor.

    Parameters
    ----------
    rows : ndarray, shape (n, D)
        Unscaled rows; copied, unless they are read-only already (:func:`aniso.checks.held`).
    scale : float
        Non-negative number that multiplies ``rows^T rows``.
    convention : noise_conventions.Convention, optional
        What it is the covariance of, where that is known.

    Notes
    -----
    A product with K vectors costs 4 n D K flops in two matrix products. Another scale shares the
    rows.
    """

    def __init__(self, rows, scale, convention=None):
        self.rows = checks.held(rows)
        self.scale = float(scale)
        self.convention = convention
        super().__init__(np.dtype(np.float64), (rows.shape[1], rows.shape[1]))

    def rescaled(self, factor, convention):
        """The matrix times `factor`, with another convention; the rows are shared."""
        return type(self)(self.rows, self.scale * factor, convention)

    @property
    def num_rows(self):
        """Number of rows n of the factor."""
        return self.rows.shape[0]

    @property
    def factor(self):
        """The factor A, shape (n, D), with ``Sigma = A^T A``; a scaled copy of the rows."""
        return math.sqrt(self.scale) * self.rows

    def factor_rows(self, start, stop):
        """Rows start..stop of the factor, shape (stop - start, D)."""
        return math.sqrt(self.scale) * self.rows[start:stop]

    def combine(self, weights):
        """Weighted sums of the factor's rows, ``weights @ A``: (K, n) -> (K, D)."""
        return math.sqrt(self.scale) * (weights @ self.rows)

    def project(self, vectors):
        """Products with the factor, ``A @ vectors``: (D, K) -> (n, K)."""
        return math.sqrt(self.scale) * (self.rows @ vectors)

    def _matvec(self, vector):
        return self._matmat(np.reshape(vector, (-1, 1)))[:, 0]

    def _matmat(self, vectors):
        return self.scale * (self.rows.T @ (self.rows @ vectors))

    def trace(self):
        """``Tr Sigma``, float; 2 n D flops."""
        return self.scale * float(np.einsum("ij,ij->", self.rows, self.rows))

    def diagonal(self):
        """``diag Sigma``, the variance of each parameter's noise, shape (D,)."""
        return self.scale * np.einsum("ij,ij->j", self.rows, self.rows)

    def to_dense(self):
        """The matrix, shape (D, D); an array that keeps the convention, if there is one.

        Raises
        ------
        AllocationRefused
            If 8 D^2 bytes would not fit.
        """
        dimension = self.shape[0]
        memory.require(
            2 * 8 * dimension**2,
            f"the dense covariance, {dimension} × {dimension}",
            "keep the factored operator: trace, diagonal, products and leading_eigenpairs "
            "need no D × D array",
        )
        dense = self.rows.T @ self.rows
        dense *= self.scale
        return with_convention(dense, self.convention)

    def quadratic_form(self, vectors):
        """``u^T Sigma u`` as a squared norm, so never negative: (D,) -> float, (D, K) -> (K,)."""
        vectors = _vectors(vectors, self.shape[0])
        projected = self.rows @ vectors
        forms = self.scale * np.sum(projected * projected, axis=0)
        return float(forms) if vectors.ndim == 1 else forms

    def sample(self, rng, num_samples):
        """Gaussian samples ``xi A``, xi standard normal in R^n: shape (num_samples, D).

        Parameters
        ----------
        rng : numpy.random.Generator
        num_samples : int

        Notes
        -----
        Cost 2 n D flops a sample and n normal variates; nothing of size D x D.
        """
        checks.generator("rng", rng)
        num_samples = checks.integer("num_samples", num_samples, low=1)
        memory.require(
            8 * num_samples * (2 * self.shape[0] + self.num_rows),
            f"{num_samples} samples",
            "draw fewer at a time",
        )
        return self.combine(rng.standard_normal((num_samples, self.num_rows)))

    def leading_eigenpairs(self, num_pairs):
        """Leading eigenpairs through the smaller of ``A A^T`` (n x n) and ``A^T A`` (D x D).

        Parameters
        ----------
        num_pairs : int
            1 <= num_pairs <= D.

        Returns
        -------
        eigen_pairs.EigenPairs
            Values in decreasing order, non-negative; orthonormal vectors; residuals of at most
            1e-10 times the largest value.

        Raises
        ------
        InputError
            If `num_pairs` breaks its rule, or a row is not finite.
        NotConverged
            If a residual is larger.

        Notes
        -----
        Cost 2 n D min(n, D) flops and one eigendecomposition of that size. A value is accurate to
        rounding relative to the *largest* one. Pairs beyond the rank have the value 0 and
        vectors that complete the basis.
        """
        rows, (num_rows, dimension) = self.rows, self.rows.shape
        num_pairs = checks.integer("num_pairs", num_pairs, low=1, high=dimension, high_name="D")
        memory.require(
            8 * (3 * min(num_rows, dimension) ** 2 + 3 * dimension * num_pairs),
            f"{num_pairs} eigenpairs through a Gram matrix",
            "ask for fewer pairs, or use spectra.leading_eigenpairs, which needs products alone",
        )
        if dimension <= num_rows:
            values, vectors = np.linalg.eigh(operators.finite_products(rows.T @ rows))
            values, vectors = values[::-1][:num_pairs], vectors[:, ::-1][:, :num_pairs]
        else:
            values, weights = np.linalg.eigh(operators.finite_products(rows @ rows.T))
            found = min(num_pairs, num_rows)
            values = np.append(values[::-1][:found], np.zeros(num_pairs - found))
            candidates = np.zeros((dimension, num_pairs))
            candidates[:, :found] = rows.T @ weights[:, ::-1][:, :found]
            # Householder QR keeps the basis orthonormal where columns vanish beyond the rank.
            vectors = np.linalg.qr(candidates)[0]
        values = self.scale * np.maximum(values, 0.0)
        pairs = _pairs.with_residuals(self, values, vectors, num_products=0)
        return _pairs.require_residuals(
            pairs, self, _EIGEN_TOLERANCE, float(values[0]), "the factor is too ill-conditioned"
        )


class DiagonalCovariance(_Covariance):
    """Covariance ``diag(variances)``: independent noise in each parameter.

    Parameters
    ----------
    variances : array_like, shape (D,)
        Non-negative.
    convention : noise_conventions.Convention, optional
        What it is the covariance of, where that is known.

    Examples
    --------
    >>> DiagonalCovariance([1.0, 2.0]).trace()
    3.0
    """

    def __init__(self, variances, convention=None):
        variances = checks.array("variances", variances, shape=(None,))
        if variances.size == 0 or variances.min() < 0:
            raise checks.InputError("variances must be a non-empty array of numbers >= 0")
        self.variances, self.convention = checks.held(variances), convention
        super().__init__(np.dtype(np.float64), (variances.size, variances.size))

    def rescaled(self, factor, convention):
        """The matrix times `factor`, with another convention."""
        return DiagonalCovariance(factor * self.variances, convention)

    def _matvec(self, vector):
        return self.variances * np.ravel(vector)

    def _matmat(self, vectors):
        return self.variances[:, None] * vectors

    def trace(self):
        """``Tr Sigma``, float."""
        return float(self.variances.sum())

    def diagonal(self):
        """``diag Sigma``, shape (D,)."""
        return self.variances.copy()

    def to_dense(self):
        """The matrix, shape (D, D)."""
        dimension = self.shape[0]
        memory.require(
            8 * dimension**2,
            f"the dense covariance, {dimension} × {dimension}",
            "keep the operator",
        )
        return with_convention(np.diag(self.variances), self.convention)

    def quadratic_form(self, vectors):
        """``u^T Sigma u``: (D,) -> float, (D, K) -> (K,)."""
        vectors = _vectors(vectors, self.shape[0])
        forms = self.variances @ (vectors * vectors)
        return float(forms) if vectors.ndim == 1 else forms

    def sample(self, rng, num_samples):
        """Gaussian samples, shape (num_samples, D)."""
        checks.generator("rng", rng)
        num_samples = checks.integer("num_samples", num_samples, low=1)
        memory.require(
            2 * 8 * num_samples * self.shape[0], f"{num_samples} samples", "draw fewer at a time"
        )
        return np.sqrt(self.variances) * rng.standard_normal((num_samples, self.variances.size))


def is_factored(matrix):
    """Whether the matrix offers the protocol of a factored covariance."""
    return hasattr(matrix, "factor_rows") and hasattr(matrix, "num_rows")


def quadratic_form(matrix, vectors):
    """``u^T A u`` of each column u, (D, K) -> (K,), for an array or an operator A."""
    if not operators.is_dense(matrix) and hasattr(matrix, "quadratic_form"):
        return matrix.quadratic_form(vectors)
    return np.sum(vectors * (matrix @ vectors), axis=0)


def _vectors(vectors, dimension):
    vectors = checks.array("vectors", vectors)
    if vectors.ndim not in (1, 2) or vectors.shape[0] != dimension:
        raise checks.InputError(
            f"vectors has shape {vectors.shape}; expected ({dimension},) or ({dimension}, K)"
        )
    return vectors
