"""Dense Gauss-Newton matrix from its cached factors.

Every task writes one rectangle of the lower triangle by a matrix product into the result. So
threads need neither locks nor partial matrices. The upper triangle is copied at the end.
"""

import numpy as np

from aniso.networks.matrix_products import accumulate_product

_PANEL = 192
_TILE = 256
_GROUP_ENTRIES = 2_000_000


def dense_matrix(factors, bilinear):
    """Return the matrix ``G + B``, shape (D, D), symmetric to the last bit.

    Parameters
    ----------
    factors : GaussNewton
        Cached factors of G.
    bilinear : Bilinear or None
        Part of H beyond Gauss-Newton; None where it is zero.

    Returns
    -------
    ndarray, shape (D, D)
    """
    workers, dimension = factors.network.workers, factors.num_parameters
    matrix = np.empty((dimension, dimension), factors.network.dtype)
    workers.map(_call, lower_triangle_tasks(factors, matrix))
    if bilinear is not None:
        workers.map(lambda block: block.add_dense(matrix), bilinear.blocks)
    workers.map(_call, mirror_tasks(matrix))
    return matrix


def layer_matrix(factors, layer):
    """Return the diagonal block of G of one layer, shape (P, P)."""
    workers = factors.network.workers
    matrix = np.empty((layer.size, layer.size), factors.network.dtype)
    workers.map(_call, lower_triangle_tasks(factors, matrix, layer))
    workers.map(_call, mirror_tasks(matrix))
    return matrix


def rows_product(matrix, workers, vectors):
    """Return ``matrix @ vectors``, rows of the result shared among the threads."""
    step = max(1, -(-len(matrix) // 16))
    parts = [slice(i, i + step) for i in range(0, len(matrix), step)]
    return np.concatenate(workers.map(lambda part: matrix[part] @ vectors, parts))


def _call(task):
    return task()


def lower_triangle_tasks(factors, matrix, layer=None):
    """Return tasks that together fill the lower triangle of G, diagonal blocks included.

    Parameters
    ----------
    factors : GaussNewton
        Cached factors of G.
    matrix : ndarray, shape (D, D), or (P, P) for one layer
        Written by the tasks.
    layer : ParameterBlock, optional
        If given, only the diagonal block of this layer is filled.

    Returns
    -------
    list of callable
        Without arguments, to be run in any order.
    """
    layout = factors.layout
    stored = [b for b in layout.stored if layer in (None, b)]
    factored = [b for b in layout.factored if layer in (None, b)]
    matrix = _Placed(matrix, 0 if layer is None else layer.start)
    tasks = []
    for late in stored:
        for first in range(0, late.size, _PANEL):
            panel = slice(first, min(first + _PANEL, late.size))
            tasks += [
                _stored_stored(factors, matrix, late, panel, e)
                for e in stored
                if e.start <= late.start
            ]
            tasks += [_stored_factored(factors, matrix, late, panel, t) for t in factored]
    for late in factored:
        for early in factored:
            if early.start <= late.start:
                tasks += [
                    _factored_pair(factors, matrix, late, unit, early)
                    for unit in range(late.num_units)
                ]
    return tasks


class _Placed:
    """A matrix whose first row and column have the number `origin`."""

    def __init__(self, matrix, origin):
        self.matrix, self.origin = matrix, origin

    def _shifted(self, index):
        if isinstance(index, slice):
            return slice(index.start - self.origin, index.stop - self.origin)
        return index - self.origin

    def __getitem__(self, place):
        return self.matrix[self._shifted(place[0]), self._shifted(place[1])]

    def __setitem__(self, place, values):
        self.matrix[self._shifted(place[0]), self._shifted(place[1])] = values


def mirror_tasks(matrix):
    """Return tasks that copy the lower triangle of a square array onto its upper one.

    Examples
    --------
    >>> matrix = np.array([[1.0, 0.0], [2.0, 3.0]])
    >>> for task in mirror_tasks(matrix):
    ...     task()
    >>> matrix
    array([[1., 2.],
           [2., 3.]])
    """
    size = len(matrix)

    def mirror(first):
        stop = min(first + _TILE, size)
        square = matrix[first:stop, first:stop]
        above = np.triu_indices(len(square), 1)
        square[above] = square.T[above]
        for start in range(0, first, _TILE):
            end = start + _TILE
            matrix[start:end, first:stop] = matrix[first:stop, start:end].T

    return [lambda first=first: mirror(first) for first in range(0, size, _TILE)]


def _columns(factors, block):
    # where a stored layer's columns begin among the stored ones
    start = 0
    for other in factors.layout.stored:
        if other == block:
            return start
        start += other.size
    raise KeyError(block)


def _stored_stored(factors, matrix, late, panel, early):
    def task():
        rows = factors.rows.reshape(-1, factors.rows.shape[2])
        first = _columns(factors, late)
        left = rows[:, first + panel.start : first + panel.stop]
        begin = _columns(factors, early)
        width = panel.stop if early == late else early.size
        target = matrix[
            late.start + panel.start : late.start + panel.stop, early.start : early.start + width
        ]
        scale = 1 / factors.num_examples
        accumulate_product(target, left.T, rows[:, begin : begin + width], alpha=scale, beta=0.0)

    return task


def _stored_factored(factors, matrix, stored, panel, factored):
    # rows of the later layer, columns of the earlier one; either may be stored
    def task():
        first = _columns(factors, stored)
        rows = factors.rows[:, :, first + panel.start : first + panel.stop]
        inputs = factors.inputs[factored]
        spread = np.matmul(factors.pullbacks[factored], rows)  # (n, units, panel)
        place = slice(stored.start + panel.start, stored.start + panel.stop)
        scale = 1 / factors.num_examples
        for unit in range(factored.num_units):
            own, bias = factored.unit(unit)
            values = spread[:, unit]
            if factored.start > stored.start:
                accumulate_product(
                    matrix[own, place], inputs[:, :-1].T, values, alpha=scale, beta=0.0
                )
                matrix[bias, place] = scale * values.sum(axis=0)
            else:
                accumulate_product(
                    matrix[place, own], values.T, inputs[:, :-1], alpha=scale, beta=0.0
                )
                matrix[place, bias] = scale * values.sum(axis=0)

    return task


def _factored_pair(factors, matrix, late, unit, early):
    # one unit of the later layer against all units of the earlier one, or those up to itself
    def task():
        inputs, others = factors.inputs[late], factors.inputs[early]
        scale = 1 / factors.num_examples
        num_units = unit + 1 if early == late else early.num_units
        weights = np.matmul(
            factors.pullbacks[early][:, :num_units], factors.pullbacks[late][:, unit, :, None]
        )[:, :, 0]
        weights *= np.asarray(scale, weights.dtype)
        step = max(1, _GROUP_ENTRIES // others.size)
        own, bias = late.unit(unit)
        for first in range(0, num_units, step):
            group = weights[:, first : first + step]
            spread = group[:, :, None] * others[:, None, :]
            count = spread.shape[1]
            product = inputs.T @ spread.reshape(len(spread), -1)
            product = product.reshape(len(product), count, -1)
            columns = slice(early.unit(first)[0].start, early.unit(first + count - 1)[0].stop)
            biases = slice(early.biases.start + first, early.biases.start + first + count)
            matrix[own, columns] = product[:-1, :, :-1].reshape(own.stop - own.start, -1)
            matrix[bias, columns] = product[-1, :, :-1].reshape(-1)
            matrix[bias, biases] = product[-1, :, -1]
            if early != late:
                matrix[own, biases] = product[:-1, :, -1]
                continue
            # the same numbers as rows of the earlier units' biases: below the diagonal
            matrix[biases, own] = product[:-1, :, -1].T

    return task
