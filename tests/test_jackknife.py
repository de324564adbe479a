"""The grouped jackknife over examples: exact for means, and it covers where H is sampled too."""

import math

import numpy as np
import pytest
import scipy.stats
from line_problem import Line
from problem_cases import Architecture, ProblemCase

from aniso import checks, matrices, problems
from aniso.networks import Network
from aniso.problems import AutogradModel, SoftmaxCrossEntropy


def aligned(at):
    return matrices.alignment(at.hessian, at.noise)


def aligned_in_one_dimension(at):
    return np.mean(at.problem.x**2) * at.problem.example_gradients(at.theta).var()


def test_the_error_of_a_mean_is_the_standard_error(rng):
    problem = Line(rng.normal(size=9), rng.normal(size=9))
    losses = problem.losses(np.array([0.5]))
    made = problems.jackknife_over_examples(problem, [0.5], lambda at: at.loss, 9, rng)
    np.testing.assert_allclose(made.value, losses.mean(), rtol=1e-14)
    np.testing.assert_allclose(made.standard_error, losses.std(ddof=1) / 3, rtol=1e-12)


def test_it_covers_the_alignment_with_a_sampled_hessian(rng):
    # x and y normal: E x^2 = 1, and the gradient theta x^2 - x y has the variance 2 theta^2 + 1
    theta, truth, runs, hits, fixed = 0.5, 1.5, 100, 0, 0
    for _ in range(runs):
        problem = Line(*rng.normal(size=(2, 300)))
        made = problems.jackknife_over_examples(problem, [theta], aligned_in_one_dimension, 20, rng)
        quantile = scipy.stats.t.ppf(0.95, 19)
        hits += abs(made.value - truth) <= quantile * made.standard_error
        # with H held fixed the error is too small
        gradients = problem.example_gradients(np.array([theta]))[:, 0]
        squares = np.mean(problem.x**2) * (gradients - gradients.mean()) ** 2
        fixed += abs(made.value - truth) <= 1.645 * squares.std() / math.sqrt(300)
    # skewed products of fourth powers cover a little less than 90 %
    assert hits >= (0.9 - 0.05 - 4 * 0.03) * runs
    assert fixed < hits


@pytest.mark.parametrize("form", [AutogradModel, Network])
def test_networks_are_taken_apart_by_their_examples(form, rng):
    case = ProblemCase("mlp", Architecture((2, 2, 2), "tanh"), SoftmaxCrossEntropy(), 6)
    problem, theta = case.problem_and_theta(rng, form)
    made = problems.jackknife_over_examples(problem, theta, aligned, 6, rng)
    left = [aligned(problem.subset(np.delete(np.arange(6), i)).at(theta)) for i in range(6)]
    np.testing.assert_allclose(made.value, aligned(problem.at(theta)), rtol=1e-9)
    np.testing.assert_allclose(made.standard_error, np.std(left) * math.sqrt(5), rtol=1e-9)


@pytest.mark.parametrize("unit", [1e-170, 1.0, 1e170])
def test_the_error_keeps_its_digits_in_every_unit(unit):
    # squares 1, 0, 1 around the mean, times 2/3
    left_out = unit * np.array([1.0, 2.0, 3.0])
    error = problems.jackknife_error(left_out)
    assert error == pytest.approx(unit * math.sqrt(4 / 3), rel=1e-14, abs=0)
    # their own errors take off (1 - 1/3) times the sum of their squares
    own = problems.jackknife_error(left_out, unit * np.array([1.0, 0.0, 0.0]))
    assert own == pytest.approx(unit * math.sqrt(2 / 3 * (2 - 2 / 3)), rel=1e-14, abs=0)
    assert problems.jackknife_error(unit * np.ones(3)) == 0


def test_bad_arguments_are_refused(rng):
    problem = Line(rng.normal(size=4), rng.normal(size=4))
    for quantity, groups, source, match in (
        (aligned, 1, rng, "num_groups=1"),
        (aligned, 5, rng, "num_groups=5"),
        (aligned, 2, 7, "rng=7"),
        (3.0, 2, rng, "expected a function of the local geometry"),
        (lambda at: at.loss + math.nan, 2, rng, r"quantity\(at\)=nan"),
        (lambda at: at.gradient, 2, rng, r"quantity\(at\)"),
    ):
        with pytest.raises(checks.InputError, match=match):
            problems.jackknife_over_examples(problem, [1.0], quantity, groups, source)
