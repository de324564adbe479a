"""Per-example gradients kept as factors.

In a dense layer the gradient of example i is an outer product. Its factors are the deltas, and the
layer's inputs with an additional 1 for the bias. Deltas and inputs are kept. Gradients of other
layers are kept as rows. Products, Gram matrices and norms come from these factors; no (N, D) array
is formed.
"""

import numpy as np

from aniso import memory
from aniso.matrices import ExampleGradients
from aniso.networks import passes
from aniso.networks.layers.dense import Dense
from aniso.networks.parameter_blocks import blocks_of


def stored_entries(network):
    """Return the gradient entries of one example that are stored, and all numbers that are kept.

    Parameters
    ----------
    network : Network
        The network.

    Returns
    -------
    written, held : int

    Examples
    --------
    >>> from aniso import networks
    >>> from aniso.problems import losses
    >>> stack = networks.Stack((networks.Dense(3),), (2,))  # two inputs, a 1 and three deltas
    >>> stored_entries(networks.Network(stack, losses.SquaredLoss(), [[1.0, 2.0]], [[0.0] * 3]))
    (0, 6)
    """
    written = factors = 0
    for block in blocks_of(network.stack):
        if isinstance(network.layers[block.position], Dense):
            factors += block.num_inputs + 1 + block.num_units
        else:
            written += block.size
    return written, written + factors


class GradientFactors(ExampleGradients):
    """Gradients g_i of all examples at one theta, kept as factors.

    Parameters
    ----------
    network : Network
        Of NumPy.
    theta : ndarray, shape (D,)
        Point in parameter space.

    Attributes
    ----------
    shape : tuple
        (N, D).
    dtype : numpy.dtype
        Precision of the gradients.
    place : places.Place
        NumPy's.
    memory_budget : int or None
        Bytes that a quantity may take, if stated.
    rows_at_once : int or None
        Rows of D numbers that fit into the budget together.
    stored : dict of ParameterBlock to ndarray (N, P)
        Rows of layers whose gradients are stored.
    factored : dict of ParameterBlock to (ndarray (N, in + 1), ndarray (N, units))
        Inputs, with a 1, and deltas of layers whose gradients are products.
    """

    def __init__(self, network, theta):
        self.network = network
        self.shape = network.num_examples, network.num_parameters
        self.dtype, self.place = network.dtype, network.place
        self.memory_budget, self.rows_at_once = network.memory_budget, network.data.vectors_at_once
        blocks = blocks_of(network.stack)
        dense = [b for b in blocks if isinstance(network.layers[b.position], Dense)]
        others = [b for b in blocks if b not in dense]
        count = network.num_examples
        _, entries = stored_entries(network)
        memory.require(
            count * entries * self.dtype.itemsize,
            "the factors of the per-example gradients",
            "use fewer examples",
            budget=network.memory_budget,
        )
        self.stored = {b: np.empty((count, b.size), self.dtype) for b in others}
        self.factored = {
            b: (
                np.ones((count, b.num_inputs + 1), self.dtype),
                np.empty((count, b.num_units), self.dtype),
            )
            for b in dense
        }
        network.workers.map(self._fill, self._passes(theta))

    def _passes(self, theta):
        parameters = self.network.stack.unpacked(theta)
        return [(chunk, parameters) for chunk in self.network.chunks()]

    def _fill(self, work):
        chunk, parameters = work
        network = self.network
        outputs, trail = passes.forward(network.layers, parameters, network.prepared(chunk))
        delta = network.output_deltas(outputs, chunk.targets)
        deltas = passes.deltas(network.layers, parameters, trail, delta)
        for block, rows in self.stored.items():
            network.layers[block.position].write_per_example_gradients(
                trail[block.position], deltas[block.position], rows[chunk.rows]
            )
        for block, (inputs, own) in self.factored.items():
            inputs[chunk.rows, :-1] = trail[block.position].T
            own[chunk.rows] = deltas[block.position].T

    def project(self, vectors):
        """Return the inner products ``G V`` with vectors (D, K), shape (N, K)."""
        pieces = [vectors[block.whole] for block in self.stored]
        firsts = [block.inputs_first(vectors) for block in self.factored]

        def of_rows(part):
            result = np.zeros((part.stop - part.start, vectors.shape[1]), self.dtype)
            for rows, piece in zip(self.stored.values(), pieces, strict=True):
                result += rows[part] @ piece
            for (inputs, deltas), first in zip(self.factored.values(), firsts, strict=True):
                moved = (inputs[part] @ first).reshape(len(result), deltas.shape[1], -1)
                result += np.matmul(deltas[part, None, :], moved)[:, 0]
            return result

        return np.concatenate(self.network.workers.map(of_rows, self._row_blocks()))

    def combine(self, weights):
        """Return the sums ``weights @ G`` for weights (K, N), shape (K, D)."""
        columns = np.ascontiguousarray(weights.T, dtype=self.dtype)
        result = np.zeros((self.shape[1], len(weights)), self.dtype)

        def of_block(block):
            if block in self.stored:
                result[block.whole] = self.stored[block].T @ columns
                return
            inputs, deltas = self.factored[block]
            scaled = deltas[:, :, None] * columns[:, None, :]
            moved = inputs.T @ scaled.reshape(len(scaled), -1)
            moved = moved.reshape(-1, block.num_units, len(weights)).transpose(1, 0, 2)
            block.scatter(moved, result)

        self.network.workers.map(of_block, [*self.stored, *self.factored])
        return result.T

    def _row_blocks(self, num_blocks=4):
        step = max(1, -(-self.shape[0] // num_blocks))
        return [slice(i, min(i + step, self.shape[0])) for i in range(0, self.shape[0], step)]

    def rows(self, start, stop):
        """Return the gradients of the examples start..stop, shape (stop - start, D)."""
        result = np.empty((stop - start, self.shape[1]), self.dtype)
        for block, rows in self.stored.items():
            result[:, block.whole] = rows[start:stop]
        for block, (inputs, deltas) in self.factored.items():
            own, others = deltas[start:stop], inputs[start:stop, :-1]
            outer = own[:, :, None] * others[:, None, :]
            result[:, block.weights] = outer.reshape(stop - start, -1)
            result[:, block.biases] = own
        return result

    def gram(self):
        """Return the inner products ``g_i . g_j``, shape (N, N).

        A dense layer contributes the product, entry by entry, of two Gram matrices.
        """
        count = self.shape[0]
        blocks = self._row_blocks(8)
        result = np.empty((count, count), self.dtype)

        def fill(part):
            total = np.zeros((part.stop - part.start, part.stop), self.dtype)
            for rows in self.stored.values():
                total += rows[part] @ rows[: part.stop].T
            for inputs, deltas in self.factored.values():
                own = inputs[part] @ inputs[: part.stop].T
                own *= deltas[part] @ deltas[: part.stop].T
                total += own
            result[part, : part.stop] = total

        self.network.workers.map(fill, blocks)
        for part in blocks:
            result[: part.start, part] = result[part, : part.start].T
        return result

    def square_norms(self):
        """Return ``|g_i|^2``, shape (N,), in double precision."""
        total = np.zeros(self.shape[0])
        for rows in self.stored.values():
            total += np.einsum("np,np->n", rows, rows, dtype=np.float64)
        for inputs, deltas in self.factored.values():
            total += np.square(inputs, dtype=np.float64).sum(axis=1) * np.square(
                deltas, dtype=np.float64
            ).sum(axis=1)
        return total

    def square_sums(self):
        """Return ``sum_i g_i^2`` entry by entry, shape (D,), in double precision."""
        total = np.zeros((self.shape[1], 1))
        for block, rows in self.stored.items():
            total[block.whole, 0] = np.einsum("np,np->p", rows, rows, dtype=np.float64)
        for block, (inputs, deltas) in self.factored.items():
            squares = np.square(deltas, dtype=np.float64).T @ np.square(inputs, dtype=np.float64)
            block.scatter(squares[:, :, None], total)
        return total[:, 0]
