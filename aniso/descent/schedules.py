"""Schedules: the factor by which a step's learning rate differs from the one of the settings.

Step t, from 0 on, has the learning rate ``eta f(t)``. Without a schedule f is 1. A schedule is
compared by its values, so that it is a part of a run's identity.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from aniso import checks
from aniso.descent.updates import ByValue

_LARGEST_LOGARITHM = 700.0


class Schedule(ByValue):
    """A factor f(t) of the learning rate; the subclasses of this module are all there are."""

    def factor(self, step: int) -> float:
        """Return f(t) for the step t, from 0 on."""
        raise NotImplementedError(step)

    def check_steps(self, num_steps: int) -> None:
        """Refuse a run of more steps than the schedule has."""


@dataclass(frozen=True)
class Steps(Schedule):
    """Piecewise constant, ``f(t) = factor_at_step^(number of listed steps <= t)``.

    Attributes
    ----------
    steps : tuple of int
        Steps from which on the learning rate is multiplied once more, increasing, above 0. A range
        gives an even spacing.
    factor_at_step : float
        Above 0.

    Examples
    --------
    >>> [Steps((2, 3), 0.5).factor(step) for step in range(5)]
    [1.0, 1.0, 0.5, 0.25, 0.25]
    """

    steps: tuple[int, ...]
    factor_at_step: float = 0.1

    def __post_init__(self):
        if isinstance(self.steps, str) or not np.iterable(self.steps):
            raise checks.InputError(
                f"steps={self.steps!r}; expected a sequence, such as (100, 150)"
            )
        steps = tuple(checks.integer("steps", step, low=1) for step in self.steps)
        if any(later <= step for step, later in itertools.pairwise(steps)):
            raise checks.InputError(f"steps={steps!r}; expected increasing integers")
        factor = checks.number("factor_at_step", self.factor_at_step, low=0, strict=True)
        if len(steps) * math.log(factor) > _LARGEST_LOGARITHM:
            raise checks.InputError(
                f"factor_at_step={factor:g} at {len(steps)} steps makes a factor of "
                f"{factor:g}^{len(steps)}, beyond the range of numbers; expected fewer steps, or a "
                "smaller factor"
            )
        object.__setattr__(self, "steps", steps)
        object.__setattr__(self, "factor_at_step", factor)

    def factor(self, step: int) -> float:
        """Return f(t) for the step t, from 0 on."""
        return self.factor_at_step ** sum(listed <= step for listed in self.steps)

    def identity(self) -> dict[str, Any]:
        """Return kind and values as plain data, for a run directory."""
        return super().identity() | {"steps": list(self.steps)}


@dataclass(frozen=True)
class Cosine(Schedule):
    """Half a cosine, ``f(t) = last + (1 - last) (1 + cos(pi t / n)) / 2``, constant from n on.

    Attributes
    ----------
    num_steps : int
        n, steps until the last value.
    last : float
        Last value, in [0, 1].

    Notes
    -----
    Source: Loshchilov & Hutter 2017, without restarts.

    Examples
    --------
    >>> [round(Cosine(2).factor(step), 12) for step in range(4)]
    [1.0, 0.5, 0.0, 0.0]
    """

    num_steps: int
    last: float = 0.0

    def __post_init__(self):
        object.__setattr__(self, "num_steps", checks.integer("num_steps", self.num_steps, low=1))
        object.__setattr__(self, "last", checks.number("last", self.last, low=0, high=1))

    def factor(self, step: int) -> float:
        """Return f(t) for the step t, from 0 on."""
        share = min(step, self.num_steps) / self.num_steps
        return self.last + (1 - self.last) * (1 + math.cos(math.pi * share)) / 2


@dataclass(frozen=True)
class WarmUp(Schedule):
    """Linear growth, ``f(t) = (t + 1) / n`` for t < n; then another schedule, counted from n on.

    Attributes
    ----------
    num_steps : int
        n; the step n - 1 is the first one with the whole learning rate.
    then : Schedule or None
        Schedule after these steps; None for 1.

    Examples
    --------
    >>> [WarmUp(2, Steps((1,), 0.5)).factor(step) for step in range(5)]
    [0.5, 1.0, 1.0, 0.5, 0.5]
    """

    num_steps: int
    then: Schedule | None = None

    def __post_init__(self):
        object.__setattr__(self, "num_steps", checks.integer("num_steps", self.num_steps, low=1))
        if self.then is not None:
            require_schedule("then", self.then)

    def factor(self, step: int) -> float:
        """Return f(t) for the step t, from 0 on."""
        if step < self.num_steps:
            return (step + 1) / self.num_steps
        return 1.0 if self.then is None else self.then.factor(step - self.num_steps)

    def check_steps(self, num_steps: int) -> None:
        """Refuse a run of more steps than the schedule has."""
        if self.then is not None:
            self.then.check_steps(num_steps - self.num_steps)

    def identity(self) -> dict[str, Any]:
        """Return kind and values as plain data, for a run directory."""
        then = None if self.then is None else self.then.identity()
        return {"kind": "WarmUp", "num_steps": self.num_steps, "then": then}


@dataclass(frozen=True)
class Tabulated(Schedule):
    """Any schedule, by its values: ``f(t) = factors[t]``.

    Attributes
    ----------
    factors : tuple of float
        Factor of every step, none of them negative. A run may not have more steps.

    Examples
    --------
    >>> Tabulated((1.0, 0.5)).factor(1)
    0.5
    """

    factors: tuple

    def __post_init__(self):
        factors = checks.array("factors", self.factors, shape=(None,))
        if factors.size == 0 or factors.min() < 0:
            raise checks.InputError(
                "factors has to hold at least one number, none of them negative"
            )
        object.__setattr__(self, "factors", tuple(factors.tolist()))

    def factor(self, step):
        """Return f(t) for the step t, from 0 on."""
        return self.factors[step]

    def check_steps(self, num_steps):
        """Refuse a run of more steps than the schedule has."""
        if num_steps > len(self.factors):
            raise checks.InputError(
                f"num_steps={num_steps}; the schedule has a factor for {len(self.factors)} steps; "
                f"expected num_steps <= {len(self.factors)}, or a longer table"
            )

    def identity(self):
        """Kind, length and hash of the factors, as plain data."""
        content = np.array(self.factors).astype("<f8").tobytes()
        return {
            "kind": "Tabulated",
            "length": len(self.factors),
            "sha256": hashlib.sha256(content).hexdigest(),
        }


def tabulated(function: Callable[..., Any], num_steps: int) -> Tabulated:
    """Return the schedule ``f(t) = function(t)`` of the steps 0 to num_steps - 1, by its values.

    Parameters
    ----------
    function : callable
        ``function(step)`` returns the factor of the learning rate, not negative.
    num_steps : int
        Number of steps that are tabulated. To extend a run later, tabulate the longest one.

    Returns
    -------
    Tabulated

    Raises
    ------
    InputError
        If the function is none, or a factor is no number, negative or not finite.

    Examples
    --------
    >>> tabulated(lambda step: 1 / (1 + step), 3).factors
    (1.0, 0.5, 0.3333333333333333)
    """
    num_steps = checks.integer("num_steps", num_steps, low=1)
    if not callable(function):
        raise checks.InputError(
            f"function={function!r}; expected a function of the step, such as lambda step: 1.0"
        )
    return Tabulated(
        tuple(checks.number(f"function({t})", function(t), low=0) for t in range(num_steps))
    )


def require_schedule(name, value):
    """Return the schedule.

    Raises
    ------
    InputError
        If it is none of this module. A function or a class of your own is refused, because
        neither can be compared.
    """
    if type(value) not in (Steps, Cosine, WarmUp, Tabulated):
        raise checks.InputError(
            f"{name}={value!r}; expected one of aniso.descent.schedules; of a function, "
            "schedules.tabulated(function, num_steps)"
        )
    return value
