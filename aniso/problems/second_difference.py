"""Directional sharpness: the curvature along an update, from values of the loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from aniso import checks
from aniso.problems._updates import checked_update, finite_loss, rounding_of_loss

if TYPE_CHECKING:
    from aniso.problems.problem import Problem
    from aniso.typing import Array, ArrayLike


def directional_sharpness(
    problem: Problem,
    theta: ArrayLike,
    update: Callable[[Array], ArrayLike] | None = None,
    *,
    step: float | None = None,
) -> tuple[float, float]:
    """Directional sharpness ``u^T H u / |u|^2`` from three values of the loss.

    ``(L(theta + h v) - 2 L(theta) + L(theta - h v)) / h^2``, ``v = u / |u|``.

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
        ``4 eps max(mean |l_i|, |L|) / h^2`` for the rounding of the losses.

    Raises
    ------
    InputError
        If an argument breaks its rule, the update is zero, or a loss is not finite.

    Notes
    -----
    Six forward passes. The value is extrapolated from h and h/2 and is of order 4 in h. A kink of
    the loss within a step adds the jump of its slope over h. With products of H,
    ``v @ (at.hessian @ v)`` is exact.

    Examples
    --------
    >>> from aniso.problems import quadratic_problem
    >>> bowl = quadratic_problem([[4.0, 0.0], [0.0, 1.0]], [0.0, 0.0], [[0.0, 0.0]])
    >>> value, error = directional_sharpness(bowl, [1.0, 0.0])
    >>> abs(value - 4) <= error < 1e-3
    True
    """
    problem, theta, update = checked_update(problem, theta, update)
    eps = float(np.finfo(problem.dtype).eps)
    if step is None:
        step = eps**0.25 * max(1.0, float(np.linalg.norm(theta)))
    step = checks.number("step", step, low=0, strict=True)
    along = update / np.abs(update).max()
    along /= np.linalg.norm(along)
    middle = finite_loss(problem, theta)
    values, rounding = [], rounding_of_loss(problem, theta)
    for width in (step, step / 2):
        ends = [finite_loss(problem, theta + sign * width * along) for sign in (1, -1)]
        rounding = max(rounding, *(2 * eps * abs(end) for end in ends))
        values.append((ends[0] - 2 * middle + ends[1]) / width**2)
    rounding *= 2 / (step / 2) ** 2
    value = values[1] + (values[1] - values[0]) / 3
    return float(value), float(abs(values[1] - values[0]) / 3 + 5 / 3 * rounding)
