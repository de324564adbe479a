"""Layer networks: exact first- and second-order quantities at matrix-product speed.

A :class:`Stack` of layers is an architecture; a :class:`Network` is a stack with a loss and data.

>>> import numpy as np
>>> from aniso import losses, networks
>>> stack = networks.multilayer_perceptron((2, 3, 1))
>>> stack.num_parameters
13
"""

from aniso.networks.activation import Activation
from aniso.networks.architectures import (
    fashion_mnist_network,
)
from aniso.networks.architectures import (
    multilayer_perceptron_network as multilayer_perceptron,
)
from aniso.networks.architectures import (
    one_hidden_layer_network as one_hidden_layer,
)
from aniso.networks.architectures import (
    vgg11_network as vgg11,
)
from aniso.networks.average_pooling import AveragePooling
from aniso.networks.convolution import Convolution
from aniso.networks.dense import Dense
from aniso.networks.fixed_linear import FixedLinear, signed_sum
from aniso.networks.flatten import Flatten
from aniso.networks.layer import Layer
from aniso.networks.max_pooling import MaxPooling
from aniso.networks.network import Network
from aniso.networks.residual import Residual
from aniso.networks.stack import Stack

__all__ = [
    "Activation",
    "AveragePooling",
    "Convolution",
    "Dense",
    "FixedLinear",
    "Flatten",
    "Layer",
    "MaxPooling",
    "Network",
    "Residual",
    "Stack",
    "fashion_mnist_network",
    "multilayer_perceptron",
    "one_hidden_layer",
    "signed_sum",
    "vgg11",
]
