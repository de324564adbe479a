"""Forms of the noise ``F(theta) dW`` (Ito) whose function reads all of theta.

A function writes the standard deviations of independent components, a factor F, or the covariance
Sigma = F F^T itself. Of a covariance the kernels take Cholesky's factor at every step. The scheme
is Euler-Maruyama, of weak order 1 and strong order 1/2: schemes of higher order need the
derivatives of F and, if its columns do not commute, iterated integrals of the Wiener processes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from aniso import checks
from aniso.langevin import function_trials, functions
from aniso.langevin._kernels import state_noise
from aniso.langevin.noises import Noise

if TYPE_CHECKING:
    from aniso.typing import ArrayLike


FORMS = {
    "diagonal": state_noise.DIAGONAL_OF_THETA,
    "factor": state_noise.FACTOR_OF_THETA,
    "covariance": state_noise.COVARIANCE_OF_THETA,
}
"""Kinds of noise made here, and their codes in kernels."""


def diagonal(
    standard_deviations: Callable[..., Any], dimension: int, *, parameters: ArrayLike = ()
) -> Noise:
    """Make an independent noise ``g_i(theta) dW_i`` in each component, g_i a function of all theta.

    Parameters
    ----------
    standard_deviations : callable
        ``function(theta, parameters, out)``, compiled with ``numba.njit``. theta (D, L) has one
        column for each path. Row i of out (D, L) takes g_i.
    dimension : int
        D.
    parameters : array_like, shape (P,)
        Numbers that the function gets as its second argument.

    Returns
    -------
    aniso.langevin.noises.Noise

    Examples
    --------
    >>> import numba
    >>> @numba.njit
    ... def radius(theta, parameters, out):
    ...     for lane in range(theta.shape[1]):
    ...         out[0, lane] = out[1, lane] = (theta[0, lane] ** 2 + theta[1, lane] ** 2) ** 0.5
    >>> covariance_at(diagonal(radius, 2), [3.0, 4.0]).tolist()
    [[25.0, 0.0], [0.0, 25.0]]
    """
    return _made("diagonal", standard_deviations, dimension, dimension, parameters)


def factor(
    function: Callable[..., Any], dimension: int, rank: int, *, parameters: ArrayLike = ()
) -> Noise:
    """Make the noise ``F(theta) dW`` with r Wiener processes.

    Parameters
    ----------
    function : callable
        ``function(theta, parameters, out)``, compiled with ``numba.njit``. Row ``i r + j`` of out
        (D r, L) takes F_ij.
    dimension, rank : int
        D and r.
    parameters : array_like, shape (P,)
        Numbers that the function gets as its second argument.

    Returns
    -------
    aniso.langevin.noises.Noise

    Examples
    --------
    >>> import numba
    >>> @numba.njit
    ... def along_theta(theta, parameters, out):
    ...     for lane in range(theta.shape[1]):
    ...         out[0, lane], out[1, lane] = theta[0, lane], theta[1, lane]
    >>> covariance_at(factor(along_theta, 2, 1), [1.0, 2.0]).tolist()
    [[1.0, 2.0], [2.0, 4.0]]
    """
    rank = checks.integer("rank", rank, low=1)
    return _made("factor", function, dimension, rank, parameters)


def covariance(
    function: Callable[..., Any], dimension: int, *, parameters: ArrayLike = ()
) -> Noise:
    """Make the noise ``Sigma(theta)^{1/2} dW`` from its covariance.

    Parameters
    ----------
    function : callable
        ``function(theta, parameters, out)``, compiled with ``numba.njit``. Row ``i D + j`` of out
        (D^2, L) takes Sigma_ij, symmetric and positive semi-definite.
    dimension : int
        D.
    parameters : array_like, shape (P,)
        Numbers that the function gets as its second argument.

    Returns
    -------
    aniso.langevin.noises.Noise

    Notes
    -----
    Cost: D^3 / 6 multiplications for each path and step. A run that meets a theta where Sigma is
    not positive semi-definite is refused with that theta.

    Examples
    --------
    >>> import numba
    >>> @numba.njit
    ... def isotropic(theta, parameters, out):
    ...     for lane in range(theta.shape[1]):
    ...         out[0, lane] = out[3, lane] = 1.0 + theta[0, lane] ** 2
    ...         out[1, lane] = out[2, lane] = 0.0
    >>> covariance_at(covariance(isotropic, 2), [2.0, 0.0]).tolist()
    [[5.0, 0.0], [0.0, 5.0]]
    """
    return _made("covariance", function, dimension, dimension, parameters)


def _made(kind, function, dimension, rank, parameters):
    functions.require_callable("function", function)
    dimension = checks.integer("dimension", dimension, low=1)
    return Noise(dimension, None, kind == "diagonal", function, parameters, kind, rank)


def num_rows(noise):
    """Rows of `out` that the function of a noise writes.

    Examples
    --------
    >>> from aniso.langevin import noises
    >>> num_rows(noises.proportional([0.5, 1.0]))
    4
    """
    if noise.kind == "own component":
        return 2 * noise.dimension
    return noise.dimension * (1 if noise.kind == "diagonal" else noise.rank)


def covariance_at(noise, theta):
    """Sigma at one point, shape (D, D), for any noise.

    Parameters
    ----------
    noise : aniso.langevin.noises.Noise
    theta : array_like, shape (D,)

    Returns
    -------
    numpy.ndarray, shape (D, D)

    Examples
    --------
    >>> from aniso.langevin import noises
    >>> covariance_at(noises.proportional([0.5]), [4.0]).tolist()
    [[4.0]]
    """
    if noise.factor is not None:
        return noise.covariance
    size = noise.dimension
    theta = checks.array("theta", theta, shape=(size,))
    written = function_trials.evaluate(
        noise.amplitude, functions.PANEL_FUNCTION, theta[None], noise.parameters, num_rows(noise)
    )[:, 0]
    if noise.is_diagonal:
        return np.diag(written[:size] ** 2)
    matrix = written.reshape(size, -1)
    return matrix if noise.kind == "covariance" else matrix @ matrix.T


def require_sound(noise, start):
    """Refuse a noise whose function fails its trial, or is no covariance at the start.

    Parameters
    ----------
    noise : aniso.langevin.noises.Noise
        Made by a function of this module.
    start : numpy.ndarray, shape (D,)
        Point at which, and around which, the function is tried.

    Raises
    ------
    InputError
        If the function fails a trial of :func:`aniso.langevin.function_trials.require_sound`. If a
        covariance is not symmetric there, or not positive semi-definite at the start.
    """
    points = function_trials.points_around(start)
    function_trials.require_sound(
        f"{noise.kind} of the noise",
        noise.amplitude,
        functions.PANEL_FUNCTION,
        points,
        noise.parameters,
        num_rows=num_rows(noise),
    )
    if noise.kind != "covariance":
        return
    for point in points:
        sigma = covariance_at(noise, point)
        apart = np.abs(sigma - sigma.T)
        if (apart > 1e-9 * np.abs(sigma).max()).any():
            i, j = np.unravel_index(int(np.argmax(apart)), apart.shape)
            raise checks.InputError(
                f"covariance {_name(noise)} has the entries {sigma[i, j]:.6g} in row {i}, column "
                f"{j} and {sigma[j, i]:.6g} in row {j}, column {i} at theta={point.tolist()}; "
                "expected a symmetric matrix, Sigma_ij in row i D + j of out"
            )
    if smallest_share(covariance_at(noise, start)) < 0:
        raise not_semidefinite(noise, start)


def smallest_share(sigma):
    """Smallest eigenvalue over the largest, 0 if it is within rounding.

    Examples
    --------
    >>> smallest_share(np.diag([2.0, -1.0])), smallest_share(np.ones((2, 2)))
    (-0.5, 0.0)
    """
    values = np.linalg.eigvalsh(sigma)
    largest = max(np.abs(values).max(), np.finfo(float).tiny)
    share = float(values[0] / largest)
    return 0.0 if abs(share) < 64 * len(values) * np.finfo(float).eps else share


def not_semidefinite(noise, theta, path=None, step=None):
    """Return the refusal of a covariance that is not positive semi-definite at a point.

    Parameters
    ----------
    noise : aniso.langevin.noises.Noise
    theta : numpy.ndarray, shape (D,)
    path, step : int, optional
        Path that has reached the point, and its number of steps up to there.

    Returns
    -------
    InputError
    """
    sigma = covariance_at(noise, theta)
    where = "the start" if path is None else f"path {path} after step {step}"
    return checks.InputError(
        f"covariance {_name(noise)} has the eigenvalues "
        f"{[float(f'{v:.6g}') for v in np.linalg.eigvalsh((sigma + sigma.T) / 2)]} at "
        f"theta={theta.tolist()} ({where}); expected a positive semi-definite matrix wherever "
        "paths go"
    )


def _name(noise):
    return repr(getattr(noise.amplitude, "__name__", type(noise.amplitude).__name__))
