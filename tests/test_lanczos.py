"""Block Lanczos against LAPACK, on degenerate spectra, and its refusals."""

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aniso import checks
from aniso.estimates import NotConverged
from aniso.matrices import SymmetricOperator, eigenpairs

block_pairs = functools.partial(eigenpairs.leading_eigenpairs, method="block")


def matrix_of(eigenvalues, rng):
    basis = np.linalg.qr(rng.normal(size=(len(eigenvalues), len(eigenvalues))))[0]
    matrix = (basis * eigenvalues) @ basis.T
    return (matrix + matrix.T) / 2


@given(st.integers(1, 60), st.sampled_from(["largest", "smallest", "magnitude"]), st.data())
@settings(max_examples=40)
def test_eigenpairs_are_lapacks(dimension, which, data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    num_pairs = data.draw(st.integers(1, dimension))
    eigenvalues = rng.normal(size=dimension) ** 3
    eigenvalues[: data.draw(st.integers(1, 4))] = eigenvalues[0]
    matrix = matrix_of(eigenvalues, rng)
    pairs = block_pairs(matrix, num_pairs, which=which, tolerance=1e-11)
    keys = {"largest": -eigenvalues, "smallest": eigenvalues, "magnitude": -np.abs(eigenvalues)}
    expected = eigenvalues[np.argsort(keys[which])][:num_pairs]
    # an eigenvalue is off by at most its residual
    atol = 1e-10 * np.abs(eigenvalues).max()
    np.testing.assert_allclose(pairs.values, expected, rtol=0, atol=atol)
    assert pairs.residuals.max() <= atol
    np.testing.assert_allclose(
        pairs.vectors.T @ pairs.vectors, np.eye(num_pairs), rtol=0, atol=1e-10
    )


def test_an_operator_gives_the_same_as_its_array(rng):
    matrix = matrix_of(np.linspace(0, 1, 200) ** 8, rng)
    operator = SymmetricOperator(lambda vectors: matrix @ vectors, 200, np.float64)
    one, two = (block_pairs(m, 10) for m in (matrix, operator))
    np.testing.assert_allclose(one.values, two.values, rtol=0, atol=1e-12)
    assert one.num_products < 200


def test_residuals_are_those_of_products_with_the_vectors(rng):
    matrix = matrix_of(np.linspace(0, 1, 150) ** 4, rng)
    for size, tolerance in ((1, 1e-3), (6, 1e-2), (6, 1e-8)):
        pairs = block_pairs(matrix, 6, block_size=size, tolerance=tolerance)
        true = np.linalg.norm(matrix @ pairs.vectors - pairs.vectors * pairs.values, axis=0)
        np.testing.assert_allclose(pairs.residuals, true, rtol=1e-6, atol=1e-13)
        assert pairs.residuals.max() <= tolerance


def test_products_that_differ_from_those_of_the_iteration_are_noticed(rng):
    matrix, calls = matrix_of(np.linspace(0, 1, 80) ** 4, rng), []

    def product(vectors):
        calls.append(vectors.shape)
        # planted: the product with one vector has another matrix
        return matrix @ vectors + (0.01 * vectors if vectors.shape[1] == 1 else 0.0)

    with pytest.raises(NotConverged, match=r"not accurate enough|raise max_products") as raised:
        block_pairs(SymmetricOperator(product, 80, np.float64), 3, tolerance=1e-6)
    assert raised.value.partial.residuals.min() > 0.01
    assert calls.count((80, 1)) >= 1


def test_the_basis_grows_beyond_its_first_size(rng):
    matrix = matrix_of(np.linspace(-1, 1, 300), rng)
    pairs = block_pairs(matrix, 2, block_size=2)
    np.testing.assert_allclose(pairs.values, [1, 1 - 2 / 299], rtol=0, atol=1e-9)
    assert pairs.num_products > 8


@pytest.mark.parametrize(
    "eigenvalues", [np.zeros(30), np.ones(30), np.r_[np.ones(5), np.zeros(25)]]
)
def test_invariant_subspaces_end_the_iteration(eigenvalues):
    pairs = block_pairs(np.diag(eigenvalues), 7)
    np.testing.assert_allclose(pairs.values, np.sort(eigenvalues)[::-1][:7], rtol=0, atol=1e-14)


def test_single_precision_stays_single(rng):
    matrix = matrix_of(np.r_[4.0, 2.0, np.full(98, 0.1)], rng).astype(np.float32)
    operator = SymmetricOperator(lambda vectors: matrix @ vectors, 100, np.float32)
    pairs = block_pairs(operator, 2, tolerance=1e-4)
    np.testing.assert_allclose(pairs.values, [4, 2], rtol=0, atol=1e-3)
    with pytest.raises(checks.InputError, match="below the rounding of float32"):
        block_pairs(operator, 2, tolerance=1e-9)


def test_a_start_block_is_taken():
    matrix = np.diag(np.arange(10.0))
    start = np.eye(10)[:, [9]]
    assert block_pairs(matrix, 1, start=start).num_products < 3


def test_too_small_a_basis_raises_with_the_partial_result(rng):
    matrix = matrix_of(np.linspace(0, 1, 200), rng)
    with pytest.raises(NotConverged, match="raise max_products") as caught:
        block_pairs(matrix, 5, max_products=10)
    partial = caught.value.partial
    assert partial.values.shape == (5,)
    assert partial.residuals.max() > 1e-9


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"num_pairs": 0}, "num_pairs=0"),
        ({"which": "biggest"}, "which"),
        ({"tolerance": 0.0}, "tolerance"),
        ({"block_size": 4}, "block_size=4"),
        ({"max_products": 1}, "max_products=1"),
        ({"start": np.ones((4, 1))}, "start has shape"),
    ],
)
def test_bad_arguments_are_refused(change, rule):
    with pytest.raises(checks.InputError, match=rule):
        block_pairs(np.eye(3), **{"num_pairs": 2, **change})
