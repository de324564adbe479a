"""Small random networks for the tests: every kind of layer, depth, stride and loss."""

import threading
from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st

from aniso import networks
from aniso.arrays import places, transfer
from aniso.problems import losses


class NetworkCase(NamedTuple):
    """A network, its parameters and what it was made of."""

    model: networks.Stack
    output_loss: object
    inputs: np.ndarray
    targets: np.ndarray
    theta: np.ndarray

    def network(self, place=places.NUMPY, **options):
        """The network on its data, at a place."""
        inputs, targets = (transfer.to_device(a, place) for a in (self.inputs, self.targets))
        return networks.Network(self.model, self.output_loss, inputs, targets, **options)


PIECEWISE = ("relu", "leaky_relu", "abs", "hard_tanh")
SMOOTH = ("tanh", "softplus", "gelu", "sigmoid", "silu", "elu")


@st.composite
def image_blocks(draw, channels, activation):
    """Residual blocks on images of so many channels, both kinds of shortcut."""
    width, rho = draw(st.integers(1, 2)), draw(activation)
    first = networks.Convolution(width, 3, padding=1)
    if draw(st.booleans()):
        return networks.Residual((first, rho, networks.Convolution(channels, 1)))
    return networks.Residual((first, rho), shortcut=networks.Convolution(width, 1))


@st.composite
def vector_blocks(draw, length, activation):
    """Residual blocks on vectors, also as the first layer of a network."""
    width, rho = draw(st.integers(1, 3)), draw(activation)
    if draw(st.booleans()):
        return networks.Residual((networks.Dense(width), rho, networks.Dense(length)))
    return networks.Residual((rho, networks.Dense(width)), shortcut=networks.Dense(width))


@st.composite
def models(draw, num_outputs, activations):
    """Stacks of at most two convolutions and two hidden dense layers."""
    activation = st.sampled_from(activations).map(networks.Activation)
    layers, shape = [], (draw(st.integers(2, 6)),)
    # a third of the networks have layers beyond dense, convolution and max pooling
    modern = draw(st.sampled_from([False, False, True]))
    poolings = [None, networks.MaxPooling(2), networks.MaxPooling(2, 1)]
    if modern:
        poolings = [None, networks.AveragePooling(2), networks.AveragePooling(3, 1)]
    if draw(st.booleans()):
        shape = (draw(st.integers(1, 2)), draw(st.integers(6, 8)), draw(st.integers(6, 8)))
        for _ in range(draw(st.integers(1, 2))):
            layers.append(
                networks.Convolution(
                    draw(st.integers(1, 2)),
                    draw(st.integers(1, 3)),
                    stride=draw(st.integers(1, 2)),
                    padding=draw(st.integers(0, 1)),
                )
            )
            pooled = draw(st.sampled_from(poolings))
            trial = networks.Stack((*layers, networks.Flatten(), networks.Dense(1)), shape)
            if modern and draw(st.booleans()):
                layers.append(draw(image_blocks(trial.shapes[len(layers)][0], activation)))
                trial = networks.Stack((*layers, networks.Flatten(), networks.Dense(1)), shape)
            if pooled is not None and min(trial.shapes[len(layers)][1:]) >= max(pooled.size):
                layers.append(pooled)
                if draw(st.booleans()):
                    layers.append(draw(activation))
            else:
                layers.append(draw(activation))
            trial = networks.Stack((*layers, networks.Flatten(), networks.Dense(1)), shape)
            if min(trial.shapes[len(layers)][1:]) < 3:
                break
        layers.append(networks.Flatten())
    for _ in range(draw(st.integers(0, 2))):
        layers += [networks.Dense(draw(st.integers(1, 4))), draw(activation)]
    if modern and not layers and draw(st.booleans()):
        layers.append(draw(vector_blocks(shape[0], activation)))
    if layers and draw(st.booleans()) and num_outputs == 1:
        width = networks.Stack((*layers, networks.Flatten(), networks.Dense(1)), shape)
        width = width.shapes[len(layers)][0]
        if any(isinstance(a, (networks.Dense, networks.Convolution)) for a in layers):
            return networks.Stack((*layers, networks.signed_sum(width)), shape)
    return networks.Stack((*layers, networks.Dense(num_outputs)), shape)


@st.composite
def cases(draw, activations=PIECEWISE + SMOOTH, num_examples=5):
    """Random networks with continuous random data, so that no unit sits on a kink."""
    output_loss, num_outputs = draw(
        st.sampled_from(
            [
                (losses.SoftmaxCrossEntropy(), 3),
                (losses.SquaredLoss(), 2),
                (losses.LogisticLoss(), 1),
                (losses.ClippedSquaredLoss(0.05), 1),
            ]
        )
    )
    model = draw(models(num_outputs, activations))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    inputs = rng.normal(size=(num_examples, *model.input_shape))
    theta = model.initial_parameters(rng)
    if isinstance(output_loss, losses.ClippedSquaredLoss) and model.parameterised[-1] == (
        len(model.layers) - 1
    ):
        theta[-1] += 0.5  # some examples between the bounds
    if isinstance(output_loss, losses.SquaredLoss):
        targets = rng.normal(size=(num_examples, num_outputs))
    else:
        targets = rng.integers(0, max(num_outputs, 2), num_examples)
    return NetworkCase(model, output_loss, inputs, targets, theta)


def require_equal_from_threads(case, repetitions, num_threads=4):
    """Compare gradients that threads ask of one network at a time with those of single calls."""
    network, found = case.network(), {}
    thetas = [case.theta * (1 + number / 10) for number in range(num_threads)]
    expected = [network.gradient(theta) for theta in thetas]

    def compute(number):
        for _ in range(repetitions):
            found[number] = network.gradient(thetas[number])

    started = [threading.Thread(target=compute, args=(number,)) for number in range(num_threads)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
    for number, gradient in found.items():
        np.testing.assert_array_equal(gradient, expected[number])
