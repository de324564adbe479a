"""Gradients of the examples of a JAX problem, recomputed where they are needed."""

import numpy as np

from aniso import checks, matrices
from aniso.frameworks import _jax_products
from aniso.problems import problem_checks

_ROW_BYTES = 2**28
"""Largest size of the gradients that are formed in one pass."""


class JaxGradients(matrices.ExampleGradients):
    """Gradients of the examples of a :class:`JaxProblem` at one theta, recomputed when needed.

    Parameters
    ----------
    problem : JaxProblem
    theta : ndarray, shape (D,)
        Point in parameter space.
    """

    def __init__(self, problem, theta):
        self.problem, self.theta = problem, checks.held(theta)
        self.shape, self.dtype = (problem.num_examples, problem.num_parameters), problem.dtype

    def project(self, vectors):
        """Inner products ``G V``: (D, K) -> (N, K); one forward-mode pass for each vector."""
        vectors = np.asarray(vectors, self.dtype)
        made = np.empty((self.shape[0], vectors.shape[1]), self.dtype)
        if not self.problem._checked.projects:
            for chunk in self.problem._chunks():
                made[chunk] = self.rows(chunk.start, chunk.stop) @ vectors
            return made
        for start, stop, width in _jax_products.blocks(vectors.shape[1]):
            block = _jax_products.padded(vectors, start, stop, width)
            chunks = self.problem._chunks_for(width)
            passes = self.problem._passes("project", self.theta, block, chunks=chunks)
            for chunk, part in list(passes):
                made[chunk, start:stop] = np.asarray(part)[:, : stop - start]
        return made

    def combine(self, weights):
        """Weighted sums ``W G``: (K, N) -> (K, D); one pass back for each row."""
        weights = np.asarray(weights, self.dtype)
        made = np.zeros((weights.shape[0], self.shape[1]), self.dtype)
        for start, stop, width in _jax_products.blocks(weights.shape[0]):
            block = _jax_products.padded(weights.T, start, stop, width).T
            chunks = self.problem._chunks_for(width)
            passes = self.problem._passes("combine", self.theta, weights=(block,), chunks=chunks)
            for _, part in list(passes):
                made[start:stop] += np.asarray(part)[: stop - start]
        return made

    def rows(self, start, stop):
        """Gradients of the examples start..stop, shape (stop - start, D)."""
        made = np.empty((stop - start, self.shape[1]), self.dtype)
        most = max(1, _ROW_BYTES // (self.shape[1] * self.dtype.itemsize))
        chunks = self.problem._chunks(start, stop, min(self.problem.chunk_size, most))
        for chunk, part in self.problem._passes("rows", self.theta, chunks=chunks):
            made[chunk.start - start : chunk.stop - start] = part
        return problem_checks.finite("a per-example gradient", made)

    def mean(self):
        """Gradient of the mean loss, shape (D,)."""
        return self.problem.gradient(self.theta)
