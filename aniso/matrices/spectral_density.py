"""Spectral density of a symmetric operator by stochastic Lanczos quadrature, with error band.

Let z be a random vector with ``E[z z^T] = I``. The spectral measure of A with respect to ``z/|z|``
has the expectation ``(1/D) sum_i delta(t - lambda_i)``. From it, m steps of Lanczos compute m
nodes and weights, which are exact for polynomials of degree 2 m - 1. The density returned is this
measure convolved with a Gaussian.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy
import scipy.linalg

from aniso import checks, memory
from aniso.estimates import Estimate
from aniso.matrices import operands

if TYPE_CHECKING:
    from aniso.typing import Array, ArrayLike, Matrix


@dataclass(frozen=True, repr=False)
class SpectralDensity:
    """Density of eigenvalues, normalised to integral 1, with its standard error and bands.

    Attributes
    ----------
    points : ndarray, shape (n,)
        Where it was evaluated.
    values, standard_errors : ndarray, shape (n,)
        Mean over the probes, and the standard error of that mean; 0 of known eigenvalues.
    width : float
        Standard deviation of the Gaussian that smooths it.
    nodes, weights : ndarray, shape (probes, steps)
        Quadrature of every probe; weights sum to 1.
    dimension : int
        D, the number of eigenvalues.
    exact : bool
        Whether it was made of all eigenvalues instead of probes.

    Examples
    --------
    >>> density_of_eigenvalues([0.0, 1.0, 2.0, 3.0], width=0.5)
    <SpectralDensity: D = 4, eigenvalues from 0 to 3, mean 1.5, width 0.5>
    """

    points: np.ndarray
    values: np.ndarray
    standard_errors: np.ndarray
    width: float
    nodes: np.ndarray
    weights: np.ndarray
    dimension: int
    exact: bool = False

    def band(self, confidence: float = 0.95) -> tuple[Array, Array]:
        """Band of the density over the probes, at each point, by Student's distribution.

        Parameters
        ----------
        confidence : float
            Probability within (0, 1) of covering the expected density at any one point.

        Returns
        -------
        low, high : ndarray, shape (n,)
            The values plus and minus the half width, not below 0; the values of known eigenvalues.
        """
        confidence = checks.number("confidence", confidence, low=0, high=1, strict=True)
        if self.exact:
            return self.values.copy(), self.values.copy()
        quantile = float(scipy.stats.t.ppf(0.5 + confidence / 2, len(self.nodes) - 1))
        half = quantile * self.standard_errors
        return np.maximum(self.values - half, 0.0), self.values + half

    def mean_of(self, function: Callable[..., Any]) -> Estimate:
        """Estimate ``(1/D) sum_i function(lambda_i)``, function elementwise.

        Parameters
        ----------
        function : callable
            ndarray -> ndarray.

        Returns
        -------
        Estimate
        """
        samples = (self.weights * function(self.nodes)).sum(axis=1)
        if self.exact:
            return Estimate(float(samples[0]), 0.0, 1)
        return Estimate.from_samples(samples)

    def share_above(self, threshold: float) -> Estimate:
        """Estimate the share of eigenvalues above `threshold`."""
        return self.mean_of(lambda t: (t > threshold).astype(float))

    def __repr__(self):
        mean = self.mean_of(lambda t: t)
        probes = "" if self.exact else f", {len(self.nodes)} probes, {self.nodes.shape[1]} steps"
        shown = f"{mean.value:.6g}" if self.exact else str(mean)
        return (
            f"<SpectralDensity: D = {self.dimension}, eigenvalues from {self.nodes.min():.4g} to "
            f"{self.nodes.max():.4g}, mean {shown}, width {self.width:.3g}{probes}>"
        )


def density_of_eigenvalues(
    eigenvalues: ArrayLike, *, points: ArrayLike | None = None, width: float | None = None
) -> SpectralDensity:
    """Return the smoothed density of known eigenvalues, exact.

    Parameters
    ----------
    eigenvalues : array_like, shape (D,)
        All eigenvalues, in any order.
    points : array_like, shape (n,), optional
        As for :func:`lanczos_quadrature`.
    width : float, optional
        As for :func:`lanczos_quadrature`.

    Returns
    -------
    SpectralDensity

    Raises
    ------
    InputError
        If an argument breaks its rule.

    Examples
    --------
    >>> density_of_eigenvalues([1.0], points=[1.0], width=1.0).values.round(6)  # 1 / sqrt(2 pi)
    array([0.398942])
    """
    eigenvalues = checks.array("eigenvalues", eigenvalues, shape=(None,))
    if eigenvalues.size == 0:
        raise checks.InputError("eigenvalues is empty; expected at least one")
    nodes = checks.held(np.sort(eigenvalues)[None])
    weights = np.full(nodes.shape, 1 / nodes.size)
    return _smoothed(nodes, weights, nodes.size, points, width, exact=True)


def lanczos_quadrature(
    matrix: Matrix,
    *,
    num_probes: int,
    num_steps: int,
    rng: np.random.Generator,
    points: ArrayLike | None = None,
    width: float | None = None,
) -> SpectralDensity:
    """Estimate the spectral density of a symmetric matrix from random probes.

    Parameters
    ----------
    matrix : array_like (D, D) or LinearOperator
        Symmetric: a Hessian, a Gauss-Newton or Fisher matrix, a covariance of gradients. Products
        are taken with all probes at once.
    num_probes : int
        Independent Gaussian probes, at least 2, so that there is an error.
    num_steps : int
        Lanczos steps m, 1 <= m <= D.
    rng : numpy.random.Generator
        Source of the random numbers.
    points : array_like, shape (n,), optional
        Points at which the density is returned; 512 points over the nodes if not given.
    width : float, optional
        Smoothing; 1 % of the range of the nodes if not given, of their size where they are equal.

    Returns
    -------
    SpectralDensity

    Raises
    ------
    InputError
        If an argument breaks its rule, or a product is not finite.
    AllocationRefused
        If the Lanczos vectors do not fit.

    Notes
    -----
    num_probes * num_steps products, full reorthogonalisation, 8 D num_probes num_steps bytes. The
    error band covers the sampling of probes; the smoothing is part of the definition.

    Examples
    --------
    >>> density = lanczos_quadrature(np.diag([1.0, 1.0, 1.0]), num_probes=2, num_steps=1,
    ...     rng=np.random.default_rng(0), points=[1.0], width=0.5)
    >>> density.values.round(6)  # every node is 1: the height of the Gaussian
    array([0.797885])
    """
    matrix = operands.symmetric("matrix", matrix, probed=False)
    dimension = matrix.shape[0]
    num_probes = checks.integer("num_probes", num_probes, low=2)
    num_steps = checks.integer("num_steps", num_steps, low=1, high=dimension, high_name="D")
    checks.generator("rng", rng)
    memory.require(
        8 * dimension * num_probes * (num_steps + 2),
        "the Lanczos vectors of all probes",
        "use fewer probes or steps",
    )
    nodes, weights = _quadratures(matrix, rng.standard_normal((num_probes, dimension)), num_steps)
    return _smoothed(nodes, weights, dimension, points, width)


def _smoothed(nodes, weights, dimension, points, width, *, exact=False):
    if width is None:
        spread, size = float(nodes.max() - nodes.min()), float(np.abs(nodes).max())
        # equal nodes differ by rounding
        width = 0.01 * (spread if spread > 1e-10 * size else size) or 1.0
    width = checks.number("width", width, low=0, strict=True)
    if points is None:
        points = np.linspace(nodes.min() - 3 * width, nodes.max() + 3 * width, 512)
    points = checks.held(checks.array("points", points, shape=(None,)))
    samples = np.empty((len(points), len(nodes)))
    # the kernels of a few points at a time: 32 MiB
    step = max(1, 2**22 // nodes.size)
    for start in range(0, len(points), step):
        part = points[start : start + step, None, None]
        kernels = np.exp(-0.5 * ((part - nodes) / width) ** 2)
        kernels /= width * np.sqrt(2 * np.pi)
        samples[start : start + step] = np.einsum("pks,ks->pk", kernels, weights)
    error = np.zeros(len(points))
    if not exact:
        error = samples.std(axis=1, ddof=1) / np.sqrt(len(nodes))
    return SpectralDensity(
        points, samples.mean(axis=1), error, width, nodes, weights, dimension, exact
    )


def _quadratures(matrix, probes, num_steps):
    # one three-term recurrence a probe, their products taken together
    count, dimension = probes.shape
    basis = np.zeros((count, num_steps, dimension))
    diagonal, off = np.zeros((count, num_steps)), np.zeros((count, num_steps))
    current = probes / np.linalg.norm(probes, axis=1, keepdims=True)
    for step in range(num_steps):
        basis[:, step] = current
        moved = np.asarray(matrix @ current.T)
        if step == 0 and not operands.is_dense(matrix):
            operands.require_symmetric_forms("matrix", matrix, current.T, moved)
        moved = moved.astype(np.float64, copy=False).T
        # a product that is not finite leaves its trace here
        diagonal[:, step] = operands.finite_products(np.einsum("kd,kd->k", moved, current))
        for _ in range(2):
            overlaps = np.einsum("ksd,kd->ks", basis[:, : step + 1], moved)
            moved = moved - np.einsum("ks,ksd->kd", overlaps, basis[:, : step + 1])
        norms = np.linalg.norm(moved, axis=1)
        # a probe in an invariant subspace has its whole measure already
        scale = np.abs(diagonal[:, : step + 1]).max(axis=1) + off.max(axis=1)
        alive = norms > 64 * np.finfo(float).eps * np.sqrt(dimension) * scale
        off[:, step] = np.where(alive, norms, 0.0)
        current = np.where(alive[:, None], moved / np.where(norms == 0, 1, norms)[:, None], 0.0)
    nodes, weights = np.empty((count, num_steps)), np.empty((count, num_steps))
    for probe in range(count):
        # a probe that ended early repeats its first node, without weight
        ends = np.flatnonzero(off[probe] == 0)
        last = 1 + int(ends[0]) if ends.size else num_steps
        found, vectors = scipy.linalg.eigh_tridiagonal(
            diagonal[probe, :last], off[probe, : last - 1]
        )
        nodes[probe], weights[probe] = found[0], 0.0
        nodes[probe, :last], weights[probe, :last] = found, vectors[0] ** 2
    return nodes, weights
