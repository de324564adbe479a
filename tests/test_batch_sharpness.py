"""Batch sharpness: by enumeration, by formula, by sampling, and where it is not the limit."""

import autograd.numpy as anp
import numpy as np
import pytest
from reference_stability import both_sharpnesses, hessians_of
from tolerances import assert_within_sampling_error

from aniso import checks
from aniso.closed_forms import (
    batch_sharpness_mean_of_ratios,
    batch_sharpness_of_draws,
    batch_sharpness_ratio_of_means,
    batch_sharpness_with_shared_hessian,
    stability_threshold,
)
from aniso.descent import sample_batch_sharpness
from aniso.matrices import (
    curvatures_from_factors,
    example_curvatures,
    gradient_covariance,
    minibatch_covariance,
)
from aniso.problems import AutogradProblem

SAMPLINGS = [(size, True) for size in (1, 2, 3)] + [(size, False) for size in (1, 2, 3, 4)]


@pytest.mark.parametrize(("size", "replacement"), SAMPLINGS)
@pytest.mark.parametrize("count", [1, 2, 4])
def test_both_are_their_means_over_all_batches(count, size, replacement, rng):
    if size > count and not replacement:
        return
    rows, roots = rng.standard_normal((count, 2, 3)), rng.standard_normal((count, 2, 2))
    weights = roots + roots.transpose(0, 2, 1)
    curvatures, hessians = curvatures_from_factors(rows, weights), hessians_of(rows, weights)
    gradients = rng.standard_normal((count, 3))
    mean_of_ratios, ratio_of_means = both_sharpnesses(hessians, gradients, size, replacement)
    options = (curvatures, gradients, size)
    found = batch_sharpness_ratio_of_means(*options, replacement=replacement)
    assert found == pytest.approx(ratio_of_means, rel=1e-9, abs=1e-9)
    found = batch_sharpness_mean_of_ratios(*options, replacement=replacement)
    assert found == pytest.approx(mean_of_ratios, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("size", [1e-4, 1e-7, 1e-9])
def test_the_ratio_of_means_of_the_whole_set_near_a_minimum(size, rng):
    centred = rng.standard_normal((50, 6))
    centred -= centred.mean(axis=0)
    direction = rng.standard_normal(6)
    gradients = centred + size * direction / np.linalg.norm(direction)
    roots = rng.standard_normal((50, 6, 6))
    hessians = roots @ roots.transpose(0, 2, 1)
    curvatures, mean = example_curvatures(hessians), gradients.mean(axis=0)
    found = batch_sharpness_ratio_of_means(curvatures, gradients, 50, replacement=False)
    whole = mean @ hessians.mean(axis=0) @ mean / (mean @ mean)
    assert found == pytest.approx(whole, rel=1e-14 / size)
    # one example less: still next to a large number of batches that are no batch of all
    found = batch_sharpness_ratio_of_means(curvatures, gradients, 49, replacement=False)
    batches = [np.delete(np.arange(50), left) for left in range(50)]
    sums = np.array([-gradients[left] + 50 * mean for left in range(50)]) / 49
    curved = [g @ hessians[b].mean(axis=0) @ g for b, g in zip(batches, sums, strict=True)]
    assert found == pytest.approx(np.mean(curved) / np.mean((sums**2).sum(axis=1)), rel=1e-10)


def test_the_whole_set_at_a_minimum_has_no_ratio(rng):
    gradients = rng.standard_normal((50, 6))
    curvatures = example_curvatures(np.tile(np.eye(6), (100, 1, 1)))
    with pytest.raises(checks.InputError, match="batch of all examples up to rounding"):
        batch_sharpness_ratio_of_means(
            curvatures, np.vstack([gradients, -gradients]), 100, replacement=False
        )


def test_large_batches_with_replacement_have_a_mean_of_ratios():
    curvatures, gradients = example_curvatures([[[1.0]], [[3.0]]]), [[1.0], [3.0]]
    found = batch_sharpness_mean_of_ratios(curvatures, gradients, 200, replacement=True)
    assert found == pytest.approx(2.0)  # in one dimension E h_B


@pytest.mark.parametrize("exponents", [(-548, -548), (0, -600), (600, 300), (900, 900)])
def test_draws_have_their_error_in_every_unit(exponents, rng):
    curvatures, norms = rng.standard_normal(9), rng.exponential(size=9) + 0.1
    one = batch_sharpness_of_draws(curvatures, norms)
    units = 2.0 ** np.array(exponents)
    far = batch_sharpness_of_draws(units[0] * curvatures, units[1] * norms)
    for name in ("mean_of_ratios", "ratio_of_means"):
        assert getattr(far, name) == getattr(one, name).scaled(units[0] / units[1])


@pytest.mark.parametrize(("size", "replacement"), SAMPLINGS)
def test_a_shared_hessian_needs_the_covariance_alone(size, replacement, rng):
    root, gradients = rng.standard_normal((3, 3)), rng.standard_normal((4, 3))
    hessian = root @ root.T
    covariance = minibatch_covariance(gradient_covariance(gradients), size, replacement=replacement)
    found = batch_sharpness_with_shared_hessian(hessian, gradients.mean(axis=0), covariance)
    shared = example_curvatures(np.tile(hessian, (4, 1, 1)))
    exact = batch_sharpness_ratio_of_means(shared, gradients, size, replacement=replacement)
    assert found == pytest.approx(exact)
    assert found == pytest.approx(both_sharpnesses(shared_array(hessian), gradients, size,
                                                   replacement)[1])  # fmt: skip


def shared_array(hessian):
    return np.tile(hessian, (4, 1, 1))


def test_a_covariance_of_another_convention_is_refused():
    one = gradient_covariance([[1.0], [2.0]])
    with pytest.raises(checks.InputError, match="expected the mini-batch covariance"):
        batch_sharpness_with_shared_hessian([[1.0]], [0.0], one)


def test_neither_is_the_limit_of_stability():
    """One dimension, every example at its minimum, single examples: three different numbers."""
    h = np.array([1.0, 2.0, 6.0])
    curvatures = example_curvatures(h[:, None, None])
    gradients = 0.3 * h[:, None]  # g_i = h_i theta
    mean_of_ratios = batch_sharpness_mean_of_ratios(curvatures, gradients, 1, replacement=True)
    ratio_of_means = batch_sharpness_ratio_of_means(curvatures, gradients, 1, replacement=True)
    limit = stability_threshold(curvatures, 1, replacement=True).sharpness
    assert mean_of_ratios == pytest.approx(np.mean(h))
    assert ratio_of_means == pytest.approx(np.mean(h**3) / np.mean(h**2))
    assert limit == pytest.approx(np.mean(h**2) / np.mean(h))
    assert mean_of_ratios < limit - 1 < ratio_of_means - 1
    # where all examples agree, the three are one
    same = example_curvatures(np.full((3, 1, 1), 2.0))
    assert batch_sharpness_mean_of_ratios(same, gradients, 1, replacement=True) == pytest.approx(2)
    assert stability_threshold(same, 1, replacement=True).sharpness == pytest.approx(2)


def half_squares(theta, inputs, targets):
    return (anp.dot(inputs, theta) - targets) ** 2 / 2


@pytest.mark.parametrize("replacement", [True, False])
def test_samples_lie_around_the_means_over_all_batches(replacement, rng):
    inputs, targets, theta = rng.standard_normal((5, 2)), rng.standard_normal(5), np.ones(2)
    problem = AutogradProblem(half_squares, inputs, targets)
    gradients = (inputs @ theta - targets)[:, None] * inputs
    exact = both_sharpnesses(hessians_of(inputs), gradients, 2, replacement)
    made = sample_batch_sharpness(problem, theta, 2, 300, rng, replacement=replacement)
    bias = 30 / 300 * made.ratio_of_means.standard_error  # of order 1/n beside 1/sqrt(n)
    assert_within_sampling_error(
        [made.mean_of_ratios, made.ratio_of_means], exact, discretisation_error=bias
    )
    other = both_sharpnesses(hessians_of(inputs), gradients, 2, not replacement)
    assert abs(other[0] - exact[0]) > 0


def test_the_standard_error_of_a_ratio_is_that_of_repeated_draws(rng):
    squares = rng.exponential(1.0, (2000, 400)) + 0.5
    curvatures = 3 * squares + rng.standard_normal(squares.shape)
    made = [
        batch_sharpness_of_draws(c, s).ratio_of_means
        for c, s in zip(curvatures, squares, strict=True)
    ]
    spread = np.std([estimate.value for estimate in made])
    stated = np.mean([estimate.standard_error for estimate in made])
    assert abs(spread / stated - 1) < 0.08  # five standard errors of a deviation of 2,000


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: batch_sharpness_of_draws([1.0], [1.0]), "expected at least two batches"),
        (lambda: batch_sharpness_of_draws([1.0, 1.0], [1.0, 0.0]), "entry 0.0 at index 1"),
        (
            lambda: batch_sharpness_ratio_of_means(
                example_curvatures([[[1.0]]]), [[0.0]], 1, replacement=True
            ),
            "every gradient is zero",
        ),
        (
            lambda: batch_sharpness_mean_of_ratios(
                example_curvatures([[[1.0]]] * 2), [[1.0], [-1.0]], 2, replacement=False
            ),
            r"examples \[0, 1\] has a zero gradient",
        ),
        (
            lambda: batch_sharpness_mean_of_ratios(
                example_curvatures([[[1.0]]] * 40), np.ones((40, 1)), 20, replacement=False
            ),
            "makes 137846528820 batches; expected at most max_batches=20000",
        ),
        (
            lambda: batch_sharpness_ratio_of_means(
                example_curvatures([[[1.0]]]), [[1.0]], 2, replacement=False
            ),
            "batch_size=2; expected an integer",
        ),
    ],
)
def test_arguments_that_break_their_rule_are_refused(make, message):
    with pytest.raises(checks.InputError, match=message):
        make()


def test_the_gradients_of_a_geometry_are_taken_as_they_are(rng):
    problem = AutogradProblem(least_squares, rng.standard_normal((4, 3)), rng.standard_normal(4))
    at = problem.at(rng.standard_normal(3))
    rows = problem.example_gradients(at.theta)
    curvatures = example_curvatures(2 * outer(problem.inputs))
    for function in (batch_sharpness_ratio_of_means, batch_sharpness_mean_of_ratios):
        exact = function(curvatures, rows, 2, replacement=False)
        assert function(curvatures, at.example_gradients, 2, replacement=False) == exact
        fewer = problem.subset([0, 1, 2]).at(at.theta).example_gradients
        with pytest.raises(checks.InputError, match=r"has shape \(3, 3\); expected \(4, 3\)"):
            function(curvatures, fewer, 2, replacement=False)


def least_squares(theta, inputs, targets):
    return (anp.dot(inputs, theta) - targets) ** 2


def outer(rows):
    return rows[:, :, None] * rows[:, None, :]
