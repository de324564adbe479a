"""VGG-11 at full width in aniso."""

import numpy as np

from aniso import networks
from aniso.networks import StreamedGradients, initialisation
from aniso.problems import losses
from benchmarks.implementations.vgg_images import BATCH, images


def network_and_theta(count, width=1.0, **settings):
    """Return a network on random images, and a theta."""
    model = networks.vgg11(width=width)
    theta = initialisation.he_normal(model, np.random.default_rng(0)).astype(np.float32)
    loss = losses.SoftmaxCrossEntropy()
    return networks.Network(model, loss, *images(count), dtype=np.float32, **settings), theta


def engine():
    """Gradient and square norms of the gradients of the examples."""
    network, theta = network_and_theta(BATCH)
    return {
        "gradient": lambda: network.gradient(theta),
        "square_norms": lambda: StreamedGradients(network, theta).square_norms(),
    }
