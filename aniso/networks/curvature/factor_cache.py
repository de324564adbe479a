"""Cached factors of a linearisation: how they are formed, and products with them."""

from dataclasses import dataclass

import numpy as np

from aniso.networks import passes
from aniso.networks.curvature import diagonals, gauss_newton
from aniso.networks.curvature.costs import TOGETHER, chunk_examples, num_groups


@dataclass(frozen=True)
class OutputRoots:
    """Roots L_i of the matrices ``S_i = L_i L_i^T`` in the outputs, of some examples.

    Attributes
    ----------
    examples : ndarray of int, shape (n,)
        Numbers of the examples.
    roots : ndarray, shape (n, C, r)
        L_i of each of these examples.
    plan : gauss_newton.Plan
        Of the factors of ``(1/N) sum_i J_i^T S_i J_i``.
    """

    examples: np.ndarray
    roots: np.ndarray
    plan: gauss_newton.Plan

    @classmethod
    def of(cls, network, matrices, examples):
        """Return the roots of `matrices` (N, C, C) for `examples`."""
        roots = gauss_newton.square_roots(matrices[examples])
        return cls(examples, roots, gauss_newton.plan(network.stack, roots.shape[2], len(examples)))

    def _part(self, network):
        every = len(self.examples) == network.num_examples
        return network if every else network.subset(self.examples)

    def form(self, network, parameters, assembly=None):
        """Return the factors of ``(1/N) sum_i J_i^T S_i J_i`` and the cross-layer matrix.

        Parameters
        ----------
        network : Network
            The network on all examples.
        parameters : list of tuple of ndarray
            Unpacked theta.
        assembly : Assembly, optional
            Shapes of the cross-layer blocks, if these are wanted.

        Returns
        -------
        factors : GaussNewton
        bilinear : Bilinear or None
        """
        empty = gauss_newton.GaussNewton(network, self.plan, network.num_examples)
        return _form_cache(self._part(network), parameters, self.roots, empty, assembly)

    def diagonal(self, network, parameters):
        """Return the diagonal of the same matrix, shape (D,), by passes without a cache."""
        part = self._part(network)
        diagonal = diagonals.gauss_newton_diagonal(part, parameters, self.roots)
        return diagonal * (part.num_examples / network.num_examples)


def cached_product(factors, bilinear, rows):
    """Return ``(G + B) V`` from cached factors.

    Parameters
    ----------
    factors : GaussNewton
        Cached factors of G.
    bilinear : Bilinear or None
        B, if it is wanted.
    rows : ndarray, shape (K, D)
        The vectors V.

    Returns
    -------
    ndarray, shape (D, K)
    """
    parts = [
        _product_of_block(factors, bilinear, np.ascontiguousarray(rows[i : i + TOGETHER].T))
        for i in range(0, len(rows), TOGETHER)
    ]
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


def _product_of_block(factors, bilinear, vectors):
    tasks = factors.product_tasks(vectors)
    if bilinear is not None:
        # the longest task first, so that no thread waits for it at the end
        tasks.insert(0, lambda: factors.num_examples * bilinear.product(vectors))
    total = factors.network.workers.sum(_call, tasks)
    total /= factors.num_examples
    return total


def _call(task):
    return task()


def _form_cache(network, parameters, output_factors, factors, assembly):
    # `network` has the examples that contribute; `factors` are filled in place
    tables = None if assembly is None else assembly.tables(parameters)
    count = network.num_examples
    step = network.chunk_size if assembly is None else chunk_examples(network, assembly)
    pieces = [slice(i, min(i + step, count)) for i in range(0, count, step)]
    number = min(num_groups(network, assembly), len(pieces))

    def of_group(group):
        sums = None if assembly is None else assembly.new_sums()
        diagonals = []
        for rows in group:
            outputs, trail = passes.forward(network.layers, parameters, network.prepared_rows(rows))
            if assembly is not None:
                delta = network.output_deltas(outputs, network.targets[rows])
                assembly.add_chunk(sums, parameters, trail, delta, tables)
            diagonals.append(factors.fill(rows, parameters, trail, output_factors[rows]))
        return sums, diagonals

    results = network.workers.map(of_group, [pieces[i::number] for i in range(number)])
    factors.finish([diagonal for _, diagonals in results for diagonal in diagonals])
    if assembly is None:
        return factors, None
    total = results[0][0]
    for sums, _ in results[1:]:
        for pair, values in sums.items():
            total[pair] += values
    return factors, assembly.finish(total)
