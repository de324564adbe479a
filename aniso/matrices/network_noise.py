"""The covariance of the stochastic gradient from gradients that no (N, D) array holds.

A network keeps them as products of activations and deltas
(:class:`aniso.networks.gradients.kept.GradientFactors`) or, where these don't fit, recomputes
them for every product (:class:`aniso.networks.gradients.streamed.StreamedGradients`). Products,
traces and eigenpairs need no more. The object offers the same interface as
:class:`aniso.matrices.noise.GradientCovariance`, and
:func:`aniso.matrices.noise.minibatch_covariance` and ``diffusion_covariance`` convert it.
"""

import math
from functools import cached_property

import numpy as np
import scipy.linalg
from scipy.sparse.linalg import LinearOperator

from aniso import checks, memory
from aniso.arrays import functions, places, transfer
from aniso.matrices import (
    _pairs,
    block_lanczos,
    centred_squares,
    operators,
)
from aniso.matrices import (
    convention as noise_conventions,
)
from aniso.matrices.factored import FactoredCovariance
from aniso.matrices.placed_operators import PlacedOperator
from aniso.threads import blas_threads

_EIGEN_TOLERANCE = 1e-9


class LayeredCovariance(PlacedOperator, FactoredCovariance):
    """Centred gradient covariance ``scale * sum_i (g_i - g)(g_i - g)^T``, never formed.

    Made by :func:`gradient_covariance` and the conversions of :mod:`aniso.matrices.noise`.

    Attributes
    ----------
    factors : object
        The gradients: with ``shape``, ``dtype``, ``project``, ``combine``, ``rows``, ``mean``,
        ``square_norms`` and ``square_sums``, as GradientFactors and StreamedGradients have them.
        ``gram``, the N x N matrix of inner products, is what kept factors offer besides: leading
        eigenpairs come from it where it is there, and from products otherwise. Of a ``network``
        its memory budget is kept.
    place : places.Place
        Where the factors live, NumPy's if they don't say. Products, sums and projections of arrays
        of the host come back to the host; samples stay with the factors; rows, the diagonal and
        eigenpairs are NumPy arrays.
    rows_at_once : int or None
        Rows that the exact traces ask for together, where the network states a memory budget.
    scale : float
        Factor of the sum.
    convention : noise_conventions.Convention
        What the matrix is the covariance of.

    Notes
    -----
    Products with the matrix subtract those of the mean. A mean gradient of norm M among deviations
    of norm s costs them about ``log10(M / s)`` of the sixteen digits. Trace and diagonal subtract
    sums of squares, or form the gradients where that would cost more than half the digits.
    """

    def __init__(self, factors, scale, convention, mean=None):
        self.factors, self.scale, self.convention = factors, float(scale), convention
        self.place = getattr(factors, "place", places.NUMPY)
        network = getattr(factors, "network", None)
        self._budget = None if network is None else network.memory_budget
        self.rows_at_once = None if network is None else network.data.vectors_at_once
        self.mean = factors.mean() if mean is None else mean
        if transfer.is_numpy(self.mean):
            # every product subtracts it
            checks.frozen(self.mean)
        dimension = factors.shape[1]
        LinearOperator.__init__(self, np.dtype(factors.dtype), (dimension, dimension))

    def rescaled(self, factor, convention):
        """The matrix times `factor`, with another convention; the factors are shared."""
        return type(self)(self.factors, self.scale * factor, convention, self.mean)

    @property
    def num_rows(self):
        """N."""
        return self.factors.shape[0]

    @property
    def rows(self):
        """Centred gradients, (N, D), formed anew.

        Raises
        ------
        AllocationRefused
            If they do not fit.
        """
        num_rows, dimension = self.factors.shape
        memory.require(
            num_rows * dimension * self.dtype.itemsize,
            f"the centred gradients, {num_rows} x {dimension}",
            "use factor_rows for some of them, project and combine",
            budget=self._budget,
        )
        return self._centred(0, num_rows)

    def _centred(self, start, stop):
        rows = self.factors.rows(start, stop)
        rows -= self.mean
        return transfer.to_numpy(rows)

    def factor_rows(self, start, stop):
        """Rows start..stop of the factor, shape (stop - start, D)."""
        rows = self._centred(start, stop)
        rows *= math.sqrt(self.scale)
        return rows

    def combine(self, weights):
        """Weighted sums of the factor's rows: (K, N) -> (K, D)."""
        return transfer.at_place(self._combine, weights, self.place)

    def _combine(self, weights):
        xp = places.namespace(weights)
        weights = xp.astype(weights, self.place.dtype(self.dtype), copy=False)
        # sum_i w_i (g_i - g) = sum_i (w_i - w) g_i, w the mean weight: no further vectors
        weights = weights - xp.mean(weights, axis=1)[:, None]
        return self.factors.combine(math.sqrt(self.scale) * weights)

    def project(self, vectors):
        """Products with the factor: (D, K) -> (N, K)."""
        return transfer.at_place(self._project, vectors, self.place)

    def _project(self, vectors):
        xp = places.namespace(vectors)
        vectors = xp.astype(vectors, self.place.dtype(self.dtype), copy=False)
        projected = self.factors.project(vectors)
        projected -= self.mean @ vectors
        projected *= math.sqrt(self.scale)
        return projected

    def _product(self, vectors):
        return self._combine(self._project(vectors).T).T

    def sample(self, rng, num_samples):
        """Gaussian samples ``xi A``, shape (num_samples, D), where the factors live.

        Parameters
        ----------
        rng : numpy.random.Generator
            Draws xi on the host: a seed means the same numbers everywhere.
        num_samples : int
        """
        checks.generator("rng", rng)
        num_samples = checks.integer("num_samples", num_samples, low=1)
        memory.require(
            8 * num_samples * (2 * self.shape[0] + self.num_rows),
            f"{num_samples} samples",
            "draw fewer at a time",
            budget=self._budget,
        )
        draws = rng.standard_normal((num_samples, self.num_rows))
        return self._combine(transfer.to_device(draws, self.place))

    def trace(self):
        """``Tr Sigma``, float, from the gradients' norms."""
        return self.scale * self._centred_square_sum[0]

    @property
    def trace_rounding(self):
        """The trace that rounding alone may leave where all gradients are equal."""
        return self.scale * self._centred_square_sum[1]

    @cached_property
    def _centred_square_sum(self):
        return centred_squares.centred_square_norm(self.factors, self.mean)

    def diagonal(self):
        """``diag Sigma``, (D,), in double precision; no entry is rounded below 0."""
        return self.scale * centred_squares.centred_square_sums(self.factors, self.mean)[0]

    def quadratic_form(self, vectors):
        """``u^T Sigma u`` as a squared norm: (D,) -> float, (D, K) -> (K,)."""
        foreign = places.is_foreign(vectors)
        single = (vectors.ndim if foreign else np.ndim(vectors)) == 1
        shape = (self.shape[0],) if single else (self.shape[0], None)
        where = self.place if foreign else places.NUMPY
        given = transfer.checked("vectors", vectors, where, shape=shape, dtype=np.float64)
        projected = self.project(given[:, None] if single else given)
        forms = functions.inner_products(projected.T, projected.T)
        return float(forms[0]) if single else forms

    def leading_eigenpairs(self, num_pairs):
        """Leading eigenpairs through the N x N Gram matrix of the gradients.

        Of gradients that are not kept, by block Lanczos on products.

        Parameters
        ----------
        num_pairs : int
            1 <= num_pairs <= min(N, D).

        Returns
        -------
        spectra.EigenPairs
            Residuals of at most 1e-9 times the largest value, more in single precision.

        Raises
        ------
        InputError
            If `num_pairs` breaks its rule, or a gradient is not finite.
        NotConverged
            If a residual is larger.
        """
        limit = min(self.factors.shape)
        num_pairs = checks.integer("num_pairs", num_pairs, low=1, high=limit, high_name="min(N, D)")
        tolerance = _pairs.checked_tolerance(None, self, default=_EIGEN_TOLERANCE)
        if not hasattr(self.factors, "gram"):
            return block_lanczos.leading_eigenpairs(self, num_pairs, tolerance=tolerance)
        gram = operators.finite_products(transfer.to_numpy(self.factors.gram()))
        gram -= gram.mean(axis=0)
        gram -= gram.mean(axis=1)[:, None]
        last = len(gram) - 1
        with blas_threads(1):
            values, weights = scipy.linalg.eigh(
                gram,
                subset_by_index=[last + 1 - num_pairs, last],
                driver="evr",
                overwrite_a=True,
                check_finite=False,
            )
        values, weights = values[::-1].astype(np.float64), weights[:, ::-1]
        combined = self.combine(weights.T).T
        with blas_threads(1):
            vectors = np.linalg.qr(combined)[0]
        values = self.scale * np.maximum(values, 0.0)
        pairs = _pairs.with_residuals(self, values, vectors, num_products=0)
        return _pairs.require_residuals(
            pairs, self, tolerance, float(values[0]), "the gradients are too inaccurate"
        )

    def __repr__(self):
        return f"<{self.shape[0]}x{self.shape[1]} LayeredCovariance: {self.convention}>"


def gradient_covariance(factors):
    """Centred gradient covariance of one example, ``(1/N) sum_i (g_i - g)(g_i - g)^T``.

        Parameters
        ----------
        factors : GradientFactors or StreamedGradients
            Gradients from ``network.example_gradients(theta)``, or those of a linearisation,
            ``network.linearise(theta).gradient_factors``.

        Returns
        -------
        LayeredCovariance

        Examples
        --------
        >>> from aniso.problems import losses
    >>> from aniso import networks
        >>> network = networks.Network(networks.Stack((networks.Dense(1),), (1,)),
        ...     losses.SquaredLoss(), inputs=[[1.0], [2.0]], targets=[[0.0], [0.0]])
        >>> factors = network.linearise([1.0, 0.0]).gradient_factors  # g = (2, 2) and (8, 4)
        >>> gradient_covariance(factors).trace()
        10.0
    """
    if not hasattr(factors, "square_sums"):
        raise checks.InputError(
            f"factors is of type {type(factors).__name__}; expected the result of "
            "network.example_gradients(theta); gradient_noise.gradient_covariance takes an array "
            "of gradients"
        )
    convention = noise_conventions.Convention(factors.shape[0])
    return LayeredCovariance(factors, 1 / factors.shape[0], convention)
