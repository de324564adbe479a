"""Sums over the examples that make the cross-layer blocks, chunk by chunk.

See "Cross-layer blocks" in docs/theory/networks.md.
"""

import math
from typing import NamedTuple

import numpy as np

from aniso.networks.curvature.cross_layer import Bilinear, BilinearBlock
from aniso.networks.layers.dense import Dense
from aniso.networks.layers.fixed_linear import FixedLinear
from aniso.networks.matrix_products import accumulate_product
from aniso.networks.parameter_blocks import blocks_of
from aniso.networks.routing import CONVOLUTIONS, linear_positions, stages


class Pair(NamedTuple):
    """Two layers with parameters.

    Attributes
    ----------
    late, early : int
        Positions of the later and of the earlier layer.
    adjacent : bool
        Whether no other linear layer lies between.
    """

    late: int
    early: int
    adjacent: bool


def pairs(layers, blocks):
    """Return all pairs of layers with parameters."""
    order = linear_positions(layers)
    rank = {position: number for number, position in enumerate(order)}
    return [
        Pair(late.position, early.position, rank[late.position] == rank[early.position] + 1)
        for early in blocks
        for late in blocks
        if rank[late.position] > rank[early.position]
    ]


class Assembly:
    """Shapes, costs and sums of the cross-layer blocks of one network.

    Parameters
    ----------
    network : Network
    stack : Stack
        The layers that run.
    """

    def __init__(self, network, stack):
        self.network, self.stack = network, stack
        self.layers = stack.layers
        self.blocks = {b.position: b for b in blocks_of(stack)}
        kinds = (*CONVOLUTIONS, Dense, FixedLinear)
        self.known = all(layer.routed or isinstance(layer, kinds) for layer in self.layers)
        self.pairs = pairs(self.layers, tuple(self.blocks.values())) if self.known else []
        self.order = linear_positions(self.layers)

    @property
    def supported(self):
        """Whether the cross-layer blocks can be formed.

        The network must be piecewise linear, the routes of its layers known, and no convolution may
        lie above two others.
        """
        late_convolutions = [
            pair
            for pair in self.pairs
            if isinstance(self.layers[pair.late], CONVOLUTIONS) and not pair.adjacent
        ]
        return self.known and self.stack.piecewise_linear and not late_convolutions

    def value_shape(self, pair):
        """Return the shape of a block's values."""
        late, early = self.blocks[pair.late], self.blocks[pair.early]
        if pair.adjacent:
            rows = late.num_units * late.num_inputs // early.num_units
            return early.num_units, rows, early.num_inputs + 1
        return 1, late.num_units * late.num_inputs, early.size

    def num_entries(self):
        """Return the number of entries of all blocks."""
        return sum(math.prod(self.value_shape(pair)) for pair in self.pairs)

    def _cells(self, position):
        # entries of the stage's result for each unit
        following = [p for p in self.order if p > position]
        if not following or position not in self.blocks:
            return 1
        entries = math.prod(self.stack.shapes[following[0]])
        return max(1, entries // self.blocks[position].num_units)

    def entries_per_example(self):
        """Return about how many numbers one example takes while the blocks are formed."""
        largest = 0
        for block in self.blocks.values():
            cells, inputs = self._cells(block.position), block.num_inputs + 1
            dense = isinstance(self.layers[block.position], CONVOLUTIONS)
            own = block.num_units * cells * (inputs if dense else 1)
            above = [p for p in self.order if p > block.position][:-1]
            spread = 0
            for position in above:
                following = next(p for p in self.order if p > position)
                units = math.prod(self.stack.shapes[following])
                spread = max(spread, units * (block.size if dense else block.num_units))
                if isinstance(self.layers[position], CONVOLUTIONS):
                    spread += units * math.prod(self.stack.shapes[position])
            largest = max(largest, 2 * own + spread)
        return largest

    def multiplications(self):
        """Return about how many multiplications one example takes."""
        total = 0
        for pair in self.pairs:
            late, early = self.blocks[pair.late], self.blocks[pair.early]
            windows = 1
            if isinstance(self.layers[pair.late], CONVOLUTIONS):
                windows = math.prod(
                    self.layers[pair.late].output_shape(self.stack.shapes[pair.late])[1:]
                )
            dense = isinstance(self.layers[pair.early], CONVOLUTIONS)
            total += math.prod(self.value_shape(pair)) * windows
            if not pair.adjacent:
                total += late.num_inputs * (early.size if dense else early.num_units) * 16
        return total

    def new_sums(self):
        """Return sums of zero, a dict of Pair to ndarray."""
        return {pair: np.zeros(self._sum_shape(pair), self.network.dtype) for pair in self.pairs}

    def _sum_shape(self, pair):
        late, early = self.blocks[pair.late], self.blocks[pair.early]
        own = early.num_inputs + 1
        if isinstance(self.layers[pair.late], CONVOLUTIONS):
            kernel = late.num_inputs // early.num_units
            return kernel, late.num_units, early.num_units * own
        if isinstance(self.layers[pair.early], CONVOLUTIONS):
            cells = late.num_inputs // early.num_units
            columns = early.num_units * (cells if pair.adjacent else late.num_inputs) * own
            return late.num_units, columns
        if pair.adjacent:
            return late.num_units * early.num_units, own
        return late.num_units * late.num_inputs * early.num_units, own

    def add_chunk(self, sums, parameters, trail, delta, tables):
        """Add the examples of a chunk to the sums.

        Parameters
        ----------
        sums : dict of Pair to ndarray
        parameters, trail, delta
            As for :func:`aniso.networks.routing.stages`.
        tables : dict
            From :meth:`tables`.
        """
        chain = stages(self.layers, parameters, trail, delta)
        for number, stage in enumerate(chain[:-1]):
            if stage.position not in self.blocks:
                continue
            convolution = isinstance(self.layers[stage.position], CONVOLUTIONS)
            spread = _Patches if convolution else _Units
            derivative = spread(self, stage, parameters, trail)
            for later, follower in enumerate(chain[number + 1 :], start=number + 1):
                if follower.position in self.blocks:
                    pair = Pair(follower.position, stage.position, later == number + 1)
                    derivative.accumulate(sums[pair], follower, pair.adjacent)
                if any(p > follower.position for p in self.blocks):
                    derivative.advance(follower, tables[follower.position])

    def tables(self, parameters):
        """Return the map of each linear layer in its inputs, a matrix (units, inputs).

        The matrix of a convolution has a row of zeros at its end. The first layer needs none.
        """
        result = {}
        for position in self.order:
            layer = self.layers[position]
            if isinstance(layer, CONVOLUTIONS):
                if position == self.order[0]:
                    result[position] = None
                    continue
                table = layer.input_rows(parameters[position], self.stack.shapes[position])
                result[position] = np.concatenate(
                    [table, np.zeros((1, table.shape[1]), table.dtype)]
                )
            elif isinstance(layer, FixedLinear):
                result[position] = layer.matrix(np.empty(0, self.network.dtype))
            else:
                result[position] = parameters[position][0]
        return result

    def finish(self, sums):
        """Return the blocks, the sums over the examples divided by N."""
        blocks = []
        for pair, total in sums.items():
            late, early = self.blocks[pair.late], self.blocks[pair.early]
            shape, own = self.value_shape(pair), early.num_inputs + 1
            units = early.num_units
            if isinstance(self.layers[pair.late], CONVOLUTIONS):
                values = total.reshape(-1, late.num_units, units, own).transpose(2, 1, 0, 3)
            elif isinstance(self.layers[pair.early], CONVOLUTIONS):
                if pair.adjacent:
                    values = total.reshape(late.num_units, units, -1, own).transpose(1, 0, 2, 3)
                else:
                    values = total
            elif pair.adjacent:
                values = total.reshape(late.num_units, units, own).transpose(1, 0, 2)
            else:
                values = total
            values = values.reshape(shape) / np.asarray(self.network.num_examples, total.dtype)
            blocks.append(BilinearBlock(late, early, np.ascontiguousarray(values)))
        return Bilinear(blocks, self.network.num_parameters)


class _Units:
    """Derivative of entries in a dense layer's parameters: ``T (x) inputs``, T (n, in, units)."""

    def __init__(self, assembly, stage, parameters, trail):  # noqa: ARG002
        inputs = trail[stage.position]
        self.inputs = np.ones((inputs.shape[1], len(inputs) + 1), inputs.dtype)
        self.inputs[:, :-1] = inputs.T
        self.slope = stage.slope[:, :, 0]
        self.spread = None  # the diagonal matrix of slopes, until another layer mixes it

    def accumulate(self, total, follower, adjacent):
        delta = np.ascontiguousarray(follower.deltas.T)
        count = len(delta)
        if adjacent:
            weights = delta[:, :, None] * self.slope[:, None, :]
        else:
            weights = delta[:, :, None, None] * self.spread[:, None]
        accumulate_product(total, weights.reshape(count, -1).T, self.inputs)

    def advance(self, follower, table):
        if self.spread is None:
            spread = table * self.slope[:, None, :]
        else:
            spread = np.matmul(table, self.spread)
        self.spread = spread * follower.slope


class _Patches:
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
        if isinstance(self.assembly.layers[follower.position], CONVOLUTIONS):
            self._accumulate_windows(total, follower)
            return
        values = self.patches if adjacent else self.rows
        accumulate_product(total, follower.deltas, values.reshape(self.count, -1))

    def _accumulate_windows(self, total, follower):
        # sums over windows of delta (x) the patches at each place of the kernel
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
        layer = self.assembly.layers[follower.position]
        if isinstance(layer, CONVOLUTIONS):
            # rows of the convolution's map behind each entry; flat entries take the zero row
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

    def _mix(self, matrix):
        # (n or nothing, entries, units, cells) times patches -> (n, entries, units, own)
        entries = matrix.shape[-3]
        shape = (self.count, entries, self.units, self.own)
        mixed = np.empty(shape, self.patches.dtype)
        np.matmul(np.moveaxis(matrix, -2, -3), self.patches, out=mixed.transpose(0, 2, 1, 3))
        return mixed
