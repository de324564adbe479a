"""A PyTorch problem and a network have one diagnosis; optimizers are read, and nothing changes."""

import numpy as np
import pytest
import seeds

torch = pytest.importorskip("torch")

from aniso import (  # noqa: E402
    checks,
    closed_forms,
    descent,
    diagnostics,
    frameworks,
    networks,
)
from aniso.problems import losses  # noqa: E402

SETTINGS = {"batch_size": 4, "replacement": True, "learning_rate": 0.05, "num_pairs": 3}


def perceptron(rng, engine="torch"):
    """A model, its problem, and the same as a network."""
    inputs, targets = rng.standard_normal((20, 4)), rng.integers(0, 3, 20)
    model = torch.nn.Sequential(
        torch.nn.Linear(4, 5), torch.nn.Tanh(), torch.nn.Linear(5, 3)
    ).double()
    theta = rng.standard_normal(43) / 2
    torch.nn.utils.vector_to_parameters(torch.tensor(theta), model.parameters())
    data = model.examples = torch.tensor(inputs), torch.tensor(targets)
    problem = frameworks.from_torch(model, torch.nn.CrossEntropyLoss(), data, engine=engine)
    stack = networks.multilayer_perceptron((4, 5, 3), "tanh")
    network = networks.Network(stack, losses.SoftmaxCrossEntropy(), inputs, targets)
    return model, problem, network, theta


def diagnosed(problem, theta=None, **changed):
    options = SETTINGS | {"rng": seeds.generator(1)} | changed
    return diagnostics.measure(problem, theta, **options)


def test_a_model_and_a_network_give_equal_readings(rng):
    _, problem, network, theta = perceptron(rng)
    assert np.isclose(problem.loss(problem.initial_theta), network.loss(theta), rtol=1e-12)
    first = diagnosed(problem, quantities="all")
    second = diagnosed(network, theta, quantities="all")
    shared = set(first) & set(second)
    assert set(second) == shared
    for name in shared:
        tolerance = 1e-4 if name == "critical_sharpness" else 1e-9
        np.testing.assert_allclose(
            first[name].value, second[name].value, rtol=tolerance, err_msg=name
        )
    sizes = [row["size"] for row in first.blocks.values()]
    assert sizes == [row["size"] for row in second.blocks.values()]


def stepped(model, kind, **options):
    """An optimizer after three steps of the model."""
    optimizer = kind(model.parameters(), **options)
    criterion = torch.nn.CrossEntropyLoss()
    inputs, targets = model.examples
    for _ in range(3):
        optimizer.zero_grad()
        criterion(model(inputs), targets).backward()
        optimizer.step()
    return optimizer


def flat(optimizer, model, key):
    parts = [optimizer.state[part][key].reshape(-1) for part in model.parameters()]
    return torch.cat(parts).numpy()


def test_the_state_of_adam_is_its_preconditioner(rng):
    model, problem, _, _ = perceptron(rng)
    optimizer = stepped(model, torch.optim.Adam, lr=0.01, betas=(0.8, 0.9))
    theta = problem.theta_of(model)
    found = diagnosed(problem, theta, optimizer=optimizer, learning_rate=None)
    squares = flat(optimizer, model, "exp_avg_sq")
    scales = (1 - 0.8**3) * (np.sqrt(squares / (1 - 0.9**3)) + 1e-8)
    hessian = problem.hessian(theta) / np.sqrt(np.outer(scales, scales))
    sharpness = found["preconditioned_sharpness"]
    np.testing.assert_allclose(sharpness.value, np.linalg.eigvalsh(hessian)[-1], rtol=1e-8)
    limit = 2 * (1 + 0.8) / ((1 - 0.8) * 0.01)
    np.testing.assert_allclose(sharpness.details["limit"], limit, rtol=1e-12)
    assert "limit" not in found["leading_eigenvalue"].details
    assert found.settings["optimizer"]["name"] == "Adam"
    assert "without the Adam" in found["loss_change"].sentence


def test_the_learning_rates_of_groups_are_in_the_preconditioner(rng):
    model, problem, _, _ = perceptron(rng)
    groups = [
        {"params": model[0].parameters(), "lr": 0.1},
        {"params": model[2].parameters(), "lr": 0.4},
    ]
    optimizer = torch.optim.SGD(groups, lr=0.1, momentum=0.5)
    settings = problem.optimizer_settings(optimizer, problem.initial_theta)
    np.testing.assert_array_equal(settings["preconditioner"], [1.0] * 25 + [0.25] * 18)
    groups[1]["momentum"] = 0.9
    with pytest.raises(checks.InputError, match="differ in momentum"):
        problem.optimizer_settings(torch.optim.SGD(groups), problem.initial_theta)


@pytest.mark.parametrize("engine", ["torch", "aniso"])
def test_momentum_and_rmsprop_are_read(rng, engine):
    model, problem, _, _ = perceptron(rng, engine)
    ball = torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.5)
    found = diagnosed(problem, optimizer=ball, learning_rate=None)
    assert found["leading_eigenvalue"].details["limit"] == pytest.approx(2 * 1.5 / 0.2)
    nesterov = torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.5, nesterov=True)
    assert problem.optimizer_settings(nesterov, problem.initial_theta)["form"] == "nesterov"
    root = stepped(model, torch.optim.RMSprop, lr=0.01, alpha=0.5, centered=True)
    made = problem.optimizer_settings(root, problem.theta_of(model))
    squares, means = flat(root, model, "square_avg"), flat(root, model, "grad_avg")
    np.testing.assert_allclose(made["preconditioner"], np.sqrt(squares - means**2) + 1e-8)


def test_optimizers_that_do_not_fit_are_refused_by_name(rng):
    model, problem, network, theta = perceptron(rng)
    start, other = problem.initial_theta, perceptron(rng)[0]
    with pytest.raises(checks.InputError, match=r"SGD has no parameter with .* '0\.weight'"):
        diagnosed(problem, optimizer=torch.optim.SGD(other.parameters(), lr=0.1))
    with pytest.raises(checks.InputError, match="Adam has no exp_avg_sq yet"):
        diagnosed(problem, optimizer=torch.optim.Adam(model.parameters()))
    with pytest.raises(checks.InputError, match="SGD has the learning rate 0"):
        diagnosed(problem, optimizer=torch.optim.SGD(model.parameters(), lr=0.0))
    with pytest.raises(checks.InputError, match="optimizer is a Adagrad"):
        diagnosed(problem, optimizer=torch.optim.Adagrad(model.parameters()))
    with pytest.raises(checks.InputError, match="problem is a Network"):
        diagnosed(network, theta, optimizer=torch.optim.SGD(model.parameters(), lr=0.1))
    with pytest.raises(checks.InputError, match="carries no second moments"):
        diagnosed(problem, optimizer=descent.Adam())
    wrong = diagnostics.OptimizerState("own", preconditioner=[1.0, 2.0])
    with pytest.raises(checks.InputError, match="has 2 entries; expected D=43"):
        diagnosed(problem, optimizer=wrong)
    stepped(model, torch.optim.SGD, lr=0.1)
    with pytest.raises(checks.InputError, match=r"problem.theta_of\(model\)"):
        diagnosed(problem, start, optimizer=torch.optim.SGD(model.parameters(), lr=0.1))


def test_nothing_of_the_users_changes(rng):
    model, problem, _, _ = perceptron(rng)
    optimizer = stepped(model, torch.optim.Adam, lr=0.01)
    theta, squares = problem.theta_of(model), flat(optimizer, model, "exp_avg_sq").copy()
    state, gradients = torch.random.get_rng_state(), [part.grad for part in model.parameters()]
    diagnosed(problem, theta, optimizer=optimizer)
    np.testing.assert_array_equal(problem.theta_of(model), theta)
    np.testing.assert_array_equal(flat(optimizer, model, "exp_avg_sq"), squares)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(
        part.grad is given for part, given in zip(model.parameters(), gradients, strict=True)
    )


def test_heavy_balls_of_descent_and_stated_optimizers(rng):
    _, problem, _, _ = perceptron(rng)
    ball = diagnosed(problem, optimizer=descent.HeavyBall(0.9))["leading_eigenvalue"]
    limit = closed_forms.sharpness_limit(0.05, momentum=0.9)
    assert ball.details["limit"] == limit
    assert f"{limit:.3g}" in ball.sentence
    with pytest.raises(checks.InputError, match="the least -1"):
        diagnostics.OptimizerState("own", preconditioner=[-1.0, 2.0])
