"""Indicators: named identities, every combination of arrays and operators, honest refusals."""

import itertools

import numpy as np
import pytest
from reference_matrices import random_positive, random_symmetric, symmetrised, with_spectrum
from scipy.sparse import csr_array
from scipy.sparse.linalg import LinearOperator, aslinearoperator
from tolerances import assert_equal_up_to_rounding

from aniso import checks
from aniso.matrices import (
    eigenpairs,
    exact_traces,
    indicators,
    operands,
    subspaces,
)
from aniso.matrices import (
    noise as gradient_noise,
)
from aniso.matrices.factored import DiagonalCovariance, FactoredCovariance

DIMENSION, EXAMPLES = 9, 5


@pytest.fixture
def hessian(rng):
    return symmetrised(with_spectrum(rng, [8.0, 4.0, 2.0, 1.0, 0.5, 0.2, 0.1, 0.0, 0.0]))


@pytest.fixture
def gradients(rng):
    return rng.standard_normal((EXAMPLES, DIMENSION)) + 1.0


def test_alignment_is_the_sum_over_examples(hessian, gradients):
    centred = gradients - gradients.mean(axis=0)
    expected = sum(row @ hessian @ row for row in centred) / EXAMPLES
    uncentred = sum(row @ hessian @ row for row in gradients) / EXAMPLES
    made = indicators.alignment(hessian, gradient_noise.gradient_covariance(gradients))
    # N D^2 products, none negative.
    assert_equal_up_to_rounding(made, expected, num_terms=EXAMPLES * DIMENSION**2)
    for wrong in (uncentred, 1.05 * expected):
        with pytest.raises(AssertionError, match="rounding"):
            assert_equal_up_to_rounding(made, wrong, num_terms=EXAMPLES * DIMENSION**2)
    fisher = gradient_noise.empirical_fisher(gradients)
    assert_equal_up_to_rounding(
        indicators.alignment(hessian, fisher), uncentred, num_terms=EXAMPLES * DIMENSION**2
    )


def forms(matrix, rng):
    """One symmetric positive semi-definite matrix as array, operators and factor."""
    values, vectors = np.linalg.eigh(matrix)
    wide = (vectors * np.sqrt(np.maximum(values, 0))).T
    mixing = np.linalg.qr(rng.standard_normal((2 * DIMENSION, DIMENSION)))[0]
    return [
        matrix,
        aslinearoperator(matrix),
        csr_array(matrix),
        FactoredCovariance(wide, 1.0),
        FactoredCovariance(mixing @ wide / np.sqrt(3), 3.0),  # more rows than columns
    ]


def test_every_combination_of_forms_gives_the_same(hessian, rng):
    covariance = random_positive(rng, DIMENSION)
    expected = np.trace(hessian @ covariance)
    ratio = DIMENSION * expected / np.trace(hessian) / np.trace(covariance)
    vector = np.linalg.eigh(hessian)[1][:, -1]
    coefficient = vector @ covariance @ vector * np.trace(hessian) / (8 * np.trace(covariance))
    for first, second in itertools.product(forms(hessian, rng), forms(covariance, rng)):
        # D^2 products; the factors come from an eigendecomposition, a few D eps more.
        many = 4 * DIMENSION**2
        assert_equal_up_to_rounding(indicators.alignment(first, second), expected, num_terms=many)
        assert_equal_up_to_rounding(indicators.trace_ratio(first, second), ratio, num_terms=many)
        assert_equal_up_to_rounding(
            indicators.projection_coefficient(first, second), coefficient, num_terms=many
        )


def test_diagonal_noise_needs_only_the_diagonal(hessian):
    noise = DiagonalCovariance(np.arange(1.0, DIMENSION + 1))
    expected = np.diag(hessian) @ noise.variances
    for form in (hessian, aslinearoperator(hessian)):
        assert_equal_up_to_rounding(indicators.alignment(form, noise), expected, num_terms=9)


def test_isotropic_noise_has_ratio_one_and_other_noise_has_not(hessian):
    isotropic = DiagonalCovariance(np.full(DIMENSION, 0.7))
    assert_equal_up_to_rounding(
        indicators.trace_ratio(hessian, isotropic), 1.0, num_terms=2 * DIMENSION
    )
    tilted = isotropic.to_dense() + 0.1 * hessian
    with pytest.raises(AssertionError, match="rounding"):
        assert_equal_up_to_rounding(
            indicators.trace_ratio(hessian, tilted), 1.0, num_terms=2 * DIMENSION
        )


def test_noise_like_the_hessian(hessian):
    expected = DIMENSION * np.linalg.norm(hessian) ** 2 / np.trace(hessian) ** 2
    made = indicators.trace_ratio(hessian, 0.3 * hessian)
    assert_equal_up_to_rounding(made, expected, num_terms=DIMENSION**2)
    # The coefficient is then 1, whatever the spectrum.
    assert_equal_up_to_rounding(
        indicators.projection_coefficient(hessian, 0.3 * hessian), 1.0, num_terms=DIMENSION**2
    )


def test_rotation_and_scale_change_no_ratio(hessian, rng):
    covariance = random_positive(rng, DIMENSION)
    basis = np.linalg.qr(rng.standard_normal((DIMENSION, DIMENSION)))[0]
    rotated = [symmetrised(basis @ matrix @ basis.T) for matrix in (hessian, covariance)]
    for function in (indicators.trace_ratio, indicators.projection_coefficient):
        reference = function(hessian, covariance)
        for other in (function(*rotated), function(1e-9 * hessian, 1e9 * covariance)):
            assert_equal_up_to_rounding(other, reference, num_terms=4 * DIMENSION**2)


def test_batch_size_and_learning_rate_scale_the_alignment_but_no_ratio(hessian, gradients):
    one = gradient_noise.gradient_covariance(gradients)
    batch = gradient_noise.minibatch_covariance(one, 2, replacement=False)
    diffusion = gradient_noise.diffusion_covariance(batch, 0.1)
    base = indicators.alignment(hessian, one)
    np.testing.assert_allclose(indicators.alignment(hessian, batch), base * 3 / 8, rtol=1e-14)
    np.testing.assert_allclose(indicators.alignment(hessian, diffusion), base * 0.3 / 8, rtol=1e-14)
    rate = indicators.escape_rate(hessian, diffusion)
    np.testing.assert_allclose(rate, base * 0.3 / 16, rtol=1e-14)
    with pytest.raises(checks.InputError, match="expected the diffusion covariance"):
        indicators.escape_rate(hessian, batch)
    for function in (indicators.trace_ratio, indicators.projection_coefficient):
        np.testing.assert_allclose(function(hessian, diffusion), function(hessian, one), rtol=1e-13)


def test_a_zero_trace_is_refused(hessian, gradients):
    silent = gradient_noise.gradient_covariance(np.ones_like(gradients))
    traceless = np.diag([1.0, -1.0])
    for function in (indicators.trace_ratio, indicators.projection_coefficient):
        with pytest.raises(checks.InputError, match="trace of covariance is 0"):
            function(hessian, silent)
        with pytest.raises(checks.InputError, match="trace of hessian is 0"):
            function(traceless, np.eye(2))
        with pytest.raises(checks.InputError, match="trace of hessian is 0"):
            function(np.zeros((2, 2)), np.eye(2))
    with pytest.raises(checks.InputError, match="trace of covariance is 0"):
        subspaces.captured_share(silent, np.eye(DIMENSION))


def test_an_ambiguous_leading_eigenvector_is_refused_unless_chosen():
    double = np.diag([2.0, 2.0, 1.0])
    covariance = np.diag([1.0, 3.0, 0.0])
    with pytest.raises(checks.InputError, match="multiple"):
        indicators.projection_coefficient(double, covariance)
    chosen = eigenpairs.EigenPairs(np.array([2.0]), np.eye(3)[:, 1:2], np.zeros(1), 0)
    made = indicators.projection_coefficient(double, covariance, leading=chosen)
    np.testing.assert_allclose(made, 3 * 5 / (2 * 4), rtol=1e-15)
    with pytest.raises(checks.InputError, match=r"matrices\.EigenPairs"):
        indicators.projection_coefficient(double, covariance, leading=(2.0, np.eye(3)[0]))
    with pytest.raises(checks.InputError, match="expected a positive one"):
        indicators.projection_coefficient(-np.diag([1.0, 2.0]), np.eye(2))
    assert indicators.projection_coefficient([[2.0]], [[3.0]]) == 1


def test_a_leading_vector_that_is_given_has_unit_length():
    def coefficient(vectors):
        given = eigenpairs.EigenPairs([2.0], vectors, np.zeros(1), 0)
        return indicators.projection_coefficient(
            np.diag([2.0, 1.0]), np.diag([3.0, 1.0]), leading=given
        )

    assert coefficient([[1.0], [0.0]]) == 3 * 3 / (2 * 4)
    single = np.float32([[0.6], [0.8]])
    np.testing.assert_allclose(coefficient(single), (3 * 0.36 + 0.64) * 3 / (2 * 4), rtol=1e-6)
    # the vectors that are not used may be anything
    assert coefficient(np.array([[1.0, 5.0], [0.0, 5.0]])) == 3 * 3 / (2 * 4)
    for wrong in ([[2.0], [0.0]], [[0.6], [0.81]], [[0.0], [0.0]]):
        with pytest.raises(checks.InputError, match=r"leading\.vectors are not orthonormal"):
            coefficient(wrong)


def test_a_price_beyond_the_limit_is_refused_with_the_estimator(hessian, gradients):
    operator = aslinearoperator(hessian)
    one = gradient_noise.gradient_covariance(gradients)
    with pytest.raises(checks.InputError, match=r"needs 5 products.*estimate_alignment"):
        indicators.alignment(operator, one, max_products=4)
    with pytest.raises(checks.InputError, match=r"needs 9 products.*estimate_alignment"):
        indicators.alignment(operator, operator, max_products=8)
    with pytest.raises(checks.InputError, match=r"needs 9 products.*hutch_plus_plus"):
        indicators.trace_ratio(operator, one, max_products=8)
    # An array costs no products of anything.
    assert indicators.alignment(hessian, one, max_products=1) > 0


def test_factors_in_several_blocks(hessian, gradients, monkeypatch):
    one = gradient_noise.gradient_covariance(gradients)
    expected = indicators.alignment(hessian, one)
    monkeypatch.setattr(operands, "_BLOCK_BYTES", 8 * DIMENSION * 2)
    for form in (hessian, aslinearoperator(hessian)):
        assert_equal_up_to_rounding(indicators.alignment(form, one), expected, num_terms=400)
    np.testing.assert_allclose(
        exact_traces.diagonal(aslinearoperator(hessian)), np.diag(hessian), rtol=1e-15
    )


def test_subspaces(rng):
    basis = np.linalg.qr(rng.standard_normal((DIMENSION, DIMENSION)))[0]
    turn = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    first = basis[:, :3]
    for other, expected in [
        (first @ turn, 1.0),
        (basis[:, 3:5], 0.0),
        (basis[:, 2:6], 1 / 3),
        (basis, 1.0),
    ]:
        made = subspaces.subspace_overlap(first, other)
        # Cosines to D eps, squared.
        assert abs(made - expected) < 100 * np.finfo(float).eps
    angle = 0.3
    tilted = np.cos(angle) * basis[:, :1] + np.sin(angle) * basis[:, 4:5]
    np.testing.assert_allclose(subspaces.principal_cosines(first, tilted), np.cos(angle))
    with pytest.raises(checks.InputError, match="not orthonormal"):
        subspaces.subspace_overlap(2 * first, first)
    with pytest.raises(checks.InputError, match="shape"):
        subspaces.subspace_overlap(first, first[:-1])
    with pytest.raises(checks.InputError, match="at least one column"):
        subspaces.subspace_overlap(first, first[:, :0])


def test_captured_share(rng):
    covariance = random_positive(rng, DIMENSION)
    values, vectors = np.linalg.eigh(covariance)
    made = subspaces.captured_share(covariance, vectors[:, -2:])
    np.testing.assert_allclose(made, values[-2:].sum() / values.sum(), rtol=1e-12)
    np.testing.assert_allclose(
        subspaces.captured_share(np.eye(DIMENSION), vectors[:, :4]), 4 / DIMENSION, rtol=1e-14
    )


def test_wrong_operands_are_refused(hessian, rng):
    asymmetric = rng.standard_normal((3, 3))
    complex_operator = LinearOperator((3, 3), matvec=lambda v: v, dtype=complex)
    for wrong, text in [
        (asymmetric, "not symmetric"),
        (complex_operator, "dtype complex128"),
        (aslinearoperator(np.ones((3, 2))), "square operator"),
    ]:
        with pytest.raises(checks.InputError, match=text):
            indicators.alignment(wrong, np.eye(3))
    with pytest.raises(checks.InputError, match=r"expected \(9, 9\)"):
        indicators.alignment(hessian, aslinearoperator(np.eye(3)))
    for indefinite in (np.diag([1.0, -1.0]), np.array([[1.0, 2.0], [2.0, 1.0]])):
        with pytest.raises(checks.InputError, match="not positive semi-definite"):
            indicators.alignment(np.eye(2), indefinite)
    with pytest.raises(checks.InputError, match=r"negative variance -1\.0 at index 1"):
        indicators.alignment(np.eye(2), csr_array(np.diag([1.0, -1.0])))
    broken = aslinearoperator(np.full((2, 2), np.nan))
    one_row = gradient_noise.empirical_fisher([[1.0, 1.0]])
    for pair in ((broken, np.eye(2)), (np.eye(2), broken), (broken, one_row)):
        with pytest.raises(checks.InputError, match="not finite"):
            indicators.alignment(*pair)
    with pytest.raises(checks.InputError, match="not finite"):
        indicators.trace_ratio(broken, np.eye(2))
    # An indefinite Hessian is no mistake.
    assert np.isfinite(indicators.alignment(random_symmetric(rng, 3), np.eye(3)))


def test_eigenvectors_in_single_precision_span_a_subspace(rng):
    basis = np.linalg.qr(rng.standard_normal((50, 5)))[0]
    single = basis.astype(np.float32)
    assert np.abs(single.astype(float).T @ single - np.eye(5)).max() > 1e-8
    assert subspaces.subspace_overlap(single, basis) == pytest.approx(1.0, abs=1e-6)
    with pytest.raises(checks.InputError, match="not orthonormal"):
        subspaces.subspace_overlap(1.001 * single, basis)
