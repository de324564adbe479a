"""Losses written with autograd.numpy: by aniso's problem, and example by example."""

import autograd.numpy as anp
import numpy as np
from autograd import grad

from aniso import AutogradProblem
from benchmarks.implementations.plain_losses import data_of, outputs


def _losses(theta, inputs, targets, widths):
    values = outputs(anp, theta, inputs, widths)
    largest = anp.max(values, axis=-1, keepdims=True)
    sums = anp.log(anp.sum(anp.exp(values - largest), axis=-1)) + largest[..., 0]
    labels = np.eye(widths[-1])[targets]
    return sums - anp.sum(values * labels, axis=-1)


def problem(widths, num_examples):
    """The problem of the loss, which chooses how to differentiate."""
    theta, inputs, targets, vectors = data_of(widths, num_examples)

    def loss(own, x, y):
        return _losses(own, x, y, widths)

    made = AutogradProblem(loss, inputs, targets, num_parameters=theta.size)
    return {
        "gradient": lambda: made.gradient(theta),
        "per_example_gradients": lambda: made.per_example_gradients(theta),
        "hessian_products": lambda: made.hessian_product(theta, vectors),
    }


def loop(widths, num_examples):
    """One example, and one vector, after the other."""
    theta, inputs, targets, vectors = data_of(widths, num_examples)

    def mean(own, x, y):
        return anp.mean(_losses(own, x, y, widths))

    slope = grad(mean)
    product = grad(lambda own, v: anp.sum(slope(own, inputs, targets) * v))
    return {
        "gradient": lambda: slope(theta, inputs, targets),
        "per_example_gradients": lambda: np.stack(
            [slope(theta, inputs[i : i + 1], targets[i : i + 1]) for i in range(num_examples)]
        ),
        "hessian_products": lambda: np.stack([product(theta, v) for v in vectors.T], axis=1),
    }


def layers(widths, num_examples):
    """The same as layers of a network."""
    from aniso import SoftmaxCrossEntropy, networks

    theta, inputs, targets, vectors = data_of(widths, num_examples)
    stack = networks.multilayer_perceptron(tuple(widths), "tanh")
    network = networks.Network(stack, SoftmaxCrossEntropy(), inputs, targets)
    return {
        "gradient": lambda: network.gradient(theta),
        "per_example_gradients": lambda: network.per_example_gradients(theta),
        "hessian_products": lambda: network.hessian_product(theta, vectors),
    }
