"""Noise scales: by hand, unbiased by enumeration, with intervals that cover."""

import itertools
import math

import numpy as np
import pytest
import reference_batches as reference
from place_cases import every_foreign_place
from problem_cases import Architecture, ProblemCase
from reference_matrices import random_positive
from scipy.sparse.linalg import aslinearoperator

from aniso import checks, matrices, problems
from aniso.arrays import transfer
from aniso.matrices import noise_scales
from aniso.networks import Network
from aniso.problems import SoftmaxCrossEntropy

SCALES = {
    "simple": lambda rows, _: matrices.simple_noise_scale(rows),
    "curvature-weighted": matrices.curvature_noise_scale,
    "elementwise": lambda rows, _: matrices.elementwise_noise_scale(rows),
}


def slow_parts(kind, rows, hessian):
    """Noise and signal of a distribution from a sample of it, by their definitions."""
    count, mean = len(rows), rows.mean(axis=0)
    spread = (rows - mean).T @ (rows - mean) / (count - 1)
    if kind == "elementwise":
        return np.sqrt(np.diag(spread)).sum(), np.abs(mean).sum()
    metric = np.eye(len(mean)) if kind == "simple" else hessian
    pairs = [rows[i] @ metric @ rows[j] for i in range(count) for j in range(count) if i != j]
    return np.trace(metric @ spread), np.mean(pairs)


def test_two_examples_by_hand():
    # mean (2, 1), variances (1, 0): 1 / 5, 3 / (3 * 4), ((1 + 0) / (2 + 1))^2
    rows, hessian = np.array([[1.0, 1.0], [3.0, 1.0]] * 2), np.diag([3.0, 0.0])
    for kind, expected in (
        ("simple", 1 / 5),
        ("curvature-weighted", 1 / 4),
        ("elementwise", 1 / 9),
    ):
        made = SCALES[kind](rows, hessian)
        np.testing.assert_allclose(made.of_examples, expected, rtol=1e-14)


@pytest.mark.parametrize("kind", SCALES)
def test_parts_and_errors_are_the_jackknife_by_its_definition(kind, rng):
    rows, hessian = rng.normal(size=(9, 4)) + 1.0, random_positive(rng, 4)
    for form in (hessian, aslinearoperator(hessian)):
        made = SCALES[kind](rows, form)
        parts = slow_parts(kind, rows, hessian)
        left = np.array([slow_parts(kind, np.delete(rows, i, 0), hessian) for i in range(9)])
        errors = 8 / 9 * (left - left.mean(axis=0)).T @ (left - left.mean(axis=0))
        np.testing.assert_allclose([made.noise.value, made.signal.value], parts, rtol=1e-11)
        found = [made.noise.standard_error**2, made.signal.standard_error**2, made.covariance]
        np.testing.assert_allclose(found, [errors[0, 0], errors[1, 1], errors[0, 1]], rtol=1e-9)


def test_a_large_mean_costs_no_digits(rng):
    rows = rng.normal(size=(20, 3))
    shifted = matrices.simple_noise_scale(rows + 1e7)
    np.testing.assert_allclose(
        shifted.noise.value, matrices.simple_noise_scale(rows).noise.value, rtol=1e-7
    )


@pytest.mark.parametrize("kind", SCALES)
def test_intervals_cover_the_scale_of_the_distribution(kind, rng):
    mean, deviations, count, runs = np.array([0.7, -0.4, 0.5]), np.array([1.0, 2.0, 0.5]), 150, 300
    hessian = np.diag([2.0, 1.0, 0.5])
    curved = hessian if kind == "curvature-weighted" else np.eye(3)
    truth = np.trace(curved * deviations**2) / (mean @ curved @ mean)
    if kind == "elementwise":
        truth = (deviations.sum() / np.abs(mean).sum()) ** 2
    hits, narrow, resolved = 0, 0, 0
    for _ in range(runs):
        made = SCALES[kind](
            mean + deviations * rng.laplace(size=(count, 3)) / math.sqrt(2), hessian
        )
        if not made.is_resolved:
            continue
        resolved += 1
        low, high = made.interval(0.9)
        hits += low <= truth <= high
        middle = made.of_distribution.value
        narrow += middle - (middle - low) / 3 <= truth <= middle + (high - middle) / 3
    assert resolved > 0.95 * runs
    # binomial error 0.017, and the errors of the parts are normal only for many examples
    assert hits / resolved > 0.9 - 4 * 0.0175 - 0.02
    assert narrow / resolved < 0.7  # an error bar a third as long would be seen


@pytest.mark.parametrize("kind", SCALES)
def test_error_and_interval_do_not_depend_on_the_unit_of_the_loss(kind, rng):
    rows, hessian = rng.normal(size=(30, 3)) + 2.0, np.eye(3)
    squares = (rows**2).sum(axis=1)
    scales = (
        lambda unit: SCALES[kind](unit * rows, hessian),
        lambda unit: matrices.noise_scale_of_batches(
            unit**2 * (50 + squares), unit**2 * (40 + squares[:20] / 9), 1, 9, replacement=True
        ),
    )
    for scale in scales:
        one = scale(1.0)
        low, high = one.interval()
        assert low < one.of_distribution.value < high
        for exponent in (-230, -136, 136, 230):  # 2^-136 is 1e-41
            far = scale(2.0**exponent)
            np.testing.assert_allclose(far.interval(), (low, high), rtol=1e-13)
            found, expected = far.of_distribution, one.of_distribution
            np.testing.assert_allclose(found.value, expected.value, rtol=1e-14)
            np.testing.assert_allclose(found.standard_error, expected.standard_error, rtol=1e-13)
        if kind == "elementwise":
            continue  # its parts are no squares
        for exponent in (-250, 250):
            with pytest.raises(checks.InputError, match=r"expected 0, or a number from 1e-145"):
                scale(2.0**exponent)


def test_a_signal_that_is_not_resolved_has_no_ratio(rng):
    rows = rng.normal(size=(30, 5))
    rows -= rows.mean(axis=0) * 0.9
    for kind, scale in SCALES.items():
        made = scale(rows, np.eye(5))
        assert not made.is_resolved, kind
        assert "unresolved" in repr(made)
        for ask in (lambda made=made: made.of_distribution, made.interval):
            with pytest.raises(
                checks.InputError, match=r"expected 3.28\s+standard errors above zero"
            ):
                ask()
        assert made.of_examples > 10
    with pytest.raises(checks.InputError, match="signal of the examples is"):
        _ = matrices.curvature_noise_scale(rows, -np.eye(5)).of_examples


def test_a_sign_step_has_the_slope_that_the_elementwise_scale_promises(rng):
    rows = rng.normal(size=(5, 4)) + np.array([1.5, -1.0, 0.8, 0.0])
    mean, scale = rows.mean(axis=0), matrices.elementwise_noise_scale(rows).of_examples
    for size in (1, 2, 3):
        steps = np.sign(reference.batch_gradients(rows, size, replacement=True))
        slope = np.mean(steps @ mean)
        assert slope >= np.abs(mean).sum() * (1 - 2 * math.sqrt(scale / size))


@pytest.mark.parametrize("replacement", [True, False])
def test_two_batch_sizes_are_unbiased_over_all_batches(replacement, rng):
    rows = rng.normal(size=(5, 3)) + 0.5
    trace = np.sum((rows - rows.mean(axis=0)) ** 2) / 5
    for sizes in ((1, 2), (2, 3)):
        norms = [
            np.sum(reference.batch_gradients(rows, size, replacement=replacement) ** 2, axis=1)
            for size in sizes
        ]
        made = matrices.noise_scale_of_batches(
            *norms, *sizes, replacement=replacement, num_examples=5
        )
        expected = [trace, np.sum(rows.mean(axis=0) ** 2)]
        np.testing.assert_allclose([made.noise.value, made.signal.value], expected, rtol=1e-12)
    wrong = matrices.noise_scale_of_batches(
        *norms, *sizes, replacement=not replacement, num_examples=5
    )
    assert abs(wrong.noise.value / trace - 1) > 0.01


@pytest.mark.parametrize("paired", [True, False])
def test_errors_of_two_batch_sizes_cover(paired, rng):
    # normal gradients of mean 1 and variance 4 in each of three directions: scale 12 / 3
    runs, count, hits = 300, 80, 0
    for _ in range(runs):
        small = 1 + 2 * rng.normal(size=(count, 4, 3))
        large = small.mean(axis=1) if paired else 1 + rng.normal(size=(count, 3))
        first = np.sum(small**2, axis=2)
        first = first.mean(axis=1) if paired else first[:, 0]
        made = matrices.noise_scale_of_batches(
            first, np.sum(large**2, axis=1), 1, 4, replacement=True, paired=paired
        )
        low, high = made.interval(0.9) if made.is_resolved else (0, math.inf)
        hits += low <= 4 <= high
    assert abs(hits / runs - 0.9) < 4 * 0.0175 + 0.02


def test_every_kind_of_gradients_gives_the_same(rng):
    case = ProblemCase("mlp", Architecture((3, 4, 2), "tanh"), SoftmaxCrossEntropy(), 12)
    problem, theta = case.problem_and_theta(rng, Network)
    at = problem.at(theta)
    rows = problem.per_example_gradients(theta)
    for kind, scale in SCALES.items():
        hessian = problem.hessian(theta)
        made, plain = scale(at.example_gradients, at.hessian), scale(rows, hessian)
        for name in ("noise", "signal"):
            for part in ("value", "standard_error"):
                values = [getattr(getattr(each, name), part) for each in (made, plain)]
                np.testing.assert_allclose(*values, rtol=1e-7, err_msg=f"{kind} {name} {part}")


def test_blocks_of_rows_give_the_same(rng, monkeypatch):
    rows, hessian = rng.normal(size=(11, 3)) + 1, random_positive(rng, 3)
    whole = [scale(rows, hessian) for scale in SCALES.values()]
    monkeypatch.setattr(
        noise_scales.operands, "ranges", lambda n, *_: itertools.pairwise([0, 4, 8, n])
    )
    for scale, expected in zip(SCALES.values(), whole, strict=True):
        made = scale(rows, hessian)
        np.testing.assert_allclose(made.signal.standard_error, expected.signal.standard_error)


def test_bad_arguments_are_refused(rng):
    rows = rng.normal(size=(4, 2))
    with pytest.raises(checks.InputError, match="expected N >= 3"):
        matrices.simple_noise_scale(rows[:2])
    with pytest.raises(checks.InputError, match=r"needs N=4 products.*problem\.subset"):
        matrices.curvature_noise_scale(rows, aslinearoperator(np.eye(2)), max_products=3)
    norms = np.ones(3), np.ones(3)
    for arguments, more, match in (
        ((*norms, 2, 2), {"replacement": True}, "expected more than"),
        ((*norms, 1, 2), {"replacement": False}, "num_examples=None"),
        ((*norms, 1, 9), {"replacement": False, "num_examples": 8}, "batch_size=9"),
        ((norms[0], -norms[1], 1, 2), {"replacement": True}, "large_square_norms"),
        ((norms[0], np.ones(2), 1, 2), {"replacement": True, "paired": True}, r"expected \(3,\)"),
        ((*norms, 1, 2), {"replacement": None}, "replacement=None"),
    ):
        with pytest.raises(checks.InputError, match=match):
            matrices.noise_scale_of_batches(*arguments, **more)
    made = matrices.noise_scale_of_batches([1.0, 2.0], [1.0, 1.1], 1, 2, replacement=True)
    with pytest.raises(checks.InputError, match="computed from batches"):
        _ = made.of_examples


@every_foreign_place
def test_every_place_gives_the_same(place, rng):
    case = ProblemCase("mlp", Architecture((3, 4, 2), "tanh"), SoftmaxCrossEntropy(), 7)
    problem, theta = case.problem_and_theta(rng, Network)
    there = Network(
        problem.model,
        problem.output_loss,
        transfer.to_device(problem.inputs, place),
        transfer.to_device(problem.targets, place),
    )
    results = []
    for network, point in ((problem, theta), (there, transfer.to_device(theta, place))):
        at = network.at(point)
        batch = matrices.minibatch_covariance(at.noise, 2, replacement=False)
        change = matrices.expected_loss_change(at.gradient, at.hessian, batch, 0.1)
        pairs = matrices.leading_eigenpairs(np.asarray(problem.hessian(theta)), 2)
        shares = matrices.leading_shares(at.gradient, at.noise, pairs)
        results.append(
            [
                change.total,
                matrices.minibatch_regulariser(at.gradient, batch, 0.1),
                matrices.frobenius_alignment(at.gauss_newton, at.noise).cosine,
                *shares.gradient,
                *shares.noise,
                *(
                    scale(at.example_gradients, at.hessian).signal.standard_error
                    for scale in SCALES.values()
                ),
                problems.directional_sharpness(network, point)[0],
                problems.critical_sharpness(network, point).sharpness,
            ]
        )
    np.testing.assert_allclose(results[1], results[0], rtol=1e-4)
