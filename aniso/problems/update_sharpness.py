"""Critical sharpness: where the loss along an update returns to its value."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import scipy.linalg

from aniso import checks
from aniso.estimates import NotConverged
from aniso.problems._updates import (
    checked_update,
    finite_loss,
    loss_or_infinity,
    rounding_of_loss,
)

if TYPE_CHECKING:
    from aniso.problems.problem import Problem
    from aniso.typing import ArrayLike


_STATES = ("bracketed", "rising at the start", "no return")


@dataclass(frozen=True, repr=False)
class CriticalSharpness:
    """First learning rate at which the loss along an update returns to its value, and 2 over it.

    Attributes
    ----------
    learning_rate : float
        eta_c, the middle of the bracket; NaN where there is no bracket.
    low, high : float
        Bracket: the loss is below its start at `low`, and above it or not finite at `high`.
    state : str
        "bracketed", "rising at the start" or "no return".
    num_losses : int
        Evaluations of the loss.
    rounding : float
        Error of eta_c that the rounding of the loss and of theta leaves; inf where the loss falls
        by no more than its rounding; NaN where there is no bracket.

    Examples
    --------
    >>> CriticalSharpness(0.5, 0.49, 0.51, "bracketed", 12, 0.0)
    <CriticalSharpness: 2 / 0.5 = 4, relative error <= 0.02, bracketed, 12 losses>
    """

    learning_rate: float
    low: float
    high: float
    state: str
    num_losses: int
    rounding: float

    @property
    def sharpness(self) -> float:
        """``2 / eta_c``; for a quadratic ``u^T H u / g^T u`` along the update u."""
        return 2 / self.learning_rate

    @property
    def relative_error(self) -> float:
        """Bound on the relative error of eta_c: half the bracket, and the rounding of the loss."""
        return ((self.high - self.low) / 2 + self.rounding) / self.learning_rate

    def __repr__(self):
        if self.state != "bracketed":
            return (
                f"<CriticalSharpness: {self.state}, searched {self.low:.4g} to {self.high:.4g}, "
                f"{self.num_losses} losses>"
            )
        return (
            f"<CriticalSharpness: 2 / {self.learning_rate:.6g} = {self.sharpness:.6g}, relative "
            f"error <= {self.relative_error:.2g}, {self.state}, {self.num_losses} losses>"
        )


def critical_sharpness(
    problem: Problem,
    theta: ArrayLike,
    update: ArrayLike | None = None,
    *,
    first_learning_rate: float = 1e-3,
    growth: float = 2.0,
    tolerance: float = 1e-6,
    max_losses: int = 200,
) -> CriticalSharpness:
    """Critical sharpness ``2 / eta_c``, eta_c the first return of the loss along an update.

    ``L(theta - eta_c u) = L(theta)`` with the loss below L(theta) in between.

    Parameters
    ----------
    problem : Problem
        Mean loss over examples; ``problem.subset(batch)`` for the loss of a batch.
    theta : array_like, shape (D,)
        Point in parameter space.
    update : array_like, shape (D,), optional
        u, for instance the step of an optimiser over its learning rate. The gradient if not given.
    first_learning_rate : float
        First eta > 0 to be tried.
    growth : float
        Ratio > 1 of successive trials. A return that lasts for less than this ratio may be missed.
    tolerance : float
        Relative width of the bracket at which the search ends.
    max_losses : int
        Largest number of evaluations of the loss, at least 4.

    Returns
    -------
    CriticalSharpness
        Its state is "bracketed".

    Raises
    ------
    InputError
        If an argument breaks its rule, the update is zero, or the loss at theta is not finite.
    NotConverged
        If the loss rises at the smallest trial ("rising at the start"), or stays below its start
        up to the last trial ("no return"), or the evaluations run out within the bracket.
        `partial` is the search so far.

    Notes
    -----
    Forward passes alone. Trials grow by `growth` while the loss stays below its start, or within
    its rounding; where the first of the others is above, they shrink. Within the bracket, secants
    of ``(L(theta - eta u) - L(theta)) / eta`` are mixed with bisection. A loss that is not finite
    counts as above. On a quadratic ``eta_c = 2 g^T u / u^T H u``, so that the critical sharpness
    equals the directional one for u = g. Formulas: docs/theory/estimates.md.

    Examples
    --------
    >>> from aniso.problems import quadratic_problem
    >>> bowl = quadratic_problem([[4.0, 0.0], [0.0, 1.0]], [0.0, 0.0], [[0.0, 0.0]])
    >>> round(critical_sharpness(bowl, [1.0, 0.0]).sharpness, 4)
    4.0
    """
    problem, theta, update = checked_update(problem, theta, update)
    trial = checks.number("first_learning_rate", first_learning_rate, low=0, strict=True)
    growth = checks.number("growth", growth, low=1, strict=True)
    tolerance = checks.number("tolerance", tolerance, low=0, high=1, strict=True)
    max_losses = checks.integer("max_losses", max_losses, low=4)
    start = finite_loss(problem, theta)
    noise = rounding_of_loss(problem, theta)
    used = 2

    def risen(learning_rate):
        # the rise over the learning rate, which is linear in it for a quadratic
        nonlocal used
        used += 1
        return (loss_or_infinity(problem, theta - learning_rate * update) - start) / learning_rate

    def stopped(state, low, high, advice):
        partial = CriticalSharpness(math.nan, low, high, state, used, math.nan)
        return NotConverged(f"{state}: {advice}", partial)

    first, rise = trial, risen(trial)
    # a step that changes the loss by no more than its rounding says nothing
    while abs(rise * trial) <= noise and used < max_losses and trial * growth <= 1e300:
        trial *= growth
        rise = risen(trial)
    upward = rise < 0
    low, high = (trial, math.inf) if upward else (0.0, trial)
    rises = [rise, math.inf] if upward else [-math.inf, rise]
    # a step that leaves theta as it is ends the search for a fall
    smallest = np.finfo(float).eps * _relative_size(theta, update)
    while low == 0.0 or high == math.inf:
        trial = trial * growth if upward else trial / growth
        if not upward and trial < smallest:
            raise stopped(
                _STATES[1],
                trial * growth,
                first,
                f"the loss {start:.6g} at theta does not fall down to the learning rate "
                f"{trial * growth:.3g}; expected a direction of descent as update",
            )
        if used >= max_losses or trial > 1e300:
            state = _STATES[2] if upward else _STATES[1]
            raise stopped(
                state,
                min(first, trial),
                max(first, trial),
                f"{used} losses between the learning rates {min(first, trial):.3g} and "
                f"{max(first, trial):.3g} do not bracket a return to the loss {start:.6g}; "
                "expected another first_learning_rate, or more max_losses",
            )
        rise = risen(trial)
        if rise < 0:
            low, rises[0] = trial, rise
        else:
            high, rises[1] = trial, rise
    side = -1
    while high - low > tolerance * high:
        if used >= max_losses:
            raise NotConverged(
                f"max_losses={max_losses} leave the bracket {low:.6g} to {high:.6g}; expected "
                f"more, for a relative width of {tolerance:g}",
                _bracketed(problem, theta, update, (start, noise), low, high, used),
            )
        trial, side = _next_trial(low, high, rises, 0.4 * tolerance * high * side), -side
        if used % 3 == 0:
            trial = (low + high) / 2
        rise = risen(trial)
        if rise < 0:
            low, rises[0] = trial, rise
        else:
            high, rises[1] = trial, rise
    return _bracketed(problem, theta, update, (start, noise), low, high, used)


def _relative_size(theta, update):
    with np.errstate(over="ignore"):
        return max(scipy.linalg.norm(theta), 1e-300) / np.float64(scipy.linalg.norm(update))


def _next_trial(low, high, rises, offset):
    # the secant's root, moved to one side of it and to the other, so that both ends close in
    middle = (low + high) / 2
    if not np.isfinite(rises).all() or rises[0] == rises[1]:
        return middle
    trial = low - rises[0] * (high - low) / (rises[1] - rises[0]) + offset
    return trial if low < trial < high else middle


def _bracketed(problem, theta, update, value, low, high, used):
    (start, noise), middle = value, (low + high) / 2
    distance, fall, grown = high - low, 0.0, -1
    # the return is known up to the distance below it at which the fall exceeds the rounding
    while not fall > 4 * noise and distance < 0.5 * low:
        distance, grown = min(2 * distance, 0.5 * low), grown + 1
        fall = start - loss_or_infinity(problem, theta - (low - distance) * update)
        used += 1
    rounding = math.inf
    if fall > 4 * noise:
        # where the first distance is enough, the curve is a line down to the rounding
        rounding = distance if grown else distance * noise / fall
    rounding += float(np.finfo(float).eps) * _relative_size(theta, update)
    return CriticalSharpness(middle, low, high, _STATES[0], used, rounding)
