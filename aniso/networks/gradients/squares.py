"""Squares of per-example gradients of a shared matrix: ``G_i = sum_p delta_ip x_ip^T``.

A convolution applies one matrix at P places of every example. So the gradient of example i is a sum
of P outer products. Its squared norm follows from the P x P Gram matrices of deltas and windows,

    |G_i|^2 = sum_{p,q} (delta_ip . delta_iq) (x_ip . x_iq),

with P (O + Q) multiplications a place instead of O Q. For small P this is cheaper than the
gradient. Squares of the entries need the gradients. Where P is at most 3, they are written as
products over pairs of places, which is one matrix product over all examples.
"""

import math

from aniso.arrays import (
    device,
    functions,
    namespace,
)

_BLOCK_ENTRIES = 2**18
_LARGEST_PAIRED = 3


def square_norms(deltas, columns):
    """Return ``|G_i|^2`` of every example, shape (n,), in double precision.

    Parameters
    ----------
    deltas : array, shape (O, P, n)
        Deltas of the O outputs at each of P places.
    columns : array, shape (Q, P, n)
        Inputs of the matrix there.

    Returns
    -------
    array, shape (n,)

    Examples
    --------
    >>> import numpy as np
    >>> square_norms(np.array([[[2.0]], [[1.0]]]), np.array([[[3.0]]]))  # G = (6, 3)
    array([45.])
    """
    xp = namespace(deltas)
    (num_outputs, num_places, count), num_inputs = deltas.shape, columns.shape[0]
    if num_places * (num_outputs + num_inputs) < num_outputs * num_inputs:
        first, second = _examples_first(deltas), _examples_first(columns)
        products = xp.matmul(xp.matrix_transpose(first), first)
        products *= xp.matmul(xp.matrix_transpose(second), second)
        return xp.sum(products, axis=(1, 2), dtype=xp.float64)
    parts = []
    for gradients in _gradients(deltas, columns):
        gradients *= gradients
        parts.append(xp.sum(gradients, axis=(1, 2), dtype=xp.float64))
    return xp.concat(parts) if count else xp.zeros(0, dtype=xp.float64, device=device(deltas))


def weighted_squares(deltas, columns, weights):
    """Return ``sum_i w_i G_i^2`` entry by entry, shape (O, Q).

    Parameters
    ----------
    deltas : array, shape (O, P, n)
        Deltas at O units, P places and n examples.
    columns : array, shape (Q, P, n)
        Inputs of the Q weights of a unit, at P places and n examples.
    weights : array, shape (n,)
        Of either sign.

    Returns
    -------
    array, shape (O, Q)

    Examples
    --------
    >>> import numpy as np
    >>> weighted_squares(np.array([[[2.0]], [[1.0]]]), np.array([[[3.0]]]), np.array([0.5]))
    array([[18. ],
           [ 4.5]])
    """
    xp = namespace(deltas)
    shape = deltas.shape[0], columns.shape[0]
    if deltas.shape[1] <= _LARGEST_PAIRED:
        return _paired_squares(deltas, columns, weights)
    total, start = xp.zeros((1, math.prod(shape)), dtype=deltas.dtype, device=device(deltas)), 0
    for gradients in _gradients(deltas, columns):
        gradients *= gradients
        stop = start + gradients.shape[0]
        total += weights[None, start:stop] @ xp.reshape(gradients, (stop - start, -1))
        start = stop
    return xp.reshape(total, shape)


def _paired_squares(deltas, columns, weights):
    # (sum_p d_p x_p)^2 = sum_p d_p^2 x_p^2 + 2 sum_{p<q} d_p d_q x_p x_q
    total = 0.0
    for place in range(deltas.shape[1]):
        for other in range(place + 1):
            factor = weights if place == other else 2 * weights
            left = deltas[:, place, :] * deltas[:, other, :] * factor
            right = columns[:, place, :] * columns[:, other, :]
            total = total + left @ right.T
    return total


def _gradients(deltas, columns):
    """Yield gradients (m, O, Q) of one block of examples after the other."""
    xp = namespace(deltas)
    entries = deltas.shape[0] * columns.shape[0]
    step = max(1, _BLOCK_ENTRIES // entries)
    for start in range(0, deltas.shape[2], step):
        block = slice(start, min(start + step, deltas.shape[2]))
        first = _examples_first(deltas[:, :, block])
        second = xp.matrix_transpose(_examples_first(columns[:, :, block]))
        yield xp.matmul(first, second)


def _examples_first(array):
    return functions.contiguous(namespace(array).permute_dims(array, (2, 0, 1)))
