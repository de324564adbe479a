"""Workspaces of a plan: activations, slopes and deltas of n examples, batch axis last."""

import numpy as np
from array_api_compat import array_namespace

from aniso.networks.layers.activation import RULES
from aniso.networks.plans import kernels


class Workspace:
    """Arrays in which n examples pass through dense layers.

    Parameters
    ----------
    layers : tuple of DenseLayer
        The layers.
    num_examples : int
        n.
    num_vectors : int
        K, the tangents that pass together; 0 for the first order alone.
    dtype : numpy.dtype
        Precision.

    Attributes
    ----------
    outputs : list of ndarray, shape (1 + K, units, n)
        Of each layer, activations after its nonlinearity, and their tangents.
    slopes, curvatures : list of ndarray (units, n) or None
        rho' and rho'' of each activation; curvatures are needed for tangents of smooth ones alone.
    deltas : list of ndarray, shape (units, n)
        Of each layer, gradients in the numbers before its nonlinearity.
    moved : list of ndarray, shape (K, units, n)
        Tangents of the deltas.
    before : list of ndarray (K, units, n) or None
        Tangents of the numbers before a smooth activation.
    """

    def __init__(self, layers, num_examples, num_vectors, dtype):
        def arrays(*lead, of=lambda layer: True):  # noqa: ARG005
            return [
                np.empty((*lead, layer.num_outputs, num_examples), dtype) if of(layer) else None
                for layer in layers
            ]

        def smooth(layer):
            return num_vectors > 0 and layer.curved

        self.outputs, self.deltas = arrays(1 + num_vectors), arrays()
        self.slopes = arrays(of=lambda layer: layer.activation is not None)
        self.moved = arrays(num_vectors)
        self.curvatures, self.before = arrays(of=smooth), arrays(num_vectors, of=smooth)


def num_entries(layers, num_vectors):
    """Return how many numbers a workspace has for one example.

    Examples
    --------
    >>> from aniso import networks
    >>> from aniso.networks.plans.dense_layers import chain_layers
    >>> layers = chain_layers(networks.multilayer_perceptron((4, 3, 2)))
    >>> num_entries(layers, 0), num_entries(layers, 1)  # 2 x 5 + 3; and 2 x 5 more
    (13, 23)
    """
    total = 0
    for layer in layers:
        copies = 2 + 2 * num_vectors + (layer.activation is not None)
        copies += (1 + num_vectors) * (num_vectors > 0 and layer.curved)
        total += copies * layer.num_outputs
    return total


def activate(name, z, biases, slopes, curvatures, part):
    """Add biases to z, replace it by rho(z), and write ``rho'(z)`` and, if asked for, ``rho''(z)``.

    Parameters
    ----------
    name : str or None
        Name of rho; with None only the biases are added.
    z, slopes : ndarray, shape (units, N)
        Numbers before the activation, and memory for the slopes.
    biases : ndarray, shape (units,)
        Biases of the layer.
    curvatures : ndarray (units, N) or None
        Memory for the second derivatives.
    part : slice
        Examples to treat.
    """
    if name == "relu":
        kernels.relu(z, biases, slopes, part.start, part.stop)
        return
    own = z[:, part]
    own += biases[:, None]
    if name is None:
        return
    rule, xp = RULES[name], array_namespace(own)
    slopes[:, part] = rule.slope(own, xp)
    if curvatures is not None:
        curvatures[:, part] = rule.curvature(own, xp)
    own[...] = rule.value(own, xp)
