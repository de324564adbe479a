"""Tokens as examples of PyTorch models: held against an enumeration of all tokens by autograd."""

import copy
import functools

import numpy as np
import pytest
from problem_contract import check_problem

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from aniso import checks, diagnostics, frameworks  # noqa: E402

nn, functional = torch.nn, torch.nn.functional
VOCABULARY, LENGTH, IGNORED = 3, 4, -100
ENTROPY = nn.CrossEntropyLoss()


class Transformer(nn.Module):
    """One causal block: attention and layer normalisation, each in a residual branch."""

    def __init__(self, width=3):
        super().__init__()
        self.embed, self.places = nn.Embedding(VOCABULARY, width), nn.Embedding(LENGTH, width)
        self.norm, self.last = nn.LayerNorm(width), nn.Linear(width, VOCABULARY)
        self.attention = nn.MultiheadAttention(width, 1, batch_first=True)

    def forward(self, tokens):
        hidden = self.embed(tokens) + self.places.weight
        normed = self.norm(hidden)
        mask = nn.Transformer.generate_square_subsequent_mask(LENGTH, dtype=hidden.dtype)
        mixed, _ = self.attention(normed, normed, normed, attn_mask=mask, need_weights=False)
        return self.last(hidden + mixed)  # (n, T, C)


def transposed(model, tokens):
    return model(tokens).mT  # (n, C, T), as the cross-entropy of PyTorch takes it


def mean_of_flat(outputs, targets):
    return functional.cross_entropy(outputs.flatten(0, 1), targets.flatten())


def each_of_dict(outputs, batch):
    flat = functional.cross_entropy(
        outputs.flatten(0, 1), batch["labels"].flatten(), reduction="none"
    )
    return flat.reshape(batch["labels"].shape)


@pytest.fixture(scope="module")
def model():
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return Transformer()


def data():
    """Four sequences of 4, 2, 3 and 4 tokens, and their successors."""
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randint(0, VOCABULARY, (4, LENGTH), generator=generator)
    targets = torch.randint(0, VOCABULARY, (4, LENGTH), generator=generator)
    targets[1, 2:], targets[2, 3:], targets[3, 0] = IGNORED, IGNORED, IGNORED
    return tokens, targets


def made(model, loss=ENTROPY, batch=None, forward=transposed, **options):
    return frameworks.from_torch(
        model, loss, batch or data(), example="token", forward=forward, dtype="float64", **options
    )


def flat(parts):
    return torch.cat([part.reshape(-1) for part in parts])


@pytest.fixture(scope="module")
def enumeration(model):
    """Losses, gradients, Jacobians and probabilities of each token, and the mean's Hessian."""
    double, (tokens, targets) = copy.deepcopy(model).double(), data()
    parameters = list(double.parameters())
    losses, rows, jacobians, chances, mean = [], [], [], [], 0.0
    count = int((targets != IGNORED).sum())
    with nn.attention.sdpa_kernel(nn.attention.SDPBackend.MATH):
        for i in range(len(tokens)):
            for t in range(LENGTH):
                if targets[i, t] == IGNORED:
                    continue
                outputs = double(tokens[i : i + 1])[0, t]
                value = outputs.logsumexp(0) - outputs[targets[i, t]]
                losses.append(float(value.detach()))
                chances.append(outputs.detach().softmax(0).numpy())
                keep = {"retain_graph": True, "materialize_grads": True}
                jacobians.append(
                    torch.stack([flat(torch.autograd.grad(o, parameters, **keep)) for o in outputs])
                )
                rows.append(flat(torch.autograd.grad(value, parameters, create_graph=True)))
                mean = mean + rows[-1] / count
        hessian = torch.stack([flat(torch.autograd.grad(g, parameters, **keep)) for g in mean])
    return {
        "losses": np.array(losses),
        "rows": torch.stack(rows).detach().numpy(),
        "jacobians": torch.stack(jacobians).numpy(),
        "chances": np.array(chances),
        "hessian": hessian.numpy(),
    }


LOSSES = {
    "mean": (ENTROPY, {}),
    "sum, small passes": (nn.CrossEntropyLoss(reduction="sum"), {"chunk_size": 3}),
    "each": (nn.CrossEntropyLoss(reduction="none"), {"chunk_size": 1}),
    "own mean": (mean_of_flat, {"forward": None, "chunk_size": 7}),
    "own, of a dict": (each_of_dict, {"forward": lambda model, batch: model(batch["tokens"])}),
}


@pytest.mark.parametrize("kind", LOSSES)
def test_every_number_is_that_of_the_enumerated_tokens(kind, model, enumeration):
    (loss, options), (tokens, targets) = LOSSES[kind], data()
    batch = {"tokens": tokens, "labels": targets} if kind.endswith("dict") else None
    problem = made(model, loss, batch, **options)
    theta, rows = problem.initial_theta, enumeration["rows"]
    assert f"N = {len(rows)} tokens of 4 sequences" in repr(problem)
    assert len(rows) == 12
    size = np.abs(rows).max()
    np.testing.assert_allclose(problem.losses(theta), enumeration["losses"], rtol=1e-12)
    np.testing.assert_allclose(problem.gradient(theta), rows.mean(axis=0), atol=1e-13 * size)
    np.testing.assert_allclose(problem.per_example_gradients(theta), rows, atol=1e-12 * size)
    np.testing.assert_allclose(
        problem.hessian(theta), enumeration["hessian"], atol=1e-11 * np.abs(rows).max()
    )
    noise = problem.at(theta).noise
    covariance = np.cov(rows.T, bias=True)
    np.testing.assert_allclose(noise.to_dense(), covariance, atol=1e-12 * size**2)
    # ignored tokens are no examples: with them the numbers would be others
    assert abs(covariance.trace() * 12 / 16 / noise.trace() - 1) > 0.2


def test_curvature_of_the_outputs_is_that_of_the_enumerated_tokens(model, enumeration):
    jacobians, chances = enumeration["jacobians"], enumeration["chances"]
    weights = np.einsum("nc,cd->ncd", chances, np.eye(VOCABULARY))
    weights = weights - chances[:, :, None] * chances[:, None, :]
    expected = np.einsum("nci,ncd,ndj->ij", jacobians, weights, jacobians) / 12
    for loss, forward in ((ENTROPY, transposed), (mean_of_flat, None)):
        problem = made(model, loss, forward=forward, chunk_size=5)
        theta = problem.initial_theta
        np.testing.assert_allclose(problem.jacobians(theta), jacobians, atol=1e-12)
        found = problem.generalized_gauss_newton_product(theta, np.eye(theta.size))
        np.testing.assert_allclose(found, expected, atol=1e-12)
    problem = made(model)
    found = problem.fisher_product(problem.initial_theta, np.eye(theta.size))
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_a_problem_of_tokens_passes_the_contract(model, rng):
    problem = made(model).subset([0, 3, 5, 4])
    check_problem(problem, problem.initial_theta, rng)


def test_a_weighted_mean_is_that_of_the_weights_of_the_tokens(model):
    tokens, targets = data()
    loss = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 0.5]), ignore_index=0)
    problem = made(model, loss, (tokens, targets.clamp(min=0)))
    assert problem.num_examples == int((targets > 0).sum())
    outputs = transposed(copy.deepcopy(model).double(), tokens).detach()
    expected = copy.deepcopy(loss).double()(outputs, targets.clamp(min=0))
    assert problem.reduction == "weighted mean"
    assert problem.loss(problem.initial_theta) == pytest.approx(float(expected), rel=1e-12)


def test_tokens_of_numbers_all_count(model):
    tokens, _ = data()
    targets = torch.randn(4, LENGTH, VOCABULARY, generator=torch.Generator().manual_seed(2))
    problem = made(model, nn.MSELoss(), (tokens, targets), forward=None)
    theta = problem.initial_theta
    outputs = copy.deepcopy(model).double()(tokens).detach()
    expected = (outputs - targets.double()).square().mean(dim=2).flatten()
    np.testing.assert_allclose(problem.losses(theta), expected, rtol=1e-12)
    assert "MeanSquaredLoss" in repr(problem.output_loss)


def test_a_subset_needs_its_sequences_alone(model):
    problem = made(model)
    theta, chosen = problem.initial_theta, [11, 0, 4, 0]
    part = problem.subset(chosen)
    assert part.num_sequences == 3
    np.testing.assert_allclose(part.losses(theta), problem.losses(theta)[chosen], rtol=1e-13)
    np.testing.assert_allclose(
        part.per_example_gradients(theta), problem.per_example_gradients(theta)[chosen], atol=1e-13
    )


def test_a_sequence_is_one_example_by_default(model):
    tokens, targets = data()
    problem = frameworks.from_torch(
        model, ENTROPY, (tokens, targets), forward=transposed, dtype="float64"
    )
    one = made(model)
    theta, each = one.initial_theta, one.losses(one.initial_theta)
    assert (problem.num_examples, one.num_examples) == (4, 12)
    # the mean over all tokens is the mean over sequences of sums, over their mean length
    sums = [each[:4].sum(), each[4:6].sum(), each[6:9].sum(), each[9:].sum()]
    np.testing.assert_allclose(problem.losses(theta), np.array(sums) / 3, rtol=1e-12)
    assert problem.loss(theta) == pytest.approx(one.loss(theta), rel=1e-12)


def test_a_diagnosis_says_what_it_counts(model, rng):
    problem = made(model)
    settings = {"batch_size": 3, "replacement": False, "quantities": ["loss"], "rng": rng}
    found = diagnostics.measure(problem, problem.initial_theta, **settings)
    assert found.problem["unit"] == "token"
    assert "N = 12 tokens, D" in repr(found)


def shifting(outputs, targets):
    return functional.cross_entropy(outputs[:, :-1].flatten(0, 1), targets[:, 1:].flatten())


def of_sequences(outputs, targets):
    each = functional.cross_entropy(outputs.mT, targets, reduction="none")
    return each.mean(dim=1)


def coupled(outputs, targets):
    return mean_of_flat(outputs - outputs.mean(dim=1, keepdim=True), targets)


REFUSED = {
    "shifts": ({"loss": shifting, "forward": None}, "shifted already"),
    "sequences": ({"loss": of_sequences, "forward": None}, "one number for each token"),
    "couples": ({"loss": coupled, "forward": None}, "not made of the losses of its tokens"),
    "classes": ({"batch": (data()[0], data()[1][:, 0])}, r"targets are of shape \(4,\)"),
    "nested": ({"batch": (data()[0], {"next": data()[1]})}, "a dict with 'next'"),
    "ignored": ({"batch": (data()[0], torch.full((4, 4), IGNORED))}, "every target is ignored"),
    "pooled": (
        {"forward": lambda model, tokens: model(tokens).mean(dim=1)},
        "no axis of the outputs has 4 entries",
    ),
    "tuple": ({"forward": lambda model, tokens: (model(tokens),)}, "outputs are a tuple"),
    "engine": ({"engine": "aniso"}, "the examples are tokens"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_has_no_tokens_is_refused(kind, model):
    options, words = REFUSED[kind]
    with pytest.raises(checks.InputError, match=words):
        made(model, **options)


def test_an_unknown_unit_is_refused(model):
    with pytest.raises(checks.InputError, match="example='word'"):
        frameworks.from_torch(model, ENTROPY, data(), example="word")


def own_ignoring(outputs, targets, ignore_index=0, reduction="sum"):
    return functional.cross_entropy(
        outputs.flatten(0, 1), targets.flatten(), ignore_index=ignore_index, reduction=reduction
    )


def own_mask(outputs, targets):
    each = functional.cross_entropy(outputs.mT, targets, reduction="none")
    return torch.where(targets == 0, 0.0, each)


@pytest.mark.parametrize("loss", [lambda o, t: own_ignoring(o, t), own_mask])
def test_tokens_that_a_function_ignores_itself_are_no_examples(model, loss):
    tokens, targets = data()
    targets = targets.clamp(min=0)
    with pytest.raises(checks.InputError, match=r"loss 0 whatever .* target 0 .*ignore_index=0"):
        made(model, loss, (tokens, targets), forward=None)
    # the remedies count the same tokens
    told = made(
        model, functools.partial(own_ignoring, ignore_index=0), (tokens, targets), forward=None
    )
    known = made(model, nn.CrossEntropyLoss(ignore_index=0), (tokens, targets))
    theta = known.initial_theta
    assert told.num_examples == known.num_examples == int((targets > 0).sum())
    np.testing.assert_allclose(told.losses(theta), known.losses(theta), rtol=1e-12)


def margins(outputs, targets):
    return functional.multi_margin_loss(
        1e4 * outputs.flatten(0, 1), targets.flatten(), reduction="sum"
    )


@pytest.mark.filterwarnings("ignore:.*batching rule:UserWarning")
def test_tokens_that_are_fitted_without_loss_are_examples(model):
    tokens, _ = data()
    with torch.no_grad():
        best = copy.deepcopy(model).double()(tokens).argmax(dim=2)
    best[0] = (best[0] + 1) % VOCABULARY
    problem = made(model, margins, (tokens, best), forward=None)
    losses = problem.losses(problem.initial_theta)
    assert problem.num_examples == 16
    assert (losses == 0).any()
    assert (losses > 0).any()
