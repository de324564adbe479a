"""Tokens as examples of JAX losses: held against an enumeration of all tokens by autodiff."""

import functools

import numpy as np
import pytest
from problem_contract import check_problem

jax = pytest.importorskip("jax", reason="JAX is not installed")

import jax_cases  # noqa: E402
from jax import numpy as jnp  # noqa: E402
from jax.flatten_util import ravel_pytree  # noqa: E402

from aniso import checks, frameworks  # noqa: E402

VOCABULARY, LENGTH, IGNORED = 3, 4, -100


def params():
    rng = np.random.default_rng(3)
    return {"embed": rng.standard_normal((3, 2)), "mix": rng.standard_normal((2, 2))}


def outputs(params, tokens):
    """Logits (n, T, C) of the mean over a token and those before it."""
    before = jnp.tril(jnp.ones((LENGTH, LENGTH))) / jnp.arange(1.0, LENGTH + 1)[:, None]
    hidden = jnp.tanh(before @ params["embed"][tokens] @ params["mix"])
    return hidden @ params["embed"].T


def each(params, tokens, targets):
    """Cross-entropy of each token, (n, T)."""
    chances = jax.nn.log_softmax(outputs(params, tokens))
    labels = jnp.where(targets < 0, 0, targets)
    return -jnp.take_along_axis(chances, labels[..., None], axis=-1)[..., 0]


def each_of_dict(params, tokens, batch):
    return each(params, tokens, batch["labels"])


def data():
    rng = np.random.default_rng(1)
    tokens, targets = rng.integers(0, VOCABULARY, (2, 4, LENGTH))
    targets[1, 2:], targets[2, 3:], targets[3, 0] = IGNORED, IGNORED, IGNORED
    return tokens, targets


def made(loss=each, batch=None, **options):
    with jax_cases.double():
        return frameworks.from_jax(loss, params(), batch or data(), example="token", **options)


@functools.cache
def problem_of_dicts():
    tokens, targets = data()
    return made(each_of_dict, (tokens, {"labels": targets}), chunk_size=4)


@pytest.fixture(scope="module")
def enumeration():
    """Losses and gradients of the tokens, one after the other, and the Hessian of their mean."""
    with jax_cases.double():
        tokens, targets = map(jnp.asarray, data())
        start, tree = ravel_pytree(jax.tree_util.tree_map(jnp.asarray, params()))

        def of_token(theta, i, t):
            logits = outputs(tree(theta), tokens[i][None])[0, t]
            return jax.scipy.special.logsumexp(logits) - logits[targets[i, t]]

        one, curved = jax.jit(jax.value_and_grad(of_token)), jax.jit(jax.hessian(of_token))
        counted = np.argwhere(np.asarray(targets) != IGNORED)
        found = [one(start, i, t) for i, t in counted]
        hessian = np.mean([curved(start, i, t) for i, t in counted], axis=0)
    return np.array([value for value, _ in found]), np.array([row for _, row in found]), hessian


def test_every_number_is_that_of_the_enumerated_tokens(enumeration, rng):
    losses, rows, hessian = enumeration
    problem = problem_of_dicts()
    theta = problem.initial_theta
    assert "N = 12 tokens of 4 sequences" in repr(problem)
    np.testing.assert_allclose(problem.losses(theta), losses, atol=1e-13)
    np.testing.assert_allclose(problem.gradient(theta), rows.mean(axis=0), atol=1e-13)
    np.testing.assert_allclose(problem.per_example_gradients(theta), rows, atol=1e-13)
    np.testing.assert_allclose(problem.hessian(theta), hessian, atol=1e-12)
    noise = problem.at(theta).noise
    np.testing.assert_allclose(noise.to_dense(), np.cov(rows.T, bias=True), atol=1e-13)
    # ignored tokens are no examples: with them the numbers would be others
    assert abs(losses.sum() / 16 / problem.loss(theta) - 1) > 0.2
    gradients = problem.example_gradients(theta)
    vectors, weights = rng.standard_normal((len(theta), 3)), rng.standard_normal((2, 12))
    np.testing.assert_allclose(gradients.project(vectors), rows @ vectors, atol=1e-12)
    np.testing.assert_allclose(gradients.combine(weights), weights @ rows, atol=1e-12)
    part = problem.subset([11, 0, 4, 0])
    assert part.num_sequences == 3
    np.testing.assert_allclose(part.losses(theta), losses[[11, 0, 4, 0]], atol=1e-13)
    expected = rows[[11, 0, 4, 0]].mean(axis=0)
    np.testing.assert_allclose(part.gradient(theta), expected, atol=1e-13)


def test_a_problem_of_tokens_passes_the_contract(rng):
    problem = problem_of_dicts().subset([0, 3, 2])
    check_problem(problem, problem.initial_theta, rng)


def mean(params, tokens, targets):
    return each(params, tokens, targets).mean()


def coupled(params, tokens, targets):
    found = each(params, tokens, targets)
    return found - found.mean()


REFUSED = {
    "mean": ({"loss": mean}, r"loss returned shape \(\) for 4 sequences"),
    "couples": ({"loss": coupled}, "change with the other sequences"),
    "classes": ({"batch": (data()[0], data()[1][:, 0])}, r"targets are of shape \(4,\)"),
    "nested": ({"batch": (data()[0], {"next": data()[1]})}, "targets are nested"),
    "ignored": ({"batch": (data()[0], np.full((4, 4), IGNORED))}, "every target is ignored"),
    "nothing": ({"loss": 3}, "loss is a int"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_has_no_tokens_is_refused(kind):
    options, words = REFUSED[kind]
    with pytest.raises(checks.InputError, match=words):
        made(**options)


def test_an_unknown_unit_is_refused():
    with pytest.raises(checks.InputError, match="example='word'"):
        frameworks.from_jax(each, params(), data(), example="word")
