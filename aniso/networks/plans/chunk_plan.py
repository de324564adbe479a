"""A plan for a chunk of examples of a network with convolutions."""

from collections import OrderedDict
from typing import NamedTuple

import numpy as np

from aniso.networks.fast.pooled import PooledConvolution
from aniso.networks.fast.toeplitz import ToeplitzConvolution
from aniso.networks.fast.winograd import WinogradConvolution
from aniso.networks.layers.activation import Activation
from aniso.networks.layers.convolution import Convolution
from aniso.networks.layers.dense import Dense
from aniso.networks.layers.flatten import Flatten
from aniso.networks.layers.max_pooling import MaxPooling
from aniso.networks.plans.arena import Arena
from aniso.networks.plans.convolution_plan import ConvolutionPasses
from aniso.networks.plans.layer_passes import (
    ActivationPasses,
    DensePasses,
    FlattenPasses,
    LayerPasses,
    MaxPoolingPasses,
)
from aniso.networks.plans.pooled_plan import PooledPasses
from aniso.networks.plans.toeplitz_plan import ToeplitzPasses
from aniso.networks.plans.winograd_plan import WinogradPasses

# sizes of chunks whose plans are kept: batches, all examples, and the last chunk of both
KEPT_SIZES = 4
# of layers that read the examples of a chunk, and of layers above others
_FIRST = {Convolution: ConvolutionPasses, PooledConvolution: PooledPasses}
_ABOVE = {
    **_FIRST,
    ToeplitzConvolution: ToeplitzPasses,
    WinogradConvolution: WinogradPasses,
    Activation: ActivationPasses,
    Dense: DensePasses,
    Flatten: FlattenPasses,
    MaxPooling: MaxPoolingPasses,
}


def passes_of(layers):
    """Return the kind of passes of each layer.

    Parameters
    ----------
    layers : tuple of Layer
        The layers that run.

    Returns
    -------
    list of type
        Subclasses of :class:`aniso.networks.plans.layer_passes.LayerPasses`. A subclass of a layer
        may have other rules, which are then called.

    Examples
    --------
    >>> [kind.__name__ for kind in passes_of((Convolution(2, 3), Flatten(), Dense(1)))]
    ['ConvolutionPasses', 'FlattenPasses', 'DensePasses']
    """
    return [
        (_ABOVE if number else _FIRST).get(type(layer), LayerPasses)
        for number, layer in enumerate(layers)
    ]


class Part(NamedTuple):
    """The examples of a chunk.

    Attributes
    ----------
    rows : slice
        Their numbers.
    examples : ndarray, shape (n, \\*input_shape)
        As they are given.
    targets : ndarray, length n
        Their targets.
    kept : object or None
        The examples as the first layer prepares them, if they are kept.
    """

    rows: slice
    examples: np.ndarray
    targets: np.ndarray
    kept: object = None


class Seat:
    """Plans of one thread for chunks of several sizes, in the same memory.

    Parameters
    ----------
    layers, shapes, weights, dtype
        As of :class:`ChunkPlan`.
    """

    def __init__(self, layers, shapes, weights, dtype):
        self._made = layers, shapes, weights, dtype
        self._plans, self._arena = OrderedDict(), Arena()

    def plan(self, count):
        """Return the plan for `count` examples."""
        plan = self._plans.get(count)
        if plan is None:
            plan = self._new_plan(count)
            if not self._arena.fits:
                # memory for the largest chunk, in which the others have place
                self._plans.clear()
                self._arena = Arena(self._arena.num_bytes, self._arena.scratch_bytes)
                plan = self._new_plan(count)
            self._plans[count] = plan
            if len(self._plans) > KEPT_SIZES:
                self._plans.popitem(last=False)
        self._plans.move_to_end(count)
        return plan

    def _new_plan(self, count):
        layers, shapes, weights, dtype = self._made
        self._arena.begin()
        return ChunkPlan(layers, shapes, weights, count, dtype, self._arena)


class ChunkPlan:
    """Passes of n examples through the layers, by one thread at a time.

    Parameters
    ----------
    layers : tuple of Layer
        The layers that run.
    shapes : tuple of tuple of int
        Shape of one example's inputs of each layer.
    weights : list
        What was made of the parameters of each layer, or None.
    count : int
        n.
    dtype : numpy.dtype
        Precision.
    arena : Arena
        Where the arrays are placed. One plan in an arena runs at a time.
    """

    def __init__(self, layers, shapes, weights, count, dtype, arena):
        self.passes, below = [], None
        for kind, layer, shape, own in zip(passes_of(layers), layers, shapes, weights, strict=True):
            arena.begin_layer()
            below = kind(layer, shape, count, dtype, below, own, arena)
            self.passes.append(below)
        first = next(i for i, layer in enumerate(layers) if layer.parameter_shapes(shapes[i]))
        busy = [(i, passes) for i, passes in enumerate(self.passes) if not passes.is_idle]
        self._forward = [(passes.forward, i) for i, passes in busy]
        self._backward = [(p.backward, i, i > first) for i, p in reversed(busy) if i >= first]
        self._releases = [p.release for p in self.passes if type(p) is LayerPasses]

    def forward(self, part, parameters):
        """Return the outputs of the examples, (C, n), in the plan's memory."""
        self.passes[0].load(part.examples, part.kept)
        for forward, number in self._forward:
            forward(parameters[number])
        return self.passes[-1].outputs

    def both_ways(self, network, part, parameters, results, losses):
        """Write the sum of the gradients of the examples.

        Parameters
        ----------
        network : Network
            The network.
        part : Part
            n examples.
        parameters, results : list of tuple of ndarray
            Parameters of each layer, and memory for their gradients.
        losses : ndarray, shape (N,), or None
            Memory for the losses of all examples.

        Returns
        -------
        bool
            Whether the outputs are finite.
        """
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            outputs = self.forward(part, parameters)
            rows = network.output_rows(outputs)
            if losses is not None:
                losses[part.rows] = network.output_loss(rows, part.targets)
            self.passes[-1].deltas[...] = network.output_loss.gradient(rows, part.targets).T
            for backward, number, needs_inputs in self._backward:
                backward(parameters[number], results[number], needs_inputs)
            for release in self._releases:
                release()
        return bool(np.isfinite(outputs).all())
