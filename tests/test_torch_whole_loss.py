"""What a PyTorch loss reduces is that of all data, in any order, not of a few examples alone."""

import copy
import functools

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from aniso import checks, frameworks  # noqa: E402
from aniso.frameworks import _torch_whole_loss  # noqa: E402

functional, nn = torch.nn.functional, torch.nn
NUM_EXAMPLES = 60
GENERATOR = torch.Generator().manual_seed(5)
INPUTS = torch.randn(NUM_EXAMPLES, 6, generator=GENERATOR, dtype=torch.float64)
CLASSES = torch.arange(3).repeat_interleave(20)


def linear(num_outputs=3):
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return nn.Linear(6, num_outputs).double()


def problem_of(model, loss, targets=CLASSES, **settings):
    return frameworks.from_torch(model, loss, (INPUTS, targets), **settings)


WEIGHTS = {
    "last class": (1.0, 1.0, 10.0),
    "first class": (3.0, 0.5, 1.0),
    "without a class": (0.0, 1.0, 2.0),
    "two classes": (2.0, 2.0, 1.0),
}


@pytest.mark.parametrize("kind", WEIGHTS)
@pytest.mark.parametrize("make", [nn.CrossEntropyLoss, nn.NLLLoss])
def test_class_weights_do_not_depend_on_the_order_of_the_data(kind, make):
    model, loss = linear(), make(weight=torch.tensor(WEIGHTS[kind]).double())
    if make is nn.NLLLoss:
        model = nn.Sequential(model, nn.LogSoftmax(1))
    problem = problem_of(model, loss)
    theta = problem.initial_theta
    copied = copy.deepcopy(model)
    value = loss(copied(INPUTS), CLASSES)
    slope = torch.cat([g.flatten() for g in torch.autograd.grad(value, copied.parameters())])
    assert problem.reduction == "weighted mean"
    assert problem.loss(theta) == pytest.approx(float(value.detach()), rel=1e-12)
    np.testing.assert_allclose(problem.gradient(theta), slope, atol=1e-12)
    # the noise: rows w_i grad l_i, over the mean weight
    each = copy.deepcopy(loss)
    each.reduction = "none"
    made = each(copied(INPUTS), CLASSES) / loss.weight[CLASSES].mean()
    rows = torch.stack(
        [
            torch.cat(
                [
                    g.flatten()
                    for g in torch.autograd.grad(one, copied.parameters(), retain_graph=True)
                ]
            )
            for one in made
        ]
    )
    trace = np.cov(rows.numpy().T, bias=True).trace()
    assert problem.at(theta).noise.trace() == pytest.approx(trace, rel=1e-10)


def test_equal_weights_are_a_plain_mean():
    problem = problem_of(linear(), nn.CrossEntropyLoss(weight=torch.full((3,), 2.0).double()))
    plain = problem_of(linear(), nn.CrossEntropyLoss(), engine="torch")
    theta = plain.initial_theta
    assert problem.reduction == "mean"
    np.testing.assert_allclose(problem.losses(theta), plain.losses(theta), rtol=1e-13)


def test_a_share_of_one_class_keeps_its_weight():
    loss = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 1.0, 10.0]).double())
    share = problem_of(linear(), loss, torch.full((NUM_EXAMPLES,), 2))
    plain = problem_of(linear(), nn.CrossEntropyLoss(), torch.full((NUM_EXAMPLES,), 2))
    theta = share.initial_theta
    assert (share.reduction, share.mean_weight) == ("weighted mean", 10.0)
    assert share.loss(theta) == pytest.approx(plain.loss(theta), rel=1e-12)


def test_class_weights_of_tokens_do_not_depend_on_the_order_of_the_sequences():
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 3)).double()
    tokens = torch.randint(0, 5, (30, 4), generator=torch.Generator().manual_seed(1))
    labels = (torch.arange(30)[:, None] // 10).expand(30, 4)
    loss = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 1.0, 10.0]).double())
    problem = frameworks.from_torch(
        model, loss, (tokens, labels), example="token", forward=lambda m, x: m(x).mT
    )
    expected = loss(copy.deepcopy(model)(tokens).mT, labels)
    assert problem.loss(problem.initial_theta) == pytest.approx(float(expected.detach()), rel=1e-12)


def marked(*rows):
    """Weights that are 1 but for some rows."""
    made = torch.ones(NUM_EXAMPLES, 1, dtype=torch.float64)
    made[list(rows)] = 0.2
    return made


def own_class_weights(outputs, targets):
    return functional.cross_entropy(
        outputs, targets, weight=torch.tensor([1.0, 1.0, 10.0]).to(outputs)
    )


def masked(outputs, targets):
    return ((outputs - 1) ** 2 * targets).sum() / targets.sum()


def masked_each(outputs, targets):
    return ((outputs - 1) ** 2 * targets / targets.mean())[:, 0]


def per_positive(outputs, targets):
    total = functional.binary_cross_entropy_with_logits(outputs, targets.round(), reduction="sum")
    return total / targets.sum()


BINARY = (torch.arange(NUM_EXAMPLES) < 40).double()[:, None]
REFUSED = {
    "class weights": (3, own_class_weights, CLASSES),
    "mask": (1, masked, marked(*range(20, NUM_EXAMPLES))),
    "one row": (1, masked, marked(5)),  # none of the few that are looked at
    "one row, each": (1, masked_each, marked(5)),
    "positives": (1, per_positive, BINARY * 0.5 + 0.5),
    "ignored class": (
        3,
        functools.partial(functional.cross_entropy, ignore_index=1),
        torch.where(torch.arange(NUM_EXAMPLES) == 5, 1, 2 * CLASSES.clamp(max=1)),
    ),
}


REFUSAL = "weights them, or couples|changes with|not finite|is nan"


@pytest.mark.parametrize("parts", [1, 7])
@pytest.mark.parametrize("kind", REFUSED)
def test_a_loss_that_weights_some_of_all_examples_is_refused(kind, parts, monkeypatch):
    num_outputs, loss, targets = REFUSED[kind]
    size = 8 * num_outputs * NUM_EXAMPLES
    monkeypatch.setattr(_torch_whole_loss, "_BYTES", -(-size // parts))
    monkeypatch.setattr(_torch_whole_loss, "_PASS_EXAMPLES", 4)
    with pytest.raises(checks.InputError, match=REFUSAL):
        problem_of(linear(num_outputs), loss, targets)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_right_losses_of_many_examples_are_taken_in_parts(reduction, dtype, monkeypatch):
    monkeypatch.setattr(_torch_whole_loss, "_BYTES", 8 * 3 * 9)
    loss = functools.partial(functional.cross_entropy, reduction=reduction)
    problem = problem_of(linear(), lambda o, t: loss(o, t), dtype=dtype, engine="torch")
    assert problem.reduction == reduction


def padded():
    """Sequences that are longer at the start of the data, and their targets."""
    tokens = torch.randint(0, 5, (30, 4), generator=torch.Generator().manual_seed(1))
    targets = tokens.roll(1, dims=1).clone()
    targets[20:, 2:] = -100
    return tokens, targets


def flat(outputs, targets, **settings):
    return functional.cross_entropy(outputs.flatten(0, 1), targets.flatten(), **settings)


def language():
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 5)).double()


def test_padding_of_later_sequences_makes_no_mean_of_sequences():
    with pytest.raises(checks.InteractingExamples, match="weights them"):
        frameworks.from_torch(language(), flat, padded())
    problem = frameworks.from_torch(language(), flat, padded(), example="token")
    assert problem.num_examples == 20 * 4 + 10 * 2


def test_a_token_number_beyond_the_model_is_refused():
    tokens, targets = padded()
    tokens[21, 0] = 7
    with pytest.raises(checks.InputError, match="token numbers below num_embeddings"):
        frameworks.from_torch(language(), flat, (tokens, targets), example="token")
