"""Mean exit time on the line by quadrature, the truth that simulations are held against."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from aniso import _arguments, checks, estimates
from aniso.escape import _green_function


@dataclass(frozen=True)
class QuadratureExitTime:
    """A mean exit time with a bound on the error of its quadrature.

    Attributes
    ----------
    value : float
        Mean exit time.
    error : float
        Upper bound of the distance to the exact mean exit time.
    """

    value: float
    error: float


def mean_exit_time(
    drift: Callable[..., Any],
    variance: float | Callable[..., Any],
    start: float,
    low: float,
    high: float,
    *,
    reflecting: Literal["low", "high"] | None = None,
    breakpoints: Sequence[float] = (),
    num_panels: int = 800,
    tolerance: float = 1e-6,
) -> QuadratureExitTime:
    """Mean first exit time from (low, high) of ``dx = f(x) dt + s(x) dW`` (Ito).

    ``T(x) = int G(x, z) 2 e^{-phi(z)} / s(z)^2 dz`` with ``phi' = -2 f / s^2`` and, S(a, b) the
    integral of e^phi from a to b, Green's function
    ``G(x, z) = S(low, min(x, z)) S(max(x, z), high) / S(low, high)``. With a reflecting or natural
    left end ``G(x, z) = S(max(x, z), high)``.

    Parameters
    ----------
    drift : callable
        f, vectorised: (n,) -> (n,); ``-L'`` for a loss L.
    variance : float or callable
        s^2 > 0, a number or a vectorised function of x.
    start : float
        x.
    low, high : float
        Absorbing ends; one of them may be infinite and is then a natural boundary, towards which
        the loss has to rise.
    reflecting : {"low", "high"}, optional
        A finite end that reflects instead.
    breakpoints : sequence of float
        Where f or s^2 jump or bend: no panel reaches across. Other jumps are found by bisection.
    num_panels : int
        Panels of the quadrature at the beginning, twelve points each. Panels are bisected where
        the error demands it, up to ten times as many.
    tolerance : float
        Largest relative error bound, above 0.

    Returns
    -------
    QuadratureExitTime

    Raises
    ------
    InputError
        If the start is not inside, or no finite end absorbs. If the drift is not finite, the
        variance is not positive, or the result overflows.
    NotConverged
        If the error bound exceeds the tolerance; `partial` holds the result.

    Notes
    -----
    Source: Gardiner, "Stochastic Methods", section 5.5. All terms are positive, so the
    relative error stays small for each start and each pair of ends. An infinite end is cut off
    where ``e^{-phi}`` is negligible, which is checked up to four times that distance. The error
    bound assumes that
    the drift has no spike between two neighbouring points.

    Examples
    --------
    Brownian motion from (-1, 1): (1 - x^2) / s^2.

    >>> round(mean_exit_time(np.zeros_like, 1.0, 0.5, -1.0, 1.0).value, 12)
    0.75

    The same with a reflecting end at 0 and an exit at 1: a path of (-1, 1), folded.

    >>> round(mean_exit_time(np.zeros_like, 1.0, 0.5, 0.0, 1.0, reflecting="low").value, 12)
    0.75

    A parabola between a near and a far end; a finite-difference solution gives 11.926972.

    >>> round(mean_exit_time(lambda x: -x, 0.05, 2.0, -0.3, 3.0).value, 6)
    11.926972
    """
    _arguments.require_function("drift", drift, ("points",), " of an array (n,), vectorised")
    if callable(variance):
        _arguments.require_function("variance", variance, ("points",), ", or a number")
    low, high = _end("low", low), _end("high", high)
    start = checks.number("start", start)
    if not low < start < high:
        raise checks.InputError(f"start={start}; expected low={low} < start < high={high}")
    if np.isinf(low) and np.isinf(high):
        raise checks.InputError("low and high are infinite; expected one end to leave through")
    if reflecting is not None:
        checks.one_of("reflecting", reflecting, ["low", "high"])
        wall, exit_end = (low, high) if reflecting == "low" else (high, low)
        if np.isinf(wall) or np.isinf(exit_end):
            raise checks.InputError(
                f"reflecting={reflecting!r} with low={low} and high={high}; expected two finite "
                "ends, one to reflect and one to leave through"
            )
    num_panels = checks.integer("num_panels", num_panels, low=8)
    tolerance = checks.number("tolerance", tolerance, low=0, strict=True)
    breakpoints = checks.array("breakpoints", breakpoints, shape=(None,))
    if np.isinf(high) or reflecting == "high":
        # mirror the line, so that the natural or reflecting boundary is on the left
        given, spread = drift, variance
        drift = lambda x: -given(-x)  # noqa: E731
        variance = (lambda x: spread(-x)) if callable(spread) else spread
        low, high, start, breakpoints = -high, -low, -start, -breakpoints
    if not callable(variance):
        number = checks.number("variance", variance, low=0, strict=True)
        variance = lambda x: np.full_like(x, number)  # noqa: E731
    natural = np.isinf(low)
    left = _negligible_end(drift, variance, start, high - start) if natural else low
    kind = "natural" if natural else "reflecting" if reflecting else "absorbing"
    corners = np.unique([left, start, high, *breakpoints])
    corners = corners[(corners >= left) & (corners <= high)]
    logarithm, relative_error = _green_function.log_mean_exit_time(
        drift, variance, start, corners, kind, num_panels, max(1e-4 * tolerance, 1e-13)
    )
    if logarithm > math.log(np.finfo(float).max):
        raise checks.InputError(
            f"the mean exit time is exp({logarithm:.6g}), too large for a number; expected "
            "stronger noise or a nearer end"
        )
    value = math.exp(logarithm)
    result = QuadratureExitTime(value, value * relative_error)
    if not relative_error <= tolerance:
        raise estimates.NotConverged(
            f"the quadrature gives the mean exit time {value:.6g} ± {result.error:.2g}; "
            f"expected at most {tolerance:g} of it, with more panels than num_panels={num_panels} "
            "or with breakpoints where the drift or the variance jumps",
            result,
        )
    return result


def _end(name, value):
    infinite = isinstance(value, float) and math.isinf(value)
    return float(value) if infinite else checks.number(name, value)


def _negligible_end(drift, variance, start, width):
    """A point left of the start where ``e^{-phi}`` has fallen by e^{-60} from its largest value.

    "Largest" refers to the values left of the start: every inner integral contains their mass.
    """
    distance, phi, reach = np.zeros(1), np.zeros(1), width
    for _ in range(60):
        distance, phi = _extended(drift, variance, start, distance, phi, reach)
        if phi[-1] - phi.min() > 60:
            # another well may lie behind a barrier as high
            reach *= 4
            distance, phi = _extended(drift, variance, start, distance, phi, reach)
            last = int(np.flatnonzero(phi - phi.min() <= 60)[-1])
            if last + 1 < len(phi):
                return start - distance[last + 1]
        reach *= 1.5
    raise checks.InputError(
        "the loss does not rise towards the infinite end: no mean exit time; expected a finite end"
    )


def _extended(drift, variance, start, distance, phi, reach):
    """Distances to the left of the start and phi there, 0 at the start, continued up to `reach`."""
    grid = np.linspace(distance[-1], reach, 2001)
    middle = start - 0.5 * (grid[1:] + grid[:-1])
    rise = 2 * np.asarray(drift(middle)) / variance(middle) * np.diff(grid)
    return np.append(distance, grid[1:]), np.append(phi, phi[-1] + np.cumsum(rise))
