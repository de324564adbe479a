"""Freidlin and Wentzell's quasi-potential of a linear drift for any noise, and on the line.

Let ``dX = -H X dt + sqrt(eps) Sigma^{1/2} dW``. As eps goes to 0 the mean exit time grows like
``exp(V / eps)``. V is the smallest value of ``V(x) = x^T P^{-1} x / 2`` on the boundary, and P the
stationary covariance at eps = 1, ``H P + P H = Sigma``. See docs/theory/escape.md.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.integrate
import scipy.linalg

from aniso import checks, estimates
from aniso.closed_forms import check_definite, diffusion
from aniso.matrices import operands

if TYPE_CHECKING:
    from aniso.typing import Array, ArrayLike, Matrix

# shares of the largest eigenvalue and of the trace of P that count as no noise
_NO_VARIANCE, _NO_VARIANCE_ALONG = 1e-12, 1e-14


@dataclass(frozen=True)
class ExitExponent:
    """Exponent of the mean exit time and the point through which weak noise leaves.

    Attributes
    ----------
    value : float
        V; inf where the noise can't reach the boundary, up to the limits that the functions name.
    point : numpy.ndarray, shape (D,), or None
        A minimiser on the boundary (its mirror image is another); None where V is infinite.

    Examples
    --------
    >>> ExitExponent(1.5, np.array([0.0, 3.0]))
    ExitExponent: V = 1.5 of a mean exit time that grows like exp(V / eps)
      point (2,): [0. 3.]
    """

    value: float
    point: np.ndarray | None

    def __repr__(self):
        lines = [
            f"ExitExponent: V = {self.value:.6g} of a mean exit time that grows like exp(V / eps)"
        ]
        if self.point is not None:
            shown = np.array2string(self.point, precision=6, threshold=6, edgeitems=3)
            lines.append(f"  point {self.point.shape}: {shown}")
        return "\n".join(lines)


def quasi_potential_at(
    hessian: ArrayLike, diffusion_covariance: Matrix, theta: ArrayLike
) -> float | Array:
    """Quasi-potential ``V(theta) = theta^T P^{-1} theta / 2`` with ``H P + P H = Sigma``.

    Parameters
    ----------
    hessian : array_like, shape (D, D)
        H, positive definite.
    diffusion_covariance : array_like, shape (D, D), or any other covariance
        Sigma, positive semi-definite.
    theta : array_like, shape (D,) or (n, D)
        One point, or one point a row.

    Returns
    -------
    float or numpy.ndarray, shape (n,)
        inf where the noise does not reach the point. A direction whose variance in P is at most
        1e-12 of the largest one counts as not reached: rounding leaves as much where there is no
        noise.

    Raises
    ------
    InputError
        If H is not positive definite, Sigma is not a covariance, or `theta` has another shape.

    Notes
    -----
    Cost: two eigendecompositions of D x D and a product of D numbers for each point and direction.

    Examples
    --------
    Isotropic noise: V = 2 L / s^2, here 2 · (1 + 3) / 2 / 2 = 2.

    >>> quasi_potential_at(np.diag([1.0, 3.0]), 2 * np.eye(2), [1.0, 1.0])
    2.0
    >>> quasi_potential_at(np.diag([1.0, 3.0]), 2 * np.eye(2), [[1.0, 1.0], [0.0, 2.0]])
    array([2., 6.])

    Noise that is smaller still counts as none. In its own coordinates the direction is reached:

    >>> quasi_potential_at(np.eye(2), np.diag([1.0, 1e-13]), [0.0, 1e-3])
    inf
    >>> round(quasi_potential_at([[1.0]], [[1e-13]], [1e-3]))
    10000000
    """
    stationary = _stationary_covariance(hessian, diffusion_covariance)
    size = len(stationary)
    theta = checks.array("theta", theta)
    if theta.ndim not in (1, 2) or theta.shape[-1] != size:
        raise checks.InputError(f"theta has shape {theta.shape}; expected ({size},) or (n, {size})")
    eigenvalues, vectors = np.linalg.eigh(stationary)
    coordinates = theta @ vectors
    reached = (
        eigenvalues > _NO_VARIANCE * eigenvalues[-1] if eigenvalues[-1] > 0 else eigenvalues > 0
    )
    beyond = np.abs(coordinates[..., ~reached]).max(axis=-1, initial=0.0)
    rounding = 1e-9 * np.abs(theta).max(axis=-1, initial=0.0)
    values = 0.5 * np.sum(coordinates[..., reached] ** 2 / eigenvalues[reached], axis=-1)
    values = np.where(beyond > rounding, math.inf, values)
    return float(values) if theta.ndim == 1 else values


def quasi_potential_on_line(
    drift: Callable[..., Any],
    variance: Callable[..., Any],
    start: float,
    end: float,
    *,
    breakpoints: Sequence[float] = (),
    tolerance: float = 1e-8,
) -> float:
    """Quasi-potential ``V = int 2 max(-f s, 0) / sigma^2 dx`` from start to end, s = +1 or -1.

    s is the direction of the way. Where the drift leads along the way it costs nothing.

    Parameters
    ----------
    drift, variance : callable
        f and sigma^2 > 0 of ``dX = f(X) dt + sqrt(eps) sigma(X) dW``, vectorised: (n,) -> (n,).
    start, end : float
        A stable point, and the point to be reached.
    breakpoints : sequence of float
        Where f or sigma^2 jump or bend, or a narrow feature lies; points beyond the ends are not
        used.
    tolerance : float
        Largest relative error of the quadrature.

    Returns
    -------
    float

    Raises
    ------
    InputError
        If the drift is not finite or the variance not positive at a point of the way.
    NotConverged
        If the error bound of the quadrature exceeds the tolerance; `partial` is the value.

    Notes
    -----
    Adaptive quadrature of QUADPACK, from panels that shrink towards both ends and the breakpoints
    by the factor 8, down to 1e-12 of the way, 21 points each. The bound on the error assumes that
    no feature lies between neighbouring points: it may be as narrow as a quarter of its distance
    to the nearest end or breakpoint. Source: Freidlin and Wentzell, chapter 4.

    Examples
    --------
    Up the double well and down the other side, ``sigma^2 = 2``: twice the rise 1 / 4, over 2.

    >>> round(quasi_potential_on_line(lambda x: x - x**3, lambda x: 2 + 0 * x, -1.0, 0.5), 9)
    0.25
    """
    start, end = checks.number("start", start), checks.number("end", end)
    tolerance = checks.number("tolerance", tolerance, low=0, strict=True)
    breakpoints = checks.array("breakpoints", breakpoints, shape=(None,))
    direction = math.copysign(1.0, end - start)

    def density(x):
        point = np.array([x])
        f, s2 = float(np.ravel(drift(point))[0]), float(np.ravel(variance(point))[0])
        if not (math.isfinite(f) and 0 < s2 < math.inf):
            raise checks.InputError(
                f"drift is {f:.6g} and variance {s2:.6g} at x={x:.6g}; expected finite numbers, "
                "the variance above 0"
            )
        return max(-2 * f * direction, 0.0) / s2

    low, high = min(start, end), max(start, end)
    inside = breakpoints[(breakpoints > low) & (breakpoints < high)]
    corners = np.array([low, high, *inside])
    distances = (high - low) * 8.0 ** -np.arange(1, 14)
    panels = np.concatenate(
        [inside, *(corners + d for d in distances), *(corners - d for d in distances)]
    )
    with warnings.catch_warnings():
        # the error bound below tells what the warning would
        warnings.simplefilter("ignore", scipy.integrate.IntegrationWarning)
        value, error = scipy.integrate.quad(
            density, low, high, points=panels, epsabs=0.0, epsrel=tolerance, limit=400 + len(panels)
        )[:2]
    if error > tolerance * value:
        raise estimates.NotConverged(
            f"the quadrature gives the quasi-potential {value:.6g} ± {error:.2g}; expected a "
            f"relative error of at most {tolerance:g}; allow a larger one, give breakpoints, or "
            "smooth the drift",
            value,
        )
    return float(value)


def exit_through_level(
    hessian: ArrayLike, diffusion_covariance: Matrix, level: float
) -> ExitExponent:
    """Exponent of the exit from ``x^T H x / 2 < level``, ``level / lambda_max(H^{1/2} P H^{1/2})``.

    Parameters
    ----------
    hessian : array_like, shape (D, D)
        H, positive definite.
    diffusion_covariance : array_like, shape (D, D), or any other covariance
        Sigma.
    level : float
        Height of the boundary above the minimum.

    Returns
    -------
    ExitExponent

    Raises
    ------
    InputError
        If an argument breaks its rule, or H is not positive definite: a saddle has no barrier.

    Examples
    --------
    Commuting noise: V = 2 level / lambda_max(Sigma).

    >>> exponent = exit_through_level(np.diag([1.0, 2.0]), np.diag([1.0, 4.0]), 3.0)
    >>> round(exponent.value, 12), np.abs(exponent.point).round(6).tolist()
    (1.5, [0.0, 1.732051])
    """
    stationary = _stationary_covariance(hessian, diffusion_covariance)
    hessian = checks.symmetric_matrix("hessian", hessian)
    level = checks.number("level", level, low=0, strict=True)
    root = np.real(scipy.linalg.sqrtm(hessian))
    return _leading(root @ stationary @ root, np.linalg.inv(root), math.sqrt(2 * level))


def exit_from_ball(hessian: ArrayLike, diffusion_covariance: Matrix, radius: float) -> ExitExponent:
    """Exponent of the exit from ``|x| < radius``, ``radius^2 / (2 lambda_max(P))``.

    P solves ``H P + P H = Sigma``: it is the stationary covariance at eps = 1.

    Parameters
    ----------
    hessian : array_like, shape (D, D)
        H, positive definite.
    diffusion_covariance : array_like, shape (D, D), or any other covariance
        Sigma.
    radius : float
        Radius of the ball around the minimum, above 0.

    Returns
    -------
    ExitExponent

    Raises
    ------
    InputError
        If an argument breaks its rule, or H is not positive definite.

    Examples
    --------
    In one dimension P = Sigma / (2 H) = 1, so V = 2^2 / 2.

    >>> exit_from_ball([[1.0]], [[2.0]], 2.0).value
    2.0
    """
    stationary = _stationary_covariance(hessian, diffusion_covariance)
    radius = checks.number("radius", radius, low=0, strict=True)
    return _leading(stationary, np.eye(len(stationary)), radius)


def exit_through_plane(
    hessian: ArrayLike, diffusion_covariance: Matrix, normal: ArrayLike, offset: float
) -> ExitExponent:
    """Exponent of the exit through ``normal^T x = offset``, ``offset^2 / (2 normal^T P normal)``.

    P solves ``H P + P H = Sigma``: it is the stationary covariance at eps = 1.

    Parameters
    ----------
    hessian : array_like, shape (D, D)
        H, positive definite.
    diffusion_covariance : array_like, shape (D, D), or any other covariance
        Sigma.
    normal : array_like, shape (D,)
        Normal vector of the plane, of any length.
    offset : float
        Above 0: the minimum lies inside.

    Returns
    -------
    ExitExponent
        Its value is inf where ``n^T P n`` is at most ``1e-14 Tr P |n|^2``, n the normal: rounding
        leaves as much where the noise does not reach the plane.

    Raises
    ------
    InputError
        If an argument breaks its rule, or H is not positive definite.

    Examples
    --------
    >>> exit_through_plane(np.eye(2), 2 * np.eye(2), [0.0, 1.0], 3.0).point.tolist()
    [0.0, 3.0]
    """
    stationary = _stationary_covariance(hessian, diffusion_covariance)
    normal = checks.array("normal", normal, shape=(len(stationary),))
    offset = checks.number("offset", offset, low=0, strict=True)
    spread = stationary @ normal
    variance = float(normal @ spread)
    if variance <= _NO_VARIANCE_ALONG * np.trace(stationary) * float(normal @ normal):
        return ExitExponent(math.inf, None)
    return ExitExponent(offset**2 / (2 * variance), offset / variance * spread)


def _stationary_covariance(hessian, covariance):
    hessian = checks.symmetric_matrix("hessian", hessian)
    check_definite(
        np.linalg.eigvalsh(hessian),
        "weak noise leaves a saddle or a valley without a barrier, so that the exit time has no "
        "exponent. Simulate it with aniso.escape.simulate_mean_exit_time, move to a minimum, or "
        "restrict both matrices to the eigenvectors of hessian with positive eigenvalues",
    )
    covariance = operands.dense_covariance(
        "diffusion_covariance", covariance, "diffusion", size=len(hessian)
    )
    return diffusion.stationary_covariance(hessian, covariance)


def _leading(matrix, back, distance):
    """Exit from a ball of radius `distance` in coordinates in which the covariance is `matrix`."""
    eigenvalues, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    if eigenvalues[-1] <= 0:
        return ExitExponent(math.inf, None)
    return ExitExponent(
        float(distance**2 / (2 * eigenvalues[-1])), back @ vectors[:, -1] * distance
    )
