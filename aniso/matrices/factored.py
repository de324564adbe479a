"""Covariances as linear operators that never form D x D: factored and diagonal.

A covariance is a symmetric `LinearOperator` of shape (D, D) with `trace()`, `diagonal()`,
`to_dense()`, `quadratic_form(vectors)` and `sample(rng, num_samples)`. A *factored* covariance
``Sigma = A^T A``, A of shape (n, D), has these members too

====================================  ==========================================================
`num_rows`                            n
`factor_rows(start, stop)`            rows start..stop of A, shape (stop - start, D)
`combine(weights)`                    ``weights @ A``, weights (K, n) -> (K, D)
`project(vectors)`                    ``A @ vectors``, vectors (D, K) -> (n, K)
====================================  ==========================================================

It may state `rows_at_once`, how many rows fit into its memory together. Exact traces and
estimators use these members alone, so your own object with these members works too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse.linalg import LinearOperator

from aniso import checks, memory
from aniso.arrays import functions, places, transfer
from aniso.matrices import centred_squares, operands
from aniso.matrices._covariance import CovarianceOperator
from aniso.matrices._factored_pairs import leading_pairs
from aniso.matrices.covariance_arrays import with_convention
from aniso.matrices.gradients import held_rows
from aniso.matrices.operators import PlacedOperator

if TYPE_CHECKING:
    from aniso.matrices._pairs import EigenPairs
    from aniso.matrices.convention import Convention
    from aniso.matrices.gradients import ExampleGradients
    from aniso.typing import Array, ArrayLike


class FactoredCovariance(PlacedOperator, CovarianceOperator):
    """Covariance ``Sigma = scale * sum_i (g_i - g)(g_i - g)^T``, kept as its factor.

    Parameters
    ----------
    rows : ndarray, shape (n, D), or ExampleGradients
        The g_i. An array is copied, unless it is read-only already (:func:`aniso.checks.held`);
        integers become floats.
    scale : float
        Non-negative factor of the sum.
    convention : Convention, optional
        Its convention, if known.
    mean : array, shape (D,), optional
        The mean g that is subtracted from each row; None where the rows are taken as they are.

    Raises
    ------
    InputError
        If the rows are not (n, D) real numbers, or the gradients' dtype is not floating-point.

    Attributes
    ----------
    gradients : ExampleGradients
        The g_i, shared between multiples.
    rows : ndarray, shape (n, D)
        The deviations, a stored array or one that is formed at each call.
    place : places.Place
        Library and device of the gradients and of the samples. Products of NumPy arrays are NumPy
        arrays, as are rows, diagonal and eigenpairs.

    Notes
    -----
    A product with K vectors costs 4 n D K flops for an array. Where a mean is subtracted, it is
    subtracted from products: a mean of norm M among deviations of norm s costs them about
    ``log10(M / s)`` of the sixteen digits. Trace and diagonal subtract sums of squares, or form the
    gradients where that would cost more than half the digits.

    Examples
    --------
    >>> covariance = FactoredCovariance(np.array([[1.0, 0.0], [1.0, 2.0]]), 0.5)
    >>> covariance.trace(), covariance @ np.array([0.0, 1.0])
    (3.0, array([1., 2.]))
    """

    gradients: ExampleGradients

    def __init__(
        self,
        rows: Array | ExampleGradients,
        scale: float,
        convention: Convention | None = None,
        mean: Array | None = None,
    ) -> None:
        self.gradients = held_rows(rows)
        self.scale, self.convention, self.mean = float(scale), convention, mean
        if isinstance(mean, np.ndarray):
            checks.frozen(mean)  # each product subtracts it
        self.place = self.gradients.place
        dimension = self.gradients.shape[1]
        LinearOperator.__init__(self, np.dtype(self.gradients.dtype), (dimension, dimension))

    def rescaled(self, factor: float, convention: Convention) -> FactoredCovariance:
        """Return the matrix times `factor` with another convention; the gradients are shared."""
        return type(self)(self.gradients, self.scale * factor, convention, self.mean)

    @property
    def num_rows(self) -> int:
        """Number of rows n of the factor."""
        return self.gradients.shape[0]

    @property
    def rows_at_once(self) -> int | None:
        """Rows that may exist together within the gradients' memory budget, or None."""
        return self.gradients.rows_at_once

    @property
    def rows(self) -> Array:
        """Deviations ``g_i - g``, shape (n, D).

        Raises
        ------
        AllocationRefused
            If they are not kept and do not fit.
        """
        if not self.gradients.holds_rows:
            num_rows, dimension = self.gradients.shape
            arrays = 1 if self.mean is None else 2  # the gradients, and their deviations
            self._require(
                arrays * num_rows * dimension * self.dtype.itemsize,
                f"the centred gradients, {num_rows} x {dimension}",
                "use factor_rows for some of them, project and combine",
            )
        return self._deviations(0, self.num_rows)

    def _deviations(self, start, stop):
        rows = self.gradients.rows(start, stop)
        # not in place: the rows may be those that the gradients keep
        return transfer.to_numpy(rows if self.mean is None else rows - self.mean)

    def _require(self, num_bytes, what, remedy):
        memory.require(num_bytes, what, remedy, budget=self.gradients.memory_budget)

    @property
    def factor(self) -> Array:
        """The factor A, shape (n, D), with ``Sigma = A^T A``; a scaled copy of the rows."""
        return math.sqrt(self.scale) * self.rows

    def factor_rows(self, start: int, stop: int) -> Array:
        """Rows start..stop of the factor, shape (stop - start, D)."""
        return math.sqrt(self.scale) * self._deviations(start, stop)

    def combine(self, weights: ArrayLike) -> Array:
        """Weighted sums of the factor's rows, ``weights @ A``: (K, n) -> (K, D)."""
        return transfer.at_place(self._combine, weights, self.place)

    def _combine(self, weights):
        return self._combined(math.sqrt(self.scale) * weights)

    def _combined(self, weights):
        # weighted sums of the unscaled deviations
        xp = places.namespace(weights)
        weights = xp.astype(weights, self.place.dtype(self.dtype), copy=False)
        if self.mean is not None:
            # sum_i w_i (g_i - g) = sum_i (w_i - w) g_i, w the mean weight: no further vectors
            weights = weights - xp.mean(weights, axis=1)[:, None]
        return self.gradients.combine(weights)

    def project(self, vectors: ArrayLike) -> Array:
        """Products with the factor, ``A @ vectors``: (D, K) -> (n, K)."""
        return transfer.at_place(self._project, vectors, self.place)

    def _project(self, vectors):
        return math.sqrt(self.scale) * self._projected(vectors)

    def _projected(self, vectors):
        # products of the unscaled deviations
        xp = places.namespace(vectors)
        vectors = xp.astype(vectors, self.place.dtype(self.dtype), copy=False)
        projected = self.gradients.project(vectors)
        if self.mean is None:
            return projected
        if self.place.is_numpy:
            # BLAS would start threads of its own for it, which disturb those of the gradients
            return projected - np.einsum("d,dk->k", self.mean, vectors)
        return projected - self.mean @ vectors

    def _product(self, vectors):
        return self.scale * self._combined(self._projected(vectors).T).T

    def trace(self) -> float:
        """``Tr Sigma``, float; from the gradients' square norms."""
        return self.scale * self._square_norm[0]

    @property
    def trace_rounding(self) -> float:
        """Trace that rounding alone may leave where all gradients are equal; 0 without a mean."""
        return self.scale * self._square_norm[1]

    @cached_property
    def _square_norm(self):
        if self.mean is None:
            return float(functions.double_sum(self.gradients.square_norms())), 0.0
        return centred_squares.centred_square_norm(self.gradients, self.mean)

    def diagonal(self) -> Array:
        """``diag Sigma``, the variance of each parameter's noise, shape (D,), never negative."""
        if self.mean is None:
            return self.scale * transfer.to_numpy(self.gradients.square_sums())
        return self.scale * centred_squares.centred_square_sums(self.gradients, self.mean)[0]

    def to_dense(self) -> Array:
        """Return the matrix, shape (D, D), an array that keeps the convention, if there is one.

        Raises
        ------
        AllocationRefused
            If 16 D^2 bytes would not fit.
        """
        dimension = self.shape[0]
        memory.require(
            2 * 8 * dimension**2,
            f"the dense covariance, {dimension} × {dimension}",
            "keep the factored operator: trace, diagonal, products and leading_eigenpairs "
            "need no D × D array",
        )
        rows = self.rows
        dense = rows.T @ rows
        dense *= self.scale
        return with_convention(dense, self.convention)

    def quadratic_form(self, vectors: ArrayLike) -> float | Array:
        """``u^T Sigma u`` as a squared norm, so never negative: (D,) -> float, (D, K) -> (K,)."""
        vectors = _vectors(vectors, self.shape[0], self.place)
        projected = self.project(vectors[:, None] if vectors.ndim == 1 else vectors)
        forms = functions.inner_products(projected.T, projected.T)
        return float(forms[0]) if vectors.ndim == 1 else forms

    def compressed(self, vectors: Array, parts: Sequence[slice]) -> Array:
        """``V_b^T Sigma_bb V_b`` of each block b and ``V^T Sigma V`` last, one pass.

        Parameters
        ----------
        vectors : ndarray, shape (D, K)
        parts : sequence of slice

        Returns
        -------
        ndarray, shape (B + 1, K, K)
        """
        return self.scale * self.gradients.second_moments(vectors, parts, self.mean)

    def sample(self, rng: np.random.Generator, num_samples: int) -> Array:
        """Draw Gaussian samples ``xi A``, xi standard normal in R^n: shape (num_samples, D).

        Parameters
        ----------
        rng : numpy.random.Generator
            Draws xi in NumPy, so that a seed gives the same numbers at every place.
        num_samples : int
            Number of samples.

        Returns
        -------
        array, shape (num_samples, D)
            At the place of the gradients.

        Notes
        -----
        Cost 2 n D flops a sample and n normal variates; nothing of size D x D.
        """
        checks.generator("rng", rng)
        num_samples = checks.integer("num_samples", num_samples, low=1)
        self._require(
            8 * num_samples * (2 * self.shape[0] + self.num_rows),
            f"{num_samples} samples",
            "draw fewer at a time",
        )
        draws = rng.standard_normal((num_samples, self.num_rows))
        return self._combine(transfer.to_device(draws, self.place))

    def leading_eigenpairs(self, num_pairs: int) -> EigenPairs:
        """Return leading eigenpairs through the smaller of ``A A^T`` (n x n) and ``A^T A`` (D x D).

        Of gradients that are not kept, by block Lanczos on products.

        Parameters
        ----------
        num_pairs : int
            1 <= num_pairs <= D.

        Returns
        -------
        EigenPairs
            Values in decreasing order, non-negative; orthonormal vectors; residuals of at most
            1e-10 times the largest value for an array, 1e-9 otherwise, more in single precision.

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
        return leading_pairs(self, num_pairs)

    def __repr__(self):
        known = "" if self.convention is None else f": {self.convention}"
        return f"<{type(self).__name__}, D = {self.shape[0]}, {self.num_rows} rows{known}>"


class DiagonalCovariance(CovarianceOperator):
    """Covariance ``diag(variances)``: independent noise in each parameter.

    Parameters
    ----------
    variances : array_like, shape (D,)
        Non-negative.
    convention : Convention, optional
        Its convention, if known.

    Examples
    --------
    >>> DiagonalCovariance([1.0, 2.0]).trace()
    3.0
    """

    def __init__(self, variances: ArrayLike, convention: Convention | None = None) -> None:
        variances = checks.array("variances", variances, shape=(None,))
        if variances.size == 0 or variances.min() < 0:
            raise checks.InputError("variances must be a non-empty array of numbers >= 0")
        self.variances, self.convention = checks.held(variances), convention
        super().__init__(np.dtype(np.float64), (variances.size, variances.size))

    def rescaled(self, factor: float, convention: Convention) -> DiagonalCovariance:
        """Return the matrix times `factor`, with another convention."""
        return DiagonalCovariance(factor * self.variances, convention)

    def _matvec(self, vector):
        return self.variances * np.ravel(vector)

    def _matmat(self, vectors):
        return self.variances[:, None] * vectors

    def trace(self) -> float:
        """``Tr Sigma``, float."""
        return float(self.variances.sum())

    def diagonal(self) -> Array:
        """``diag Sigma``, shape (D,)."""
        return self.variances.copy()

    def to_dense(self) -> Array:
        """Return the matrix, shape (D, D)."""
        dimension = self.shape[0]
        memory.require(
            8 * dimension**2,
            f"the dense covariance, {dimension} × {dimension}",
            "keep the operator",
        )
        return with_convention(np.diag(self.variances), self.convention)

    def quadratic_form(self, vectors: ArrayLike) -> float | Array:
        """``u^T Sigma u``: (D,) -> float, (D, K) -> (K,)."""
        vectors = _vectors(vectors, self.shape[0])
        forms = self.variances @ (vectors * vectors)
        return float(forms) if vectors.ndim == 1 else forms

    def sample(self, rng: np.random.Generator, num_samples: int) -> Array:
        """Draw Gaussian samples, shape (num_samples, D)."""
        checks.generator("rng", rng)
        num_samples = checks.integer("num_samples", num_samples, low=1)
        memory.require(
            2 * 8 * num_samples * self.shape[0], f"{num_samples} samples", "draw fewer at a time"
        )
        return np.sqrt(self.variances) * rng.standard_normal((num_samples, self.variances.size))


def is_factored(matrix):
    """Return whether the matrix has the members of a factored covariance."""
    return hasattr(matrix, "factor_rows") and hasattr(matrix, "num_rows")


def quadratic_form(matrix, vectors):
    """``u^T A u`` of each column u, (D, K) -> (K,), for an array or an operator A."""
    if not operands.is_dense(matrix) and hasattr(matrix, "quadratic_form"):
        return matrix.quadratic_form(vectors)
    return np.sum(vectors * (matrix @ vectors), axis=0)


def _vectors(vectors, dimension, place=places.NUMPY):
    foreign = places.is_foreign(vectors)
    if not foreign:
        vectors = checks.array("vectors", vectors)
    shape = tuple(vectors.shape)
    if len(shape) not in (1, 2) or shape[0] != dimension:
        raise checks.InputError(
            f"vectors has shape {shape}; expected ({dimension},) or ({dimension}, K)"
        )
    if foreign:
        shape = (dimension, None)[: len(shape)]
        vectors = transfer.checked("vectors", vectors, place, shape=shape, dtype=np.float64)
    return vectors
