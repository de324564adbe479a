"""Quasi-potential and most likely exit path of a nonlinear drift: geometric minimum action."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.optimize

from aniso import _arguments, checks, estimates
from aniso.escape import metrics
from aniso.matrices import operands

if TYPE_CHECKING:
    from aniso.langevin.drifts import Drift
    from aniso.typing import ArrayLike, Matrix


@dataclass(frozen=True)
class MinimumAction:
    """Path of least action between two points.

    Attributes
    ----------
    action : float
        Its action, the quasi-potential of the end with respect to the start: the exponent V in
        a mean exit time of ``exp(V / eps)``.
    path : numpy.ndarray, shape (n, D)
        Points of the path at equal distances in the metric of the noise.
    change : float
        Relative change of the action in the last round; above the tolerance where the
        minimisation stopped before it had converged.

    Examples
    --------
    >>> MinimumAction(0.25, np.array([[-1.0], [-0.5], [0.0]]), 2e-8)
    MinimumAction: action 0.25, relative change in the last round 2e-08
      path (3, 1) from [-1.] to [0.]
    """

    action: float
    path: np.ndarray
    change: float

    def __repr__(self):
        return (
            f"MinimumAction: action {self.action:.6g}, relative change in the last round "
            f"{self.change:.2g}\n"
            f"  path {self.path.shape} from {_shown(self.path[0])} to {_shown(self.path[-1])}"
        )


def minimise_action(
    drift: Callable[..., Any],
    diffusion_covariance: Matrix,
    start: ArrayLike,
    end: ArrayLike,
    *,
    num_points: int = 101,
    initial_path: ArrayLike | None = None,
    tolerance: float = 1e-6,
    max_rounds: int = 60,
) -> MinimumAction:
    """Find the path of least action from a stable point to another point.

    It is the action of ``dX = f(X) dt + sqrt(eps) Sigma(X)^{1/2} dW`` minimised over all durations.

    Parameters
    ----------
    drift : callable
        f, vectorised over points: (n, D) -> (n, D); ``-grad L``.
    diffusion_covariance : array_like, shape (D, D), or any other covariance, or callable
        Sigma, positive definite. A function of theta is vectorised over points: (n, D) ->
        (n, D, D).
    start, end : array_like, shape (D,)
        A stable point, and the point to be reached.
    num_points : int
        Points of the path.
    initial_path : array_like, shape (num_points, D), optional
        First guess with the ends `start` and `end`; a straight line if not given.
    tolerance : float
        Largest relative change of the action in a round.
    max_rounds : int
        Rounds of minimisation, each followed by spreading the points out evenly.

    Returns
    -------
    MinimumAction

    Raises
    ------
    InputError
        If an argument breaks its rule, or Sigma is not positive definite at a point of a path; the
        message names the point.
    NotConverged
        If the rounds are used up, or the search fails; `partial` holds the last path.

    Notes
    -----
    The integral is discretised by the midpoint rule, error O(num_points^-2), and minimised by
    L-BFGS. The gradient uses central differences for the derivatives of f and Sigma, so the method
    is meant for a few dimensions. The minimum is a local one near the first guess. Source: Heymann
    and Vanden-Eijnden (2008).

    Examples
    --------
    Along a gradient and with isotropic noise the action is twice the rise of the loss, over s^2.

    >>> double_well = lambda x: x - x**3
    >>> result = minimise_action(double_well, [[2.0]], [-1.0], [0.0])
    >>> round(result.action, 4)
    0.25

    Along ``-Sigma grad V`` the action is 2 V, whatever Sigma: here twice 1 / 2.

    >>> variance = lambda x: (1 + x**2)[:, :, None]
    >>> result = minimise_action(lambda x: -(1 + x**2) * x, variance, [0.0], [1.0])
    >>> round(result.action, 3)
    1.0
    """
    _arguments.require_function("drift", drift, ("points",), " of an array (n, D), vectorised")
    start = checks.array("start", start, shape=(None,))
    size = len(start)
    end = checks.array("end", end, shape=(size,))
    num_points = checks.integer("num_points", num_points, low=5)
    max_rounds = checks.integer("max_rounds", max_rounds, low=1)
    if (start == end).all():
        raise checks.InputError("start and end are the same point; expected two points")
    # operators are callable too, but have a shape
    if callable(diffusion_covariance) and not hasattr(diffusion_covariance, "shape"):
        metric = metrics.of_function(diffusion_covariance, size)
        covariance = metrics.covariances(diffusion_covariance, start[None], size)[0]
    else:
        metric = None
        covariance = operands.dense_covariance(
            "diffusion_covariance", diffusion_covariance, "diffusion", size=size
        )
    whiten = metrics.whitening(covariance)
    back = np.linalg.inv(whiten)

    # coordinates in which Sigma is the identity, at the start if it is a function
    def force(points):
        return np.asarray(drift(points @ back.T)) @ whiten.T

    def inverse(points):
        return None if metric is None else back.T @ metric(points @ back.T) @ back

    if initial_path is None:
        initial_path = np.linspace(start, end, num_points)
    path = checks.array("initial_path", initial_path, shape=(num_points, size)) @ whiten.T
    path[0], path[-1] = whiten @ start, whiten @ end
    given = checks.real_array("the drift's result", drift(path @ back.T))
    if given.shape != path.shape or not np.isfinite(given).all():
        raise checks.InputError(
            f"drift gives shape {given.shape} for points of shape {path.shape}, or numbers that "
            "are not finite; expected finite numbers, one row per point"
        )
    path = _spread_out(path, inverse)
    action = np.inf
    for _ in range(max_rounds):
        path, has_failed = _improved(path, force, inverse)
        path = _spread_out(path, inverse)
        previous = action
        action = _action_and_gradient(path[1:-1], path[0], path[-1], force, inverse)[0]
        change = abs(previous - action) / max(abs(action), 1e-300)
        result = MinimumAction(float(action), path @ back.T, float(change))
        if has_failed:
            raise estimates.NotConverged(
                f"the search finds no lower action than {action:.6g}, though its gradient is not "
                "small; expected a drift and a covariance that are smooth along the path, or "
                "another first guess",
                result,
            )
        if change <= tolerance:
            return result
    raise estimates.NotConverged(
        f"the action still changes by {abs(previous - action):.2g} after {max_rounds} rounds; "
        "expected fewer points, a better first guess or more rounds",
        result,
    )


def exit_over_boundary(
    drift: Drift,
    diffusion_covariance: Matrix,
    start: ArrayLike,
    boundary: ArrayLike,
    **options: Any,
) -> MinimumAction:
    """Minimise the action over a boundary that is given by points on it.

    Parameters
    ----------
    drift, diffusion_covariance, start
        As in :func:`minimise_action`.
    boundary : array_like, shape (m, D)
        Points along the boundary of the basin, neighbours next to each other.
    options
        Options of :func:`minimise_action`.

    Returns
    -------
    MinimumAction
        The path to the point of least action. Paths that use up their rounds count with the
        action they have reached: `change` tells whether the one returned had converged.

    Raises
    ------
    InputError
        If the boundary is empty, or an argument of :func:`minimise_action` breaks its rule.

    Examples
    --------
    >>> plane = np.column_stack([np.ones(5), np.linspace(-1, 1, 5)])
    >>> result = exit_over_boundary(lambda x: -x, np.eye(2), [0.0, 0.0], plane)
    >>> result.path[-1].tolist(), round(result.action, 3)
    ([1.0, 0.0], 1.0)
    """
    boundary = checks.array("boundary", boundary, shape=(None, None))
    if len(boundary) == 0:
        raise checks.InputError("boundary is empty; expected points on it")
    results = []
    for point in boundary:
        try:
            results.append(minimise_action(drift, diffusion_covariance, start, point, **options))
        except estimates.NotConverged as error:
            results.append(error.partial)
    return min(results, key=lambda result: result.action)


def _improved(path, force, inverse):
    """Return a path of lower action, and whether the search failed before its first step.

    The search is in units of the path's own action and extent, so that its stopping rule, a small
    gradient, means the same whatever the units of the drift, of the noise and of the parameters.
    """
    first = _action_and_gradient(path[1:-1], path[0], path[-1], force, inverse)[0]
    unit = first if first > 0 else 1.0
    extent = np.ptp(path, axis=0).max()

    def scaled(coordinates):
        action, gradient = _action_and_gradient(
            coordinates * extent, path[0], path[-1], force, inverse
        )
        return action / unit, gradient * (extent / unit)

    # a coordinate of the gradient falls like the distance of two points
    solution = scipy.optimize.minimize(
        scaled,
        path[1:-1].ravel() / extent,
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": 200, "maxcor": 20, "gtol": 1e-3 / len(path)},
    )
    inner = (solution.x * extent).reshape(path[1:-1].shape)
    return np.vstack([path[:1], inner, path[-1:]]), not solution.success and solution.nit == 0


def _action_and_gradient(inner, first, last, force, inverse):
    """Midpoint rule of the geometric action and its gradient in the inner points."""
    size = len(first)
    path = np.vstack([first[None], np.reshape(inner, (-1, size)), last[None]])
    step, middle = np.diff(path, axis=0), 0.5 * (path[1:] + path[:-1])
    f, a = force(middle), inverse(middle)
    step_a, f_a = _lowered(a, step), _lowered(a, f)
    length = np.sqrt(np.sum(step * step_a, axis=1) + 1e-300)
    speed = np.sqrt(np.sum(f * f_a, axis=1) + 1e-300)
    action = np.sum(length * speed - np.sum(step * f_a, axis=1))
    # derivatives in the step and, through f and Sigma^{-1}, in the middle
    by_step = step_a * (speed / length)[:, None] - f_a
    by_force = f_a * (length / speed)[:, None] - step_a
    # relative to the extent, but not below the rounding of the points
    width = max(1e-6 * np.ptp(path, axis=0).max(), 1e-10 * np.abs(path).max())
    by_middle = np.empty_like(step)
    for j in range(size):
        shift = np.zeros(size)
        shift[j] = width
        slope = (force(middle + shift) - force(middle - shift)) / (2 * width)
        by_middle[:, j] = np.sum(by_force * slope, axis=1)
        if a is not None:
            change = (inverse(middle + shift) - inverse(middle - shift)) / (2 * width)
            by_middle[:, j] += (
                0.5 * (speed / length) * np.sum(step * _lowered(change, step), axis=1)
                + 0.5 * (length / speed) * np.sum(f * _lowered(change, f), axis=1)
                - np.sum(step * _lowered(change, f), axis=1)
            )
    gradient = np.zeros_like(path)
    gradient[1:] += by_step + 0.5 * by_middle
    gradient[:-1] += 0.5 * by_middle - by_step
    return action, gradient[1:-1].ravel()


def _lowered(matrices, vectors):
    """Products of matrices (n, D, D) and vectors (n, D); None stands for the identity."""
    return vectors if matrices is None else np.einsum("nij,nj->ni", matrices, vectors)


def _shown(point):
    return np.array2string(point, precision=4, threshold=6, edgeitems=3)


def _spread_out(path, inverse):
    """Return the same curve with its points at equal distances in the metric of the noise."""
    step = np.diff(path, axis=0)
    metric = inverse(0.5 * (path[1:] + path[:-1]))
    lengths = np.sqrt(np.sum(step * _lowered(metric, step), axis=1))
    length = np.concatenate([[0.0], np.cumsum(lengths)])
    even = np.linspace(0.0, length[-1], len(path))
    return np.column_stack([np.interp(even, length, column) for column in path.T])
