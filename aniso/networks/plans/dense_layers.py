"""Stacks that are a chain of dense layers, with an activation after each but the last."""

from typing import NamedTuple

from aniso.networks.layers.activation import RULES, Activation
from aniso.networks.layers.dense import Dense
from aniso.networks.layers.flatten import Flatten
from aniso.networks.parameter_blocks import blocks_of


class DenseLayer(NamedTuple):
    """A dense layer and the activation after it.

    Attributes
    ----------
    weights, biases : slice
        Their parts of theta; weights are row-major.
    num_outputs, num_inputs : int
        Shape of the weights.
    activation : str or None
        Name of the activation; None after the last layer.
    """

    weights: slice
    biases: slice
    num_outputs: int
    num_inputs: int
    activation: str | None

    @property
    def shape(self):
        """Shape of the weights, (num_outputs, num_inputs)."""
        return self.num_outputs, self.num_inputs

    @property
    def curved(self):
        """Whether the activation has a second derivative between kinks."""
        return self.activation is not None and RULES[self.activation].curvature is not None


def chain_layers(stack):
    """Return the layers of a chain; None where the stack is another one.

    Parameters
    ----------
    stack : Stack
        Layers of a network. A chain may begin with :class:`aniso.networks.Flatten`.

    Returns
    -------
    tuple of DenseLayer, or None

    Examples
    --------
    >>> from aniso import networks
    >>> [layer.shape for layer in chain_layers(networks.multilayer_perceptron((4, 3, 2)))]
    [(3, 4), (2, 3)]
    >>> chain_layers(networks.fashion_mnist_network()) is None
    True
    """
    # a subclass may have other rules
    kinds = [type(layer) for layer in stack.layers]
    start = next((i for i, kind in enumerate(kinds) if kind is not Flatten), len(kinds))
    rest = kinds[start:]
    alternate = [Dense, Activation] * (len(rest) // 2) + [Dense]
    if rest != alternate:
        return None
    names = [layer.name for layer in stack.layers[start + 1 :: 2]]
    return tuple(
        DenseLayer(block.weights, block.biases, block.num_units, block.num_inputs, name)
        for block, name in zip(blocks_of(stack), [*names, None], strict=True)
    )
