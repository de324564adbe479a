"""Passes through a stack of layers: forward, backward, tangent, second order.

All functions work on one chunk of examples, batch axis last. `parameters` is the unpacked theta,
one tuple for each layer. A *trail* is the list of the layers' memories of one forward pass.
"""

from array_api_compat import array_namespace

from aniso.arrays import functions


def forward(layers, parameters, prepared):
    """Return the outputs (C, n) and the trail."""
    hidden, trail = prepared, []
    for position, (layer, own) in enumerate(zip(layers, parameters, strict=True)):
        hidden, memory = layer.forward(own, hidden if position == 0 else layer.prepare(hidden))
        trail.append(memory)
    return hidden, trail


def first_parameterised(parameters):
    """Return the position of the first layer with parameters, where backward passes stop."""
    return next(i for i, own in enumerate(parameters) if own)


def deltas(layers, parameters, trail, delta):
    """Return deltas (..., \\*output_shape, n) at the outputs of every layer.

    They are None below the first layer with parameters, where they are not needed.
    """
    first = first_parameterised(parameters)
    result = [None] * len(layers)
    for position in reversed(range(first, len(layers))):
        result[position] = delta
        if position > first:
            delta = layers[position].backward(parameters[position], trail[position], delta)
    return result


def gradient(layers, parameters, trail, delta):
    """Return the flat gradient (..., D), summed over the examples, of deltas (..., C, n)."""
    first, parts, num_leading = first_parameterised(parameters), [], delta.ndim - 2
    for position in reversed(range(first, len(layers))):
        delta, own = layers[position].backward_and_gradient(
            parameters[position], trail[position], delta, position > first
        )
        parts.append(own)
    return flat([array for own in reversed(parts) for array in own], num_leading)


def flat(arrays, num_leading):
    """Return arrays of parameter shapes joined along one last axis, after `num_leading` axes."""
    lead = arrays[0].shape[:num_leading]
    xp = array_namespace(arrays[0])
    return xp.concat([xp.reshape(array, (*lead, -1)) for array in arrays], axis=-1)


def tangent(layers, parameters, trail, directions):
    """Return tangents of the outputs (K, C, n) along K directions, and the layers' traces."""
    moved, traces = None, []
    for layer, own, memory, direction in zip(layers, parameters, trail, directions, strict=True):
        moved, trace = layer.tangent(own, memory, direction, moved)
        traces.append(trace)
    return moved, traces


def gradient_tangent(layers, parameters, trail, directions, traces, delta_tangent, fixed_deltas):
    """Return the tangent of the gradient: the tangents of the outputs' deltas, pulled back.

    Parameters
    ----------
    layers, parameters, trail
        The stack on a chunk, as in :func:`forward`.
    directions : list of tuple of ndarray
        K directions, unpacked.
    traces : list
        From :func:`tangent`.
    delta_tangent : ndarray, shape (K, C, n)
        Tangents of the deltas at the outputs.
    fixed_deltas : list of ndarray or None
        From :func:`deltas`. With them the second-order parts are included and the result is a
        Hessian product; with None it is a generalised Gauss-Newton product.

    Returns
    -------
    ndarray, shape (K, D)
    """
    first, parts = first_parameterised(parameters), []
    for position in reversed(range(first, len(layers))):
        layer, own, memory = layers[position], parameters[position], trail[position]
        moved, grads = layer.backward_and_gradient(own, memory, delta_tangent, position > first)
        # the first layer's inputs are data: their tangents are zero, their deltas not needed
        curved = position > first or not layer.linear_in_parameters
        if fixed_deltas is not None and curved:
            more, extra = layer.second_order(
                own, memory, directions[position], traces[position], fixed_deltas[position]
            )
            if more is not None and moved is not None:
                moved += more
            if extra is not None:
                for array, addend in zip(grads, extra, strict=True):
                    if addend is not None:
                        array += addend
        delta_tangent = moved
        parts.append(grads)
    return flat([array for own in reversed(parts) for array in own], 1)


def quadratic_forms(layers, parameters, trail, directions, output_hessians, fixed_deltas):
    """Return ``sum_i v^T H_i v`` for each direction v, shape (K,), from the tangent pass alone.

    The Gauss-Newton part is ``z'^T S z'``, z' the tangents of the outputs. A layer with parameters
    adds ``2 <delta, V a'>``, an activation ``<delta rho'', z'^2>``.
    """
    moved, total = None, 0.0
    for position, (layer, own) in enumerate(zip(layers, parameters, strict=True)):
        memory, direction = trail[position], directions[position]
        if fixed_deltas[position] is not None:
            form = layer.second_order_form(own, memory, direction, moved, fixed_deltas[position])
            if form is not None:
                total = total + form
        moved, _ = layer.tangent(own, memory, direction, moved)
    return total + _inner(weighted(output_hessians, moved), moved)


def weighted(matrices, tangents):
    """Return ``S_i z_i`` for matrices (n, C, C) and tangents (K, C, n)."""
    xp = array_namespace(matrices)
    product = matrices @ xp.permute_dims(tangents, (2, 1, 0))
    return functions.contiguous(xp.permute_dims(product, (2, 1, 0)))


def _inner(first, second):
    xp, shape = array_namespace(first), (first.shape[0], -1)
    return functions.inner_products(xp.reshape(first, shape), xp.reshape(second, shape))
