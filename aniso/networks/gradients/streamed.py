"""Per-example gradients that are not kept: every product is a pass over the data.

With delta_i the gradient of the loss of example i in the outputs and J_i their Jacobian, the
gradient of the example is ``g_i = J_i^T delta_i``. Therefore

    g_i . v            = delta_i . (J_i v)            one tangent pass,
    sum_i w_i g_i      = sum_i J_i^T (w_i delta_i)    one backward pass with weighted deltas,
    |g_i|^2, g_i^2                                    one backward pass, layer by layer,

The memory is needed for passes over one chunk of examples alone, for any N and D.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from aniso.arrays import transfer
from aniso.matrices import ExampleGradients
from aniso.networks import passes
from aniso.networks.curvature import tangent_products
from aniso.networks.gradients.kept import GradientFactors, stored_entries

if TYPE_CHECKING:
    from aniso.networks.network import Network
    from aniso.typing import Array, ArrayLike


# Writing a gradient entry takes about as long as so many multiplications of a pass.
_MULTIPLICATIONS_PER_ENTRY = 50
# Factors may take this fraction, 1/4, of the memory budget.
_SHARE = 4


def gradients_at(network, theta):
    """Return the per-example gradients of a network, kept as factors or recomputed.

    Factors are kept where they fit into a quarter of the memory budget and are cheap to write
    compared with the pass that makes them.

    Parameters
    ----------
    network : Network
        The network.
    theta : array, shape (D,)
        Point in parameter space.

    Returns
    -------
    GradientFactors or StreamedGradients

    Examples
    --------
    >>> import numpy as np
    >>> from aniso import networks
    >>> from aniso.problems import losses
    >>> network = networks.Network(networks.Stack((networks.Dense(1),), (1,)),
    ...     losses.SquaredLoss(), inputs=[[1.0], [2.0]], targets=[[0.0], [0.0]])
    >>> type(gradients_at(network, np.zeros(2))).__name__
    'GradientFactors'
    """
    written, held = stored_entries(network)
    num_bytes = network.num_examples * held * network.dtype.itemsize
    cheap = _MULTIPLICATIONS_PER_ENTRY * written <= network.forward_multiplications()
    if network.place.is_numpy and cheap and num_bytes <= network.data.memory_limit() // _SHARE:
        return GradientFactors(network, theta)
    return StreamedGradients(network, theta)


class StreamedGradients(ExampleGradients):
    """Gradients g_i of all examples at one theta, recomputed whenever they are needed.

    The interface agrees with :class:`aniso.networks.gradients.kept.GradientFactors`, except for the
    N x N Gram matrix.

    Parameters
    ----------
    network : Network
        The network.
    theta : array_like, shape (D,)
        Copied.

    Attributes
    ----------
    shape : tuple
        (N, D).
    dtype : numpy.dtype
        Precision of the gradients.
    place : places.Place
        Where the passes run.
    memory_budget : int or None
        Bytes that a quantity may take, if stated.
    rows_at_once : int or None
        Rows of D numbers that fit into the budget together.

    Notes
    -----
    A product with K vectors costs about K + 1 forward passes, a combination about K backward
    passes. Norms and squares cost one gradient and the work of
    :mod:`aniso.networks.gradients.squares`.

    Examples
    --------
    >>> import numpy as np
    >>> from aniso import networks
    >>> from aniso.problems import losses
    >>> network = networks.Network(networks.Stack((networks.Dense(1),), (1,)),
    ...     losses.SquaredLoss(), inputs=[[1.0], [2.0]], targets=[[0.0], [0.0]])
    >>> gradients = StreamedGradients(network, [1.0, 0.0])  # g = (2, 2) and (8, 4)
    >>> gradients.square_norms()
    array([ 8., 80.])
    >>> gradients.project(np.array([[1.0], [0.0]]))
    array([[2.],
           [8.]])
    """

    def __init__(self, network: Network, theta: ArrayLike) -> None:
        self.network, self.theta = network, network.held_theta(theta)
        self.shape = network.num_examples, network.num_parameters
        self.dtype, self.place = network.dtype, network.place
        self.memory_budget, self.rows_at_once = network.memory_budget, network.data.vectors_at_once
        self.parameters = network.stack.unpacked(self.theta)

    def _pass(self, chunk):
        """Return the trail of a chunk and the deltas (C, n) of its losses."""
        outputs, trail = self.network.forward(chunk, self.parameters)
        return trail, self.network.output_deltas(outputs, chunk.targets)

    def _sum(self, function):
        return self.network.workers.sum(function, self.network.chunks())

    @cached_property
    def _mean(self):
        return self.network.gradient(self.theta)

    def mean(self) -> Array:
        """Return g, the gradient of the mean loss, shape (D,); a copy."""
        return transfer.copied(self._mean)

    def project(self, vectors: ArrayLike) -> Array:
        """Return the inner products ``G V`` with vectors (D, K), shape (N, K)."""
        return self.network.in_groups(self._projections, vectors.T).T

    def _projections(self, rows):
        # inner products with the vectors of one group, (K, N)
        network, xp = self.network, self.network.place.namespace
        blocks = tangent_products.blocks(network, rows.shape[0])
        directions = [network.stack.unpacked(rows[block, ...]) for block in blocks]

        def of_chunk(chunk):
            trail, delta = self._pass(chunk)
            parts = []
            for direction in directions:
                moved, _ = passes.tangent(network.layers, self.parameters, trail, direction)
                parts.append(xp.sum(moved * delta, axis=1))
            return xp.concat(parts)

        return xp.concat(network.workers.map(of_chunk, network.chunks()), axis=1)

    def combine(self, weights: ArrayLike) -> Array:
        """Return ``weights @ G`` for weights (K, N), shape (K, D); a backward pass for each row."""
        return self.network.in_groups(self._combinations, weights)

    def _combinations(self, weights):
        network = self.network
        blocks = tangent_products.blocks(network, weights.shape[0])

        def of_chunk(chunk):
            trail, delta = self._pass(chunk)
            own = weights[:, None, chunk.rows] * delta
            parts = [
                passes.gradient(network.layers, self.parameters, trail, own[block, ...])
                for block in blocks
            ]
            return network.place.namespace.concat(parts)

        return self._sum(of_chunk)

    def rows(self, start: int, stop: int) -> Array:
        """Return the gradients of the examples start..stop, formed anew, (stop - start, D)."""
        return self.network.subset(slice(start, stop)).per_example_gradients(self.theta)

    def square_norms(self) -> Array:
        """Return ``|g_i|^2``, shape (N,), in double precision."""
        network, xp = self.network, self.network.place.namespace

        def of_chunk(chunk):
            trail, delta = self._pass(chunk)
            deltas = passes.deltas(network.layers, self.parameters, trail, delta)
            norms = [
                xp.astype(network.layers[i].gradient_square_norms(trail[i], deltas[i]), xp.float64)
                for i in network.stack.parameterised
            ]
            return sum(norms[1:], start=norms[0])

        return xp.concat(network.workers.map(of_chunk, network.chunks()))

    def square_sums(self) -> Array:
        """Return ``sum_i g_i^2`` entry by entry, shape (D,), in double precision across chunks."""
        network, xp = self.network, self.network.place.namespace

        def of_chunk(chunk):
            trail, delta = self._pass(chunk)
            deltas = passes.deltas(network.layers, self.parameters, trail, delta)
            ones = xp.ones_like(delta[0, ...])
            total = network.place.empty((network.num_parameters,), "float64")
            for i in network.stack.parameterised:
                squares = network.layers[i].gradient_squares(trail[i], deltas[i], ones)
                total[network.stack.parameter_slices[i]] = xp.astype(squares, xp.float64)
            return total

        return self._sum(of_chunk)
