"""Mean exit time on an interval as an integral of Green's function, with an error bound.

``T(x) = int G(x, z) m(z) dz`` with the speed density ``m = 2 e^{-phi} / s^2``, ``S(a, b)`` the
integral of ``e^phi`` from a to b and, between absorbing ends a and b,

    G(x, z) = S(a, min(x, z)) S(max(x, z), b) / S(a, b).

For a natural or a reflecting boundary on the left, ``G(x, z) = S(max(x, z), b)``. All terms are
positive, so that nothing cancels. Sums are kept as logarithms, so that nothing overflows or
vanishes.
"""

import itertools
import math

import numpy as np

from aniso import checks

_ORDER = 10  # Gauss-Legendre points per panel
_EPS = np.finfo(float).eps
_GROWTH = 10  # largest number of panels over that at the beginning


def log_mean_exit_time(drift, variance, start, corners, left_end, num_panels, target):
    """Logarithm of the mean exit time from (corners[0], corners[-1]), and its error bound.

    Parameters
    ----------
    drift, variance : callable
        f and s^2, vectorised: (n,) -> (n,).
    start : float
        One of the corners.
    corners : numpy.ndarray, shape (k,)
        Increasing; no panel reaches across one of them.
    left_end : {"absorbing", "reflecting", "natural"}
        Kind of the left end; the right one is absorbing.
    num_panels : int
        Panels at the beginning. They are bisected up to ten times as many.
    target : float
        Relative error at which bisection stops.

    Returns
    -------
    logarithm, relative_error : float

    Notes
    -----
    The bound has five parts; the first three are sums of absolute values over the panels.

    1. The error of phi: the last two Legendre coefficients of phi', and its mismatch at both ends
       of a panel, which shows a jump between the end and the next node.
    2. The error of the integral of e^phi over a panel, times the elasticity of T in it.
    3. The error of the integral of G m over a panel.
    4. Rounding.
    5. At a natural boundary, the time beyond the left end, for an m that falls further like the
       inverse square of the distance.

    No bound from finitely many values can exclude a spike between them.
    """
    density = num_panels / (corners[-1] - corners[0])
    pieces = [
        np.linspace(a, b, max(2, round(density * (b - a))) + 1)[1:]
        for a, b in itertools.pairwise(corners)
    ]
    edges = np.concatenate([corners[:1], *pieces])
    values = _evaluate(drift, variance, edges[:-1], edges[1:])
    while True:
        logarithm, errors, rounding = _integrate(edges, values, start, left_end)
        wide = np.diff(edges) > 32 * _EPS * np.maximum(np.abs(edges[1:]), np.abs(edges[:-1]))
        doubtful = wide & ~(errors <= target / num_panels)
        if not doubtful.any() or len(edges) + doubtful.sum() > _GROWTH * num_panels:
            return logarithm, math.expm1(min(float(errors.sum()) + rounding, 700.0))
        left, right = edges[:-1][doubtful], edges[1:][doubtful]
        middle = 0.5 * (left + right)
        halves = np.concatenate([left, middle]), np.concatenate([middle, right])
        new = _evaluate(drift, variance, *halves)
        begins = np.concatenate([edges[:-1][~doubtful], halves[0]])
        order = np.argsort(begins)
        values = [
            np.concatenate([a[~doubtful], b])[order] for a, b in zip(values, new, strict=True)
        ]
        edges = np.append(begins[order], edges[-1])


def _evaluate(drift, variance, left, right):
    """phi' and 2 / s^2 at the nodes of panels and just inside their two ends, (P, order + 2)."""
    half = 0.5 * (right - left)[:, None]
    x = 0.5 * (left + right)[:, None] + half * _POINTS
    s2, force = _values("variance", variance, x), _values("drift", drift, x)
    allowed = (s2 > 0) & np.isfinite(s2) & np.isfinite(force)
    if not allowed.all():
        first = np.argmin(allowed.ravel())
        raise checks.InputError(
            f"drift is {force.flat[first]:.6g} and variance {s2.flat[first]:.6g} at "
            f"x={x.flat[first]:.6g}; expected finite numbers, the variance above 0"
        )
    return [-2 * force / s2, 2 / s2]


def _values(name, function, x):
    values = np.asarray(function(x.ravel()), dtype=float)
    if values.shape not in ((), (x.size,)):
        raise checks.InputError(
            f"{name} gives an array of shape {values.shape} for x of shape ({x.size},); expected "
            "one number for each entry of x, or one for all"
        )
    return np.broadcast_to(values, x.size).reshape(x.shape)


def _integrate(edges, values, start, end):
    """Logarithm of T, its relative error from each panel, and from rounding and cut-off."""
    half, before = 0.5 * np.diff(edges), int(np.searchsorted(edges, start))
    slope, speed = (array[:, :_ORDER] for array in values)
    phi_edge = np.concatenate([[0.0], np.cumsum(half * (slope @ _WEIGHTS))])
    phi = phi_edge[:-1, None] + half[:, None] * (slope @ _CUMULATE.T)
    # S from the left end and to the right end, at the edges and at the nodes
    largest = phi.max(axis=1)
    growth = np.exp(phi - largest[:, None])
    log_growth = largest + np.log(half * (growth @ _WEIGHTS))
    from_left = np.logaddexp.accumulate(np.concatenate([[-np.inf], log_growth]))
    to_right = np.logaddexp.accumulate(np.concatenate([[-np.inf], log_growth[::-1]]))[::-1]
    with np.errstate(divide="ignore"):
        scale = largest[:, None] + np.log(half)[:, None]
        part_left = scale + np.log(np.maximum(growth @ _CUMULATE.T, 0.0))
        part_right = scale + np.log(np.maximum(growth @ _CUMULATE[::-1, ::-1].T, 0.0))
    log_left = np.logaddexp(from_left[:-1, None], part_left)
    log_right = np.logaddexp(to_right[1:, None], part_right)
    # probabilities to leave on the right and on the left, at the nodes and at the start
    if end != "absorbing":
        exit_right, exit_left = np.zeros_like(phi), np.full_like(phi, -np.inf)
        start_right, start_left = 0.0, -np.inf
    else:
        exit_right, exit_left = log_left - from_left[-1], log_right - from_left[-1]
        start_right = from_left[before] - from_left[-1]
        start_left = to_right[before] - from_left[-1]
    log_speed = np.log(speed) - phi
    integrand = log_speed + np.concatenate(
        [to_right[before] + exit_right[:before], start_right + log_right[before:]]
    )
    highest = integrand.max()
    terms = np.exp(integrand - highest)
    panel_terms = half * (terms @ _WEIGHTS)
    total = panel_terms.sum()
    logarithm = float(highest + np.log(total))
    # elasticity of T in the integral of e^phi over a panel
    log_half = np.log(half)
    to_the_left = np.logaddexp.accumulate(log_half + _log_sum(log_speed + exit_right))
    to_the_right = np.logaddexp.accumulate((log_half + _log_sum(log_speed + exit_left))[::-1])[::-1]
    passing = np.full(len(half), start_right)
    passing[:before] = start_left
    with np.errstate(over="ignore"):
        elasticity = np.exp(
            passing + np.logaddexp(to_the_left, to_the_right) + log_growth - logarithm
        )
    errors = 2 * (
        2 * half * _unresolved(values[0])
        + elasticity * _unresolved(growth) / (growth @ _WEIGHTS)
        + half * _unresolved(terms) / total
        + panel_terms / total * _unresolved(values[1]) / (speed @ _WEIGHTS)
    )
    rounding = _EPS * float(
        np.abs(phi_edge).sum() + 8 * np.abs(half * (np.abs(slope) @ _WEIGHTS)).sum() + 4 * len(half)
    )
    beyond = 0.0
    if end == "natural":
        beyond = (edges[-1] - edges[0]) * math.exp(integrand[0, 0] - logarithm)
    return logarithm, errors, rounding + beyond


def _log_sum(logarithms):
    """Logarithm of the Gauss-Legendre sum of each row."""
    largest = logarithms.max(axis=1)
    largest[np.isneginf(largest)] = 0.0
    with np.errstate(divide="ignore"):
        return largest + np.log(np.exp(logarithms - largest[:, None]) @ _WEIGHTS)


def _unresolved(values):
    """Error estimate of the interpolating polynomials: last coefficients, mismatch at the ends."""
    coefficients = values[:, :_ORDER] @ _COEFFICIENTS.T
    missed = np.abs(coefficients[:, -2:]).sum(axis=1)
    if values.shape[1] > _ORDER:
        ends = coefficients @ _AT_ENDS.T
        missed = missed + np.abs(values[:, _ORDER:] - ends).sum(axis=1)
    return missed


def _cumulative_weights(nodes):
    """Matrix that integrates the interpolating polynomial from -1 to each node."""
    degree = len(nodes)
    integrals = np.empty((degree, degree))
    for k in range(degree):
        coefficients = np.polynomial.legendre.legint(np.eye(degree)[k], lbnd=-1)
        integrals[:, k] = np.polynomial.legendre.legval(nodes, coefficients)
    return integrals @ _COEFFICIENTS


_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(_ORDER)
_ENDS = np.array([-1 + 1e-9, 1 - 1e-9])  # inside: f may jump at the edge itself
_POINTS = np.concatenate([_NODES, _ENDS])
_COEFFICIENTS = np.linalg.inv(np.polynomial.legendre.legvander(_NODES, _ORDER - 1))
_AT_ENDS = np.polynomial.legendre.legvander(_ENDS, _ORDER - 1)
_CUMULATE = _cumulative_weights(_NODES)
