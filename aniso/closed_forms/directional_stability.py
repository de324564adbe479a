"""Stability of SGD along one direction: an upper bound on the threshold of the learning rate.

Along a unit vector u let ``h_i = u^T H_i u`` have the mean a and the variance s^2, and let
``w^2 = u^T H^2 u - a^2``. The second moment ``M = u u^T`` in the Rayleigh quotient of the exact
threshold gives

    eta* <= 2 a / (a^2 + p s^2)                                            plain SGD
    eta* <= 2 a (1 - b) / (p s^2 + a^2 (1 - b)/(1 + b) - 2 b w^2/(1 - b^2))    heavy ball

with p = 1/B, or (N - B)/(B (N - 1)) without replacement, and the momentum b. Where the denominator
is not positive the direction bounds nothing. See "Stability along one direction" in
docs/theory/stability.md.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from aniso import checks
from aniso.closed_forms.stability import checked_momentum, require_curvatures
from aniso.estimates import exponent_of
from aniso.matrices import curvatures as of_examples
from aniso.matrices import minibatch_scale

if TYPE_CHECKING:
    from aniso.matrices import ExampleCurvatures
    from aniso.typing import ArrayLike


def directional_threshold(
    curvatures: ExampleCurvatures,
    direction: ArrayLike,
    batch_size: int,
    *,
    replacement: bool,
    momentum: float = 0.0,
) -> float:
    """Upper bound on the threshold of SGD from one direction, ``2 a / (a^2 + p s^2)``.

    Parameters
    ----------
    curvatures : ExampleCurvatures
        Hessians H_i of the examples.
    direction : array_like, shape (D,)
        u, of any length but zero.
    batch_size : int
        B; at most N without replacement.
    replacement : bool
        Whether a batch may contain an example twice. No default: the two differ.
    momentum : float
        Momentum b of the heavy ball, 0 <= b < 1.

    Returns
    -------
    float
        At least the exact threshold; inf where the direction gives no bound.

    Raises
    ------
    InputError
        If an argument breaks its rule, or the mean curvature along u is not positive.

    Examples
    --------
    >>> from aniso.matrices import example_curvatures
    >>> one = example_curvatures([[[1.0]], [[3.0]]])  # a = 2, s^2 = 1
    >>> round(directional_threshold(one, [1.0], 1, replacement=True), 12)
    0.8
    """
    require_curvatures(curvatures)
    along = curvatures.along(direction)
    unit = of_examples.unit_direction(direction, curvatures.num_parameters)
    image = curvatures.mean_product(unit)
    exponent = exponent_of(np.append(along, image))
    along, image = np.ldexp(along, -exponent), np.ldexp(image, -exponent)
    spread = float(np.linalg.norm(image - (unit @ image) * unit) ** 2)
    threshold = threshold_along(
        along, batch_size, replacement=replacement, momentum=momentum, spread=spread
    )
    return _over_power_of_two(threshold, exponent)


def threshold_along(
    example_curvatures_along: ArrayLike,
    batch_size: int,
    *,
    replacement: bool,
    momentum: float = 0.0,
    spread: float = 0.0,
) -> float:
    """Threshold from the curvatures of the examples along one direction.

    In one dimension, and along an eigenvector that all H_i share, it is the exact threshold. Along
    any other direction it is an upper bound.

    Parameters
    ----------
    example_curvatures_along : array_like, shape (N,)
        ``h_i = u^T H_i u``, of any framework.
    batch_size, replacement, momentum
        As for :func:`directional_threshold`.
    spread : float
        ``w^2 = u^T H^2 u - a^2 >= 0``, zero for an eigenvector u of H. Only momentum needs it.

    Returns
    -------
    float

    Raises
    ------
    InputError
        If an argument breaks its rule, or the mean curvature is not positive.

    Examples
    --------
    Without noise the heavy ball is stable up to ``2 (1 + b) / a``:

    >>> threshold_along([2.0, 2.0], 1, replacement=True, momentum=0.5)
    1.5
    """
    along = checks.array("example_curvatures_along", example_curvatures_along, shape=(None,))
    if along.size == 0:
        raise checks.InputError("example_curvatures_along is empty; expected N >= 1 numbers")
    fraction = minibatch_scale(along.size, batch_size, replacement=replacement)
    momentum = checked_momentum(momentum)
    spread = checks.number("spread", spread, low=0)
    # in units of a power of two, which changes no digit and whose squares are numbers
    exponent = exponent_of(along)
    along = np.ldexp(along, -exponent)
    mean = float(along.mean())
    if not mean > 0:
        raise checks.InputError(
            f"the mean curvature along the direction is {float(np.ldexp(mean, exponent)):.6g}; "
            "expected a positive one, because otherwise the direction has no threshold"
        )
    excess = fraction * float(np.mean((along - mean) ** 2))
    excess += mean**2 * (1 - momentum) / (1 + momentum)
    if momentum > 0:
        excess -= 2 * momentum * _over_power_of_two(spread, 2 * exponent) / (1 - momentum**2)
    if not excess > 0:
        return math.inf
    return _over_power_of_two(2 * mean * (1 - momentum) / excess, exponent)


def _over_power_of_two(number, exponent):
    with np.errstate(over="ignore"):
        return float(np.ldexp(number, -exponent))
