"""VGG-11 in aniso."""

import numpy as np

from aniso import networks
from aniso.networks import StreamedGradients, initialisation
from aniso.problems import losses
from benchmarks.implementations.vgg_images import images


def network_and_theta(count, width=1.0, pixels=32, **settings):
    """Return a network on random images, and a theta."""
    model = networks.vgg11((3, pixels, pixels), width)
    theta = initialisation.he_normal(model, np.random.default_rng(0)).astype(np.float32)
    loss = losses.SoftmaxCrossEntropy()
    network = networks.Network(model, loss, *images(count, pixels), dtype=np.float32, **settings)
    return network, theta


def engine(num_images, width, pixels):
    """Gradient and square norms of the gradients of the examples."""
    network, theta = network_and_theta(num_images, width, pixels)
    return {
        "gradient": lambda: network.gradient(theta),
        "square_norms": lambda: StreamedGradients(network, theta).square_norms(),
    }
