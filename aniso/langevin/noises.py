"""Forms of the noise ``Sigma^{1/2} dW``: constant (full, low-rank, diagonal), or diagonal in theta.

A noise is a factor F with ``F F^T = Sigma``, or the standard deviations of independent components,
or a compiled function that computes these from theta. Noise whose entries depend on all of theta is
made by :mod:`aniso.langevin.state_noises`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from aniso import checks
from aniso.arrays import (
    njit,
)
from aniso.langevin import covariance_factor, functions
from aniso.langevin._kernels.streams import KERNEL
from aniso.matrices import operands

if TYPE_CHECKING:
    from aniso.typing import ArrayLike, Matrix


@dataclass(frozen=True)
class Noise(functions.CarriesFunctions):
    """Diffusion of a stochastic differential equation, made by one of the functions below.

    Attributes
    ----------
    dimension : int
        D.
    factor : numpy.ndarray, shape (D, r), or None
        F with ``F F^T = Sigma``, where the noise is constant.
    is_diagonal : bool
        Whether component i of theta is driven by its own Wiener process.
    amplitude : callable or None
        Function of theta, see :mod:`aniso.langevin.functions`; None where the noise is constant.
    parameters : numpy.ndarray, shape (P,)
        Second argument of `amplitude`.
    kind : {"constant", "own component", "diagonal", "factor", "covariance"}
        What `amplitude` computes; the last three are of :mod:`aniso.langevin.state_noises`.
    rank : int or None
        Number of Wiener processes where the noise depends on theta.
    """

    dimension: int
    factor: np.ndarray | None
    is_diagonal: bool = False
    amplitude: Callable | None = None
    parameters: np.ndarray = None
    kind: str = "constant"
    rank: int | None = None

    def __post_init__(self):
        functions.hold_arrays(self, "factor", "parameters")

    @property
    def covariance(self):
        """Sigma, shape (D, D); None where it depends on theta."""
        return None if self.factor is None else self.factor @ self.factor.T


def constant(diffusion_covariance: Matrix) -> Noise:
    """Make a noise with the constant covariance Sigma, of any rank.

    Parameters
    ----------
    diffusion_covariance : array_like, shape (D, D), or any other covariance
        Sigma of ``d theta = -grad L dt + Sigma^{1/2} dW``, positive semi-definite.

    Raises
    ------
    InputError
        If it is not positive semi-definite.

    Examples
    --------
    >>> constant([[1.0, 1.0], [1.0, 1.0]]).factor.shape
    (2, 1)
    """
    covariance = operands.dense_covariance(
        "diffusion_covariance", diffusion_covariance, "diffusion"
    )
    if not np.any(covariance - np.diag(np.diag(covariance))):
        return diagonal(np.diag(covariance))
    return Noise(len(covariance), covariance_factor.full(covariance))


def low_rank(factor: ArrayLike) -> Noise:
    """Make a noise with the constant covariance ``F F^T``.

    Parameters
    ----------
    factor : array_like, shape (D, r)
        F, with D, r >= 1.

    Returns
    -------
    Noise

    Examples
    --------
    >>> low_rank([[1.0], [2.0]]).covariance.tolist()
    [[1.0, 2.0], [2.0, 4.0]]
    """
    factor = checks.array("factor", factor, shape=(None, None))
    if 0 in factor.shape:
        raise checks.InputError(f"factor has shape {factor.shape}; expected (D, r) with D, r >= 1")
    return Noise(len(factor), factor)


def diagonal(variances: ArrayLike) -> Noise:
    """Make an independent noise of constant variances, ``Sigma = diag(variances)``.

    Parameters
    ----------
    variances : array_like, shape (D,)
        Variances per unit of time, not negative.

    Examples
    --------
    >>> diagonal([4.0, 0.0]).covariance.tolist()
    [[4.0, 0.0], [0.0, 0.0]]
    """
    variances = checks.array("variances", variances, shape=(None,))
    if variances.size == 0 or variances.min() < 0:
        raise checks.InputError(
            f"variances={variances.tolist()}; expected at least one, none of them negative"
        )
    return Noise(len(variances), np.diag(np.sqrt(variances)), is_diagonal=True)


def proportional(factors: ArrayLike) -> Noise:
    """Make the noise ``b_i theta_i dW_i`` of geometric Brownian motion (Ito).

    Parameters
    ----------
    factors : array_like, shape (D,)
        b, one number for each component.

    Returns
    -------
    Noise

    Examples
    --------
    >>> proportional([0.5, 1.0]).dimension
    2
    """
    factors = checks.array("factors", factors, shape=(None,))
    return state_dependent(proportional_amplitude, len(factors), parameters=factors)


def state_dependent(
    amplitude: Callable[..., Any], dimension: int, *, parameters: ArrayLike = ()
) -> Noise:
    """Make an independent noise ``g_i(theta_i) dW_i`` in each component (Ito).

    Parameters
    ----------
    amplitude : callable
        ``amplitude(theta, parameters, out)``, compiled with ``numba.njit``. theta (D, L) has
        one column for each path. Row i of out (2 D, L) takes g_i, and row D + i its derivative in
        theta_i. g_i may depend on theta_i alone.
    dimension : int
        D.
    parameters : array_like, shape (P,)
        Numbers that `amplitude` gets as its second argument.

    Examples
    --------
    >>> import numba
    >>> @numba.njit
    ... def proportional(theta, parameters, out):
    ...     for lane in range(theta.shape[1]):
    ...         out[0, lane] = 0.5 * theta[0, lane]
    ...         out[1, lane] = 0.5
    >>> state_dependent(proportional, 1).covariance is None
    True
    """
    functions.require_callable("amplitude", amplitude)
    dimension = checks.integer("dimension", dimension, low=1)
    return Noise(dimension, None, True, amplitude, parameters, "own component", dimension)


@njit(**KERNEL)
def no_amplitude(theta, parameters, out):  # noqa: ARG001
    """Write zero; used where the noise is constant."""
    for i in range(out.shape[0]):
        for lane in range(out.shape[1]):
            out[i, lane] = 0.0


@njit(**KERNEL)
def proportional_amplitude(theta, parameters, out):
    """``b_i theta_i`` and its derivative; parameters: b (D,)."""
    dimension = theta.shape[0]
    for i in range(dimension):
        for lane in range(theta.shape[1]):
            out[i, lane] = parameters[i] * theta[i, lane]
            out[dimension + i, lane] = parameters[i]
