"""Derivatives of a stage's result in the parameters of its linear layer, on one chunk.

They are the factor F of a cross-layer block; see :mod:`aniso.networks.curvature.cross_layer`.
"""

from functools import cached_property

import numpy as np

from aniso.networks.fast import pooled_kernel
from aniso.networks.fast.window_mixing import (
    add_window_products,
    mix_windows,
    repeated_weights,
)
from aniso.networks.matrix_products import accumulate_product
from aniso.networks.routing import CONVOLUTIONS


class UnitDerivatives:
    """Derivative of entries in a dense layer's parameters: ``T (x) inputs``, T (n, in, units)."""

    def __init__(self, assembly, stage, parameters, trail):  # noqa: ARG002
        inputs = trail[stage.position]
        self.inputs = np.ones((inputs.shape[1], len(inputs) + 1), inputs.dtype)
        self.inputs[:, :-1] = inputs.T
        self.slope = stage.slope[:, :, 0]
        self.spread = None  # the diagonal matrix of slopes, until another layer mixes it

    def accumulate(self, total, follower, adjacent):
        """Add to `total` the products of the derivative with the deltas of the stage `follower`.

        `adjacent` is true where no other linear layer lies between both stages.
        """
        delta = np.ascontiguousarray(follower.deltas.T)
        count = len(delta)
        if adjacent:
            weights = delta[:, :, None] * self.slope[:, None, :]
        else:
            weights = delta[:, :, None, None] * self.spread[:, None]
        accumulate_product(total, weights.reshape(count, -1).T, self.inputs)

    def advance(self, follower, table):
        """Multiply the derivative by the linear layer and the slopes of the stage `follower`.

        `table` is the matrix of that layer, one row for each output before pooling.
        """
        if self.spread is None:
            spread = table * self.slope[:, None, :]
        else:
            spread = np.matmul(table, self.spread)
        self.spread = spread * follower.slope


class PatchDerivatives:
    """Derivative of entries in a convolution's parameters: patches by unit, or full rows."""

    def __init__(self, assembly, stage, parameters, trail):  # noqa: ARG002
        layer = assembly.layers[stage.position]
        self.assembly = assembly
        index = stage.index.transpose(1, 2, 0)
        self.patches = layer.unit_patches(trail[stage.position], index)
        self.patches *= stage.slope[..., None]
        self.count, self.units, self.cells, self.own = self.patches.shape
        self.rows = None  # (n, entries, units * own) once another layer has mixed the patches

    def accumulate(self, total, follower, adjacent):
        """Add to `total` the products of the derivative with the deltas of the stage `follower`.

        `adjacent` is true where no other linear layer lies between both stages.
        """
        if isinstance(self.assembly.layers[follower.position], CONVOLUTIONS):
            self._accumulate_windows(total, follower)
            return
        values = self.patches if adjacent else self.rows
        accumulate_product(total, follower.deltas, values.reshape(self.count, -1))

    def _accumulate_windows(self, total, follower):
        # sums over windows of delta (x) the patches at each place of the kernel
        if pooled_kernel.COMPILED:
            deltas = np.ascontiguousarray(np.moveaxis(follower.deltas, -1, 0))
            add_window_products(self._by_cell, deltas, self._geometry(follower)[1], total)
            return
        layer = self.assembly.layers[follower.position]
        layer = getattr(layer, "convolution", layer)
        _, height, width = self.assembly.stack.shapes[follower.position]
        (down, across), (step, stride) = layer.padding, layer.stride
        grid = np.zeros(
            (height + 2 * down, width + 2 * across, self.count, self.units, self.own),
            self.patches.dtype,
        )
        patches = self.patches.reshape(self.count, self.units, height, width, self.own)
        grid[down : down + height, across : across + width] = patches.transpose(2, 3, 0, 1, 4)
        grid = grid.reshape(*grid.shape[:2], self.count, -1)
        deltas = follower.deltas  # (units, rows, columns, n)
        units, rows, columns, _ = deltas.shape
        for line in range(grid.shape[0]):
            # window rows that see this line, each at its own row of the kernel
            seen = [
                (place, (line - place) // step)
                for place in range(layer.kernel[0])
                if (line - place) % step == 0 and 0 <= (line - place) // step < rows
            ]
            if not seen:
                continue
            stacked = np.concatenate([deltas[:, row].reshape(units, -1) for _, row in seen])
            for column in range(layer.kernel[1]):
                values = grid[line, column : column + (columns - 1) * stride + 1 : stride]
                product = stacked @ values.reshape(columns * self.count, -1)
                for number, (place, _) in enumerate(seen):
                    own = product[number * units : (number + 1) * units]
                    total[place * layer.kernel[1] + column] += own

    def advance(self, follower, table):
        """Multiply the derivative by the linear layer and the slopes of the stage `follower`.

        `table` is the matrix of that layer, one row for each output before pooling; the weights of
        a convolution where kernels are compiled.
        """
        layer = self.assembly.layers[follower.position]
        if isinstance(layer, CONVOLUTIONS) and pooled_kernel.COMPILED:
            self._mix_windows(follower, table)
            return
        if isinstance(layer, CONVOLUTIONS):
            # row of the convolution's matrix for each entry; flat entries take the zero row
            index = np.where(follower.slope == 0, len(table) - 1, follower.index)
            slope = follower.slope.reshape(self.count, -1)
            rows = table.take(index.reshape(self.count, -1), axis=0)
            mixed = self._mix(rows.reshape(self.count, slope.shape[1], self.units, self.cells))
        elif self.rows is None:
            slope = follower.slope[:, :, 0]
            matrix = table.reshape(len(table), self.units, self.cells)
            mixed = self._mix(matrix)
        else:
            slope = follower.slope[:, :, 0]
            mixed = np.matmul(table, self.rows)
        mixed *= slope.reshape(self.count, -1, *([1] * (mixed.ndim - 2)))
        self.rows = mixed.reshape(self.count, mixed.shape[1], -1)

    def _mix_windows(self, follower, weights):
        index, slope = (
            np.ascontiguousarray(array.reshape(self.count, -1))
            for array in (follower.index, follower.slope)
        )
        shape = (self.count, index.shape[1], self.units * self.own)
        self.rows = np.empty(shape, self.patches.dtype)
        weights = repeated_weights(weights.reshape(*weights.shape[:2], -1), self.own)
        mix_windows(self._by_cell, weights, index, slope, *self._geometry(follower), self.rows)

    @cached_property
    def _by_cell(self):
        # the patches of all units at a cell together, (n, cells, units * own)
        return self.patches.transpose(0, 2, 1, 3).reshape(self.count, self.cells, -1)

    def _geometry(self, follower):
        # windows down and across, and the sizes that place them
        layer = self.assembly.layers[follower.position]
        layer = getattr(layer, "convolution", layer)
        shape = self.assembly.stack.shapes[follower.position]
        counts = layer.output_shape(shape)[1:]
        return counts, (*shape[1:], *layer.kernel, *layer.padding, *layer.stride)

    def _mix(self, matrix):
        # (n or nothing, entries, units, cells) times patches -> (n, entries, units, own)
        entries = matrix.shape[-3]
        shape = (self.count, entries, self.units, self.own)
        mixed = np.empty(shape, self.patches.dtype)
        np.matmul(np.moveaxis(matrix, -2, -3), self.patches, out=mixed.transpose(0, 2, 1, 3))
        return mixed
