"""Flat parameters of dense layers: theta = (W_1 row by row, b_1, W_2, b_2, ...)."""

import math

import autograd.numpy as anp
import numpy as np
from autograd.extend import defvjp, primitive
from autograd.numpy.numpy_vjps import unbroadcast_f

from aniso import checks

SHORT_AXIS = 8


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
    products = anp.matmul(inputs, anp.swapaxes(weights, -1, -2))
    return add_to_fresh(products, biases[..., None, :])


@primitive
def add_to_fresh(fresh, addend):
    """``fresh + addend``, overwriting `fresh`: an array of the full shape that nobody else holds.

    A fresh array of activations costs more than the addition does.
    """
    fresh += addend
    return fresh


defvjp(
    add_to_fresh,
    lambda ans, fresh, addend: lambda g: g,  # noqa: ARG005
    lambda ans, fresh, addend: unbroadcast_f(addend, lambda g: g),  # noqa: ARG005
)


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


def write_parameter_rows(rows, deltas, layer_inputs):
    """Per-example parameter gradients, ``(delta h^T, delta)`` of every layer, written to `rows`.

    Parameters
    ----------
    rows : array, shape (n, D)
        Overwritten.
    deltas : sequence of arrays, shape (n, out_l)
        Derivative of a scalar of each example in the layer's pre-activations.
    layer_inputs : sequence of arrays, shape (n, in_l)
    """
    start = 0
    for delta, hidden in zip(deltas, layer_inputs, strict=True):
        num_outputs, num_inputs = delta.shape[1], hidden.shape[1]
        middle, stop = start + num_outputs * num_inputs, start + num_outputs * (num_inputs + 1)
        if num_inputs < SHORT_AXIS:
            # the loop over a short axis would be NumPy's innermost one
            for j in range(num_inputs):
                np.multiply(
                    delta, hidden[:, j : j + 1], out=rows[:, start + j : middle : num_inputs]
                )
        else:
            outer = np.multiply(delta[:, :, None], hidden[:, None, :])
            rows[:, start:middle] = outer.reshape(len(rows), -1)
        rows[:, middle:stop] = delta
        start = stop
