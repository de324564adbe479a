"""Generalised Gauss-Newton matrix ``(1/N) sum_i J_i^T S_i J_i`` on cached per-example factors.

Let L_i (C x r) be a root of S_i, ``S_i = L_i L_i^T``. Example i contributes the r rows
``L_i^T J_i``. For a convolution these are stored. For a dense layer two factors are kept: the
inputs a_i, with a 1 for the bias, and the columns of L_i pulled back to the layer's outputs
(units x r). Examples with S_i = 0, such as clipped outputs, are left out. The number r is the
largest rank among the S_i, C - 1 for a softmax. See "Gauss-Newton matrix from factors" in
docs/theory/networks.md.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np

from aniso import checks
from aniso.arrays import places
from aniso.networks import passes
from aniso.networks.fast.row_products import add_row_products
from aniso.networks.layers.dense import Dense
from aniso.networks.parameter_blocks import blocks_of

# With r = 1, a dense layer is stored instead of factored up to this many numbers.
_STORED_ENTRIES = 16_000_000


def square_roots(matrices):
    """Return roots L_i of symmetric positive semi-definite matrices, ``S_i = L_i L_i^T``.

    Parameters
    ----------
    matrices : array, shape (n, C, C)
        S_i, of any array library.

    Returns
    -------
    array, shape (n, C, r)
        r is the largest rank among the S_i: C - 1 for a softmax. Eigenvalues below the rounding
        of the largest matrix count as zero.

    Raises
    ------
    InputError
        If a matrix has a negative eigenvalue beyond rounding: it has no such root.

    Examples
    --------
    >>> square_roots(np.array([[[4.0]]]))
    array([[[2.]]])
    >>> square_roots(np.array([[[1.0, 1.0], [1.0, 1.0]]])).shape
    (1, 2, 1)
    """
    xp = places.namespace(matrices)
    one_output = matrices.shape[-1] == 1
    values, vectors = (matrices[:, :, 0], None) if one_output else xp.linalg.eigh(matrices)
    threshold = 8 * values.shape[-1] * xp.finfo(values.dtype).eps * xp.max(xp.abs(values))
    lowest = float(xp.min(values))
    if lowest < -float(threshold):
        raise checks.InputError(
            f"the Hessian of the loss in the outputs has the eigenvalue {lowest:.3g} at this "
            "theta; expected a loss that is convex in the outputs: for any other use products, "
            "linearise(theta, 'tangents').hessian_product"
        )
    if one_output:
        return xp.sqrt(xp.clip(matrices, 0.0, None))
    num_positive = xp.sum(xp.astype(values > threshold, xp.int64), axis=1)
    first = values.shape[-1] - max(1, int(xp.max(num_positive)))
    values, vectors = values[:, first:], vectors[:, :, first:]
    return vectors * xp.sqrt(xp.clip(values, 0.0, None))[:, None, :]


@dataclass(frozen=True)
class Plan:
    """Layers whose rows are stored, and layers whose rows are kept as factors.

    Attributes
    ----------
    stored, factored : tuple of ParameterBlock
        Parameters of these layers.
    rank : int
        r.
    num_rows : int
        Number of examples that take part.
    """

    stored: tuple
    factored: tuple
    rank: int
    num_rows: int

    @property
    def num_stored(self):
        """Number of columns of the stored rows."""
        return sum(block.size for block in self.stored)

    def num_entries(self):
        """Return the number of entries of the cache."""
        factors = sum(b.num_inputs + 1 + b.num_units * self.rank for b in self.factored)
        return self.num_rows * (self.rank * self.num_stored + factors)

    def multiplications(self):
        """Return the multiplications of one product with a vector."""
        factored = sum(b.size + b.num_units * self.rank for b in self.factored)
        return 2 * self.num_rows * (self.rank * self.num_stored + factored)

    def dense_multiplications(self):
        """Return the multiplications of the dense lower triangle."""
        stored = self.num_stored
        sizes = [block.size for block in self.factored]
        total = self.rank * stored**2 // 2 + stored * sum(sizes)
        total += sum(sizes) ** 2 // 2
        return self.num_rows * total


def plan(stack, rank, num_rows):
    """Return the plan for a stack.

    Rows of convolutions are stored, and rows of dense layers where factors save nothing.

    Parameters
    ----------
    stack : Stack
        The layers.
    rank : int
        r.
    num_rows : int
        Number of examples that take part.

    Returns
    -------
    Plan
    """
    stored, factored = [], []
    for block in blocks_of(stack):
        dense = isinstance(stack.layers[block.position], Dense)
        small = rank == 1 and num_rows * block.size <= _STORED_ENTRIES
        (factored if dense and not small else stored).append(block)
    return Plan(tuple(stored), tuple(factored), rank, num_rows)


class GaussNewton:
    """Cached factors of one Gauss-Newton matrix, filled chunk by chunk.

    Parameters
    ----------
    network : Network
        The network.
    layout : Plan
        Which rows are stored, and which are kept as factors.
    num_examples : int
        N, by which sums are divided.
    """

    def __init__(self, network, layout, num_examples):
        self.network, self.layout, self.num_examples = network, layout, num_examples
        self.num_parameters, dtype = network.num_parameters, network.dtype
        count, rank = layout.num_rows, layout.rank
        self.rows = np.empty((count, rank, layout.num_stored), dtype)
        self.inputs = {b: np.ones((count, b.num_inputs + 1), dtype) for b in layout.factored}
        self.pullbacks = {b: np.empty((count, b.num_units, rank), dtype) for b in layout.factored}
        self._diagonal = np.zeros(self.num_parameters)

    def fill(self, rows, parameters, trail, factors):
        """Fill in the examples `rows` from their forward trail and roots L (n, C, r).

        Returns
        -------
        ndarray, shape (D,)
            Their part of the diagonal, not divided by N.
        """
        network = self.network
        delta = np.ascontiguousarray(factors.transpose(2, 1, 0), dtype=network.dtype)
        deltas = passes.deltas(network.layers, parameters, trail, delta)
        diagonal, start = np.zeros(self.num_parameters), 0
        for block in self.layout.stored:
            layer, memory = network.layers[block.position], trail[block.position]
            out = self.rows[rows, :, start : start + block.size]
            own = deltas[block.position]
            for number in range(self.layout.rank):
                layer.write_per_example_gradients(memory, own[number], out[:, number])
            diagonal[block.whole] = np.einsum("nrp,nrp->p", out, out, dtype=np.float64)
            start += block.size
        for block in self.layout.factored:
            memory, delta = trail[block.position], deltas[block.position]
            self.inputs[block][rows, :-1] = memory.T
            self.pullbacks[block][rows] = delta.transpose(2, 1, 0)
            squares = np.square(delta, dtype=np.float64).sum(axis=0)
            joined = squares @ np.square(self.inputs[block][rows], dtype=np.float64)
            block.scatter(joined[:, :, None], diagonal[:, None])
        return diagonal

    def finish(self, diagonals):
        """Add up the chunks' parts of the diagonal, in order."""
        for part in diagonals:
            self._diagonal += part
        self._diagonal /= self.num_examples

    @property
    def diagonal(self):
        """Diagonal of the matrix, shape (D,), accumulated in double precision."""
        return self._diagonal

    def product_tasks(self, vectors):
        """Return functions of nothing, whose sum is ``N G V`` for vectors (D, K), shape (D, K)."""
        stored = self._stored_part(vectors)
        firsts = {block: block.inputs_first(vectors) for block in self.layout.factored}
        return [partial(self._product_of, rows, stored, firsts) for rows in self.row_blocks()]

    def _product_of(self, rows, stored, firsts):
        # the part of the examples `rows`, from the vectors' entries at stored columns and `firsts`
        count, columns = rows.stop - rows.start, stored.shape[1]
        coefficients = np.zeros((count, self.layout.rank, columns), stored.dtype)
        for block, first in firsts.items():
            moved = (self.inputs[block][rows] @ first).reshape(count, block.num_units, columns)
            coefficients += np.matmul(self.pullbacks[block][rows].swapaxes(1, 2), moved)
        result = np.zeros((self.num_parameters, columns), stored.dtype)
        if self.layout.stored:
            self._add_stored(rows, stored, coefficients.reshape(-1, columns), result)
        for block in self.layout.factored:
            moved = np.matmul(self.pullbacks[block][rows], coefficients)
            moved = self.inputs[block][rows].T @ moved.reshape(count, -1)
            moved = moved.reshape(-1, block.num_units, columns).transpose(1, 0, 2)
            block.scatter(moved, result)
        return result

    def _stored_part(self, vectors):
        parts = [vectors[block.whole] for block in self.layout.stored]
        return np.concatenate([vectors[:0], *parts])

    def _add_stored(self, rows, vectors, coefficients, result):
        # completes the coefficients (n r, K), and adds their products with the stored rows
        own = self.rows[rows].reshape(-1, self.layout.num_stored)
        pulled, start = np.zeros_like(vectors), 0
        add_row_products(own, vectors, coefficients, coefficients, pulled)
        for block in self.layout.stored:
            result[block.whole] = pulled[start : start + block.size]
            start += block.size

    def row_blocks(self, num_blocks=8):
        """Return slices of the examples, one a task."""
        step = max(1, -(-self.layout.num_rows // num_blocks))
        return [
            slice(i, min(i + step, self.layout.num_rows))
            for i in range(0, self.layout.num_rows, step)
        ]
