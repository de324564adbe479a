"""Spectral density of a symmetric operator by stochastic Lanczos quadrature, with error band.

Let z be a random vector with ``E[z z^T] = I``. The spectral measure of A with respect to z/|z| has
the expectation ``(1/D) sum_i delta(t - lambda_i)``. From it, m steps of Lanczos compute m nodes and
weights, which are exact for polynomials of degree 2 m - 1. The density returned is this measure
convolved with a Gaussian.
"""

from dataclasses import dataclass

import numpy as np
import scipy.linalg

from aniso import checks, memory
from aniso.estimates import Estimate
from aniso.matrices import operands


@dataclass(frozen=True)
class SpectralDensity:
    """Density of eigenvalues, normalised to integral 1, with its standard error.

    Attributes
    ----------
    points : ndarray, shape (n,)
        Where it was evaluated.
    values, standard_errors : ndarray, shape (n,)
        Mean over the probes, and the standard error of that mean.
    width : float
        Standard deviation of the Gaussian that smooths it.
    nodes, weights : ndarray, shape (probes, steps)
        Quadrature of every probe; weights sum to 1.
    """

    points: np.ndarray
    values: np.ndarray
    standard_errors: np.ndarray
    width: float
    nodes: np.ndarray
    weights: np.ndarray

    def mean_of(self, function):
        """Estimate ``(1/D) sum_i function(lambda_i)``, function elementwise.

        Parameters
        ----------
        function : callable
            ndarray -> ndarray.

        Returns
        -------
        Estimate
        """
        return Estimate.from_samples((self.weights * function(self.nodes)).sum(axis=1))

    def share_above(self, threshold):
        """Estimate the share of eigenvalues above `threshold`."""
        return self.mean_of(lambda t: (t > threshold).astype(float))


def lanczos_quadrature(matrix, *, num_probes, num_steps, rng, points=None, width=None):
    """Estimate the spectral density of a symmetric matrix from random probes.

    Parameters
    ----------
    matrix : array_like (D, D) or LinearOperator
        Symmetric; products are taken with all probes at once.
    num_probes : int
        Independent Gaussian probes, at least 2, so that there is an error.
    num_steps : int
        Lanczos steps m, 1 <= m <= D.
    rng : numpy.random.Generator
        Source of the random numbers.
    points : array_like, shape (n,), optional
        Points at which the density is returned; 512 points over the nodes if not given.
    width : float, optional
        Smoothing; 1 % of the range of the nodes if not given.

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
    spread = float(nodes.max() - nodes.min())
    if width is None:
        width = 0.01 * spread if spread > 0 else 1.0
    width = checks.number("width", width, low=0, strict=True)
    if points is None:
        points = np.linspace(nodes.min() - 3 * width, nodes.max() + 3 * width, 512)
    points = checks.held(checks.array("points", points, shape=(None,)))
    kernels = np.exp(-0.5 * ((points[:, None, None] - nodes) / width) ** 2)
    kernels /= width * np.sqrt(2 * np.pi)
    samples = np.einsum("pks,ks->pk", kernels, weights)
    error = samples.std(axis=1, ddof=1) / np.sqrt(num_probes)
    return SpectralDensity(points, samples.mean(axis=1), error, width, nodes, weights)


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
        nodes[probe], vectors = scipy.linalg.eigh_tridiagonal(
            diagonal[probe], off[probe, : num_steps - 1]
        )
        weights[probe] = vectors[0] ** 2
    return nodes, weights
