"""Architectures: multi-layer perceptron, one hidden layer, the FashionMNIST network, VGG-11."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from aniso import checks
from aniso.networks.layers.activation import Activation
from aniso.networks.layers.convolution import Convolution
from aniso.networks.layers.dense import Dense
from aniso.networks.layers.fixed_linear import signed_sum
from aniso.networks.layers.flatten import Flatten
from aniso.networks.layers.max_pooling import MaxPooling
from aniso.networks.layers.stack import Stack


def multilayer_perceptron(widths: Sequence[int], activation: str = "relu") -> Stack:
    """Return dense layers of given widths with an activation between them.

    Parameters
    ----------
    widths : sequence of int
        (d, h_1, ..., C): inputs, units of the hidden layers, outputs.
    activation : str
        One of :class:`aniso.networks.Activation`.

    Returns
    -------
    Stack

    Raises
    ------
    InputError
        If there are fewer than two widths, or one is no integer above 0.

    Examples
    --------
    >>> multilayer_perceptron((784, 128, 64, 10)).num_parameters
    109386
    """
    if isinstance(widths, str) or np.ndim(widths) != 1 or len(widths) < 2:
        raise checks.InputError(
            f"widths={widths!r}; expected at least inputs and outputs, for instance (784, 32, 10)"
        )
    for number, width in enumerate(widths):
        checks.integer(f"widths[{number}]", width, low=1)
    layers = []
    for width in widths[1:-1]:
        layers += [Dense(width), Activation(activation)]
    return Stack((*layers, Dense(widths[-1])), (widths[0],))


def one_hidden_layer(num_inputs: int, num_hidden: int, activation: str = "relu") -> Stack:
    """Return one hidden layer with output weights fixed at +1 (first half) and -1.

    Parameters
    ----------
    num_inputs, num_hidden : int
        Numbers of inputs and of hidden units.
    activation : str
        Name of the activation.

    Returns
    -------
    Stack

    Raises
    ------
    InputError
        If a number is no integer above 0, or no activation has that name.

    Examples
    --------
    >>> one_hidden_layer(2, 512).num_parameters
    1536
    """
    checks.integer("num_inputs", num_inputs, low=1)
    checks.integer("num_hidden", num_hidden, low=1)
    hidden = Dense(num_hidden), Activation(activation)
    return Stack((*hidden, signed_sum(num_hidden)), (num_inputs,))


def fashion_mnist_network(activation: str = "relu") -> Stack:
    """Return a network for FashionMNIST: two 5x5 convolutions with pooling, two dense layers.

    Inputs are images (1, 28, 28), D = 11,330, C = 10.

    Parameters
    ----------
    activation : str
        Name of the activation.

    Returns
    -------
    Stack

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


_VGG11_CHANNELS = ((64,), (128,), (256, 256), (512, 512), (512, 512))


def vgg11(
    input_shape: tuple[int, ...] = (3, 32, 32), width: float = 1.0, num_classes: int = 10
) -> Stack:
    """Return VGG-11 without batch normalisation and dropout.

    It has five groups of 3x3 convolutions with padding 1. They have 64; 128; 256 and 256; 512 and
    512; 512 and 512 channels. After each group follows 2x2 max pooling. The dense layers have 512,
    512 and `num_classes` units. A ReLU follows every layer except the last.

    Parameters
    ----------
    input_shape : tuple of int
        Channels, height and width of an image.
    width : float
        Factor of all numbers of channels and hidden units, above 0. Numbers are rounded, at
        least 1.
    num_classes : int
        C.

    Returns
    -------
    Stack

    Raises
    ------
    InputError
        If an argument breaks its rule.

    Notes
    -----
    A pooling is left out where the image is too small: 16 x 16 images have four of the five, 8 x 8
    images three. Source: Simonyan & Zisserman, arXiv:1409.1556, configuration A, with the small
    dense layers of its variants for CIFAR-10.

    Examples
    --------
    >>> vgg11().num_parameters
    9750922
    """
    if not isinstance(input_shape, (tuple, list)) or len(input_shape) != 3:
        raise checks.InputError(f"input_shape={input_shape!r}; expected (channels, height, width)")
    width = checks.number("width", width, low=0, strict=True)
    num_classes = checks.integer("num_classes", num_classes, low=1)
    input_shape = tuple(checks.integer("input_shape", n, low=1) for n in input_shape)
    layers, (height, across) = [], input_shape[1:]
    for group in _VGG11_CHANNELS:
        for count in group:
            layers += [Convolution(_scaled(count, width), 3, padding=1), Activation("relu")]
        if min(height, across) >= 2:
            # before the activation: max and ReLU commute, and it has a quarter of the work
            layers.insert(-1, MaxPooling(2))
            height, across = height // 2, across // 2
    layers.append(Flatten())
    for _ in range(2):
        layers += [Dense(_scaled(512, width)), Activation("relu")]
    return Stack((*layers, Dense(num_classes)), input_shape)


def _scaled(count, width):
    return max(1, round(width * count))
