"""The covariance of the stochastic gradient from gradients that are kept as factors.

For a network whose per-example gradients are products of activations and deltas
(:class:`aniso.networks.gradient_factors.GradientFactors`), the (N, D) array of gradients need not
exist: products, traces and the N x N Gram matrix come from the factors. The object offers the same
interface as :class:`aniso.gradient_noise.GradientCovariance`, and
:func:`aniso.gradient_noise.minibatch_covariance` and ``diffusion_covariance`` convert it.
"""

import math

import numpy as np
import scipy.linalg
from scipy.sparse.linalg import LinearOperator

from aniso import checks, memory, noise_conventions, spectra
from aniso.covariance_operators import FactoredCovariance
from aniso.threads import blas_threads


class LayeredCovariance(FactoredCovariance):
    """Centred gradient covariance ``scale * sum_i (g_i - g)(g_i - g)^T`` on gradient factors.

    Made by :func:`gradient_covariance` and the conversions of :mod:`aniso.gradient_noise`.

    Attributes
    ----------
    factors : object
        With ``shape``, ``dtype``, ``project``, ``combine``, ``rows``, ``mean``, ``gram``,
        ``square_norms`` and ``square_sums``; see
        :class:`aniso.networks.gradient_factors.GradientFactors`.
    scale : float
        Factor of the sum.
    convention : noise_conventions.Convention
        What the matrix is the covariance of.

    Notes
    -----
    Gradients are centred by subtracting products of the mean, so a mean gradient of norm M among
    deviations of norm s costs about ``log10(M^2 / s^2)`` of the sixteen digits.
    """

    def __init__(self, factors, scale, convention, mean=None):
        self.factors, self.scale, self.convention = factors, float(scale), convention
        self.mean = factors.mean() if mean is None else mean
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
        )
        return self._centred(0, num_rows)

    def _centred(self, start, stop):
        rows = self.factors.rows(start, stop)
        rows -= self.mean
        return rows

    def factor_rows(self, start, stop):
        """Rows start..stop of the factor, shape (stop - start, D)."""
        return math.sqrt(self.scale) * self._centred(start, stop)

    def combine(self, weights):
        """Weighted sums of the factor's rows: (K, N) -> (K, D)."""
        weights = weights.astype(self.dtype, copy=False)
        result = self.factors.combine(weights)
        result = result - weights.sum(axis=1)[:, None] * self.mean
        return math.sqrt(self.scale) * result

    def project(self, vectors):
        """Products with the factor: (D, K) -> (N, K)."""
        vectors = np.asarray(vectors, self.dtype)
        projected = self.factors.project(vectors)
        projected -= self.mean @ vectors
        return math.sqrt(self.scale) * projected

    def _matmat(self, vectors):
        return self.combine(self.project(vectors).T).T

    def trace(self):
        """``Tr Sigma``, float, from the gradients' norms."""
        mean = self.mean.astype(np.float64)
        total = self.factors.square_norms().sum() - self.num_rows * float(mean @ mean)
        return self.scale * float(total)

    def diagonal(self):
        """``diag Sigma``, (D,), in double precision."""
        squares = self.factors.square_sums() - self.num_rows * self.mean.astype(np.float64) ** 2
        return self.scale * squares

    def quadratic_form(self, vectors):
        """``u^T Sigma u`` as a squared norm: (D,) -> float, (D, K) -> (K,)."""
        shape = (self.shape[0],) if np.ndim(vectors) == 1 else (self.shape[0], None)
        given = checks.array("vectors", vectors, shape=shape)
        projected = self.project(given.reshape(self.shape[0], -1))
        forms = np.square(projected, dtype=np.float64).sum(axis=0)
        return float(forms[0]) if given.ndim == 1 else forms

    def leading_eigenpairs(self, num_pairs):
        """Leading eigenpairs through the N x N Gram matrix of the gradients.

        Parameters
        ----------
        num_pairs : int
            1 <= num_pairs <= min(N, D).

        Returns
        -------
        spectra.EigenPairs
        """
        limit = min(self.factors.shape)
        num_pairs = checks.integer("num_pairs", num_pairs, low=1, high=limit, high_name="min(N, D)")
        gram = self.factors.gram()
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
        return spectra.with_residuals(self, values, vectors, num_products=0)

    def __repr__(self):
        return f"<{self.shape[0]}x{self.shape[1]} LayeredCovariance: {self.convention}>"


def gradient_covariance(factors):
    """Centred gradient covariance of one example, ``(1/N) sum_i (g_i - g)(g_i - g)^T``.

    Parameters
    ----------
    factors : GradientFactors
        Gradients as factors, from ``network.linearise(theta).gradient_factors``.

    Returns
    -------
    LayeredCovariance

    Examples
    --------
    >>> from aniso import losses, networks
    >>> network = networks.Network(networks.Stack((networks.Dense(1),), (1,)),
    ...     losses.SquaredLoss(), inputs=[[1.0], [2.0]], targets=[[0.0], [0.0]])
    >>> factors = network.linearise([1.0, 0.0]).gradient_factors  # g = (2, 2) and (8, 4)
    >>> gradient_covariance(factors).trace()
    10.0
    """
    convention = noise_conventions.Convention(factors.shape[0])
    return LayeredCovariance(factors, 1 / factors.shape[0], convention)
