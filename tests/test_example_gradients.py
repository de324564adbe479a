"""Gradients of examples in every form make the same covariances; operators state what they are."""

import pickle
from functools import partial

import numpy as np
import pytest
import seeds
from reference_matrices import covariance_by_loops
from tolerances import assert_equal_up_to_rounding

from aniso import checks, matrices, networks
from aniso.matrices import exact_traces
from aniso.networks.gradients.kept import GradientFactors
from aniso.networks.gradients.streamed import StreamedGradients
from aniso.problems import losses


class Halves(matrices.ExampleGradients):
    """The least that a subclass defines: gradients that are twice what is kept."""

    def __init__(self, rows):
        self.half, self.shape, self.dtype = rows / 2, rows.shape, rows.dtype

    def project(self, vectors):
        return 2 * (self.half @ vectors)

    def combine(self, weights):
        return 2 * (weights @ self.half)

    def rows(self, start, stop):
        return 2 * self.half[start:stop]


def network_of(rng):
    stack = networks.multilayer_perceptron((3, 4, 2))
    network = networks.Network(
        stack, losses.SquaredLoss(), rng.standard_normal((7, 3)), rng.standard_normal((7, 2))
    )
    return network, rng.standard_normal(stack.num_parameters)


def forms(rng):
    network, theta = network_of(rng)
    rows = network.per_example_gradients(theta)
    return rows, [
        matrices.example_gradients(rows),
        Halves(rows),
        GradientFactors(network, theta),
        StreamedGradients(network, theta),
    ]


class Views(Halves):
    """Gradients whose rows are a view of what is kept."""

    def __init__(self, rows):
        super().__init__(rows)
        self.kept = rows.copy()

    def rows(self, start, stop):
        return self.kept[start:stop]


class WithGram(Halves):
    """Gradients that keep their inner products."""

    def __init__(self, rows):
        super().__init__(rows)
        self.kept = np.asfortranarray(rows @ rows.T)

    def gram(self):
        return self.kept


@pytest.mark.parametrize("make", [matrices.gradient_covariance, matrices.empirical_fisher])
def test_inner_products_that_are_kept_are_never_written_to(make, rng):
    rows = rng.standard_normal((5, 8)) + 1.0
    expected, gradients = make(rows).leading_eigenpairs(3).values, WithGram(rows)
    for _ in range(2):
        found = make(gradients).leading_eigenpairs(3).values
        np.testing.assert_allclose(found, expected, rtol=1e-10)
        assert np.array_equal(gradients.kept, rows @ rows.T)


@pytest.mark.parametrize("make", [matrices.gradient_covariance, matrices.empirical_fisher])
def test_rows_that_are_views_are_never_written_to(make, rng):
    rows = rng.standard_normal((9, 4)) + 3.0
    expected = make(rows)
    views = Views(rows)
    hessian = np.diag([1.0, 2.0, 3.0, 4.0])
    for _ in range(3):
        made = make(views)
        np.testing.assert_allclose(made.factor, expected.factor, rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(made.factor_rows(2, 5), expected.factor[2:5], atol=1e-13)
        found = matrices.alignment(hessian, made)
        np.testing.assert_allclose(found, matrices.alignment(hessian, expected), rtol=1e-12)
        assert np.array_equal(views.kept, rows)


def test_products_that_are_the_vectors_themselves_are_not_written_to():
    class Identity(Halves):
        def project(self, vectors):
            return vectors

    made, vectors = matrices.gradient_covariance(Identity(np.eye(3))), np.ones((3, 2))
    for _ in range(2):
        np.testing.assert_allclose(made.project(vectors), np.zeros((3, 2)), atol=1e-15)
    assert np.array_equal(vectors, np.ones((3, 2)))


def test_a_factor_with_its_own_mean_leaves_the_array_as_it_is():
    mean = np.array([2.0, 1.0])
    made = matrices.FactoredCovariance(np.array([[1.0, 0.0], [3.0, 2.0]]), 0.5, None, mean)
    for _ in range(2):
        assert made.rows.tolist() == [[-1.0, -1.0], [1.0, 1.0]]
        assert made.factor_rows(1, 2).tolist() == [[np.sqrt(0.5), np.sqrt(0.5)]]


@pytest.mark.parametrize("kind", [int, np.uint8, bool])
def test_rows_of_integers_are_rows_of_floats(kind):
    rows = np.array([[1, 1, 0], [1, 0, 1]], kind)
    made, plain = (matrices.FactoredCovariance(r, 1.0) for r in (rows, rows.astype(float)))
    vectors = np.array([[0.5], [0.5], [0.25]])
    for actual, wanted in [
        (made @ vectors, plain @ vectors),
        (made.sample(seeds.generator(3), 2), plain.sample(seeds.generator(3), 2)),
        (made.leading_eigenpairs(2).values, plain.leading_eigenpairs(2).values),
    ]:
        assert actual.dtype == np.float64
        assert np.array_equal(actual, wanted)
    by_hand = matrices.FactoredCovariance(np.array([[1, 2], [3, 1]]), 1.0)
    assert (by_hand @ np.array([0.5, 0.5])).tolist() == [7.5, 5.0]
    for wrong in (np.ones(3), np.ones((2, 2), complex)):
        with pytest.raises(checks.InputError, match="rows has"):
            matrices.FactoredCovariance(wrong, 1.0)


def test_gradients_of_integers_are_refused():
    gradients = Halves(np.array([[2.0], [6.0]]))
    for wrong in (np.dtype(int), np.uint8, np.complex128):
        gradients.dtype = wrong
        for take in (
            matrices.gradient_covariance,
            matrices.empirical_fisher,
            partial(matrices.FactoredCovariance, scale=1.0),
            Halves.mean,
        ):
            with pytest.raises(checks.InputError, match=r"the Halves has dtype .*numpy\.float64"):
                take(gradients)
    gradients.dtype = float
    assert gradients.mean().tolist() == [4.0]


@pytest.mark.parametrize("centred", [True, False])
def test_every_form_of_gradients_makes_the_same_matrix(centred, rng):
    rows, gradients = forms(rng)
    make = matrices.gradient_covariance if centred else matrices.empirical_fisher
    expected = covariance_by_loops(rows, centred=centred)
    wrong = covariance_by_loops(rows, centred=not centred)
    vectors = rng.standard_normal((rows.shape[1], 3))
    for each in gradients:
        made = make(each)
        assert isinstance(made, matrices.GradientCovariance)
        assert made.convention == matrices.Convention(7, centred=centred)
        scale = np.abs(expected).max()
        for actual, wanted in [
            (made.to_dense(), expected),
            (made @ vectors, expected @ vectors),
            (made.trace(), np.trace(expected)),
            (made.diagonal(), np.diag(expected)),
            (made.quadratic_form(vectors), np.diag(vectors.T @ expected @ vectors)),
            (made.factor.T @ made.factor, expected),
            (made.leading_eigenpairs(3).values, np.linalg.eigvalsh(expected)[::-1][:3]),
        ]:
            # sums of 7 examples and 26 parameters, and eigenvalues of products of these
            assert_equal_up_to_rounding(actual, wanted, num_terms=1000, scale=10 * scale)
        with pytest.raises(AssertionError, match="rounding"):
            assert_equal_up_to_rounding(made.to_dense(), wrong, num_terms=1000, scale=10 * scale)


def test_pairs_beyond_the_rank_complete_the_basis_in_every_form(rng):
    _, gradients = forms(rng)
    for each in gradients:
        pairs = matrices.gradient_covariance(each).leading_eigenpairs(9)
        np.testing.assert_allclose(pairs.vectors.T @ pairs.vectors, np.eye(9), atol=1e-12)
        assert np.abs(pairs.values[6:]).max() < 1e-12 * pairs.values[0]


def test_an_object_without_gradients_is_refused_with_what_it_lacks(rng):
    network, _ = network_of(rng)

    class Partial:
        shape = (2, 3)

        def project(self, vectors):
            return vectors

    for wrong, text in [
        (network, r"problem\.at\(theta\)\.example_gradients"),
        (Partial(), "lacks dtype, combine, rows"),
        ("abc", "per_example_gradients"),
    ]:
        for make in (matrices.gradient_covariance, matrices.empirical_fisher):
            with pytest.raises(checks.InputError, match=text):
                make(wrong)
    with pytest.raises(TypeError, match="abstract"):
        type("Nothing", (matrices.ExampleGradients,), {})()


def times(matrix, vectors):
    return matrix @ vectors


def test_an_operator_states_trace_diagonal_dense_form_and_blocks(rng):
    matrix = rng.standard_normal((6, 6))
    matrix += matrix.T
    blocks = {"second": slice(2, 6), "first": slice(0, 2)}
    plain = matrices.SymmetricOperator(partial(times, matrix), 6, np.float64, blocks=blocks)
    known = matrices.SymmetricOperator(partial(times, matrix), 6, np.float64, matrix.diagonal)
    for operator in (plain, known, pickle.loads(pickle.dumps(plain))):
        np.testing.assert_allclose(operator.diagonal(), np.diag(matrix), rtol=1e-14)
        np.testing.assert_allclose(operator.trace(), np.trace(matrix), rtol=1e-12)
        np.testing.assert_allclose(operator.to_dense(), matrix, rtol=1e-14)
        assert operator.T is operator
    assert plain.blocks == {"first": slice(0, 2), "second": slice(2, 6)}
    assert known.blocks is None
    assert exact_traces.trace(known, max_products=1) == pytest.approx(np.trace(matrix))
    for compute in (exact_traces.trace, exact_traces.diagonal):
        with pytest.raises(checks.InputError, match="needs 6 products"):
            compute(plain, max_products=5)


@pytest.mark.parametrize(
    ("blocks", "rule"),
    [
        ([slice(0, 2)], "expected a dict"),
        ({}, "expected a dict"),
        ({"a": 3}, "expected a slice"),
        ({"a": slice(0, 4, 2)}, "step 1"),
        ({"a": slice(0, 7)}, r"0\.\.7; expected a part of 0\.\.6"),
        ({"a": slice(3, 3)}, "expected a part"),
        ({"a": slice(0, 3), "b": slice(2, 6)}, "'a' and 'b' overlap at index 2"),
    ],
)
def test_blocks_that_are_no_parts_are_refused(blocks, rule):
    with pytest.raises(checks.InputError, match=rule):
        matrices.SymmetricOperator(np.array, 6, float, blocks=blocks)


def test_every_name_of_the_folder_is_there():
    for name in dir(matrices):
        assert getattr(matrices, name) is not None
    assert {"trace_ratio", "gradient_covariance", "leading_eigenpairs", "hutchinson"} <= {
        *dir(matrices)
    }
