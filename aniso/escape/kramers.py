"""Kramers' and Eyring and Kramers' exit times: asymptotics of weak isotropic noise."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from aniso import checks
from aniso.matrices import operands

if TYPE_CHECKING:
    from aniso.typing import ArrayLike, Matrix


SMALLEST_RATIO = 5.0
"""Barrier over temperature from which on the asymptotics are called valid (within about 10 %)."""

_LARGEST_LOGARITHM = math.log(np.finfo(np.float64).max)


@dataclass(frozen=True)
class AsymptoticExitTime:
    """An asymptotic mean exit time with its condition of validity.

    Attributes
    ----------
    value : float
        Mean time into the next basin; the mean time to the saddle itself is half of it.
    barrier_ratio : float
        ``2 dL / s^2``, barrier over temperature.
    is_valid : bool
        Whether the ratio is at least 5; the relative error falls like its inverse.

    Examples
    --------
    >>> AsymptoticExitTime(9365.0, 8.0, True)
    AsymptoticExitTime: 9365
      barrier over temperature 8 (valid)
    """

    value: float
    barrier_ratio: float
    is_valid: bool

    def __repr__(self):
        rule = "valid" if self.is_valid else f"not valid: below {SMALLEST_RATIO:g}"
        return (
            f"AsymptoticExitTime: {self.value:.6g}\n"
            f"  barrier over temperature {self.barrier_ratio:.4g} ({rule})"
        )


def kramers_time(
    curvature_minimum: float, curvature_saddle: float, barrier: float, variance: float
) -> AsymptoticExitTime:
    """Mean transition time on the line, ``2 pi / sqrt(L''_a |L''_s|) e^{2 dL / s^2}``.

    Parameters
    ----------
    curvature_minimum, curvature_saddle : float
        L'' at the minimum a, positive, and at the saddle s, negative.
    barrier : float
        ``L(s) - L(a)`` > 0.
    variance : float
        s^2 of ``dx = -L' dt + s dW``.

    Returns
    -------
    AsymptoticExitTime

    Raises
    ------
    InputError
        If a curvature has the wrong sign or a number is not positive.

    Notes
    -----
    Source: Kramers (1940); Berglund, "Kramers' law" (2013), equation 1.7.

    Examples
    --------
    >>> time = kramers_time(2.0, -2.0, 1.0, 0.25)
    >>> round(time.value / (math.pi * math.exp(8.0)), 12), time.barrier_ratio, time.is_valid
    (1.0, 8.0, True)
    """
    checks.number("curvature_minimum", curvature_minimum, low=0, strict=True)
    checks.number("curvature_saddle", curvature_saddle, high=0, strict=True)
    checks.number("variance", variance, low=0, strict=True)
    return eyring_kramers_time([[curvature_minimum]], [[curvature_saddle]], barrier, [[variance]])


def eyring_kramers_time(
    hessian_minimum: ArrayLike,
    hessian_saddle: ArrayLike,
    barrier: float,
    diffusion_covariance: Matrix,
) -> AsymptoticExitTime:
    """Mean transition time ``(2 pi / |l_-|) sqrt(|det H_s| / det H_a) e^{2 dL / s^2}``.

    Parameters
    ----------
    hessian_minimum : array_like, shape (D, D)
        H_a, positive definite.
    hessian_saddle : array_like, shape (D, D)
        H_s, with exactly one negative eigenvalue ``l_-`` and none that is zero.
    barrier : float
        Loss at the saddle minus loss at the minimum.
    diffusion_covariance : array_like, shape (D, D), or any other covariance
        ``s^2 I``; for anisotropic noise with a plain gradient drift the formula does not hold.

    Returns
    -------
    AsymptoticExitTime

    Raises
    ------
    InputError
        If the noise is anisotropic, `hessian_minimum` is not positive definite, or `hessian_saddle`
        has not exactly one negative eigenvalue.

    Notes
    -----
    Source: Bovier, Eckhoff, Gayrard and Klein (2004); one lowest, nondegenerate saddle.

    Examples
    --------
    >>> time = eyring_kramers_time(np.diag([1.0, 4.0]), np.diag([-1.0, 9.0]), 1.0, np.eye(2))
    >>> round(time.value / (2 * math.pi * 1.5 * math.exp(2.0)), 12)
    1.0
    """
    minimum = checks.symmetric_matrix("hessian_minimum", hessian_minimum)
    saddle = checks.symmetric_matrix("hessian_saddle", hessian_saddle, size=len(minimum))
    covariance = operands.dense_covariance(
        "diffusion_covariance", diffusion_covariance, "diffusion", size=len(minimum)
    )
    barrier = checks.number("barrier", barrier, low=0, strict=True)
    variance = float(np.trace(covariance) / len(covariance))
    if variance <= 0 or np.abs(covariance - variance * np.eye(len(covariance))).max() > (
        1e-9 * variance
    ):
        raise checks.InputError(
            "diffusion_covariance is not a positive multiple of the identity; expected isotropic "
            "noise, or the quasi-potential for anisotropic noise"
        )
    at_minimum, at_saddle = np.linalg.eigvalsh(minimum), np.linalg.eigvalsh(saddle)
    if at_minimum[0] <= _rounding(at_minimum):
        raise checks.InputError(
            f"hessian_minimum has the eigenvalue {at_minimum[0]:.6g}; expected a minimum with "
            "positive eigenvalues, beyond the rounding of the largest"
        )
    limit = _rounding(at_saddle)
    if at_saddle[0] >= -limit or (len(at_saddle) > 1 and at_saddle[1] <= limit):
        raise checks.InputError(
            f"hessian_saddle has the eigenvalues {at_saddle.tolist()}; expected exactly one "
            "negative and the others positive, beyond the rounding of the largest"
        )
    ratio = 2 * barrier / variance
    # logarithms, because determinants of many dimensions overflow
    determinants = 0.5 * (np.log(np.abs(at_saddle)).sum() - np.log(at_minimum).sum())
    exponent = determinants + ratio
    if exponent <= 700:
        value = 2 * math.pi / -at_saddle[0] * math.exp(exponent)
    else:
        logarithm = exponent + math.log(2 * math.pi) - math.log(-at_saddle[0])
        value = math.exp(logarithm) if logarithm <= _LARGEST_LOGARITHM else math.inf
    return AsymptoticExitTime(float(value), ratio, ratio >= SMALLEST_RATIO)


def _rounding(eigenvalues):
    """Size that eigenvalues, computed together, have by rounding where they are zero."""
    return 8 * len(eigenvalues) * np.finfo(np.float64).eps * np.abs(eigenvalues).max()
