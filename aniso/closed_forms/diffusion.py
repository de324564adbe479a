"""Closed forms of Definition 1 on a quadratic: covariance and escaping efficiency at any time.

Continuous time, ``dtheta = -H theta dt + Sigma^{1/2} dW`` from theta_0 = 0, (lambda, u) the
eigenpairs of H and ``s_i = u_i^T Sigma u_i``:

    C_ij(t)           = Sigma_ij (1 - exp(-(lambda_i + lambda_j) t)) / (lambda_i + lambda_j)
    E[L_t] - L_0      = 1/2 Tr(H C_t) = 1/4 sum_i (1 - exp(-2 lambda_i t)) s_i
    stationary        H C + C H = Sigma

H may have zero and negative eigenvalues. Each formula at a finite time has a finite limit at
eigenvalue zero. Along negative curvature the loss falls exponentially: beyond
:func:`quadratic_model_time` the escaping efficiency is negative. Sigma is the diffusion covariance,
for SGD the learning rate times the covariance of the batch mean. A GradientCovariance of another
convention is refused; an array has none and is taken to be the right one.

SGD in discrete time has closed forms of its own, the functions `chain_*` of
:mod:`aniso.closed_forms.chain`; this module has them too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from aniso import checks
from aniso.closed_forms._eigenbasis import (
    check_definite,
    checked_spectrum,
    for_each,
    non_negative,
    projected_variances,
    rotated_back,
    rotated_covariance,
)
from aniso.closed_forms._exponential_sums import exponential_integral
from aniso.closed_forms._negative_curvature import (
    BeyondQuadraticModel,
    falling_rates,
    saddle_time,
    warn_beyond,
)
from aniso.closed_forms.chain import (
    chain_covariance_at,
    chain_escaping_efficiency,
    chain_escaping_efficiency_of_spectrum,
    chain_quadratic_model_steps,
    chain_stationary_covariance,
    chain_stationary_escaping_efficiency,
)

if TYPE_CHECKING:
    from aniso.typing import Array, ArrayLike, Matrix


__all__ = [
    "BeyondQuadraticModel",
    "chain_covariance_at",
    "chain_escaping_efficiency",
    "chain_escaping_efficiency_of_spectrum",
    "chain_quadratic_model_steps",
    "chain_stationary_covariance",
    "chain_stationary_escaping_efficiency",
    "covariance_at",
    "escaping_efficiency",
    "escaping_efficiency_of_spectrum",
    "quadratic_model_time",
    "stationary_covariance",
    "stationary_escaping_efficiency",
]


def covariance_at(hessian: ArrayLike, covariance: Matrix, time: float) -> Array:
    """Covariance of the diffusion at time t, ``C_t = int_0^t exp(-Hs) Sigma exp(-Hs) ds``.

    Parameters
    ----------
    hessian : array_like, shape (D, D)
        Symmetric, with eigenvalues of any sign.
    covariance : array_like, shape (D, D), or any other covariance
        Diffusion covariance Sigma.
    time : float
        t >= 0.

    Returns
    -------
    ndarray, shape (D, D)

    Raises
    ------
    InputError
        If an argument breaks its rule, or ``-2 lambda_min t`` exceeds 700.

    Notes
    -----
    Cost: one eigendecomposition of H and four products of D x D. The relative error is only
    rounding, at rates near 0 too.

    Examples
    --------
    >>> covariance_at([[0.0]], [[2.0]], 3.0)
    array([[6.]])
    """
    values, vectors, rotated = rotated_covariance(hessian, covariance, "diffusion")
    time = checks.number("time", time, low=0)
    factors = exponential_integral(values[:, None] + values, time)
    return rotated_back(vectors, rotated * factors)


def stationary_covariance(hessian: ArrayLike, covariance: Matrix) -> Array:
    """Stationary covariance of the diffusion, the solution C of ``H C + C H = Sigma``.

    Parameters
    ----------
    hessian : array_like, shape (D, D)
        Symmetric positive definite.
    covariance : array_like, shape (D, D), or any other covariance
        Diffusion covariance Sigma.

    Returns
    -------
    ndarray, shape (D, D)

    Raises
    ------
    InputError
        If an argument breaks its rule, or H is not positive definite to rounding: the diffusion
        then has no stationary distribution.

    Examples
    --------
    >>> stationary_covariance([[2.0]], [[8.0]])
    array([[2.]])
    """
    values, vectors, rotated = rotated_covariance(hessian, covariance, "diffusion")
    check_definite(values)
    return rotated_back(vectors, rotated / (values[:, None] + values))


def escaping_efficiency(hessian: ArrayLike, covariance: Matrix, times: ArrayLike) -> Array:
    """Escaping efficiency ``E[L_t] - L_0 = 1/4 Tr((I - exp(-2Ht)) Sigma)`` of the diffusion.

    Parameters
    ----------
    hessian : array_like, shape (D, D)
        Symmetric, with eigenvalues of any sign.
    covariance : array_like, shape (D, D), or any other covariance
        Diffusion covariance Sigma.
    times : float or array_like
        Times t >= 0.

    Returns
    -------
    ndarray
        Array of the shape of `times`, in units of loss.

    Raises
    ------
    InputError
        If an argument breaks its rule, or ``-2 lambda_min t`` exceeds 700.

    Warns
    -----
    BeyondQuadraticModel
        If a time lies beyond :func:`quadratic_model_time`.

    Notes
    -----
    Cost: one eigendecomposition of H, one product of Sigma with D vectors, D exponentials a time.

    Examples
    --------
    >>> import numpy as np
    >>> escaping_efficiency([[0.5]], [[8.0]], [0.0, np.log(2.0)])  # 1/4 * 8 * (1 - 1/2)
    array([0., 1.])
    """
    values, variances = projected_variances(hessian, covariance, "diffusion")
    return escaping_efficiency_of_spectrum(values, variances, times)


def escaping_efficiency_of_spectrum(eigenvalues, noise_variances, times):
    """Escaping efficiency ``1/4 sum_i (1 - exp(-2 lambda_i t)) s_i`` from the spectrum alone.

    Parameters
    ----------
    eigenvalues : array_like, shape (D,)
        Eigenvalues lambda of H.
    noise_variances : array_like, shape (D,)
        ``s_i = u_i^T Sigma u_i``, non-negative.
    times : float or array_like
        Times t >= 0.

    Returns
    -------
    ndarray
        Array of the shape of `times`.

    Raises
    ------
    InputError
        If an argument breaks its rule, or ``-2 lambda_min t`` exceeds 700.

    Warns
    -----
    BeyondQuadraticModel
        If a time lies beyond :func:`quadratic_model_time`.

    Examples
    --------
    >>> import numpy as np
    >>> escaping_efficiency_of_spectrum([0.0, 1.0], [5.0, 4.0], [0.0, np.log(2.0)])
    array([0.  , 0.75])
    """
    eigenvalues, noise_variances = checked_spectrum(eigenvalues, noise_variances)
    times = non_negative("times", times)
    until = _quadratic_model_time(eigenvalues, noise_variances)
    warn_beyond(times, until, np.min(eigenvalues, initial=0.0), "times")
    weights = 0.5 * eigenvalues * noise_variances
    return for_each(
        times, lambda time: weights @ exponential_integral(2 * eigenvalues, float(time))
    )


def quadratic_model_time(hessian, covariance):
    """Time up to which the quadratic model of a saddle is meaningful; inf for ``H >= 0``.

    The solution t of ``sum_{lambda_i < 0} s_i (exp(2 |lambda_i| t) - 1) = Tr(Sigma)``.

    Parameters
    ----------
    hessian, covariance
        As for :func:`escaping_efficiency`.

    Returns
    -------
    float

    Raises
    ------
    InputError
        If an argument breaks its rule.

    Notes
    -----
    At this time the loss has fallen along negative curvature by ``Tr(Sigma) / 4``. Noise raises it
    by no more than that along all other directions: beyond this time the escaping efficiency is
    negative. It stays exact for the quadratic, but does not describe a loss with terms of higher
    order. Derived in docs/theory/motion.md.

    Examples
    --------
    >>> import numpy as np
    >>> bool(np.isclose(quadratic_model_time(np.diag([1.0, -0.5]), np.eye(2)), np.log(3)))
    True
    """
    return _quadratic_model_time(*projected_variances(hessian, covariance, "diffusion"))


def _quadratic_model_time(eigenvalues, variances):
    return saddle_time(2 * falling_rates(eigenvalues), variances, variances.sum())


def stationary_escaping_efficiency(hessian, covariance):
    """Plateau of the escaping efficiency of the diffusion, ``Tr(Sigma) / 4`` for every H > 0.

    Parameters
    ----------
    hessian, covariance
        As for :func:`stationary_covariance`.

    Returns
    -------
    float

    Raises
    ------
    InputError
        As :func:`stationary_covariance`.

    Examples
    --------
    >>> stationary_escaping_efficiency([[2.0, 0.0], [0.0, 9.0]], [[3.0, 0.0], [0.0, 5.0]])
    2.0
    """
    values, variances = projected_variances(hessian, covariance, "diffusion")
    check_definite(values)
    return float(variances.sum() / 4)
