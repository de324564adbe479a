"""The check of derivatives passes right ones and names wrong ones, of any size."""

import autograd.numpy as anp
import numpy as np
import pytest
import seeds
from autograd.extend import defvjp, primitive

from aniso import checks, networks
from aniso.problems import AutogradModel, derivative_check
from aniso.problems.autograd_problem import AutogradProblem
from aniso.problems.losses import ClippedSquaredLoss


def planted(relative_error, offset=0.0):
    """The square with a derivative that is wrong by a factor and an offset."""

    @primitive
    def square(z):
        return z**2

    defvjp(square, lambda ans, z: lambda g: g * (2 * z * (1 + relative_error) + offset))  # noqa: ARG005
    return square


def objective_of(function, rng, size=5, num_examples=12):
    """``l_i = function(theta . x_i - y_i)``, broadcasting."""

    def loss(theta, x, y):
        return function(anp.sum(x * theta[..., None, :], axis=-1) - y)

    inputs = rng.standard_normal((num_examples, size))
    return AutogradProblem(loss, inputs, rng.standard_normal(num_examples)), rng.standard_normal(
        size
    )


@pytest.mark.parametrize(
    "function",
    [
        anp.sin,
        lambda z: z,
        lambda z: z**2,
        lambda z: 1e-8 * z**2,
        lambda z: 1e8 * z**4,
        lambda z: anp.exp(-(z**2)) + 1e6,
        lambda z: 0.0 * z,
        lambda z: anp.log(1 + anp.exp(30 * z)),
    ],
)
def test_right_derivatives_pass_at_any_scale(function, rng):
    objective, theta = objective_of(function, rng)
    report = objective.check(theta, rng)
    assert report.right, report.wrong
    report.raise_if_wrong()
    assert "WRONG" not in str(report)


@pytest.mark.parametrize(("error", "offset"), [(0.05, 0.0), (1e-4, 0.0), (0.0, 1e-3), (-1.0, 0.0)])
@pytest.mark.parametrize("scale", [1.0, 1e-8, 1e6])
def test_a_wrong_gradient_is_named(error, offset, scale, rng):
    square = planted(error, offset)
    objective, theta = objective_of(lambda z: scale * square(z), rng)
    report = objective.check(theta, rng)
    named = [message for message in report.wrong if message.startswith("gradient:")]
    assert named
    # fitted over steps in which the wrong first order dominates
    assert "instead of 2" in named[0]
    with pytest.raises(derivative_check.DerivativeError, match="gradient"):
        report.raise_if_wrong()
    assert "WRONG  gradient" in str(report)


def test_a_gradient_that_rounding_hides_is_not_called_right(rng):
    square = planted(0.5, 0.0)
    objective, theta = objective_of(lambda z: square(z) + 1e16, rng)
    report = objective.check(theta, rng)
    assert any(told.startswith("gradient: changes the function by") for told in report.unresolved)
    assert "not resolved  gradient" in str(report)
    objective, theta = objective_of(lambda z: square(z) + 1e3, rng)
    assert not objective.check(theta, rng).right
    assert objective_of(lambda z: 0.0 * z + 1e16, rng)[0].check(theta, rng).unresolved == ()


class Altered:
    """An objective with one of its methods replaced."""

    def __init__(self, objective, **methods):
        self.__dict__.update(methods)
        self.objective = objective

    def __getattr__(self, name):
        return getattr(self.objective, name)


def test_wrong_per_example_gradients_are_named(rng):
    objective, theta = objective_of(anp.sin, rng)
    rows = objective.per_example_gradients(theta)
    swapped = Altered(objective, per_example_gradients=lambda _: rows[::-1])
    report = derivative_check.check_derivatives(swapped, theta, rng)
    assert [message.split(":")[0] for message in report.wrong] == ["per_example_gradients"]
    scaled = Altered(objective, per_example_gradients=lambda _: 1.01 * rows)
    report = derivative_check.check_derivatives(scaled, theta, rng)
    assert [message.split(":")[0] for message in report.wrong] == [
        "per_example_gradients",
        "mean of per_example_gradients",
    ]


def test_a_wrong_hessian_is_named(rng):
    objective, theta = objective_of(anp.sin, rng)
    scaled = Altered(objective, hessian_product=lambda t, v: 1.05 * objective.hessian_product(t, v))
    wrong = derivative_check.check_derivatives(scaled, theta, rng).wrong
    assert [message.split(":")[0] for message in wrong] == [
        "hessian_product",
        "second order of the loss",
    ]
    twist = np.zeros((5, 5))
    twist[0, 1], twist[1, 0] = 0.1, -0.1
    twisted = Altered(
        objective, hessian_product=lambda t, v: objective.hessian_product(t, v) + twist @ v
    )
    wrong = derivative_check.check_derivatives(twisted, theta, rng).wrong
    assert [message.split(":")[0] for message in wrong] == [
        "hessian_product",
        "symmetry of hessian_product",
    ]
    singly = Altered(
        objective,
        hessian_product=lambda t, v: objective.hessian_product(t, v) * (1 + (v.ndim == 2)),
    )
    wrong = derivative_check.check_derivatives(singly, theta, rng).wrong
    assert [message.split(":")[0] for message in wrong] == ["hessian_product of a block"]


def test_a_kink_at_theta_is_named(rng):
    objective, theta = objective_of(anp.abs, rng)
    centred = AutogradProblem(objective._loss, objective.inputs, objective.inputs @ theta)
    assert any(message.startswith("gradient") for message in centred.check(theta, rng).wrong)


def test_a_jump_at_theta_is_named(rng):
    loss = AutogradProblem(
        lambda theta, x, y: anp.where(theta[0] > 1, 5.0, theta[0]) * x + y, [1], [1]
    )
    assert any("jumps" in message for message in loss.check([1.0], rng).wrong)


def test_a_stochastic_function_is_named(rng):
    noise = seeds.generator(1)
    objective, theta = objective_of(lambda z: z**2 * (1 + 1e-12 * noise.random()), rng)
    (message,) = objective.check(theta, rng).wrong
    assert message.startswith("loss:")
    assert "stochastic" in message


def test_steps_outside_the_domain_are_left_out(rng):
    objective = AutogradProblem(
        lambda theta, x, y: anp.log(theta[..., 0, None]) * x + y, [1.0], [1.0]
    )
    with np.errstate(invalid="ignore"):
        objective.check([1e-3], rng).raise_if_wrong()


def test_many_kinks_in_reach_do_not_hide_an_error(rng):
    model = networks.one_hidden_layer(2, 200)
    inputs = rng.uniform(-2, 2, (300, 2))
    labels = inputs[:, 0] >= inputs[:, 1]
    objective = AutogradModel(model, ClippedSquaredLoss(), inputs, labels)
    theta = 0.2 * model.initial_parameters(rng)
    report = objective.check(theta, rng)
    assert report.right, report.wrong
    wrong = Altered(
        objective, subset=lambda chosen: Altered(objective.subset(chosen), gradient=half_gradient)
    )

    def half_gradient(point):
        return 0.999 * objective.gradient(point)

    # assigned below its use on purpose: the closure is called later
    assert not derivative_check.check_derivatives(wrong, theta, rng).right


def test_wrong_arguments_are_refused(rng):
    objective, theta = objective_of(anp.sin, rng)
    with pytest.raises(checks.InputError, match="rng"):
        objective.check(theta, 0)
    with pytest.raises(checks.InputError, match="num_examples"):
        derivative_check.check_derivatives(objective, theta, rng, num_examples=0)


def test_an_objective_of_ones_own_whose_examples_interact_is_told_so(rng):
    class Centred(AutogradProblem):
        """Gives the gradients of batches of one example for those of the examples."""

        def example_gradients(self, theta):
            return np.stack([self.subset([i]).gradient(theta) for i in range(self.num_examples)])

    def loss(theta, x, y):
        outputs = anp.dot(x, theta)
        return (outputs - anp.mean(outputs) - y) ** 2

    objective = Centred(loss, rng.standard_normal((9, 3)), rng.standard_normal(9))
    report = objective.check(rng.standard_normal(3), rng)
    assert not report.right
    assert "mini-batch" in str(report)
