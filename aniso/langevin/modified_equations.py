"""Stochastic modified equations of SGD, of first and second order in the learning rate.

SGD ``theta <- theta - eta (grad L + xi)``, Cov xi = S, is close in law to
``dX = -grad L dt + sqrt(eta) S^{1/2} dW`` (order 1 in eta) and to
``dX = -grad(L + (eta / 4) |grad L|^2) dt + sqrt(eta) S^{1/2} dW`` (order 2), on a finite time. The
second has the *worse* stationary variance: relative error -eta l against -eta l / 2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.interpolate import PPoly

from aniso import _arguments, checks
from aniso.arrays import (
    njit,
)
from aniso.langevin import drift_functions, drifts, noises, problems
from aniso.langevin._kernels.streams import KERNEL, LANES
from aniso.langevin._kernels.two_basin_loss import ROOT_TWO, basin_gradient
from aniso.langevin.drifts import Drift
from aniso.matrices import operands

if TYPE_CHECKING:
    from aniso.langevin.problems import LangevinProblem
    from aniso.typing import ArrayLike, Matrix


def first_order(
    drift: Drift, minibatch_covariance: Matrix, learning_rate: float, start: ArrayLike
) -> LangevinProblem:
    """Return the first-order equation, drift ``-grad L`` and diffusion covariance ``eta S``.

    Parameters
    ----------
    drift : aniso.langevin.drifts.Drift
        ``-grad L``.
    minibatch_covariance : array_like, shape (D, D), or any other covariance
        S, constant.
    learning_rate : float
        eta > 0.
    start : array_like, shape (D,)
        theta at time 0.

    Returns
    -------
    LangevinProblem

    Raises
    ------
    InputError
        If an argument breaks its rule.

    Notes
    -----
    Source: Li, Tai and E (2017). Its Euler-Maruyama scheme with step eta is SGD itself, with
    Gaussian noise.

    Examples
    --------
    >>> first_order(drifts.of_quadratic([[1.0]]), [[4.0]], 0.25, [0.0]).noise.covariance.tolist()
    [[1.0]]
    """
    covariance = operands.dense_covariance(
        "minibatch_covariance", minibatch_covariance, "mini-batch"
    )
    learning_rate = checks.number("learning_rate", learning_rate, low=0, strict=True)
    return problems.LangevinProblem(drift, noises.constant(learning_rate * covariance), start)


def second_order(
    drift: Drift, minibatch_covariance: Matrix, learning_rate: float, start: ArrayLike
) -> LangevinProblem:
    """Return the second-order equation, drift ``-grad(L + (eta / 4) |grad L|^2)``.

    Parameters
    ----------
    drift, minibatch_covariance, learning_rate, start
        As in :func:`first_order`. The drift is quadratic, tabulated or of the two-basin toy.

    Returns
    -------
    LangevinProblem

    Raises
    ------
    InputError
        If an argument breaks its rule, or the drift is your own function.

    Notes
    -----
    Source: Li, Tai and E (2017), equation 9, for a constant S. On the toy the modified drift
    leaves out the kinks between the basins, a set of measure zero.

    Examples
    --------
    On a quadratic H becomes ``H + (eta / 2) H^2``.

    >>> second_order(drifts.of_quadratic([[2.0]]), [[1.0]], 0.5, [0.0]).drift.hessian.tolist()
    [[3.0]]
    """
    learning_rate = checks.number("learning_rate", learning_rate, low=0, strict=True)
    return first_order(
        modified_drift(drift, learning_rate), minibatch_covariance, learning_rate, start
    )


def modified_drift(drift, learning_rate):
    """Return the drift ``-grad(L + (eta / 4) |grad L|^2)`` for a built-in drift.

    Parameters
    ----------
    drift : aniso.langevin.drifts.Drift
        ``-grad L``: quadratic, tabulated or of the two-basin toy.
    learning_rate : float
        eta > 0.

    Returns
    -------
    Drift

    Raises
    ------
    InputError
        If `drift` is no Drift, or your own function, whose second derivatives are not known.

    Examples
    --------
    >>> drifts.at(modified_drift(drifts.of_quadratic([[2.0]]), 0.5), [1.0]).tolist()
    [-3.0]
    """
    _arguments.require_instance("drift", drift, Drift, "drifts.of_quadratic(hessian)")
    learning_rate = checks.number("learning_rate", learning_rate, low=0, strict=True)
    if drift.hessian is not None:
        return drifts.of_quadratic(
            drift.hessian + 0.5 * learning_rate * drift.hessian @ drift.hessian
        )
    if drift.function is drift_functions.tabulated_drift:
        left, spacing = drift.parameters[:2]
        pieces = drift.parameters[2:].reshape(-1, 4).T
        edges = left + spacing * np.arange(pieces.shape[1] + 1)
        spline = PPoly(pieces, edges)
        # four points to a piece: the square of its slope is of degree four
        grid = np.linspace(edges[0], edges[-1], 4 * pieces.shape[1] + 1)
        slope = spline.derivative()(grid)
        return drifts.of_table(grid, spline(grid) + 0.25 * learning_rate * slope**2)
    if drift.function is drift_functions.two_basin_drift:
        parameters = np.concatenate([[learning_rate], drift.parameters])
        return Drift(2, modified_two_basin_drift, parameters)
    raise checks.InputError(
        "the second derivatives of this drift are not known; expected drifts.of_quadratic, "
        "drifts.of_table or drifts.of_two_basin, or the modified loss as a drift of one's own"
    )


@njit(**KERNEL)
def modified_two_basin_drift(theta, parameters, out):
    """Write ``-(g + (eta / 2) H g)`` of the toy; parameters: eta, then the data in rotated axes."""
    learning_rate = parameters[0]
    num_data = (parameters.shape[0] - 1) // 2
    for lane in range(LANES):
        a_theta = (theta[0, lane] - theta[1, lane]) / ROOT_TWO
        b_theta = (theta[0, lane] + theta[1, lane]) / ROOT_TWO
        g_a, g_b, h_a, h_b = 0.0, 0.0, 0.0, 0.0
        for i in range(num_data):
            a = a_theta - parameters[1 + i]
            b = b_theta - parameters[1 + num_data + i]
            own_a, own_b, sharp = basin_gradient(a, b)
            g_a += own_a
            g_b += own_b
            h_a += 20.0 if sharp else 2.0
            h_b += 200.0 if sharp else 2.0
        g_a, g_b, h_a, h_b = g_a / num_data, g_b / num_data, h_a / num_data, h_b / num_data
        a = -g_a * (1.0 + 0.5 * learning_rate * h_a) / ROOT_TWO
        b = -g_b * (1.0 + 0.5 * learning_rate * h_b) / ROOT_TWO
        out[0, lane] = a + b
        out[1, lane] = b - a
