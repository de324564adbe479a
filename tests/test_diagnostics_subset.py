"""A diagnosis of a random subset: its numbers are of all examples, with the error of the subset."""

import math

import numpy as np
import pytest
from line_problem import Line

from aniso import checks, diagnostics, problems

SETTINGS = {"batch_size": 4, "replacement": False, "learning_rate": 0.1}


def test_the_error_of_a_subset_covers_the_number_of_all(rng):
    problem, theta, names = Line(*rng.normal(size=(2, 400))), [0.5], ["loss", "covariance_trace"]
    whole = diagnostics.measure(problem, theta, **SETTINGS, quantities=names, rng=rng)
    assert all(reading.standard_error == 0 for reading in whole.values())
    runs, inside, squares, errors = 150, 0, [], []
    for _ in range(runs):
        found = diagnostics.measure(
            problem, theta, **SETTINGS, quantities=names, num_examples=100, rng=rng
        )
        wrong = [found[name].value - whole[name].value for name in names]
        stated = [found[name].errors["examples"] for name in names]
        inside += abs(wrong[1]) <= 2.26 * stated[1]  # 95 % of Student's t with 9 degrees
        squares.append(np.square(wrong))
        errors.append(np.square(stated))
    assert 0.86 * runs < inside
    # the stated variance is the true one, finite population included: 1/4 less without it
    ratio = np.mean(errors, axis=0) / np.mean(squares, axis=0)
    assert (ratio > 0.75).all()
    assert (ratio < 1.4).all()


def test_the_covariance_of_a_subset_has_no_bias(rng):
    # all subsets of 4 of 6 examples, of which the mean is the covariance of all
    x, y = rng.normal(size=(2, 6))
    problem, found = Line(x, y), []
    while len(found) < 200:
        made = diagnostics.measure(
            problem,
            [0.5],
            **SETTINGS,
            quantities="covariance_trace",
            num_examples=4,
            num_groups=2,
            rng=rng,
        )
        found.append(made["covariance_trace"].value)
    exact = problem.example_gradients([0.5]).var()
    error = np.std(found) / math.sqrt(len(found))
    assert abs(np.mean(found) - exact) < 4 * error


def test_errors_of_probes_and_of_examples_stand_apart(rng):
    problem = Line(*rng.normal(size=(2, 60)))
    found = diagnostics.measure(
        problem, [0.5], **SETTINGS, num_examples=30, num_groups=6, quantities="all", rng=rng
    )
    assert set(found["alignment"].errors) == {"examples"}
    assert {"probes", "examples"} == set(found["batch_sharpness"].errors)
    assert found.problem["used_examples"] == 30
    assert found.problem["num_examples"] == 60
    assert "of 30 examples" in found["gradient_norm"].assumptions[-1]
    assert "±" in found["alignment"].sentence
    # the factor to a batch is that of all 60 examples
    batch = found["covariance_trace"].details["batch"]
    np.testing.assert_allclose(batch, found["covariance_trace"].value * 56 / (4 * 59))


def test_a_quantity_that_a_part_of_the_subset_lacks_is_refused(rng):
    problem = Line(*rng.normal(size=(2, 12)))
    found = diagnostics.measure(
        problem,
        [0.5],
        batch_size=6,
        replacement=False,
        num_examples=6,
        num_groups=3,
        quantities=["batch_sharpness", "loss"],
        rng=rng,
    )
    assert list(found) == ["loss"]
    assert "subset of the examples is unknown: batch_size=6" in found.refused["batch_sharpness"]


def test_the_spread_of_probes_is_subtracted(rng):
    exact = rng.normal(size=10)
    wanted = math.sqrt(9 / 10 * np.sum((exact - exact.mean()) ** 2))
    assert problems.jackknife_error(exact) == pytest.approx(wanted)
    draws = exact + 0.7 * rng.normal(size=(4000, 10))
    squares = [problems.jackknife_error(draw, np.full(10, 0.7)) ** 2 for draw in draws]
    # those cut off at 0 raise the mean slightly
    assert abs(np.mean(squares) / wanted**2 - 1) < 0.1
    without = np.mean([problems.jackknife_error(draw) ** 2 for draw in draws])
    assert without / wanted**2 > 1.2
    with pytest.raises(checks.InputError, match="number of groups=1"):
        problems.jackknife_error([1.0])
