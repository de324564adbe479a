"""The forecast of escape: enumerated batches, exits on the line, outer directions, real motion."""

import itertools

import numpy as np
import pytest
import reference_forecast
import seeds
from forecast_cases import batch_noise, bowl, regression, squared_error
from tolerances import assert_equal_up_to_rounding, assert_within_sampling_error, z_limit

from aniso import descent, escape, networks
from aniso.escape import quadrature
from aniso.estimates import Estimate
from aniso.problems import (
    AutogradProblem,
    SoftmaxCrossEntropy,
    quadratic_problem,
    two_basin_problem,
)

# ---- the quadratic model against enumerated batches


@pytest.mark.parametrize("make", [regression, bowl])
@pytest.mark.parametrize(("size", "replacement"), [(1, True), (2, False)])
def test_the_expected_loss_is_that_of_all_batches(make, size, replacement, rng):
    problem, eta, level_above = make(rng), 0.2, 0.4
    at = problem.at(np.array([0.5, 0.1]))
    level = at.loss + level_above
    found = escape.forecast(
        at, batch_noise(at, size, replacement=replacement), eta, 3, rng, level=level, num_paths=2000
    )
    draws = itertools.product(range(4), repeat=size) if replacement else None
    batches = list(draws or itertools.combinations(range(4), size))
    means, exited = reference_forecast.enumerate_batches(problem, at.theta, eta, batches, 3, level)
    assert found.steps.tolist() == [0, 1, 2, 3]
    assert_equal_up_to_rounding(found.examples.loss, means, num_terms=200, scale=2.0)
    chances = found.examples.probability
    assert_within_sampling_error(chances, exited)
    assert found.valid_until == 3
    # noise that follows the examples' own curvature is another one, unless they share it
    distance = np.abs(found.chain.loss - means)
    if make is bowl:
        assert_equal_up_to_rounding(found.chain.loss, means, num_terms=200, scale=2.0)
    else:
        assert distance[1] < 1e-12
        assert distance[2:].max() > 1e-6


def test_the_equation_has_the_moments_of_its_diffusion(rng):
    problem, eta = bowl(rng), 0.2
    at = problem.at(np.array([0.5, 0.1]))
    noise = batch_noise(at, 1)
    found = escape.forecast(at, noise, eta, 3, rng, level=at.loss + 5, num_paths=10)
    hessian, covariance = at.hessian.to_dense(), eta * np.asarray(noise.to_dense())
    expected = reference_forecast.diffusion_losses(at, hessian, covariance, eta * found.steps)
    # a Runge-Kutta reference with steps of 1e-3
    np.testing.assert_allclose(found.equation.loss, expected, rtol=1e-9)
    assert np.abs(found.equation.loss - found.chain.loss)[1:].min() > 1e-4


# ---- exits on the line


@pytest.mark.parametrize("boundary", ["level", "radius"])
def test_exits_on_the_line_are_those_of_the_transition_densities(boundary, rng):
    curvature, slope, eta, num_steps = 1.3, 0.4, 0.3, 25
    # two examples of gradients slope -+ 1: the variance of a batch of 1 is 1
    problem = quadratic_problem([[curvature]], [0.0], [[1.0], [-1.0]])
    at = problem.at(np.array([slope / curvature]))
    if boundary == "level":
        given = {"level": at.loss + 0.6}
        root = np.sqrt(slope**2 + 2 * curvature * 0.6)
        ends = (-slope - root) / curvature, (-slope + root) / curvature
    else:
        given, ends = {"radius": 0.9}, (-0.9, 0.9)
    found = escape.forecast(at, batch_noise(at), eta, num_steps, rng, num_paths=4000, **given)
    line = reference_forecast.Line(curvature, slope, eta, 1.0, ends)
    chain = line.chain_exits(num_steps)[found.steps]
    assert_within_sampling_error(found.chain.probability, chain)
    equation = line.equation_exits(num_steps)[found.steps]
    found_equation = found.equation.probability
    assert_within_sampling_error(
        found_equation, equation, discretisation_error=2 * found.equation.discretisation
    )
    assert found.equation.discretisation < 0.02
    # the chain is not its equation, and each is told from the other
    with pytest.raises(AssertionError, match="sampling"):
        assert_within_sampling_error(found.chain.probability, equation)
    mean = quadrature.mean_exit_time(lambda x: -slope - curvature * x, eta, 0.0, *ends)
    assert found.equation.exact_mean.value == pytest.approx(mean.value / eta, rel=1e-9)


def test_exits_in_the_plane_are_those_of_plain_paths(rng):
    inputs = np.array([[1.0, 0.0], [0.0, 1.5], [1.0, 1.0], [0.5, -1.0]])
    targets = np.array([1.0, -1.0, 0.5, -0.5])
    problem, eta, num_steps, radius = AutogradProblem(squared_error, inputs, targets), 0.4, 12, 0.7
    at = problem.at(np.array([0.2, -0.1]))
    for replacement in (True, False):
        noise = batch_noise(at, 2, replacement=replacement)
        found = escape.forecast(at, noise, eta, num_steps, rng, radius=radius, num_paths=3000)
        exited = reference_forecast.least_squares_exits(
            inputs, targets, at.theta, eta, 2, replacement, num_steps, radius, 3000, rng
        )
        own = found.examples.probability[-1]
        error = np.hypot(own.standard_error, exited.standard_error)
        assert abs(own.value - exited.value) < z_limit() * error
        assert 0.1 < own.value < 0.9


# ---- directions outside of the subspace


def test_the_bounds_hold_whatever_is_outside(rng):
    for _ in range(5):
        size = 7
        rotation = np.linalg.qr(rng.standard_normal((size, size)))[0]
        values = np.array([3.0, 2.5, *rng.uniform(0.0, 2.0, size - 2)])
        problem = quadratic_problem(
            rotation * values @ rotation.T, np.zeros(size), rng.standard_normal((9, size))
        )
        at = problem.at(0.5 * rng.standard_normal(size))
        noise, level = batch_noise(at, 4), at.loss + 50
        whole, part = (
            escape.forecast(at, noise, 0.3, 40, rng, level=level, num_paths=2, num_pairs=pairs)
            for pairs in (None, 2)
        )
        assert (whole.model.outside.num_directions, part.model.outside.num_directions) == (0, 5)
        assert (whole.below == 0).all()
        rounding = 1e-10 * max(1.0, at.loss)
        assert (whole.chain.loss >= part.chain.loss - part.below - rounding).all()
        assert (whole.chain.loss <= part.chain.loss + part.above + rounding).all()
        # exact after one step, and wrong where the bounds are ignored
        assert abs(part.chain.loss[1] - whole.chain.loss[1]) < rounding
        assert np.abs(part.chain.loss - whole.chain.loss).max() > 1e-6
        assert part.model.alignment_share < 1


def test_a_single_curvature_outside_leaves_no_doubt(rng):
    problem = quadratic_problem(
        np.diag([3.0, 1.0, 1.0, 1.0]), np.zeros(4), rng.standard_normal((9, 4))
    )
    at = problem.at(0.5 * rng.standard_normal(4))
    forecasts = [
        escape.forecast(
            at, batch_noise(at, 4), 0.3, 40, rng, level=at.loss + 50, num_paths=2, num_pairs=pairs
        )
        for pairs in (None, 1)
    ]
    whole, part = forecasts
    np.testing.assert_allclose(part.chain.loss, whole.chain.loss, rtol=1e-12)
    np.testing.assert_allclose(part.equation.loss, whole.equation.loss, rtol=1e-12)
    assert max(part.above.max(), part.below.max()) < 1e-12


def test_a_large_problem_is_probed_instead_of_decomposed(rng, monkeypatch):
    from aniso.problems import local_geometry

    size = 60
    values = np.concatenate([[9.0, 7.0, -0.5], np.linspace(0.01, 1.0, size - 3)])
    problem = quadratic_problem(np.diag(values), np.zeros(size), rng.standard_normal((70, size)))
    at = problem.at(0.1 * rng.standard_normal(size))
    noise = batch_noise(at, 5)
    dense = escape.leading_model(at, noise, rng, num_pairs=2)
    monkeypatch.setattr(local_geometry, "DENSE_DIMENSION", 10)
    probed = escape.leading_model(problem.at(at.theta), noise, rng, num_pairs=2)
    for model in (dense, probed):
        np.testing.assert_allclose(model.eigenvalues, [9.0, 7.0, -0.5], atol=1e-9)
        assert (model.outside.smallest, model.outside.largest) == pytest.approx((0.01, 1.0))
        np.testing.assert_allclose(model.outside.noise_trace, dense.outside.noise_trace)
    rest = np.asarray(noise.to_dense()).diagonal()[3:] @ values[3:]
    assert dense.outside.alignment.value == pytest.approx(rest, rel=1e-9)
    assert_within_sampling_error(probed.outside.alignment, rest)
    assert probed.outside.alignment.standard_error > 0


# ---- true dynamics


def test_the_sharp_basin_is_left_as_mini_batches_leave_it(rng):
    angles = 2 * np.pi * np.arange(20) / 20
    problem = two_basin_problem(0.03 * np.stack([np.cos(angles), 2 * np.sin(angles)], axis=1))
    at = problem.at(np.array([1.0, 1.0]))
    eta, size, num_steps, level = 0.006, 2, 40, at.loss + 0.35
    found = escape.forecast(at, batch_noise(at, size), eta, num_steps, rng, level=level)
    assert found.valid_until == num_steps
    losses, exits = reference_forecast.two_basin_paths(
        problem.inputs, at.theta, eta, size, num_steps, level, 2000, rng
    )
    assert_within_sampling_error(losses, found.examples.loss[-1])
    own = found.examples.probability[-1]
    error = np.hypot(own.standard_error, exits.standard_error)
    assert abs(own.value - exits.value) < z_limit() * error
    assert 0.05 < own.value < 0.95
    # Gaussian noise of the same covariance leaves more often: a batch of two has no tails
    assert found.chain.probability[-1].value - own.value > z_limit() * error


@pytest.mark.needs_jit
def test_a_trained_network_leaves_as_forecast_and_not_as_constant_noise_would(rng):
    # one network for every seed: of some, nothing can be said
    data = seeds.fixed(0)
    inputs = data.standard_normal((60, 2))
    labels = (inputs[:, 0] * inputs[:, 1] > 0) ^ (data.random(60) < 0.15)
    stack = networks.multilayer_perceptron((2, 6, 2), "tanh")
    problem = networks.Network(
        stack, SoftmaxCrossEntropy(), inputs, labels.astype(int), num_threads=1
    )
    made = descent.Settings(
        "gd", 0.3, 1500, update=descent.HeavyBall(0.9), schedule=descent.schedules.Cosine(1500)
    )
    theta = descent.simulate_descent(problem, stack.initial_parameters(data), made, data).theta
    at, eta, num_steps, num_runs = problem.at(theta), 0.1, 60, 40
    given = {"level": at.loss + 0.2, "num_paths": 300}
    found = escape.forecast(at, batch_noise(at, 4), eta, num_steps, rng, tolerance=9.0, **given)
    # the noise of this network grows faster than that of a chain linear in each example
    assert found.valid_until == num_steps
    assert found.step_error > 0.02
    left = np.zeros(num_runs)
    for run in range(num_runs):
        moved, step = theta.copy(), 0
        while step < num_steps and not left[run]:
            batch = problem.subset(rng.integers(60, size=4))
            moved, step = moved - eta * batch.gradient(moved), step + 1
            left[run] = problem.loss(moved) >= found.level
    share = Estimate.from_samples(left)
    own, constant = (motion.probability[-1] for motion in (found.examples, found.chain))
    # the boundary is reached where the remainder is a tenth to a sixth of the rise
    error = np.hypot(own.standard_error, share.standard_error)
    assert abs(share.value - own.value) < z_limit() * error + found.boundary_remainder
    assert constant.value < 0.05 < own.value / 3
    assert share.value - constant.value > 0.1
    lines = repr(found).splitlines()
    assert len(lines) < 25
    assert max(map(len, lines)) < 180
