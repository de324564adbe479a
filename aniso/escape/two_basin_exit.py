"""Exponent and path of the exit from the sharp basin of the two-basin toy, for any noise.

Inside the sharp basin of the mean datum the drift is linear, with curvatures 20 and 200. The
boundary of the basin is the closed curve on which sharp and flat loss are equal. Weak noise leaves
where the quasi-potential is smallest on that curve. For anisotropic noise this need not be the
point where the loss is lowest.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

from aniso import checks
from aniso.escape import minimum_action, quasi_potential
from aniso.langevin import drifts
from aniso.matrices import operands

if TYPE_CHECKING:
    from aniso.escape.minimum_action import MinimumAction
    from aniso.typing import ArrayLike, Matrix


_ROOT_TWO = np.sqrt(2.0)
_AXES = np.array([[1.0, 1.0], [-1.0, 1.0]]) / _ROOT_TWO  # columns: directions of 20 and of 200
_SHARP_HESSIAN = _AXES @ np.diag([20.0, 200.0]) @ _AXES.T


def sharp_basin_boundary(data, num_points=400):
    """Return points of the curve on which sharp and flat loss of the mean datum are equal.

    With the rotated coordinates (a, b) relative to the mean datum the curve is the ellipse
    ``9 a^2 + 100 (b - sqrt 2)^2 = (b + sqrt 2)^2``.

    Parameters
    ----------
    data : array_like, shape (N, 2)
        The data, as from :func:`aniso.problems.two_basin.two_basin_data`.
    num_points : int
        Number of points.

    Returns
    -------
    numpy.ndarray, shape (num_points, 2)

    Raises
    ------
    InputError
        If the data are not finite or of another shape, or there are fewer than four points.

    Examples
    --------
    The point nearest to the flat minimum lies on the diagonal, at 9 / 11.

    >>> points = sharp_basin_boundary([[0.0, 0.0]], 4)
    >>> bool(np.isclose(points, 9 / 11).all(axis=1).any())
    True
    """
    data = checks.array("data", data, shape=(None, 2))
    num_points = checks.integer("num_points", num_points, low=4)
    # 9 a^2 + 99 (b - c)^2 = r^2, by completing the square
    centre = 101 * _ROOT_TWO / 99
    squared_radius = 99 * centre**2 - 198.0
    angle = np.linspace(0, 2 * np.pi, num_points, endpoint=False)
    a = np.sqrt(squared_radius / 9) * np.cos(angle)
    b = centre + np.sqrt(squared_radius / 99) * np.sin(angle)
    return np.column_stack([a, b]) @ _AXES.T + data.mean(axis=0)


def mean_drift(data):
    """Return minus the mean gradient of the toy as a function of points, (n, 2) -> (n, 2).

    Examples
    --------
    >>> mean_drift([[0.0, 0.0]])(np.array([[1.25, 0.75], [0.0, 0.0]])).round(9).tolist()
    [[-5.0, 5.0], [-2.0, -2.0]]
    """
    return functools.partial(drifts.at, drifts.of_two_basin(data))


def exit_from_sharp_basin(
    data: ArrayLike, diffusion_covariance: Matrix, *, num_candidates: int = 3, num_points: int = 61
) -> MinimumAction:
    """Compute exponent and most likely path from the sharp minimum to the basin's boundary.

    Parameters
    ----------
    data : array_like, shape (N, 2)
        The data, as from :func:`aniso.problems.two_basin.two_basin_data`.
    diffusion_covariance : array_like, shape (2, 2), or any other covariance
        Sigma, positive definite; the exit time grows like ``exp(V / eps)`` with ``eps Sigma``.
    num_candidates : int
        Points of the boundary, best by the linear closed form, to which the action is minimised.
    num_points : int
        Points of a path.

    Returns
    -------
    MinimumAction

    Raises
    ------
    InputError
        If an argument breaks its rule.

    Notes
    -----
    The drift is the mean over the data. The boundary is the boundary for the mean datum, which
    is right up to the spread of the data. With spread the kinks of the loss usually stop the
    minimisation before its tolerance of 1e-4. `change` of the result is the last change of the
    action.

    Examples
    --------
    Isotropic noise of variance 2 leaves at the lowest point, where the loss is about 6.5.

    >>> result = exit_from_sharp_basin([[0.0, 0.0]], 2.0 * np.eye(2), num_candidates=1)
    >>> result.path[-1].round(2).tolist(), round(result.action, 1)
    ([0.82, 0.82], 6.6)
    """
    boundary = sharp_basin_boundary(data)
    drift = mean_drift(data)
    covariance = operands.dense_covariance(
        "diffusion_covariance", diffusion_covariance, "diffusion", size=2
    )
    num_candidates = checks.integer("num_candidates", num_candidates, low=1)
    minimum = np.ones(2) + checks.array("data", data).mean(axis=0)
    linear = quasi_potential.quasi_potential_at(_SHARP_HESSIAN, covariance, boundary - minimum)
    # neighbours of the best point, so that the candidates bracket the minimum
    best = int(np.argmin(linear))
    around = (best + np.arange(num_candidates) - num_candidates // 2) % len(boundary)
    return minimum_action.exit_over_boundary(
        drift,
        covariance,
        minimum,
        boundary[around],
        num_points=num_points,
        # the kinks of the data's own boundaries stop a finer minimisation
        tolerance=1e-4,
        max_rounds=8,
    )
