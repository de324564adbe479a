"""Outputs of PyTorch models: Jacobians, Gauss-Newton and Fisher matrices, and their bounds."""

import copy

import numpy as np
import pytest
import seeds
from problem_contract import check_problem

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

import torch_cases  # noqa: E402

from aniso import checks, frameworks, problems, propositions  # noqa: E402

nn, functional = torch.nn, torch.nn.functional
INPUTS, CLASSES = torch_cases.data()
NUMBERS = INPUTS[:, :2] ** 2


def model_of(*shape):
    """A small smooth model with layer normalisation, whose outputs have a shape."""
    with torch.random.fork_rng():
        torch.manual_seed(6)
        layers = nn.Linear(6, 3), nn.LayerNorm(3), nn.Tanh(), nn.Linear(3, int(np.prod(shape)))
    return nn.Sequential(*layers, nn.Unflatten(1, shape) if shape else nn.Flatten(0))


def problem_of(shape, loss, targets, **settings):
    data = INPUTS, targets
    return frameworks.from_torch(model_of(*shape), loss, data, dtype="float64", **settings)


KNOWN = {
    "mean squares": ((2,), nn.MSELoss(), NUMBERS, "MeanSquaredLoss()"),
    "binary": ((1,), nn.BCEWithLogitsLoss(), (CLASSES[:, None] > 0).float(), "LogisticLoss()"),
}


@pytest.mark.parametrize("kind", KNOWN)
def test_known_losses_pass_the_contract(kind):
    shape, loss, targets, name = KNOWN[kind]
    problem = problem_of(shape, loss, targets)
    assert repr(problem.output_loss) == name
    check_problem(problem, problem.initial_theta, seeds.generator(0))


def margin(outputs, targets):
    return (outputs.exp().sum(1) - outputs.gather(1, targets[:, None])[:, 0] ** 3).mean()


SEQUENCES = torch.tensor([[0, 1], [2, -100], [1, 1], [0, 2], [1, 2]])
OTHER = {
    "own": ((3,), margin, CLASSES),
    "sequences": ((3, 2), nn.CrossEntropyLoss(), SEQUENCES),
    "class weights": ((3,), nn.CrossEntropyLoss(torch.tensor([1.0, 2.0, 5.0])), CLASSES),
    "no axis": ((), nn.HuberLoss(delta=0.3), NUMBERS[:, 0]),
}


@pytest.mark.parametrize("kind", OTHER)
def test_gauss_newton_of_any_loss_agrees_with_loops_of_autograd(kind):
    shape, loss, targets = OTHER[kind]
    problem = problem_of(shape, loss, targets, chunk_size=2)
    theta = problem.initial_theta
    losses, expected = reference(model_of(*shape), loss, targets)
    outputs = problem.outputs(theta)
    np.testing.assert_allclose(problem.output_loss(outputs, problem.targets).mean(), losses)
    at = problem.at(theta)
    np.testing.assert_allclose(at.gauss_newton.to_dense(), expected, atol=1e-12)
    # a single vector takes another way than many
    np.testing.assert_allclose(at.gauss_newton @ theta, expected @ theta, atol=1e-12)
    curvatures = problem.output_hessians(theta)
    jacobians = problem.jacobians(theta)
    np.testing.assert_allclose(
        np.einsum("nad,nab,nbe->de", jacobians, curvatures, jacobians) / 5, expected, atol=1e-12
    )
    with pytest.raises(checks.InputError, match="no distribution of targets"):
        at.fisher.to_dense()


def reference(model, loss, targets):
    """The loss of all examples at once and its Gauss-Newton matrix, one entry after the other."""
    model, loss = model.double(), copy.deepcopy(loss)
    loss = loss.double() if isinstance(loss, nn.Module) else loss
    if targets.is_floating_point():
        targets = targets.double()
    parameters = list(model.parameters())
    outputs = model(INPUTS.double())
    rows = []
    for entry in outputs.reshape(-1):
        parts = torch.autograd.grad(entry, parameters, retain_graph=True)
        rows.append(torch.cat([part.reshape(-1) for part in parts]))
    rows = torch.stack(rows)
    given = outputs.detach()
    curvature = torch.autograd.functional.hessian(lambda f: loss(f, targets), given)
    curvature = curvature.reshape(given.numel(), given.numel())
    return float(loss(given, targets)), (rows.T @ curvature @ rows).numpy()


def test_the_bound_of_deep_networks_holds_on_both_engines():
    with torch.random.fork_rng():
        torch.manual_seed(6)
        model = nn.Sequential(nn.Linear(6, 3), nn.Tanh(), nn.Linear(3, 1))
    data = INPUTS, (CLASSES[:, None] > 0).float()
    found = []
    for engine in ("torch", "aniso"):
        problem = frameworks.from_torch(
            model, nn.BCEWithLogitsLoss(), data, dtype="float64", engine=engine
        )
        bound = propositions.deep_alignment_bound(problem.at(problem.initial_theta))
        assert bound.lower <= bound.coefficient <= bound.upper
        found.append([bound.coefficient, bound.lower, bound.upper, bound.guaranteed])
    np.testing.assert_allclose(*found, rtol=1e-9)


def test_the_curvatures_of_examples_sum_to_gauss_newton():
    problem = problem_of((2,), nn.MSELoss(), NUMBERS)
    at = problem.at(problem.initial_theta)
    alone = [problem.subset([i]).at(at.theta).gauss_newton.trace() for i in range(5)]
    assert sum(alone) / 5 == pytest.approx(at.gauss_newton.trace(), rel=1e-12)
    assert at.example_curvatures.num_examples == 5


def test_outputs_that_are_no_single_tensor_are_no_faculty():
    class Twofold(nn.Linear):
        def forward(self, x):
            return super().forward(x), x

    problem = frameworks.from_torch(
        Twofold(6, 3), lambda o, t: functional.cross_entropy(o[0], t), (INPUTS, CLASSES)
    )
    assert not problem.has("outputs")
    with pytest.raises(problems.MissingFaculty, match="TorchProblem has no outputs"):
        problem.at(problem.initial_theta).gauss_newton  # noqa: B018
