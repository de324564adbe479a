"""Mean exit time on the line by quadrature, the truth that simulations are held against."""

import itertools
from dataclasses import dataclass

import numpy as np

from aniso import checks, estimates

_ORDER = 10  # Gauss-Legendre points per panel


@dataclass(frozen=True)
class QuadratureExitTime:
    """A mean exit time with the error of its quadrature.

    Attributes
    ----------
    value : float
    error : float
        Difference to the result on half as many panels.
    """

    value: float
    error: float


def mean_exit_time(
    drift, variance, start, low, high, *, breakpoints=(), num_panels=800, tolerance=1e-6
):
    """Mean first exit time from (low, high) of ``dx = f(x) dt + s(x) dW`` (Ito).

    With ``phi' = -2 f / s^2`` and low = -inf (a natural boundary),
    ``T(x) = int_x^high e^{phi(y)} int_{-inf}^y 2 e^{-phi(z)} / s(z)^2 dz dy``.

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
    breakpoints : sequence of float
        Where f or s^2 jump or bend: no panel reaches across.
    num_panels : int
        Panels of the quadrature, ten points each.
    tolerance : float
        Largest relative difference to the result on half as many panels.

    Returns
    -------
    QuadratureExitTime

    Raises
    ------
    InputError
        If the start is not inside, both ends are infinite, the drift is not finite or the
        variance not positive.
    NotConverged
        If the error exceeds the tolerance; carries the result.

    Notes
    -----
    Source: Gardiner, "Stochastic Methods", section 5.5. phi enters through differences only, so
    that barriers of several hundred noise strengths do not overflow before the result does. An
    infinite end is cut off where ``e^{-phi}`` is negligible, after a look four times as far.

    Examples
    --------
    Brownian motion from (-1, 1): (1 - x^2) / s^2.

    >>> round(mean_exit_time(np.zeros_like, 1.0, 0.5, -1.0, 1.0).value, 12)
    0.75
    """
    low, high = float(low), float(high)
    start = checks.number("start", start)
    if not low < start < high:
        raise checks.InputError(f"start={start}; expected low={low} < start < high={high}")
    if np.isinf(low) and np.isinf(high):
        raise checks.InputError("low and high are infinite; expected one end to leave through")
    num_panels = checks.integer("num_panels", num_panels, low=8)
    breakpoints = checks.array("breakpoints", breakpoints, shape=(None,))
    if np.isinf(high):
        # mirror the line, so that the natural boundary is on the left
        given, spread = drift, variance
        drift = lambda x: -given(-x)  # noqa: E731
        variance = (lambda x: spread(-x)) if callable(spread) else spread
        low, high, start, breakpoints = -high, -low, -start, -breakpoints
    if not callable(variance):
        number = checks.number("variance", variance)
        if number <= 0:
            raise checks.InputError(f"variance={number!r}; expected a number above 0")
        variance = lambda x: np.full_like(x, number)  # noqa: E731
    natural = np.isinf(low)
    left = _negligible_end(drift, variance, start, high - start) if natural else low
    corners = np.unique([left, start, high, *breakpoints])
    corners = corners[(corners >= left) & (corners <= high)]
    value, coarse = (
        _exit_time(drift, variance, start, corners, natural, panels)
        for panels in (num_panels, num_panels // 2)
    )
    result = QuadratureExitTime(value, abs(value - coarse))
    if not result.error <= tolerance * abs(value):
        raise estimates.NotConverged(
            f"the quadrature changes by {result.error:.2g} of {value:.6g} when its panels are "
            f"doubled to {num_panels}; expected at most {tolerance:g} of it, with more panels",
            result,
        )
    return result


def _negligible_end(drift, variance, start, width):
    """A point left of the start where ``e^{-phi}`` has fallen by e^{-60} from its largest value.

    The largest value left of the start: every inner integral holds that mass, whatever lies
    between the start and the exit.
    """
    for _ in range(60):
        grid, phi = _potential_left_of(drift, variance, start, width)
        if phi[0] - phi.min() > 60:
            # another well may lie behind a barrier as high
            grid, phi = _potential_left_of(drift, variance, start, 4 * width)
            low = phi - phi.min() <= 60
            if not low[0]:
                return grid[np.argmax(low) - 1]
        width *= 1.5
    raise checks.InputError(
        "the loss does not rise towards the infinite end: no mean exit time; expected a finite end"
    )


def _potential_left_of(drift, variance, start, width):
    """A grid that ends at the start, and phi on it, 0 at the start."""
    grid = np.linspace(start - width, start, 4001)
    middle = 0.5 * (grid[1:] + grid[:-1])
    fall = 2 * np.asarray(drift(middle)) / variance(middle) * np.diff(grid)
    return grid, np.concatenate([np.cumsum(fall[::-1])[::-1], [0.0]])


def _exit_time(drift, variance, start, corners, natural, num_panels):
    """The double integral by Gauss-Legendre panels and cumulated sums of their polynomials."""
    density = num_panels / (corners[-1] - corners[0])
    pieces = [
        np.linspace(a, b, max(2, round(density * (b - a))) + 1)[1:]
        for a, b in itertools.pairwise(corners)
    ]
    edges = np.concatenate([corners[:1], *pieces])
    before = int(np.searchsorted(edges, start))
    nodes, weights = np.polynomial.legendre.leggauss(_ORDER)
    half = 0.5 * np.diff(edges)
    x = edges[:-1, None] + half[:, None] * (nodes + 1)
    cumulate = _cumulative_weights(nodes)
    s2 = variance(x.ravel()).reshape(x.shape)
    force = np.asarray(drift(x.ravel())).reshape(x.shape)
    allowed = (s2 > 0) & np.isfinite(s2) & np.isfinite(force)
    if not allowed.all():
        first = np.argmin(allowed.ravel())
        raise checks.InputError(
            f"drift is {force.flat[first]:.6g} and variance {s2.flat[first]:.6g} at "
            f"x={x.flat[first]:.6g}; expected finite numbers, the variance above 0"
        )
    slope = -2 * force / s2
    # phi at the nodes, from its value at the left edge of each panel
    over_panel = half * (slope @ weights)
    phi_edge = np.concatenate([[0.0], np.cumsum(over_panel)])
    phi = phi_edge[:-1, None] + half[:, None] * (slope @ cumulate.T)
    lowest, highest = phi.min(), phi.max()
    density = 2 * np.exp(lowest - phi) / s2
    mass_edge = np.concatenate([[0.0], np.cumsum(half * (density @ weights))])
    mass = mass_edge[:-1, None] + half[:, None] * (density @ cumulate.T)
    growth = np.exp(phi - highest)
    inner = half * ((growth * mass) @ weights)
    scale = half * (growth @ weights)
    if natural:
        result = inner[before:].sum()
    else:
        # absorbing on the left too: subtract the part that leaves there
        result = scale[:before].sum() / scale.sum() * inner.sum() - inner[:before].sum()
    with np.errstate(over="ignore"):
        return float(result * np.exp(highest - lowest))


def _cumulative_weights(nodes):
    """Matrix that integrates the interpolating polynomial from -1 to each node."""
    degree = len(nodes)
    vandermonde = np.polynomial.legendre.legvander(nodes, degree - 1)
    integrals = np.empty_like(vandermonde)
    for k in range(degree):
        coefficients = np.polynomial.legendre.legint(np.eye(degree)[k], lbnd=-1)
        integrals[:, k] = np.polynomial.legendre.legval(nodes, coefficients)
    return integrals @ np.linalg.inv(vandermonde)
