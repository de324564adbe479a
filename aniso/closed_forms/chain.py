"""Closed forms of SGD on a quadratic in its own discrete time: the linear chain.

k steps of ``theta <- (I - eta H) theta + eta eps`` from theta_0 = 0, E eps = 0, Cov eps = S,
(lambda, u) the eigenpairs of H and q = 1 - eta lambda:

    C_ij(k)           = eta^2 S_ij (1 - (q_i q_j)^k) / (1 - q_i q_j)
    E[L_k] - L_0      = 1/2 Tr(H C_k)
    stationary        C_ij = eta S_ij / (lambda_i + lambda_j - eta lambda_i lambda_j)

H may have zero and negative eigenvalues; only the stationary forms need 0 < eta lambda < 2. S is
the covariance of the batch mean, without the learning rate. A GradientCovariance of another
convention is refused; an array has none and is taken to be the right one.
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
from aniso.closed_forms._exponential_sums import geometric_sum
from aniso.closed_forms._negative_curvature import falling_rates, saddle_time, warn_beyond

if TYPE_CHECKING:
    from aniso.typing import Array, ArrayLike, Matrix


def chain_covariance_at(
    hessian: ArrayLike, minibatch_covariance: Matrix, learning_rate: float, num_steps: int
) -> Array:
    """Covariance after k steps of ``theta <- (I - eta H) theta + eta eps``.

    Parameters
    ----------
    hessian : array_like, shape (D, D)
        Symmetric, with eigenvalues of any sign.
    minibatch_covariance : array_like, shape (D, D), or any other covariance
        Cov eps, without the learning rate.
    learning_rate : float
        eta > 0.
    num_steps : int
        k >= 0.

    Returns
    -------
    ndarray, shape (D, D)

    Raises
    ------
    InputError
        If an argument breaks its rule, or ``k log|q_i q_j|`` exceeds 700 (an unstable step).

    Examples
    --------
    >>> chain_covariance_at([[1.0]], [[4.0]], 0.5, 2)  # 0.25*4 * (1 + 0.25)
    array([[1.25]])
    """
    values, vectors, rotated = rotated_covariance(hessian, minibatch_covariance, "mini-batch")
    learning_rate = checks.number("learning_rate", learning_rate, low=0, strict=True)
    num_steps = checks.integer("num_steps", num_steps, low=0)
    sums = geometric_sum(_chain_deficits(values, learning_rate), num_steps)
    return rotated_back(vectors, learning_rate**2 * rotated * sums)


def chain_stationary_covariance(
    hessian: Matrix, minibatch_covariance: Matrix, learning_rate: float
) -> Array:
    """Stationary covariance of the chain, ``C = (I - eta H) C (I - eta H) + eta^2 S``.

    Parameters
    ----------
    hessian, minibatch_covariance, learning_rate
        As for :func:`chain_covariance_at`; H positive definite and ``eta lambda_max < 2``.

    Returns
    -------
    ndarray, shape (D, D)

    Raises
    ------
    InputError
        If an argument breaks its rule, H is not positive definite, or the step is unstable.

    Examples
    --------
    >>> chain_stationary_covariance([[1.0]], [[3.0]], 0.5)  # 0.5*3 / (2 - 0.5)
    array([[1.]])
    """
    values, vectors, rotated = rotated_covariance(hessian, minibatch_covariance, "mini-batch")
    learning_rate = _stable_learning_rate(learning_rate, values)
    deficits = _chain_deficits(values, learning_rate)
    return rotated_back(vectors, learning_rate**2 * rotated / deficits)


def chain_escaping_efficiency(
    hessian: Matrix, minibatch_covariance: Matrix, learning_rate: float, num_steps: ArrayLike
) -> Array:
    """Escaping efficiency after k steps of the chain, ``E[L_k] - L_0 = 1/2 Tr(H C_k)``.

    Parameters
    ----------
    hessian, learning_rate
        As for :func:`chain_covariance_at`.
    minibatch_covariance : array_like, shape (D, D), or any other covariance
        Cov eps, without the learning rate.
    num_steps : int or array_like of int
        Steps k >= 0.

    Returns
    -------
    ndarray
        Array of the shape of `num_steps`, in units of loss.

    Raises
    ------
    InputError
        If an argument breaks its rule, or ``2 k log|q|`` exceeds 700.

    Warns
    -----
    BeyondQuadraticModel
        If a number of steps lies beyond :func:`chain_quadratic_model_steps`.

    Examples
    --------
    >>> chain_escaping_efficiency([[1.0]], [[4.0]], 0.5, [0, 1, 2])
    array([0.   , 0.5  , 0.625])
    """
    values, variances = projected_variances(hessian, minibatch_covariance, "mini-batch")
    return chain_escaping_efficiency_of_spectrum(values, variances, learning_rate, num_steps)


def chain_escaping_efficiency_of_spectrum(eigenvalues, noise_variances, learning_rate, num_steps):
    """Escaping efficiency of the chain from the spectrum, ``1/2 sum_i lambda_i C_ii(k)``.

    Parameters
    ----------
    eigenvalues, noise_variances : array_like, shape (D,)
        Eigenvalues of H and ``u_i^T S u_i``, S the covariance of the batch mean.
    learning_rate : float
        eta > 0.
    num_steps : int or array_like of int
        Steps k >= 0.

    Returns
    -------
    ndarray
        Array of the shape of `num_steps`.

    Raises
    ------
    InputError
        If an argument breaks its rule, or ``2 k log|q|`` exceeds 700.

    Warns
    -----
    BeyondQuadraticModel
        If a number of steps lies beyond :func:`chain_quadratic_model_steps`.

    Examples
    --------
    >>> chain_escaping_efficiency_of_spectrum([1.0, 0.0], [4.0, 9.0], 0.5, 2)
    array(0.625)
    """
    eigenvalues, noise_variances = checked_spectrum(eigenvalues, noise_variances)
    learning_rate = checks.number("learning_rate", learning_rate, low=0, strict=True)
    num_steps = non_negative("num_steps", num_steps)
    if (num_steps != np.floor(num_steps)).any():
        raise checks.InputError("num_steps has a fractional entry; expected integers >= 0")
    until = _quadratic_model_steps(eigenvalues, noise_variances, learning_rate)
    warn_beyond(num_steps, until, np.min(eigenvalues, initial=0.0), "num_steps")
    scaled = learning_rate * eigenvalues
    weights = 0.5 * learning_rate * scaled * noise_variances
    deficits = scaled * (2 - scaled)
    return for_each(num_steps, lambda count: weights @ geometric_sum(deficits, float(count)))


def chain_quadratic_model_steps(hessian, minibatch_covariance, learning_rate):
    """Steps up to which the quadratic model of a saddle is meaningful; inf for ``H >= 0``.

    The solution k of ``sum_{lambda_i < 0} s_i (q_i^(2k) - 1) / (1 + eta |lambda_i| / 2) =
    sum_i s_i / (1 - eta max(lambda_i, 0) / 2)``, with ``q_i = 1 + eta |lambda_i|``. The right side
    times eta / 4 is the most by which noise can raise the loss along all directions. It is infinite
    where a direction with noise is unstable, ``eta lambda_i >= 2``.

    Parameters
    ----------
    hessian, minibatch_covariance, learning_rate
        As for :func:`chain_escaping_efficiency`.

    Returns
    -------
    float
        In steps, as a rule not a whole number.

    Raises
    ------
    InputError
        If an argument breaks its rule.

    Notes
    -----
    Beyond these steps the escaping efficiency is negative. It stays exact for the quadratic, but
    does not describe a loss with terms of higher order. Derived in docs/theory/motion.md.

    Examples
    --------
    >>> chain_quadratic_model_steps([[1.0]], [[2.0]], 0.1)
    inf
    """
    values, variances = projected_variances(hessian, minibatch_covariance, "mini-batch")
    learning_rate = checks.number("learning_rate", learning_rate, low=0, strict=True)
    return _quadratic_model_steps(values, variances, learning_rate)


def _quadratic_model_steps(eigenvalues, variances, learning_rate):
    # along lambda < 0 the loss falls by (eta / 2) s (q^(2k) - 1) / (2 + eta |lambda|)
    falling = learning_rate * falling_rates(eigenvalues)
    # along lambda > 0 it rises by (eta / 2) s / (2 - eta lambda) at most
    room = 1 - 0.5 * learning_rate * np.maximum(eigenvalues, 0.0)
    rises = variances > 0
    if (room[rises] <= 0).any():
        return np.inf
    ceiling = float(np.sum(variances[rises] / room[rises]))
    return saddle_time(2 * np.log1p(falling), variances / (1 + 0.5 * falling), ceiling)


def chain_stationary_escaping_efficiency(hessian, minibatch_covariance, learning_rate):
    """Plateau of the chain's escaping efficiency, ``(eta/2) Tr((2I - eta H)^{-1} S)``.

    Parameters
    ----------
    hessian, minibatch_covariance, learning_rate
        As for :func:`chain_stationary_covariance`.

    Returns
    -------
    float

    Raises
    ------
    InputError
        As :func:`chain_stationary_covariance`.

    Examples
    --------
    >>> chain_stationary_escaping_efficiency([[1.0]], [[3.0]], 0.5)  # 0.25 * 3 / 1.5
    0.5
    """
    values, variances = projected_variances(hessian, minibatch_covariance, "mini-batch")
    learning_rate = _stable_learning_rate(learning_rate, values)
    return float(0.5 * learning_rate * np.sum(variances / (2 - learning_rate * values)))


def _chain_deficits(values, learning_rate):
    scaled = learning_rate * values
    return scaled[:, None] + scaled - scaled[:, None] * scaled


def _stable_learning_rate(learning_rate, values):
    learning_rate = checks.number("learning_rate", learning_rate, low=0, strict=True)
    check_definite(values)
    if learning_rate * values[-1] >= 2:
        raise checks.InputError(
            f"learning_rate={learning_rate!r} times the largest eigenvalue {float(values[-1]):.6g} "
            f"of hessian is {learning_rate * float(values[-1]):.6g}; expected less than 2, for "
            f"instance learning_rate={1 / float(values[-1]):.3g}"
        )
    return learning_rate
