"""Ensembles of mini-batch SGD with momentum, against the moments of all their batches."""

import itertools

import numba
import numpy as np
import pytest
import reference_example_chains as reference
import seeds
from tolerances import z_limit

from aniso.langevin import example_chains, example_sets

FAST = not numba.config.DISABLE_JIT
SEED = seeds.integer("langevin_heavy_ball")
RNG = seeds.generator("langevin_heavy_ball")
INPUTS, TARGETS = RNG.standard_normal((4, 2)), RNG.standard_normal(4)
START = np.array([0.5, -1.0])
EXAMPLES = example_sets.least_squares(INPUTS, TARGETS)


def affine_maps(batches, rate, momentum, *, damped=False):
    """The map of (theta, m) in a step, for each batch; `damped` scales the gradient by 1 - beta."""
    identity, maps = np.eye(2), []
    for batch in batches:
        x, y = INPUTS[list(batch)], TARGETS[list(batch)]
        scale = (1 - momentum if damped else 1.0) / len(batch)
        hessian, shift = scale * x.T @ x, scale * x.T @ y
        lower = [hessian, momentum * identity]
        upper = [identity - rate * hessian, -rate * momentum * identity]
        maps.append((np.block([upper, lower]), np.concatenate([rate * shift, -shift])))
    return maps


def worst_score(ensemble, mean, covariance):
    return max(
        np.abs((ensemble.mean[-1] - mean[:2]) / ensemble.mean_error[-1]).max(),
        np.abs(
            (ensemble.covariance[-1] - covariance[:2, :2]) / ensemble.covariance_error[-1]
        ).max(),
    )


@pytest.mark.needs_jit
@pytest.mark.parametrize("sampling", ["with_replacement", "without_replacement"])
def test_momentum_has_the_moments_of_all_batches(sampling):
    batches = {
        "with_replacement": list(itertools.product(range(4), repeat=2)),
        "without_replacement": list(itertools.combinations(range(4), 2)),
    }
    chain = example_chains.simulate_sgd(
        EXAMPLES, 0.1, 2, sampling, START, [1, 8], 100_000, SEED, momentum=0.6
    )
    start = np.concatenate([START, np.zeros(2)])

    def score(batches, momentum=0.6, *, damped=False):
        maps = affine_maps(batches, 0.1, momentum, damped=damped)
        return worst_score(chain, *reference.moments(maps, start, 8))

    # two means and three covariances
    own = batches.pop(sampling)
    assert score(own) < z_limit(5)
    # planted falsehoods: the other sampling, the other convention, another momentum
    (other,) = batches.values()
    assert score(other) > z_limit(5)
    assert score(own, damped=True) > z_limit(5)
    assert score(own, 0.5) > z_limit(5)


@pytest.mark.parametrize("sampling", ["with_replacement", "without_replacement", "epochs"])
def test_without_momentum_it_is_plain_sgd(sampling):
    arguments = (EXAMPLES, 0.1, 2, sampling, START, [0, 5], 70, SEED)
    plain = example_chains.simulate_sgd(*arguments)
    tiny = example_chains.simulate_sgd(*arguments, momentum=1e-300)
    np.testing.assert_allclose(tiny.mean, plain.mean, rtol=0, atol=1e-14)
    np.testing.assert_allclose(tiny.covariance, plain.covariance, rtol=0, atol=1e-13)
    np.testing.assert_array_equal(tiny.times, plain.times)
    for one, other in zip(tiny.loss, plain.loss, strict=True):
        assert one.value == pytest.approx(other.value, rel=1e-13)


def test_the_deterministic_chain_is_heavy_ball_by_hand():
    chain = example_chains.simulate_sgd(
        EXAMPLES, 0.1, 4, "without_replacement", START, [0, 1, 2, 9], 2, SEED, momentum=0.9
    )
    states = reference.chain(
        lambda theta: (INPUTS @ theta - TARGETS)[:, None] * INPUTS,
        lambda step: [0, 1, 2, 3],  # noqa: ARG005
        0.1,
        0.9,
        START,
        9,
    )
    np.testing.assert_allclose(chain.mean, states[[0, 1, 2, 9]], rtol=0, atol=1e-13)
    assert np.abs(chain.covariance).max() < 1e-28
