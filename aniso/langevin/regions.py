"""Regions of first exits: interval, half-space, ball, sublevel set, or your own.

A region has a margin m(theta), positive inside and zero on the boundary. It also has the variance
of the margin per unit of time, ``q = grad m^T Sigma grad m``. A path may leave and return within a
step of size h. For a locally flat boundary the probability is ``exp(-2 m m' / (q h))``, with the
margins m and m' of both ends of the step. It is the crossing probability of a Brownian bridge.
"""

from __future__ import annotations

import numbers
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from aniso import _arguments, checks
from aniso.arrays import (
    njit,
)
from aniso.langevin import covariance_factor, function_trials, functions, state_noises
from aniso.langevin._kernels.streams import KERNEL, LANES

if TYPE_CHECKING:
    from aniso.typing import ArrayLike


@dataclass(frozen=True)
class Region(functions.CarriesFunctions):
    """An open set around the start, made by one of the functions below.

    Attributes
    ----------
    dimension : int
        D.
    function : callable
        ``(theta (D, L), parameters, out (2, L))``: row 0 the margin, row 1 its variance per unit
        of time.
    parameters_for : callable
        From the covariance Sigma of the noise (D, D) to the flat parameters of `function`.
    """

    dimension: int
    function: Callable
    parameters_for: Callable


def interval(low: float, high: float) -> Region:
    """Return the interval (low, high) on the line, with the distance to the nearer end as margin.

    Parameters
    ----------
    low, high : float
        Ends; one of them may be infinite.

    Returns
    -------
    Region

    Raises
    ------
    InputError
        If low is not below high, or both ends are infinite.

    Examples
    --------
    >>> margin(interval(-1.0, 3.0), [0.5], np.array([[4.0]]))
    (1.5, 4.0)
    """
    if not (isinstance(low, numbers.Real) and isinstance(high, numbers.Real) and low < high):
        raise checks.InputError(f"low={low!r}, high={high!r}; expected numbers with low < high")
    if np.isinf(low) and np.isinf(high):
        raise checks.InputError("the interval is the whole line; expected one finite end")
    return Region(1, interval_margin, partial(_interval_parameters, low, high))


def half_space(normal: ArrayLike, offset: float) -> Region:
    """Return the half-space ``normal^T theta < offset``, margin ``offset - normal^T theta``.

    Parameters
    ----------
    normal : array_like, shape (D,)
        Normal vector of the boundary, of any length.
    offset : float
        Value of ``normal . theta`` on the boundary.

    Returns
    -------
    Region

    Raises
    ------
    InputError
        If the normal is zero, or a number is not finite.

    Examples
    --------
    >>> margin(half_space([1.0, 0.0], 2.0), [0.5, 7.0], np.diag([3.0, 1.0]))
    (1.5, 3.0)
    """
    normal = checks.array("normal", normal, shape=(None,))
    if not normal.any():
        raise checks.InputError("normal is zero; expected a direction")
    offset = checks.number("offset", offset)
    size = len(normal)
    return _quadratic_region(np.zeros((size, size)), normal, offset, np.zeros(size))


def ball(centre: ArrayLike, radius: float) -> Region:
    """Return the ball ``|theta - c| < radius`` with the margin ``(radius^2 - |theta - c|^2) / 2``.

    Parameters
    ----------
    centre : array_like, shape (D,)
        c.
    radius : float
        Positive.

    Returns
    -------
    Region

    Raises
    ------
    InputError
        If the radius is not positive, or a number is not finite.

    Examples
    --------
    >>> margin(ball([0.0, 0.0], 2.0), [1.0, 0.0], np.eye(2))
    (1.5, 1.0)
    """
    centre = checks.array("centre", centre, shape=(None,))
    radius = checks.number("radius", radius, low=0, strict=True)
    size = len(centre)
    return _quadratic_region(np.eye(size), np.zeros(size), 0.5 * radius**2, centre)


def sublevel_set(hessian: ArrayLike, level: float) -> Region:
    """Return the basin ``L < level`` of the loss ``L = theta^T H theta / 2``, margin ``level - L``.

    Parameters
    ----------
    hessian : array_like, shape (D, D)
        H, symmetric.
    level : float
        Loss on the boundary, above the loss 0 of the minimum.

    Returns
    -------
    Region

    Raises
    ------
    InputError
        If H is not symmetric or the level is not positive.

    Examples
    --------
    >>> margin(sublevel_set([[2.0]], 1.0), [0.5], np.array([[1.0]]))
    (0.75, 1.0)
    """
    hessian = checks.symmetric_matrix("hessian", hessian)
    level = checks.number("level", level, low=0, strict=True)
    zero = np.zeros(len(hessian))
    return _quadratic_region(hessian, zero, level, zero)


def custom(function: Callable[..., Any], dimension: int, *, parameters: ArrayLike = ()) -> Region:
    """Make a region from your own function, compiled with ``numba.njit``.

    Parameters
    ----------
    function : callable
        ``function(theta, parameters, out)``: row 0 of out (2, L) takes the margin, positive
        inside; row 1 its variance per unit of time, ``grad m^T Sigma grad m``.
    dimension : int
        D.
    parameters : array_like, shape (P,)
        Numbers that the function gets as its second argument.

    Returns
    -------
    Region

    Raises
    ------
    InputError
        If the function is not compiled: exit times have no slow path.
    """
    functions.require_callable("function", function)
    if not functions.is_compiled(function):
        raise checks.InputError(
            "function of the region is a plain Python function; expected one compiled with "
            "numba.njit"
        )
    parameters = functions.parameter_array("parameters", parameters)
    dimension = checks.integer("dimension", dimension, low=1)
    return Region(dimension, function, partial(_given_parameters, parameters))


def margin(region, theta, covariance):
    """Return the margin and its variance per unit of time at one point.

    Parameters
    ----------
    region : Region
        The region.
    theta : array_like, shape (D,)
        Point in parameter space.
    covariance : array_like, shape (D, D)
        Sigma of the noise.

    Returns
    -------
    tuple of float

    Raises
    ------
    InputError
        If `region` is no Region, or an array has another shape or is not finite.
    """
    _arguments.require_instance("region", region, Region, "ball(centre, radius)")
    covariance = checks.array("covariance", covariance, shape=(region.dimension,) * 2)
    theta = checks.array("theta", theta, shape=(region.dimension,))
    panel = np.repeat(theta[:, None], LANES, axis=1)
    out = np.full((2, LANES), np.nan)
    source = getattr(region.function, "py_func", region.function)
    source(panel, region.parameters_for(covariance), out)
    return float(out[0, 0]), float(out[1, 0])


def require_sound(region, start, noise, *, bridged):
    """Refuse a region that fails its trial at the start, around it or on its boundary.

    Parameters
    ----------
    region : Region
        The region.
    start : numpy.ndarray, shape (D,)
        Start of the paths, inside the region.
    noise : aniso.langevin.noises.Noise
        Noise of the paths, which may depend on theta.
    bridged : bool
        Whether the variance of the margin matters.

    Raises
    ------
    InputError
        If the function of a user fails a trial of
        :func:`aniso.langevin.function_trials.require_sound`. If row 1 differs from
        ``grad m^T Sigma(theta) grad m``, taken by differences of the margin, by more than a
        thousandth. Points at which the margin has a kink are left out.
    """
    built_in = functions.is_built_in(region.function)
    if built_in and (not bridged or noise.factor is not None):
        return
    points = function_trials.points_around(start)
    parameters = region.parameters_for(state_noises.covariance_at(noise, start))
    arguments = (region.function, functions.PANEL_FUNCTION)
    function_trials.require_sound("region", *arguments, points, parameters, num_rows=2)
    if not bridged:
        return
    points = np.concatenate([points, _near_the_edge(arguments, points, parameters)])
    scale = 1e-4 * max(1.0, np.abs(start).max())
    for point in points:
        factor = noise.factor
        if factor is None:
            sigma = state_noises.covariance_at(noise, point)
            if not np.isfinite(sigma).all() or state_noises.smallest_share(sigma) < 0:
                continue  # outside of where the noise is defined
            factor = covariance_factor.full(sigma)
        # a thousandth of the distance of the points, along each column of F
        lengths = np.linalg.norm(factor, axis=0)
        columns = factor[:, lengths > 0].T
        width = scale / lengths.max(initial=1e-300)
        places = np.concatenate([[point], point + width * columns, point - width * columns])
        (here, *moved), (given, *_) = function_trials.evaluate(*arguments, places, parameters, 2)
        right, left = np.split(np.array(moved), 2)
        forward, backward = (right - here) / width, (here - left) / width
        variance = float(np.sum(((right - left) / (2 * width)) ** 2))
        size = max(abs(given), variance)
        # rounding of the margins, as an error of each slope
        error = 8 * np.finfo(float).eps * abs(here) / width
        rounding = (2 * np.sqrt(size) + error * np.sqrt(len(columns))) * error
        rounding *= np.sqrt(len(columns))
        if np.sum((forward - backward) ** 2) > 1e-3 * size + rounding:
            continue
        if abs(given - variance) > 1e-3 * size + rounding:
            if built_in:
                raise checks.InputError(
                    f"the noise varies across the boundary: the variance of the region's margin is "
                    f"{given:.6g} at the start and {variance:.6g} at theta={point.tolist()}; "
                    "expected one variance: take method='grid', or a region of regions.custom that "
                    "gives grad m^T Sigma(theta) grad m in row 1 of out"
                )
            raise checks.InputError(
                f"region {region.function.__name__!r} gives the variance {given:.6g} in row 1 of "
                f"out at theta={point.tolist()}; differences of its margin and the covariance of "
                f"the noise give {variance:.6g}; expected grad m^T Sigma grad m there"
            )


def _near_the_edge(arguments, points, parameters):
    """Return points at 99 % of the way from the start to the edge, shape (n, D), n at most 4.

    The first of the given points is the start; the ways lead through the next four. A way that
    does not reach the edge within 2**60 times the distance to its point is left out.
    """

    def inside(shares):
        places = points[0] + shares[:, None] * ways
        return function_trials.evaluate(*arguments, places, parameters, 2)[0] > 0

    ways = points[1:5] - points[0]
    low, high = np.zeros(len(ways)), np.ones(len(ways))
    for _ in range(60):
        reached = inside(high)
        if not reached.any():
            break
        low, high = np.where(reached, high, low), np.where(reached, 2 * high, high)
    for _ in range(20):
        middle = 0.5 * (low + high)
        reached = inside(middle)
        low, high = np.where(reached, middle, low), np.where(reached, high, middle)
    ends = low < 2.0**59
    return points[0] + 0.99 * low[ends, None] * ways[ends]


def _quadratic_region(matrix, vector, constant, centre):
    """``constant - vector^T y - y^T matrix y / 2 > 0`` with ``y = x - centre``."""
    fixed = np.concatenate([[constant], centre, vector, matrix.ravel()])
    return Region(len(vector), quadratic_margin, partial(_quadratic_parameters, fixed))


# functions of the module and not of a function: a region can be sent to another process


def _interval_parameters(low, high, covariance):
    return np.array([low, high, covariance[0, 0]], float)


def _quadratic_parameters(fixed, covariance):
    return np.concatenate([fixed, covariance.ravel()])


def _given_parameters(parameters, covariance):  # noqa: ARG001
    return parameters


@njit(**KERNEL)
def interval_margin(theta, parameters, out):
    """Write the distance to the nearer end; parameters: low, high, variance."""
    for lane in range(LANES):
        x = theta[0, lane]
        out[0, lane] = min(x - parameters[0], parameters[1] - x)
        out[1, lane] = parameters[2]


@njit(**KERNEL)
def quadratic_margin(theta, parameters, out):
    """Write ``c - b^T y - y^T A y / 2`` with ``y = x - p``.

    Parameters: c, p (D,), b (D,), A (D, D), Sigma (D, D).
    """
    dimension = theta.shape[0]
    vector = 1 + dimension
    matrix = vector + dimension
    covariance = matrix + dimension * dimension
    moved, slope = np.empty((dimension, LANES)), np.empty((dimension, LANES))
    for i in range(dimension):
        for lane in range(LANES):
            # nothing cancels later, however far p is from 0
            moved[i, lane] = theta[i, lane] - parameters[1 + i]
    for lane in range(LANES):
        out[0, lane] = parameters[0]
        out[1, lane] = 0.0
    for i in range(dimension):
        for lane in range(LANES):
            slope[i, lane] = parameters[vector + i]
        for j in range(dimension):
            entry = parameters[matrix + i * dimension + j]
            for lane in range(LANES):
                slope[i, lane] += entry * moved[j, lane]
        for lane in range(LANES):
            # b . y + y^T A y / 2 = y . (b + (b + A y)) / 2
            out[0, lane] -= 0.5 * moved[i, lane] * (parameters[vector + i] + slope[i, lane])
    for i in range(dimension):
        for j in range(dimension):
            entry = parameters[covariance + i * dimension + j]
            for lane in range(LANES):
                out[1, lane] += entry * slope[i, lane] * slope[j, lane]
