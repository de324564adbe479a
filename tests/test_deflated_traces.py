"""Alignment by deflation: exact to the rank, unbiased by enumeration, error bars that cover."""

import itertools

import numpy as np
import pytest
import seeds
from reference_matrices import random_positive, random_symmetric, with_spectrum
from scipy.sparse.linalg import LinearOperator, aslinearoperator
from tolerances import assert_equal_up_to_rounding, assert_within_sampling_error

from aniso import checks
from aniso.estimates import Estimate, NotConverged
from aniso.matrices import (
    DiagonalCovariance,
    ExampleGradients,
    alignment_deflated,
    estimate_alignment,
    gradient_covariance,
    minibatch_covariance,
    trace_deflated,
)
from aniso.matrices._deflation import Deflation
from aniso.matrices._trace_sources import source_of

DIMENSION = 20


class EverySign(np.random.Generator):
    """Draws each vector of n signs once, in order."""

    def integers(self, low, high, size, dtype):  # noqa: ARG002
        return np.array(list(itertools.product((0, 1), repeat=size[1])), dtype)[: size[0]]


def counted(matrix):
    """An operator of a matrix, and the list of the numbers of vectors it has multiplied."""
    numbers = []

    def product(vectors):
        numbers.append(1 if vectors.ndim == 1 else vectors.shape[1])
        return matrix @ vectors

    return LinearOperator(matrix.shape, matvec=product, matmat=product, dtype=float), numbers


def reached(*arguments, **options):
    """The estimate, whether or not it met its target."""
    try:
        return estimate_alignment(*arguments, **options)
    except NotConverged as error:
        return error.partial


@pytest.fixture
def hessian(rng):
    return with_spectrum(rng, 3.0 / np.arange(1, DIMENSION + 1))


@pytest.fixture
def covariance(rng):
    rows = rng.standard_normal((30, DIMENSION)) / np.arange(1, DIMENSION + 1)
    return gradient_covariance(rows + 1.0)


def test_the_mean_over_all_signs_is_the_trace_for_any_basis(rng):
    num_rows = 6
    rows = rng.standard_normal((num_rows, DIMENSION))
    matrix, every = random_symmetric(rng, DIMENSION), EverySign(np.random.PCG64(0))
    covariance = gradient_covariance(rows)
    expected = np.trace(matrix @ covariance.to_dense())
    run = Deflation(matrix, source_of(covariance), 3, every)
    for basis in (run.basis, np.linalg.qr(rng.standard_normal((num_rows, 3)))[0]):
        run.basis = basis
        rest = run.rest(3, 2**num_rows)
        made = run.within(0, 3) + rest.value
        size = np.linalg.norm(matrix) * covariance.trace()
        assert_equal_up_to_rounding(made, expected, num_terms=40 * DIMENSION, scale=size)
        # planted: probes that are not projected count the deflated directions twice
        twice = run.within(0, 3) + run.rest(0, 2**num_rows).value
        assert abs(twice - expected) > 1e-6 * abs(expected)


def test_the_error_is_that_of_the_projected_probes(hessian, covariance):
    run = Deflation(hessian, source_of(covariance), 3, seeds.generator())
    factor, basis = covariance.factor, run.basis
    outside = np.eye(len(basis)) - basis @ basis.T
    rest = outside @ factor @ hessian @ factor.T @ outside
    variance = 2 * (np.sum(rest**2) - np.sum(np.diag(rest) ** 2))
    squares = [run.rest(3, 4).standard_error ** 2 * 4 for _ in range(300)]
    pilots = [run.pilot(3).variances[0] for _ in range(300)]
    for found in (squares, pilots):
        spread = np.std(found) / np.sqrt(300)
        assert_within_sampling_error(np.mean(found), variance, spread)
    with pytest.raises(AssertionError, match="sampling"):
        assert_within_sampling_error(np.mean(squares), 2 * np.sum(rest**2) * 1.5, spread)


@pytest.mark.parametrize("kind", ["factored", "array", "operator", "diagonal"])
def test_a_covariance_of_few_directions_has_no_error(kind, hessian, rng):
    covariance = gradient_covariance(rng.standard_normal((4, DIMENSION)))  # of rank 3
    dense = np.asarray(covariance.to_dense())
    if kind == "diagonal":
        covariance = DiagonalCovariance(np.r_[1.0, 2.0, 3.0, np.zeros(DIMENSION - 3)])
        dense = covariance.to_dense()
    given = {"array": dense, "operator": aslinearoperator(dense)}.get(kind, covariance)
    operator, numbers = counted(hessian)
    for options in ({"num_pairs": 3, "num_probes": 4}, {}):
        numbers.clear()
        found = alignment_deflated(operator, given, rng, **options)
        assert found.standard_error == 0
        assert sum(numbers) == found.num_products <= 8
        size = np.linalg.norm(hessian) * np.trace(dense)
        expected = np.trace(hessian @ dense)
        assert_equal_up_to_rounding(found.value, expected, num_terms=DIMENSION**2, scale=size)
        assert found.interval() == (found.value, found.value)
        assert found.num_samples == found.num_pairs
        assert "probes" not in str(found)
    fewer = alignment_deflated(operator, given, rng, num_pairs=2, num_probes=4)
    # a single variance that is left needs no probe twice
    assert kind == "diagonal" or fewer.standard_error > 1e-6


class SinglePrecision(ExampleGradients):
    """Gradients in single precision that are not centred at once."""

    def __init__(self, array):
        self.array, self.dtype = array.astype(np.float32), np.dtype(np.float32)
        self.shape = array.shape

    def project(self, vectors):
        return self.array @ vectors

    def combine(self, weights):
        return weights @ self.array

    def rows(self, start, stop):
        return self.array[start:stop].copy()


def test_single_precision_drops_no_small_variance(rng):
    # one direction outweighs the others, but the curvature along it is small
    sizes = np.r_[1.0, np.full(49, 2e-3)]
    rows = rng.standard_normal((20_000, 50)) * sizes
    hessian = np.diag(np.r_[1e-5, np.ones(49)])
    expected = np.sum(np.diag(hessian) * rows.var(axis=0))
    covariance = gradient_covariance(SinglePrecision(rows))
    for options in ({}, {"num_pairs": 2, "num_probes": 18}):
        found = alignment_deflated(aslinearoperator(hessian), covariance, rng, **options)
        assert abs(found.value - expected) <= 6 * found.standard_error + 1e-5 * expected
    # planted: what lies beyond the directions is not rounding
    assert found.standard_error > 0
    assert found.num_samples == 18
    assert abs(found.deflated - expected) > 0.5 * expected
    # of all directions, rounding in single precision is left, and the error says so
    narrow = gradient_covariance(SinglePrecision(rows[:, :3]))
    found = alignment_deflated(hessian[:3, :3], narrow, rng, num_pairs=3, num_probes=4)
    exact = np.sum(np.diag(hessian)[:3] * rows[:, :3].var(axis=0))
    assert 0 < found.standard_error < 1e-5 * exact
    assert abs(found.value - exact) < 1e-5 * exact


def test_intervals_cover(hessian, covariance):
    expected, rng = np.trace(hessian @ covariance.to_dense()), seeds.generator()
    found = [
        alignment_deflated(hessian, covariance, rng, num_pairs=4, num_probes=8) for _ in range(500)
    ]
    values = np.array([each.value for each in found])
    assert_within_sampling_error(values.mean(), expected, values.std() / np.sqrt(500))

    def assert_covers(intervals, confidence):
        # the error is steadier than Student's t allows for: some 0.03 more are covered
        low, high = np.transpose(intervals)
        covered = np.mean((low <= expected) & (expected <= high))
        spread = 4 * np.sqrt(confidence * (1 - confidence) / 500)
        assert -spread < covered - confidence < 0.04 + spread, f"covered {covered}"

    for confidence in (0.5, 0.95):
        assert_covers([each.interval(confidence) for each in found], confidence)
    for wrong in (0.5, 2.0):  # planted: an error of half and of twice the size
        planted = [Estimate(e.value, wrong * e.standard_error, 8).interval(0.5) for e in found]
        with pytest.raises(AssertionError, match="covered"):
            assert_covers(planted, 0.5)


def test_a_target_is_planned_and_kept(hessian, covariance):
    expected, operator = np.trace(hessian @ covariance.to_dense()), counted(hessian)[0]
    rng, missed = seeds.generator(), 0
    for _ in range(100):
        try:
            found = alignment_deflated(operator, covariance, rng, relative_error=0.02)
        except NotConverged as error:
            missed, found = missed + 1, error.partial
        else:
            assert found.standard_error <= 0.02 * found.value
        assert found.num_products <= 32
        assert abs(found.value - expected) <= 6 * found.standard_error + 1e-12
    assert missed <= 5
    one = alignment_deflated(operator, covariance, seeds.generator(1), relative_error=1e-9)
    # the exact trace takes no more than D products, the probes would take millions
    assert one.standard_error == 0
    assert_equal_up_to_rounding(one.value, expected, num_terms=40 * DIMENSION)


def test_fewer_products_than_hutchinson(hessian, rng):
    rows = rng.standard_normal((2000, DIMENSION)) / np.arange(1, DIMENSION + 1) ** 2
    covariance, big = gradient_covariance(rows), np.kron(np.eye(60), hessian)
    wide = gradient_covariance(np.tile(rows, (1, 60)))
    operator, _ = counted(big)
    found = {
        method: reached(operator, wide, rng, method=method, relative_error=0.05)
        for method in ("deflated", "hutchinson", "examples")
    }
    expected = 60 * np.trace(hessian @ covariance.to_dense())
    for made in found.values():
        assert abs(made.value - expected) <= 6 * max(made.standard_error, 1e-12 * expected)
    assert 5 * found["deflated"].num_products < found["hutchinson"].num_products
    assert 5 * found["deflated"].num_products < found["examples"].num_products


def test_a_missed_target_hands_over_what_was_reached(rng):
    matrix = random_symmetric(rng, 60)  # indefinite, so that the trace nearly vanishes
    matrix -= np.eye(60) * np.trace(matrix) / 60
    covariance, operator = DiagonalCovariance(np.ones(60)), aslinearoperator(matrix)
    with pytest.raises(NotConverged, match="max_products=40") as caught:
        alignment_deflated(operator, covariance, rng, relative_error=1e-3, max_products=40)
    partial = caught.value.partial
    assert partial.num_products <= 40
    assert partial.standard_error > 0
    assert abs(partial.value) < 6 * partial.standard_error
    rows = rng.standard_normal((50, 60))
    with pytest.raises(NotConverged, match="examples is above") as caught:
        estimate_alignment(
            operator, gradient_covariance(rows), rng, method="examples", max_products=40
        )
    assert caught.value.partial.num_products <= 40


def test_products_are_counted(hessian, covariance, rng):
    operator, numbers = counted(hessian)
    for options in ({}, {"num_pairs": 2}, {"num_probes": 12}, {"num_pairs": 5, "num_probes": 3}):
        numbers.clear()
        found = alignment_deflated(operator, covariance, rng, relative_error=0.5, **options)
        assert sum(numbers) == found.num_products
        assert found.num_pairs == options.get("num_pairs", found.num_pairs)
        assert found.num_samples == options.get("num_probes", found.num_samples)
    for method in ("deflated", "hutchinson", "examples"):
        numbers.clear()
        found = estimate_alignment(operator, covariance, rng, method=method, num_products=12)
        # the first sampling of examples probes the symmetry by two products
        assert sum(numbers) - found.num_products in (0, 2)
        assert found.num_products == 12


def test_the_convention_scales_the_estimate(hessian, covariance):
    batch = minibatch_covariance(covariance, 5, replacement=True)
    one, other = (alignment_deflated(hessian, c, seeds.generator(2)) for c in (covariance, batch))
    assert other.value == pytest.approx(one.value / 5, rel=1e-12)
    assert one.scaled(0.2).standard_error == pytest.approx(other.standard_error, rel=1e-9)


def test_the_trace_of_the_hessian(rng):
    matrix = with_spectrum(rng, np.r_[50.0, 20.0, np.full(38, 0.5)])
    operator, leading = aslinearoperator(matrix), np.linalg.eigh(matrix)[1][:, -2:]
    for directions in (None, leading, rng.standard_normal((40, 3))):
        values = np.array(
            [trace_deflated(matrix, rng, directions=directions, num_probes=4) for _ in range(200)]
        )
        numbers = np.array([found.value for found in values])
        spread = numbers.std() / np.sqrt(200)
        assert_within_sampling_error(numbers.mean(), 89.0, spread + 1e-9)
    found = trace_deflated(operator, rng, directions=leading)
    # the rest is 0.5 times a projection, whose probes hardly spread
    assert found.num_products <= 14
    assert abs(found.value - 89) < 6 * found.standard_error + 1e-9
    low = random_positive(rng, 40, rank=5)
    exact = trace_deflated(low, rng, num_probes=2)
    assert_equal_up_to_rounding(exact.value, np.trace(low), num_terms=40**2)


def test_arguments_are_refused(hessian, covariance, rng):
    for options, message in [
        ({"num_pairs": -1}, "0 <= num_pairs"),
        ({"num_probes": 1}, "2 <= num_probes"),
        ({"relative_error": 0.0}, "0 < relative_error"),
        ({"max_products": 3}, "12 <= max_products"),
    ]:
        with pytest.raises(checks.InputError, match=message):
            alignment_deflated(hessian, covariance, rng, **options)
    with pytest.raises(checks.InputError, match="rng=3"):
        alignment_deflated(hessian, covariance, 3)
    with pytest.raises(checks.InputError, match=r"expected \(20, 20\)"):
        alignment_deflated(hessian, np.eye(3), rng)
    with pytest.raises(checks.InputError, match="one of: deflated, hutchinson, examples"):
        estimate_alignment(hessian, covariance, rng, method="exact")
    with pytest.raises(checks.InputError, match="one of them"):
        estimate_alignment(hessian, covariance, rng, relative_error=0.1, num_products=8)
    with pytest.raises(checks.InputError, match="samples the rows of its factor"):
        estimate_alignment(hessian, np.eye(DIMENSION), rng, method="examples")
    with pytest.raises(checks.InputError, match=r"directions has shape \(3,\)"):
        trace_deflated(hessian, rng, directions=np.ones(3))


def test_intervals_by_hand():
    # t of 0.975 with one degree of freedom is 12.7062
    low, high = Estimate(1.0, 2.0, 2).interval()
    np.testing.assert_allclose([low, high], [1 - 25.41241, 1 + 25.41241], rtol=1e-6)
    assert Estimate(1.0, np.inf, 1).interval() == (-np.inf, np.inf)
    with pytest.raises(checks.InputError, match="0 < confidence < 1"):
        Estimate(1.0, 2.0, 2).interval(1.0)
