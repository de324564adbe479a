"""Underdamped Langevin motion as an equation of theta and its velocity, for every drift.

``dtheta = v dt``, ``mass dv = (-grad L - friction v) dt + Sigma^{1/2} dW``. It is an equation in
2 D dimensions, (theta, v), so that ensembles, exits and schemes take it like any other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numba
import numpy as np

from aniso import checks
from aniso.closed_forms import checked_momentum
from aniso.langevin import drifts, functions, noises, problems
from aniso.langevin._kernels.streams import KERNEL
from aniso.matrices import operands

if TYPE_CHECKING:
    from aniso.langevin.drifts import Drift
    from aniso.langevin.noises import Noise
    from aniso.langevin.problems import LangevinProblem
    from aniso.typing import ArrayLike, Matrix


def underdamped_problem(
    drift: Drift,
    noise: Noise,
    mass: float,
    friction: float,
    start: ArrayLike,
    *,
    velocity: ArrayLike | None = None,
) -> LangevinProblem:
    """Return the equation ``mass dv = (-grad L - friction v) dt + Sigma^{1/2} dW`` of (theta, v).

    Parameters
    ----------
    drift : aniso.langevin.drifts.Drift
        ``-grad L`` in D dimensions.
    noise : aniso.langevin.noises.Noise
        ``Sigma^{1/2} dW`` in D dimensions, constant.
    mass : float
        mu > 0.
    friction : float
        gamma >= 0.
    start : array_like, shape (D,)
        theta at time 0.
    velocity : array_like, shape (D,), optional
        v at time 0; zero if not given.

    Returns
    -------
    LangevinProblem
        In 2 D dimensions: theta, then v. Its potential is the loss of theta.

    Raises
    ------
    InputError
        If an argument breaks its rule, or the noise depends on theta.

    Notes
    -----
    Regions of its exits lie in 2 D dimensions too, for instance a half-space whose normal is zero
    for v. theta is differentiable, so that "grid" and "bridge" detect the same exits of theta, late
    by less than a step. Stationary covariance on a quadratic:
    :func:`aniso.closed_forms.underdamped_stationary_covariance`.

    Examples
    --------
    >>> problem = underdamped_problem(
    ...     drifts.of_quadratic([[3.0]]), noises.diagonal([4.0]), 0.5, 1.0, [1.0], velocity=[2.0]
    ... )
    >>> drifts.at(problem.drift, [1.0, 2.0]).tolist()  # v, and (-3 - 2) / 0.5
    [2.0, -10.0]
    >>> problem.noise.covariance.tolist()
    [[0.0, 0.0], [0.0, 16.0]]
    """
    flat = problems.LangevinProblem(drift, noise, start)
    mass = checks.number("mass", mass, low=0, strict=True)
    friction = checks.number("friction", friction, low=0)
    velocity = np.zeros(drift.dimension) if velocity is None else velocity
    velocity = checks.array("velocity", velocity, shape=(drift.dimension,))
    if noise.factor is None:
        raise checks.InputError(
            "the noise depends on theta; expected constant noise, from noises.constant, "
            "noises.low_rank or noises.diagonal"
        )
    factor = np.vstack([np.zeros_like(noise.factor), noise.factor / mass])
    if noise.is_diagonal:
        both = noises.diagonal(np.sum(factor**2, axis=1))
    else:
        both = noises.low_rank(factor)
    potential = drift.potential
    made = drifts.of_function(
        _of_position_and_velocity(drift.function),
        2 * drift.dimension,
        parameters=np.concatenate([[mass, friction], drift.parameters]),
        potential=None if potential is None else _of_position(potential),
    )
    return problems.LangevinProblem(made, both, np.concatenate([flat.start, velocity]))


def heavy_ball_equation(
    drift: Drift,
    minibatch_covariance: Matrix,
    learning_rate: float,
    momentum: float,
    start: ArrayLike,
) -> LangevinProblem:
    """Return the continuous limit of ``m <- beta m + grad L + eps``, ``theta <- theta - eta m``.

    Its mass is eta, its friction 1 - beta and its diffusion covariance eta S. Step k of the chain
    is at the time k eta, as without momentum, and v is -m.

    Parameters
    ----------
    drift : aniso.langevin.drifts.Drift
        ``-grad L``.
    minibatch_covariance : array_like, shape (D, D), or any other covariance
        S, the covariance of eps, constant.
    learning_rate : float
        eta > 0.
    momentum : float
        beta, ``0 <= beta < 1``.
    start : array_like, shape (D,)
        theta at time 0; v is 0.

    Returns
    -------
    LangevinProblem
        In 2 D dimensions: theta, then v.

    Raises
    ------
    InputError
        If an argument breaks its rule.

    Notes
    -----
    The chain is a step of size eta of this equation, with the new velocity in the step of theta.
    It is close where a step changes the velocity by little: ``1 - beta`` and
    ``sqrt(eta lambda_max)`` are small beside 1. Derived in docs/theory/motion.md.

    Examples
    --------
    >>> problem = heavy_ball_equation(drifts.of_quadratic([[3.0]]), [[4.0]], 0.25, 0.5, [1.0])
    >>> drifts.at(problem.drift, [1.0, 2.0]).tolist()  # v, and (-3 - 0.5 * 2) / 0.25
    [2.0, -16.0]
    """
    covariance = operands.dense_covariance(
        "minibatch_covariance", minibatch_covariance, "mini-batch"
    )
    learning_rate = checks.number("learning_rate", learning_rate, low=0, strict=True)
    momentum = checked_momentum(momentum)
    noise = noises.constant(learning_rate * covariance)
    return underdamped_problem(drift, noise, learning_rate, 1 - momentum, start)


def _of_position_and_velocity(force):
    """Return the drift of (theta, v) from that of theta; parameters: mass, friction, its own."""

    def drift(state, parameters, out):
        size, lanes = state.shape[0] // 2, state.shape[1]
        force(state[:size], parameters[2:], out[size:])
        for i in range(size):
            for lane in range(lanes):
                v = state[size + i, lane]
                out[i, lane] = v
                out[size + i, lane] = (out[size + i, lane] - parameters[1] * v) / parameters[0]

    return _made_like(drift, force)


def _of_position(potential):
    """Return a potential of (theta, v) from that of theta."""

    def loss(state, parameters, out):
        potential(state[: state.shape[0] // 2], parameters[2:], out)

    return _made_like(loss, potential)


def _made_like(function, inner):
    """Compile a function if the inner one is, and let trials treat it as they treat that one."""
    source = getattr(inner, "py_func", inner)
    function.__module__ = getattr(source, "__module__", function.__module__)
    return numba.njit(**KERNEL)(function) if functions.is_compiled(inner) else function
