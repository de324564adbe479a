"""Optimizers of PyTorch models: parameters with equal values, and damped gradients."""

import copy
import pickle

import numpy as np
import pytest
import seeds

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from aniso import checks, diagnostics, frameworks  # noqa: E402

nn = torch.nn
LOSS = nn.MSELoss()


def normalised():
    """A body and a head, each with a layer normalisation at its start."""
    with torch.random.fork_rng():
        torch.manual_seed(5)
        body = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4))
        head = nn.Sequential(nn.LayerNorm(4), nn.Linear(4, 2))
        return nn.Sequential(body, head).double(), (torch.randn(6, 3), torch.randn(6, 2))


def grouped(model):
    """SGD with the head before the body, at ten thousand times its rate."""
    groups = [
        {"params": model[1].parameters(), "lr": 10.0},
        {"params": model[0].parameters(), "lr": 0.001},
    ]
    return torch.optim.SGD(groups)


def problem_of(model, data):
    return frameworks.from_torch(model, LOSS, data, engine="torch")


def test_equal_parameters_keep_the_rates_of_their_groups():
    model, data = normalised()
    problem = problem_of(model, data)
    found = problem.optimizer_settings(grouped(model), problem.initial_theta)
    assert found["learning_rate"] == 0.001
    expected = [1.0] * 24 + [1e-4] * 18
    np.testing.assert_allclose(found["preconditioner"], expected, rtol=1e-12)
    # a model with all values its own is known in a copy too
    with torch.no_grad():
        for part in model.parameters():
            part += torch.rand(part.shape)
    copied = copy.deepcopy(model)
    found = problem.optimizer_settings(grouped(copied), problem.theta_of(model))
    np.testing.assert_allclose(found["preconditioner"], expected, rtol=1e-12)


class Scaled(nn.Module):
    """Three scalars with one value and different gradients."""

    def __init__(self):
        super().__init__()
        one = torch.ones((), dtype=torch.float64)
        self.first, self.second, self.third = (nn.Parameter(one.clone()) for _ in range(3))

    def forward(self, x):
        scales = torch.stack([self.first, self.second, self.third])
        return (x * scales).sum(dim=1, keepdim=True)


def after_a_step(model, data):
    """Adam with the parameters in another order, which a step does not part."""
    optimizer = torch.optim.Adam([model.third, model.first, model.second], lr=0.1)
    LOSS(model(data[0]), data[1]).backward()
    optimizer.step()
    with torch.no_grad():
        for part in model.parameters():
            part.fill_(0.9)
    return optimizer


def test_equal_parameters_keep_their_state():
    model = Scaled()
    data = torch.tensor([[1.0, 2.0, 3.0], [2.0, 3.0, 7.0]]).double(), torch.zeros(2, 1).double()
    problem = problem_of(model, data)
    optimizer = after_a_step(model, data)
    found = problem.optimizer_settings(optimizer, [0.9] * 3)["preconditioner"]
    # (1 - b1) (|g| + floor)
    gradient = np.array([part.grad.item() for part in model.parameters()])
    np.testing.assert_allclose(found, 0.1 * (np.abs(gradient) + 1e-8), rtol=1e-12)


def test_equal_parameters_that_can_not_be_told_apart_are_refused():
    model, data = normalised()
    problem = problem_of(model, data)
    away = pickle.loads(pickle.dumps(problem))
    theta = problem.initial_theta
    with pytest.raises(checks.InputError, match=r"2 parameters with .* '0\.1\.weight'.*differ"):
        away.optimizer_settings(grouped(model), theta)
    with pytest.raises(checks.InputError, match="the very model that from_torch was given"):
        problem.optimizer_settings(grouped(copy.deepcopy(model)), theta)
    alike = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.5)
    assert away.optimizer_settings(alike, theta)["momentum"] == 0.5


def line(curvature):
    """A loss ``h theta^2 / 2`` in one number, and a damped SGD of it."""
    model = nn.Linear(1, 1, bias=False, dtype=torch.float64)
    with torch.no_grad():
        model.weight.fill_(1.0)
    inputs = torch.full((2, 1), np.sqrt(curvature / 2), dtype=torch.float64)
    data = inputs, torch.zeros(2, 1, dtype=torch.float64)
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9, dampening=0.9)
    return model, problem_of(model, data), optimizer, data


def diagnosed(problem, optimizer, names, **settings):
    return diagnostics.measure(
        problem,
        optimizer=optimizer,
        batch_size=2,
        replacement=False,
        quantities=names,
        rng=seeds.generator(),
        **settings,
    )


@pytest.mark.parametrize("given", [{}, {"learning_rate": 0.1}])
@pytest.mark.parametrize(("curvature", "state"), [(379.0, "stable"), (381.0, "unstable")])
def test_the_limit_of_a_damped_gradient_is_that_of_its_steps(curvature, state, given):
    model, problem, optimizer, data = line(curvature)
    names = ["leading_eigenvalue", "stability_threshold"]
    found = diagnosed(problem, optimizer, names, **given)
    np.testing.assert_allclose(found["leading_eigenvalue"].details["limit"], 380, rtol=1e-12)
    assert found["leading_eigenvalue"].sentence.endswith(
        f" are {state} along the leading directions."
    )
    assert found.settings["learning_rate"] == 0.1
    threshold = found["stability_threshold"]
    np.testing.assert_allclose(threshold.value, 0.1 * 380 / curvature, rtol=1e-6)
    side = "below" if state == "stable" else "above"
    assert f"The present η = 0.1 is {side} it." in threshold.sentence
    for _ in range(1500):
        optimizer.zero_grad()
        LOSS(model(data[0]), data[1]).backward()
        optimizer.step()
    assert (abs(model.weight.item()) < 1) == (state == "stable")


def test_settings_of_dampening():
    model, problem, _, _ = line(1.0)
    theta = problem.initial_theta
    without = torch.optim.SGD(model.parameters(), 0.1, dampening=0.9)
    assert problem.optimizer_settings(without, theta).get("gradient_scale", 1.0) == 1.0
    never = torch.optim.SGD(model.parameters(), 0.1, momentum=0.5, dampening=1.0)
    with pytest.raises(checks.InputError, match=r"dampening=1.*below 1"):
        problem.optimizer_settings(never, theta)
    with pytest.raises(checks.InputError, match="gradient_scale=0"):
        diagnostics.OptimizerState("own", gradient_scale=0.0)
    made = diagnostics.OptimizerState("own", 0.5, gradient_scale=0.25)
    assert made.limit(0.1) == 2 * 1.5 / (0.25 * 0.1)
    assert "gradient times 0.25" in repr(made)
    assert made.settings()["gradient_scale"] == 0.25
