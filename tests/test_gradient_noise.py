"""Gradient noise: definitions by loops, batch covariances by enumeration, factored algebra."""

import numpy as np
import pytest
from reference_matrices import (
    batch_covariance_by_enumeration,
    covariance_by_loops,
)
from tolerances import assert_equal_up_to_rounding, assert_within_sampling_error

from aniso import checks, memory
from aniso.matrices import convention, noise
from aniso.matrices.factored import DiagonalCovariance, FactoredCovariance, quadratic_form


@pytest.fixture
def gradients(rng):
    # A mean far from zero, so that centring matters.
    return rng.standard_normal((6, 4)) + 3.0


def both_shapes(rng):
    """More parameters than examples, and fewer: the two routes of the eigenpairs."""
    return [rng.standard_normal((5, 12)), rng.standard_normal((12, 5))]


def test_matrices_are_their_definitions(gradients):
    for made, centred in [
        (noise.gradient_covariance(gradients), True),
        (noise.empirical_fisher(gradients), False),
    ]:
        expected = covariance_by_loops(gradients, centred=centred)
        wrong = covariance_by_loops(gradients, centred=not centred)
        # Sums of 6 products, each of a centred number: 30 operations cover them.
        assert_equal_up_to_rounding(made.to_dense(), expected, num_terms=30)
        with pytest.raises(AssertionError, match="rounding"):
            assert_equal_up_to_rounding(made.to_dense(), wrong, num_terms=30)
        assert made.convention.centred is centred


@pytest.mark.parametrize("replacement", [True, False])
@pytest.mark.parametrize("batch_size", [1, 2, 4, 6])
def test_batch_covariance_is_that_of_all_batches(gradients, batch_size, replacement):
    if replacement and batch_size > 4:
        gradients = gradients[:3]  # 3^6 ordered batches are enough
    one = noise.gradient_covariance(gradients)
    made = noise.minibatch_covariance(one, batch_size, replacement=replacement)
    expected = batch_covariance_by_enumeration(gradients, batch_size, replacement=replacement)
    # At m = N without replacement the enumerated deviation is rounding of the mean, size 3.
    assert_equal_up_to_rounding(made.to_dense(), expected, num_terms=1000, scale=9.0)
    if batch_size > 1:
        forgotten = one.to_dense() / batch_size
        if not replacement:
            with pytest.raises(AssertionError, match="rounding"):
                assert_equal_up_to_rounding(forgotten, expected, num_terms=1000, scale=9.0)


def test_uncentred_noise_fails_the_enumeration(gradients):
    uncentred = covariance_by_loops(gradients, centred=False) / 2 * (6 - 2) / (6 - 1)
    expected = batch_covariance_by_enumeration(gradients, 2, replacement=False)
    with pytest.raises(AssertionError, match="rounding"):
        assert_equal_up_to_rounding(uncentred, expected, num_terms=1000, scale=9.0)


def test_one_example_and_the_full_batch_have_no_noise_without_replacement(gradients):
    single = noise.gradient_covariance(gradients[:1])
    assert single.trace() == 0
    for covariance, size in [(single, 1), (noise.gradient_covariance(gradients), 6)]:
        batch = noise.minibatch_covariance(covariance, size, replacement=False)
        assert batch.trace() == 0
        assert not batch.to_dense().any()
        pairs = batch.leading_eigenpairs(2)
        assert not pairs.values.any()
        np.testing.assert_allclose(pairs.vectors.T @ pairs.vectors, np.eye(2), atol=1e-14)
    assert convention.minibatch_scale(1, 1, replacement=False) == 0
    assert convention.minibatch_scale(1, 3, replacement=True) == 1 / 3


def test_conversions_share_the_factor_and_are_refused_twice(gradients):
    one = noise.gradient_covariance(gradients)
    batch = noise.minibatch_covariance(one, 2, replacement=True)
    diffusion = noise.diffusion_covariance(batch, 0.1)
    assert one.rows is batch.rows is diffusion.rows
    assert [m.convention.stage for m in (one, batch, diffusion)] == [
        "one example",
        "mini-batch",
        "diffusion",
    ]
    np.testing.assert_allclose(diffusion.trace(), 0.1 * one.trace() / 2, rtol=1e-14)
    assert "learning rate 0.1" in repr(diffusion)
    with pytest.raises(checks.InputError, match="already the covariance of the mean"):
        noise.minibatch_covariance(batch, 2, replacement=True)
    with pytest.raises(checks.InputError, match="learning rate enters once"):
        noise.diffusion_covariance(diffusion, 0.1)
    with pytest.raises(checks.InputError, match="learning rate enters once"):
        noise.diffusion_covariance(one, 0.1)
    with pytest.raises(checks.InputError, match="uncentred second moment"):
        noise.minibatch_covariance(noise.empirical_fisher(gradients), 2, replacement=True)


def test_arguments_are_refused_before_work(gradients):
    one = noise.gradient_covariance(gradients)
    for size, replacement, text in [
        (0, True, "batch_size=0"),
        (7, False, "batch_size <= N=6"),
        (2, None, "replacement=None; expected True or False"),
        (2, 1, "replacement=1"),
    ]:
        with pytest.raises(checks.InputError, match=text):
            noise.minibatch_covariance(one, size, replacement=replacement)
    with pytest.raises(TypeError):
        noise.minibatch_covariance(one, 2)
    with pytest.raises(checks.InputError, match="states no convention"):
        noise.minibatch_covariance(one.to_dense(), 2, replacement=True)
    for wrong, text in [
        (np.zeros((0, 3)), "N >= 1"),
        (np.zeros(3), "shape"),
        ([[np.nan]], "non-finite"),
    ]:
        with pytest.raises(checks.InputError, match=text):
            noise.gradient_covariance(wrong)
    with pytest.raises(checks.InputError, match="num_pairs=0"):
        one.leading_eigenpairs(0)
    with pytest.raises(checks.InputError, match="rng=3"):
        one.sample(3, 1)
    with pytest.raises(checks.InputError, match=r"expected \(4,\) or \(4, K\)"):
        one.quadratic_form(np.ones(3))


def test_factored_algebra_agrees_with_the_array(rng):
    for rows in both_shapes(rng):
        made = FactoredCovariance(rows, 0.3)
        dense = 0.3 * rows.T @ rows
        block = rng.standard_normal((rows.shape[1], 3))
        weights = rng.standard_normal((2, made.num_rows))
        for actual, expected in [
            (made.to_dense(), dense),
            (made @ block, dense @ block),
            (made @ block[:, 0], dense @ block[:, 0]),
            (made.T @ block, dense @ block),
            (made.trace(), np.trace(dense)),
            (made.diagonal(), np.diag(dense)),
            (made.quadratic_form(block), np.diag(block.T @ dense @ block)),
            (made.factor.T @ made.factor, dense),
            (made.factor_rows(1, 3), made.factor[1:3]),
            (made.combine(weights), weights @ made.factor),
            (made.project(block), made.factor @ block),
        ]:
            # At most 12 * 12 products enter a number.
            assert_equal_up_to_rounding(actual, expected, num_terms=144)
        assert isinstance(made.quadratic_form(block[:, 0]), float)


def test_quadratic_forms_are_never_negative(rng):
    rows = rng.standard_normal((3, 8))
    null = np.linalg.svd(rows)[2][3:].T
    assert (FactoredCovariance(rows, 1.0).quadratic_form(null) >= 0).all()


def test_eigenpairs_through_either_gram_matrix(rng):
    for rows in both_shapes(rng):
        made = FactoredCovariance(rows, 0.3)
        values, _ = np.linalg.eigh(made.to_dense())
        pairs = made.leading_eigenpairs(4)
        # Errors of a symmetric eigensolver are a few D eps |A|.
        assert_equal_up_to_rounding(pairs.values, values[::-1][:4], num_terms=12)
        assert pairs.residuals.max() < 1e-12 * values[-1]
        np.testing.assert_allclose(pairs.vectors.T @ pairs.vectors, np.eye(4), atol=1e-13)
        assert (pairs.vectors[np.abs(pairs.vectors).argmax(axis=0), range(4)] > 0).all()


def test_eigenpairs_beyond_the_rank_complete_the_basis(rng):
    made = FactoredCovariance(rng.standard_normal((3, 9)), 1.0)
    pairs = made.leading_eigenpairs(9)
    np.testing.assert_allclose(pairs.vectors.T @ pairs.vectors, np.eye(9), atol=1e-13)
    assert (pairs.values[3:] == 0).all()
    assert pairs.residuals.max() < 1e-13 * pairs.values[0]


def test_samples_have_the_covariance(gradients, rng):
    made = noise.gradient_covariance(gradients)
    samples = made.sample(rng, 20_000)
    dense = made.to_dense()
    products = samples[:, :, None] * samples[:, None, :]
    errors = products.std(axis=0) / np.sqrt(len(samples))
    assert_within_sampling_error(products.mean(axis=0), dense, errors)
    assert_within_sampling_error(
        samples.mean(axis=0), 0.0, samples.std(axis=0) / np.sqrt(len(samples))
    )
    uncentred = noise.empirical_fisher(gradients).to_dense()
    with pytest.raises(AssertionError, match="sampling"):
        assert_within_sampling_error(products.mean(axis=0), uncentred, errors)


def test_centring_keeps_the_digits_of_a_large_mean(rng):
    # Multiples of 2^-20 plus 2^20: exact in floats, so that the shift itself costs nothing.
    gradients = np.round(rng.standard_normal((8, 3)) * 2**20) / 2**20
    plain = noise.gradient_covariance(gradients).to_dense()
    shifted = noise.gradient_covariance(gradients + 2.0**20).to_dense()
    # The mean 2^20 is rounded at 2^20 eps = 1e-10 and enters squared or times a sum that is 0.
    np.testing.assert_allclose(shifted, plain, rtol=0, atol=1e-9)
    uncentred = noise.empirical_fisher(gradients + 2.0**20).to_dense()
    naive = uncentred - np.outer(*[(gradients + 2.0**20).mean(axis=0)] * 2)
    assert np.abs(naive - plain).max() > 1e-6


def test_diagonal_covariance(rng):
    variances = np.array([1.0, 0.0, 4.0])
    made = DiagonalCovariance(variances)
    block = rng.standard_normal((3, 2))
    np.testing.assert_array_equal(made.to_dense(), np.diag(variances))
    np.testing.assert_array_equal(made.diagonal(), variances)
    np.testing.assert_allclose(made @ block, np.diag(variances) @ block, rtol=1e-15)
    np.testing.assert_allclose(made.T @ block[:, 0], variances * block[:, 0], rtol=1e-15)
    assert made.trace() == 5
    np.testing.assert_allclose(
        made.quadratic_form(block), np.diag(block.T @ np.diag(variances) @ block), rtol=1e-14
    )
    assert made.quadratic_form([1.0, 1.0, 1.0]) == 5
    np.testing.assert_allclose(
        quadratic_form(np.diag(variances), block), made.quadratic_form(block)
    )
    squares = made.sample(rng, 10_000) ** 2
    error = squares[:, ::2].std(axis=0) / 100
    assert_within_sampling_error(squares[:, ::2].mean(axis=0), variances[::2], error)
    assert not squares[:, 1].any()
    with pytest.raises(checks.InputError, match="variances"):
        DiagonalCovariance([-1.0])


def test_dense_arrays_that_would_not_fit_are_refused(monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda: 10_000)
    small = np.ones((2, 100))
    with pytest.raises(memory.AllocationRefused, match="100 × 100"):
        FactoredCovariance(small, 1.0).to_dense()
    with pytest.raises(memory.AllocationRefused, match="keep the operator"):
        DiagonalCovariance(np.ones(100)).to_dense()
    with pytest.raises(memory.AllocationRefused, match="centred copy"):
        noise.gradient_covariance(np.ones((20, 100)))


def test_samples_and_eigenpairs_that_would_not_fit_are_refused(rng, monkeypatch):
    tall, wide = FactoredCovariance(np.ones((300, 2)), 1.0), FactoredCovariance(np.ones((2, 99)), 1)
    monkeypatch.setattr(memory, "available_bytes", lambda: 20_000)
    for covariance in (tall, DiagonalCovariance(np.ones(300))):
        assert covariance.sample(rng, 1).shape == (1, covariance.shape[0])
        with pytest.raises(memory.AllocationRefused, match="draw fewer"):
            covariance.sample(rng, 10)
    assert len(wide.leading_eigenpairs(2).values) == 2
    with pytest.raises(memory.AllocationRefused, match="ask for fewer pairs"):
        wide.leading_eigenpairs(99)
