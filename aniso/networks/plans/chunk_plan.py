"""A plan for a chunk of examples of a network with convolutions."""

import numpy as np

from aniso.networks.fast.pooled import PooledConvolution
from aniso.networks.fast.winograd import WinogradConvolution
from aniso.networks.layers.activation import Activation
from aniso.networks.layers.convolution import Convolution
from aniso.networks.layers.dense import Dense
from aniso.networks.layers.flatten import Flatten
from aniso.networks.layers.max_pooling import MaxPooling
from aniso.networks.passes import first_parameterised
from aniso.networks.plans.convolution_plan import ConvolutionPasses
from aniso.networks.plans.layer_passes import (
    ActivationPasses,
    DensePasses,
    FlattenPasses,
    LayerPasses,
    MaxPoolingPasses,
)
from aniso.networks.plans.pooled_plan import PooledPasses
from aniso.networks.plans.winograd_plan import WinogradPasses

# of layers that read the examples of a chunk, and of layers above others
_FIRST = {Convolution: ConvolutionPasses, PooledConvolution: PooledPasses}
_ABOVE = {
    **_FIRST,
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
    """

    def __init__(self, layers, shapes, weights, count, dtype):
        self.passes, below = [], None
        for kind, layer, shape, own in zip(passes_of(layers), layers, shapes, weights, strict=True):
            below = kind(layer, shape, count, dtype, below, own)
            self.passes.append(below)

    def forward(self, network, chunk, parameters):
        """Return the outputs of a chunk, (C, n), in the plan's memory."""
        self.passes[0].load(network.data, chunk.rows, network.data.kept(chunk))
        for passes, own in zip(self.passes, parameters, strict=True):
            passes.forward(own)
        return self.passes[-1].outputs

    def both_ways(self, network, chunk, parameters, results, losses):
        """Write the sum of the gradients of a chunk.

        Parameters
        ----------
        network : Network
            The network.
        chunk : Chunk
            n of its examples.
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
            outputs = self.forward(network, chunk, parameters)
            rows = network.output_rows(outputs)
            if losses is not None:
                losses[chunk.rows] = network.output_loss(rows, chunk.targets)
            slopes = network.output_loss.gradient(rows, chunk.targets)
            np.copyto(self.passes[-1].deltas, slopes.T)
            first = first_parameterised(parameters)
            for number in reversed(range(first, len(self.passes))):
                self.passes[number].backward(parameters[number], results[number], number > first)
            for passes in self.passes:
                passes.release()
        return bool(np.isfinite(outputs).all())
