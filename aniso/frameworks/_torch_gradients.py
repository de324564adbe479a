"""Gradients of the examples of a PyTorch problem, recomputed where they are needed."""

import numpy as np
import torch

from aniso import checks, matrices
from aniso.frameworks import _torch_products
from aniso.frameworks._torch_model import array, differentiable
from aniso.problems import problem_checks


class TorchGradients(matrices.ExampleGradients):
    """Gradients of the examples of a :class:`TorchProblem` at one theta, recomputed when needed.

    Parameters
    ----------
    problem : TorchProblem
    theta : ndarray, shape (D,)
        Point in parameter space.
    """

    def __init__(self, problem, theta):
        self.problem, self.theta = problem, checks.held(theta)
        self.shape, self.dtype = (problem.num_examples, problem.num_parameters), problem.dtype

    def project(self, vectors):
        """Inner products ``G V``: (D, K) -> (N, K); one forward-mode pass for each vector."""
        problem = self.problem
        if problem._checked.projection_way == "rows":
            return np.concatenate(
                [self.rows(chunk.start, chunk.stop) @ vectors for chunk in problem._chunks()]
            )
        point, columns = problem._point(self.theta), problem._vectors.vector(vectors)
        way = _torch_products.PROJECTIONS[problem._checked.projection_way]
        with differentiable(problem._vectors.device):
            parts = [
                way(lambda t, chunk=chunk: problem._losses(t, chunk), point, columns)
                for chunk in problem._chunks()
            ]
        return array(torch.cat(parts))

    def combine(self, weights):
        """Weighted sums ``W G``: (K, N) -> (K, D); one pass back for each row."""
        problem = self.problem
        point, weights = problem._point(self.theta), problem._vectors.vector(weights)
        with differentiable(problem._vectors.device):
            total = sum(
                _torch_products.combine(
                    lambda t, chunk=chunk: problem._losses(t, chunk), point, weights[:, chunk]
                )
                for chunk in problem._chunks()
            )
        return array(total)

    def rows(self, start, stop):
        """Gradients of the examples start..stop, shape (stop - start, D)."""
        problem = self.problem
        point, size, parts = problem._point(self.theta), problem._rows_at_once, []
        with differentiable(problem._vectors.device):
            for first in range(start, stop, size):
                batch = problem._batch(slice(first, min(first + size, stop)))
                parts.append(array(problem._checked.rows_of(problem._vectors, point, batch)))
        return problem_checks.finite("a per-example gradient", np.concatenate(parts))

    def mean(self):
        """Gradient of the mean loss, shape (D,)."""
        return self.problem.gradient(self.theta)
