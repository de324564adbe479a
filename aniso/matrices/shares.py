"""Shares of the gradient and of its noise within the leading eigenvectors of the curvature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import scipy.linalg

from aniso import checks
from aniso.matrices import exact_traces, operands, subspaces
from aniso.matrices.eigenpairs import EigenPairs
from aniso.matrices.factored import quadratic_form

if TYPE_CHECKING:
    from aniso.typing import ArrayLike, Matrix


@dataclass(frozen=True, repr=False)
class LeadingShares:
    """Shares of gradient and noise along the k leading eigenvectors, for each k.

    Attributes
    ----------
    eigenvalues : ndarray, shape (K,)
        Eigenvalues lambda_k of H, in the order of the pairs.
    gradient : ndarray, shape (K,)
        ``|P_k g|^2 / |g|^2`` at k = 1..K, never falling.
    noise : ndarray, shape (K,)
        ``Tr(P_k Sigma) / Tr Sigma`` at k = 1..K, never falling.

    Examples
    --------
    >>> LeadingShares(np.array([4.0, 1.0]), np.array([0.1, 0.3]), np.array([0.6, 0.9]))
    <LeadingShares, K = 2>
     k     lambda   gradient      noise
     1          4        0.1        0.6
     2          1        0.3        0.9
    """

    eigenvalues: np.ndarray
    gradient: np.ndarray
    noise: np.ndarray

    def __repr__(self):
        count = len(self.eigenvalues)
        shown = range(count) if count <= 12 else [*range(10), count - 1]
        lines = [f"<LeadingShares, K = {count}>", " k     lambda   gradient      noise"]
        lines += [
            f"{k + 1:>2} {self.eigenvalues[k]:>10.4g} {self.gradient[k]:>10.4g} "
            f"{self.noise[k]:>10.4g}"
            for k in shown
        ]
        return "\n".join(lines)


def leading_shares(gradient: ArrayLike, covariance: Matrix, leading: EigenPairs) -> LeadingShares:
    """Shares ``|P_k g|^2 / |g|^2`` and ``Tr(P_k Sigma) / Tr Sigma`` in the leading space of H.

    Parameters
    ----------
    gradient : array_like, shape (D,)
        g, the gradient of the mean loss, or any other update.
    covariance : array_like (D, D), LinearOperator or GradientCovariance
        Sigma, symmetric positive semi-definite.
    leading : EigenPairs
        K eigenpairs of H, from :func:`aniso.matrices.leading_eigenpairs`. P_k projects on the
        first k.

    Returns
    -------
    LeadingShares

    Raises
    ------
    InputError
        If an argument breaks its rule, the vectors are not orthonormal, or g or Tr Sigma is zero.

    Notes
    -----
    One product of Sigma with K vectors. Source: Song, Ahn & Yun 2024.

    Examples
    --------
    >>> pairs = EigenPairs(np.array([4.0]), np.array([[1.0], [0.0]]), np.zeros(1), 0)
    >>> shares = leading_shares([3.0, 4.0], [[3.0, 0.0], [0.0, 1.0]], pairs)
    >>> shares.gradient, shares.noise  # 9 / 25 and 3 / 4
    (array([0.36]), array([0.75]))
    """
    covariance = operands.covariance("covariance", covariance)
    dimension = covariance.shape[0]
    gradient = operands.vector("gradient", gradient, dimension)
    if not isinstance(leading, EigenPairs):
        raise checks.InputError(
            f"leading is a {type(leading).__name__}; expected a matrices.EigenPairs, the result of "
            "matrices.leading_eigenpairs"
        )
    basis = subspaces.orthonormal("leading.vectors", leading.vectors, dimension)
    if not gradient.any():
        raise checks.InputError("gradient is 0; expected a vector that is not zero")
    total = exact_traces.nonzero_trace("covariance", covariance)
    size = scipy.linalg.norm(gradient)  # scaled, so that no square leaves the numbers
    along = ((gradient / size) @ basis) ** 2
    noise = quadratic_form(covariance, basis) / total
    return LeadingShares(
        np.array(leading.values, dtype=np.float64),
        np.minimum(np.cumsum(along), 1.0),
        np.minimum(np.cumsum(np.maximum(noise, 0.0)), 1.0),
    )
