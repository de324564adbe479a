"""Error of any quantity at theta from the sampling of the examples: the grouped jackknife."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from aniso import checks
from aniso.estimates import Estimate, power_of_two
from aniso.problems.problem import require_problem

if TYPE_CHECKING:
    from aniso.problems.problem import Problem
    from aniso.typing import ArrayLike


def jackknife_over_examples(
    problem: Problem,
    theta: ArrayLike,
    quantity: Callable[..., Any],
    num_groups: int,
    rng: np.random.Generator,
) -> Estimate:
    """Return a quantity with the standard error that comes from the sampling of the examples.

    Parameters
    ----------
    problem : Problem
        Mean loss over N examples, taken as a sample of a distribution.
    theta : array_like, shape (D,)
        Point in parameter space, held fixed.
    quantity : callable
        LocalGeometry -> float, for instance ``lambda at: at.noise.trace()``.
    num_groups : int
        K groups of examples, 2 <= K <= N; 20 or more give a stable error.
    rng : numpy.random.Generator
        Draws the groups.

    Returns
    -------
    Estimate
        The quantity of all examples, and the standard error of the jackknife. Its number of samples
        is K.

    Raises
    ------
    InputError
        If an argument breaks its rule, or a value of the quantity is not a finite number.

    Notes
    -----
    ``error^2 = (K - 1)/K sum_k (q_k - mean q)^2``, q_k the quantity without group k. Valid for
    smooth functions of means over the examples; gradient, curvature and noise are all sampled. The
    value keeps its bias of order 1/N. Cost: K + 1 times the quantity. Source: Quenouille 1949 and
    Tukey 1958; conditions: docs/theory/estimates.md.

    Examples
    --------
    The mean loss of losses 0, 2, 4, 6: the standard error of a mean, sqrt(20/3)/2.

    >>> from aniso.problems import quadratic_problem
    >>> bowl = quadratic_problem([[0.0]], [0.0], [[3.0], [1.0], [-1.0], [-3.0]])
    >>> found = jackknife_over_examples(bowl, [-1.0], lambda at: at.loss, 4,
    ...     np.random.default_rng(0))
    >>> round(found.standard_error**2, 12)
    1.666666666667
    """
    problem = require_problem("problem", problem)
    count = problem.num_examples
    num_groups = checks.integer("num_groups", num_groups, low=2, high=count, high_name="N")
    checks.generator("rng", rng)
    if not callable(quantity):
        raise checks.InputError(
            f"quantity={quantity!r}; expected a function of the local geometry, for instance "
            "lambda at: at.noise.trace()"
        )
    value = _number(quantity(problem.at(theta)))
    order = rng.permutation(count)
    left_out = np.empty(num_groups)
    for group, chosen in enumerate(np.array_split(order, num_groups)):
        rest = np.setdiff1d(order, chosen)
        left_out[group] = _number(quantity(problem.subset(rest).at(theta)))
    return Estimate(value, jackknife_error(left_out), num_groups)


def jackknife_error(left_out: ArrayLike, errors: ArrayLike | None = None) -> float:
    """Standard error of a quantity from its values without one group of examples each.

    Parameters
    ----------
    left_out : array_like, shape (K,)
        q_k, the quantity without group k, K >= 2.
    errors : array_like, shape (K,), optional
        Standard errors of the q_k themselves from independent random probes. Their share of the
        spread is subtracted.

    Returns
    -------
    float

    Raises
    ------
    InputError
        If an array has another shape or an entry that is not finite.

    Examples
    --------
    >>> round(jackknife_error([1.0, 3.0]), 12)  # sqrt(1/2 * 2)
    1.0
    """
    left_out = checks.array("left_out", left_out, shape=(None,))
    count = checks.integer("number of groups", left_out.size, low=2)
    left_out, unit = left_out - left_out.mean(), 1.0
    if left_out.any():
        unit = power_of_two(left_out)
        left_out = left_out / unit
    spread = float(np.sum(left_out**2))
    if errors is not None:
        errors = checks.array("errors", errors, shape=left_out.shape)
        spread = max(0.0, spread - (1 - 1 / count) * float(np.sum((errors / unit) ** 2)))
    return unit * math.sqrt((count - 1) / count * spread)


def _number(value):
    return checks.number("quantity(at)", float(value) if isinstance(value, Estimate) else value)
