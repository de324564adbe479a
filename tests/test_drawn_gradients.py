"""Geometries of drawn gradients: exact answers by enumeration, errors that cover, refusals."""

import itertools

import numpy as np
import pytest
import seeds

from aniso import checks, frameworks, matrices
from aniso.problems import MissingFaculty

HESSIAN = np.array([[4.0, 1.0, 0.0], [1.0, 2.0, 0.5], [0.0, 0.5, 1.0]])
BLOCKS = {"first": slice(0, 2), "last": slice(2, 3)}
# a population of three equally likely gradients
POPULATION = np.array([[1.0, 0.0, 2.0], [-2.0, 1.0, 0.0], [0.5, 3.0, -1.0]])
COVARIANCE = np.cov(POPULATION.T, bias=True)


def product(vector):
    return HESSIAN @ vector


def geometry(draws, **settings):
    given = {"hessian_product": product, "blocks": BLOCKS} | settings
    return frameworks.from_draws(iter(draws), len(draws), **given)


def test_covariance_and_gradient_are_their_definitions(rng):
    draws = rng.standard_normal((7, 3))
    at = geometry(draws)
    covariance = np.cov(draws.T)
    np.testing.assert_allclose(np.asarray(at.noise.to_dense()), covariance, atol=1e-14)
    np.testing.assert_allclose(at.gradient, draws.mean(axis=0), atol=1e-15)
    np.testing.assert_allclose(
        at.gradient_errors, draws.std(axis=0, ddof=1) / np.sqrt(7), rtol=1e-12
    )
    assert at.alignment().value == pytest.approx(np.sum(HESSIAN * covariance))
    assert at.covariance_trace().value == pytest.approx(np.trace(covariance))
    ratio = 3 * np.sum(HESSIAN * covariance) / (7 * np.trace(covariance))
    assert at.trace_ratio().value == pytest.approx(ratio)
    blocks = at.by_block()
    assert blocks.alignment == pytest.approx(at.alignment().value)
    for number, name in enumerate(BLOCKS):
        assert at.alignment(name).value == pytest.approx(blocks.alignments[number])
        assert at.covariance_trace(name).value == pytest.approx(blocks.covariance_traces[number])
    assert (at.num_draws, at.hessian.trace()) == (7, pytest.approx(7.0))


def test_errors_are_those_of_the_jackknife(rng):
    """The estimates without one draw are computed once more from the other draws alone."""
    draws = rng.standard_normal((6, 3))
    at = geometry(draws)
    traces = {"covariance_trace": [], "alignment": [], "trace_ratio": []}
    for index in range(6):
        covariance = np.cov(np.delete(draws, index, axis=0).T)
        traces["covariance_trace"].append(np.trace(covariance))
        traces["alignment"].append(np.sum(HESSIAN * covariance))
        traces["trace_ratio"].append(3 * traces["alignment"][-1] / (7 * np.trace(covariance)))
    for name, without in traces.items():
        expected = np.sqrt(5 / 6 * np.sum((without - np.mean(without)) ** 2))
        assert getattr(at, name)().standard_error == pytest.approx(expected, rel=1e-10)


def test_estimates_are_unbiased_and_errors_not_too_small_over_all_draws():
    """All 81 ways to draw four times from a population of three; equal draws are no geometry."""
    found = {"alignment": [], "covariance_trace": []}
    for chosen in itertools.product(range(3), repeat=4):
        if len(set(chosen)) == 1:
            for values in found.values():
                values.append((0.0, 0.0))
            with pytest.raises(checks.InputError, match="are equal"):
                geometry(POPULATION[list(chosen)])
            continue
        at = geometry(POPULATION[list(chosen)])
        for name, values in found.items():
            estimate = getattr(at, name)()
            values.append((estimate.value, estimate.standard_error**2))
    expected = {"alignment": np.sum(HESSIAN * COVARIANCE), "covariance_trace": np.trace(COVARIANCE)}
    for name, values in found.items():
        estimates, variances = np.array(values).T
        assert estimates.mean() == pytest.approx(expected[name], rel=1e-12)
        # a divisor n, planted
        assert (estimates * 3 / 4).mean() != pytest.approx(expected[name], rel=0.1)
        true = estimates.var()
        assert true <= variances.mean() <= 3 * true


def test_errors_cover():
    """Of 400 samples of 40 normal gradients, about 93 % of the intervals hold the answer."""
    rng, factor = seeds.generator("coverage"), np.linalg.cholesky(COVARIANCE + np.eye(3))
    covariance = factor @ factor.T
    expected = {
        "alignment": np.sum(HESSIAN * covariance),
        "covariance_trace": np.trace(covariance),
        "trace_ratio": 3 * np.sum(HESSIAN * covariance) / (7 * np.trace(covariance)),
    }
    held = dict.fromkeys(expected, 0)
    for _ in range(400):
        at = geometry(rng.standard_normal((40, 3)) @ factor.T)
        for name, answer in expected.items():
            held[name] += abs(getattr(at, name)().z_score(answer)) < 1.96
    for count in held.values():
        assert 0.87 <= count / 400 <= 0.99


def test_the_convention_is_that_of_a_step():
    at = geometry(POPULATION)
    assert str(at.noise.convention).startswith("covariance of one drawn gradient, from 3 draws")
    diffusion = matrices.diffusion_covariance(at.noise, 0.1)
    assert diffusion.trace() == pytest.approx(0.1 * at.noise.trace())
    assert "learning rate 0.1" in str(diffusion.convention)
    assert str((2 * at.noise).convention).startswith("2 × covariance of one drawn")
    with pytest.raises(checks.InputError, match="already the covariance of one drawn"):
        matrices.minibatch_covariance(at.noise, 4, replacement=True)
    assert "from 3 draws" in repr(at)


def test_a_function_gets_the_generator_and_the_seed_repeats_it():
    def draw(rng):
        return rng.standard_normal(2)

    first, second = (
        frameworks.from_draws(draw, 5, rng=np.random.default_rng(seed)) for seed in (3, 3)
    )
    np.testing.assert_array_equal(first.gradient, second.gradient)
    assert "first order only" in repr(first)
    with pytest.raises(MissingFaculty, match="hessian_product= of from_draws"):
        first.alignment()
    with pytest.raises(checks.InputError, match="rng=None"):
        frameworks.from_draws(draw, 5)


def changing():
    calls = itertools.count()
    return lambda vector: vector * (1 + next(calls))


REFUSED = [
    ({"num_draws": 2}, "num_draws=2"),
    ({"draw_gradient": iter([[1.0], [2.0]])}, "ended after 2 gradients; expected 3"),
    ({"draw_gradient": iter([[1.0], [2.0, 3.0]])}, "draw 1, has shape"),
    ({"draw_gradient": iter([[1.0], [np.nan]])}, "draw 1, has a non-finite"),
    ({"draw_gradient": iter([[1.0]] * 3)}, "all 3 drawn gradients are equal"),
    ({"draw_gradient": iter([[]] * 3)}, "is empty"),
    ({"draw_gradient": [[1.0], [2.0], [3.0]]}, "is a list"),
    ({"hessian_product": HESSIAN}, "hessian_product is a ndarray"),
    ({"hessian_product": lambda v: v[:1]}, "hessian_product has shape"),
    ({"hessian_product": lambda v: v * np.nan}, "non-finite"),
    ({"hessian_product": changing()}, "two calls of hessian_product"),
    ({"hessian_product": lambda v: np.triu(HESSIAN) @ v}, "not symmetric"),
    ({"blocks": {"all": slice(0, 9)}}, "blocks"),
]


@pytest.mark.parametrize(("given", "words"), REFUSED)
def test_what_are_no_draws_is_refused(given, words):
    settings = {"draw_gradient": iter(POPULATION), "num_draws": 3} | given
    with pytest.raises(checks.InputError, match=words):
        frameworks.from_draws(**settings)


def test_an_unknown_block_is_refused():
    with pytest.raises(checks.InputError, match="expected one of: first, last"):
        geometry(POPULATION).alignment("middle")


def test_batch_normalisation_in_training_mode():
    """All ten batches of two of five examples: mean and covariance by enumeration in NumPy."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    import torch_cases

    model = torch_cases.frozen_statistics().train()
    inputs, targets = torch_cases.data()
    batches = [list(pair) for pair in itertools.combinations(range(5), 2)]

    def gradient(batch):
        loss = torch.nn.functional.cross_entropy(model(inputs[batch]), targets[batch])
        parts = torch.autograd.grad(loss, list(model.parameters()))
        return torch.cat([part.reshape(-1) for part in parts])

    at = frameworks.from_draws(map(gradient, batches), len(batches))
    rows = np.stack([gradient(batch).numpy().astype(float) for batch in batches])
    np.testing.assert_allclose(at.gradient, rows.mean(axis=0), atol=1e-7)
    assert at.noise.trace() == pytest.approx(rows.var(axis=0, ddof=1).sum(), rel=1e-5)
    assert at.covariance_trace().standard_error > 0
