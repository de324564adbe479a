"""Expected change of the loss in one step, and the regularisers that noise adds to the loss."""

import numpy as np
import pytest
import reference_batches as reference
from problem_cases import Architecture, ProblemCase
from reference_matrices import random_positive, random_symmetric, symmetrised
from scipy.sparse.linalg import aslinearoperator
from tolerances import assert_equal_up_to_rounding, assert_within_sampling_error

from aniso import checks, matrices, networks
from aniso.closed_forms import chain
from aniso.estimates import Estimate, NotConverged
from aniso.matrices import FactoredCovariance
from aniso.problems import AutogradModel, AutogradProblem, SoftmaxCrossEntropy, quadratic_problem

SAMPLINGS = [(size, replacement) for replacement in (True, False) for size in (1, 2, 4)]


@pytest.fixture
def bowl(rng):
    """A quadratic at a theta with slope, negative curvature and noise of four examples."""
    problem = quadratic_problem(
        random_symmetric(rng, 3), rng.normal(size=3), rng.normal(size=(4, 3))
    )
    return problem, rng.normal(size=3)


def batch_noise(at, size, replacement):
    return matrices.minibatch_covariance(at.noise, size, replacement=replacement)


@pytest.mark.parametrize(("size", "replacement"), SAMPLINGS)
def test_the_change_is_the_mean_over_all_batches(bowl, size, replacement):
    problem, theta = bowl
    at, rate = problem.at(theta), 0.3
    steps = reference.batch_gradients(
        problem.example_gradients(theta), size, replacement=replacement
    )
    expected = np.mean([problem.loss(theta - rate * step) for step in steps]) - problem.loss(theta)
    noise = batch_noise(at, size, replacement)
    made = matrices.expected_loss_change(at.gradient, at.hessian, noise, rate)
    scale = sum(map(abs, (made.slope_part, made.curvature_part, made.noise_part, at.loss)))
    assert_equal_up_to_rounding(made.total, expected, num_terms=len(steps) + 30, scale=scale)
    if size < 4 or replacement:
        wrong = matrices.expected_loss_change(
            at.gradient, at.hessian, 1.05 * noise.to_dense().view(np.ndarray), rate
        )
        with pytest.raises(AssertionError, match="rounding"):
            assert_equal_up_to_rounding(wrong.total, expected, num_terms=300, scale=scale)


def test_a_cubic_loss_leaves_its_third_order(rng):
    # l_i = x_i theta + theta^3 / 6: the third derivative is 1 and the remainder one cube
    problem = AutogradProblem(
        lambda theta, x, _: x * theta[..., 0, None] + theta[..., 0, None] ** 3 / 6,
        rng.normal(size=4),
        np.zeros(4),
    )
    at = problem.at([1.3])
    steps = reference.batch_gradients(at.example_gradients.rows(0, 4), 2, replacement=False)[:, 0]
    noise = batch_noise(at, 2, False)
    for rate in (0.4, 0.1):
        exact = np.mean([problem.loss(at.theta - rate * step) for step in steps]) - at.loss
        made = matrices.expected_loss_change(at.gradient, at.hessian, noise, rate)
        remainder = -(rate**3) * np.mean(steps**3) / 6
        np.testing.assert_allclose(exact - made.total, remainder, rtol=1e-9, atol=1e-14)


def test_the_best_rate_is_that_of_the_noise_scale(rng):
    problem = quadratic_problem(
        random_positive(rng, 3) + np.eye(3), np.zeros(3), rng.normal(size=(6, 3))
    )
    at = problem.at(rng.normal(size=3))
    made = matrices.expected_loss_change(at.gradient, at.hessian, batch_noise(at, 2, True), 0.1)
    scale = matrices.curvature_noise_scale(at.example_gradients, at.hessian).of_examples
    largest = made.gradient_square_norm / made.gradient_curvature
    np.testing.assert_allclose(made.best_learning_rate, largest / (1 + scale / 2), rtol=1e-12)
    best, near = (
        matrices.expected_loss_change(
            at.gradient, at.hessian, batch_noise(at, 2, True), factor * made.best_learning_rate
        ).total
        for factor in (1.0, 1.01)
    )
    assert best < near
    with pytest.raises(checks.InputError, match="expected a positive number"):
        _ = matrices.LossChange(0.1, 1.0, -2.0, 1.0, 0.0).best_learning_rate


def test_every_geometry_and_every_form_agree(rng):
    case = ProblemCase("mlp", Architecture((2, 4, 3), "gelu"), SoftmaxCrossEntropy(), 5)
    for form in (AutogradModel, networks.Network):
        problem, theta = case.problem_and_theta(rng, form)
        at = problem.at(theta)
        noise = batch_noise(at, 2, False)
        dense = symmetrised(problem.hessian(theta))
        expected = 0.5 * 0.2**2 * np.trace(dense @ np.asarray(noise.to_dense()))
        for hessian in (at.hessian, dense, aslinearoperator(dense)):
            made = matrices.expected_loss_change(at.gradient, hessian, noise, 0.2)
            np.testing.assert_allclose(made.noise_part, expected, rtol=1e-9)
            np.testing.assert_allclose(made.slope_part, -0.2 * at.gradient @ at.gradient)


def test_an_estimate_of_the_noise_keeps_its_error(bowl):
    problem, theta = bowl
    at = problem.at(theta)
    made = matrices.expected_loss_change(
        at.gradient,
        at.hessian,
        batch_noise(at, 2, True),
        0.5,
        noise_curvature=Estimate(2.0, 0.4, 9),
    )
    np.testing.assert_allclose([made.noise_part, made.total_error], [0.25, 0.05], rtol=1e-15)
    assert "± 0.05" in repr(made)


def test_another_convention_and_bad_numbers_are_refused(bowl):
    problem, theta = bowl
    at = problem.at(theta)
    noise = batch_noise(at, 2, True)
    arguments = at.gradient, at.hessian
    for wrong in (at.noise, matrices.diffusion_covariance(noise, 0.1), at.empirical_fisher):
        with pytest.raises(checks.InputError, match="expected the mini-batch covariance"):
            matrices.expected_loss_change(*arguments, wrong, 0.1)
        with pytest.raises(checks.InputError, match="expected the mini-batch covariance"):
            matrices.minibatch_regulariser(at.gradient, wrong, 0.1)
    with pytest.raises(checks.InputError, match="learning_rate=-1"):
        matrices.expected_loss_change(*arguments, noise, -1)
    with pytest.raises(checks.InputError, match="gradient has shape"):
        matrices.expected_loss_change(at.gradient[:2], at.hessian, noise, 0.1)
    with pytest.raises(checks.InputError, match="masked"):
        matrices.expected_loss_change(np.ma.masked_array(at.gradient), at.hessian, noise, 0.1)


@pytest.mark.parametrize(("size", "replacement"), SAMPLINGS)
def test_the_regulariser_is_the_mean_square_of_all_batch_gradients(bowl, size, replacement):
    problem, theta = bowl
    at = problem.at(theta)
    steps = reference.batch_gradients(
        problem.example_gradients(theta), size, replacement=replacement
    )
    expected = 0.25 * 0.3 * np.mean(np.sum(steps**2, axis=1))
    made = matrices.minibatch_regulariser(at.gradient, batch_noise(at, size, replacement), 0.3)
    assert_equal_up_to_rounding(made, expected, num_terms=len(steps) + 20)


def test_the_gradient_of_the_label_noise_term_is_that_of_the_chain(rng):
    hessian, change = random_positive(rng, 4) + 0.1 * np.eye(4), random_symmetric(rng, 4)
    variance, size, rate, step = 0.7, 3, 0.2, 1e-4
    ends = [
        matrices.label_noise_regulariser(hessian + sign * step * change, variance, size, rate)
        for sign in (1, -1)
    ]
    noise = variance / size * hessian
    stationary = chain.chain_stationary_covariance(hessian, noise, rate)
    expected = 0.5 * np.trace(stationary @ change)
    np.testing.assert_allclose((ends[0] - ends[1]) / (2 * step), expected, rtol=1e-5)
    with pytest.raises(AssertionError):
        np.testing.assert_allclose((ends[0] - ends[1]) / step, expected, rtol=1e-5)


def test_label_noise_from_factors_operators_and_probes(rng):
    rows = rng.normal(size=(5, 40)) / 6
    factored = FactoredCovariance(rows, 1.0)
    dense = symmetrised(rows.T @ rows)
    expected = -0.7 / 6 * np.linalg.slogdet(np.eye(40) - 0.1 * dense)[1]
    for form in (factored, dense, aslinearoperator(dense)):
        made = matrices.label_noise_regulariser(form, 0.7, 3, 0.2)
        np.testing.assert_allclose(made, expected, rtol=1e-12)
    estimate = matrices.label_noise_regulariser_estimated(
        factored, 0.7, 3, 0.2, num_probes=200, num_steps=12, rng=rng
    )
    assert_within_sampling_error(estimate, expected)
    with pytest.raises(NotConverged, match="take more steps") as caught:
        matrices.label_noise_regulariser_estimated(
            np.diag(np.linspace(0, 9.999, 40)), 0.7, 3, 0.2, num_probes=2, num_steps=2, rng=rng
        )
    assert isinstance(caught.value.partial, Estimate)


def test_an_unstable_rate_has_no_regulariser(rng):
    for function, more in (
        (matrices.label_noise_regulariser, {}),
        (
            matrices.label_noise_regulariser_estimated,
            {"num_probes": 2, "num_steps": 2, "rng": rng},
        ),
    ):
        with pytest.raises(checks.InputError, match="is 2; expected less than 2"):
            function(np.diag([4.0, 1.0]), 1.0, 1, 0.5, **more)
        with pytest.raises(checks.InputError, match="batch_size=0"):
            function(np.eye(2), 1.0, 0, 0.5, **more)
    with pytest.raises(checks.InputError, match="label_noise_regulariser_estimated"):
        matrices.label_noise_regulariser(aslinearoperator(np.eye(3)), 1.0, 1, 0.5, max_products=2)
    # negative curvature has a finite value
    assert matrices.label_noise_regulariser(-np.eye(2), 1.0, 1, 0.5) < 0
