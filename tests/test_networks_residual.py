"""Networks with residual blocks and average pooling against autograd of their plain map."""

import autograd.numpy as anp
import numpy as np
import pytest
import reference_networks as reference
import seeds
from autograd import grad
from test_networks import agree, curvature_floor

from aniso import checks, memory, networks
from aniso.matrices import gradient_covariance
from aniso.networks import initialisation
from aniso.networks.gradients.streamed import StreamedGradients
from aniso.problems import losses

# two blocks are deeper than what the bound of the shallow networks is meant for
RELATIVE = 1e-9


def residual_stack(activation):
    """A small residual network: a stem, both kinds of block, global average pooling."""
    rho = networks.Activation(activation)
    identity = networks.Residual(
        (networks.Convolution(2, 3, padding=1), rho, networks.Convolution(2, 3, padding=1))
    )
    projection = networks.Residual(
        (networks.Convolution(3, 3, stride=2, padding=1), rho, networks.Convolution(3, 1)),
        shortcut=networks.Convolution(3, 1, stride=2),
    )
    layers = (
        *(networks.Convolution(2, 3, padding=1), rho),
        *(identity, rho, projection, rho),
        *(networks.AveragePooling(3), networks.Flatten(), networks.Dense(3)),
    )
    return networks.Stack(layers, (1, 6, 6))


def block_first_stack(activation):
    """A residual block as the first layer, so that its inputs are data."""
    rho = networks.Activation(activation)
    block = networks.Residual((networks.Dense(4), rho, networks.Dense(5)), networks.Dense(5))
    return networks.Stack((block, rho, networks.Dense(3)), (4,))


def network_of(model, rng, num_examples=8, **options):
    inputs = rng.normal(size=(num_examples, *model.input_shape))
    targets = rng.integers(0, 3, num_examples)
    theta = model.initial_parameters(rng)
    network = networks.Network(model, losses.SoftmaxCrossEntropy(), inputs, targets, **options)
    return network, theta


def case_of(model, rng):
    network, theta = network_of(model, rng)
    expected = reference.derivatives(
        model, network.output_loss, network.inputs, network.targets, theta
    )
    return network, theta, expected


@pytest.mark.parametrize("activation", ["relu", "tanh", "silu"])
@pytest.mark.parametrize("make", [residual_stack, block_first_stack])
def test_every_quantity_of_a_residual_network_is_autograds(make, activation, rng):
    network, theta, expected = case_of(make(activation), rng)
    floor = curvature_floor(expected)
    hessian, rows = expected["hessian"], expected["rows"]
    agree(network.losses(theta), expected["losses"], RELATIVE)
    agree(network.gradient(theta), expected["gradient"], RELATIVE)
    agree(network.per_example_gradients(theta), rows, RELATIVE)
    agree(network.jacobians(theta), expected["jacobians"], RELATIVE)
    agree(network.hessian(theta), hessian, RELATIVE, floor)
    vectors = rng.normal(size=(theta.size, 3))
    agree(network.hessian_product(theta, vectors), hessian @ vectors, RELATIVE, 10 * floor)
    forms = np.einsum("ik,ij,jk->k", vectors, hessian, vectors)
    agree(network.quadratic_forms(theta, vectors), forms, RELATIVE, 100 * floor)
    at = network.linearise(theta)
    assert at.strategy == "tangents"
    newton = expected["gauss_newton"]
    agree(at.generalized_gauss_newton(), newton, RELATIVE, floor)
    agree(at.fisher(), expected["fisher"], RELATIVE, floor)
    agree(at.generalized_gauss_newton_diagonal, newton.diagonal(), RELATIVE, floor)
    agree(at.hessian_diagonal, hessian.diagonal(), RELATIVE, floor)
    agree(at.hessian_trace(), np.trace(hessian), RELATIVE, theta.size * floor)
    parts = [part for part in network.model.parameter_slices if part.stop > part.start]
    for block, part in zip(at.layer_blocks(), parts, strict=True):
        agree(block, hessian[part, part], RELATIVE, floor)
    centred = rows - rows.mean(axis=0)
    covariance = centred.T @ centred / len(rows)
    found, scale = at.noise_curvature(), np.abs(hessian).max() * np.abs(covariance).max()
    agree(found.alignment, np.sum(hessian * covariance), RELATIVE, theta.size * scale)
    for value, part in zip(found.alignments, parts, strict=True):
        wanted = np.sum(hessian[part, part] * covariance[part, part])
        agree(value, wanted, RELATIVE, theta.size * scale)
    for factors in (at.gradient_factors, StreamedGradients(network, theta)):
        noise = gradient_covariance(factors)
        agree(noise.trace(), np.trace(covariance), RELATIVE)
        agree(noise.diagonal(), covariance.diagonal(), RELATIVE)
        agree(noise @ vectors, covariance @ vectors, RELATIVE)


def test_a_planted_error_in_a_block_is_found(rng, monkeypatch):
    network, theta, expected = case_of(residual_stack("relu"), rng)
    monkeypatch.setattr(networks.Residual, "second_order", lambda *_: (None, None))
    with pytest.raises(AssertionError):
        agree(network.hessian(theta), expected["hessian"], 1e-3)


def test_a_block_of_dense_layers_is_the_sum_that_it_says(rng):
    block = networks.Residual((networks.Dense(2), networks.Activation("relu"), networks.Dense(3)))
    stack = networks.Stack((block,), (3,))
    theta, inputs = rng.normal(size=stack.num_parameters), rng.normal(size=(4, 3))
    first, b1, second, b2 = np.split(theta, np.cumsum([6, 2, 6]))
    hidden = np.maximum(inputs @ first.reshape(2, 3).T + b1, 0)
    expected = inputs + hidden @ second.reshape(3, 2).T + b2
    np.testing.assert_allclose(stack.outputs(theta, inputs), expected, atol=1e-13)
    assert not stack.linear_almost_everywhere
    assert stack.piecewise_linear


def test_blocks_start_as_their_layers_do():
    conv = networks.Convolution(64, 3, padding=1)
    block = networks.Residual((conv, conv), networks.Convolution(64, 1))
    stack = networks.Stack((block, networks.Flatten(), networks.Dense(2)), (16, 3, 3))
    theta = initialisation.he_normal(stack, seeds.generator(0))
    sizes = [64 * 16 * 9, 64, 64 * 64 * 9, 64, 64 * 16, 64]
    parts = np.split(theta, np.cumsum(sizes))
    fans = [64 * 9, None, 64 * 9, None, 64, None]
    for part, fan in zip(parts, fans, strict=False):
        if fan is None:
            assert not part.any()
        else:
            # relative error of a variance of n normal numbers: sqrt(2 / n), four times that
            assert abs(part.var() * fan / 2 - 1) < 4 * np.sqrt(2 / part.size)
    uniform = np.split(stack.initial_parameters(seeds.generator(0)), np.cumsum(sizes))
    for part, fan_in in zip(uniform, [144, 144, 576, 576, 16, 16], strict=False):
        assert 0.8 / np.sqrt(fan_in) < np.abs(part).max() <= 1 / np.sqrt(fan_in)


def test_fast_convolutions_run_inside_blocks(rng):
    conv = networks.Convolution(48, 3, padding=1)
    block = networks.Residual(
        (conv, networks.Activation("relu"), conv), networks.Convolution(48, 1)
    )
    model = networks.Stack((block, networks.Flatten(), networks.Dense(3)), (16, 4, 4))
    network, theta = network_of(model, rng, num_examples=3)
    kinds = [type(layer).__name__ for layer in network.layers[0].layers]
    assert kinds == ["WinogradConvolution", "Activation", "WinogradConvolution"]
    targets = network.targets
    mean = lambda t: anp.mean(network.output_loss(model.outputs(t, network.inputs), targets))  # noqa: E731
    agree(network.gradient(theta), grad(mean)(theta), RELATIVE)


def test_networks_with_filtered_convolutions_are_linearised_by_tangents(rng):
    layers = (
        *(networks.Convolution(48, 3, padding=1), networks.Activation("relu")),
        *(networks.Flatten(), networks.Dense(3)),
    )
    network, theta = network_of(networks.Stack(layers, (16, 4, 4)), rng, num_examples=3)
    at, vectors = network.linearise(theta), rng.normal(size=(theta.size, 20))
    assert at.strategy == "tangents"
    agree(at.hessian_product(vectors), network.hessian_product(theta, vectors))
    with pytest.raises(checks.InputError, match="Winograd"):
        network.linearise(theta, "factors")


def test_a_budget_counts_what_blocks_keep(rng):
    model = residual_stack("tanh")
    _, theta = network_of(model, rng, num_threads=1)
    tight, _ = network_of(model, rng, num_threads=1, memory_budget=10**6)
    assert np.isfinite(tight.gradient(theta)).all()
    inner = sum(layer.memory_entries((2, 6, 6)) for layer in model.layers[2].layers)
    assert model.layers[2].memory_entries((2, 6, 6)) >= inner
    with pytest.raises(memory.AllocationRefused):
        network_of(model, rng, num_threads=1, memory_budget=10**3)
