"""The two functions in every closed form of linear motion, finite for every sign of the rate.

``integral of exp(-r s) over 0 <= s <= t`` in continuous time and ``sum of p^l over 0 <= l < k`` in
discrete time. Neither divides by a rate that may vanish.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from aniso import checks

if TYPE_CHECKING:
    from aniso.typing import Array


_MAX_EXPONENT = 700.0


def exponential_integral(rates: Array, time: float | Array) -> Array:
    """``integral_0^t exp(-r s) ds = (1 - exp(-r t))/r``, t where r = 0.

    Parameters
    ----------
    rates : ndarray
        Rates r of any sign, in 1 / time.
    time : float or ndarray
        t >= 0; broadcasts against `rates`.

    Returns
    -------
    ndarray

    Raises
    ------
    InputError
        If -r t exceeds 700, beyond which the number leaves the range of floats.

    Examples
    --------
    >>> exponential_integral(np.array([0.0, np.log(2.0)]), 1.0) * [1.0, np.log(2.0)]
    array([1. , 0.5])
    """
    with np.errstate(over="ignore"):
        exponents = -np.asarray(rates) * time
    _check_growth(exponents, "time times the negative rate")
    # -expm1(-x)/x is 1 at x = 0, and for subnormal x up to rounding: both are caught by the mask.
    small = np.abs(exponents) < np.finfo(np.float64).tiny
    # From exp(-50) on the integral is 1/r to the last bit, and t times 1/(rt) may leave the range.
    decayed = exponents < -50
    safe = np.where(small | decayed, 1.0, exponents)
    within = np.where(decayed, 0.0, time) * np.where(small, 1.0, np.expm1(safe) / safe)
    return np.where(decayed, 1 / np.where(decayed, rates, 1.0), within)


def geometric_sum(deficits: Array, num_terms: int | Array) -> Array:
    """``sum_{l < k} p^l = (1 - p^k)/(1 - p)`` with p = 1 - deficit, k where p = 1.

    Parameters
    ----------
    deficits : ndarray
        ``1 - p``, of any sign; given instead of p so that p near 1 loses no digits.
    num_terms : int or ndarray
        k >= 0; broadcasts against `deficits`.

    Returns
    -------
    ndarray

    Raises
    ------
    InputError
        If ``k log|p|`` exceeds 700, beyond which the number leaves the range of floats.

    Examples
    --------
    >>> geometric_sum(np.array([0.5, 0.0, -1.0, 3.0]), 3)  # p = 1/2, 1, 2, -2
    array([1.75, 3.  , 7.  , 3.  ])
    """
    deficits, counts = np.broadcast_arrays(
        np.asarray(deficits, dtype=np.float64), np.asarray(num_terms, dtype=np.float64)
    )
    ratios = 1.0 - deficits
    with np.errstate(divide="ignore", invalid="ignore"):
        _check_growth(
            np.where(counts > 0, counts * np.log(np.abs(ratios)), 0.0),
            "num_steps times the log of the growth per step",
        )
    near = np.abs(deficits) < 0.5
    flat = near & (np.abs(deficits) < np.finfo(np.float64).tiny)
    safe = np.where(near & ~flat, deficits, 0.25)
    powers = np.where(near, 0.0, ratios) ** counts
    far = (1.0 - powers) / np.where(near, 1.0, deficits)
    return np.where(flat, counts, np.where(near, -np.expm1(counts * np.log1p(-safe)) / safe, far))


def _check_growth(exponents, words):
    largest = float(np.max(exponents, initial=0.0))
    if largest > _MAX_EXPONENT:
        raise checks.InputError(
            f"{words} is {largest:.4g}; the motion grows like its exponential, and above "
            f"{_MAX_EXPONENT:g} that leaves the range of floats: expected a shorter time"
        )
