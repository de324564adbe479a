"""Sums over the examples that make the cross-layer blocks, chunk by chunk.

See "Cross-layer blocks" in docs/theory/networks.md.
"""

import math
from typing import NamedTuple

import numpy as np

from aniso.networks.curvature.cross_layer import Bilinear, BilinearBlock
from aniso.networks.curvature.stage_derivatives import PatchDerivatives, UnitDerivatives
from aniso.networks.fast import pooled_kernel
from aniso.networks.layers.dense import Dense
from aniso.networks.layers.fixed_linear import FixedLinear
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
        The network.
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
            Sums by pair of layers, changed in place.
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
            spread = PatchDerivatives if convolution else UnitDerivatives
            derivative = spread(self, stage, parameters, trail)
            for later, follower in enumerate(chain[number + 1 :], start=number + 1):
                if follower.position in self.blocks:
                    pair = Pair(follower.position, stage.position, later == number + 1)
                    derivative.accumulate(sums[pair], follower, pair.adjacent)
                if any(p > follower.position for p in self.blocks):
                    derivative.advance(follower, tables[follower.position])

    def tables(self, parameters):
        """Return the map of each linear layer in its inputs, a matrix (units, inputs).

        The matrix of a convolution has a row of zeros at its end. Where kernels are compiled, its
        weights stand instead. The first layer needs none.
        """
        result = {}
        for position in self.order:
            layer = self.layers[position]
            if isinstance(layer, CONVOLUTIONS):
                if position == self.order[0]:
                    result[position] = None
                    continue
                if pooled_kernel.COMPILED:
                    result[position] = np.ascontiguousarray(parameters[position][0])
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
