"""Threshold of SGD from a problem's local geometry, against Hessians of single examples."""

import numpy as np
import pytest
from place_cases import every_place
from reference_stability import spectral_radius

from aniso import networks
from aniso.arrays import transfer
from aniso.closed_forms import stability_threshold
from aniso.networks import Network
from aniso.problems import AutogradModel, losses, quadratic_problem
from aniso.problems.problem import MissingFaculty

MODEL = networks.Stack((networks.Dense(2), networks.Activation("tanh"), networks.Dense(1)), (2,))
every_form = pytest.mark.parametrize("form", [AutogradModel, Network])


def at_zero_loss(form, rng, num_examples=3):
    """A problem whose targets are its own outputs, at the theta where every loss is zero."""
    theta = rng.standard_normal(MODEL.num_parameters)
    inputs = rng.standard_normal((num_examples, 2))
    targets = form(MODEL, losses.SquaredLoss(), inputs, np.zeros((num_examples, 1))).outputs(theta)
    return form(MODEL, losses.SquaredLoss(), inputs, targets), theta


@every_form
def test_at_zero_loss_the_threshold_is_that_of_the_exact_hessians(form, rng):
    problem, theta = at_zero_loss(form, rng)
    hessians = np.array([problem.subset([i]).hessian(theta) for i in range(3)])
    for size, replacement in ((1, True), (2, False)):
        made = stability_threshold(
            problem.at(theta).example_curvatures, size, replacement=replacement
        )
        assert made.dimension == 3
        # D = 9 > n = 3: the other directions have the eigenvalue 1, so a little above is tested
        assert spectral_radius(hessians, 1.01 * made.learning_rate, size, replacement) > 1.001
        at = spectral_radius(hessians, made.learning_rate, size, replacement)
        assert abs(at - 1) < 1e-7
        below = spectral_radius(hessians, 0.9 * made.learning_rate, size, replacement)
        assert abs(below - 1) < 1e-7


@every_form
@pytest.mark.parametrize("loss", [losses.SoftmaxCrossEntropy(), losses.SquaredLoss()])
def test_the_mean_of_the_curvatures_is_the_gauss_newton_matrix(form, loss, rng):
    model = networks.Stack(
        (networks.Dense(4), networks.Activation("tanh"), networks.Dense(3)), (2,)
    )
    labels = rng.integers(0, 3, 5)
    targets = labels if isinstance(loss, losses.SoftmaxCrossEntropy) else np.eye(3)[labels]
    problem = form(model, loss, rng.standard_normal((5, 2)), targets)
    at = problem.at(rng.standard_normal(model.num_parameters))
    curvatures = at.example_curvatures
    dense = at.gauss_newton.to_dense()
    columns = [curvatures.mean_product(unit) for unit in np.eye(model.num_parameters)]
    np.testing.assert_allclose(np.array(columns), dense, atol=1e-12 * np.abs(dense).max())
    values = np.linalg.eigvalsh(dense)
    span = curvatures.span
    assert span.eigenvalues[-1] == pytest.approx(values[-1])
    assert span.dimension == (values > 1e-12 * values[-1]).sum()
    # SGD with single examples is less stable than with the whole set
    made = stability_threshold(curvatures, 1, replacement=False)
    assert made.learning_rate < made.full_batch == pytest.approx(2 / values[-1])


def test_a_problem_without_outputs_is_refused_by_name():
    bowl = quadratic_problem([[2.0]], [0.0], [[1.0], [-1.0]])
    with pytest.raises(MissingFaculty, match="QuadraticProblem has no output_loss"):
        _ = bowl.at([0.0]).example_curvatures


@every_place
def test_a_network_in_any_library_gives_the_same(place, rng):
    host, theta = at_zero_loss(Network, rng)
    there = Network(
        MODEL,
        losses.SquaredLoss(),
        transfer.to_device(host.inputs, place),
        transfer.to_device(host.targets, place),
    )
    expected = stability_threshold(host.at(theta).example_curvatures, 1, replacement=True)
    at = there.at(transfer.to_device(theta, place))
    made = stability_threshold(at.example_curvatures, 1, replacement=True)
    assert made.learning_rate == pytest.approx(expected.learning_rate, rel=1e-9)


def test_single_precision_is_read_in_double(rng):
    host, theta = at_zero_loss(Network, rng)
    single = Network(MODEL, losses.SquaredLoss(), host.inputs, host.targets, dtype=np.float32)
    expected = stability_threshold(host.at(theta).example_curvatures, 1, replacement=True)
    made = stability_threshold(single.at(theta).example_curvatures, 1, replacement=True)
    assert made.learning_rate == pytest.approx(expected.learning_rate, rel=1e-4)
