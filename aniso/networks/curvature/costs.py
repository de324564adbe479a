"""Costs of curvature products: by cached factors, and by passes of tangents.

Times are counted in multiplications, memory in bytes. A linearisation compares the two routes here.
"""

import numpy as np

from aniso import memory

# Chunks form this many groups, each with its own sums: results don't depend on threads.
_GROUPS = 4
_GROUP_BYTES = 1_200_000_000
_WORK_BYTES = 60_000_000
# A tangent passes through activations and small products, a vector on factors through large ones.
_TANGENTS_OVERHEAD = 2
# More vectors together on the cached factors would only take more memory.
TOGETHER = 256


def num_groups(network, assembly):
    """Return the number of groups of chunks, fewer where the cross-layer sums are large.

    Examples
    --------
    >>> num_groups(None, None)
    4
    """
    if assembly is None or not assembly.supported:
        return _GROUPS
    sum_bytes = max(1, assembly.num_entries() * network.dtype.itemsize)
    return max(1, min(_GROUPS, _GROUP_BYTES // sum_bytes))


def chunk_examples(network, assembly):
    """Return the number of examples of one chunk while factors and cross-layer blocks form."""
    size = _WORK_BYTES // _example_bytes(network, assembly)
    return int(max(1, min(size, network.chunk_size)))


def _example_bytes(network, assembly):
    # work space of one example while the factors are formed
    entries = assembly.entries_per_example() if assembly.supported else 0
    return entries * network.dtype.itemsize + 2 * network.bytes_per_example


def num_vectors(vectors):
    """Return the number of vectors: K of a block (D, K), 1 of a vector (D,).

    Examples
    --------
    >>> num_vectors(np.ones((3, 2))), num_vectors(np.ones(3))
    (2, 1)
    """
    return np.shape(vectors)[1] if np.ndim(vectors) == 2 else 1


class Costs:
    """Multiplications and bytes of products with H and G at one theta.

    Parameters
    ----------
    network : Network
        The network.
    assembly : Assembly
        Assembly of the cross-layer blocks.
    plan : gauss_newton.Plan
        Plan of the factors of G; its examples are the examples that contribute to H.
    """

    def __init__(self, network, assembly, plan):
        self.network, self.assembly, self.plan = network, assembly, plan

    # ---- bytes

    @property
    def held_bytes(self):
        """Bytes of the cached factors and cross-layer blocks."""
        return (self.plan.num_entries() + self._bilinear_entries) * self.network.dtype.itemsize

    @property
    def peak_bytes(self):
        """Bytes of the cache and of the work space while it is formed."""
        network, assembly = self.network, self.assembly
        sums = self._bilinear_entries * num_groups(network, assembly) * network.dtype.itemsize
        work = min(chunk_examples(network, assembly), self.plan.num_rows)
        work *= _example_bytes(network, assembly) * network.workers.num_threads
        return self.held_bytes + sums + work

    @property
    def _bilinear_entries(self):
        return self.assembly.num_entries() if self.assembly.supported else 0

    def fits(self, more_bytes=0):
        """Return whether the cache, and `more_bytes` besides, fit into the memory budget."""
        return self.peak_bytes + more_bytes <= self._memory_limit()

    def _memory_limit(self, share=0.9):
        budget = self.network.memory_budget
        return share * memory.available_bytes() if budget is None else budget

    def _block_bytes(self, count):
        together = min(count, TOGETHER)
        numbers = (4 + self.network.workers.num_threads) * together * self.network.num_parameters
        return numbers * self.network.dtype.itemsize

    # ---- multiplications of all examples that contribute

    def _by_tangents(self, count):
        products = count * self.network.product_multiplications()
        return _TANGENTS_OVERHEAD * products * self.plan.num_rows

    @property
    def _cached_product(self):
        return self.plan.multiplications() + 2 * self.assembly.num_entries()

    @property
    def _preparation(self):
        # the cross-layer blocks
        return self.assembly.multiplications() * self.plan.num_rows

    def _filling(self, plan):
        # one pass forward, one back for each column of the factors, and their parameters
        return (1 + 2 * plan.rank) * self.network.forward_multiplications() * plan.num_rows

    # ---- which route is cheaper

    def cache_pays(self, count):
        """Return whether the cache makes `count` products with single vectors cheaper."""
        return count * self._cached_product + self._preparation < self._by_tangents(count)

    def could_pay(self, count):
        """Return whether a cache might make `count` products cheaper.

        The factors have the rank of the plan or a larger one, and at most its examples.
        """
        return self.assembly.supported and self.cache_pays(count)

    def cache_pays_for_forms(self):
        """Return whether the cache makes the forms ``c^T H c`` of all centred gradients cheaper.

        A form is half a product; each gradient takes one, and one more for each layer.
        """
        network = self.network
        forms = network.num_examples * (1 + len(network.stack.parameterised)) / 2
        products = forms * network.product_multiplications()
        return self.assembly.multiplications() < products

    def cache_pays_for_block(self, count):
        """Return whether forming a cache makes the product with `count` vectors cheaper."""
        if not self.fits(self._block_bytes(count)):
            return False
        costs = count * self._cached_product + self._preparation + self._filling(self.plan)
        return costs < self._by_tangents(count)

    def factors_pay(self, plan, count):
        """Return whether the factors of G make the product with `count` vectors cheaper.

        `plan` describes these factors. Cross-layer blocks are not needed.
        """
        held = plan.num_entries() * self.network.dtype.itemsize + self._block_bytes(count)
        if held > self._memory_limit():
            return False
        costs = count * plan.multiplications() + self._filling(plan)
        return costs < self._by_tangents(count)

    def dense_pays(self, count, *, cached, may_cache):
        """Return whether the dense Hessian makes `count` products cheaper.

        Parameters
        ----------
        count : int
            Number of products to come.
        cached : bool
            Whether single products use the cache.
        may_cache : bool
            Whether the dense matrix may be computed from the cache.
        """
        network, dimension = self.network, self.network.num_parameters
        num_bytes = dimension**2 * network.dtype.itemsize + self.peak_bytes
        if num_bytes > self._memory_limit(share=0.5):
            return False
        if not may_cache:
            return count > dimension
        product = self._cached_product
        if not cached:
            product = network.product_multiplications() * self.plan.num_rows
        return count * (product - dimension**2) > self.plan.dense_multiplications()
