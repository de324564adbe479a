"""The gradients of the trainings in the verification, against automatic differentiation."""

import numpy as np
import pytest
from tolerances import assert_equal_up_to_rounding

from aniso import networks
from aniso.problems import AutogradModel, losses
from aniso.propositions import direct_gradient, trained_networks
from aniso.propositions.direct_gradient import DirectGradient


def problem_with_kinks(loss, activation, num_hidden, rng):
    """Small whole numbers: some z are 0, 1 or -1 exactly, and some outputs lie beyond the clip."""
    inputs = rng.integers(-2, 3, (40, 3)).astype(float)
    targets = rng.integers(0, 2, 40)
    output_loss = losses.LogisticLoss() if loss == "logistic" else losses.ClippedSquaredLoss(1e-3)
    model = networks.one_hidden_layer(3, num_hidden, activation)
    theta = rng.integers(-1, 2, model.num_parameters) / 1.0
    theta[3 * num_hidden :] += rng.uniform(0, 0.2, num_hidden) * (np.arange(num_hidden) % 2)
    return networks.Network(model, output_loss, inputs, targets), theta


def by_autograd(network, theta):
    plain = AutogradModel(network.model, network.output_loss, network.inputs, network.targets)
    return plain.gradient(theta)


@pytest.mark.parametrize("num_hidden", [1, 7, 64])
@pytest.mark.parametrize("activation", trained_networks.ACTIVATIONS)
@pytest.mark.parametrize("loss", trained_networks.LOSSES)
def test_the_gradient_is_autograds_at_kinks_too(loss, activation, num_hidden, rng, monkeypatch):
    monkeypatch.setattr(direct_gradient, "_BLOCK_ENTRIES", 16 * num_hidden)  # several blocks
    network, theta = problem_with_kinks(loss, activation, num_hidden, rng)
    direct, kept = DirectGradient(network), theta.copy()
    first, second = direct.gradient(theta), direct.gradient(theta)
    assert_equal_up_to_rounding(first, by_autograd(network, theta), num_terms=40 * num_hidden)
    assert (first == second).all()
    assert first is not second
    assert (theta == kept).all()


def test_another_slope_at_the_kink_is_noticed(rng, monkeypatch):
    network, theta = problem_with_kinks("logistic", "relu", 7, rng)
    expected = by_autograd(network, theta)
    monkeypatch.setattr(np, "sign", lambda z, out: np.copyto(out, np.where(z > 0, 1.0, -1.0)))
    wrong = DirectGradient(network).gradient(theta)
    assert np.abs(wrong - expected).max() > 1e-4 * np.abs(expected).max()


def test_without_an_active_example_the_gradient_is_zero(rng):
    network, theta = problem_with_kinks("clipped squared", "relu", 7, rng)
    assert not DirectGradient(network).gradient(0 * theta).any()
