"""The error that the steps of a forecast's model add up to: by hand, and against mini-batches."""

import types

import numpy as np
import pytest
import seeds
from forecast_cases import batch_noise, quartic, regression

from aniso import checks, escape
from aniso.escape import _model_moments, _model_remainder
from aniso.matrices import gradient_covariance

STRENGTH, RATE, NUM_STEPS = 0.3, 0.5, 3


def measured(examples):
    """The error of the steps at x = 0.2 and -0.2, where the moments of the chain are given."""
    problem = quartic(STRENGTH)
    model = types.SimpleNamespace(
        loss=0.0,
        eigenvalues=np.array([1.0]),
        gradient=np.zeros(1),
        covariance=np.ones((1, 1)),
        vectors=np.eye(1),
        rise=lambda points: 0.5 * points[:, 0] ** 2,
    )
    moments = _model_moments.Moments(np.zeros(1), np.array([[0.04]]))
    made = _model_remainder.ModelRemainder(
        problem,
        np.zeros(1),
        model,
        lambda _: moments,
        RATE,
        gradient_covariance([[1.0], [-1.0]]) if examples is None else None,
        examples,
        0.25,
        seeds.generator(),
    )
    made.normals = np.repeat([[1.0], [-1.0]], _model_remainder._NUM_PAIRS_OF_POINTS, axis=0)
    return made.after(NUM_STEPS)


def by_hand(noise_error):
    reached = 0.2 - RATE * (0.2 + 4 * STRENGTH * 0.2**3)
    error = reached**2 - (0.2 * (1 - RATE)) ** 2 + RATE**2 * noise_error
    # the squares decay by 1/4, as those of the model, because the quartic makes them smaller here
    return abs(error) * (1 + 1 / 4 + 1 / 16) / 0.04


def test_the_error_of_the_steps_is_that_by_hand():
    share, change, error = measured(None)
    assert share == pytest.approx(2 * STRENGTH * 0.04)
    assert (change, error) == (1.0, pytest.approx(by_hand(0.0), rel=1e-12))
    # a chain on examples that takes 0.15 for the variance of a batch mean, which is 1/4
    examples = types.SimpleNamespace(variances=lambda _: np.array([0.15]))
    assert measured(examples)[2] == pytest.approx(by_hand(0.1), rel=1e-12)
    assert measured(examples)[2] != pytest.approx(by_hand(0.0), rel=0.1)


def test_steps_of_a_quadratic_have_no_error(rng):
    at = regression(rng, 6).at(np.array([0.5, 0.1]))
    found = escape.forecast(at, batch_noise(at), 0.05, 20, rng, level=at.loss + 50.0, num_paths=9)
    assert found.examples is not None
    assert found.step_error == 0


def loss_of_batches(strength, rate, num_steps, size, rng):
    """Mean loss after n steps, as often as needed for an error of a percent or two."""
    x = np.zeros(4000)
    for _ in range(num_steps):
        noise = 2 * rng.binomial(size, 0.5, len(x)) / size - 1
        # a run that has gone is kept far away
        x = np.clip(x - rate * (x + 4 * strength * x**3 - noise), -9.0, 9.0)
    return np.mean(x**2 / 2 + strength * x**4)


def test_near_the_end_of_stability_a_small_remainder_says_little(rng):
    strength, size, num_steps = 0.2, 100, 30
    at = quartic(strength).at(np.array([0.0]))
    noise = batch_noise(at, size)
    # eta lambda = 1.8: the curvature seen on average, 1.2, is beyond the end of stability
    found = escape.forecast(at, noise, 1.8, num_steps, rng, level=0.3, num_paths=20, tolerance=9.0)
    assert found.remainder < 0.25
    truth = loss_of_batches(strength, 1.8, num_steps, size, rng)
    assert abs(truth / found.examples.loss[-1] - 1) > 0.25
    assert found.step_error > 0.25
    try:
        short = escape.forecast(at, noise, 1.8, num_steps, rng, level=0.3, num_paths=20)
    except checks.InputError as refusal:
        assert "the error of the steps" in str(refusal)  # noqa: PT017
    else:
        assert short.valid_until < num_steps / 2
    # far from the end of stability the forecast stands
    found = escape.forecast(at, noise, 0.5, num_steps, rng, level=0.3, num_paths=20)
    truth = loss_of_batches(strength, 0.5, num_steps, size, rng)
    assert found.valid_until == num_steps
    assert found.examples.loss[-1] == pytest.approx(truth, rel=0.12)
