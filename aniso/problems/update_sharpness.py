"""Sharpness along an update from values of the loss alone: directional and critical."""

import math
from dataclasses import dataclass

import numpy as np

from aniso import checks
from aniso.arrays import transfer
from aniso.estimates import NotConverged
from aniso.problems.problem import require_problem
from aniso.problems.problem_checks import LossFailed

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
        Error of eta_c that the rounding of the loss leaves; NaN where there is no bracket.

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
    def sharpness(self):
        """``2 / eta_c``; for a quadratic ``u^T H u / g^T u`` along the update u."""
        return 2 / self.learning_rate

    @property
    def relative_error(self):
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
    problem,
    theta,
    update=None,
    *,
    first_learning_rate=1e-3,
    growth=2.0,
    tolerance=1e-6,
    max_losses=200,
):
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
        Relative width of the bracket at which bisection ends.
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
        up to the last trial ("no return"), or the evaluations run out within the bisection.
        `partial` is the search so far.

    Notes
    -----
    Forward passes alone. Trials grow by `growth` while the loss stays below its start; where the
    first trial is above, they shrink. On a quadratic ``eta_c = 2 g^T u / u^T H u``, so that the
    critical sharpness equals the directional one for u = g. A loss that is not finite counts as
    above. Formulas: docs/theory/estimates.md.

    Examples
    --------
    >>> from aniso.problems import quadratic_problem
    >>> bowl = quadratic_problem([[4.0, 0.0], [0.0, 1.0]], [0.0, 0.0], [[0.0, 0.0]])
    >>> round(critical_sharpness(bowl, [1.0, 0.0]).sharpness, 4)
    4.0
    """
    problem, theta, update = _checked(problem, theta, update)
    trial = checks.number("first_learning_rate", first_learning_rate, low=0, strict=True)
    growth = checks.number("growth", growth, low=1, strict=True)
    tolerance = checks.number("tolerance", tolerance, low=0, high=1, strict=True)
    max_losses = checks.integer("max_losses", max_losses, low=4)
    start = _finite_loss(problem, theta)
    used = 1

    def rises(learning_rate):
        nonlocal used
        used += 1
        return not _loss(problem, theta - learning_rate * update) < start

    def stopped(state, low, high, advice):
        partial = CriticalSharpness(math.nan, low, high, state, used, math.nan)
        return NotConverged(f"{state}: {advice}", partial)

    first, upward = trial, not rises(trial)
    low, high = (trial, math.inf) if upward else (0.0, trial)
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
        if rises(trial):
            high = trial
        else:
            low = trial
    while high - low > tolerance * high:
        if used >= max_losses:
            raise NotConverged(
                f"max_losses={max_losses} leave the bracket {low:.6g} to {high:.6g}; expected "
                f"more, for a relative width of {tolerance:g}",
                _bracketed(problem, theta, update, start, low, high, used),
            )
        middle = (low + high) / 2
        if rises(middle):
            high = middle
        else:
            low = middle
    return _bracketed(problem, theta, update, start, low, high, used)


def directional_sharpness(problem, theta, update=None, *, step=None):
    """Directional sharpness ``u^T H u / |u|^2`` from three values of the loss.

    ``(L(theta + h v) - 2 L(theta) + L(theta - h v)) / h^2``, v = u / |u|.

    Parameters
    ----------
    problem, theta, update
        As for :func:`critical_sharpness`.
    step : float, optional
        h > 0, in units of theta. If not given, ``eps^(1/4) max(1, |theta|)``.

    Returns
    -------
    value, error : float
        The error is an estimate: the change from half the step for the remainder of order h^2, and
        ``4 eps max|L| / h^2`` for the rounding of the losses.

    Raises
    ------
    InputError
        If an argument breaks its rule, the update is zero, or a loss is not finite.

    Notes
    -----
    Five forward passes. The value is extrapolated from h and h/2 and is of order 4 in h. With
    products of H, ``v @ (at.hessian @ v)`` is exact.

    Examples
    --------
    >>> from aniso.problems import quadratic_problem
    >>> bowl = quadratic_problem([[4.0, 0.0], [0.0, 1.0]], [0.0, 0.0], [[0.0, 0.0]])
    >>> value, error = directional_sharpness(bowl, [1.0, 0.0])
    >>> abs(value - 4) <= error < 1e-3
    True
    """
    problem, theta, update = _checked(problem, theta, update)
    if step is None:
        step = np.finfo(float).eps ** 0.25 * max(1.0, float(np.linalg.norm(theta)))
    step = checks.number("step", step, low=0, strict=True)
    along = update / np.linalg.norm(update)
    middle = _finite_loss(problem, theta)
    values, largest = [], abs(middle)
    for width in (step, step / 2):
        ends = [_finite_loss(problem, theta + sign * width * along) for sign in (1, -1)]
        largest = max(largest, *map(abs, ends))
        values.append((ends[0] - 2 * middle + ends[1]) / width**2)
    rounding = 4 * np.finfo(float).eps * largest / (step / 2) ** 2
    value = values[1] + (values[1] - values[0]) / 3
    return float(value), float(abs(values[1] - values[0]) / 3 + 5 / 3 * rounding)


def _checked(problem, theta, update):
    problem = require_problem("problem", problem).on_host()
    checks.refuse_loss_of_meaning("theta", theta)
    theta = problem.check_theta(transfer.to_numpy(theta))
    if update is None:
        update = problem.gradient(theta)
    else:
        checks.refuse_loss_of_meaning("update", update)
        update = checks.array("update", transfer.to_numpy(update), shape=theta.shape)
    if not np.any(update):
        raise checks.InputError("update is 0; expected a direction that is not zero")
    return problem, theta, np.asarray(update, dtype=np.float64)


def _loss(problem, theta):
    # far steps may leave the range of floats: such a loss is above any other
    if not np.isfinite(theta).all():
        return math.inf
    with np.errstate(over="ignore", invalid="ignore"):
        try:
            return float(problem.loss(theta))
        except LossFailed:
            raise
        except checks.InputError:
            return math.inf


def _finite_loss(problem, theta):
    value = float(problem.loss(theta))
    if not math.isfinite(value):
        raise checks.InputError(f"the loss is {value}; expected a finite loss at theta and nearby")
    return value


def _relative_size(theta, update):
    return max(float(np.linalg.norm(theta)), 1e-300) / float(np.linalg.norm(update))


def _bracketed(problem, theta, update, start, low, high, used):
    middle = (low + high) / 2
    # slope of the loss at the return, from the curve between half the bracket's end and the end
    below = _loss(problem, theta - 0.5 * low * update)
    slope = abs(start - below) / (high - 0.5 * low)
    rounding = 2 * np.finfo(float).eps * max(abs(start), abs(below)) / slope if slope else math.inf
    return CriticalSharpness(middle, low, high, _STATES[0], used + 1, rounding)
