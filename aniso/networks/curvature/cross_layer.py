"""Cross-layer matrix B of a piecewise-linear network: the Hessian is ``H = G + B``.

Between kinks the outputs are linear in the parameters of each single layer. So the second
derivatives of ``sum_i <delta_i, f_i>`` have blocks between different layers only. Each block is a
sum over the examples, which is formed once. Let delta_t be the deltas at the outputs of the later
layer t, and ``F = da/dtheta_s`` the derivative of its inputs a in the parameters of the earlier
layer s. Then

    B_ts = (1/N) sum_i delta_t (x) F      (for a convolution t also summed over windows).

If no other linear layer lies between, every input of t comes from one unit of s. The block is then
an array (units of s, rows of t that read the unit, parameters of the unit). Otherwise it is a
matrix (weights of t, parameters of s). See "Cross-layer blocks" in docs/theory/networks.md.
"""

from dataclasses import dataclass

import numpy as np

from aniso.networks.fast.row_products import add_row_products
from aniso.networks.parameter_blocks import ParameterBlock


@dataclass(frozen=True)
class BilinearBlock:
    """One cross-layer block B_ts.

    Attributes
    ----------
    late, early : ParameterBlock
        Layers t and s.
    values : ndarray
        (units of s, units of t * m, inputs of s + 1) where each unit of s gives m consecutive
        inputs of t; or (1, weights of t, parameters of s), parameters unit by unit.
    """

    late: ParameterBlock
    early: ParameterBlock
    values: np.ndarray

    @property
    def by_unit(self):
        """Whether the block is stored unit by unit of the earlier layer."""
        return self.values.shape[2] == self.early.num_inputs + 1 and (
            self.values.shape[0] == self.early.num_units
        )

    def add_product(self, early, late, early_result, late_result):
        """Add products with both halves to arrays (units, inputs + 1, K) of the layers."""
        columns, (units, num_late) = early.shape[2], (self.early.num_units, self.late.num_units)
        weights = late[:, :-1]
        parts = units if self.by_unit else 1  # matrices, each with its own part of the parameters
        grouped = weights.reshape(num_late, parts, -1, columns).transpose(1, 0, 2, 3)
        grouped = np.ascontiguousarray(grouped).reshape(parts, -1, columns)
        moved = np.zeros_like(grouped)
        own, result = (a.reshape(parts, -1, columns) for a in (early, early_result))
        for number, values in enumerate(self.values):
            add_row_products(values, own[number], moved[number], grouped[number], result[number])
        moved = moved.reshape(parts, num_late, -1, columns).transpose(1, 0, 2, 3)
        late_result[:, :-1] += moved.reshape(weights.shape)

    def late_product(self, early):
        """Return the block times parameters (units, inputs + 1, K) of s: weights of t, by unit."""
        columns, shape = early.shape[2], (self.late.num_units, self.late.num_inputs, -1)
        if not self.by_unit:
            return (self.values[0] @ early.reshape(-1, columns)).reshape(shape)
        moved = np.matmul(self.values, early)
        moved = moved.reshape(self.early.num_units, self.late.num_units, -1, columns)
        return moved.transpose(1, 0, 2, 3).reshape(shape)

    def add_dense(self, matrix):
        """Add the block to a dense array (D, D), at the rows of layer t and columns of layer s."""
        late, early = self.late, self.early
        if not self.by_unit:
            values = self.values[0].reshape(-1, early.num_units, early.num_inputs + 1)
            weights = matrix[late.weights, early.weights]
            weights = weights.reshape(-1, early.num_units, early.num_inputs)  # a view
            weights += values[:, :, :-1]
            matrix[late.weights, early.biases] += values[:, :, -1]
            return
        values = self.values.reshape(early.num_units, late.num_units, -1, early.num_inputs + 1)
        rows = matrix[late.weights].reshape(late.num_units, early.num_units, -1, matrix.shape[1])
        for unit in range(early.num_units):
            own, bias = early.unit(unit)
            rows[:, unit, :, own] += values[unit, :, :, :-1]
            rows[:, unit, :, bias] += values[unit, :, :, -1]


class Bilinear:
    """The sum of all cross-layer blocks."""

    def __init__(self, blocks, num_parameters):
        self.blocks, self.num_parameters = tuple(blocks), num_parameters

    @property
    def num_entries(self):
        """Number of entries kept."""
        return sum(block.values.size for block in self.blocks)

    def product(self, vectors):
        """Return ``B V`` for flat vectors (D, K)."""
        layers = {block.early for block in self.blocks} | {block.late for block in self.blocks}
        given = {layer: layer.gather(vectors) for layer in layers}
        results = {layer: np.zeros_like(part) for layer, part in given.items()}
        for block in self.blocks:
            early, late = block.early, block.late
            block.add_product(given[early], given[late], results[early], results[late])
        total = np.zeros_like(vectors)
        for layer, part in results.items():
            layer.scatter(part, total)
        return total

    def quadratic_forms(self, vectors):
        """Return ``v^T B v`` of each column of vectors (D, K), shape (K,), in double precision."""
        layers = {block.early for block in self.blocks} | {block.late for block in self.blocks}
        given = {layer: layer.gather(vectors) for layer in layers}
        total = np.zeros(vectors.shape[1])
        for block in self.blocks:
            moved = block.late_product(given[block.early])
            weights = given[block.late][:, :-1]
            total += 2 * np.einsum("uik,uik->k", moved, weights, dtype=np.float64)
        return total
