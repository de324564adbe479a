"""Finite sets of examples for SGD: least squares, quadratics, the toy, and your own losses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from aniso import checks
from aniso.arrays import (
    njit,
)
from aniso.langevin import drift_functions, functions
from aniso.langevin._kernels.streams import KERNEL
from aniso.langevin._kernels.two_basin_loss import ROOT_TWO, basin_gradient, rotated

if TYPE_CHECKING:
    from aniso.typing import ArrayLike


@dataclass(frozen=True)
class Examples(functions.CarriesFunctions):
    """A finite set of examples with their gradients, made by one of the functions below.

    Attributes
    ----------
    num_examples, dimension : int
        N and D.
    gradient : callable
        ``(theta (D, L), index (L,), parameters, out (D, L))`` writes one gradient a column.
    parameters : numpy.ndarray, shape (P,)
        Numbers that both functions read.
    potential : callable or None
        Mean loss ``(theta, parameters, out (L,))``.
    """

    num_examples: int
    dimension: int
    gradient: Callable
    parameters: np.ndarray
    potential: Callable | None = None

    def __post_init__(self):
        functions.hold_arrays(self, "parameters")


def least_squares(inputs: ArrayLike, targets: ArrayLike) -> Examples:
    """Make examples with the losses ``(x_i^T theta - y_i)^2 / 2``.

    Parameters
    ----------
    inputs : array_like, shape (N, D)
        Row i is x_i.
    targets : array_like, shape (N,)
        Entry i is y_i.

    Returns
    -------
    Examples

    Raises
    ------
    InputError
        If an array has another shape, is empty or is not finite.

    Examples
    --------
    >>> least_squares([[1.0], [2.0]], [0.0, 1.0]).num_examples
    2
    """
    inputs = checks.array("inputs", inputs, shape=(None, None))
    targets = checks.array("targets", targets, shape=(len(inputs),))
    if inputs.size == 0:
        raise checks.InputError("inputs is empty; expected at least one example")
    parameters = np.concatenate([[len(inputs)], inputs.ravel(), targets])
    return Examples(*inputs.shape, least_squares_gradient, parameters, least_squares_potential)


def shifted_quadratics(hessian: ArrayLike, centres: ArrayLike) -> Examples:
    """Make examples with the losses ``(theta - c_i)^T H (theta - c_i) / 2``.

    The gradient noise is additive: it does not depend on theta.

    Parameters
    ----------
    hessian : array_like, shape (D, D)
        H, any symmetric matrix.
    centres : array_like, shape (N, D)
        Row i is c_i. With the covariance C of the rows, the gradients have the covariance H C H.

    Returns
    -------
    Examples

    Raises
    ------
    InputError
        If H is not symmetric, or the centres have another shape, are empty or are not finite.

    Examples
    --------
    >>> shifted_quadratics([[2.0]], [[-1.0], [1.0]]).num_examples
    2
    """
    hessian = checks.symmetric_matrix("hessian", hessian)
    centres = checks.array("centres", centres, shape=(None, len(hessian)))
    if len(centres) == 0:
        raise checks.InputError("centres is empty; expected at least one row")
    parameters = np.concatenate([hessian.ravel(), centres.ravel()])
    return Examples(len(centres), len(hessian), shifted_quadratic_gradient, parameters)


def two_basin_toy(data):
    """Make the examples of the two-basin toy, with the losses ``min(s, f)``.

    s is the loss of the sharp basin and f the loss of the flat basin, see
    :class:`aniso.problems.two_basin.TwoBasinLoss`.

    Parameters
    ----------
    data : array_like, shape (N, 2)
        One datum a row: the shift of both basins.

    Returns
    -------
    Examples

    Raises
    ------
    InputError
        If the data have another shape, are empty or are not finite.

    Examples
    --------
    >>> two_basin_toy([[0.0, 0.0]]).dimension
    2
    """
    data = checks.array("data", data, shape=(None, 2))
    if len(data) == 0:
        raise checks.InputError("data is empty; expected at least one row")
    return Examples(
        len(data),
        2,
        two_basin_gradient,
        rotated(data).T.ravel(),
        drift_functions.two_basin_potential,
    )


def custom(
    gradient: Callable[..., Any],
    num_examples: int,
    dimension: int,
    *,
    parameters: ArrayLike = (),
    potential: Callable[..., Any] | None = None,
) -> Examples:
    """Make examples from your own compiled gradient function.

    Parameters
    ----------
    gradient : callable
        ``gradient(theta, index, parameters, out)``, compiled with ``numba.njit``: writes into
        column l of out (D, L) the gradient of example index[l] at column l of theta.
    num_examples, dimension : int
        N and D.
    parameters : array_like, shape (P,)
        Numbers that both functions read.
    potential : callable, optional
        Mean loss ``(theta, parameters, out (L,))``.

    Returns
    -------
    Examples

    Raises
    ------
    InputError
        If a function is not compiled or takes other arguments, or a count is not positive.
    """
    functions.require_callable("gradient", gradient, ("theta", "index", "parameters", "out"))
    if potential is not None:
        functions.require_callable("potential", potential)
    for name, function in (("gradient", gradient), ("potential", potential)):
        if function is not None and not functions.is_compiled(function):
            raise checks.InputError(
                f"{name} is a plain Python function; expected one compiled with numba.njit"
            )
    num_examples = checks.integer("num_examples", num_examples, low=1)
    dimension = checks.integer("dimension", dimension, low=1)
    return Examples(num_examples, dimension, gradient, parameters, potential)


@njit(**KERNEL)
def least_squares_gradient(theta, index, parameters, out):
    """Write ``(x_i^T theta - y_i) x_i``; parameters: N, inputs (N, D), targets (N,)."""
    dimension, lanes = theta.shape
    num_examples = int(parameters[0])
    for lane in range(lanes):
        row = 1 + index[lane] * dimension
        residual = -parameters[1 + num_examples * dimension + index[lane]]
        for i in range(dimension):
            residual += parameters[row + i] * theta[i, lane]
        for i in range(dimension):
            out[i, lane] = residual * parameters[row + i]


@njit(**KERNEL)
def least_squares_potential(theta, parameters, out):
    """Write the mean of ``(x_i^T theta - y_i)^2 / 2``."""
    dimension, lanes = theta.shape
    num_examples = int(parameters[0])
    for lane in range(lanes):
        out[lane] = 0.0
    for example in range(num_examples):
        row = 1 + example * dimension
        target = parameters[1 + num_examples * dimension + example]
        for lane in range(lanes):
            residual = -target
            for i in range(dimension):
                residual += parameters[row + i] * theta[i, lane]
            out[lane] += 0.5 * residual * residual / num_examples


@njit(**KERNEL)
def two_basin_gradient(theta, index, parameters, out):
    """Write the gradient of ``min(s, f)`` of a datum; parameters as in the drift of the toy."""
    lanes = theta.shape[1]
    num_data = parameters.shape[0] // 2
    for lane in range(lanes):
        a = (theta[0, lane] - theta[1, lane]) / ROOT_TWO - parameters[index[lane]]
        b = (theta[0, lane] + theta[1, lane]) / ROOT_TWO - parameters[num_data + index[lane]]
        g_a, g_b, _ = basin_gradient(a, b)
        out[0, lane] = (g_a + g_b) / ROOT_TWO
        out[1, lane] = (g_b - g_a) / ROOT_TWO


@njit(**KERNEL)
def shifted_quadratic_gradient(theta, index, parameters, out):
    """Write ``H (theta - c_i)``; parameters: H (D, D), centres (N, D)."""
    dimension, lanes = theta.shape
    for i in range(dimension):
        for lane in range(lanes):
            out[i, lane] = 0.0
        for j in range(dimension):
            entry = parameters[i * dimension + j]
            for lane in range(lanes):
                centre = parameters[dimension * dimension + index[lane] * dimension + j]
                out[i, lane] += entry * (theta[j, lane] - centre)
