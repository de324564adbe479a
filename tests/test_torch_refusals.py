"""What from_torch refuses, and names the remedy for; and unusual models that it takes."""

import copy
import dataclasses
import functools

import numpy as np
import pytest
import seeds

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

import torch_cases  # noqa: E402

from aniso import checks, frameworks, memory  # noqa: E402

functional, nn = torch.nn.functional, torch.nn
CROSS_ENTROPY = nn.CrossEntropyLoss()
INPUTS, CLASSES = torch_cases.data()
NUMBERS = INPUTS[:, 0].clone()


def problem_of(model, loss=CROSS_ENTROPY, targets=CLASSES, **settings):
    return frameworks.from_torch(model, loss, (INPUTS, targets), **settings)


def perceptron(num_outputs=3):
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return nn.Sequential(nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, num_outputs))


class Calling(nn.Module):
    """A linear layer whose outputs a function changes."""

    def __init__(self, function):
        super().__init__()
        self.layer, self.function = torch_cases.made("perceptron"), function

    def forward(self, x):
        return self.function(self.layer(x))


class Keyword(Calling):
    def forward(self, x, *, scale):
        return scale * self.layer(x)


class Checkpointed(Calling):
    def forward(self, x):
        return torch.utils.checkpoint.checkpoint(self.layer, x, use_reentrant=False)


class Complex(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(6, 3, dtype=torch.complex64))

    def forward(self, x):
        return (x.to(torch.complex64) @ self.weight).abs()


@dataclasses.dataclass
class Output:
    logits: object


def on_two_devices():
    model = perceptron()
    model[2].to("meta")
    return model


def in_two_precisions():
    model = perceptron()
    model[2].double()
    return model


def spectrally_normalised():
    model = perceptron()
    nn.utils.parametrizations.spectral_norm(model[0])
    return model


REFUSED_MODELS = {
    "two devices": (on_two_devices, "one device"),
    "two precisions": (in_two_precisions, "one device and one precision"),
    "no values": (lambda: perceptron().to("meta"), "without values"),
    "bfloat16": (lambda: perceptron().bfloat16(), "float32 or float64"),
    "complex": (Complex, "real and imaginary"),
    "lazy": (lambda: nn.Sequential(nn.LazyLinear(3)), "called once"),
    "scripted code": (lambda: torch.jit.ScriptModule(), "compiled from"),
    "spectral norm in training": (spectrally_normalised, "spectral normalisation"),
    "random slopes": (lambda: nn.Sequential(perceptron(), nn.RReLU()), "draws random"),
    "keyword": (lambda: Keyword(None), r"argument: 'scale'.*forward="),
    "dataclass": (lambda: Calling(Output), "returned a Output"),
    "part without examples": (lambda: Calling(lambda z: (z, z.mean())), r"shape \(\) for 5"),
    "none": (lambda: Calling(lambda z: (z, None)), "returned a NoneType"),
    "tuple": (lambda: Calling(lambda z: (z, z)), "not tuple"),
    "checkpoints": (lambda: Checkpointed(None), "activation checkpointing"),
    "written inputs": (lambda: nn.Sequential(nn.ReLU(inplace=True), perceptron()), "writes into"),
}


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning")
@pytest.mark.filterwarnings("ignore:.*lazy:UserWarning")
@pytest.mark.parametrize("kind", REFUSED_MODELS)
def test_a_model_is_refused_with_the_remedy(kind):
    make, words = REFUSED_MODELS[kind]
    before = INPUTS.clone()
    with pytest.raises(checks.InputError, match=words):
        problem_of(make())
    assert torch.equal(INPUTS, before)


def test_inputs_in_double_precision_are_not_written_either():
    given = INPUTS.double()
    model = nn.Sequential(nn.ReLU(inplace=True), perceptron()).double()
    with pytest.raises(checks.InputError, match="writes into"):
        frameworks.from_torch(model, CROSS_ENTROPY, (given, CLASSES))
    assert torch.equal(given, INPUTS.double())


def squared(outputs, targets):
    return (outputs - targets).pow(2).mean()


REFUSED_TARGETS = {
    "broadcast mean": (1, nn.MSELoss(), NUMBERS, r"targets\[:, None\]"),
    "broadcast function": (1, functional.mse_loss, NUMBERS, "broadcasts"),
    "broadcast none": (1, nn.L1Loss(reduction="none"), NUMBERS, "broadcasts"),
    "broadcast by hand": (1, squared, NUMBERS, r"their difference has shape \(n, n\)"),
    "one target for three": (3, nn.MSELoss(), NUMBERS[:, None], "equal shapes"),
    "binary": (1, nn.BCEWithLogitsLoss(), NUMBERS, "broadcasts"),
    "probability": (1, nn.BCEWithLogitsLoss(), 2 + NUMBERS[:, None].abs(), "0 <= target <= 1"),
    "negative class": (3, CROSS_ENTROPY, CLASSES - 1, "class -1"),
    "real classes": (3, CROSS_ENTROPY, CLASSES.float(), "shape and type"),
    "meta": (3, CROSS_ENTROPY, CLASSES.to("meta"), "on meta"),
    "constant": (3, lambda o, t: (0 * o).sum(), CLASSES, "constant near"),  # noqa: ARG005
    "kink": (3, lambda o, t: (0 * o).abs().sqrt().sum(), CLASSES, "not finite"),  # noqa: ARG005
}


@pytest.mark.parametrize("kind", REFUSED_TARGETS)
def test_targets_are_refused_with_the_remedy(kind):
    num_outputs, loss, targets, words = REFUSED_TARGETS[kind]
    with pytest.raises(checks.InputError, match=words):
        problem_of(perceptron(num_outputs), loss, targets)


def test_a_hessian_that_does_not_fit_is_refused(monkeypatch):
    problem = problem_of(perceptron())
    theta = problem.initial_theta
    monkeypatch.setattr(memory, "available_bytes", lambda: 1000)
    with pytest.raises(memory.AllocationRefused, match="hessian_product"):
        problem.hessian(theta)


# ---- unusual models, against loops of autograd


def dense(model, loss, targets):
    """Gradient and Hessian of the loss of all examples at once, in double precision."""
    model = copy.deepcopy(model).double()
    parameters = list(model.parameters())
    value = loss(model(INPUTS.double()), targets)
    slopes = torch.autograd.grad(value, parameters, create_graph=True)
    slope = torch.cat([part.reshape(-1) for part in slopes])
    rows = [
        torch.autograd.grad(entry, parameters, retain_graph=True, materialize_grads=True)
        for entry in slope
    ]
    rows = torch.stack([torch.cat([part.reshape(-1) for part in row]) for row in rows])
    return slope.detach().numpy(), rows.numpy()


class WithWeightNorm(nn.Module):
    """Weight normalisation written out, with the parameters of PyTorch's."""

    def __init__(self, first):
        super().__init__()
        self.bias = nn.Parameter(first.bias.detach().clone())
        self.size = nn.Parameter(first.weight.detach().norm(dim=1, keepdim=True))
        self.direction = nn.Parameter(first.weight.detach().clone())

    def forward(self, x):
        weight = self.direction * (self.size / self.direction.norm(dim=1, keepdim=True))
        return functional.linear(x, weight, self.bias)


@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
@pytest.mark.parametrize("normalise", [nn.utils.parametrizations.weight_norm, nn.utils.weight_norm])
def test_weight_normalisation_has_right_second_derivatives(normalise):
    # those of PyTorch's own operation are wrong in the direction
    given, plain = perceptron(), perceptron()
    plain[0] = WithWeightNorm(plain[0])
    normalise(given[0])
    slope, hessian = dense(plain, functional.cross_entropy, CLASSES)
    problem = problem_of(given, dtype="float64")
    theta = problem.initial_theta
    np.testing.assert_allclose(problem.gradient(theta), slope, atol=1e-7)
    np.testing.assert_allclose(problem.hessian(theta), hessian, atol=1e-7)


class Recurrent(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.cells, self.last = kind(3, 3, batch_first=True), nn.Linear(3, 3)

    def forward(self, x):
        return self.last(self.cells(x.reshape(-1, 2, 3))[0][:, -1])


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_recurrent_layers_have_second_derivatives_in_both_precisions(kind):
    with torch.random.fork_rng():
        torch.manual_seed(4)
        model = Recurrent(kind)
    slope, hessian = dense(model, functional.cross_entropy, CLASSES)
    for dtype, tolerance in (("float64", 1e-12), ("float32", 1e-5)):
        problem = problem_of(model, dtype=dtype)
        theta = problem.initial_theta
        np.testing.assert_allclose(problem.gradient(theta), slope, atol=tolerance)
        product = problem.hessian_product(theta, np.ones(theta.size))
        np.testing.assert_allclose(product, hessian.sum(axis=1), atol=10 * tolerance)
        assert problem.at(theta).noise.trace() > 0


SEQUENCES = torch.tensor([[0, 1], [2, -100], [1, 1], [0, 2], [-100, 2]])
IGNORED = torch.where(torch.arange(5) == 4, -100, CLASSES)


@pytest.mark.parametrize("weights", [None, torch.tensor([1.0, 2.0, 5.0])])
@pytest.mark.parametrize("targets", [CLASSES, SEQUENCES, torch.cat([CLASSES, IGNORED])])
def test_ignored_and_weighted_classes_give_the_loss_of_all_examples(weights, targets):
    # a class that is ignored may come after the examples that are looked at first
    model, loss = perceptron(3 * targets[0].numel()), nn.CrossEntropyLoss(weight=weights)
    model.append(nn.Unflatten(1, (3, *targets.shape[1:])))
    inputs = INPUTS.repeat(len(targets) // 5, 1)
    problem = frameworks.from_torch(model, loss, (inputs, targets), dtype="float64")
    whole = copy.deepcopy(loss).double()(copy.deepcopy(model).double()(inputs.double()), targets)
    assert problem.loss(problem.initial_theta) == pytest.approx(float(whole.detach()), rel=1e-12)


def test_hooks_of_gradients_and_kept_activations_do_not_count():
    plain = problem_of(perceptron(), dtype="float64")
    model = perceptron()
    model[0].register_full_backward_hook(lambda module, inward, outward: (7 * inward[0],))  # noqa: ARG005
    model[2].weight.register_hook(lambda slope: 2 * slope)
    model[1].kept = model(INPUTS)
    hooked = problem_of(model, dtype="float64")
    theta = plain.initial_theta
    np.testing.assert_array_equal(hooked.gradient(theta), plain.gradient(theta))
    np.testing.assert_allclose(hooked.hessian(theta), plain.hessian(theta), atol=1e-12)
    assert model[1].kept.requires_grad
    assert len(model[0]._backward_hooks) == 1


def noise_of_part(problem, theta):
    return problem.subset([1, 2]).at(theta).noise @ theta


@pytest.mark.parametrize(
    "surroundings",
    [torch.no_grad, torch.inference_mode, functools.partial(torch.autocast, "cpu")],
)
def test_the_caller_s_gradient_mode_does_not_count(surroundings):
    model, plain = perceptron(), problem_of(perceptron(), dtype="float64")
    with surroundings():
        given = frameworks.from_torch(
            model, CROSS_ENTROPY, (INPUTS.clone(), CLASSES), dtype="float64"
        )
    theta = plain.initial_theta
    np.testing.assert_array_equal(given.gradient(theta), plain.gradient(theta))


def test_a_compiled_model_is_the_module_inside():
    model = perceptron()
    compiled = torch.compile(model, backend="eager")
    problem = problem_of(compiled)
    np.testing.assert_array_equal(problem.theta_of(compiled), problem.theta_of(model))
    assert tuple(problem.blocks) == ("0", "2")


def test_biases_that_start_at_a_kink_are_no_error():
    model = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3))
    nn.init.zeros_(model[0].weight[:2])
    nn.init.zeros_(model[0].bias)
    problem = problem_of(model, dtype="float64")
    slope, _ = dense(model, functional.cross_entropy, CLASSES)
    np.testing.assert_allclose(problem.gradient(problem.initial_theta), slope, atol=1e-12)


def test_the_checks_step_over_the_kinks_of_many_units(monkeypatch):
    from aniso.frameworks import _torch_differences

    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(
            *(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.ReLU()),
            *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)),
        ).double()
        images = torch.randn(6, 1, 48, 48, dtype=torch.float64)
    with torch.no_grad():
        model[0].weight *= 3e-3
        model[0].bias *= 3e-3
    data = images, torch.arange(6) % 3
    problem = frameworks.from_torch(model, CROSS_ENTROPY, data, engine="torch")
    column = seeds.generator().standard_normal(problem.num_parameters)
    assert np.isfinite(problem.hessian_product(problem.initial_theta, column)).all()
    # planted: with long steps alone the right derivatives look wrong
    long = {torch.float64: (1e-4, 1e-5, 1e-6)}
    monkeypatch.setattr(_torch_differences, "STEPS", long)
    problem = frameworks.from_torch(model, CROSS_ENTROPY, data, engine="torch")
    with pytest.raises(checks.InputError, match="second derivatives"):
        problem.hessian_product(problem.initial_theta, column)


def test_large_models_are_checked_with_gradients_of_two_examples(monkeypatch):
    from aniso.frameworks import _torch_products, _torch_ways

    found, rows = [], _torch_products.rows_one_by_one

    def counted(layout, losses, theta):
        made = rows(layout, losses, theta)
        found.append(len(made[0]))
        return made

    monkeypatch.setattr(_torch_products, "rows_one_by_one", counted)
    problem_of(perceptron(), engine="torch")
    monkeypatch.setattr(_torch_ways, "_ROW_NUMBERS", 1)
    problem_of(perceptron(), engine="torch")
    assert found[0] > found[-1] == 2


def test_losses_of_shape_n_1_are_losses_of_examples():
    targets = NUMBERS[:, None]
    column = problem_of(perceptron(1), lambda o, t: (o - t) ** 2, targets, dtype="float64")
    mean = problem_of(perceptron(1), nn.MSELoss(), targets, dtype="float64")
    theta = mean.initial_theta
    np.testing.assert_allclose(column.losses(theta), mean.losses(theta), rtol=1e-14)
