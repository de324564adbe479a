"""Trace estimators: unbiased, exact where promised, error bars that cover, rates that fall."""

import numpy as np
import pytest
import scipy.stats
import seeds
from reference_matrices import (
    random_positive,
    random_symmetric,
    with_spectrum,
    xtrace_by_separate_decompositions,
)
from scipy.sparse.linalg import LinearOperator, aslinearoperator
from tolerances import assert_equal_up_to_rounding, assert_within_sampling_error

from aniso import checks, estimates, memory
from aniso.matrices import noise, stochastic_alignment, stochastic_traces
from aniso.matrices.factored import DiagonalCovariance
from aniso.matrices.stochastic_traces import rademacher

DIMENSION = 60
ESTIMATORS = [
    stochastic_traces.hutchinson,
    stochastic_traces.hutch_plus_plus,
    stochastic_traces.xtrace,
]
REPLICATIONS = 400


def replicate(estimator, rng, *arguments):
    made = [estimator(*arguments, rng) for _ in range(REPLICATIONS)]
    return (
        np.array([estimate.value for estimate in made]),
        np.array([estimate.standard_error for estimate in made]),
    )


def assert_error_bar(values, errors, factor):
    """The root mean square error bar is the spread of the estimates, within `factor`.

    The spread of 400 estimates is itself known to 3.5 % (normal) or, with the heavier tails of few
    probes, some 10 %; `factor` has four of these and the estimator's own promise.
    """
    ratio = np.sqrt(np.mean(errors**2)) / values.std(ddof=1)
    assert 1 / factor < ratio < factor, f"error bar / spread = {ratio:.3f}"


@pytest.fixture
def matrix(rng):
    return with_spectrum(rng, 1.0 / np.arange(1, DIMENSION + 1)) * 5


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("definite", [True, False])
def test_unbiased_with_an_error_bar_that_covers(estimator, definite, matrix, rng):
    if not definite:
        matrix = random_symmetric(rng, DIMENSION)
    values, errors = replicate(estimator, rng, matrix, 24)
    standard = values.std(ddof=1) / np.sqrt(REPLICATIONS)
    assert_within_sampling_error(values.mean(), np.trace(matrix), standard)
    biased = values.mean() + 0.5 * values.std()
    with pytest.raises(AssertionError, match="sampling"):
        assert_within_sampling_error(biased, np.trace(matrix), standard)
    # Hutchinson and Hutch++ promise the error bar itself; the estimates of XTrace share their
    # vectors, and it promises 0.65 of the spread or more.
    factor = 1.75 if estimator is stochastic_traces.xtrace else 1.4
    assert_error_bar(values, errors, factor)
    for wrong in (0.5, 3.0):
        with pytest.raises(AssertionError, match="error bar"):
            assert_error_bar(values, wrong * errors, factor)


@pytest.mark.parametrize("estimator", ESTIMATORS[1:])
def test_exact_below_the_rank(estimator, rng):
    for rank in (1, 3, 7):
        matrix = random_positive(rng, DIMENSION, rank=rank)
        made = estimator(aslinearoperator(matrix), 24, rng)
        # Sums of D numbers of the trace's size, a few times over.
        assert_equal_up_to_rounding(made.value, np.trace(matrix), num_terms=4 * DIMENSION)
        assert made.standard_error <= 1e-12 * np.trace(matrix)
    above = estimator(random_positive(rng, DIMENSION, rank=30), 24, rng)
    assert above.standard_error > 1e-3


def test_xtrace_survives_an_image_of_low_rank_and_none(rng):
    for size in (20, 100, 180):
        matrix = random_positive(rng, 200, rank=4)
        made = stochastic_traces.xtrace(matrix, size, rng)
        assert_equal_up_to_rounding(made.value, np.trace(matrix), num_terms=4 * 200)
    assert stochastic_traces.xtrace(np.zeros((9, 9)), 8, rng).value == 0
    assert stochastic_traces.hutch_plus_plus(np.zeros((9, 9)), 8, rng).value == 0
    diagonal = np.diag([1.0] + [0.0] * 30)
    made = stochastic_traces.xtrace(diagonal, 12, rng)
    assert_equal_up_to_rounding(made.value, 1.0, num_terms=4 * 31)


def test_xtrace_is_its_leave_one_out_definition(matrix, rng):
    class Fixed(np.random.Generator):
        """Draws the normals that it is given."""

        def standard_normal(self, size):  # noqa: ARG002
            return vectors.copy()

    vectors = rng.standard_normal((DIMENSION, 8))
    made = stochastic_traces.xtrace(matrix, 16, Fixed(np.random.PCG64(0)))
    on_sphere = vectors * np.sqrt(DIMENSION) / np.linalg.norm(vectors, axis=0)
    slow = estimates.Estimate.from_samples(xtrace_by_separate_decompositions(matrix, on_sphere))
    # The triangle's condition, below 1e3, times rounding of D terms.
    np.testing.assert_allclose(made.value, slow.value, rtol=1e-11)
    np.testing.assert_allclose(made.standard_error, slow.standard_error, rtol=1e-8)


def test_variance_of_hutchinsons_probe(rng):
    matrix = random_symmetric(rng, 10)
    made = stochastic_traces.hutchinson(matrix, 40_000, rng)
    variance = 2 * (np.sum(matrix**2) - np.sum(np.diag(matrix) ** 2))
    # The sample variance of 40,000 numbers of kurtosis at most 15.
    assert abs(made.standard_error**2 * 40_000 / variance - 1) < 4 * np.sqrt(14 / 40_000)


def test_rates_fall_as_promised(rng):
    dimension, sizes = 300, np.array([12, 24, 48, 96])
    matrix = with_spectrum(rng, 1.0 / np.arange(1, dimension + 1) ** 2)
    errors = {}
    for estimator in ESTIMATORS:
        squares = [
            np.mean(
                [(estimator(matrix, int(m), rng).value - np.trace(matrix)) ** 2 for _ in range(60)]
            )
            for m in sizes
        ]
        errors[estimator] = estimates.loglog_slope(sizes, np.sqrt(squares)).value
    # Root mean squares of 60 replications are known to some 15 %: slopes to 0.1, four of which.
    assert abs(errors[stochastic_traces.hutchinson] + 0.5) < 0.4
    # Eigenvalues j^-2: the rest beyond k has norm k^-1.5, its mean over k probes k^-2.
    assert errors[stochastic_traces.hutch_plus_plus] < -1.5
    assert errors[stochastic_traces.xtrace] < -1.5


def test_enough_products_give_the_exact_trace(matrix, rng):
    for estimator in ESTIMATORS[1:]:
        made = estimator(aslinearoperator(matrix), DIMENSION, rng)
        assert made.standard_error == 0
        assert_equal_up_to_rounding(made.value, np.trace(matrix), num_terms=DIMENSION)


def test_products_are_those_that_were_granted(matrix, rng):
    counted = []

    def product(block):
        counted.append(block.shape[1])
        return matrix @ block

    operator = LinearOperator((DIMENSION, DIMENSION), matvec=None, matmat=product, dtype=float)
    for estimator, expected in zip(ESTIMATORS, (25, 25, 24), strict=True):
        counted.clear()
        estimator(operator, 25, rng)
        assert sum(counted) == expected


def test_same_seed_same_estimate(matrix):
    for estimator in ESTIMATORS:
        first, second = (estimator(matrix, 12, seeds.generator(5)) for _ in range(2))
        assert first == second


def test_arguments_are_refused(matrix, rng):
    for estimator, fewest in zip(ESTIMATORS, (2, 6, 4), strict=True):
        with pytest.raises(checks.InputError, match=f"{fewest} <= num_products"):
            estimator(matrix, fewest - 1, rng)
        with pytest.raises(checks.InputError, match="rng=5"):
            estimator(matrix, 12, 5)
    with pytest.raises(memory.AllocationRefused, match="lower num_products"):
        stochastic_traces.hutchinson(matrix, 10**15, rng)


@pytest.fixture
def gradients(rng):
    return rng.standard_normal((40, DIMENSION)) * np.linspace(0.1, 2, 40)[:, None] + 1.0


def noise_forms(gradients):
    covariance = noise.gradient_covariance(gradients)
    dense = covariance.to_dense()
    return [covariance, dense, aslinearoperator(dense), DiagonalCovariance(covariance.diagonal())]


def test_alignment_from_probes(matrix, gradients, rng):
    for covariance in noise_forms(gradients):
        dense = covariance if isinstance(covariance, np.ndarray) else covariance @ np.eye(DIMENSION)
        expected = np.trace(matrix @ dense)
        values, errors = replicate(
            stochastic_alignment.alignment_hutchinson, rng, aslinearoperator(matrix), covariance, 10
        )
        standard = values.std(ddof=1) / np.sqrt(REPLICATIONS)
        assert_within_sampling_error(values.mean(), expected, standard)
        assert_error_bar(values, errors, 1.4)


def test_variance_of_the_probes_is_as_documented(matrix, gradients, rng):
    covariance, dense = noise_forms(gradients)[:2]
    inner = covariance.factor @ matrix @ covariance.factor.T
    mixed = (matrix @ dense + dense @ matrix) / 2
    num_probes = 20_000
    for given, core in [(covariance, inner), (dense, mixed)]:
        made = stochastic_alignment.alignment_hutchinson(matrix, given, num_probes, rng)
        variance = 2 * (np.sum(core**2) - np.sum(np.diag(core) ** 2))
        # The sample variance of 20,000 numbers of kurtosis at most 15.
        ratio = made.standard_error**2 * num_probes / variance
        assert abs(ratio - 1) < 4 * np.sqrt(14 / num_probes)
    assert np.linalg.norm(inner) <= np.linalg.norm(mixed)


@pytest.mark.parametrize("num_sampled", [2, 10, 30])
def test_alignment_by_examples_is_unbiased_with_its_correction(matrix, gradients, rng, num_sampled):
    centred = gradients - gradients.mean(axis=0)
    forms = np.einsum("ij,jk,ik->i", centred, matrix, centred)
    values, errors = replicate(
        stochastic_alignment.alignment_by_examples, rng, matrix, gradients, num_sampled
    )
    standard = values.std(ddof=1) / np.sqrt(REPLICATIONS)
    assert_within_sampling_error(values.mean(), forms.mean(), standard)
    expected = forms.std(ddof=1) / np.sqrt(num_sampled) * np.sqrt(1 - num_sampled / 40)
    # The squared error bar is unbiased: its mean within four of its own standard errors.
    squares = errors**2
    assert_within_sampling_error(
        squares.mean(), expected**2, squares.std(ddof=1) / np.sqrt(REPLICATIONS)
    )
    if num_sampled == 30:
        with pytest.raises(AssertionError, match="error bar"):
            assert_error_bar(values, errors / np.sqrt(1 - 30 / 40), 1.6)  # without the correction
    uncentred = np.einsum("ij,jk,ik->", gradients, matrix, gradients) / 40
    with pytest.raises(AssertionError, match="sampling"):
        assert_within_sampling_error(values.mean(), uncentred, standard)


def test_all_examples_are_exact_in_any_convention(matrix, gradients, rng):
    one = noise.gradient_covariance(gradients)
    batch = noise.minibatch_covariance(one, 5, replacement=False)
    for given, dense in [(gradients, one.to_dense()), (batch, batch.to_dense())]:
        made = stochastic_alignment.alignment_by_examples(aslinearoperator(matrix), given, 40, rng)
        assert made.standard_error == 0
        expected = np.trace(matrix @ dense)
        assert_equal_up_to_rounding(made.value, expected, num_terms=40 * DIMENSION)


def test_alignment_arguments_are_refused(matrix, gradients, rng):
    with pytest.raises(checks.InputError, match="num_sampled <= N=40"):
        stochastic_alignment.alignment_by_examples(matrix, gradients, 41, rng)
    with pytest.raises(checks.InputError, match=r"expected \(60, 60\)"):
        stochastic_alignment.alignment_by_examples(matrix, gradients[:, :5], 4, rng)
    with pytest.raises(checks.InputError, match="2 <= num_probes"):
        stochastic_alignment.alignment_hutchinson(matrix, np.eye(DIMENSION), 1, rng)


def test_uniform_signs(rng):
    signs = rademacher(rng, 10_000)
    assert set(np.unique(signs)) == {-1.0, 1.0}
    assert scipy.stats.binomtest(int((signs > 0).sum()), 10_000).pvalue > 6e-5
