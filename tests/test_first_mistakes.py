# ruff: noqa: ARG005, the functions have the parameters of their role
"""A new user's mistakes are refused in the words of the call: name, value, rule and remedy."""

import re

import autograd.numpy as anp
import numba
import numpy as np
import pytest
import seeds

import aniso
from aniso import escape, langevin, networks, problems
from aniso.closed_forms import diffusion
from aniso.langevin import drifts, linear_schemes, modified_equations, regions
from aniso.problems import derivative_check
from aniso.propositions import falsification

INPUTS, TARGETS, LABELS = np.arange(8.0).reshape(4, 2), np.zeros(4), np.array([0, 1, 2, 0])
COLUMN = np.arange(4.0)[:, None]
STACK = networks.multilayer_perceptron([2, 3, 3])
BINARY = networks.multilayer_perceptron([2, 3, 1])
CLASSES, TWO = aniso.SoftmaxCrossEntropy(), aniso.LogisticLoss()
PROBLEM = aniso.AutogradProblem(
    lambda theta, x, y: (anp.dot(x, theta) - y) ** 2 / 2, INPUTS, TARGETS
)
AT = PROBLEM.at(np.ones(2))


class Members:
    num_examples = 2

    def losses(self, theta):  # noqa: ARG002
        return np.ones(2)

    def gradient(self, theta):
        return theta

    def example_gradients(self, theta):
        return np.ones((2, len(theta)))

    def hessian_product(self, theta, vectors):  # noqa: ARG002
        return vectors

    def subset(self, indices):  # noqa: ARG002
        return self


def with_member(name, member):
    """Geometry at (1, 2) of a problem of which one member is replaced."""
    kind = type("Mine", (Members, aniso.Problem), {name: member})
    return kind().at([1.0, 2.0])


def loss_of(function, inputs=COLUMN):
    return aniso.AutogradProblem(function, inputs, TARGETS).losses([1.0])


def refused(call, *parts):
    """The call is refused, and the message has the parts one after the other."""
    with pytest.raises(aniso.InputError, match=".*".join(map(re.escape, parts))):
        call()


@pytest.mark.parametrize(
    ("value", "parts"),
    [
        (Members(), ["problem is of type Members", "no subclass of Problem", "problems.Problem"]),
        (np.eye(2), ["problem is of type ndarray", "it has no num_examples, losses, gradient"]),
        (aniso.Problem, ["problem is the class Problem", "expected an instance"]),
    ],
)
def test_a_geometry_of_what_is_no_problem(value, parts):
    refused(lambda: aniso.LocalGeometry(value, [1.0]), *parts)
    refused(lambda: derivative_check.check_derivatives(value, [1.0], seeds.generator(0)), parts[0])
    if not isinstance(value, type):
        refused(lambda: problems.require_problem("problem", value), *parts)


def test_base_classes_in_the_wrong_order():
    parts = "losses, gradient", "from Problem", "Members, which defines them", "P(Members, Problem)"
    refused(type("P", (aniso.Problem, Members), {}), *parts)
    assert type("P", (Members, aniso.Problem), {})().at([3.0]).loss == 1.0


def test_a_member_with_other_arguments():
    refused(
        lambda: with_member("hessian_product", lambda self, theta: theta),
        "Mine.hessian_product takes (self, theta)",
        "expected hessian_product(self, theta, vectors)",
    )
    at = with_member("gradient", lambda self, theta, scale=2.0: scale * theta)
    np.testing.assert_array_equal(at.gradient, [2.0, 4.0])


@pytest.mark.parametrize(
    ("name", "result", "use", "parts"),
    [
        ("losses", np.ones((2, 1)), lambda at: at.loss, ["(2, 1)", "(N,)=(2,)", "numpy.ravel"]),
        ("losses", np.ones(3), lambda at: at.loss, ["(3,)", "(N,)=(2,)"]),
        ("losses", 1.0, lambda at: at.loss, ["()", "(N,)=(2,)"]),
        ("gradient", np.ones((1, 2)), lambda at: at.gradient, ["(1, 2)", "(D,)=(2,)", "ravel"]),
        ("gradient", np.ones(3), lambda at: at.gradient, ["(3,)", "(D,)=(2,)"]),
        ("example_gradients", np.ones((2, 3)), lambda at: at.noise, ["(2, 3)", "(N, D)=(2, 2)"]),
        ("hessian_product", np.ones(1), lambda at: at.hessian.trace(), ["(1,)", "(D, K)=(2, 2)"]),
        ("hessian_product", np.ones(1), lambda at: at.hessian @ np.ones(2), ["(1,)", "(2, 1)"]),
    ],
)
def test_a_member_that_returns_another_shape(name, result, use, parts):
    at = with_member(name, lambda self, *arguments: result)
    refused(lambda: use(at), f"Mine.{name} returned shape", *parts)


@pytest.mark.parametrize(
    ("call", "parts"),
    [
        (lambda: loss_of(lambda t, x, y: (x * t) ** 2), ["(4, 1)", "(N,)=(4,)", "loss[..., 0]"]),
        (lambda: loss_of(lambda t, x, y: (x * t - y) ** 2), ["(4, 4)", "use x[..., 0]"]),
        (lambda: loss_of(lambda t, x, y: anp.mean(x * t)), ["()", "not their sum or mean"]),
        (lambda: loss_of(lambda t, x, y: x * t, INPUTS), ["(4, 2)", "sum(loss, axis=-1)"]),
        (lambda: loss_of(lambda t, x: x * t), ["loss takes (t, x)", "lambda theta, inputs, targ"]),
        (lambda: loss_of(lambda t, x, y, z: x * t), ["loss takes (t, x, y, z)", "(theta, inputs"]),
        (lambda: loss_of(lambda x, y, t: x @ t), ["ValueError", "(theta, inputs, targets), in th"]),
    ],
)
def test_a_loss_of_another_form(call, parts):
    refused(call, *parts)


def test_a_loss_with_more_parameters_that_have_defaults_is_none_of_these():
    values = loss_of(lambda theta, x, y, scale=2.0: scale * x[..., 0] * theta[..., 0, None])
    np.testing.assert_array_equal(values, 2 * COLUMN[:, 0])


@pytest.mark.parametrize(
    ("stack", "loss", "targets", "parts"),
    [
        (STACK, CLASSES, np.eye(3)[LABELS], ["(4, 3)", "(4,)", "one-hot", "argmax(targets, axis"]),
        (STACK, CLASSES, np.full((4, 3), 0.3), ["(4, 3)", "a number for each class", "argmax"]),
        (STACK, CLASSES, LABELS[:, None], ["(4, 1)", "targets is a column", "targets[:, 0]"]),
        (STACK, CLASSES, LABELS + 1, ["label 3 at index 2", "counts from 1", "targets - 1"]),
        (STACK, CLASSES, ["a", "b", "c", "a"], ["dtype <U1", "numpy.unique(targets"]),
        (BINARY, TWO, [-1, 1, 1, -1], ["label -1", "signs", "(targets + 1) // 2"]),
        (STACK, aniso.SquaredLoss(), LABELS, ["(4,)", "(4, 3)", "numpy.eye(3)[targets]"]),
    ],
)
@pytest.mark.parametrize("door", [aniso.Network, aniso.AutogradModel])
def test_labels_in_another_form(door, stack, loss, targets, parts):
    refused(lambda: door(stack, loss, INPUTS, targets), "targets has", *parts)


def test_the_remedies_for_labels_are_right():
    signs, ones = np.array([-1, 1, 1, -1]), LABELS + 1
    for stack, loss, targets in [
        (STACK, CLASSES, np.argmax(np.eye(3)[LABELS], axis=1)),
        (STACK, CLASSES, ones - 1),
        (STACK, CLASSES, np.unique(["a", "b", "c", "a"], return_inverse=True)[1]),
        (STACK, aniso.SquaredLoss(), np.eye(3)[LABELS]),
        (BINARY, TWO, (signs + 1) // 2),
    ]:
        assert aniso.Network(stack, loss, INPUTS, targets).num_examples == 4


@pytest.mark.parametrize(
    ("call", "parts"),
    [
        (lambda: aniso.leading_eigenpairs(AT, 1), ["matrix is a LocalGeometry", "at.hessian"]),
        (
            lambda: aniso.leading_eigenpairs(PROBLEM, 1),
            ["matrix is a AutogradProblem", "problem.at(theta).hessian"],
        ),
        (lambda: aniso.leading_eigenpairs(PROBLEM.hessian, 1), ["matrix is a method", "call it"]),
        (lambda: aniso.alignment(AT, AT.noise), ["hessian is a LocalGeometry", "at.hessian"]),
        (lambda: aniso.alignment(AT.hessian, AT), ["covariance is a Local", "at.noise"]),
        (lambda: aniso.trace_ratio(AT.hessian, PROBLEM), ["covariance", "problem.at(theta).noise"]),
        (lambda: aniso.gradient_covariance(AT), ["gradients is a Local", "at.example_gradients"]),
        (lambda: PROBLEM.loss(AT), ["theta is a LocalGeometry", "at.theta is one"]),
        (
            lambda: aniso.quasi_potential_at(AT, np.eye(2), np.ones(2)),
            ["hessian is a LocalGeometry", "at.hessian.to_dense() is one"],
        ),
    ],
)
def test_a_geometry_or_a_problem_in_place_of_its_matrix(call, parts):
    refused(call, *parts)


@pytest.mark.parametrize(
    ("call", "parts"),
    [
        (lambda: aniso.kramers_time(-1.0, -2.0, 1.0, 0.2), ["curvature_minimum=-1.0", "0 < "]),
        (lambda: aniso.kramers_time(1.0, 2.0, 1.0, 0.2), ["curvature_saddle=2.0", "< 0"]),
        (lambda: aniso.kramers_time(1.0, -2.0, 1.0, -0.2), ["variance=-0.2", "0 < variance"]),
        (lambda: aniso.kramers_time(np.eye(2), -2.0, 1.0, 0.2), ["curvature_minimum has shape"]),
        (
            lambda: diffusion.chain_covariance_at([[1.0]], [[-1.0]], 0.1, 2),
            ["minibatch_covariance is not positive"],
        ),
        (
            lambda: escape.quasi_potential_at([[1.0]], [[-1.0]], [1.0]),
            ["diffusion_covariance is not positive"],
        ),
        (lambda: networks.multilayer_perceptron([2, 0, 1]), ["widths[1]=0", "1 <= widths[1]"]),
        (lambda: networks.multilayer_perceptron(3), ["widths=3", "(784, 32, 10)"]),
        (lambda: networks.one_hidden_layer(2, 0), ["num_hidden=0"]),
        (lambda: linear_schemes.strong_error("sra1", np.eye(1), np.eye(1), [0.0], 1.0, 0), ["num"]),
        (lambda: linear_schemes.moments_at(np.eye(1), [0.0], [[0.0]], 1), ["linear_step is a nda"]),
        (lambda: escape.minimise_action(1.0, [[1.0]], [0.0], [1.0]), ["drift=1.0", "function"]),
        (
            lambda: escape.quadrature.mean_exit_time(lambda x, t: -x, 1.0, 0.0, -1.0, 1.0),
            ["drift takes (x, t)", "a function (points)"],
        ),
        (lambda: modified_equations.modified_drift(np.eye(1), 0.1), ["drift is a nd", "of_quadr"]),
        (lambda: drifts.at(drifts.Drift, [0.0]), ["drift is the class Drift"]),
        (lambda: regions.margin(None, [0.0], np.eye(1)), ["region is None", "ball(centre"]),
        (lambda: falsification.search(3.0, [[0.0]]), ["margin=3.0", "function (x)"]),
    ],
)
def test_the_message_names_the_argument_that_was_given(call, parts):
    refused(call, *parts)


@numba.njit
def without_index(theta, parameters, out):
    out[:] = parameters[0] * theta


@pytest.mark.parametrize(
    ("call", "parts"),
    [
        (
            lambda: langevin.example_sets.custom(without_index, 2, 1),
            [
                "gradient takes (theta, parameters, out)",
                "(theta, index, parameters, out), compiled",
            ],
        ),
        (
            lambda: drifts.of_function(lambda theta: -theta, 1),
            ["function takes (theta)", "(theta, parameters, out), compiled"],
        ),
        (
            lambda: regions.custom(numba.njit(lambda theta, out: None), 1),
            ["function takes (theta, out)", "(theta, parameters, out)"],
        ),
    ],
)
def test_a_compiled_function_with_other_arguments(call, parts):
    refused(call, *parts)


def test_a_function_that_raises_is_refused_by_a_public_class():
    def broken(theta, parameters, out):  # noqa: ARG001
        raise ValueError("the caller's own mistake")

    problem = langevin.LangevinProblem(
        drifts.of_function(broken, 1), langevin.noises.constant([[1.0]]), [0.0]
    )
    with pytest.raises(aniso.InputError, match=r"broken.*the caller's own mistake") as error:
        langevin.simulate_paths(problem, "euler_maruyama", 0.1, [1], 2, seed=1)
    assert not type(error.value).__name__.startswith("_")
