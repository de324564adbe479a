"""Time up to which the quadratic model of a loss is meaningful near a saddle."""

import warnings

import numpy as np
import scipy.optimize


class BeyondQuadraticModel(UserWarning):
    """A closed form was evaluated beyond the time of the quadratic model at a saddle.

    See "Time of the quadratic model at a saddle" in docs/theory/motion.md.
    """


def saddle_time(growth_rates, weights, ceiling):
    """Smallest t at which ``sum_i w_i (e^{r_i t} - 1)`` reaches a ceiling.

    Parameters
    ----------
    growth_rates, weights : ndarray, shape (D,)
        r_i and w_i >= 0; only directions with r_i > 0 and w_i > 0 count.
    ceiling : float
        At least 0.

    Returns
    -------
    float
        inf where no direction grows.

    Examples
    --------
    >>> time = saddle_time(np.array([2.0, 0.0]), np.array([1.0, 3.0]), 4.0)
    >>> bool(np.isclose(time, np.log(5) / 2))
    True
    """
    grows = (growth_rates > 0) & (weights > 0)
    if not grows.any():
        return np.inf
    rates, weights = growth_rates[grows], weights[grows]
    # each direction alone would take longer than all together
    with np.errstate(over="ignore", divide="ignore"):
        alone = (np.log1p(ceiling / weights) / rates).min()

    def excess(time):
        return weights @ np.expm1(rates * time) - ceiling

    if not np.isfinite(alone) or excess(alone) <= 0:
        return float(alone)
    return float(scipy.optimize.brentq(excess, 0.0, alone, xtol=1e-300, rtol=1e-12))


def falling_rates(eigenvalues):
    """``|lambda|`` along negative curvature, 0 elsewhere and where lambda is a rounding.

    Examples
    --------
    >>> falling_rates(np.array([-2.0, -1e-16, 3.0])).tolist()
    [2.0, 0.0, 0.0]
    """
    rounding = 8 * len(eigenvalues) * np.finfo(np.float64).eps
    tolerance = rounding * np.abs(eigenvalues).max(initial=0.0)
    return np.where(eigenvalues < -tolerance, -eigenvalues, 0.0)


def warn_beyond(times, until, smallest_eigenvalue, unit):
    """Warn where a time lies beyond the time of the quadratic model at a saddle.

    Parameters
    ----------
    times : ndarray
        Times to compare.
    until : float
        The time of :func:`saddle_time`.
    smallest_eigenvalue : float
        Eigenvalue of the Hessian, for the message.
    unit : str
        Name of the argument that holds the times.
    """
    largest = float(np.max(times, initial=0.0))
    if largest > until:
        warnings.warn(
            f"{unit} goes up to {largest:.4g}, and hessian has the eigenvalue "
            f"{smallest_eigenvalue:.3g}: beyond {unit}={until:.4g} the escaping efficiency is "
            "negative, because the loss has fallen along negative curvature by more than noise can "
            "raise it along all directions. The value is exact for the quadratic, but says nothing "
            f"about a loss with terms of higher order; expected {unit} <= {until:.4g}, or a "
            "simulation of the loss itself",
            BeyondQuadraticModel,
            stacklevel=4,
        )
