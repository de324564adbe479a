"""Compiled losses with their first two derivatives in the outputs, in double precision.

They are those of :mod:`aniso.problems.losses`. Outputs, slopes and tangents are arrays (C, n),
the examples last.
"""

import math

import numpy as np

from aniso.arrays import njit
from aniso.networks.hidden.activations import INNER
from aniso.problems import MeanSquaredLoss, losses

_SQUARED, CLIPPED, _LOGISTIC, _SOFTMAX = range(4)


def described(output_loss, num_outputs):
    """Return kind and parameter of a loss for the kernels, None for a loss without a kernel.

    The parameter is the factor of the squared error, or the margin of the clipped one.

    Examples
    --------
    >>> described(losses.ClippedSquaredLoss(0.1), 1)
    (1, 0.1)
    """
    kind = type(output_loss)
    if kind is losses.SquaredLoss:
        return _SQUARED, 1.0
    if kind is MeanSquaredLoss:
        return _SQUARED, 1.0 / num_outputs
    if kind is losses.ClippedSquaredLoss:
        return CLIPPED, float(output_loss.delta)
    if kind is losses.LogisticLoss:
        return _LOGISTIC, 0.0
    if kind is losses.SoftmaxCrossEntropy:
        return _SOFTMAX, 0.0
    return None


@njit(**INNER)
def _expit(x):
    power = math.exp(-abs(x))
    return power / (1.0 + power) if x < 0.0 else 1.0 / (1.0 + power)


@njit(**INNER)
def _softmax(outputs, i, shares):
    """Write the probabilities of example i to `shares` (C,); return log sum exp."""
    num_outputs = outputs.shape[0]
    largest = np.float64(outputs[0, i])
    for c in range(1, num_outputs):
        # not a number is kept
        largest = largest if outputs[c, i] <= largest else np.float64(outputs[c, i])
    total = 0.0
    for c in range(num_outputs):
        shares[c] = math.exp(np.float64(outputs[c, i]) - largest)
        total += shares[c]
    for c in range(num_outputs):
        shares[c] /= total
    return largest + math.log(total)


@njit(**INNER)
def first_order(kind, parameter, outputs, n, targets, first, values, slopes):
    """Write the losses of n examples to `values`, if it is not empty, and gradients to `slopes`.

    `outputs` and `slopes` have the examples as columns 0..n-1. Targets (N, C), or (N, 1) for
    labels, and values (N,) are read and written from number `first` on.
    """
    num_outputs = len(outputs)
    wanted = len(values) > 0
    shares = np.empty(num_outputs)
    for i in range(n):
        value = 0.0
        if kind == _SQUARED:
            for c in range(num_outputs):
                rest = np.float64(outputs[c, i]) - targets[first + i, c]
                value += parameter * rest * rest
                slopes[c, i] = 2.0 * parameter * rest
        elif kind == CLIPPED:
            f, y = np.float64(outputs[0, i]), targets[first + i, 0]
            active = 1.0 if (f > parameter and f < 1.0 - parameter) else 0.0
            slopes[0, i] = active * (2.0 * (f - y))
            f = parameter if f < parameter else f
            f = 1.0 - parameter if f > 1.0 - parameter else f
            value = (f - y) * (f - y)
        elif kind == _LOGISTIC:
            sign = 1.0 - 2.0 * targets[first + i, 0]
            margin = sign * np.float64(outputs[0, i])
            slopes[0, i] = sign * _expit(margin)
            if wanted:
                value = (0.0 if margin <= 0.0 else margin) + math.log1p(math.exp(-abs(margin)))
        else:
            label = np.int64(targets[first + i, 0])
            value = _softmax(outputs, i, shares) - np.float64(outputs[label, i])
            others = 0.0
            for c in range(num_outputs):
                if c != label:
                    others += shares[c]
                    slopes[c, i] = shares[c]
            # p - 1 without a difference
            slopes[label, i] = -others
        if wanted:
            values[first + i] = value


@njit(**INNER)
def second_order(kind, parameter, outputs, n, tangents, moved):
    """Write the Hessians in the outputs times `tangents` to `moved`, columns 0..n-1."""
    num_outputs = len(outputs)
    shares = np.empty(num_outputs)
    for i in range(n):
        if kind == _SQUARED:
            for c in range(num_outputs):
                moved[c, i] = 2.0 * parameter * np.float64(tangents[c, i])
        elif kind == CLIPPED:
            f = np.float64(outputs[0, i])
            active = 1.0 if (f > parameter and f < 1.0 - parameter) else 0.0
            moved[0, i] = 2.0 * active * np.float64(tangents[0, i])
        elif kind == _LOGISTIC:
            f = np.float64(outputs[0, i])
            moved[0, i] = _expit(f) * _expit(-f) * np.float64(tangents[0, i])
        else:
            _softmax(outputs, i, shares)
            for c in range(num_outputs):
                # differences of tangents, not of probabilities
                own = 0.0
                for other in range(num_outputs):
                    step = np.float64(tangents[c, i]) - np.float64(tangents[other, i])
                    own += shares[other] * step
                moved[c, i] = shares[c] * own
