"""The convolutional network of the FashionMNIST experiment, along training on real images."""

import functools
from dataclasses import dataclass

import numpy as np

from aniso import checks, datasets, matrices, networks
from aniso.datasets import transformations
from aniso.descent import adam_iterates
from aniso.problems import losses
from aniso.propositions.deep_alignment import AlignmentBound, deep_alignment_bound
from aniso.propositions.fisher_order import FisherOrder, fisher_gauss_newton_order

TEN_CLASSES = "ten classes, cross-entropy"
TWO_CLASSES = "classes 0 and 6, logistic"
LOSSES = (TEN_CLASSES, TWO_CLASSES)
_LEARNING_RATE = 2e-3
_CLASSES = (0, 6)


@dataclass(frozen=True)
class ImageReading:
    """Numbers of the network after some steps of training.

    Attributes
    ----------
    step : int
        Steps of Adam.
    loss, least_loss : float
        Mean loss, and the least loss of an example.
    order : FisherOrder
        F relative to G, with its constants.
    reached : float
        ``v^T F v / v^T G v`` in the direction of the largest ratio, by the network's own operators.
    bound : AlignmentBound
        Noise along the leading eigenvector of G, with its bounds.
    trace_ratio : float
        ``Tr(G Sigma) / Tr(G Sigma_bar)``.
    """

    step: int
    loss: float
    least_loss: float
    order: FisherOrder
    reached: float
    bound: AlignmentBound
    trace_ratio: float


def plan(name, settings):
    """Return the number of images and the steps at which to look, for a scale.

    Parameters
    ----------
    name : {"ten classes, cross-entropy", "classes 0 and 6, logistic"}
        As of :func:`image_network`.
    settings : aniso.propositions.settings.Settings
        Scale and seed of the verification.

    Returns
    -------
    int, tuple of int
    """
    steps = settings.pick((0, 20, 60), (0, 10, 30, 60, 100), (0, 10, 30, 100, 300, 1000))
    if checks.one_of("name", name, LOSSES) == TEN_CLASSES:
        return settings.pick(20, 40, 100), steps
    return settings.pick(30, 60, 600), steps


def image_network(name, num_examples):
    """Return the convolutional network on the first images of the shipped FashionMNIST subset.

    Parameters
    ----------
    name : {"ten classes, cross-entropy", "classes 0 and 6, logistic"}
        All classes, or two of them with one output.
    num_examples : int
        N.

    Returns
    -------
    aniso.networks.Network
    """
    data, model = datasets.fashion_mnist(), networks.fashion_mnist_network()
    images, labels = data.train_images, data.train_labels
    output_loss = losses.SoftmaxCrossEntropy()
    if checks.one_of("name", name, LOSSES) == TWO_CLASSES:
        images, labels = transformations.pair(images, labels, *_CLASSES)
        model = networks.Stack((*model.layers[:-1], networks.Dense(1)), model.input_shape)
        output_loss = losses.LogisticLoss()
    inputs = transformations.scale_images(images[:num_examples], -1.0, 1.0)
    return networks.Network(
        model, output_loss, inputs.reshape(-1, *model.input_shape), labels[:num_examples]
    )


def reading(network, theta, step):
    """Return the numbers of a network at `theta`.

    Parameters
    ----------
    network : aniso.networks.Network
    theta : ndarray, shape (D,)
    step : int
        Recorded as given.

    Returns
    -------
    ImageReading
    """
    at = network.at(theta)
    order = fisher_gauss_newton_order(at)
    direction = order.direction
    curvature = float(direction @ (at.gauss_newton @ direction))
    return ImageReading(
        step,
        at.loss,
        float(network.losses(theta).min()),
        order,
        at.empirical_fisher.quadratic_form(direction) / curvature,
        deep_alignment_bound(at),
        matrices.trace_ratio(at.gauss_newton, at.noise),
    )


@functools.lru_cache(maxsize=4)
def readings_along_training(name, num_examples, steps, seed):
    """Return the readings after the given steps of full-batch Adam, learning rate 2e-3.

    Parameters
    ----------
    name, num_examples
        As of :func:`image_network`.
    steps : tuple of int
        Increasing.
    seed : int
        Seed of the initial parameters.

    Returns
    -------
    tuple of ImageReading
    """
    network = image_network(name, num_examples)
    theta = network.model.initial_parameters(np.random.default_rng([seed, 3]))
    found = [reading(network, theta, 0)] if 0 in steps else []
    iterates = adam_iterates(network, theta, [_LEARNING_RATE] * max(steps))
    for step, theta in enumerate(iterates, start=1):
        if step in steps:
            found.append(reading(network, theta, step))
    return tuple(found)
