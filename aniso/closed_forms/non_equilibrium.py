"""Distance of stationary noise from equilibrium: currents and entropy production.

The diffusion ``dtheta = -H theta dt + Sigma^{1/2} dW`` with H > 0 is stationary with the covariance
C, ``H C + C H = Sigma``. Isotropic noise, and any Sigma that commutes with H, leaves it in
equilibrium; other noise drives a steady current round the minimum.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from aniso import checks
from aniso.closed_forms import diffusion as ornstein_uhlenbeck

if TYPE_CHECKING:
    from aniso.typing import Array, ArrayLike, Matrix


def entropy_production(hessian: ArrayLike, covariance: Matrix) -> float:
    """Entropy production rate ``Tr(H D^{-1} H C) - Tr H`` of the stationary diffusion, D = Sigma/2.

    Parameters
    ----------
    hessian : array_like, shape (D, D)
        Symmetric positive definite.
    covariance : array_like, shape (D, D), or any other covariance
        Diffusion covariance Sigma, positive definite.

    Returns
    -------
    float
        Per unit of time, non-negative; 0 exactly where H and Sigma commute. The scale of Sigma does
        not enter.

    Raises
    ------
    InputError
        If H or Sigma is not positive definite: noise without a direction has an infinite rate, or
        none.

    Notes
    -----
    Computed as the mean squared current ``Tr(J^T D^{-1} J C^{-1})``, J = H C - D, a sum of squares:
    it stays accurate near equilibrium, where the difference of traces cancels. Source: Chaudhari &
    Soatto 2018; Gardiner, section 6.

    Examples
    --------
    >>> entropy_production([[1.0, 0.0], [0.0, 3.0]], [[2.0, 0.0], [0.0, 5.0]])
    0.0
    """
    drift, diffusion, stationary = _stationary(hessian, covariance)
    current = drift @ stationary - diffusion
    # With A = D^{-1/2} J C^{-1/2} by Cholesky factors, the rate is |A|_F^2.
    left = np.linalg.solve(np.linalg.cholesky(diffusion), current)
    scaled = np.linalg.solve(np.linalg.cholesky(stationary), left.T)
    return float(np.sum(scaled * scaled))


def circulation(hessian: Matrix, covariance: Matrix) -> Array:
    """Matrix ``Q = D C^{-1} - H`` of the stationary current ``Q theta p(theta)``, shape (D, D).

    Parameters
    ----------
    hessian, covariance
        As for :func:`entropy_production`.

    Returns
    -------
    ndarray, shape (D, D)
        ``Q C`` is antisymmetric; zero in equilibrium. In units of 1 / time.

    Raises
    ------
    InputError
        As :func:`entropy_production`.

    Examples
    --------
    >>> circulation([[1.0, 0.0], [0.0, 3.0]], [[2.0, 0.0], [0.0, 6.0]])
    array([[0., 0.],
           [0., 0.]])
    """
    drift, diffusion, stationary = _stationary(hessian, covariance)
    return np.linalg.solve(stationary, (diffusion - drift @ stationary).T).T


def _stationary(hessian, covariance):
    stationary = ornstein_uhlenbeck.stationary_covariance(hessian, covariance)
    drift = checks.symmetric_matrix("hessian", hessian)
    # The equation of the stationary covariance gives Sigma back, from an operator too.
    product = drift @ stationary
    diffusion = (product + product.T) / 2
    smallest, largest = np.linalg.eigvalsh(diffusion)[[0, -1]]
    if smallest <= 8 * len(drift) * np.finfo(np.float64).eps * largest:
        raise checks.InputError(
            f"the smallest eigenvalue of covariance is {2 * float(smallest):.3g}; expected a "
            "positive definite one: entropy production divides by it"
        )
    return drift, diffusion, stationary
