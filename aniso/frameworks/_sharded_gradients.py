"""Gradients of examples that many processes hold, each some of them."""

import numpy as np

from aniso import checks, matrices
from aniso.arrays import transfer


class ShardedGradients(matrices.ExampleGradients):
    """Gradients of the examples of a :class:`ShardedProblem` at one theta.

    Each rank computes with its own examples, and holds the sums over all ranks.

    Parameters
    ----------
    problem : ShardedProblem
    theta : ndarray, shape (D,)
        Point in parameter space, the same on every rank.
    own : callable
        ``() -> ExampleGradients`` of the examples of this rank.
    """

    def __init__(self, problem, theta, own):
        self.problem, self.theta = problem, checks.held(theta)
        self.shape, self.dtype = (problem.num_examples, len(theta)), problem.dtype
        self._make, self._made = own, None

    def _own(self):
        # within a sum over the ranks, so that a failure reaches all
        if self._made is None:
            self._made = self._make()
        return self._made

    def _there(self, name, array):
        # where the own gradients are, a graphics processor for instance
        own = self._own()
        return transfer.at_place(getattr(own, name), array, own.place)

    def project(self, vectors):
        """Inner products ``G V``: (D, K) -> (N, K), of all examples on every rank."""
        (vectors,) = self.problem.ranks.agreed("project", vectors)
        return self.problem.scattered(
            "project", vectors.shape[1:], self.dtype, lambda: self._there("project", vectors)
        )

    def combine(self, weights):
        """Weighted sums ``W G``: (K, N) -> (K, D), over all examples."""
        (weights,) = self.problem.ranks.agreed("combine", weights)
        own = self.problem.positions
        return self.problem.summed(
            "combine",
            (len(weights), self.shape[1]),
            self.dtype,
            lambda: self._there("combine", np.ascontiguousarray(weights[:, own])),
        )

    def rows(self, start, stop):
        """Gradients of the examples start..stop, shape (stop - start, D), on every rank."""
        self.problem.ranks.agreed("rows", np.array([start, stop]))
        positions = self.problem.positions
        # the own examples of the range lie next to each other
        first, last = np.searchsorted(positions, [start, stop])

        def part():
            found = np.zeros((stop - start, self.shape[1]), self.dtype)
            if first < last:
                rows = self._own().rows(int(first), int(last))
                found[positions[first:last] - start] = transfer.to_numpy(rows)
            return found

        return self.problem.summed("rows", (stop - start, self.shape[1]), self.dtype, part)

    def mean(self):
        """Gradient of the mean loss, shape (D,)."""
        return self.problem.gradient(self.theta)

    def square_norms(self):
        """``|g_i|^2``, shape (N,), in double precision."""
        self.problem.ranks.agreed("square_norms")
        return self.problem.scattered(
            "square_norms", (), np.float64, lambda: transfer.to_numpy(self._own().square_norms())
        )

    def square_sums(self):
        """``sum_i g_i^2`` entry by entry, shape (D,), in double precision."""
        self.problem.ranks.agreed("square_sums")
        return self.problem.summed(
            "square_sums",
            self.shape[1:],
            np.float64,
            lambda: transfer.to_numpy(self._own().square_sums()),
        )

    def second_moments(self, vectors, parts, mean=None):
        """Second moments of the gradients along vectors by block, shape (B + 1, K, K)."""
        (vectors,) = self.problem.ranks.agreed("second_moments", vectors)
        count = vectors.shape[1]
        return self.problem.summed(
            "second_moments",
            (len(parts) + 1, count, count),
            np.float64,
            lambda: self._own().second_moments(vectors, parts, mean),
        )
