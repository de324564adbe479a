"""Diagonals of Gauss-Newton and Hessian matrices without a cache, by backward passes.

In a piecewise-linear network the diagonals of H and G agree. A smooth activation adds
``sum_i delta_i rho''(z_i) (dz_i/dtheta)^2`` to the diagonal of H, for each of its entries z. See
"Diagonal of the Hessian with smooth activations" in docs/theory/networks.md.
"""

import math

from aniso.arrays import functions, places
from aniso.networks import passes
from aniso.networks.curvature import tangent_products

_UNITS = 8


def gauss_newton_diagonal(network, parameters, factors):
    """Return the diagonal of ``(1/N) sum_i J_i^T L_i L_i^T J_i``, (D,), in double precision.

    Parameters
    ----------
    network : Network
        The network.
    parameters : list of tuple of ndarray
        Unpacked theta.
    factors : ndarray, shape (N, C, r)
        L_i, square roots of the Hessians S_i of the losses in the outputs.

    Returns
    -------
    ndarray, shape (D,)
    """

    # columns of all factors pass back together, unless a memory budget is given
    blocks = [slice(0, factors.shape[2])]
    if network.memory_budget is not None:
        blocks = tangent_products.blocks(network, factors.shape[2])

    def of_chunk(chunk):
        _, trail = passes.forward(network.layers, parameters, network.prepared(chunk))
        xp = places.namespace(factors)
        columns = xp.permute_dims(factors[chunk.rows, ...], (2, 1, 0))
        columns = xp.astype(columns, network.place.dtype(network.dtype), copy=False)
        delta = functions.contiguous(columns)
        weights = network.place.zeros((1, chunk.size), network.dtype) + 1
        total = network.place.zeros((network.num_parameters,), "float64")
        for block in blocks:
            total += _weighted_squares(
                network, parameters, trail, delta[block, ...], len(network.layers), weights
            )
        return total

    return network.workers.sum(of_chunk, network.chunks()) / network.num_examples


def activation_diagonal(network, parameters):
    """Return the terms of smooth activations in the diagonal of the Hessian, in double precision.

    Parameters
    ----------
    network : Network
        The network.
    parameters : list of tuple of ndarray
        Unpacked theta.

    Returns
    -------
    ndarray, shape (D,)
        Zero for a piecewise-linear network.
    """
    layers, stack = network.layers, network.stack
    first = stack.parameterised[0]
    smooth = [
        position
        for position, layer in enumerate(layers)
        if not layer.piecewise_linear and (position > first or not layer.linear_in_parameters)
    ]

    def of_chunk(chunk):
        outputs, trail = passes.forward(layers, parameters, network.prepared(chunk))
        fixed = passes.deltas(
            layers, parameters, trail, network.output_deltas(outputs, chunk.targets)
        )
        total = network.place.zeros((network.num_parameters,), "float64")
        for position in smooth:
            entries = layers[position].curved_entries(
                parameters[position], trail[position], fixed[position]
            )
            for curvature, pull_back in entries:
                _add_curved(network, parameters, trail, position, curvature, pull_back, total)
        return total

    if not smooth:
        return network.place.zeros((network.num_parameters,), "float64")
    return network.workers.sum(of_chunk, network.chunks()) / network.num_examples


def _add_curved(network, parameters, trail, position, curvature, pull_back, total):
    # squared gradients of every entry of one activation, weighted with its curvature
    shape, xp = curvature.shape, places.namespace(curvature)
    entries = math.prod(shape[:-1])
    curvature = xp.reshape(curvature, (entries, -1))
    for start in range(0, entries, _UNITS):
        stop = min(start + _UNITS, entries)
        units = network.place.zeros((stop - start, entries, shape[-1]), network.dtype)
        for number in range(stop - start):
            units[number, start + number, :] = 1
        weights = curvature[start:stop, :]
        own, delta = pull_back(xp.reshape(units, (stop - start, *shape)), weights)
        if own is not None:
            part = network.stack.parameter_slices[position]
            total[part] += functions.double_sum(own, axis=0)
        if position > network.stack.parameterised[0]:
            total += _weighted_squares(network, parameters, trail, delta, position, weights)


def _weighted_squares(network, parameters, trail, delta, stop, weights):
    # sums over deltas and examples of weighted squared gradients of the layers below `stop`
    total = network.place.zeros((network.num_parameters,), "float64")
    first = network.stack.parameterised[0]
    for position in reversed(range(first, stop)):
        layer, memory = network.layers[position], trail[position]
        if parameters[position]:
            squares = layer.gradient_squares(memory, delta, weights)
            part = network.stack.parameter_slices[position]
            total[part] = functions.double_sum(squares, axis=0)
        if position > first:
            delta = layer.backward(parameters[position], memory, delta)
    return total
