"""Slow obvious references for losses, networks and problems: loops over examples and units."""

import itertools
import math

import autograd.numpy as anp
import numpy as np
from autograd import grad
from autograd import hessian as autograd_hessian

ACTIVATIONS = {
    "relu": lambda z: anp.maximum(z, 0.0),
    "leaky_relu": lambda z: anp.maximum(z, 0.01 * z),
    "abs": anp.abs,
    "hard_tanh": lambda z: anp.clip(z, -1.0, 1.0),
    "tanh": anp.tanh,
    "softplus": lambda z: anp.log(1 + anp.exp(z)),
    "sigmoid": lambda z: 1 / (1 + anp.exp(-z)),
    "silu": lambda z: z / (1 + anp.exp(-z)),
    "elu": lambda z: anp.where(z > 0, z, anp.exp(z) - 1),
}


def squared(f, y):
    return sum((f[c] - y[c]) ** 2 for c in range(len(f)))


def mean_squared(f, y):
    return squared(f, y) / len(f)


def clipped_squared(f, y, delta=1e-3):
    return (anp.clip(f[0], delta, 1 - delta) - y) ** 2


def logistic(f, y):
    return anp.log(1 + anp.exp(f[0])) - y * f[0]


def softmax_cross_entropy(f, y):
    return anp.log(sum(anp.exp(f[c]) for c in range(len(f)))) - f[int(y)]


LOSSES = {
    "SquaredLoss": squared,
    "MeanSquaredLoss": mean_squared,
    "ClippedSquaredLoss": clipped_squared,
    "LogisticLoss": logistic,
    "SoftmaxCrossEntropy": softmax_cross_entropy,
}


def one_hidden_layer(theta, x, num_hidden, activation):
    """Outputs (list of one) of a single input, unit by unit."""
    rho, d = ACTIVATIONS[activation], len(x)
    total = 0.0
    for j in range(num_hidden):
        z = theta[num_hidden * d + j]
        for i in range(d):
            z = z + theta[j * d + i] * x[i]
        total = total + (1.0 if 2 * j < num_hidden else -1.0) * rho(z)
    return [total]


def multilayer_perceptron(theta, x, widths, activation):
    """Outputs (list of C) of a single input, unit by unit."""
    rho, hidden, start = ACTIVATIONS[activation], list(x), 0
    for layer, (d, h) in enumerate(itertools.pairwise(widths)):
        following = []
        for j in range(h):
            z = theta[start + h * d + j]
            for i in range(d):
                z = z + theta[start + j * d + i] * hidden[i]
            following.append(z if layer == len(widths) - 2 else rho(z))
        hidden, start = following, start + h * (d + 1)
    return hidden


def model_output(architecture, theta, x):
    """Outputs of a network at a single input, from its widths and activation alone."""
    if architecture.signed:
        return one_hidden_layer(theta, x, architecture.widths[1], architecture.activation)
    return multilayer_perceptron(theta, x, architecture.widths, architecture.activation)


def example_losses(architecture, loss_name, inputs, targets):
    """One function of theta for each example."""
    loss = LOSSES[loss_name]
    return [
        lambda theta, x=x, y=y: loss(model_output(architecture, theta, x), y)
        for x, y in zip(inputs, targets, strict=True)
    ]


def per_example_gradients(functions, theta):
    return np.stack([grad(function)(theta) for function in functions])


def mean_hessian(functions, theta):
    return sum(autograd_hessian(function)(theta) for function in functions) / len(functions)


def jacobian(architecture, theta, x):
    """Jacobian (C, D) of the outputs at a single input."""
    return np.stack(
        [
            grad(lambda point, c=c: model_output(architecture, point, x)[c])(theta)
            for c in range(architecture.num_outputs)
        ]
    )


def two_basin_loss(w, x):
    """The toy of Figure 2 as the experiments state it, with an explicit rotation."""
    p = [w[0] - x[0] - 1, w[1] - x[1] - 1]
    q = [w[0] - x[0] + 1, w[1] - x[1] + 1]
    sharp = 10 * ((p[0] - p[1]) / math.sqrt(2)) ** 2 + 100 * ((p[0] + p[1]) / math.sqrt(2)) ** 2
    return min(sharp, q[0] ** 2 + q[1] ** 2)
