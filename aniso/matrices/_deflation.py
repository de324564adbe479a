"""Deflation of a trace: within a basis exactly, the rest by random probes.

With orthonormal W in R^n and ``Q = I - W W^T``,

    Tr B = Tr(W^T B W) + Tr(Q B Q),      Tr(Q B Q) = E[(Qz)^T B (Qz)],  z random signs.

This holds for every W. See "Alignment by deflation" in docs/theory/estimates.md.
"""

import math
from dataclasses import dataclass

import numpy as np

from aniso import memory
from aniso.estimates import Estimate
from aniso.matrices import operands
from aniso.matrices.stochastic_traces import rademacher

PILOT_PAIRS = 8
PILOT_PROBES = 4


@dataclass(frozen=True)
class Pilot:
    """Result of the pilot.

    Attributes
    ----------
    trace : float
        Rough estimate of the trace.
    deflated : float
        Trace within the first `num_pairs` directions, exact.
    variances : ndarray, shape (K - num_pairs + 1,)
        Predicted variance of one probe with num_pairs..K deflated directions.
    num_pairs, num_products : int
    """

    trace: float
    deflated: float
    variances: np.ndarray
    num_pairs: int
    num_products: int


class _Moments:
    """Sums of squared deviations of the rows of arrays that come one after the other."""

    def __init__(self, size):
        self.count, self.mean, self.squares = 0, np.zeros(size), np.zeros(size)

    def add(self, columns):
        """Add samples (n, K), one a column; Chan, Golub and LeVeque 1983."""
        count, mean = columns.shape[1], columns.mean(axis=1)
        self.squares += np.sum(np.square(columns - mean[:, None]), axis=1)
        total, shift = self.count + count, mean - self.mean
        self.squares += shift**2 * (self.count * count / total)
        self.mean += shift * (count / total)
        self.count = total

    def variance(self):
        """Return the sum over the rows of the sample variances, float."""
        return float(self.squares.sum()) / (self.count - 1)


class Deflation:
    """The products of one trace: what is deflated, and the probes of the rest.

    `vanished` says whether the last probes met nothing beyond the deflated directions.

    Parameters
    ----------
    matrix : ndarray (D, D) or LinearOperator
        H, symmetric; checked on the probes where `unprobed`.
    source : object
        A source of :mod:`aniso.matrices._trace_sources`.
    num_vectors : int
        Size of the basis at most.
    rng : numpy.random.Generator
    unprobed : str or None
        Name of H for a message, if its symmetry has not been measured.
    """

    def __init__(self, matrix, source, num_vectors, rng, unprobed=None):
        self.matrix, self.source, self.rng, self.unprobed = matrix, source, rng, unprobed
        self.num_products, self.vanished = 0, False
        num_vectors = min(num_vectors, source.rank)
        memory.require(
            8 * (source.size + 2 * matrix.shape[0]) * (num_vectors + 40),
            f"the deflation of {num_vectors} directions",
            "lower num_pairs",
        )
        if num_vectors:
            self.basis, self.values = source.basis(num_vectors)
        else:
            self.basis, self.values = np.zeros((source.size, 0)), np.zeros(0)

    @property
    def num_vectors(self):
        """Directions that can be deflated."""
        return self.basis.shape[1]

    def pilot(self, num_pairs, num_probes=PILOT_PROBES):
        """Return the trace within `num_pairs` directions, and the variance of a probe of the rest.

        Notes
        -----
        The variance of a probe is ``2 sum_{i != j} C_ij^2``, C the symmetric part of Q B Q. The
        sum over i of the sample variances of ``z_i (Q B Q z)_i`` estimates ``sum_{i != j}`` without
        bias. Deflating further directions lowers it about as the sum of the squared eigenvalues
        of the rest of Sigma.
        """
        signs = rademacher(self.rng, (num_probes, self.source.size)).T
        rest = self._outside(signs, num_pairs)
        forms, images = self._products(np.hstack([self.basis[:, :num_pairs], rest]), num_pairs)
        deflated = float(forms[:num_pairs].sum())
        own = signs * self._outside(self.source.pull(images), num_pairs)
        variance = 2 * float(np.sum(own.var(axis=1, ddof=1)))
        return Pilot(
            deflated + float(forms[num_pairs:].mean()),
            deflated,
            variance * self._decay(signs, num_pairs),
            num_pairs,
            self.num_products,
        )

    def _decay(self, signs, num_pairs):
        # Tr(R_k^2) of k = num_pairs..K deflated directions over that of the first
        if self.values is None or self.num_vectors == num_pairs:
            return np.ones(1)
        beyond = float(self.source.spread(self._outside(signs, self.num_vectors)).mean())
        squares = self.values[num_pairs:] ** 2
        sums = np.append(np.cumsum(squares[::-1])[::-1], 0.0) + beyond
        return sums / sums[0] if sums[0] > 0 else np.zeros(len(sums))

    def within(self, first, last):
        """Return the trace within the directions first..last of the basis, float."""
        if first == last:
            return 0.0
        return float(self._products(self.basis[:, first:last], last - first)[0].sum())

    def rest(self, num_pairs, num_probes):
        """Return the estimate of ``Tr(Q B Q)`` from fresh random signs.

        Notes
        -----
        For symmetric B the standard error comes from the variances of the entries, as in
        :meth:`pilot`. It is steadier than that of so few samples, and depends less on their mean.
        """
        samples, moments = np.empty(num_probes), _Moments(self.source.size)
        for start, stop in operands.ranges(num_probes, max(self.source.size, self.matrix.shape[0])):
            signs = rademacher(self.rng, (stop - start, self.source.size)).T
            samples[start:stop], images = self._products(self._outside(signs, num_pairs), 0)
            if self.source.symmetric:
                moments.add(signs * self._outside(self.source.pull(images), num_pairs))
        found = Estimate.from_samples(samples)
        if not self.source.symmetric:
            return found
        error = math.sqrt(2 * moments.variance() / num_probes)
        return Estimate(found.value, error, num_probes)

    def _outside(self, weights, num_pairs):
        basis = self.basis[:, :num_pairs]
        return weights - basis @ (basis.T @ weights)

    def _products(self, weights, num_pairs):
        """Return (forms, H X of the columns beyond `num_pairs`); no product of what is zero."""
        lifted = self.source.lift(weights)
        forms, images = np.zeros(weights.shape[1]), np.zeros(lifted.shape)
        self.vanished = self._vanishes(lifted[:, num_pairs:])
        wanted = slice(0, num_pairs if self.vanished else None)
        if lifted[:, wanted].shape[1]:
            own, vectors = weights[:, wanted], lifted[:, wanted]
            products = np.asarray(self.matrix @ vectors)
            self._check(vectors, products)
            self.num_products += vectors.shape[1]
            forms[wanted] = self.source.forms(own, vectors, products)
            images[:, wanted] = products
        return operands.finite_products(forms), images[:, num_pairs:]

    def _check(self, vectors, products):
        if self.unprobed is None or operands.is_dense(self.matrix) or vectors.shape[1] < 2:
            operands.finite_products(products)
            return
        # the random vectors stand last
        backwards = slice(None, None, -1)
        operands.require_symmetric_forms(
            self.unprobed, self.matrix, vectors[:, backwards], products[:, backwards]
        )
        self.unprobed = None

    def _vanishes(self, lifted):
        # Beyond its rank Sigma is rounding. In single precision that is larger than what an
        # exact number may lack: there the probes are drawn, and carry the error.
        if self.values is None or not len(self.values) or not lifted.shape[1]:
            return False
        size = self.source.sizes(lifted).max()
        eps = np.finfo(np.float64).eps
        return bool(size <= 8 * self.source.size * eps * self.source.root(self.values[0]))
