"""Losses and models that use tensors outside the given model."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

import torch_cases  # noqa: E402

from aniso import checks, frameworks  # noqa: E402

cross_entropy = torch.nn.functional.cross_entropy
DATA = torch_cases.data()


def perceptron(dtype=torch.float64):
    return torch_cases.made("perceptron").to(dtype)


def penalty(model):
    return sum(part.pow(2).sum() for part in model.parameters()) / 2


class Scaled(torch.nn.Module):
    """Cross-entropy of outputs times a number of its own, perhaps with the penalty of a model."""

    def __init__(self, penalised=None):
        super().__init__()
        self.scale, self.penalised = torch.nn.Parameter(torch.tensor(2.0)), penalised

    def forward(self, outputs, targets):
        value = cross_entropy(self.scale * outputs, targets)
        return value if self.penalised is None else value + penalty(self.penalised)


def of_a_penalty(model):
    return frameworks.from_torch(model, lambda o, t: cross_entropy(o, t) + penalty(model), DATA)


def of_a_penalty_in_a_module(model):
    return frameworks.from_torch(model, Scaled(model), DATA)


def of_a_call_of_the_original(model):
    def forward(copied, inputs):
        return copied(inputs) + 0.1 * model(inputs.to(next(model.parameters()).dtype))

    return frameworks.from_torch(model, cross_entropy, DATA, forward=forward)


def of_another_model(model):
    other = torch.nn.Linear(6, 3, dtype=torch.float64)

    def loss(outputs, inputs):
        return torch.nn.functional.mse_loss(outputs, other(inputs.double()))

    return frameworks.from_torch(model, loss, (DATA[0], DATA[0]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "make",
    [of_a_penalty, of_a_penalty_in_a_module, of_a_call_of_the_original, of_another_model],
)
def test_parameters_outside_the_model_are_refused(make, dtype):
    with pytest.raises(checks.InputError, match="uses parameters outside the model"):
        make(perceptron(dtype))


def test_a_penalty_as_an_output_has_its_derivatives():
    model = perceptron()
    plain = frameworks.from_torch(model, cross_entropy, DATA)
    penalised = frameworks.from_torch(
        model,
        lambda outputs, targets: cross_entropy(outputs[0], targets) + outputs[1].mean(),
        DATA,
        forward=lambda model, x: (model(x), penalty(model).expand(len(x))),
    )
    theta = plain.initial_theta
    expected = plain.hessian(theta) + np.eye(theta.size)
    np.testing.assert_allclose(penalised.hessian(theta), expected, atol=1e-12)
    assert np.isclose(penalised.loss(theta), plain.loss(theta) + theta @ theta / 2)


class WithScale(torch.nn.Module):
    """A model with a tensor that requires a gradient and is no parameter."""

    def __init__(self):
        super().__init__()
        self.inside, self.scale = perceptron(), torch.tensor(2.0, requires_grad=True)

    def forward(self, x):
        return self.scale * self.inside(x)


def test_numbers_of_a_loss_and_of_a_model_are_constants():
    model = perceptron()
    other = perceptron()
    with torch.no_grad():
        other[2].weight *= 2
        other[2].bias *= 2
    expected = frameworks.from_torch(other, cross_entropy, DATA, engine="torch")
    losses = expected.losses(expected.initial_theta)
    for given, loss in ((model, Scaled()), (WithScale(), cross_entropy)):
        problem = frameworks.from_torch(given, loss, DATA)
        np.testing.assert_allclose(problem.losses(problem.initial_theta), losses, rtol=1e-12)


def slope_in_the_inputs(model, inputs):
    """Derivatives of the first output in the inputs, as a differential equation has them."""
    with torch.enable_grad():
        inputs = inputs.clone().requires_grad_()
        return torch.autograd.grad(model(inputs)[:, 0].sum(), inputs, create_graph=True)[0]


class Smooth(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.linspace(-1, 1, 6, dtype=torch.float64))

    def forward(self, x):
        return torch.sin(x @ self.weight)[:, None]


def test_a_forward_may_differentiate_in_its_inputs():
    inputs, model = DATA[0].double(), Smooth()
    problem = frameworks.from_torch(
        model, torch.nn.MSELoss(), (inputs, inputs), forward=slope_in_the_inputs
    )
    weight = problem.initial_theta
    slopes = np.cos(inputs.numpy() @ weight)[:, None] * weight
    expected = ((slopes - inputs.numpy()) ** 2).mean(axis=1)
    np.testing.assert_allclose(problem.losses(weight), expected, rtol=1e-12)
