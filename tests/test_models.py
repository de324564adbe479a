"""Architectures, activations and toys against loops, hand-made values and closed forms."""

import dataclasses
import warnings

import numpy as np
import pytest
import reference_problems as reference
from autograd import elementwise_grad
from problem_cases import Architecture
from tolerances import assert_equal_up_to_rounding, assert_within_sampling_error

from aniso import checks, networks
from aniso.problems import activations, quadratic, two_basin
from aniso.problems.autograd_problem import AutogradProblem

NETWORKS = [
    Architecture((2, 5), signed=True),
    Architecture((1, 1), "abs", signed=True),
    Architecture((9, 4), "hard_tanh", signed=True),
    Architecture((3, 6), "leaky_relu", signed=True),
    Architecture((2, 3)),
    Architecture((9, 4, 2), "tanh"),
    Architecture((3, 2, 4, 1), "softplus"),
]
every_network = pytest.mark.parametrize("architecture", NETWORKS, ids=repr)


@every_network
def test_outputs_equal_the_loops(architecture, rng):
    stack = architecture.stack
    theta = stack.initial_parameters(rng)
    assert theta.shape == (stack.num_parameters,)
    inputs = rng.standard_normal((4, *stack.input_shape))
    expected = np.array([reference.model_output(architecture, theta, x) for x in inputs])
    assert_equal_up_to_rounding(
        stack.outputs(theta, inputs), expected, num_terms=theta.size, scale=10.0
    )


@every_network
def test_leading_axes_of_theta_are_separate_calls(architecture, rng):
    stack = architecture.stack
    thetas = np.stack([stack.initial_parameters(rng) for _ in range(3)])
    inputs = rng.standard_normal((4, *stack.input_shape))
    shared = np.stack([stack.outputs(theta, inputs) for theta in thetas])
    assert_equal_up_to_rounding(
        stack.outputs(thetas, inputs), shared, num_terms=thetas.shape[1], scale=10.0
    )


@every_network
def test_initial_parameters_fill_the_documented_range(architecture, rng):
    stack = architecture.stack
    draws = np.stack([stack.initial_parameters(rng) for _ in range(400)])
    start = 0
    for position in stack.parameterised:
        (num_outputs, num_inputs), _ = stack.parameter_shapes[position]
        stop = start + num_outputs * (num_inputs + 1)
        scaled = draws[:, start:stop].ravel() * np.sqrt(num_inputs)
        assert np.abs(scaled).max() <= 1 + 1e-12
        assert_within_sampling_error(
            [scaled.mean(), (scaled**2).mean()],
            [0.0, 1 / 3],  # moments of the uniform distribution on (-1, 1)
            [scaled.std() / np.sqrt(scaled.size), (scaled**2).std() / np.sqrt(scaled.size)],
        )
        start = stop
    assert start == stack.num_parameters
    with pytest.raises(checks.InputError, match="rng"):
        stack.initial_parameters(0)


def test_linear_almost_everywhere_is_stated_where_it_holds():
    assert Architecture((2, 4), signed=True).stack.linear_almost_everywhere
    assert Architecture((2, 4)).stack.linear_almost_everywhere
    assert not Architecture((2, 4, 1)).stack.linear_almost_everywhere


@pytest.mark.parametrize(("width", "signs"), [(4, [1, 1, -1, -1]), (3, [1, 1, -1])])
def test_the_first_half_of_the_units_counts_positive(width, signs):
    stack = networks.one_hidden_layer(1, width)
    # one unit at a time is 1, so that the output is its weight
    thetas = np.concatenate([np.zeros((width, width)), np.eye(width)], axis=1)
    assert stack.outputs(thetas, np.zeros((1, 1))).ravel().tolist() == signs


@pytest.mark.parametrize("name", sorted(activations.ACTIVATIONS))
def test_slopes_are_those_of_autograd_on_kinks_too(name, rng):
    activation = activations.named(name)
    z = np.concatenate([[-1.0, 0.0, 1.0], 2 * rng.standard_normal(20)])
    expected = elementwise_grad(reference.ACTIVATIONS[name])
    # tanh and softplus: a few roundings of numbers below 1
    for slope in (activation.slope(z), elementwise_grad(activation.value)(z)):
        assert_equal_up_to_rounding(slope, expected(z), num_terms=4, scale=1.0)
    assert_equal_up_to_rounding(
        activation.value(z), reference.ACTIVATIONS[name](z), num_terms=4, scale=4.0
    )
    far = activation.value(np.array([-800.0, 800.0]))  # no overflow
    assert np.isfinite(far).all()
    with warnings.catch_warnings():  # autograd's, of a derivative that is 0 rightly
        warnings.filterwarnings("ignore", message="Output seems independent")
        second = elementwise_grad(elementwise_grad(activation.value))(z)
    assert bool((second == 0).all()) == activation.piecewise_linear


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: networks.one_hidden_layer(0, 3), "num_inputs=0"),
        (lambda: networks.one_hidden_layer(2, 2.5), "=2.5"),
        (lambda: networks.one_hidden_layer(2, 3, "swish"), "activation='swish'; expected one of"),
        (lambda: networks.multilayer_perceptron((3,)), "at least"),
        (lambda: networks.multilayer_perceptron((3, 0)), "=0"),
        (lambda: networks.multilayer_perceptron((3, 1, 1), "swish"), "activation='swish'"),
        (lambda: quadratic.quadratic_problem([[1.0, 2.0], [0.0, 1.0]], [0, 0], [[0, 0]]), "symm"),
        (lambda: quadratic.quadratic_problem(np.eye(2), [0.0], [[0, 0]]), "minimum"),
        (lambda: quadratic.quadratic_problem(np.eye(2), [0, 0], np.ones((3, 1))), "gradient_n"),
        (lambda: quadratic.quadratic_problem(np.eye(2), [0, 0], np.ones((0, 2))), "no rows"),
        (lambda: quadratic.noise_rows([[-1.0]]), "positive semi-definite"),
        (lambda: two_basin.two_basin_data(1), "rng=1"),
        (lambda: two_basin.two_basin_problem(np.ones((2, 3))), "data has shape"),
    ],
)
def test_wrong_settings_are_refused(make, message):
    with pytest.raises(checks.InputError, match=message):
        make()


def test_networks_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        networks.one_hidden_layer(2, 4).layers = ()


def symmetric(size, rng):
    matrix = rng.standard_normal((size, size))
    return matrix + matrix.T


@pytest.mark.parametrize("size", [1, 4])
def test_the_quadratic_has_the_prescribed_derivatives(size, rng):
    hessian, minimum = symmetric(size, rng), rng.standard_normal(size)
    factor = rng.standard_normal((size, max(1, size - 1)))
    covariance = factor @ factor.T  # of deficient rank where size > 1
    objective = quadratic.quadratic_problem(hessian, minimum, quadratic.noise_rows(covariance))
    theta = rng.standard_normal(size)
    rows = objective.per_example_gradients(theta)
    offset = theta - minimum
    size_of_terms = 10 * (1 + np.abs(hessian).max() + np.abs(covariance).max())

    def equal(actual, expected):
        assert_equal_up_to_rounding(
            actual, expected, num_terms=10 * size, scale=size_of_terms * (1 + np.abs(offset).max())
        )

    equal(np.cov(rows.T, bias=True).reshape(size, size), covariance)
    equal(objective.hessian(theta), hessian)
    equal(objective.gradient(theta), hessian @ offset)
    equal(objective.gradient(minimum), np.zeros(size))
    equal(np.array(objective.loss(theta)), np.array(0.5 * offset @ hessian @ offset))
    equal(objective.hessian_product(theta, np.eye(size)), hessian)
    objective.check(theta, rng).raise_if_wrong()


def test_the_closed_forms_equal_automatic_differentiation(rng):
    hessian, noise = symmetric(3, rng), rng.standard_normal((5, 3))
    closed = quadratic.quadratic_problem(hessian, rng.standard_normal(3), noise)
    traced = AutogradProblem(closed._loss, closed.inputs, closed.targets)
    theta, vectors = rng.standard_normal(3), rng.standard_normal((3, 2))
    part = closed.subset([0, 3]), traced.subset([0, 3])
    for one, other in ((closed, traced), part):
        for name in ("losses", "gradient", "per_example_gradients", "hessian"):
            actual, expected = getattr(one, name)(theta), getattr(other, name)(theta)
            assert_equal_up_to_rounding(actual, expected, num_terms=30, scale=100.0)
        assert_equal_up_to_rounding(
            one.hessian_product(theta, vectors),
            other.hessian_product(theta, vectors),
            num_terms=30,
            scale=100.0,
        )


def test_the_quadratic_keeps_its_own_copy(rng):
    hessian = np.eye(2)
    objective = quadratic.quadratic_problem(hessian, [0, 0], rng.standard_normal((3, 2)))
    hessian[0, 0] = 7
    objective.hessian([1.0, 1.0])[1, 1] = 9
    assert np.array_equal(objective.hessian([1.0, 1.0]), np.eye(2))


def test_the_two_basin_loss_equals_the_published_formula(rng):
    data = two_basin.two_basin_data(rng, 10)
    objective = two_basin.two_basin_problem(data)
    for theta in 2 * rng.standard_normal((20, 2)):
        expected = np.array([reference.two_basin_loss(theta, x) for x in data])
        assert_equal_up_to_rounding(
            objective.losses(theta), expected, num_terms=10, scale=1 + 100 * (theta**2).sum()
        )


@pytest.mark.parametrize(("minimum", "eigenvalues"), [(1.0, [20, 200]), (-1.0, [2, 2])])
def test_the_two_minima_have_the_published_curvatures(minimum, eigenvalues, rng):
    objective = two_basin.two_basin_problem(np.zeros((3, 2)))
    theta = np.full(2, minimum)
    assert not objective.gradient(theta).any()
    assert_equal_up_to_rounding(
        np.linalg.eigvalsh(objective.hessian(theta)),
        np.array(eigenvalues, dtype=float),
        num_terms=10,
    )
    objective.check(theta + 0.1 * rng.standard_normal(2), rng).raise_if_wrong()


def test_the_two_basin_data_have_the_published_covariance(rng):
    data = two_basin.two_basin_data(rng, 40_000)
    # 1e-4 K^T diag(10, 1) K with K the rotation by 45 degrees
    products = np.stack([data[:, 0] ** 2, data[:, 1] ** 2, data[:, 0] * data[:, 1]])
    error = products.std(axis=1) / np.sqrt(len(data))
    mean = products.mean(axis=1)
    assert_within_sampling_error(mean, [5.5e-4, 5.5e-4, -4.5e-4], error)
    with pytest.raises(AssertionError, match="sampling"):
        assert_within_sampling_error(mean, [5.5e-4, 5.5e-4, 4.5e-4], error)
