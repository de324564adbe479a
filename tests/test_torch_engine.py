"""Sequential PyTorch models on the engine of networks: the same numbers, or a reason."""

import copy

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

import torch_cases  # noqa: E402

from aniso import checks, frameworks, matrices  # noqa: E402

nn = torch.nn
INPUTS, CLASSES = torch_cases.data()
IMAGES = torch.nn.functional.pad(INPUTS.reshape(5, 1, 2, 3), (1, 2, 2, 1)).contiguous() + 0.1
CROSS_ENTROPY = nn.CrossEntropyLoss()


def stack(*parts):
    with torch.random.fork_rng():
        torch.manual_seed(5)
        return nn.Sequential(*(part() for part in parts))


def linear(*sizes, **settings):
    return lambda: nn.Linear(*sizes, **settings)


def convolutional():
    return stack(
        lambda: nn.Conv2d(1, 2, (2, 3), stride=(1, 2), padding=1),
        nn.SiLU,
        lambda: nn.MaxPool2d(2, 1),
        lambda: nn.Conv2d(2, 3, 2, padding="valid"),
        nn.GELU,
        lambda: nn.AvgPool2d((2, 1)),
        nn.Flatten,
        linear(6, 3),
    )


def nested():
    inner = stack(nn.Flatten, linear(6, 4), nn.Tanh)
    return nn.Sequential(inner, nn.Dropout(0.5), nn.Identity(), *stack(linear(4, 3))).eval()


def shared_activation():
    activation = nn.Tanh()
    first, second, last = stack(linear(6, 3), linear(3, 3), linear(3, 3))
    return nn.Sequential(first, activation, second, activation, last)


def perceptron(num_outputs, activation=nn.ReLU):
    return stack(linear(6, 4), activation, linear(4, num_outputs))


NUMBERS = torch.stack([INPUTS[:, 0], CLASSES.float()], dim=1)
KNOWN = {
    "convolutions": (convolutional(), CROSS_ENTROPY, IMAGES, CLASSES),
    "activation used twice": (shared_activation(), CROSS_ENTROPY, INPUTS, CLASSES),
    "nested": (nested(), CROSS_ENTROPY, INPUTS, CLASSES),
    "sum": (perceptron(3), nn.CrossEntropyLoss(reduction="sum"), INPUTS, CLASSES),
    "mean squares": (perceptron(2, nn.ELU), nn.MSELoss(), INPUTS, NUMBERS),
    "squares": (perceptron(2, nn.Sigmoid), nn.MSELoss(reduction="sum"), INPUTS, NUMBERS),
    "binary": (
        perceptron(1, nn.LeakyReLU),
        nn.BCEWithLogitsLoss(),
        INPUTS,
        (CLASSES[:, None] > 0).float(),
    ),
}


@pytest.mark.parametrize("kind", KNOWN)
def test_both_engines_agree(kind):
    model, loss, inputs, targets = KNOWN[kind]
    ours, given = (
        frameworks.from_torch(model, loss, (inputs, targets), dtype="float64", engine=engine)
        for engine in ("auto", "torch")
    )
    assert (ours.engine, ours.engine_reason, given.engine) == ("aniso", "", "torch")
    assert ours.blocks == given.blocks
    theta = 1.1 * given.initial_theta
    np.testing.assert_array_equal(ours.initial_theta, given.initial_theta)
    for name in ("losses", "gradient", "per_example_gradients", "hessian", "outputs", "jacobians"):
        expected = getattr(given, name)(theta)
        atol = 1e-12 * max(1, np.abs(expected).max())
        np.testing.assert_allclose(getattr(ours, name)(theta), expected, atol=atol, err_msg=name)
    own, other = ours.at(theta), given.at(theta)
    for name in ("noise", "gauss_newton", "fisher"):
        expected = getattr(other, name).to_dense()
        atol = 1e-12 * max(1, np.abs(expected).max())
        np.testing.assert_allclose(getattr(own, name).to_dense(), expected, atol=atol, err_msg=name)
    alignment = matrices.alignment(other.hessian, other.noise)
    found = own.by_block()
    assert found.names == other.by_block().names
    assert found.alignment == pytest.approx(alignment, rel=1e-10)
    np.testing.assert_allclose(found.alignments, other.by_block().alignments, rtol=1e-9)
    part = ours.subset([3, 1])
    np.testing.assert_allclose(part.losses(theta), given.losses(theta)[[3, 1]], rtol=1e-12)
    np.testing.assert_array_equal(part.initial_theta, ours.initial_theta)


def test_theta_of_a_trained_model():
    model = perceptron(3)
    problem = frameworks.from_torch(model, CROSS_ENTROPY, (INPUTS, CLASSES))
    trained = copy.deepcopy(model)
    with torch.no_grad():
        trained[0].weight[1, 2] += 1
    moved = problem.theta_of(trained) - problem.initial_theta
    assert np.flatnonzero(moved).tolist() == [8]
    assert problem.dtype == np.float32


def frozen():
    model = perceptron(3)
    model[0].bias.requires_grad_(requires_grad=False)
    return model


def hooked():
    model = perceptron(3)
    model[1].register_forward_hook(lambda module, inputs, outputs: 2 * outputs)  # noqa: ARG005
    return model


def at_a_kink():
    model = perceptron(3)
    with torch.no_grad():
        model[0].weight[0], model[0].bias[0] = 0, 0
    return model


def used_twice():
    layer = nn.Linear(6, 6)
    return nn.Sequential(layer, nn.Tanh(), layer)


UNKNOWN = {
    "no sequence": (torch_cases.made("layer normalisation"), {}, "Normalised"),
    "no bias": (stack(linear(6, 3, bias=False)), {}, "0 has no bias"),
    "frozen": (frozen(), {}, "not every parameter"),
    "hook": (hooked(), {}, "1 has a hook"),
    "used twice": (used_twice(), {}, "used twice"),
    "layer": (stack(linear(6, 3), lambda: nn.Softmax(dim=1)), {}, "1 is a Softmax"),
    "setting": (stack(linear(6, 3), lambda: nn.GELU("tanh")), {}, "approximate='tanh'"),
    "softplus": (stack(linear(6, 3), nn.Softplus), {}, "linear above 20"),
    "kink": (at_a_kink(), {}, "gradients of the engine differ"),
    "chunks": (perceptron(3), {"chunk_size": 2}, "chunk_size"),
    "forward": (perceptron(3), {"forward": lambda model, x: model(x)}, "forward is given"),
    "smoothing": (perceptron(3), {"loss": nn.CrossEntropyLoss(label_smoothing=0.1)}, "smooth"),
    "weights": (perceptron(3), {"loss": nn.CrossEntropyLoss(torch.ones(3))}, "weights classes"),
    "other loss": (perceptron(3), {"loss": nn.NLLLoss()}, "NLLLoss is none"),
    "own loss": (perceptron(3), {"loss": lambda o, t: (o**2).sum(1)}, "<lambda>"),  # noqa: ARG005
}


@pytest.mark.parametrize("kind", UNKNOWN)
def test_what_the_engine_does_not_know_stays_with_torch(kind):
    model, settings, words = UNKNOWN[kind]
    settings = {"loss": CROSS_ENTROPY, **settings}
    loss = settings.pop("loss")
    problem = frameworks.from_torch(model, loss, (INPUTS, CLASSES), dtype="float64", **settings)
    assert problem.engine == "torch"
    assert words in problem.engine_reason
    assert problem.subset([0, 1]).engine_reason == problem.engine_reason


def test_a_demanded_engine_is_refused_with_the_reason():
    with pytest.raises(checks.InputError, match="0 has no bias; expected engine="):
        frameworks.from_torch(
            stack(linear(6, 3, bias=False)), CROSS_ENTROPY, (INPUTS, CLASSES), engine="aniso"
        )
    with pytest.raises(checks.InputError, match="engine="):
        frameworks.from_torch(perceptron(3), CROSS_ENTROPY, (INPUTS, CLASSES), engine="jax")


WORDS = {"none": "one for each example", "mean": "a mean", "sum": "a sum, divided by N"}


@pytest.mark.parametrize("reduction", WORDS)
def test_both_engines_say_what_the_loss_reduces(reduction):
    loss = nn.CrossEntropyLoss(reduction=reduction)
    for engine in ("aniso", "torch"):
        whole = frameworks.from_torch(perceptron(3), loss, (INPUTS, CLASSES), engine=engine)
        for problem in (whole, whole.subset([1, 2])):
            assert (problem.reduction, problem.mean_weight) == (reduction, 1.0)
            assert f"loss: {WORDS[reduction]}" in repr(problem).splitlines()[0]
