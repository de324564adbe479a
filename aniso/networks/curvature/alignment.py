"""Alignment ``Tr(H Sigma)`` of a network, exact, in total and by layer.

With centred gradients c_j = g_j - g, roots L_i of the Hessians in the outputs and the cross-layer
matrix B,

    Tr(H Sigma) = (1/N^2) sum_ij |L_i^T J_i c_j|^2 + (1/N) sum_j c_j^T B c_j.

The first sum has all products of Jacobians with gradients. Of a dense layer they are products,
entry by entry, of two N x N Gram matrices. See "Exact alignment of a network" in
docs/theory/networks.md.
"""

import numpy as np

from aniso.arrays import functions, places, transfer
from aniso.matrices import BlockAlignment, block_alignment, centred_squares
from aniso.networks.parameter_blocks import blocks_of

_FORMS = 128
_ROW_ENTRIES = 2**25


def from_factors(factors, bilinear, gradients):
    """Return ``Tr(H Sigma_1)`` and the layers' parts from the cache, a pair (float, ndarray)."""
    workers = factors.network.workers
    total, by_layer = gauss_newton_part(factors, gradients, workers)
    return total + bilinear_part(bilinear, gradients, workers), by_layer


def from_forms(at, gradients):
    """Return the same without a cache, from ``c^T H c`` of every centred gradient c.

    Parameters
    ----------
    at : Linearisation
        The network linearised at one theta.
    gradients : GradientFactors or StreamedGradients
        Every row is formed once.

    Returns
    -------
    total : float
    by_layer : ndarray
    """
    blocks = blocks_of(at.network.stack)
    mean, (count, dimension) = gradients.mean(), gradients.shape
    step = max(1, min(_FORMS, _ROW_ENTRIES // dimension))
    if gradients.rows_at_once is not None:
        step = min(step, gradients.rows_at_once)

    def sum_of_forms(rows):
        return float(functions.double_sum(at.quadratic_forms(rows.T)))

    total, by_layer = 0.0, np.zeros(len(blocks))
    for start in range(0, count, step):
        rows = gradients.rows(start, min(start + step, count))
        rows -= mean
        total += sum_of_forms(rows)
        if len(blocks) == 1:
            by_layer[0] = total
            continue
        for number, block in enumerate(blocks):
            own = places.namespace(rows).zeros_like(rows)
            own[:, block.whole] = rows[:, block.whole]
            by_layer[number] += sum_of_forms(own)
    return total / count, by_layer / count


def summary(network, gradients, hessian_diagonal, total, by_layer):
    """Return the alignment with the traces of curvature and noise.

    Parameters
    ----------
    network : Network
        The network.
    gradients : GradientFactors
        Gradients of the examples.
    hessian_diagonal : ndarray, shape (D,)
        Diagonal of H.
    total : float
        Tr(H Sigma).
    by_layer : ndarray, shape (layers,)
        Alignment of the diagonal block of each layer.

    Returns
    -------
    BlockAlignment
    """
    blocks = blocks_of(network.stack)
    squares, rounding = centred_squares.centred_square_sums(gradients, gradients.mean())
    squares, rounding = squares / gradients.shape[0], rounding / gradients.shape[0]
    hessian_diagonal = transfer.to_numpy(hessian_diagonal)
    parts = [block.whole for block in blocks]
    noise, noise_trace = block_alignment.block_traces(squares, rounding, parts)
    error = 8 * np.finfo(hessian_diagonal.dtype).eps * np.abs(hessian_diagonal)
    curvature, curvature_trace = block_alignment.block_traces(hessian_diagonal, error, parts)
    return BlockAlignment(
        names=tuple(network.blocks),
        sizes=np.array([block.size for block in blocks]),
        hessian_traces=curvature,
        covariance_traces=noise,
        alignments=np.where(noise == 0, 0.0, by_layer),
        alignment=float(total) if noise_trace != 0 else 0.0,
        hessian_trace=curvature_trace,
        covariance_trace=noise_trace,
    )


def gauss_newton_part(factors, gradients, workers):
    """Return ``Tr(G Sigma_1)`` and the layers' ``Tr(G_ll Sigma_ll)``, a pair (float, ndarray).

    Parameters
    ----------
    factors : GaussNewton
        Cached factors of G.
    gradients : GradientFactors
        Gradients of the examples.
    workers : Workers
        Threads over blocks of rows.

    Returns
    -------
    total : float
    by_layer : ndarray
        In the order of the parameters.
    """
    mean = gradients.mean()
    blocks = sorted((*factors.layout.stored, *factors.layout.factored), key=lambda b: b.start)
    centred = {b: rows - mean[b.whole] for b, rows in gradients.stored.items()}

    def of_rows(rows):
        squares, total = np.zeros(len(blocks) + 1), 0.0
        for number, block in enumerate(blocks):
            own = _products(factors, gradients, centred, mean, rows, block)
            squares[number] = _square(own)
            total = own if number == 0 else np.add(total, own, out=total)
        squares[-1] = _square(total)
        return squares

    squares = workers.sum(of_rows, factors.row_blocks(_num_blocks(factors, gradients)))
    squares /= factors.num_examples * gradients.shape[0]
    return float(squares[-1]), squares[:-1]


def _num_blocks(factors, gradients):
    # a block's products stay within some 30 MB
    entries = factors.layout.num_rows * factors.layout.rank * gradients.shape[0]
    return max(8, entries // 4_000_000)


def _products(factors, gradients, centred, mean, rows, block):
    # L_i^T J_i c_j restricted to one layer, (n r, N)
    count = rows.stop - rows.start
    rank = factors.layout.rank
    if block in factors.pullbacks:
        pullbacks = factors.pullbacks[block][rows].swapaxes(1, 2).reshape(count * rank, -1)
        inputs, deltas = gradients.factored[block]
        own = factors.inputs[block][rows] @ inputs.T
        products = (pullbacks @ deltas.T).reshape(count, rank, -1)
        products *= own[:, None]
        products = products.reshape(count * rank, -1)
        moved = factors.inputs[block][rows] @ block.inputs_first(mean[:, None])
        shift = np.matmul(factors.pullbacks[block][rows].swapaxes(1, 2), moved[:, :, None])
        products -= shift.reshape(-1, 1)
        return products
    first = 0
    for other in factors.layout.stored:
        if other == block:
            break
        first += other.size
    stored = factors.rows[rows].reshape(count * rank, -1)[:, first : first + block.size]
    if block in centred:
        return stored @ centred[block].T
    inputs, deltas = gradients.factored[block]
    weights = stored[:, : block.num_units * block.num_inputs]
    moved = weights.reshape(-1, block.num_inputs) @ inputs[:, :-1].T
    moved = moved.reshape(count * rank, block.num_units, -1)
    moved += stored[:, block.num_units * block.num_inputs :, None]
    products = np.einsum("iuj,ju->ij", moved, deltas)
    products -= stored @ mean[block.whole][:, None]
    return products


def _square(array):
    return float(np.einsum("ij,ij->", array, array, dtype=np.float64))


def bilinear_part(bilinear, gradients, workers, num_columns=64):
    """Return ``Tr(B Sigma_1)``, float, from forms of blocks of centred gradients."""
    mean, count = gradients.mean(), gradients.shape[0]

    def of_rows(start):
        rows = gradients.rows(start, min(start + num_columns, count))
        rows -= mean
        return bilinear.quadratic_forms(np.ascontiguousarray(rows.T)).sum()

    parts = workers.map(of_rows, range(0, count, num_columns))
    return float(np.sum(parts)) / count
