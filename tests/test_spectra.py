"""Eigenpairs: known spectra, residuals that bound the error, honest failure."""

import numpy as np
import pytest
import scipy.sparse
from reference_matrices import random_symmetric, symmetrised, with_spectrum
from scipy.sparse.linalg import aslinearoperator
from tolerances import assert_equal_up_to_rounding

from aniso import checks
from aniso.estimates import NotConverged
from aniso.matrices import eigenpairs

DIMENSION = 200


@pytest.fixture
def eigenvalues():
    return np.concatenate([-(0.8 ** np.arange(100)) * 9.5, 0.9 ** np.arange(100) * 10])


@pytest.fixture
def matrix(rng, eigenvalues):
    return symmetrised(with_spectrum(rng, eigenvalues))


@pytest.mark.parametrize("wrap", [np.asarray, aslinearoperator])
@pytest.mark.parametrize("which", ["largest", "smallest", "magnitude"])
def test_pairs_are_those_of_the_known_spectrum(matrix, eigenvalues, wrap, which):
    order = {
        "largest": -eigenvalues,
        "smallest": eigenvalues,
        "magnitude": -np.abs(eigenvalues),
    }[which]
    expected = eigenvalues[np.argsort(order)][:5]
    pairs = eigenpairs.leading_eigenpairs(wrap(matrix), 5, which=which)
    # The iteration's tolerance is 1e-10 |A| on residuals; eigenvalues are closer still.
    np.testing.assert_allclose(pairs.values, expected, atol=1e-9)
    assert pairs.residuals.max() <= 1e-9
    np.testing.assert_allclose(pairs.vectors.T @ pairs.vectors, np.eye(5), atol=1e-12)
    largest = np.abs(pairs.vectors).argmax(axis=0)
    assert (pairs.vectors[largest, range(5)] > 0).all()
    assert (pairs.num_products > 0) == (wrap is aslinearoperator)
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(1.05 * pairs.values, expected, atol=1e-9)


def test_residuals_bound_the_distance_to_the_spectrum(matrix):
    rough = eigenpairs.leading_eigenpairs(aslinearoperator(matrix), 3, tolerance=1e-2)
    values = np.linalg.eigvalsh(matrix)
    distance = np.abs(rough.values[:, None] - values).min(axis=1)
    assert (distance <= rough.residuals + 1e-13).all()


def test_the_result_is_reproducible_and_the_start_may_be_given(matrix, rng):
    operator = aslinearoperator(matrix)
    first, second = (eigenpairs.leading_eigenpairs(operator, 2) for _ in range(2))
    np.testing.assert_array_equal(first.vectors, second.vectors)
    other = eigenpairs.leading_eigenpairs(operator, 2, start=rng.standard_normal(DIMENSION))
    np.testing.assert_allclose(other.values, first.values, atol=1e-9)


def test_small_operators_are_decomposed(rng):
    matrix = random_symmetric(rng, 12)
    pairs = eigenpairs.leading_eigenpairs(aslinearoperator(matrix), 12)
    assert pairs.num_products == 12
    assert_equal_up_to_rounding(pairs.values, np.linalg.eigvalsh(matrix)[::-1], num_terms=48)
    assert eigenpairs.leading_eigenpairs([[3.0]], 1).values == [3.0]


def test_the_zero_operator_has_zero_eigenvalues():
    zero = aslinearoperator(np.zeros((DIMENSION, DIMENSION)))
    pairs = eigenpairs.leading_eigenpairs(zero, 2)
    assert pairs.values.tolist() == pairs.residuals.tolist() == [0.0, 0.0]
    assert eigenpairs.extreme_eigenvalues(zero) == (0.0, 0.0)
    projector = np.diag([0.0] + [1.0] * (DIMENSION - 1))
    for start, message in ((np.eye(DIMENSION)[0], "null space"), (np.zeros(DIMENSION), "zero")):
        with pytest.raises(checks.InputError, match=message):
            eigenpairs.leading_eigenpairs(aslinearoperator(projector), 1, start=start)


def test_an_operator_of_products_that_are_not_finite_is_refused():
    for dimension in (12, DIMENSION):
        broken = aslinearoperator(np.full((dimension, dimension), np.nan))
        with pytest.raises(checks.InputError, match="not finite"):
            eigenpairs.leading_eigenpairs(broken, 1)


def test_a_sparse_matrix_is_checked_as_an_array_is():
    for entries, message in (([[1, 2], [0, 1]], "not symmetric"), ([[np.nan]], "non-finite")):
        with pytest.raises(checks.InputError, match=message):
            eigenpairs.leading_eigenpairs(scipy.sparse.csr_array(np.array(entries, dtype=float)), 1)
    sparse = scipy.sparse.csr_array(np.diag([2.0, 3.0]))
    assert eigenpairs.leading_eigenpairs(sparse, 2).values.tolist() == [3.0, 2.0]


def test_failure_carries_what_had_converged(matrix):
    with pytest.raises(NotConverged, match="raise max_products") as caught:
        eigenpairs.leading_eigenpairs(aslinearoperator(matrix), 20, max_products=45)
    partial = caught.value.partial
    assert isinstance(partial, eigenpairs.EigenPairs)
    assert len(partial.values) < 20
    assert partial.vectors.shape == (DIMENSION, len(partial.values))


def test_extreme_eigenvalues(matrix, monkeypatch):
    for form in (matrix, aslinearoperator(matrix)):
        made = eigenpairs.extreme_eigenvalues(form)
        np.testing.assert_allclose(made, (-9.5, 10), atol=1e-9)
    # A large array is iterated on like an operator.
    monkeypatch.setattr(eigenpairs, "_LAPACK_DIMENSION", 10)
    np.testing.assert_allclose(eigenpairs.extreme_eigenvalues(matrix), (-9.5, 10), atol=1e-9)
    assert eigenpairs.leading_eigenpairs(matrix, 2).num_products > 0
    assert eigenpairs.leading_eigenpairs(matrix, 100).num_products == 0


def test_zero_vectors_keep_a_sign():
    pairs = eigenpairs.with_residuals(np.eye(2), np.zeros(1), np.zeros((2, 1)), 0)
    assert not pairs.vectors.any()


def test_arguments_are_refused(matrix):
    for arguments, text in [
        ({"num_pairs": 0}, "num_pairs=0"),
        ({"num_pairs": 201}, "num_pairs <= D=200"),
        ({"num_pairs": 1, "which": "LM"}, "expected one of: largest"),
        ({"num_pairs": 1, "tolerance": 0}, "tolerance"),
        ({"num_pairs": 1, "start": np.ones(3)}, "start has shape"),
    ]:
        with pytest.raises(checks.InputError, match=text):
            eigenpairs.leading_eigenpairs(matrix, **arguments)


def test_every_method_finds_the_same_pairs(matrix, rng):
    operator = aslinearoperator(matrix)
    expected = np.linalg.eigvalsh(matrix)[::-1][:25]
    for method in ("auto", "dense", "arpack", "block"):
        pairs = eigenpairs.leading_eigenpairs(operator, 25, method=method)
        np.testing.assert_allclose(pairs.values, expected, rtol=0, atol=1e-9)
    near = np.linalg.eigh(matrix)[1][:, [-1]] + 1e-8 * rng.standard_normal((DIMENSION, 1))
    for start in (near, near[:, 0]):
        warm = eigenpairs.leading_eigenpairs(operator, 1, method="block", start=start)
        np.testing.assert_allclose(warm.values, expected[:1], rtol=0, atol=1e-9)


def test_a_method_is_chosen_by_size_and_arguments(matrix):
    operator = aslinearoperator(matrix)

    def chosen(form, num_pairs, block_size=None, start=None):
        return eigenpairs._chosen("auto", form, num_pairs, block_size, start)

    assert chosen(matrix, 1) == "dense"
    assert chosen(operator, 1) == "arpack"
    assert chosen(operator, 30) == "block"
    assert chosen(operator, 60) == "dense"
    assert chosen(operator, 1, block_size=4) == "block"
    assert chosen(operator, 1, start=np.ones((DIMENSION, 2))) == "block"
    for arguments, text in [
        ({"method": "lanczos"}, "method='lanczos'"),
        ({"method": "arpack", "block_size": 3}, 'expected method="block"'),
        ({"method": "dense", "start": np.ones((DIMENSION, 2))}, 'expected method="block"'),
        ({"method": "arpack", "num_pairs": DIMENSION}, "expected less than D=200"),
        ({"start": np.ones((2, 2, 2))}, "start has shape"),
    ]:
        with pytest.raises(checks.InputError, match=text):
            eigenpairs.leading_eigenpairs(operator, **{"num_pairs": 1, **arguments})
