"""Compiled steps of SGD for one hidden layer: many small batches in one call."""

import math

import numpy as np

from aniso.arrays import njit
from aniso.networks.hidden import kernel


@njit(nogil=True, error_model="numpy")
def sgd_steps(
    theta, units, fixed, kind, shape, work, loss, margin, inputs, targets, learning_rates
):
    """Take steps of SGD, theta in place, until one has no finite result; return their number.

    The arguments are those of :mod:`aniso.networks.hidden.kernel`, with inputs (T, d, m) and
    targets (T, m, C) of every step.
    """
    outputs, values = np.empty((0, 1)), np.empty(0)
    gradient, moved, real = np.empty_like(theta), np.empty_like(theta), theta.dtype.type
    size = real(inputs.shape[2])
    for step in range(len(learning_rates)):
        kernel.first_order(
            theta,
            units,
            fixed,
            kind,
            shape,
            work,
            loss,
            margin,
            inputs[step],
            targets[step],
            outputs,
            values,
            gradient,
        )
        rate, is_finite = real(learning_rates[step]), True
        for i in range(len(theta)):
            moved[i] = theta[i] - rate * (gradient[i] / size)
            is_finite &= math.isfinite(moved[i])
        if not is_finite:
            return step
        theta[:] = moved
    return len(learning_rates)
