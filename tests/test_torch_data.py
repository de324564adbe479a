"""Data of PyTorch problems: pairs, dicts and loaders, and loaders that are refused."""

import itertools

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

import torch_cases  # noqa: E402

from aniso import checks, frameworks  # noqa: E402

INPUTS, TARGETS = torch_cases.data()
LOSS = torch.nn.CrossEntropyLoss()


def problem_of(data, loss=LOSS, **settings):
    return frameworks.from_torch(
        torch_cases.made("perceptron"), loss, data, engine="torch", **settings
    )


def loader(**settings):
    dataset = torch.utils.data.TensorDataset(INPUTS, TARGETS)
    return torch.utils.data.DataLoader(dataset, batch_size=2, **settings)


def as_dicts():
    return [
        {"input": INPUTS[:3], "label": TARGETS[:3]},
        {"input": INPUTS[3:], "label": TARGETS[3:]},
    ]


def dict_loss(outputs, batch):
    return LOSS(outputs, batch["label"])


@pytest.mark.parametrize(
    ("data", "loss"),
    [
        ((INPUTS.numpy(), TARGETS.numpy()), LOSS),
        ([INPUTS, TARGETS], LOSS),
        (loader(), LOSS),
        ([(INPUTS[:2], TARGETS[:2]), (INPUTS[2:], TARGETS[2:])], LOSS),
        (((INPUTS,), TARGETS), LOSS),
        (({"input": INPUTS}, TARGETS), LOSS),
        (as_dicts(), dict_loss),
    ],
)
def test_all_forms_of_the_same_data_agree(data, loss):
    whole = problem_of((INPUTS, TARGETS))
    theta = whole.initial_theta
    np.testing.assert_array_equal(problem_of(data, loss).losses(theta), whole.losses(theta))


def test_a_function_may_call_the_model():
    doubled = problem_of((INPUTS, TARGETS), forward=lambda model, inputs: model(2 * inputs))
    given = problem_of((2 * INPUTS, TARGETS))
    theta = given.initial_theta
    np.testing.assert_array_equal(doubled.losses(theta), given.losses(theta))


class Augmented(torch.utils.data.Dataset):
    def __len__(self):
        return len(INPUTS)

    def __getitem__(self, index):
        return INPUTS[index] + torch.randn(6), TARGETS[index]


class Endless(torch.utils.data.IterableDataset):
    def __iter__(self):
        yield from itertools.cycle([(INPUTS[0], TARGETS[0])])


class Once:
    """An iterable that gives nothing at its second reading."""

    def __init__(self):
        self.batches = [(INPUTS, TARGETS)]

    def __iter__(self):
        while self.batches:
            yield self.batches.pop()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (loader(shuffle=True), "shuffle=False"),
        (torch.utils.data.DataLoader(Augmented()), "augments"),
        (iter([(INPUTS, TARGETS)]), "read only once"),
        (Once(), "second reading"),
        ([], "no batch"),
        ((INPUTS, TARGETS[:3]), "same number of examples"),
        ((INPUTS * torch.nan, TARGETS), "not finite"),
        (INPUTS, "data is a Tensor"),
        (Augmented(), "a dataset; expected a loader"),
        ([(INPUTS, TARGETS, TARGETS)], "3 parts"),
        ((INPUTS, np.array(["a"] * 5)), "ndarray of type <U1"),
        ((INPUTS, torch.full_like(TARGETS, 3)), "class 3"),
        (tuple(as_dicts()), r"keys, input, label; expected a list \[first, second\]"),
    ],
)
def test_data_that_do_not_stand_still_are_refused(data, words):
    generator = torch.get_rng_state()
    with pytest.raises(checks.InputError, match=words):
        problem_of(data)
    assert torch.equal(generator, torch.get_rng_state())


def test_a_loader_without_end_is_refused(monkeypatch):
    monkeypatch.setattr("aniso.memory.available_bytes", lambda: 10_000)
    with pytest.raises(checks.InputError, match="a loader that ends"):
        problem_of(torch.utils.data.DataLoader(Endless()))


def test_a_pair_of_dicts_with_the_same_keys_is_a_batch_in_a_list():
    pair = {"input": INPUTS}, {"input": TARGETS}
    problem = problem_of([pair], lambda outputs, targets: LOSS(outputs, targets["input"]))
    whole = problem_of((INPUTS, TARGETS))
    theta = whole.initial_theta
    np.testing.assert_array_equal(problem.losses(theta), whole.losses(theta))


def clamping(outputs, targets):
    return (outputs - targets.clamp_(0, 1)).pow(2).mean()


def relabelling(outputs, targets):
    targets[targets == -1] = 0
    return LOSS(outputs, targets)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("loss", "targets"), [(clamping, 2 * INPUTS[:, :3]), (relabelling, TARGETS - 1)]
)
def test_a_loss_that_writes_into_its_targets_is_refused(loss, targets, dtype):
    precision = getattr(torch, dtype) if targets.is_floating_point() else targets.dtype
    given = targets.to(precision, copy=True)
    with pytest.raises(checks.InputError, match="writes into its targets"):
        problem_of((INPUTS, given), loss, dtype=dtype)
    assert torch.equal(given, targets.to(precision))


def test_a_loss_of_tokens_that_writes_into_its_targets_is_refused():
    with pytest.raises(checks.InputError, match="writes into its targets"):
        problem_of(
            (INPUTS, INPUTS.reshape(5, 3, 2)),
            lambda outputs, targets: (outputs - targets.clamp_(0, 1)).pow(2).mean(dim=-1),
            example="token",
            forward=lambda model, x: model(x)[..., None].expand(-1, -1, 2),
        )
