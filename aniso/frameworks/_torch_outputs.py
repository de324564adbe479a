"""Outputs of a PyTorch model, its Jacobians, and the Gauss-Newton and Fisher matrices."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from aniso import memory
from aniso.frameworks import _torch_known_losses, _torch_products, _trees
from aniso.frameworks._torch_model import array, differentiable
from aniso.problems import problem_checks

if TYPE_CHECKING:
    from aniso.typing import Array, ArrayLike


_BLOCK = 16
_WIDE = 4
"""Vectors per output from which on the Jacobians of a chunk are formed."""
_JACOBIAN_BYTES = 64 * 2**20


class TensorOutputs:
    """Members of a problem whose model returns one tensor; its entries are the C outputs.

    A base of :class:`aniso.frameworks.TorchModel`, which has the passes over chunks.
    """

    @cached_property
    def _known(self):
        """Loss of the outputs and its targets."""
        shape = self._checked.output_shape
        try:
            return _torch_known_losses.known(self._checked.losses, shape, self._targets)
        except _torch_known_losses.Unknown:
            loss = _torch_known_losses.OutputLoss(self._checked, self._vectors, shape)
            return loss, self._targets

    @property
    def output_loss(self) -> Any:
        """Loss as a function of outputs (n, C) and targets.

        One of :mod:`aniso.problems.losses` where the loss is cross-entropy of classes, binary
        cross-entropy of one output, or MSE. Other losses have no Fisher information.
        """
        return self._known[0]

    @property
    def targets(self) -> Any:
        """Targets of the examples, an array for known losses; else tensors as they were given."""
        return self._known[1]

    @property
    def num_outputs(self) -> int:
        """C, the number of entries of the outputs of an example."""
        return int(np.prod(self._checked.output_shape))

    def outputs(self, theta: ArrayLike) -> Array:
        """Outputs f(x_i; theta), shape (N, C); those of another shape are flattened."""
        point = self._point(theta)
        with differentiable(self._vectors.device), torch.no_grad():
            parts = [self._outputs(point, chunk) for chunk in self._chunks()]
        return problem_checks.finite("an output of the model", array(torch.cat(parts)))

    def jacobians(self, theta: ArrayLike) -> Array:
        """Jacobians of the outputs in theta, J_i, shape (N, C, D).

        Raises
        ------
        AllocationRefused
            If N x C x D numbers do not fit.
        """
        point = self._point(theta)
        shape = self.num_examples, self.num_outputs, self.num_parameters
        memory.require(
            int(np.prod(shape)) * self.dtype.itemsize,
            f"the Jacobians of {shape[0]} examples",
            "use generalized_gauss_newton_product, or subset of fewer examples",
        )
        result = np.empty(shape, self.dtype)
        with differentiable(self._vectors.device):
            for chunk in self._chunks():
                result[chunk] = array(self._jacobians(point, chunk))
        return problem_checks.finite("a Jacobian", result)

    def generalized_gauss_newton_product(self, theta: ArrayLike, vectors: ArrayLike) -> Array:
        """``G V`` with ``G = (1/N) sum_i J_i^T S_i J_i``, vectors (D,) or (D, K), same shape."""

        def weights(outputs, chunk):
            targets = _trees.mapped(lambda part: part[chunk], self.targets)
            return self.output_loss.hessian(outputs, targets)

        return self._weighted_product(theta, vectors, weights)

    def fisher_product(self, theta: ArrayLike, vectors: ArrayLike) -> Array:
        """``F V`` for vectors (D,) or (D, K); F has the targets of the model's own distribution.

        Raises
        ------
        InputError
            If the loss has no distribution of targets that is known.
        """
        return self._weighted_product(
            theta,
            vectors,
            lambda outputs, chunk: self.output_loss.fisher_information(outputs),  # noqa: ARG005
        )

    def _weighted_product(self, theta, vectors, weights):
        """``(1/N) sum_i J_i^T W_i J_i V``; one pass forward and one back for each vector.

        Many vectors go through the Jacobians of a chunk instead: one pass back for each output.
        """
        point = self._point(theta)
        vectors, columns = problem_checks.checked_vectors(vectors, self.num_parameters)
        total = np.zeros(columns.shape, self.dtype)
        with differentiable(self._vectors.device):
            for chunk in self._chunks():
                with torch.no_grad():
                    outputs = array(self._outputs(point, chunk))
                weight = self._vectors.vector(weights(outputs, chunk) / self.num_examples)
                if self._forms_jacobians(len(weight), columns.shape[1]):
                    block = self._vectors.vector(np.ascontiguousarray(columns))
                    total += array(self._through_jacobians(point, chunk, weight, block))
                    continue
                for start in range(0, columns.shape[1], _BLOCK):
                    part = slice(start, start + _BLOCK)
                    block = self._vectors.vector(np.ascontiguousarray(columns[:, part]))
                    total[:, part] += array(self._pulled(point, chunk, weight, block))
        return problem_checks.finite("a product", total).reshape(vectors.shape)

    def _forms_jacobians(self, count, num_vectors):
        if not self._checked.projection_ways:
            return True
        size = count * self.num_outputs * self.num_parameters * self.dtype.itemsize
        return num_vectors >= _WIDE * self.num_outputs and size <= _JACOBIAN_BYTES

    def _through_jacobians(self, point, chunk, weight, columns):
        rows = self._jacobians(point, chunk).reshape(-1, self.num_parameters)
        images = (rows @ columns).reshape(len(weight), -1, columns.shape[1])
        return rows.T @ (weight @ images).reshape(len(rows), -1)

    def _pulled(self, point, chunk, weight, columns):
        way = _torch_products.PROJECTIONS[self._checked.projection_ways[0]]

        def flat(point):
            return self._outputs(point, chunk).reshape(-1)

        count, num_vectors = len(weight), columns.shape[1]
        images = way(self._vectors, flat, point, columns).reshape(count, -1, num_vectors)
        pulled = (weight @ images).reshape(-1, num_vectors)
        return _torch_products.combine(self._vectors, flat, point, pulled.T).T

    def _outputs(self, point, chunk):
        outputs = self._vectors.outputs(point, self._batch(chunk)[0])
        return outputs.reshape(len(outputs), -1)

    def _jacobians(self, point, chunk):
        parts = [self._rows_of_output(point, chunk, number) for number in range(self.num_outputs)]
        return torch.stack(parts, dim=1)

    def _rows_of_output(self, point, chunk, number):
        if not self._checked.rows_together:
            rows = _torch_products.rows_one_by_one(
                self._vectors, lambda parts: self._outputs(parts, chunk)[:, number], point
            )
            return self._vectors.joined(rows)

        def output_of_one(parts, example):
            inputs = _trees.mapped(lambda part: part[None], example)
            return self._vectors.outputs(parts, inputs).reshape(-1)[number]

        inputs = self._batch(chunk)[0]
        return self._vectors.joined(
            _torch_products.rows_together(self._vectors, output_of_one, point, inputs)
        )
