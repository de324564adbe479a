"""Shares in the leading space, the Frobenius angle, and power laws with their intervals."""

import numpy as np
import pytest
import scipy.stats
import seeds
from problem_cases import Architecture, ProblemCase
from reference_matrices import random_positive, random_symmetric
from scipy.sparse.linalg import aslinearoperator
from tolerances import assert_equal_up_to_rounding

from aniso import checks, matrices
from aniso.matrices.factored import DiagonalCovariance
from aniso.networks import Network
from aniso.problems import SoftmaxCrossEntropy

# ---- shares


def test_shares_of_diagonal_matrices_by_hand():
    pairs = matrices.leading_eigenpairs(np.diag([5.0, 3.0, 1.0, 0.0]), 3)
    made = matrices.leading_shares([1.0, 2.0, 2.0, 4.0], np.diag([6.0, 1.0, 2.0, 3.0]), pairs)
    np.testing.assert_allclose(made.gradient, np.array([1, 5, 9]) / 25, rtol=1e-14)
    np.testing.assert_allclose(made.noise, np.array([6, 7, 9]) / 12, rtol=1e-14)
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(made.noise, made.gradient, rtol=1e-2)


def test_shares_are_those_of_the_projection(rng):
    hessian, rows = random_symmetric(rng, 7), rng.normal(size=(9, 7)) + 1
    pairs, mean = matrices.leading_eigenpairs(hessian, 3), rows.mean(axis=0)
    covariance = matrices.gradient_covariance(rows)
    made = matrices.leading_shares(mean, covariance, pairs)
    for k in (1, 2, 3):
        projection = pairs.vectors[:, :k] @ pairs.vectors[:, :k].T
        dense = np.asarray(covariance.to_dense())
        noise = np.trace(projection @ dense) / np.trace(dense)
        share = np.sum((projection @ mean) ** 2) / np.sum(mean**2)
        np.testing.assert_allclose([made.gradient[k - 1], made.noise[k - 1]], [share, noise])
    np.testing.assert_allclose(
        made.noise[-1], matrices.captured_share(covariance, pairs.vectors), rtol=1e-12
    )


def test_shares_without_meaning_are_refused():
    pairs = matrices.leading_eigenpairs(np.diag([2.0, 1.0]), 1)
    for gradient, covariance, leading, match in (
        (np.zeros(2), np.eye(2), pairs, "gradient is 0"),
        (np.ones(3), np.eye(2), pairs, "gradient has shape"),
        (np.ones(2), np.zeros((2, 2)), pairs, "trace of covariance"),
        (np.ones(2), np.eye(2), pairs.vectors, "expected a matrices.EigenPairs"),
    ):
        with pytest.raises(checks.InputError, match=match):
            matrices.leading_shares(gradient, covariance, leading)


# ---- the angle


def test_the_angle_of_every_form_is_the_dense_one(rng):
    hessian, rows = random_symmetric(rng, 6), rng.normal(size=(4, 6)) + 1
    covariance = matrices.gradient_covariance(rows)
    dense = np.asarray(covariance.to_dense())
    sizes = np.linalg.norm(hessian), np.linalg.norm(dense)
    product = np.trace(hessian @ dense)
    for curvature in (hessian, aslinearoperator(hessian)):
        for noise in (dense, covariance, aslinearoperator(dense)):
            made = matrices.frobenius_alignment(curvature, noise)
            expected = product / sizes[0] / sizes[1], product / sizes[0] ** 2
            scale = max(1.0, *map(abs, expected))
            found = made.cosine, made.coefficient
            assert_equal_up_to_rounding(found, expected, num_terms=200, scale=scale)
            distance = np.linalg.norm(dense - made.coefficient * hessian) / sizes[1]
            np.testing.assert_allclose(made.residual, distance, rtol=1e-9)
    np.testing.assert_allclose(
        matrices.frobenius_norm(DiagonalCovariance([3.0, 4.0])), 5.0, rtol=1e-15
    )


def test_norm_and_angle_keep_their_digits_in_every_unit(rng):
    hessian, covariance = random_symmetric(rng, 4), random_positive(rng, 4)
    norm = matrices.frobenius_norm(hessian)
    made = matrices.frobenius_alignment(hessian, covariance)
    estimate = matrices.cosine_alignment_hutchinson(hessian, covariance, 9, seeds.generator(1))
    for exponents in [(-550, 0), (650, 0), (-500, 500), (0, -550), (500, -500)]:
        one, other = 2.0 ** np.array(exponents)
        assert matrices.frobenius_norm(one * hessian) == one * norm
        far = matrices.frobenius_alignment(one * hessian, other * covariance)
        np.testing.assert_allclose(far.cosine, made.cosine, rtol=1e-14)
        np.testing.assert_allclose(far.coefficient / other * one, made.coefficient, rtol=1e-14)
        found = matrices.cosine_alignment_hutchinson(
            one * hessian, aslinearoperator(other * covariance), 9, seeds.generator(1)
        )
        assert found == estimate
    assert matrices.frobenius_norm([[1e200]]) == 1e200
    assert matrices.frobenius_norm([[1e-170]]) == 1e-170
    assert matrices.frobenius_norm(aslinearoperator(np.zeros((2, 2)))) == 0


def test_what_leaves_the_numbers_is_refused():
    tiny, huge = 1e-170 * np.eye(2), 1e200 * np.eye(2)
    for tell, message in [
        (lambda: matrices.frobenius_norm(aslinearoperator(tiny)), "size 1e-170, whose squares"),
        (lambda: matrices.frobenius_norm(DiagonalCovariance([1e-170])), "whose squares"),
        (lambda: matrices.frobenius_norm(DiagonalCovariance([1e200])), r"Tr\(A B\) is inf"),
        (lambda: matrices.frobenius_alignment(tiny, tiny), "from 1e-290 to 1e290"),
        (lambda: matrices.frobenius_alignment(huge, huge), "from 1e-290 to 1e290"),
        (lambda: matrices.alignment(huge, huge), r"Tr\(A B\) is inf"),
        (lambda: matrices.alignment(np.diag([1e200, -1e200]), huge), r"Tr\(A B\) is nan"),
        (lambda: matrices.alignment(huge, DiagonalCovariance([1e200, 1.0])), r"Tr\(A B\) is inf"),
    ]:
        with pytest.raises(checks.InputError, match=message):
            tell()
    assert matrices.alignment(tiny, huge) == 2e30


def test_a_multiple_has_cosine_one_and_its_own_coefficient(rng):
    hessian = random_positive(rng, 5)
    made = matrices.frobenius_alignment(hessian, 0.3 * hessian)
    np.testing.assert_allclose([made.cosine, made.coefficient], [1, 0.3], rtol=1e-14)
    assert made.residual < 1e-7
    np.testing.assert_allclose(made.loss_scaled(0.5), 0.3, rtol=1e-14)
    tilted = matrices.frobenius_alignment(hessian, 0.3 * hessian + 0.1 * np.eye(5))
    assert tilted.cosine < 1 - 1e-6


def test_probes_estimate_the_cosine_with_an_error_that_covers(rng):
    hessian, rows = random_symmetric(rng, 12), rng.normal(size=(30, 12)) * np.arange(1, 13)
    covariance = matrices.gradient_covariance(rows)
    hessian += 0.2 * np.asarray(covariance.to_dense())
    truth = matrices.frobenius_alignment(hessian, covariance).cosine
    runs, hits, narrow = 300, 0, 0
    for _ in range(runs):
        made = matrices.cosine_alignment_hutchinson(hessian, covariance, 60, rng)
        hits += abs(made.z_score(truth)) <= 1.645
        narrow += abs(made.z_score(truth)) <= 0.5
    # binomial error 0.0175; the cosine of 60 probes is a little skewed
    assert hits > (0.9 - 4 * 0.0175 - 0.03) * runs
    assert narrow < 0.6 * runs
    same = matrices.cosine_alignment_hutchinson(3 * covariance, covariance, 5, rng)
    np.testing.assert_allclose([same.value, same.standard_error], [1, 0], atol=1e-7)
    for pair in ((np.zeros((2, 2)), np.eye(2)), (np.eye(2), np.zeros((2, 2)))):
        with pytest.raises(checks.InputError, match="zero to its rounding"):
            matrices.cosine_alignment_hutchinson(*pair, 3, rng)
    with pytest.raises(checks.InputError, match="num_probes=2"):
        matrices.cosine_alignment_hutchinson(hessian, covariance, 2, rng)


def test_a_zero_matrix_has_no_angle():
    silent = matrices.gradient_covariance(np.ones((3, 2)))
    for pair in ((np.zeros((2, 2)), np.eye(2)), (np.eye(2), silent)):
        with pytest.raises(checks.InputError, match="zero to its rounding"):
            matrices.frobenius_alignment(*pair)
    with pytest.raises(checks.InputError, match="needs 4 products"):
        matrices.frobenius_norm(aslinearoperator(np.eye(4)), max_products=3)


# ---- power laws


def test_a_planted_exponent_is_found_in_each_block():
    curvatures = np.concatenate([np.linspace(1, 3, 12), np.geomspace(0.1, 10, 15), [1.0, -1.0, 2]])
    variances = np.concatenate(
        [2 * curvatures[:12] ** 1.5, 0.5 * curvatures[12:27], [1.0, 1.0, 0.0]]
    )
    blocks = {"first": slice(0, 12), "second": slice(12, 27), "bias": slice(27, 30)}
    laws = matrices.noise_power_laws(np.diag(curvatures), np.diag(variances), blocks)
    for name, exponent, prefactor in (("first", 1.5, 2.0), ("second", 1.0, 0.5)):
        law = laws[name]
        np.testing.assert_allclose([law.exponent.value, law.prefactor], [exponent, prefactor])
        np.testing.assert_allclose(law.r_squared, 1, rtol=1e-12)
        assert law.low <= law.exponent.value <= law.high < law.low + 1e-6
        assert not law.low <= exponent + 0.01 <= law.high
    with pytest.raises(checks.InputError, match=r"'bias' has no power law: 1 of 3 pairs"):
        _ = laws["bias"]
    with pytest.raises(checks.InputError, match="expected one of: first, second, bias"):
        _ = laws["third"]
    assert "refused: 1 of 3" in repr(laws)
    with pytest.raises(checks.InputError, match="no block has a power law: 'bias'"):
        matrices.noise_power_laws(np.eye(3), np.eye(3), {"bias": slice(0, 3)})
    with pytest.raises(checks.InputError, match="all 12 positive H_ii are equal"):
        matrices.fit_power_law(np.ones(12), np.arange(1.0, 13))


def test_noise_like_the_hessian_has_the_exponent_one(rng):
    rows = rng.normal(size=(30, 12)) * np.geomspace(0.1, 10, 12)
    covariance = matrices.gradient_covariance(rows)
    hessian = 0.4 * np.asarray(covariance.to_dense())
    law = matrices.noise_power_laws(hessian, covariance)["theta"]
    np.testing.assert_allclose(law.exponent.value, 1, rtol=1e-10)
    np.testing.assert_allclose(law.prefactor, 2.5, rtol=1e-10)


def test_the_interval_covers_the_exponent(rng):
    runs, hits, narrow, shares = 400, 0, 0, []
    for _ in range(runs):
        u = rng.normal(size=25)
        v = 0.3 + 1.4 * u + 0.8 * rng.normal(size=25)
        law = matrices.fit_power_law(np.exp(u), np.exp(v), confidence=0.9)
        hits += law.low <= 1.4 <= law.high
        narrow += abs(law.exponent.value - 1.4) <= 0.5 * law.exponent.standard_error
        shares.append(law.r_squared - np.corrcoef(u, v)[0, 1] ** 2)
    low, high = scipy.stats.binom.interval(1 - 1e-4, runs, 0.9)
    assert low <= hits <= high
    assert narrow < low
    np.testing.assert_allclose(shares, 0, atol=1e-12)


def test_networks_have_laws_by_layer(rng):
    case = ProblemCase("mlp", Architecture((4, 5, 3), "tanh"), SoftmaxCrossEntropy(), 20)
    problem, theta = case.problem_and_theta(rng, Network)
    at = problem.at(theta)
    laws = matrices.noise_power_laws(at.gauss_newton, at.noise)
    assert {*laws.fits, *laws.refused} == set(at.blocks)
    name = next(iter(laws.fits))
    dense = at.gauss_newton.to_dense().diagonal(), np.diag(np.asarray(at.noise.to_dense()))
    expected = matrices.fit_power_law(*(each[at.blocks[name]] for each in dense))
    np.testing.assert_allclose(laws[name].exponent.value, expected.exponent.value, rtol=1e-6)
