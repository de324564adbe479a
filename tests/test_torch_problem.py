"""PyTorch models as problems: the contract, references that share no code, refusals."""

import copy
import random

import numpy as np
import pytest
import seeds
from problem_contract import check_problem

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

import torch_cases  # noqa: E402

from aniso import checks, frameworks  # noqa: E402

functional = torch.nn.functional
CROSS_ENTROPY = torch.nn.CrossEntropyLoss()


def reference(model, loss_of_one, inputs, targets):
    """Losses, gradients of the examples and Hessian by loops of autograd, in double precision."""
    model = copy.deepcopy(model).double()
    parameters = list(model.parameters())
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        losses, rows, mean = [], [], 0.0
        for i in range(len(inputs)):
            value = loss_of_one(model(inputs[i : i + 1].double()), targets[i : i + 1])
            losses.append(float(value.detach()))
            rows.append(flat(torch.autograd.grad(value, parameters, create_graph=True)))
            mean = mean + rows[-1] / len(inputs)
        hessian = torch.stack(
            [
                flat(
                    torch.autograd.grad(
                        entry, parameters, retain_graph=True, materialize_grads=True
                    )
                )
                for entry in mean
            ]
        )
    return np.array(losses), torch.stack(rows).detach().numpy(), hessian.numpy()


def flat(parts):
    return torch.cat([part.reshape(-1) for part in parts])


@pytest.mark.parametrize("kind", torch_cases.MODELS)
def test_models_agree_with_loops_of_autograd(kind):
    model, (inputs, targets) = torch_cases.made(kind), torch_cases.data()
    problem = frameworks.from_torch(
        model, CROSS_ENTROPY, (inputs, targets), dtype="float64", engine="torch"
    )
    theta = problem.initial_theta
    np.testing.assert_array_equal(
        theta, torch.nn.utils.parameters_to_vector(model.parameters()).detach().double().numpy()
    )
    losses, rows, hessian = reference(model, functional.cross_entropy, inputs, targets)
    np.testing.assert_allclose(problem.losses(theta), losses, rtol=1e-12)
    scale = np.abs(rows).max()
    np.testing.assert_allclose(problem.per_example_gradients(theta), rows, atol=1e-12 * scale)
    size = np.abs(hessian).max()
    np.testing.assert_allclose(problem.hessian(theta), hessian, atol=1e-11 * size)
    centred = rows - rows.mean(axis=0)
    noise = problem.at(theta).noise
    np.testing.assert_allclose(
        noise @ theta, centred.T @ (centred @ theta) / len(rows), atol=1e-11 * scale**2
    )


@pytest.mark.parametrize("kind", ["layer normalisation", "perceptron"])
def test_models_pass_the_contract(kind):
    problem = frameworks.from_torch(
        torch_cases.made(kind), CROSS_ENTROPY, torch_cases.data(), dtype="float64", chunk_size=2
    )
    check_problem(problem, problem.initial_theta, seeds.generator(0))


def test_single_precision_agrees_with_double():
    model, data = torch_cases.made("layer normalisation"), torch_cases.data()
    single = frameworks.from_torch(model, CROSS_ENTROPY, data)
    double = frameworks.from_torch(model, CROSS_ENTROPY, data, dtype="float64")
    theta = double.initial_theta
    assert (single.dtype, double.dtype) == (np.float32, np.float64)
    for name in ("gradient", "losses", "per_example_gradients", "hessian"):
        exact = getattr(double, name)(theta)
        np.testing.assert_allclose(
            getattr(single, name)(theta), exact, atol=1e-5 * np.abs(exact).max()
        )
    assert single.check(theta, seeds.generator(1)).right
    assert single.at(theta).by_block().ratio == pytest.approx(double.at(theta).by_block().ratio)


def class_loss(**settings):
    return torch.nn.CrossEntropyLoss(**settings)


def margin(outputs, targets):
    return (outputs.pow(2).sum(1) - outputs.gather(1, targets[:, None])[:, 0]).mean()


LOSSES = {
    "mean": (class_loss(), "mean", "reduction"),
    "sum": (class_loss(reduction="sum"), "sum", "reduction"),
    "per example": (class_loss(reduction="none"), "none", "given"),
    "function": (functional.cross_entropy, "mean", "reduction"),
    "smoothed": (class_loss(label_smoothing=0.1), "mean", "reduction"),
    "own function": (margin, "mean", "vmap"),
}


@pytest.mark.parametrize("kind", LOSSES)
def test_the_reduction_of_a_loss_is_found(kind):
    loss, reduction, method = LOSSES[kind]
    model, (inputs, targets) = torch_cases.made("perceptron"), torch_cases.data()
    problem = frameworks.from_torch(model, loss, (inputs, targets), dtype="float64", engine="torch")
    found = problem._checked.losses
    assert (found.reduction, found.method) == (reduction, method)
    losses, rows, _ = reference(model, lambda o, t: loss(o, t).sum(), inputs, targets)
    theta = problem.initial_theta
    np.testing.assert_allclose(problem.losses(theta), losses, rtol=1e-12)
    np.testing.assert_allclose(problem.gradient(theta), rows.mean(axis=0), atol=1e-12)


def test_a_loss_with_class_weights_is_the_weighted_mean_of_all_examples():
    loss = class_loss(weight=torch.tensor([1.0, 2.0, 5.0]))
    model, (inputs, targets) = torch_cases.made("perceptron"), torch_cases.data()
    problem = frameworks.from_torch(model, loss, (inputs, targets), dtype="float64")
    whole = loss.double()(copy.deepcopy(model).double()(inputs.double()), targets)
    assert problem.loss(problem.initial_theta) == pytest.approx(float(whole.detach()), rel=1e-12)
    part = problem.subset([3, 1])
    np.testing.assert_allclose(
        part.losses(problem.initial_theta), problem.losses(problem.initial_theta)[[3, 1]]
    )


def coupled(outputs, targets):
    return functional.cross_entropy(outputs - outputs.mean(0), targets)


def weighted(outputs, targets):
    return functional.cross_entropy(outputs, targets, weight=outputs.new_tensor([1.0, 2.0, 5.0]))


@pytest.mark.parametrize(
    ("loss", "error", "words"),
    [
        (coupled, checks.InteractingExamples, "from_draws"),
        (weighted, checks.InteractingExamples, "neither"),
        (lambda o, t: o, checks.InputError, "one number"),  # noqa: ARG005
        (lambda o, t: o.sum() * torch.inf, checks.InputError, "not finite"),  # noqa: ARG005
        (lambda o, t: o.detach().mean(), checks.InputError, "no gradient"),  # noqa: ARG005
        (lambda o, t: float(o.mean()), checks.InputError, "float"),  # noqa: ARG005
        (lambda o: o.mean(), checks.InputError, "outputs, targets"),
        ("mean", checks.InputError, "loss is a str"),
        (lambda o, t: o @ o, checks.InputError, "loss raised RuntimeError"),  # noqa: ARG005
    ],
)
def test_a_loss_without_losses_of_examples_is_refused(loss, error, words):
    with pytest.raises(error, match=words):
        frameworks.from_torch(torch_cases.made("perceptron"), loss, torch_cases.data())


def with_dropout():
    return torch.nn.Sequential(torch.nn.Linear(6, 3), torch.nn.Dropout(0.5))


def with_batch_normalisation():
    return torch_cases.frozen_statistics().train()


class Noisy(torch.nn.Linear):
    def forward(self, x):
        return super().forward(x) + torch.randn(3)


class Centred(torch.nn.Linear):
    def forward(self, x):
        outputs = super().forward(x)
        return outputs - outputs.mean(0)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (with_dropout(), "'1' .Dropout. draws random numbers"),
        (with_batch_normalisation(), "'1' .BatchNorm1d. normalises over its batch"),
        (Noisy(6, 3), "two calls of the model"),
        (Centred(6, 3), "changes with the other examples"),
        (torch.nn.Linear(6, 3).half(), "float16"),
        (torch.nn.Linear(6, 3).requires_grad_(requires_grad=False), "requires a gradient"),
        (torch.nn.Flatten(), "no parameters"),
        (functional.relu, "torch.nn.Module"),
        (torch.nn.Linear(6, 2), "class 2"),
    ],
)
def test_a_model_that_has_no_gradients_of_examples_is_refused(model, words):
    with pytest.raises(checks.InputError, match=words):
        frameworks.from_torch(model, CROSS_ENTROPY, torch_cases.data())


class Clipped(torch.autograd.Function):
    """The square with a backward pass that is wrong, or not differentiable once more."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**2

    @staticmethod
    def backward(ctx, slope):
        (x,) = ctx.saved_tensors
        return 2 * slope * x.detach()


class Wrong(Clipped):
    @staticmethod
    def backward(ctx, slope):
        (x,) = ctx.saved_tensors
        return 2.1 * slope * x


class Custom(torch.nn.Linear):
    square = Clipped

    def forward(self, x):
        return self.square.apply(super().forward(x))


class CustomWrong(Custom):
    square = Wrong


def test_a_wrong_first_derivative_is_refused():
    with pytest.raises(checks.InputError, match="disagrees with differences"):
        frameworks.from_torch(CustomWrong(6, 3), CROSS_ENTROPY, torch_cases.data())


def test_a_wrong_second_derivative_leaves_first_order_alone():
    problem = frameworks.from_torch(Custom(6, 3), CROSS_ENTROPY, torch_cases.data())
    theta = problem.initial_theta
    assert problem.at(theta).noise.trace() > 0
    assert "first order only" in repr(problem)
    with pytest.raises(checks.InputError, match=r"do not exist: backward: wrong; forward: "):
        problem.hessian_product(theta, theta)


def state_of(model):
    return (
        {name: value.clone() for name, value in model.state_dict().items()},
        [(part.requires_grad, part.grad) for part in model.parameters()],
        [module.training for module in model.modules()],
        torch.get_rng_state(),
        random.getstate(),
        np.random.get_state()[1].tolist(),  # noqa: NPY002
    )


@pytest.mark.parametrize("dies", [False, True])
def test_nothing_of_the_model_changes(dies):
    model = torch_cases.frozen_statistics()
    model[0].weight.requires_grad_(requires_grad=False)
    before = state_of(model)
    if dies:
        with pytest.raises(checks.InputError):
            frameworks.from_torch(model, lambda o, t: o * np.nan, torch_cases.data())  # noqa: ARG005
    else:
        problem = frameworks.from_torch(model, CROSS_ENTROPY, torch_cases.data())
        at = problem.at(problem.initial_theta)
        assert at.by_block().names == ("0", "1", "3")
        assert problem.num_parameters == 4 + 8 + 15
    after = state_of(model)
    assert all(map(torch.equal, before[0].values(), after[0].values()))
    assert torch.equal(before[3], after[3])
    assert (before[1], before[2], before[4], before[5]) == (after[1], after[2], after[4], after[5])


def test_parameters_are_chosen_by_name():
    model = torch_cases.made("layer normalisation")
    problem = frameworks.from_torch(
        model, CROSS_ENTROPY, torch_cases.data(), parameters=["norm.*", "last.bias"]
    )
    assert problem.blocks == {"last": slice(0, 3), "norm": slice(3, 19)}
    with torch.no_grad():
        model.last.bias += 1
    np.testing.assert_allclose(
        problem.theta_of(model)[:3] - problem.initial_theta[:3], 1, rtol=1e-6
    )
    with pytest.raises(checks.InputError, match="matches none of"):
        frameworks.from_torch(model, CROSS_ENTROPY, torch_cases.data(), parameters="head.*")
    with pytest.raises(checks.InputError, match="expected"):
        problem.theta_of(torch_cases.perceptron())


@pytest.mark.parametrize("patterns", ["last.*", ["last.weight"], ["hidden.bias", "last*"]])
def test_a_shared_parameter_is_known_by_each_of_its_names(patterns):
    model = torch_cases.made("tied weights")
    problem = frameworks.from_torch(model, CROSS_ENTROPY, torch_cases.data(), parameters=patterns)
    own = {"embed.weight"} | ({"hidden.bias"} & set(patterns))
    expected = [part for name, part in model.named_parameters() if name in own]
    theta = torch.nn.utils.parameters_to_vector(expected).detach().numpy()
    np.testing.assert_array_equal(problem.initial_theta, theta)
    whole = frameworks.from_torch(model, CROSS_ENTROPY, torch_cases.data())
    place = whole.blocks["embed"]
    slope = whole.gradient(whole.initial_theta)[place]
    np.testing.assert_allclose(
        problem.gradient(theta)[problem.blocks["embed"]], slope, rtol=1e-5, atol=1e-7
    )


def test_a_pattern_beside_the_star_takes_frozen_parameters():
    model = torch_cases.made("perceptron")
    model[0].weight.requires_grad_(requires_grad=False)
    data = torch_cases.data()
    sizes = [
        frameworks.from_torch(model, CROSS_ENTROPY, data, parameters=patterns).num_parameters
        for patterns in ("*", ["*"], ["*", "0*"])
    ]
    assert sizes == [19, 19, 43]
    with pytest.raises(checks.InputError, match="at least one name"):
        frameworks.from_torch(model, CROSS_ENTROPY, data, parameters=[])
