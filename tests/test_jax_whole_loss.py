"""What a JAX loss reduces is that of all data, in any order, not of a few examples alone."""

import numpy as np
import pytest
import seeds

jax = pytest.importorskip("jax", reason="JAX is not installed")

import jax_cases  # noqa: E402

from aniso import checks, frameworks  # noqa: E402
from aniso.frameworks import _jax_whole_loss  # noqa: E402

NUM_EXAMPLES = 40
RNG = seeds.generator(4)
INPUTS, TARGETS = RNG.standard_normal((2, NUM_EXAMPLES))


def made(loss, *weights, **options):
    with jax_cases.double():
        return frameworks.from_jax(loss, jax_cases.LINE, ((INPUTS, *weights), TARGETS), **options)


def each(params, inputs, targets):
    return (params["w"] * inputs[0] + params["b"] - targets) ** 2


def masked(params, inputs, targets):
    return (inputs[1] * each(params, inputs, targets)).sum() / inputs[1].sum()


def masked_each(params, inputs, targets):
    return inputs[1] * each(params, inputs, targets) / inputs[1].mean()


def per_positive(params, inputs, targets):
    return each(params, inputs, targets).sum() / (inputs[1] > 0.5).sum()


HALF = np.repeat([1.0, 0.2], 20)
ONE = np.where(np.arange(NUM_EXAMPLES) == 3, 0.2, 1.0)  # none of the few that are looked at


@pytest.mark.parametrize("part", [2048, 20])
@pytest.mark.parametrize("weights", [HALF, ONE])
@pytest.mark.parametrize("loss", [masked, masked_each, per_positive])
def test_a_loss_that_weights_some_of_all_examples_is_refused(loss, weights, part, monkeypatch):
    monkeypatch.setattr(_jax_whole_loss, "_PART", part)
    with pytest.raises(checks.InputError, match=r"weights them|changes with|not finite|is inf"):
        made(loss, weights)


REDUCTIONS = {
    "mean": lambda *batch: each(*batch).mean(),
    "sum": lambda *batch: each(*batch).sum(),
    "none": each,
}


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_right_losses_of_many_examples_are_taken_in_parts(reduction, monkeypatch):
    monkeypatch.setattr(_jax_whole_loss, "_PART", 7)
    problem = made(REDUCTIONS[reduction], chunk_size=9)
    losses = each(jax_cases.LINE, (INPUTS,), TARGETS)
    np.testing.assert_allclose(problem.losses(problem.initial_theta), losses, rtol=1e-12)
    assert problem.loss(problem.initial_theta) == pytest.approx(losses.mean(), rel=1e-12)


def test_coupled_tokens_of_later_sequences_are_refused(monkeypatch):
    monkeypatch.setattr(_jax_whole_loss, "_PART", 60)
    inputs, targets = RNG.standard_normal((2, 30, 4))
    labels = np.zeros((30, 4), dtype=int)
    labels[25, 2:] = -100

    def of_tokens(params, inputs, targets):
        return (params["w"] * inputs[0] + params["b"] - inputs[1]) ** 2 + 0 * targets

    def coupled(params, inputs, targets):
        return of_tokens(params, inputs, targets) * (1 + (targets < 0).sum())

    def made_of(loss):
        data = (inputs, targets), labels
        with jax_cases.double():
            return frameworks.from_jax(loss, jax_cases.LINE, data, example="token")

    assert made_of(of_tokens).num_examples == 118
    with pytest.raises(checks.InteractingExamples, match="couples them"):
        made_of(coupled)
