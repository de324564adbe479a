"""Losses that are not convex in the outputs: products are exact, roots of S_i do not exist."""

import numpy as np
import pytest

from aniso import checks, networks
from aniso.problems import losses


class SaddleLoss(losses.SquaredLoss):
    """f_0^2 - f_1^2: an output Hessian that is indefinite."""

    def __call__(self, outputs, targets):  # noqa: ARG002
        return outputs[..., 0] ** 2 - outputs[..., 1] ** 2

    def gradient(self, outputs, targets):  # noqa: ARG002
        return 2 * outputs * np.array([1.0, -1.0])

    def hessian(self, outputs, targets=None):  # noqa: ARG002
        return np.tile(np.diag([2.0, -2.0]), (len(outputs), 1, 1))


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_a_loss_that_is_not_convex_in_the_outputs_has_no_factors(activation, rng):
    layers = (networks.Dense(4), networks.Activation(activation), networks.Dense(2))
    inputs = rng.normal(size=(30, 3))
    network = networks.Network(
        networks.Stack(layers, (3,)), SaddleLoss(), inputs, np.zeros((30, 2))
    )
    theta = network.model.initial_parameters(rng)
    tangents = network.linearise(theta, "tangents")
    vectors = rng.normal(size=(theta.size, 2))
    step = 1e-5
    differences = [
        (network.gradient(theta + step * v) - network.gradient(theta - step * v)) / (2 * step)
        for v in vectors.T
    ]
    # central differences of second order, for gradients of order one
    np.testing.assert_allclose(tangents.hessian_product(vectors).T, differences, atol=1e-6)
    for ask in (
        lambda: network.linearise(theta).generalized_gauss_newton(),
        lambda: tangents.hessian_trace(),
        lambda: network.at(theta).by_block(),
    ):
        with pytest.raises(checks.InputError, match=r"eigenvalue -2.*convex in the outputs"):
            ask()
