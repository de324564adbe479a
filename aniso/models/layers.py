"""Flat parameters of dense layers: theta = (W_1 row by row, b_1, W_2, b_2, ...)."""

import math

import autograd.numpy as anp
import numpy as np

from aniso import checks


def num_parameters(layer_shapes):
    """Number of weights and biases of layers of shapes (outputs, inputs).

    Examples
    --------
    >>> num_parameters(((3, 2), (1, 3)))
    13
    """
    return sum(num_outputs * (num_inputs + 1) for num_outputs, num_inputs in layer_shapes)


def unflattened(layer_shapes, theta):
    """Pairs (weights (..., out, in), biases (..., out)) of theta (..., D)."""
    expected = num_parameters(layer_shapes)
    if theta.ndim < 1 or theta.shape[-1] != expected:
        raise checks.InputError(
            f"theta has shape {theta.shape}; expected its last axis to have D={expected} entries"
        )
    leading, start, pairs = theta.shape[:-1], 0, []
    for num_outputs, num_inputs in layer_shapes:
        middle, stop = start + num_outputs * num_inputs, start + num_outputs * (num_inputs + 1)
        weights = anp.reshape(theta[..., start:middle], (*leading, num_outputs, num_inputs))
        pairs.append((weights, theta[..., middle:stop]))
        start = stop
    return pairs


def affine(weights, biases, inputs):
    """Pre-activations ``x W^T + b``, shape (..., n, out), of inputs (..., n, in)."""
    return anp.matmul(inputs, anp.swapaxes(weights, -1, -2)) + biases[..., None, :]


def uniform_parameters(layer_shapes, rng):
    """Random theta (D,), every entry of a layer uniform on ``(-1, 1) / sqrt(inputs)``.

    Raises
    ------
    InputError
        If `rng` is not a ``numpy.random.Generator``.
    """
    checks.generator("rng", rng)
    parts = [
        rng.uniform(-1.0, 1.0, num_outputs * (num_inputs + 1)) / math.sqrt(num_inputs)
        for num_outputs, num_inputs in layer_shapes
    ]
    return np.concatenate(parts)


def parameter_rows(deltas, layer_inputs):
    """Per-example parameter gradients, ``(delta h^T, delta)`` of every layer, shape (..., n, D).

    Parameters
    ----------
    deltas : sequence of arrays, shape (..., n, out_l)
        Derivative of a scalar of each example in the layer's pre-activations.
    layer_inputs : sequence of arrays, shape (n, in_l)
    """
    leading = deltas[0].shape[:-1]
    shapes = [(d.shape[-1], h.shape[-1]) for d, h in zip(deltas, layer_inputs, strict=True)]
    rows = np.empty((*leading, num_parameters(shapes)))
    start = 0
    for delta, hidden, (num_outputs, num_inputs) in zip(deltas, layer_inputs, shapes, strict=True):
        middle, stop = start + num_outputs * num_inputs, start + num_outputs * (num_inputs + 1)
        block = rows[..., start:middle].reshape(*leading, num_outputs, num_inputs)
        if np.may_share_memory(block, rows):
            np.multiply(delta[..., None], hidden[..., None, :], out=block)
        else:
            rows[..., start:middle] = np.multiply(delta[..., None], hidden[..., None, :]).reshape(
                *leading, -1
            )
        rows[..., middle:stop] = delta
        start = stop
    return rows


def parameter_sum(deltas, layer_inputs):
    """Sum over examples of :func:`parameter_rows`, shape (D,), without forming the rows."""
    parts = []
    for delta, hidden in zip(deltas, layer_inputs, strict=True):
        parts += [(delta.T @ hidden).ravel(), delta.sum(axis=0)]
    return np.concatenate(parts)
