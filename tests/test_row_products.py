"""Products with a matrix and its transpose in one pass: exact on whole numbers."""

import numpy as np
import pytest
from test_networks import small_case
from tolerances import assert_equal_up_to_rounding

from aniso.networks.fast import row_products


def product_with(rows, vectors, coefficients):
    """Both products of the pass, added to ones."""
    products = np.ones((len(rows), vectors.shape[1]), rows.dtype)
    total = np.ones_like(vectors)
    row_products.add_row_products(rows, vectors, products, coefficients, total)
    return products, total


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(
    ("count", "length", "columns"), [(1, 1, 2), (4, 512, 4), (7, 515, 5), (9, 1030, 24), (3, 40, 1)]
)
def test_both_products_are_exact_on_whole_numbers(count, length, columns, dtype, rng, monkeypatch):
    monkeypatch.setattr(row_products, "_LEAST_ENTRIES", 0)
    rows, vectors, coefficients = (
        rng.integers(-9, 10, shape)
        for shape in ((count, length), (length, columns), (count, columns))
    )
    products, total = product_with(*(a.astype(dtype) for a in (rows, vectors, coefficients)))
    # every partial sum is a whole number below 2^24
    np.testing.assert_array_equal(products, rows @ vectors + 1)
    np.testing.assert_array_equal(total, rows.T @ coefficients + 1)
    rows[-1, -1] += 1  # an entry that is wrong shows
    assert (products != rows @ vectors + 1).any() or not vectors[-1].any()


def test_the_coefficients_may_be_the_products(rng, monkeypatch):
    monkeypatch.setattr(row_products, "_LEAST_ENTRIES", 0)
    rows, vectors = rng.integers(-9, 10, (6, 20)), rng.integers(-9, 10, (20, 3))
    products, total = np.zeros((6, 3)), np.zeros((20, 3))
    row_products.add_row_products(
        rows.astype(float), vectors.astype(float), products, products, total
    )
    np.testing.assert_array_equal(products, rows @ vectors)
    np.testing.assert_array_equal(total, rows.T @ (rows @ vectors))


def test_the_kernel_is_taken_for_large_matrices_and_few_vectors(rng, monkeypatch):
    taken = []
    monkeypatch.setattr(row_products, "_by_kernel", lambda *arrays: taken.append(arrays))
    monkeypatch.setattr(row_products.pooled_kernel, "COMPILED", True)
    for count, columns in ((100, 8), (100, 1), (100, 200), (2, 8)):
        rows, vectors = rng.normal(size=(count, 1000)), rng.normal(size=(1000, columns))
        product_with(rows, vectors, np.ones((count, columns)))
    assert [(len(arrays[0]), arrays[1].shape[1]) for arrays in taken] == [(100, 8)]


def test_cached_hessian_products_are_those_of_tangents_on_any_number_of_threads(rng, monkeypatch):
    monkeypatch.setattr(row_products, "_LEAST_ENTRIES", 0)
    case = small_case()
    vectors = rng.normal(size=(case.theta.size, 5))
    expected = case.network().linearise(case.theta, "tangents").hessian_product(vectors)
    found = [
        case.network(num_threads=number).linearise(case.theta, "factors").hessian_product(vectors)
        for number in (1, 2, 3)
    ]
    scale = np.abs(expected).max()
    assert_equal_up_to_rounding(found[0], expected, num_terms=1000, scale=scale)
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[0], found[2])
