"""Networks along training: the reduced matrices against full ones, and the paper's numbers."""

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import grad
from tolerances import assert_equal_up_to_rounding

from aniso import networks
from aniso.matrices import indicators
from aniso.matrices import noise as gradient_noise
from aniso.problems import losses
from aniso.propositions import constants, deep_search, small_networks, trained_networks
from aniso.propositions.settings import Settings

POINTS, IMAGES = trained_networks.POINTS, trained_networks.IMAGES


def final_readings(data, loss, width, activation="relu", seed=0):
    case = trained_networks.TrainingCase(data, loss, activation, width, seed, (0, 6))
    return trained_networks.readings_along_training(case, (trained_networks.NUM_EPOCHS,))[0]


@pytest.mark.parametrize("loss", trained_networks.LOSSES)
@pytest.mark.parametrize("activation", trained_networks.ACTIVATIONS)
def test_the_reduced_matrices_are_the_full_ones_in_another_basis(loss, activation):
    """h = 400 on 1000 points: D = 1200 exceeds the number of active examples."""
    case = trained_networks.TrainingCase(POINTS, loss, activation, 400, 0)
    objective = trained_networks.training_objective(case).subset(np.arange(150))
    theta = trained_networks.initial_parameters(case, objective.model)
    reduced = constants.snapshot(objective, theta)
    assert len(reduced.hessian) < objective.num_parameters
    hessian = objective.hessian(theta)
    noise = gradient_noise.gradient_covariance(objective.per_example_gradients(theta))
    full = {
        "trace": np.trace(hessian),
        "leading": np.linalg.eigvalsh(hessian)[-1],
        "noise": noise.trace(),
        "coefficient": indicators.projection_coefficient(hessian, noise.to_dense()),
        "ratio": indicators.trace_ratio(hessian, noise.to_dense()),
    }
    ours = {
        "trace": np.trace(reduced.hessian),
        "leading": reduced.leading_eigenpair[0],
        "noise": np.trace(reduced.gradient_covariance),
        "coefficient": reduced.readings().projection_coefficient,
        "ratio": reduced.readings().trace_ratio,
    }
    for name, value in full.items():
        # D terms in each sum, a few hundred operations behind an eigenvalue
        assert_equal_up_to_rounding(ours[name], value, num_terms=1200, factor=64.0)


def test_the_gram_matrix_is_that_of_the_jacobian(rng):
    case = trained_networks.TrainingCase(POINTS, "logistic", "hard_tanh", 16, 0)
    objective = trained_networks.training_objective(case).subset(np.arange(30))
    theta = rng.standard_normal(objective.num_parameters)
    jacobian = objective.jacobians(theta)[:, 0]
    assert_equal_up_to_rounding(
        constants.jacobian_gram(objective.model, theta, objective.inputs),
        jacobian @ jacobian.T,
        num_terms=objective.num_parameters,
    )


@pytest.mark.parametrize("loss", trained_networks.LOSSES)
def test_figure_four_anisotropy(loss):
    """A few tens at h = 32 and well above a hundred at h = 128, for any seed."""
    assert 20 < final_readings(POINTS, loss, 32).trace_ratio < 80
    assert final_readings(POINTS, loss, 128).trace_ratio > 110


def test_training_lowers_the_loss_and_learns_the_labels():
    case = trained_networks.TrainingCase(IMAGES, "logistic", "relu", 32, 0, (0, 6))
    objective = trained_networks.training_objective(case)
    start = trained_networks.initial_parameters(case, objective.model)
    theta = trained_networks.trained_parameters(case)
    assert objective.loss(theta) < 0.5 * objective.loss(start)
    predicted = objective.outputs(theta)[:, 0] > 0
    assert (predicted == objective.targets).mean() > 0.9


def test_learning_rates_decay_over_the_last_ten_epochs():
    case = trained_networks.TrainingCase(POINTS, "logistic", "relu", 32, 0)
    rates = np.array(trained_networks.learning_rates(case))
    assert len(rates) == 310
    assert (rates[:210] == 1e-3).all()
    np.testing.assert_allclose(rates[210::10], 1e-3 * np.arange(10, 0, -1) / 11)


def test_runs_cover_every_activation_loss_and_width():
    default = [case for case, _ in trained_networks.runs(Settings())]
    on_points = {(p.loss, p.activation, p.num_hidden) for p in default if p.data == POINTS}
    assert len(on_points) == 2 * 4 * 3
    full = [case for case, _ in trained_networks.runs(Settings("full"))]
    assert len({(p.loss, p.activation, p.num_hidden) for p in full if p.data == IMAGES}) == 24


@pytest.mark.parametrize("loss", trained_networks.LOSSES)
def test_small_network_quantities_are_those_of_the_matrices(loss):
    """The search's own arithmetic against the package's, at random points."""
    output_loss = losses.LogisticLoss() if loss == "logistic" else losses.ClippedSquaredLoss(1e-3)
    compared = 0
    for x in small_networks.SmallNetwork(loss).starts(Settings("quick"), "test")[:20]:
        values = small_networks.SmallNetwork(loss).quantities(x)
        if np.isnan(values["weight_ratio"]):
            continue
        objective = networks.Network(
            networks.one_hidden_layer(2, 4), output_loss, x[12:].reshape(12, 2), np.arange(12) % 2
        )
        expected = constants.snapshot(objective, x[:12])
        pairs = {
            "fisher_coefficient": expected.coefficient(expected.empirical_fisher),
            "covariance_coefficient": expected.readings().projection_coefficient,
            "mean_gradient_share": expected.readings().gradient_share,
            "weight_ratio": expected.readings().weight_ratio,
            "active_fraction": expected.readings().active_fraction,
        }
        for name, value in pairs.items():
            np.testing.assert_allclose(values[name], value, rtol=1e-9)
        compared += 1
    assert compared >= 3


def test_the_derivative_of_the_leading_eigenvector(rng):
    """Against central differences; the sign of the vector is continuous for small steps."""
    matrix = rng.standard_normal((5, 5))
    matrix = matrix + matrix.T + np.diag([20.0, 0, 0, 0, 0])
    weights = rng.standard_normal(5)

    def function(m):
        return (deep_search.leading_eigenvector(m) @ weights) ** 2

    def quadratic(m):
        return anp.dot(deep_search.leading_eigenvector(m), weights) ** 2

    direction = rng.standard_normal((5, 5))
    direction = direction + direction.T
    step = 1e-5
    difference = (function(matrix + step * direction) - function(matrix - step * direction)) / (
        2 * step
    )
    derivative = np.sum(grad(quadratic)(matrix) * direction)
    # central differences: step^2 truncation and eps/step rounding, both about 1e-10
    assert derivative == pytest.approx(difference, rel=1e-6, abs=1e-9)
