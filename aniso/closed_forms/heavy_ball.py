"""Closed forms of SGD with momentum on a quadratic: the covariance of position and velocity.

k steps of ``m <- beta m + H theta + eps``, ``theta <- theta - eta m``, with E eps = 0 and
Cov eps = S. The velocity is ``v = -m``, the displacement of the last step over eta. With the
eigenpairs (lambda, u) of H and a = lambda_i + lambda_j the stationary covariance is::

    C_ij        = (1 - beta^2) eta S_ij / d_ij
    d_ij        = (1 - beta)^2 ((1 + beta) a - eta lambda_i lambda_j)
                  + beta eta (lambda_i - lambda_j)^2
    Cov v_ij    = a C_ij / (eta (1 + beta))

Derived in docs/theory/motion.md. The continuous limit is in
:mod:`aniso.closed_forms.underdamped`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from aniso import checks
from aniso.closed_forms._eigenbasis import check_definite, rotated_back, rotated_covariance
from aniso.closed_forms.phase_covariance import PhaseCovariance

if TYPE_CHECKING:
    from aniso.typing import ArrayLike, Matrix


def heavy_ball_stationary_covariance(
    hessian: ArrayLike, minibatch_covariance: Matrix, learning_rate: float, momentum: float
) -> PhaseCovariance:
    """Stationary covariance of ``m <- beta m + H theta + eps``, ``theta <- theta - eta m``.

    Parameters
    ----------
    hessian : array_like, shape (D, D)
        H, symmetric positive definite, with ``eta lambda_max < 2 (1 + beta)``.
    minibatch_covariance : array_like, shape (D, D), or any other covariance
        Cov eps, without the learning rate.
    learning_rate : float
        eta > 0.
    momentum : float
        beta, ``0 <= beta < 1``; 0 is SGD.

    Returns
    -------
    PhaseCovariance
        Of theta and ``v = -m``.

    Raises
    ------
    InputError
        If an argument breaks its rule, H is not positive definite, or the step is unstable.

    Notes
    -----
    Cost: one eigendecomposition of H and some products of D x D. Every term of the denominators is
    positive, so that the relative error is only rounding. Where S and H commute, source: Liu, Ziyin
    and Ueda (2021). The general form is derived in docs/theory/motion.md.

    Examples
    --------
    ``(1 + 1/2) * 1 / ((1 - 1/2) * (2 * (1 + 1/2) - 1)) = 3/2``; SGD has 1.

    >>> heavy_ball_stationary_covariance([[1.0]], [[1.0]], 1.0, 0.5).position
    array([[1.5]])
    >>> heavy_ball_stationary_covariance([[1.0]], [[1.0]], 1.0, 0.0).position
    array([[1.]])
    """
    values, vectors, rotated = rotated_covariance(hessian, minibatch_covariance, "mini-batch")
    learning_rate = checks.number("learning_rate", learning_rate, low=0, strict=True)
    momentum = checked_momentum(momentum)
    check_definite(values)
    limit = 2 * (1 + momentum)
    if learning_rate * values[-1] >= limit:
        raise checks.InputError(
            f"learning_rate={learning_rate!r} times the largest eigenvalue {float(values[-1]):.6g} "
            f"of hessian is {learning_rate * float(values[-1]):.6g}; expected less than "
            f"2 (1 + momentum) = {limit:g}, for instance learning_rate="
            f"{limit / 2 / float(values[-1]):.3g}"
        )
    mine, other = values[:, None], values
    rest = 1 - momentum
    # (1 + beta) (l_i + l_j) - eta l_i l_j, as a sum of positive terms
    pull = mine * (limit - learning_rate * other) / 2 + other * (limit - learning_rate * mine) / 2
    mixing = momentum * learning_rate * (mine - other) ** 2
    position = rest * (1 + momentum) * learning_rate * rotated / (rest**2 * pull + mixing)
    cross = position * (mine - momentum * other) / (rest * (1 + momentum))
    velocity = position * (mine + other) / (learning_rate * (1 + momentum))
    return in_parameters(vectors, position, cross, velocity)


def heavy_ball_covariance_at(
    hessian: ArrayLike,
    minibatch_covariance: Matrix,
    learning_rate: float,
    momentum: float,
    num_steps: int,
) -> PhaseCovariance:
    """Covariance after k steps of ``m <- beta m + H theta + eps``, ``theta <- theta - eta m``.

    Parameters
    ----------
    hessian : array_like, shape (D, D)
        H, symmetric, with eigenvalues of any sign.
    minibatch_covariance, learning_rate, momentum
        As for :func:`heavy_ball_stationary_covariance`.
    num_steps : int
        k >= 0; theta and m are 0 at step 0, or any other fixed values.

    Returns
    -------
    PhaseCovariance
        Of theta and ``v = -m``.

    Raises
    ------
    InputError
        If an argument breaks its rule, or an unstable motion leaves the range of floats.

    Notes
    -----
    The map of a pair of directions is a product of two 2 x 2 matrices, and k steps are log2 k
    squarings of it: ``C_{2k} = C_k + M^k C_k M^kT``. Cost: one eigendecomposition of H and some
    20 log2 k operations for each of D^2 pairs.

    Examples
    --------
    One step gives ``eta^2 S``. In the next one theta keeps ``1 - eta + beta = 3/4`` of it, and
    gains ``eta^2 S``.

    >>> heavy_ball_covariance_at([[1.0]], [[4.0]], 0.5, 0.25, 1).position
    array([[1.]])
    >>> heavy_ball_covariance_at([[1.0]], [[4.0]], 0.5, 0.25, 2).position
    array([[1.5625]])
    """
    values, vectors, rotated = rotated_covariance(hessian, minibatch_covariance, "mini-batch")
    rate = checks.number("learning_rate", learning_rate, low=0, strict=True)
    beta = checked_momentum(momentum)
    num_steps = checks.integer("num_steps", num_steps, low=0)
    ones = np.ones_like(values)
    power = np.array([[1 - rate * values, rate * beta * ones], [-values, beta * ones]])
    power = np.moveaxis(power, -1, 0)
    gained = rotated[:, :, None, None] * np.array([[rate**2, rate], [rate, 1.0]])
    reached, left = np.zeros_like(gained), num_steps
    with np.errstate(over="ignore", invalid="ignore"):
        while left:
            if left % 2:
                reached = _moved(power, reached) + gained
            left //= 2
            if left:
                gained = gained + _moved(power, gained)
                power = power @ power
    if not np.isfinite(reached).all():
        raise checks.InputError(
            f"num_steps={num_steps!r} of an unstable motion leave the range of floats; expected "
            f"fewer steps, or learning_rate={rate!r} times every eigenvalue of hessian between 0 "
            f"and 2 (1 + momentum) = {2 * (1 + beta):g}"
        )
    return in_parameters(vectors, reached[:, :, 0, 0], reached[:, :, 0, 1], reached[:, :, 1, 1])


def checked_momentum(momentum: float) -> float:
    """Return a checked momentum, ``0 <= beta < 1``.

    Examples
    --------
    >>> checked_momentum(1.0)
    Traceback (most recent call last):
        ...
    aniso.checks.InputError: momentum=1.0; expected a number with 0 <= momentum < 1
    """
    momentum = checks.number("momentum", momentum)
    if not 0 <= momentum < 1:
        raise checks.InputError(f"momentum={momentum!r}; expected a number with 0 <= momentum < 1")
    return momentum


def in_parameters(vectors, position, cross, velocity):
    """Return the covariance in parameter space from its blocks in the eigenbasis."""
    return PhaseCovariance(
        rotated_back(vectors, position),
        vectors @ cross @ vectors.T,
        rotated_back(vectors, velocity),
    )


def _moved(maps, blocks):
    """``M_i C_ij M_j^T`` for maps (D, 2, 2) and blocks (D, D, 2, 2)."""
    return maps[:, None] @ blocks @ np.swapaxes(maps, -1, -2)
