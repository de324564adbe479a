"""Architectures: multi-layer perceptron, one hidden layer, the FashionMNIST network."""

from aniso import checks
from aniso.networks.activation import Activation
from aniso.networks.convolution import Convolution
from aniso.networks.dense import Dense
from aniso.networks.fixed_linear import signed_sum
from aniso.networks.flatten import Flatten
from aniso.networks.max_pooling import MaxPooling
from aniso.networks.stack import Stack


def multilayer_perceptron_network(widths, activation="relu"):
    """Dense layers of `widths` (d, h_1, ..., C) with an activation between them.

    Examples
    --------
    >>> multilayer_perceptron_network((784, 128, 64, 10)).num_parameters
    109386
    """
    if len(widths) < 2:
        raise checks.InputError(f"widths={widths!r}; expected at least inputs and outputs")
    layers = []
    for width in widths[1:-1]:
        layers += [Dense(width), Activation(activation)]
    return Stack((*layers, Dense(widths[-1])), (widths[0],))


def one_hidden_layer_network(num_inputs, num_hidden, activation="relu"):
    """One hidden layer, output weights fixed at +1 (first half) and -1: Figure 4.

    Examples
    --------
    >>> one_hidden_layer_network(2, 512).num_parameters
    1536
    """
    hidden = Dense(num_hidden), Activation(activation)
    return Stack((*hidden, signed_sum(num_hidden)), (num_inputs,))


def fashion_mnist_network(activation="relu"):
    """The network of Figures 3 and 5: two 5x5 convolutions with pooling, two dense layers.

    Inputs are images (1, 28, 28), D = 11,330, C = 10.

    Examples
    --------
    >>> fashion_mnist_network().num_parameters
    11330
    """
    layers = (
        Convolution(10, 5),
        MaxPooling(2),
        Activation(activation),
        Convolution(10, 5),
        MaxPooling(2),
        Activation(activation),
        Flatten(),
        Dense(50),
        Activation(activation),
        Dense(10),
    )
    return Stack(layers, (1, 28, 28))
