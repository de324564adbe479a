"""The noise structures by name: the registry of the compared dynamics.

A structure is a function ``(at, settings, rng, start) -> InjectedNoise``:

- `at`, a :class:`aniso.problems.LocalGeometry`, has the gradient noise and the Hessian at theta.
- `settings` is the run's :class:`aniso.descent.Settings`.
- `rng` draws the batches of an estimated covariance.
- `start` (D, k) or None holds eigenvectors of the last Hessian, from which a search may start.

A new structure is one function and one line in :data:`STRUCTURES`.
"""

from dataclasses import dataclass

import numpy as np

from aniso.descent.batch_noise import batch_covariance
from aniso.descent.hessian_pairs import hessian_eigenpairs, power_iteration
from aniso.matrices import DiagonalCovariance, structures


@dataclass(frozen=True)
class InjectedNoise:
    """Gaussian noise eps of a step.

    Attributes
    ----------
    covariance : operator, shape (D, D)
        Covariance of eps, with `sample` and `trace`.
    eigenvectors : ndarray, shape (D, k), or None
        Eigenvectors of the Hessian that were computed on the way.
    """

    covariance: object
    eigenvectors: np.ndarray | None = None


def constant(at, settings, rng, start):  # noqa: ARG001
    """``sigma^2 I`` with a fixed, tuned sigma."""
    variance = settings.standard_deviation**2
    return InjectedNoise(DiagonalCovariance(np.full(at.num_parameters, variance)))


def dynamic(at, settings, rng, start):  # noqa: ARG001
    """``(Tr Sigma_t / D) I``."""
    return InjectedNoise(structures.isotropic_equivalent(batch_covariance(at, settings, rng)))


def diagonal(at, settings, rng, start):  # noqa: ARG001
    """``diag(Sigma_t)``."""
    return InjectedNoise(structures.diagonal_part(batch_covariance(at, settings, rng)))


def leading(at, settings, rng, start):  # noqa: ARG001
    """Return the k leading eigenpairs of Sigma_t, of trace ``Tr Sigma_t`` or truncated."""
    covariance = batch_covariance(at, settings, rng)
    num_pairs = min(settings.num_pairs, *covariance.shape, covariance.num_rows)
    return InjectedNoise(structures.leading_part(covariance, num_pairs, rescaled=settings.rescaled))


def hessian(at, settings, rng, start):
    """Return the k leading eigenpairs of H_t, of trace ``Tr Sigma_t`` where rescaled.

    Where no eigenvalue of H_t is positive, none can carry noise. The isotropic structure then takes
    its place, so that the magnitude is kept.
    """
    magnitude = settings.eigenvalues == "magnitude"
    which = "magnitude" if magnitude else "largest"
    pairs = hessian_eigenpairs(at, settings, settings.num_pairs, which, start)
    values = np.abs(pairs.values) if magnitude else np.maximum(pairs.values, 0.0)
    if not values.any():
        isotropic = dynamic(at, settings, rng, start).covariance
        return InjectedNoise(isotropic, pairs.vectors)
    total = batch_covariance(at, settings, rng).trace() if settings.rescaled else None
    covariance = structures.from_eigenpairs(values, pairs.vectors, total)
    return InjectedNoise(covariance, pairs.vectors)


def first_eigenvector(at, settings, rng, start):
    """``Tr Sigma_t u_1 u_1^T``, u_1 the leading eigenvector of H_t."""
    if settings.power_iterations is None:
        found = vector = hessian_eigenpairs(at, settings, 1, start=start).vectors
    else:
        found, vector = None, power_iteration(at, settings.power_iterations)[:, None]
    total = batch_covariance(at, settings, rng).trace()
    return InjectedNoise(structures.from_eigenpairs(np.ones(1), vector, total), found)


def whole(at, settings, rng, start):  # noqa: ARG001
    """``Sigma_t`` itself, as a Gaussian: one weighted backward pass a sample."""
    return InjectedNoise(batch_covariance(at, settings, rng))


STRUCTURES = {
    "gld_constant": constant,
    "gld_dynamic": dynamic,
    "gld_diagonal": diagonal,
    "gld_leading": leading,
    "gld_hessian": hessian,
    "gld_first_eigenvector": first_eigenvector,
    "sgd_gaussian": whole,
}
"""Gaussian noise of a step, by the name of the dynamics."""

DYNAMICS = ("gd", *STRUCTURES, "sgd")
"""All dynamics: "gd" adds no noise, "sgd" takes the gradients of actual mini-batches."""

NEEDS_COVARIANCE = frozenset(STRUCTURES) - {"gld_constant"}
"""Dynamics whose noise is made from the covariance of the mini-batch gradient."""
