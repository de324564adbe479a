"""A small convolutional network of the tests, and the check that two places agree."""

import numpy as np
import seeds
from networks_cases import NetworkCase

from aniso import networks
from aniso.arrays import transfer
from aniso.problems import losses

# The order of additions differs between libraries: some thousand roundings at most.
ROUNDING = 1e-12


def agree(actual, expected):
    actual, expected = transfer.to_numpy(actual), np.asarray(expected)
    assert actual.shape == expected.shape
    assert actual.dtype == expected.dtype
    scale = max(1.0, np.abs(expected).max(initial=0))
    np.testing.assert_allclose(actual, expected, rtol=0, atol=ROUNDING * scale)


def image_case(activation="relu", num_examples=12):
    rng = seeds.generator()
    layers = (
        networks.Convolution(2, 3, padding=1),
        networks.Activation(activation),
        networks.MaxPooling(2),
        networks.Flatten(),
        networks.Dense(4),
        networks.Activation(activation),
        networks.Dense(3),
    )
    model = networks.Stack(layers, (1, 6, 6))
    return NetworkCase(
        model,
        losses.SoftmaxCrossEntropy(),
        rng.normal(size=(num_examples, 1, 6, 6)),
        rng.integers(0, 3, num_examples),
        model.initial_parameters(rng),
    )
