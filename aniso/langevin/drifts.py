"""Kinds of drifts: quadratic loss, two-basin toy, tabulated potential, your own function.

Every drift has `dimension`, `parameters` (a flat array for its compiled functions), `function` and
`potential`, the last None where the loss is not known.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from aniso import _arguments, checks
from aniso.langevin import drift_functions, function_trials, functions
from aniso.langevin._kernels.two_basin_loss import rotated

if TYPE_CHECKING:
    from aniso.typing import ArrayLike


@dataclass(frozen=True)
class Drift(functions.CarriesFunctions):
    """A drift ``-grad L`` in D dimensions, made by one of the functions below.

    Attributes
    ----------
    dimension : int
        D.
    function, potential : callable
        ``(theta (D, L), parameters, out)``, see :mod:`aniso.langevin.functions`; `potential` is
        None where the loss is not known.
    parameters : numpy.ndarray, shape (P,)
        Second argument of both functions.
    hessian : numpy.ndarray, shape (D, D), or None
        The Hessian, where the loss is quadratic.
    """

    dimension: int
    function: Callable
    parameters: np.ndarray
    potential: Callable | None = None
    hessian: np.ndarray | None = None

    def __post_init__(self):
        functions.hold_arrays(self, "parameters", "hessian")


def of_quadratic(hessian: ArrayLike) -> Drift:
    """Make the drift ``-H theta`` of the loss ``theta^T H theta / 2``.

    Parameters
    ----------
    hessian : array_like, shape (D, D)
        H, any symmetric matrix.

    Returns
    -------
    Drift

    Raises
    ------
    InputError
        If it is not symmetric.

    Examples
    --------
    >>> at(of_quadratic(np.diag([1.0, 3.0])), [1.0, 1.0]).tolist()
    [-1.0, -3.0]
    """
    hessian = checks.symmetric_matrix("hessian", hessian)
    return Drift(
        len(hessian),
        drift_functions.quadratic_drift,
        np.ascontiguousarray(-hessian).ravel(),
        drift_functions.quadratic_potential,
        hessian,
    )


def of_two_basin(data):
    """Make the drift of the two-basin toy, minus the mean gradient over the data.

    Parameters
    ----------
    data : array_like, shape (N, 2)
        The data, as from :func:`aniso.problems.two_basin.two_basin_data`.

    Returns
    -------
    Drift

    Raises
    ------
    InputError
        If the data are empty, not finite or of another shape.

    Examples
    --------
    Without spread in the data the sharp minimum is (1, 1), with eigenvalue 200 along (1, 1).

    >>> at(of_two_basin(np.zeros((1, 2))), [1.1, 1.1]).round(9).tolist()
    [-20.0, -20.0]
    """
    data = checks.array("data", data, shape=(None, 2))
    if len(data) == 0:
        raise checks.InputError("data is empty; expected at least one row")
    return Drift(
        2,
        drift_functions.two_basin_drift,
        rotated(data).T.ravel(),
        drift_functions.two_basin_potential,
    )


def of_table(grid: ArrayLike, values: ArrayLike) -> Drift:
    """Make the drift of a potential on the line from its values on an even grid.

    Parameters
    ----------
    grid : array_like, shape (n,), n >= 4
        Evenly spaced, increasing.
    values : array_like, shape (n,)
        The potential at the points of the grid.

    Returns
    -------
    Drift

    Raises
    ------
    InputError
        If the grid has fewer than four points, does not increase or is not evenly spaced, or an
        entry is not finite.

    Notes
    -----
    A cubic spline with "not-a-knot" ends interpolates the values; its error is O(spacing^4).
    Outside the grid the potential continues along its tangent.

    Examples
    --------
    >>> grid = np.linspace(-2.0, 2.0, 9)
    >>> at(of_table(grid, grid**3), [0.3]).round(12).tolist()
    [-0.27]
    """
    grid = checks.array("grid", grid, shape=(None,))
    values = checks.array("values", values, shape=grid.shape)
    spacing = np.diff(grid)
    if grid.size < 4 or not (spacing > 0).all():
        raise checks.InputError("grid has to increase and have at least four points")
    if np.ptp(spacing) > 1e-9 * spacing.mean():
        raise checks.InputError(
            "grid is not evenly spaced; expected numpy.linspace(left, right, n)"
        )
    # a third of the package's loading time, and only tables need it
    from scipy.interpolate import CubicSpline

    width = (grid[-1] - grid[0]) / (grid.size - 1)
    coefficients = CubicSpline(grid, values).c.T.ravel()
    parameters = np.concatenate([[grid[0], width], coefficients])
    return Drift(
        1, drift_functions.tabulated_drift, parameters, drift_functions.tabulated_potential
    )


def of_polynomial(coefficients: ArrayLike) -> Drift:
    """Make the drift of a polynomial on the line, ``L = c_0 + c_1 x + c_2 x^2 + ...``.

    Parameters
    ----------
    coefficients : array_like, shape (degree + 1,)
        c_0, c_1, ...

    Returns
    -------
    Drift

    Raises
    ------
    InputError
        If there is no coefficient, or one is not finite.

    Examples
    --------
    The double well ``x^4 / 4 - x^2 / 2``.

    >>> at(of_polynomial([0, 0, -0.5, 0, 0.25]), [2.0]).tolist()
    [-6.0]
    """
    coefficients = checks.array("coefficients", coefficients, shape=(None,))
    if coefficients.size == 0:
        raise checks.InputError("coefficients is empty; expected at least one")
    return Drift(
        1, drift_functions.polynomial_drift, coefficients, drift_functions.polynomial_potential
    )


def of_function(
    function: Callable[..., Any],
    dimension: int,
    *,
    parameters: ArrayLike = (),
    potential: Callable[..., Any] | None = None,
) -> Drift:
    """Make a drift from your own function.

    Parameters
    ----------
    function : callable
        ``function(theta, parameters, out)`` writes the drift into out (D, L). theta (D, L) has one
        column for each path. Compile the function with ``numba.njit``. A plain Python function
        works too; it is slow, and the simulation warns of that.
    dimension : int
        D.
    parameters : array_like, shape (P,)
        Numbers that the functions get as their second argument.
    potential : callable, optional
        ``potential(theta, parameters, out)`` writes the loss, or any other observable whose mean
        is wanted, into out (L,).

    Returns
    -------
    Drift

    Raises
    ------
    InputError
        If a function takes other arguments, or the dimension is not positive. A simulation
        refuses functions that break the rules of :mod:`aniso.langevin.functions`.

    Examples
    --------
    >>> import numba
    >>> @numba.njit
    ... def towards_zero(theta, parameters, out):
    ...     for lane in range(theta.shape[1]):
    ...         out[0, lane] = -parameters[0] * theta[0, lane]
    >>> at(of_function(towards_zero, 1, parameters=[2.0]), [3.0]).tolist()
    [-6.0]
    """
    functions.require_callable("function", function)
    if potential is not None:
        functions.require_callable("potential", potential)
    dimension = checks.integer("dimension", dimension, low=1)
    return Drift(dimension, function, parameters, potential)


def at(drift, theta):
    """Return the drift at one point or at many, computed as the kernels compute it.

    Parameters
    ----------
    drift : Drift
        The drift.
    theta : array_like, shape (D,) or (n, D)
        One point, or one point a row. Many points are computed by the compiled function.

    Returns
    -------
    numpy.ndarray, shape (D,) or (n, D)

    Raises
    ------
    InputError
        If `drift` is no Drift, or theta is not finite or of another shape.

    Examples
    --------
    >>> at(of_quadratic([[2.0]]), [[1.0], [3.0]]).tolist()
    [[-2.0], [-6.0]]
    """
    _arguments.require_instance("drift", drift, Drift, "of_quadratic(hessian)")
    if np.ndim(theta) == 2:
        points = checks.array("theta", theta, shape=(None, drift.dimension))
        function, size = drift.function, drift.dimension
        return function_trials.evaluate(
            function, functions.PANEL_FUNCTION, points, drift.parameters, size
        ).T
    theta = checks.array("theta", theta, shape=(drift.dimension,))
    panel = np.repeat(theta[:, None], drift_functions.LANES, axis=1)
    out = np.full_like(panel, np.nan)
    source = getattr(drift.function, "py_func", drift.function)
    source(panel, drift.parameters, out)
    return out[:, 0].copy()
