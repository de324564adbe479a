"""The quadratic model of a loss near theta, in the leading eigenvectors of its Hessian.

    L(theta + V x) = L + g . x + 1/2 x^T diag(lambda) x,    batch noise of covariance V^T S V

The columns of V are the k leading eigenvectors of H and those of its most negative eigenvalues.
What lies outside of their span is kept in sums, see :class:`Remainder`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from aniso import checks, matrices
from aniso.arrays import transfer
from aniso.estimates import Estimate
from aniso.matrices import convention
from aniso.problems import LocalGeometry, local_geometry

if TYPE_CHECKING:
    from aniso.matrices import GradientCovariance
    from aniso.typing import Array, ArrayLike


_ALL_DIRECTIONS = 48
_NUM_NEGATIVE = 4
# relative to the largest magnitude: what is smaller counts as flat
_FLAT = 1e-6
# residuals relative to the norm of H; eigenvalues near 0 hardly converge further
_TOLERANCE, _TOLERANCE_NEGATIVE = 1e-4, 1e-3
_BLOCK_SIZE = 16
_NUM_PRODUCTS = 64
# share of the curvature-weighted noise that may stay outside of a subspace of automatic size
_SHARE_OUTSIDE = 0.1


@dataclass(frozen=True)
class Remainder:
    """Sums over the directions outside of a leading subspace; all 0 where there are none.

    Attributes
    ----------
    num_directions : int
        D minus the dimension of the subspace.
    smallest, largest : float
        Bounds of the eigenvalues of H there.
    noise_trace : float
        ``Tr S`` outside.
    alignment : estimates.Estimate
        ``Tr(H S)`` outside; exact or from random probes.
    gradient_square : float
        Squared norm of the gradient's part outside.
    gradient_curvature : float
        ``g^T H g`` of that part.
    """

    num_directions: int
    smallest: float
    largest: float
    noise_trace: float
    alignment: Estimate
    gradient_square: float
    gradient_curvature: float


@dataclass(frozen=True)
class LeadingModel:
    """A quadratic model in leading eigenvectors of the Hessian, with the noise of a batch mean.

    Attributes
    ----------
    loss : float
        L at theta.
    eigenvalues : ndarray, shape (k,)
        lambda, in decreasing order.
    gradient : ndarray, shape (k,)
        ``V^T grad L``.
    covariance : ndarray, shape (k, k)
        ``V^T S V``, S the covariance of the mean gradient of a batch.
    vectors : ndarray, shape (D, k)
        V.
    outside : Remainder
        Sums over all other directions.
    """

    loss: float
    eigenvalues: np.ndarray
    gradient: np.ndarray
    covariance: np.ndarray
    vectors: np.ndarray
    outside: Remainder

    @property
    def noise_share(self) -> float:
        """Share of ``Tr S`` in the subspace; 1 without noise."""
        inside = float(np.trace(self.covariance))
        total = inside + self.outside.noise_trace
        return inside / total if total > 0 else 1.0

    @property
    def alignment_share(self) -> float:
        """Share of the noise weighted with the size of the curvature that is in the subspace.

        ``sum_i |lambda_i| s_i`` over the sum of that and of the size of Tr(H S) outside.
        """
        inside = float(np.abs(self.eigenvalues) @ self.covariance.diagonal())
        total = inside + abs(self.outside.alignment.value)
        return inside / total if total > 0 else 1.0

    def rise(self, points: ArrayLike) -> Array:
        """Change of the model's loss at the points x, shape (n, k); returns (n,)."""
        return points @ self.gradient + 0.5 * points**2 @ self.eigenvalues

    def __repr__(self):
        k = len(self.eigenvalues)
        return (
            f"<LeadingModel: {k} of {k + self.outside.num_directions} directions, eigenvalues "
            f"{self.eigenvalues[-1]:.4g} to {self.eigenvalues[0]:.4g}, with "
            f"{100 * self.noise_share:.3g} % of the noise and {100 * self.alignment_share:.3g} % "
            "of the noise weighted with curvature>"
        )


def leading_model(
    geometry: LocalGeometry,
    noise: GradientCovariance,
    rng: np.random.Generator,
    *,
    num_pairs: int | None = None,
) -> LeadingModel:
    """Make the quadratic model of a loss near theta in leading eigenvectors of its Hessian.

    Parameters
    ----------
    geometry : problems.LocalGeometry
        Of any problem, at theta.
    noise : GradientCovariance
        Covariance of a batch mean, from :func:`aniso.matrices.minibatch_covariance`.
    rng : numpy.random.Generator
        Draws the probes of Tr(H S) outside of the subspace, for more than 2000 parameters.
    num_pairs : int, optional
        Number of largest eigenvalues, at most D. If not given, all up to D = 48; else 8, 16, 32 or
        44, the first that leaves at most a tenth of the alignment outside. Up to four of the most
        negative eigenvalues are added.

    Returns
    -------
    LeadingModel

    Raises
    ------
    InputError
        If an argument breaks its rule, or the noise has no convention or is not that of a batch
        mean.
    NotConverged
        If eigenvectors do not reach their tolerance.

    Notes
    -----
    Cost: up to D = 2000 the dense Hessian and its eigendecomposition. Beyond, block Lanczos for the
    pairs, and 64 Hessian products for each size that is tried.

    Examples
    --------
    >>> from aniso import problems
    >>> bowl = problems.quadratic_problem(np.diag([2.0, 1.0]), [0.0, 0.0], np.diag([1.0, 3.0]))
    >>> at = bowl.at([0.0, 0.0])
    >>> noise = matrices.minibatch_covariance(at.noise, 1, replacement=True)
    >>> leading_model(at, noise, np.random.default_rng(0), num_pairs=1).eigenvalues
    array([2.])
    """
    if not isinstance(geometry, LocalGeometry):
        raise checks.InputError(
            f"geometry is of type {type(geometry).__name__}; expected the result of problem.at"
        )
    size = geometry.num_parameters
    _require_batch_noise(noise, size)
    checks.generator("rng", rng)
    if num_pairs is not None:
        num_pairs = checks.integer("num_pairs", num_pairs, low=1, high=size, high_name="D")
    if size <= local_geometry.DENSE_DIMENSION:
        hessian = np.asarray(geometry.hessian.to_dense(), dtype=np.float64)
        values, vectors = np.linalg.eigh(hessian)
        pairs = values[::-1], vectors[:, ::-1]

        def subspace(count):
            return _selected(*pairs, count, size)
    else:
        hessian = geometry.hessian
        negative = _pairs(hessian, _NUM_NEGATIVE + 1, "smallest", _TOLERANCE_NEGATIVE)

        def subspace(count):
            largest = _pairs(hessian, count + 1, "largest", _TOLERANCE)
            values = np.concatenate([largest.values, negative.values[::-1]])
            joined = np.hstack([largest.vectors, negative.vectors[:, ::-1]])
            error = 10 * float(negative.residuals.max())
            return _selected(values, joined, count, size, error)

    sizes = [num_pairs] if num_pairs is not None else [size]
    if num_pairs is None and size > _ALL_DIRECTIONS:
        sizes = [8, 16, 32, 44]
    for count in sizes:
        model = _model(geometry, noise, hessian, subspace(count), rng)
        if model.alignment_share >= 1 - _SHARE_OUTSIDE:
            break
    return model


def _require_batch_noise(noise, size):
    if convention.convention_of(noise) is None:
        raise checks.InputError(
            f"noise is of type {type(noise).__name__} and has no convention; expected the "
            "covariance of a batch mean, from matrices.minibatch_covariance"
        )
    convention.check_stage("noise", noise, "mini-batch")
    if noise.shape != (size, size):
        raise checks.InputError(f"noise has shape {noise.shape}; expected ({size}, {size})")


def _pairs(hessian, count, which, tolerance):
    block = min(_BLOCK_SIZE, hessian.shape[0])
    return matrices.leading_eigenpairs(
        hessian, count, which=which, method="block", tolerance=tolerance, block_size=block
    )


def _selected(values, vectors, count, dimension, error=0.0):
    """Return eigenvalues, eigenvectors and the bounds of the other eigenvalues.

    The values are the largest ones, at least count + 1 of them or all, and then the smallest ones,
    in decreasing order. Negative ones count beyond their error.
    """
    flat = max(_FLAT * float(np.abs(values).max()), error)
    lowest = np.arange(len(values) - min(_NUM_NEGATIVE, len(values) - count), len(values))
    chosen = np.concatenate([np.arange(count), lowest[values[lowest] < -flat]])
    others = np.setdiff1d(np.arange(len(values)), chosen)
    bounds = (0.0, 0.0)
    if len(chosen) < dimension:
        bounds = float(values[others].min()) - error, float(values[others].max()) + error
    return values[chosen], vectors[:, chosen], bounds


def _model(geometry, noise, hessian, subspace, rng):
    values, vectors, (smallest, largest) = subspace
    size, count = vectors.shape
    gradient = np.asarray(transfer.to_numpy(geometry.gradient), dtype=np.float64)
    inside = vectors.T @ gradient
    covariance = vectors.T @ np.asarray(noise @ vectors)
    covariance = (covariance + covariance.T) / 2
    if count == size:
        outside = Remainder(0, 0.0, 0.0, 0.0, Estimate(0.0, 0.0, 0), 0.0, 0.0)
    else:
        rest = gradient - vectors @ inside
        outside = Remainder(
            size - count,
            smallest,
            largest,
            max(float(noise.trace()) - float(np.trace(covariance)), 0.0),
            _alignment_outside(hessian, noise, values, vectors, covariance, rng),
            float(rest @ rest),
            float(rest @ np.asarray(hessian @ rest)),
        )
    return LeadingModel(float(geometry.loss), values, inside, covariance, vectors, outside)


def _alignment_outside(hessian, noise, values, vectors, covariance, rng):
    if isinstance(hessian, np.ndarray):
        total = matrices.alignment(hessian, noise)
        return Estimate(total - float(values @ covariance.diagonal()), 0.0, 0)

    def deflated(block):
        return np.asarray(hessian @ block) - vectors @ (values[:, None] * (vectors.T @ block))

    rest = matrices.SymmetricOperator(deflated, len(vectors), np.dtype(np.float64))
    return matrices.estimate_alignment(rest, noise, rng, num_products=_NUM_PRODUCTS)
