"""Every problem passes the one contract, and an incomplete one is refused by name."""

import autograd.numpy as anp
import numpy as np
import pytest
from place_cases import every_place
from problem_contract import check_problem

from aniso import checks, networks, problems
from aniso.arrays import transfer
from aniso.problems import losses

NUM_EXAMPLES = 4


class Spread(problems.Problem):
    """Mean of ``(theta - x_i)^2 / 2``: the six members and nothing else."""

    def __init__(self, x):
        self.x, self.num_examples = x, len(x)

    def losses(self, theta):
        return ((theta - self.x) ** 2).sum(axis=1) / 2

    def gradient(self, theta):
        return theta - self.x.mean(axis=0)

    def example_gradients(self, theta):
        return theta - self.x

    def hessian_product(self, theta, vectors):  # noqa: ARG002
        return np.asarray(vectors)

    def subset(self, indices):
        return Spread(self.x[indices])


def broadcasting_loss(theta, x, y):
    return (anp.tanh(anp.sum(x * theta[..., None, :], axis=-1)) - y) ** 2


def looping_loss(theta, x, y):
    return anp.stack(
        [anp.sum(anp.sin(theta) * row) ** 2 - label for row, label in zip(x, y, strict=True)]
    )


class Bump:
    """A model in plain NumPy: f = theta_1 exp(-theta_2 x^2), and its negative."""

    num_parameters, num_outputs = 2, 2

    def outputs(self, theta, inputs):
        bump = theta[0] * anp.exp(-theta[1] * inputs[:, 0] ** 2)
        return anp.stack([bump, -bump], axis=-1)


def data(rng, *shape):
    return rng.standard_normal((NUM_EXAMPLES, *shape))


PROBLEMS = {
    "of one's own": lambda rng: (Spread(data(rng, 5)), rng.standard_normal(5)),
    "a loss that broadcasts": lambda rng: (
        problems.AutogradProblem(broadcasting_loss, data(rng, 4), data(rng)),
        rng.standard_normal(4),
    ),
    "a loss that loops": lambda rng: (
        problems.AutogradProblem(looping_loss, data(rng, 4), data(rng), num_parameters=4),
        rng.standard_normal(4),
    ),
    "a model": lambda rng: (
        problems.AutogradModel(Bump(), losses.SoftmaxCrossEntropy(), data(rng, 1), [0, 1, 1, 0]),
        np.array([0.7, 0.3]),
    ),
    "a stack as a model": lambda rng: (
        problems.AutogradModel(
            networks.multilayer_perceptron((3, 4, 1), "tanh"),
            losses.SquaredLoss(),
            data(rng, 3),
            data(rng),
        ),
        rng.standard_normal(21),
    ),
    "quadratic": lambda rng: (
        problems.quadratic_problem(np.diag([3.0, 1.0, -0.5, 0.1]), np.ones(4), data(rng, 4)),
        rng.standard_normal(4),
    ),
    "two basins": lambda rng: (
        problems.two_basin_problem(problems.two_basin_data(rng, NUM_EXAMPLES)),
        np.array([0.9, 0.4]),
    ),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_every_problem_keeps_the_contract(name, rng):
    check_problem(*PROBLEMS[name](rng), rng)


def convolutional(activation):
    layers = (
        networks.Convolution(2, 2),
        networks.MaxPooling(2),
        networks.Activation(activation),
        networks.Flatten(),
        networks.Dense(3),
    )
    return networks.Stack(layers, (1, 5, 5))


def residual():
    block = (networks.Dense(3), networks.Activation("tanh"), networks.Dense(4))
    return networks.Stack((networks.Residual(block), networks.Dense(3)), (4,))


STACKS = {
    "dense, ReLU": networks.multilayer_perceptron((4, 5, 3)),
    "dense, tanh": networks.multilayer_perceptron((4, 5, 3), "tanh"),
    "convolutional, ReLU": convolutional("relu"),
    "convolutional, GELU": convolutional("gelu"),
    "residual": residual(),
}


@every_place
@pytest.mark.parametrize("name", STACKS)
def test_every_network_keeps_the_contract(name, place, rng):
    stack = STACKS[name]
    inputs = transfer.to_device(data(rng, *stack.input_shape), place)
    labels = transfer.to_device(rng.integers(0, 3, NUM_EXAMPLES), place)
    network = networks.Network(stack, losses.SoftmaxCrossEntropy(), inputs, labels, num_threads=1)
    check_problem(network, stack.initial_parameters(rng), rng)


@pytest.mark.parametrize(
    ("falsehood", "message"),
    [
        ({"gradient": lambda self, theta: 1.01 * (theta - self.x.mean(axis=0))}, "gradient"),
        ({"example_gradients": lambda self, theta: theta - 1.01 * self.x}, "per_example"),
        ({"hessian_product": lambda self, theta, v: 1.01 * np.asarray(v)}, "hessian_product"),  # noqa: ARG005
        ({"subset": lambda self, indices: Spread(self.x[sorted(indices)])}, "in its order"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_planted_falsehood_breaks_the_contract(falsehood, message, rng):
    false = type("False", (Spread,), falsehood)
    with pytest.raises((AssertionError, problems.derivative_check.DerivativeError), match=message):
        check_problem(false(data(rng, 5)), rng.standard_normal(5), rng)


# ---- refusals


def test_a_class_that_lacks_members_is_refused_with_their_names():
    class Half(problems.Problem):
        num_examples = 3

        def losses(self, theta):
            return theta

        def gradient(self, theta):
            return theta

    with pytest.raises(checks.InputError) as error:
        Half()
    assert "Half lacks example_gradients, hessian_product, subset" in str(error.value)


def test_a_problem_without_its_number_of_examples_is_refused_at_the_call():
    class Unnumbered(Spread):
        def __init__(self, x):
            self.x = x

    with pytest.raises(problems.MissingFaculty, match="Unnumbered has no num_examples; set it"):
        Unnumbered(np.ones((3, 2))).at(np.ones(2)).problem.num_examples  # noqa: B018


def test_an_object_that_is_no_problem_is_refused_with_the_members_that_it_lacks():
    class Duck:
        num_examples = 3

        def losses(self, theta):
            return theta

    words = "problem is of type Duck, not a problem: it has no gradient, example_gradients"
    with pytest.raises(checks.InputError, match=words):
        problems.require_problem("problem", Duck())


def test_an_unknown_attribute_and_an_unknown_faculty_are_told_apart(rng):
    problem = Spread(data(rng, 2))
    with pytest.raises(AttributeError, match="no attribute 'colour'"):
        problem.colour  # noqa: B018
    with pytest.raises(checks.InputError, match="faculty='colour'"):
        problem.has("colour")
