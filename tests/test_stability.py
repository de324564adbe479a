"""Threshold of SGD: the spectral radius by enumeration of all batches is 1 there."""

import numpy as np
import pytest
from reference_stability import batches, hessians_of, spectral_radius, threshold_by_roots

from aniso import checks, memory
from aniso.closed_forms import second_moment_growth, stability, stability_threshold
from aniso.estimates import NotConverged
from aniso.matrices import (
    ExampleCurvatures,
    curvatures_from_factors,
    curvatures_from_kernel,
    example_curvatures,
)

NUM_EXAMPLES = 4
SAMPLINGS = [(size, True) for size in (1, 2, 3)] + [(size, False) for size in (1, 2, 3, 4)]
CONDITIONS = 1e-9  # eigenvalues of a matrix that is not symmetric, of condition 1e3 at most


def single_rows(rng):
    rows = rng.standard_normal((NUM_EXAMPLES, 3))
    return curvatures_from_factors(rows), hessians_of(rows)


def weighted_rows(rng):
    rows = rng.standard_normal((NUM_EXAMPLES, 2, 3))
    roots = rng.standard_normal((NUM_EXAMPLES, 2, 2))
    weights = roots @ roots.transpose(0, 2, 1)
    return curvatures_from_factors(rows, weights), hessians_of(rows, weights)


def arrays(rng):
    hessians = hessians_of(rng.standard_normal((NUM_EXAMPLES, 2, 3)))
    return example_curvatures(hessians), hessians


def indefinite_arrays(rng):
    roots = rng.standard_normal((NUM_EXAMPLES, 3, 3))
    hessians = roots + roots.transpose(0, 2, 1) + 6 * np.eye(3)
    hessians[0] -= 7 * np.eye(3)
    hessians[1:] += 7 * np.eye(3) / 3
    return example_curvatures(hessians), hessians


FORMS = (single_rows, weighted_rows, arrays, indefinite_arrays)


@pytest.mark.parametrize("method", ["dense", "iterative"])
@pytest.mark.parametrize("make", FORMS)
def test_the_spectral_radius_of_all_batches_is_one_at_the_threshold(make, method, rng):
    curvatures, hessians = make(rng)
    for size, replacement in SAMPLINGS:
        made = stability_threshold(curvatures, size, replacement=replacement, method=method)
        at = [
            spectral_radius(hessians, factor * made.learning_rate, size, replacement)
            for factor in (0.99, 1.0, 1.01)
        ]
        assert at[0] < 1 < at[2]
        assert abs(at[1] - 1) < CONDITIONS
        rate = 0.7 * made.learning_rate
        growth = second_moment_growth(curvatures, rate, size, replacement=replacement)
        assert abs(growth - spectral_radius(hessians, rate, size, replacement)) < CONDITIONS


@pytest.mark.parametrize("momentum", [0.3, 0.9])
@pytest.mark.parametrize("make", FORMS)
def test_the_threshold_with_momentum_is_that_of_the_enumerated_pair_of_iterates(
    make, momentum, rng
):
    curvatures, hessians = make(rng)
    for size, replacement in ((1, True), (2, False), (4, False)):
        made = stability_threshold(curvatures, size, replacement=replacement, momentum=momentum)
        at = [
            spectral_radius(hessians, factor * made.learning_rate, size, replacement, momentum)
            for factor in (0.99, 1.0, 1.01)
        ]
        assert at[0] < 1 < at[2]
        assert abs(at[1] - 1) < CONDITIONS


def test_the_noise_of_the_other_sampling_is_not_at_the_edge(rng, monkeypatch):
    curvatures, hessians = single_rows(rng)
    original = stability.minibatch_scale
    monkeypatch.setattr(
        stability,
        "minibatch_scale",
        lambda count, size, *, replacement: original(count, size, replacement=not replacement),
    )
    made = stability_threshold(curvatures, 2, replacement=True)
    assert abs(spectral_radius(hessians, made.learning_rate, 2, True) - 1) > 1e-3


def test_many_more_parameters_than_examples(rng):
    rows = rng.standard_normal((NUM_EXAMPLES, 200))
    made = stability_threshold(curvatures_from_factors(rows), 1, replacement=True)
    assert made.dimension == NUM_EXAMPLES
    # the same Hessians in an orthonormal basis of the rows, by another factorisation
    within = np.linalg.qr(rows.T)[1].T
    radius = spectral_radius(hessians_of(within), made.learning_rate, 1, True)
    assert abs(radius - 1) < CONDITIONS
    # the second moment along the leading direction is the largest of all directions
    assert made.direction.shape == (200,)
    assert np.linalg.norm(made.direction) == pytest.approx(1)
    within_span = np.linalg.lstsq(rows.T, made.direction, rcond=None)[0] @ rows
    np.testing.assert_allclose(within_span, made.direction, atol=1e-10)


@pytest.mark.parametrize("rank", [1, 2])
def test_dense_and_iterative_agree(rank, rng):
    rows = rng.standard_normal((24 // rank, rank, 60)) * np.arange(1, 61) ** -0.5
    curvatures = curvatures_from_factors(rows)
    for size, replacement, momentum in ((1, True, 0.0), (8, False, 0.0), (3, True, 0.8)):
        dense, iterative = (
            stability_threshold(
                curvatures, size, replacement=replacement, momentum=momentum, method=method
            )
            for method in ("dense", "iterative")
        )
        assert iterative.learning_rate == pytest.approx(dense.learning_rate, rel=1e-12)
        assert abs(abs(iterative.direction @ dense.direction) - 1) < 1e-8
        # with momentum the map has negative eigenvalues, which may be larger in magnitude
        assert iterative.residual <= (1e-8 if momentum else 1e-10 * (1 + 1e-6))
        assert 0 < iterative.num_products < 60
        assert iterative.learning_rate < iterative.full_batch


def test_the_iteration_agrees_with_the_root_of_another_matrix(rng):
    count = 60
    rows = rng.standard_normal((count, 300)) * np.arange(1, 301) ** -0.6
    curvatures = curvatures_from_factors(rows)
    for size, replacement in ((1, True), (8, False)):
        fraction = 1 / size if replacement else (count - size) / (size * (count - 1))
        made = stability_threshold(curvatures, size, replacement=replacement)
        assert made.learning_rate == pytest.approx(threshold_by_roots(rows, fraction), rel=1e-10)


@pytest.mark.parametrize("rank", [1, 2])
def test_the_scalar_products_of_the_factors_decide(rank, rng):
    rows = rng.standard_normal((5, rank, 50))
    weights = np.array([np.diag(rng.uniform(0.5, 2.0, rank)) for _ in range(5)])
    kernel = np.einsum("iad,jbd->iajb", rows, rows)
    kernel = kernel[:, 0, :, 0] if rank == 1 else kernel
    for size, momentum in ((1, 0.0), (3, 0.5)):
        options = {"replacement": False, "momentum": momentum}
        expected = stability_threshold(curvatures_from_factors(rows, weights), size, **options)
        made = stability_threshold(curvatures_from_kernel(kernel, weights), size, **options)
        assert made.learning_rate == pytest.approx(expected.learning_rate, rel=1e-10)
        assert made.dimension == 5 * rank


def test_a_running_mean_has_the_threshold_of_the_heavy_ball_over_one_minus_momentum(rng):
    curvatures, hessians = single_rows(rng)
    beta, size, identity = 0.6, 2, np.eye(3)
    ball = stability_threshold(curvatures, size, replacement=False, momentum=beta).learning_rate
    rate, total = ball / (1 - beta), 0.0
    chosen = batches(NUM_EXAMPLES, size, False)
    for batch in chosen:  # the state is theta and the running mean
        mean = np.hstack([(1 - beta) * hessians[batch].mean(axis=0), beta * identity])
        step = np.vstack([np.hstack([identity, 0 * identity]) - rate * mean, mean])
        total = total + np.kron(step, step)
    assert abs(np.abs(np.linalg.eigvals(total / len(chosen))).max() - 1) < CONDITIONS


def test_directions_that_no_example_bends_change_nothing(rng):
    rows = rng.standard_normal((3, 2))
    padded = np.concatenate([rows, np.zeros((3, 5))], axis=1)
    doubled = np.concatenate([rows, rows], axis=0)  # factors that depend on each other
    one = stability_threshold(curvatures_from_factors(rows), 1, replacement=True)
    for other in (padded, doubled):
        same = stability_threshold(curvatures_from_factors(other), 1, replacement=True)
        assert same.learning_rate == pytest.approx(one.learning_rate, rel=1e-12)
        assert same.dimension == 2


def test_scale_rotation_and_batch_size(rng):
    rows = rng.standard_normal((5, 3))
    rotation = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    rates = [
        stability_threshold(curvatures_from_factors(rows), size, replacement=False).learning_rate
        for size in range(1, 6)
    ]
    assert np.all(np.diff(rates) > 0)
    assert rates[-1] == pytest.approx(2 / np.linalg.eigvalsh(rows.T @ rows / 5)[-1])
    turned = curvatures_from_factors(3 * rows @ rotation)
    made = stability_threshold(turned, 1, replacement=False)
    assert made.learning_rate == pytest.approx(rates[0] / 9)
    assert float(made) == 2 / made.sharpness


def test_a_preconditioner_moves_the_threshold_as_the_preconditioned_step_does(rng):
    curvatures, hessians = single_rows(rng)
    scales = rng.uniform(0.5, 2.0, 3)
    made = stability_threshold(curvatures.preconditioned(scales), 2, replacement=True)
    steps = hessians / scales[:, None]  # P^-1 H_i, not symmetric
    assert abs(spectral_radius(steps, made.learning_rate, 2, True) - 1) < CONDITIONS


def test_one_example_with_all_the_curvature():
    # h = N, 0, 0, ...: eta* = 2 a / E h^2 = 2/N for single examples, although 2/a = 2
    rows = np.zeros((8, 1))
    rows[0] = np.sqrt(8)
    made = stability_threshold(curvatures_from_factors(rows), 1, replacement=True)
    assert made.learning_rate == pytest.approx(2 / 8)
    assert made.full_batch == pytest.approx(2)
    assert "learning rate 0.25" in repr(made)
    assert "batches of 1 of 8 with replacement" in repr(made)


@pytest.mark.parametrize(
    ("curvatures", "message"),
    [
        (curvatures_from_kernel(np.zeros((2, 2))), "every example's Hessian is zero"),
        (curvatures_from_factors(np.zeros((2, 3))), "every example's Hessian is zero"),
        (example_curvatures([[[1.0]], [[-3.0]]]), "negative eigenvalue -1"),
        (
            example_curvatures([np.diag([1.0, 1.0]), np.diag([1.0, -1.0])]),
            r"zero in a direction in which examples have curvature \(root mean square 1\)",
        ),
        (np.eye(2), "curvatures is of type ndarray"),
    ],
)
def test_curvatures_without_a_threshold_are_refused(curvatures, message):
    with pytest.raises(checks.InputError, match=message):
        stability_threshold(curvatures, 1, replacement=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 3, "replacement": False}, "batch_size=3; expected an integer"),
        ({"batch_size": 0, "replacement": True}, "batch_size=0; expected an integer"),
        ({"batch_size": 1, "replacement": None}, "replacement=None; expected True or False"),
        ({"batch_size": 1, "replacement": True, "momentum": 1.0}, "momentum=1.0; expected 0 <="),
        ({"batch_size": 1, "replacement": True, "method": "power"}, "method='power'; expected"),
    ],
)
def test_arguments_that_break_their_rule_are_refused(arguments, message):
    with pytest.raises(checks.InputError, match=message):
        stability_threshold(curvatures_from_factors([[1.0], [2.0]]), **arguments)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: curvatures_from_factors([1.0, 2.0]), r"factors has shape \(2,\)"),
        (lambda: curvatures_from_factors([[np.nan]]), "non-finite"),
        (lambda: curvatures_from_factors([[1.0]], [[1.0]]), "weights has shape"),
        (
            lambda: curvatures_from_factors(np.ones((1, 2, 2)), [[[1.0, 2.0], [0.0, 1.0]]]),
            r"weights\[0\] is not symmetric",
        ),
        (lambda: curvatures_from_kernel(np.ones((2, 3))), "kernel has shape"),
        (lambda: curvatures_from_kernel([[1.0, 2.0], [2.0, 1.0]]), "kernel is not positive semi"),
        (lambda: example_curvatures(np.eye(2)), "hessians has shape"),
        (lambda: example_curvatures([[[1.0, 2.0], [0.0, 1.0]]]), r"hessians\[0\] is not symmetric"),
        (lambda: example_curvatures([[[1.0]]]).along([0.0]), "direction is zero"),
        (lambda: example_curvatures([[[1.0]]]).preconditioned([0.0]), "preconditioner has the"),
    ],
)
def test_curvatures_that_break_their_rule_are_refused(make, message):
    with pytest.raises(checks.InputError, match=message):
        make()


@pytest.mark.parametrize("size", [1, 2, 30])
@pytest.mark.parametrize("count", [1, 3])
def test_a_step_to_the_minimum_has_growth_zero(size, count):
    for scale in (1.0, 3.0):
        curvatures = example_curvatures(np.tile(scale * np.eye(size), (count, 1, 1)))
        for replacement in (True, False):
            growth = second_moment_growth(curvatures, 1 / scale, 1, replacement=replacement)
            assert 0 <= growth < 1e-14


@pytest.mark.parametrize("power", [-1000, -514, -202, 0, 202, 514, 1000])
@pytest.mark.parametrize("make", [single_rows, weighted_rows, indefinite_arrays])
def test_thresholds_and_growths_are_right_in_every_unit(make, power, rng):
    usual, _ = make(rng)
    moved = ExampleCurvatures(np.ldexp(usual.rows, power // 2), usual.weights)
    for momentum in (0.0, 0.9):
        options = {"replacement": True, "momentum": momentum}
        expected = stability_threshold(usual, 2, **options)
        found = stability_threshold(moved, 2, **options)
        for name in ("learning_rate", "full_batch"):
            assert np.ldexp(getattr(found, name), power) == pytest.approx(
                getattr(expected, name), rel=1e-9
            )
        np.testing.assert_allclose(found.direction, expected.direction, atol=1e-5)
    rate = 0.7 * expected.learning_rate
    growth = second_moment_growth(usual, rate, 2, replacement=True)
    found = second_moment_growth(moved, float(np.ldexp(rate, -power)), 2, replacement=True)
    assert found == pytest.approx(growth, rel=1e-9)


def test_a_step_whose_square_is_no_number_is_refused():
    one = example_curvatures([[[1.0]], [[3.0]]])
    with pytest.raises(checks.InputError, match="learning_rate=1e\\+160 makes steps"):
        second_moment_growth(one, 1e160, 1, replacement=True)
    with pytest.raises(checks.InputError, match=r"in units of 2\^\d+, the mean .* negative"):
        stability_threshold(example_curvatures([[[1e200]], [[-3e200]]]), 1, replacement=True)


def test_an_iteration_that_stops_early_is_no_result(rng):
    curvatures = curvatures_from_factors(rng.standard_normal((12, 20)))
    with pytest.raises(NotConverged, match="within 3 products") as caught:
        stability_threshold(curvatures, 1, replacement=True, method="iterative", max_products=3)
    assert caught.value.partial.residuals[0] > 0


def test_a_span_that_does_not_fit_is_refused(monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda: 1000)
    with pytest.raises(memory.AllocationRefused, match="the span of 20 factors of 30 parameters"):
        stability_threshold(curvatures_from_factors(np.ones((20, 30))), 1, replacement=True)
