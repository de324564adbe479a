"""Gradients of the examples of a PyTorch problem, recomputed where they are needed."""

import numpy as np
import torch

from aniso import checks, matrices
from aniso.arrays import places
from aniso.frameworks import _torch_products
from aniso.frameworks._torch_model import array, differentiable
from aniso.problems import problem_checks

_BLOCK = 16
"""Products with more vectors are computed this many at a time."""
_ROW_BYTES, _ROW_BYTES_ELSEWHERE = 2**27, 2**30
"""Largest size of the gradients that are formed in one pass: on the CPU, on other devices."""


class TorchGradients(matrices.ExampleGradients):
    """Gradients of the examples of a :class:`TorchProblem` at one theta, recomputed when needed.

    Products and rows are NumPy arrays where the model is on the CPU. Elsewhere they are tensors
    on the device of the model.

    Parameters
    ----------
    problem : TorchProblem
    theta : ndarray, shape (D,)
        Point in parameter space.
    place : places.Place, optional
        Library and device of vectors, weights and results.
    """

    def __init__(self, problem, theta, place=None):
        self.problem, self.theta = problem, checks.held(theta)
        self.shape, self.dtype = (problem.num_examples, problem.num_parameters), problem.dtype
        self.place = _place(problem._vectors) if place is None else place

    def project(self, vectors):
        """Inner products ``G V``: (D, K) -> (N, K)."""
        problem, ways = self.problem, self.problem._checked.projection_ways
        columns = self._tensor(vectors)
        if not ways:
            joined = problem._vectors.joined
            return self._result(torch.cat([joined(parts) @ columns for _, parts in self._passes()]))
        point = problem._point(self.theta)
        with differentiable(problem._vectors.device):
            parts = [
                self._projected(ways, point, block.contiguous())
                for block in columns.split(_BLOCK, dim=1)
            ]
        return self._result(torch.cat(parts, dim=1))

    def _projected(self, ways, point, columns):
        problem = self.problem

        def product(way, chunk, part):
            losses = problem._losses_of(chunk)
            return _torch_products.PROJECTIONS[way](problem._vectors, losses, point, part)

        way, size = problem._chosen_block("G V", ways, columns, product)
        return torch.cat([product(way, chunk, columns) for chunk in problem._chunks(size)])

    def combine(self, weights):
        """Weighted sums ``W G``: (K, N) -> (K, D)."""
        problem = self.problem
        point, weights = problem._point(self.theta), self._tensor(weights)
        with differentiable(problem._vectors.device):
            parts = [self._combined(point, block) for block in weights.split(_BLOCK)]
        return self._result(torch.cat(parts))

    def _combined(self, point, weights):
        problem = self.problem

        def product(way, chunk, part):
            losses, part = problem._losses_of(chunk), part.T[:, chunk]
            return _torch_products.COMBINATIONS[way](problem._vectors, losses, point, part)

        ways = problem._checked.combination_ways
        way, size = problem._chosen_block("W G", ways, weights.T, product)
        return sum(product(way, chunk, weights.T) for chunk in problem._chunks(size))

    def rows(self, start, stop):
        """Gradients of the examples start..stop, shape (stop - start, D)."""
        shape = stop - start, self.shape[1]
        if self.place.is_numpy:
            made = np.empty(shape, self.dtype)
            result = torch.from_numpy(made)
        else:
            made = result = self.place.empty(shape, self.dtype)
        for chunk, parts in self._passes(start, stop):
            self._write(parts, result[chunk.start - start : chunk.stop - start])
        return made

    def mean(self):
        """Gradient of the mean loss, shape (D,)."""
        return self._result(self.problem._gradient(self.problem._point(self.theta))[0])

    def square_norms(self):
        """``|g_i|^2``, a NumPy array of shape (N,), in double precision."""
        return np.concatenate([array(self._squares(parts, 1)) for _, parts in self._passes()])

    def square_sums(self):
        """``sum_i g_i^2`` entry by entry, a NumPy array of shape (D,), in double precision."""
        return array(sum(self._squares(parts, 0) for _, parts in self._passes()))

    # ---- gradients of the examples of one chunk, as parts of shapes (n, ...)

    def _passes(self, start=0, stop=None):
        """Yield each chunk with the parts of the gradients of its examples."""
        problem, vectors = self.problem, self.problem._vectors
        point = problem._point(self.theta)

        def rows(_, chunk):
            with differentiable(vectors.device):
                return problem._checked.rows_of(vectors, point, problem._batch(chunk))

        most = _ROW_BYTES if vectors.device.type == "cpu" else _ROW_BYTES_ELSEWHERE
        largest = max(1, most // (self.shape[1] * self.dtype.itemsize))
        largest = min(largest, problem._rows_at_once)
        _, size = problem._chosen("rows", ("rows",), rows, largest)
        for chunk in problem._slices(min(size, problem._rows_at_once), start, stop):
            yield chunk, rows("rows", chunk)

    def _write(self, parts, result):
        vectors, rows = self.problem._vectors, result
        if result.device == vectors.device:
            vectors.write(parts, result)
        else:  # one copy of consecutive numbers
            rows = vectors.joined(parts)
            result.copy_(rows)
        if not bool(torch.isfinite(rows.sum())):
            problem_checks.finite("a per-example gradient", array(rows))

    def _squares(self, parts, axis):
        vectors, made = self.problem._vectors, []
        for part in vectors.flat(parts):
            norm = torch.linalg.vector_norm(part, dim=axis, dtype=torch.float64)
            made.append(norm.square())
        return sum(made) if axis == 1 else torch.cat(made)

    # ---- arrays at the place

    def _tensor(self, vectors):
        if self.place.is_numpy:
            return self.problem._vectors.vector(vectors)
        return vectors.to(self.problem._vectors.dtype)

    def _result(self, tensor):
        return array(tensor) if self.place.is_numpy else tensor.detach()


def _place(vectors):
    """Return NumPy's place for a model on the CPU, and that of its tensors elsewhere."""
    if vectors.device.type == "cpu":
        return places.NUMPY
    return places.place_of(torch.empty(0, device=vectors.device))
