"""Closed forms of underdamped Langevin motion on a quadratic, the continuous limit of heavy ball.

``dtheta = v dt``, ``mass dv = -(friction v + H theta) dt + Sigma^{1/2} dW``, (lambda, u) the
eigenpairs of H and a = lambda_i + lambda_j. Stationary, with the mass mu and the friction gamma,

    C_ij        = Sigma_ij / (gamma a + mu (lambda_i - lambda_j)^2 / (2 gamma))
    Cov v_ij    = a C_ij / (2 mu)

Sigma is the diffusion covariance. SGD with momentum beta has mass eta, friction 1 - beta and
``Sigma = eta S``, in the time k eta. Without mass and with friction 1 this is the diffusion of
:mod:`aniso.closed_forms.diffusion`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scipy.linalg

from aniso import checks
from aniso.closed_forms._eigenbasis import check_definite, rotated_covariance
from aniso.closed_forms._exponential_sums import exponential_integral
from aniso.closed_forms.heavy_ball import in_parameters

if TYPE_CHECKING:
    from aniso.closed_forms.phase_covariance import PhaseCovariance
    from aniso.typing import ArrayLike, Matrix

_LATE = 1e4
"""Multiple of mass/friction after which fast motion, of the rate friction/(4 mass), is over."""


def underdamped_stationary_covariance(
    hessian: ArrayLike, covariance: Matrix, mass: float, friction: float
) -> PhaseCovariance:
    """Stationary covariance of ``mass dv = -(friction v + H theta) dt + Sigma^{1/2} dW``.

    Parameters
    ----------
    hessian : array_like, shape (D, D)
        H, symmetric positive definite.
    covariance : array_like, shape (D, D), or any other covariance
        Diffusion covariance Sigma; for SGD the learning rate times that of the batch mean.
    mass : float
        mu > 0; the learning rate eta for SGD with momentum.
    friction : float
        gamma > 0; 1 - beta for SGD with momentum.

    Returns
    -------
    PhaseCovariance
        Of theta and ``v = dtheta / dt``.

    Raises
    ------
    InputError
        If an argument breaks its rule, or H is not positive definite.

    Notes
    -----
    Where Sigma and H commute the mass does not enter the covariance of theta. Where they do not,
    mass damps the covariances between directions of different curvature. Derived in
    docs/theory/motion.md.

    Examples
    --------
    At temperature T, with ``Sigma = 2 friction T``, theta has ``T / H`` and v ``T / mass``.

    >>> found = underdamped_stationary_covariance([[4.0]], [[6.0]], 0.5, 1.0)  # T = 3
    >>> found.position, found.velocity
    (array([[0.75]]), array([[6.]]))
    """
    values, vectors, rotated = rotated_covariance(hessian, covariance, "diffusion")
    mass, friction = _positive(mass, friction)
    check_definite(values)
    return in_parameters(vectors, *_stationary_moments(values, mass, friction, rotated))


def underdamped_covariance_at(
    hessian: ArrayLike, covariance: Matrix, mass: float, friction: float, time: float
) -> PhaseCovariance:
    """Covariance at time t of ``mass dv = -(friction v + H theta) dt + Sigma^{1/2} dW``.

    Parameters
    ----------
    hessian : array_like, shape (D, D)
        H, symmetric, with eigenvalues of any sign.
    covariance, mass, friction
        As for :func:`underdamped_stationary_covariance`.
    time : float
        t >= 0; theta and v are fixed at time 0.

    Returns
    -------
    PhaseCovariance

    Raises
    ------
    InputError
        If an argument breaks its rule, or an unstable motion leaves the range of floats.

    Notes
    -----
    The four second moments of a pair of directions solve a linear equation with constant
    coefficients. Cost: one eigendecomposition of H and D^2 exponentials of 5 x 5. Their relative
    error grows like 1e-16 ``friction time / mass``. Where that number is above 1e4, the roots of
    each direction give the moments instead, as all fast motion has decayed.

    Examples
    --------
    Without force and with little friction, ``Cov theta = Sigma t^3 / (3 mass^2)``.

    >>> found = underdamped_covariance_at([[0.0]], [[6.0]], 2.0, 1e-9, 1.0)
    >>> found.position.round(6), found.velocity.round(6)
    (array([[0.5]]), array([[1.5]]))
    """
    values, vectors, rotated = rotated_covariance(hessian, covariance, "diffusion")
    mass, friction = _positive(mass, friction)
    time = checks.number("time", time, low=0)
    moments = _late_moments if friction * time / mass > _LATE else _moments
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        found = moments(values, mass, friction, time)
        position, cross, velocity = (moment * rotated for moment in found)
    if not all(np.isfinite(moment).all() for moment in (position, cross, velocity)):
        raise checks.InputError(
            f"time={time!r}: the motion along negative curvature leaves the range of floats; "
            "expected a shorter time"
        )
    return in_parameters(vectors, position, cross, velocity)


def _moments(values, mass, friction, time):
    """Moments ``(theta theta, theta v, v v)`` of each pair, (D, D) each, with Sigma_ij = 1."""
    size = len(values)
    drift = np.zeros((size, 2, 2))
    drift[:, 0, 1], drift[:, 1, 0], drift[:, 1, 1] = 1.0, -values / mass, -friction / mass
    # moments (theta theta, theta v, v theta, v v) of a pair, and 1
    generator = np.zeros((size, size, 5, 5))
    generator[:, :, :4, :4] = np.kron(drift, np.eye(2))[:, None] + np.kron(np.eye(2), drift)
    generator[:, :, 3, 4] = 1 / mass**2
    moments = scipy.linalg.expm(time * generator)[:, :, :4, 4]
    return moments[:, :, 0], moments[:, :, 1], moments[:, :, 3]


def _late_moments(values, mass, friction, time):
    """The same after many times mass/friction: one slow exponential a direction is left.

    The response to a kick is ``(e^{b s} - e^{a s})/(b - a)`` with the roots a < b of
    ``mass z^2 + friction z + lambda``. All integrals have reached their limits but those of
    ``e^{(b_i + b_j) s}``, and these too unless both roots are small.
    """
    fourth = 4 * values * mass / friction**2
    is_slow = fourth <= 0.75
    root = np.sqrt(1 - np.where(is_slow, fourth, 0.0))
    fast = -friction / (2 * mass) * (1 + root)
    slow = -2 * np.where(is_slow, values, 0.0) / (friction * (1 + root))
    a, b, other_a, other_b = fast[:, None], slow[:, None], fast, slow
    grown = exponential_integral(-(b + other_b), time)
    inner, outer, both = 1 / (b + other_a), 1 / (a + other_b), 1 / (a + other_a)
    scale = friction**2 * root[:, None] * root  # mass^2 (b_i - a_i)(b_j - a_j)
    left = (
        (grown + inner + outer - both) / scale,
        (other_b * (grown + outer) + other_a * (inner - both)) / scale,
        (b * other_b * grown + b * other_a * inner + a * other_b * outer - a * other_a * both)
        / scale,
    )
    pairs = is_slow[:, None] & is_slow
    stationary = _stationary_moments(values, mass, friction, np.where(pairs, np.nan, 1.0))
    return [np.where(pairs, *both) for both in zip(left, stationary, strict=True)]


def _stationary_moments(values, mass, friction, noise):
    """Stationary moments ``(theta theta, theta v, v v)`` of each pair with the noise Sigma_ij."""
    mine, other = values[:, None], values
    position = noise / (friction * (mine + other) + mass * (mine - other) ** 2 / (2 * friction))
    cross = position * (mine - other) / (2 * friction)
    return position, cross, position * (mine + other) / (2 * mass)


def _positive(mass, friction):
    return (
        checks.number("mass", mass, low=0, strict=True),
        checks.number("friction", friction, low=0, strict=True),
    )
