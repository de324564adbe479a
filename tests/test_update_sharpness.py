"""Sharpness along an update by values of the loss: exact on quadratics, with an honest state."""

import math

import autograd.numpy as anp
import numpy as np
import pytest
from problem_cases import Architecture, ProblemCase
from reference_matrices import random_positive

from aniso import checks, problems
from aniso.estimates import NotConverged
from aniso.networks import Network
from aniso.problems import AutogradModel, AutogradProblem, SoftmaxCrossEntropy


def one_dimension(curve):
    """The problem of one example whose loss is a function of one parameter."""
    return AutogradProblem(lambda theta, x, _: curve(theta[..., 0, None]) + 0 * x, [0.0], [0.0])


def test_on_a_quadratic_it_is_the_curvature_along_the_update(rng):
    hessian = random_positive(rng, 5) + 0.1 * np.eye(5)
    bowl = problems.quadratic_problem(hessian, rng.normal(size=5), np.zeros((1, 5)))
    theta = rng.normal(size=5)
    slope = bowl.gradient(theta)
    made = problems.critical_sharpness(bowl, theta)
    expected = slope @ hessian @ slope / (slope @ slope)
    assert abs(made.sharpness / expected - 1) <= made.relative_error + 1e-14 < 2e-6
    assert made.num_losses < 30
    assert made.state == "bracketed"
    value, error = problems.directional_sharpness(bowl, theta)
    assert abs(value - expected) <= error < 1e-4 * expected
    # another update: u^T H u / g^T u, and the square norm of u below for the directional one
    update = np.linalg.solve(hessian + np.eye(5), slope)
    made = problems.critical_sharpness(bowl, theta, update)
    expected = update @ hessian @ update / (slope @ update)
    assert abs(made.sharpness / expected - 1) <= made.relative_error + 1e-14
    assert abs(made.sharpness / (1.01 * expected) - 1) > made.relative_error
    value, error = problems.directional_sharpness(bowl, theta, update)
    assert abs(value - update @ hessian @ update / (update @ update)) <= error


@pytest.mark.parametrize("first", [1e-12, 1e-3, 10.0, 1e6])
def test_the_bracket_is_found_from_any_first_rate(first):
    bowl = problems.quadratic_problem([[4.0]], [0.0], [[0.0]])
    made = problems.critical_sharpness(bowl, [1.0], first_learning_rate=first)
    np.testing.assert_allclose(made.learning_rate, 0.5, rtol=1e-6)
    assert made.low < 0.5 <= made.high


@pytest.mark.parametrize("curvature", [1e-8, 1e-15])
def test_a_first_step_within_the_rounding_of_the_loss_is_no_rise(curvature):
    # at theta = 10 a step of 1e-3 times the gradient leaves 1 + curvature 50 as it is
    valley = one_dimension(lambda t: 1.0 + 0.5 * curvature * t**2)
    made = problems.critical_sharpness(valley, [10.0])
    assert abs(made.sharpness / curvature - 1) <= made.relative_error
    hill = one_dimension(lambda t: 1.0 - 0.5 * curvature * t**2)
    with pytest.raises(NotConverged, match="rising at the start"):
        problems.critical_sharpness(hill, [10.0], [10 * curvature])


def test_losses_that_cancel_in_the_mean_leave_their_rounding():
    slopes = 1e8 * np.array([[1.0, 2.0], [-1.0, -2.0]])
    bowl = problems.quadratic_problem(np.diag([4.0, 1.0]), np.zeros(2), slopes)
    value, error = problems.directional_sharpness(bowl, [1.0, 0.0])
    assert abs(value - 4) <= error
    made = problems.critical_sharpness(bowl, [1.0, 0.0])
    assert abs(made.sharpness - 4) <= 4 * made.relative_error


def test_the_first_of_several_returns_is_found():
    # L(theta) = -sin theta from 0 along +1: returns at pi, and again at 2 pi, 3 pi, ...
    wave = one_dimension(lambda t: -anp.sin(t))
    made = problems.critical_sharpness(wave, [0.0], [-1.0])
    np.testing.assert_allclose(made.learning_rate, math.pi, rtol=1e-6)
    assert abs(made.learning_rate / math.pi - 1) <= made.relative_error


def test_a_loss_that_overflows_is_above():
    wall = one_dimension(lambda t: -t + anp.exp(anp.where(t > 1, 800.0 * t, 0.0)))
    made = problems.critical_sharpness(wall, [0.0], [-1.0])
    assert 0.9 < made.learning_rate < 1.1


def test_searches_without_a_bracket_carry_their_state():
    for curve, update, state in (
        (lambda t: -t, [-1.0], "no return"),
        (lambda t: t**2 + t, [-1.0], "rising at the start"),
    ):
        with pytest.raises(NotConverged, match=state) as caught:
            problems.critical_sharpness(one_dimension(curve), [0.5], update, max_losses=120)
        partial = caught.value.partial
        assert (partial.state, partial.num_losses <= 120) == (state, True)
        assert math.isnan(partial.learning_rate)
        assert state in repr(partial)
    bowl = problems.quadratic_problem([[4.0]], [0.0], [[0.0]])
    with pytest.raises(NotConverged, match="max_losses=14 leave the bracket") as caught:
        problems.critical_sharpness(bowl, [1.0], max_losses=14, tolerance=1e-9)
    assert caught.value.partial.low < 0.5 <= caught.value.partial.high


@pytest.mark.parametrize("form", [AutogradModel, Network])
def test_networks_agree_with_their_hessian_along_the_gradient(form, rng):
    case = ProblemCase("mlp", Architecture((3, 4, 2), "tanh"), SoftmaxCrossEntropy(), 8)
    problem, theta = case.problem_and_theta(rng, form)
    at = problem.at(theta)
    unit = at.gradient / np.linalg.norm(at.gradient)
    value, error = problems.directional_sharpness(problem, theta)
    expected = unit @ (at.hessian @ unit)
    assert abs(value - expected) <= 10 * error
    assert error < 1e-3 * max(1.0, abs(expected))


def test_bad_arguments_are_refused():
    bowl = problems.quadratic_problem([[4.0]], [0.0], [[0.0]])
    for function in (problems.critical_sharpness, problems.directional_sharpness):
        with pytest.raises(checks.InputError, match="update is 0"):
            function(bowl, [0.0])
        with pytest.raises(checks.InputError, match="update has shape"):
            function(bowl, [1.0], [1.0, 2.0])
        with pytest.raises(checks.InputError, match="masked"):
            function(bowl, np.ma.masked_array([1.0]))
    for more, match in (
        ({"growth": 1.0}, "growth=1.0"),
        ({"tolerance": 0.0}, "tolerance=0.0"),
        ({"first_learning_rate": 0.0}, "first_learning_rate=0.0"),
        ({"max_losses": 3}, "max_losses=3"),
    ):
        with pytest.raises(checks.InputError, match=match):
            problems.critical_sharpness(bowl, [1.0], **more)
