"""Slopes and curvatures of activations keep their digits where a unit is saturated."""

import mpmath
import numpy as np
import pytest
from networks_cases import SMOOTH

from aniso import networks
from aniso.networks.hidden import activations as compiled
from aniso.networks.layers.activation import RULES
from aniso.problems import SquaredLoss, activations

PLACES = [-25.0, -18.0, -8.0, -0.5, 1e-9, 3.0, 18.0, 25.0]
EXACT = {
    "tanh": mpmath.tanh,
    "sigmoid": lambda z: 1 / (1 + mpmath.exp(-z)),
    "softplus": lambda z: mpmath.log1p(mpmath.exp(z)),
    "silu": lambda z: z / (1 + mpmath.exp(-z)),
    "elu": lambda z: mpmath.expm1(z) if z < 0 else z,
    "gelu": lambda z: z * mpmath.ncdf(z),
}


def exact(name, order):
    with mpmath.workdps(60):
        function = EXACT[name]
        return np.array([float(mpmath.diff(function, mpmath.mpf(z), order)) for z in PLACES])


def computed(name, way):
    """Value, slope and curvature, shape (3, n), by the layers or by the compiled kernel."""
    z = np.array(PLACES)
    if way == "layers":
        return np.array([part(z, np) for part in RULES[name]])
    rows, (kind, shape) = np.zeros((3, z.size)), compiled.described(name)
    kernel = compiled._respond_smoothly
    kernel = getattr(kernel, "py_func", kernel)
    kernel(kind, shape, z, z.size, np.empty((2, z.size)), *rows)
    return rows


@pytest.mark.parametrize("name", SMOOTH)
@pytest.mark.parametrize("way", ["layers", "kernel"])
def test_every_digit_of_a_saturated_unit_is_right(name, way):
    found = computed(name, way)
    for order in (0, 1, 2):
        np.testing.assert_allclose(found[order], exact(name, order), rtol=4e-13, atol=1e-30)


@pytest.mark.parametrize("name", ["tanh", "softplus"])
def test_the_slope_of_an_autograd_model_is_right(name):
    slope = activations.named(name).slope(np.array(PLACES))
    np.testing.assert_allclose(slope, exact(name, 1), rtol=1e-13)


@pytest.mark.parametrize("inputs", [11, 12])  # the compiled way, and the passes by layers
def test_the_gradient_of_a_saturated_unit_does_not_depend_on_the_way(inputs):
    stack = networks.multilayer_perceptron((inputs, 1, 1), "tanh")
    network = networks.Network(stack, SquaredLoss(), np.zeros((2, inputs)), [[0.0], [1.0]])
    theta = np.zeros(inputs + 3)
    theta[inputs:] = 18.0, 1.0, 5.0
    # outputs 6, residuals 6 and 5, whose mean is 11 / 2 for half the square
    slope = 1 / np.cosh(18.0) ** 2
    assert network.gradient(theta)[inputs] == pytest.approx(11 * slope, rel=1e-12)
    noise = network.at(theta).noise.diagonal()[inputs]
    assert noise == pytest.approx(slope**2, rel=1e-12)  # gradients 12 and 10 times the slope
