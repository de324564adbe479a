"""Increments of the noise, and mirrors at walls, on panels (D, LANES).

Kernels take the increments of one form of noise as a pointer, so that no other form is compiled.
Constant diagonal noise is a part of the kernels: a call would cost a tenth of its step.
"""

import math

import numpy as np

from aniso.arrays import (
    njit,
)
from aniso.langevin._kernels.panels import multiply
from aniso.langevin._kernels.streams import INNER, LANES

FULL, DIAGONAL, OWN_COMPONENT, DIAGONAL_OF_THETA, FACTOR_OF_THETA, COVARIANCE_OF_THETA = range(6)
"""Forms of noise: two constant ones, then those whose function is called at every step."""

NOT_FINITE, NOT_SEMIDEFINITE = 1, 2
"""First entry of a kernel's `failure`: a state is not finite, or Sigma is no covariance there."""

_ROUNDING = 8 * np.finfo(np.float64).eps


def full_increments(form, factor, spread, rank, root, wiener, work, broken, out):  # noqa: ARG001
    """Write F wiener, without the root, into `out`, which has as many rows as the padded F."""
    multiply(factor, wiener, out)
    return 0


def no_increments(form, factor, spread, rank, root, wiener, work, broken, out):  # noqa: ARG001
    """Write nothing: kernels scale the rows of constant diagonal noise themselves."""
    return 0


def increments_at_theta(form, factor, spread, rank, root, wiener, work, broken, out):  # noqa: ARG001
    """Write root F(theta) wiener; returns the number of lanes whose Sigma is no covariance."""
    dimension = work.shape[0] - 1
    return noise_increments(form, spread, rank, root, wiener, work, broken, out[:dimension])


@njit(**INNER)
def noise_increments(form, spread, rank, root, wiener, work, broken, out):
    """`out` = root F(theta) wiener; returns the number of lanes whose Sigma is no covariance.

    `spread` holds what the function of the noise wrote. A covariance in it is replaced by its
    factor. `broken` (LANES,) is 1 in the lanes that are counted. `work` (D + 1, LANES) is
    overwritten.
    """
    dimension = out.shape[0]
    count = 0
    if form in (OWN_COMPONENT, DIAGONAL_OF_THETA):
        for i in range(dimension):
            for lane in range(LANES):
                out[i, lane] = root * spread[i, lane] * wiener[i, lane]
        return count
    if form == COVARIANCE_OF_THETA:
        count = cholesky(spread, dimension, work, broken)
    for i in range(dimension):
        for lane in range(LANES):
            out[i, lane] = 0.0
        for j in range(rank if form == FACTOR_OF_THETA else i + 1):
            for lane in range(LANES):
                out[i, lane] += root * spread[i * rank + j, lane] * wiener[j, lane]
    return count


@njit(**INNER)
def cholesky(spread, dimension, work, broken):
    """Replace Sigma by its lower triangular factor in each lane; returns the number of failures.

    Row ``i D + j`` of `spread` holds Sigma_ij; the lower triangle is read and overwritten. A pivot
    within rounding of zero is zero, and so is its column, as in every factor of a semi-definite
    matrix. `broken` is 1 in lanes with a negative pivot, or with a column beside a zero pivot.
    `work` (D + 1, LANES) is overwritten.
    """
    tolerance = _ROUNDING * dimension
    pivot, scale = work[dimension], work
    for lane in range(LANES):
        broken[lane] = 0.0
    for i in range(dimension):
        for lane in range(LANES):
            scale[i, lane] = abs(spread[i * dimension + i, lane])
    for j in range(dimension):
        diagonal = j * dimension + j
        for lane in range(LANES):
            pivot[lane] = spread[diagonal, lane]
        for k in range(j):
            for lane in range(LANES):
                pivot[lane] -= spread[j * dimension + k, lane] ** 2
        for lane in range(LANES):
            smallest = tolerance * scale[j, lane]
            if pivot[lane] < -smallest:
                broken[lane] = 1.0
            # a NaN stays one
            root = math.sqrt(pivot[lane]) if not pivot[lane] <= smallest else 0.0
            spread[diagonal, lane] = root
            pivot[lane] = 1.0 / root if root != 0.0 else 0.0
        for i in range(j + 1, dimension):
            row = i * dimension
            for k in range(j):
                for lane in range(LANES):
                    spread[row + j, lane] -= spread[row + k, lane] * spread[j * dimension + k, lane]
            for lane in range(LANES):
                rest = spread[row + j, lane]
                if pivot[lane] == 0.0 and rest * rest > tolerance * scale[i, lane] * scale[j, lane]:
                    broken[lane] = 1.0
                spread[row + j, lane] = rest * pivot[lane]
    count = 0
    for lane in range(LANES):
        count += 1 if broken[lane] > 0.0 else 0
    return count


@njit(**INNER)
def reflect(panel, walls):
    """Mirror each state at the walls that it has passed; `walls` (2, D) holds low and high ends."""
    for i in range(panel.shape[0]):
        low, high = walls[0, i], walls[1, i]
        for lane in range(LANES):
            value = panel[i, lane]
            if value < low:
                value = 2.0 * low - value
            elif value > high:
                value = 2.0 * high - value
            if value < low or value > high:
                # a step longer than the box
                turn = 2.0 * (high - low)
                value = (value - low) % turn
                value = low + min(value, turn - value)
            panel[i, lane] = value
