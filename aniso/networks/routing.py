"""Routes of a piecewise-linear network: the source unit of each entry, and its slope.

A *stage* is one linear layer with the poolings and activations after it. At fixed parameters every
entry of its result is one output unit of the linear layer times a slope. So the derivative of the
entry in the layer's parameters is the slope times the inputs of the unit.
"""

from typing import NamedTuple

import numpy as np

from aniso.networks import passes
from aniso.networks.fast.pooled import PooledConvolution
from aniso.networks.layers.convolution import Convolution
from aniso.networks.layers.dense import Dense
from aniso.networks.layers.fixed_linear import FixedLinear

CONVOLUTIONS = (Convolution, PooledConvolution)


class Stage(NamedTuple):
    """One linear layer on a chunk of n examples, examples first.

    Attributes
    ----------
    position : int
        Position of the layer in the stack.
    index : ndarray (n, units, cells) or None
        For each entry, the number of the convolution's output unit from which it comes. None for a
        dense layer, where entry and unit are the same.
    slope : ndarray (n, units, cells)
        Slope of each entry, 0 where an activation is flat. For a dense layer cells is 1.
    deltas : ndarray
        Deltas at the outputs of the linear layer, (units, \\*windows, n).
    """

    position: int
    index: np.ndarray | None
    slope: np.ndarray
    deltas: np.ndarray


def linear_positions(layers):
    """Return the positions of the dense, fixed and convolution layers."""
    kinds = (*CONVOLUTIONS, Dense, FixedLinear)
    return [i for i, layer in enumerate(layers) if isinstance(layer, kinds)]


def stages(layers, parameters, trail, delta):
    """Return the stages of one chunk.

    Parameters
    ----------
    layers, parameters, trail
        The stack on a chunk, as in :func:`aniso.networks.passes.forward`.
    delta : ndarray, shape (C, n)
        Deltas at the outputs.

    Returns
    -------
    list of Stage
    """
    deltas = passes.deltas(layers, parameters, trail, delta)
    positions = linear_positions(layers)
    count = delta.shape[-1]
    result = []
    for position, follower in zip(positions, [*positions[1:], len(layers)], strict=True):
        layer, memory = layers[position], trail[position]
        if isinstance(layer, CONVOLUTIONS):
            index = layer.start_route(memory)
        else:
            units = len(parameters[position][1]) if parameters[position] else len(memory)
            index = np.broadcast_to(np.arange(units)[:, None], (units, count))
        slope = np.ones(index.shape, delta.dtype)
        for later in range(position + 1, follower):
            index, slope = layers[later].route(trail[later], index, slope)
        if isinstance(layer, CONVOLUTIONS):
            units = layer.parameter_shapes(memory_shape(memory))[1][0]
            index, slope = (_examples_first(a, units, count) for a in (index, slope))
        else:
            index, slope = None, np.ascontiguousarray(slope.T)[:, :, None]
        own = deltas[position]
        if isinstance(layer, PooledConvolution):
            own = layer.unit_deltas(memory, own)
        result.append(Stage(position, index, slope, own))
    return result


def memory_shape(memory):
    """Return the input shape (channels, h, w) of a convolution, from its memory."""
    return memory.prepared.shape if hasattr(memory, "prepared") else memory.shape


def _examples_first(array, units, count):
    return np.ascontiguousarray(array.reshape(units, -1, count).transpose(2, 0, 1))
