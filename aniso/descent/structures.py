"""The noise structures by name: the registry of the compared dynamics.

A structure is a function of a :class:`aniso.descent.point.Point` that returns the covariance of
eps, an operator with `sample` and `trace`. A new one is one function and one line below.
"""

import numpy as np

from aniso.matrices import (
    DiagonalCovariance,
    structures,
)


def constant(point):
    """``sigma^2 I`` with a fixed, tuned sigma."""
    variance = point.settings.standard_deviation**2
    return DiagonalCovariance(np.full(point.num_parameters, variance))


def dynamic(point):
    """``(Tr Sigma_t / D) I``."""
    return structures.isotropic_equivalent(point.covariance)


def diagonal(point):
    """``diag(Sigma_t)``."""
    return structures.diagonal_part(point.covariance)


def leading(point):
    """The k leading eigenpairs of Sigma_t, of trace ``Tr Sigma_t`` or truncated."""
    settings = point.settings
    num_pairs = min(settings.num_pairs, *point.covariance.shape, point.covariance.num_rows)
    return structures.leading_part(point.covariance, num_pairs, rescaled=settings.rescaled)


def hessian(point):
    """The k leading eigenpairs of H_t, of trace ``Tr Sigma_t`` where rescaled.

    Of a Hessian without positive eigenvalue nothing can carry noise; the isotropic structure takes
    its place, so that the magnitude is kept.
    """
    settings = point.settings
    magnitude = settings.eigenvalues == "magnitude"
    pairs = point.hessian_eigenpairs(settings.num_pairs, "magnitude" if magnitude else "largest")
    point.start_vectors = pairs.vectors
    values = np.abs(pairs.values) if magnitude else np.maximum(pairs.values, 0.0)
    if not values.any():
        return dynamic(point)
    total = point.covariance.trace() if settings.rescaled else None
    return structures.from_eigenpairs(values, pairs.vectors, total)


def first_eigenvector(point):
    """``Tr Sigma_t u_1 u_1^T``, u_1 the leading eigenvector of H_t."""
    if point.settings.power_iterations is None:
        pairs = point.hessian_eigenpairs(1)
        point.start_vectors = pairs.vectors
        vector = pairs.vectors[:, 0]
    else:
        vector = point.power_iteration(point.settings.power_iterations)
    return structures.from_eigenpairs(np.ones(1), vector[:, None], point.covariance.trace())


def whole(point):
    """``Sigma_t`` itself, as a Gaussian: one weighted backward pass a sample."""
    return point.covariance


STRUCTURES = {
    "gld_constant": constant,
    "gld_dynamic": dynamic,
    "gld_diagonal": diagonal,
    "gld_leading": leading,
    "gld_hessian": hessian,
    "gld_first_eigenvector": first_eigenvector,
    "sgd_gaussian": whole,
}
"""Covariance of the Gaussian noise, by the name of the dynamics."""

DYNAMICS = ("gd", *STRUCTURES, "sgd")
"""All dynamics: "gd" adds no noise, "sgd" takes the gradients of actual mini-batches."""

NEEDS_COVARIANCE = frozenset(STRUCTURES) - {"gld_constant"}
"""Dynamics whose noise is made from the covariance of the mini-batch gradient."""
