"""The promise of every eigensolver: residuals, symmetry, numbers, multiplicities; or a refusal."""

import functools

import numpy as np
import pytest
import scipy.sparse
from reference_matrices import symmetrised
from scipy.sparse.linalg import LinearOperator, aslinearoperator

from aniso import checks, networks
from aniso.estimates import NotConverged
from aniso.matrices import (
    _arpack,
    _pairs,
    eigenpairs,
    factored,
    gradient_covariance,
    indicators,
    operands,
    spectral_density,
    stochastic_alignment,
    stochastic_traces,
)
from aniso.problems import losses

DIMENSION = 200
SOLVERS = [
    functools.partial(eigenpairs.leading_eigenpairs, method=method)
    for method in ("arpack", "block")
]
ESTIMATORS = [
    stochastic_traces.hutchinson,
    stochastic_traces.hutch_plus_plus,
    stochastic_traces.xtrace,
]


def name_of(function):
    if isinstance(function, functools.partial):
        return function.keywords["method"]
    return f"{function.__module__.rpartition('.')[2]}.{function.__name__}"


@pytest.fixture
def square(rng):
    return rng.standard_normal((DIMENSION, DIMENSION))


def uses_of(operator, rng):
    """Every function of aniso.matrices that takes an operator as symmetric."""
    small = np.diag(np.arange(1.0, DIMENSION + 1))
    yield lambda: eigenpairs.leading_eigenpairs(operator, 1)
    yield lambda: eigenpairs.leading_eigenpairs(operator, 150)
    yield lambda: eigenpairs.extreme_eigenvalues(operator)
    yield lambda: eigenpairs.leading_eigenpairs(operator, 1, method="block")
    yield lambda: eigenpairs.leading_eigenpairs(operator, 3, which="smallest", block_size=1)
    yield lambda: spectral_density.lanczos_quadrature(operator, num_probes=2, num_steps=5, rng=rng)
    for estimator in ESTIMATORS:
        yield lambda estimator=estimator: estimator(operator, 30, rng)
        yield lambda estimator=estimator: estimator(operator, 2 * DIMENSION, rng)
    yield lambda: stochastic_alignment.alignment_hutchinson(operator, small, 8, rng)
    yield lambda: stochastic_alignment.alignment_hutchinson(small, operator, 8, rng)
    yield lambda: stochastic_alignment.estimate_alignment(operator, small, rng)
    yield lambda: stochastic_alignment.estimate_alignment(small, operator, rng)
    yield lambda: indicators.alignment(operator, small)
    yield lambda: indicators.projection_coefficient(operator, small)


@pytest.mark.parametrize("share", [1.0, 1e-2, 1e-5])
def test_an_operator_that_is_not_symmetric_is_refused_everywhere(square, share, rng):
    matrix = symmetrised(square) + share * (square - square.T) / 2
    for number in range(len(list(uses_of(None, rng)))):
        # a new operator each time, because one that was refused must be refused again anywhere
        use = list(uses_of(aslinearoperator(matrix), rng))[number]
        for _ in range(2):
            with pytest.raises(checks.InputError, match="not symmetric"):
                use()


def test_products_that_are_not_finite_are_refused_everywhere(square, rng):
    matrix = symmetrised(square)
    matrix[3, 5] = matrix[5, 3] = np.nan
    for use in uses_of(aslinearoperator(matrix), rng):
        with pytest.raises(checks.InputError, match="not finite"):
            use()


def test_the_symmetry_of_an_operator_is_probed_once(square):
    counted = []

    def product(vectors):
        counted.append(vectors.shape[1])
        return symmetrised(square) @ vectors

    operator = LinearOperator(square.shape, matvec=None, matmat=product, dtype=float)
    for _ in range(3):
        operands.symmetric("matrix", operator)
    assert counted == [2]
    # one that is a sum of squares has nothing to be probed
    covariance = factored.FactoredCovariance(square, 1.0)
    covariance._matmat = None
    operands.symmetric("covariance", covariance)


def test_rounding_of_single_precision_is_no_asymmetry(square):
    matrix = symmetrised(square).astype(np.float32)
    operator = LinearOperator(
        square.shape,
        matvec=lambda v: matrix @ v.astype(np.float32),
        matmat=lambda v: matrix @ v.astype(np.float32),
        dtype=np.float32,
    )
    expected = np.linalg.eigvalsh(matrix.astype(float))[-3:][::-1]
    for solver in SOLVERS:
        pairs = solver(operator, 3)
        np.testing.assert_allclose(pairs.values, expected, rtol=0, atol=1e-3)
        with pytest.raises(checks.InputError, match="below the rounding of float32"):
            solver(operator, 3, tolerance=1e-10)


@pytest.mark.parametrize("solver", SOLVERS, ids=name_of)
@pytest.mark.parametrize("kind", [np.int64, np.int8, np.bool_])
@pytest.mark.parametrize("wrap", [scipy.sparse.csr_array, aslinearoperator, np.asarray])
def test_integers_and_booleans_become_floats(solver, kind, wrap):
    # a path of 121 nodes: eigenvalues 2 cos(pi j / 122) of its adjacency matrix
    matrix = (np.eye(121, k=1) + np.eye(121, k=-1)).astype(kind)
    expected = 2 * np.cos(np.pi * np.arange(1, 4) / 122)
    pairs = solver(wrap(matrix), 3)
    np.testing.assert_allclose(pairs.values, expected, rtol=0, atol=1e-8)


def test_an_operator_of_integers_keeps_what_it_offers():
    class Twice(LinearOperator):
        def __init__(self):
            super().__init__(np.dtype(int), (3, 3))

        def _matvec(self, vector):
            return 2 * vector

        def trace(self):
            return 6

    made = operands.symmetric("matrix", Twice())
    assert made.dtype == np.float64
    assert indicators.trace_ratio(Twice(), np.eye(3)) == 1.0
    assert not hasattr(made, "factor_rows")


class Inaccurate(LinearOperator):
    """A symmetric matrix with an error of fixed size in every product, as of early stopping."""

    def __init__(self, matrix, error):
        self.matrix, self.error = matrix, error
        super().__init__(np.dtype(float), matrix.shape)

    def _matvec(self, vector):
        product = self.matrix @ np.ravel(vector)
        noise = np.modf(1e6 * product)[0]
        size = np.linalg.norm(product) / np.linalg.norm(noise)
        return product + self.error * size * noise


@pytest.mark.parametrize("solver", SOLVERS, ids=name_of)
def test_residuals_above_the_tolerance_are_raised_with_what_was_reached(solver, square):
    matrix = symmetrised(square)
    operator = Inaccurate(matrix, 1e-8)
    norm = np.abs(np.linalg.eigvalsh(matrix)).max()
    with pytest.raises(NotConverged, match=r"raise the tolerance|max_products") as caught:
        solver(operator, 3, tolerance=1e-11)
    partial = caught.value.partial
    assert isinstance(partial, eigenpairs.EigenPairs)
    assert 1e-11 * norm < partial.residuals.max() < 1e-6 * norm
    # what the products allow is given, with residuals within the promise
    pairs = solver(operator, 3, tolerance=1e-6)
    assert pairs.residuals.max() <= 1e-6 * norm


@pytest.mark.parametrize("solver", SOLVERS, ids=name_of)
@pytest.mark.parametrize("which", ["largest", "smallest", "magnitude"])
@pytest.mark.parametrize("tolerance", [1e-3, 1e-6, 1e-10])
def test_residuals_are_within_the_tolerance(solver, which, tolerance, square):
    matrix = symmetrised(square)
    pairs = solver(aslinearoperator(matrix), 7, which=which, tolerance=tolerance)
    norm = np.abs(np.linalg.eigvalsh(matrix)).max()
    measured = np.linalg.norm(matrix @ pairs.vectors - pairs.vectors * pairs.values, axis=0)
    assert measured.max() <= tolerance * norm * (1 + 1e-9) + 1e-12


def softmax_regression(rng, num_classes, num_features=9, num_examples=60):
    """Hessian of the mean cross-entropy at zero weights, with its exact eigenvalues.

    At equal probabilities it is ``X^T X / N`` times ``(I - 1 1^T / C) / C``: each eigenvalue of
    ``X^T X / (N C)`` has C - 1 copies, and the rest is zero.
    """
    inputs = rng.standard_normal((num_examples, num_features)) * 0.7 ** np.arange(num_features)
    moment = inputs.T @ inputs / num_examples
    among = (np.eye(num_classes) - 1 / num_classes) / num_classes
    eigenvalues = np.repeat(np.linalg.eigvalsh(moment)[::-1] / num_classes, num_classes - 1)
    return np.kron(moment, among), np.append(eigenvalues, np.zeros(num_features))


@pytest.mark.parametrize("solver", SOLVERS, ids=name_of)
@pytest.mark.parametrize(("num_classes", "num_pairs"), [(10, 12), (33, 40), (33, 70), (3, 2)])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_no_copy_of_a_multiple_eigenvalue_is_missed(solver, num_classes, num_pairs, sign, rng):
    hessian, eigenvalues = softmax_regression(rng, num_classes)
    which = "largest" if sign > 0 else "smallest"
    num_features = len(hessian) // num_classes
    if solver.keywords["method"] == "arpack":
        # enough dimensions that it iterates
        size = max(0, 4 * num_pairs + 50 - len(hessian))
        hessian = np.pad(hessian, (0, size))
    pairs = solver(aslinearoperator(sign * hessian), num_pairs, which=which)
    np.testing.assert_allclose(sign * pairs.values, eigenvalues[:num_pairs], rtol=0, atol=1e-8)
    orthonormal = pairs.vectors.T @ pairs.vectors
    np.testing.assert_allclose(orthonormal, np.eye(num_pairs), rtol=0, atol=1e-8)
    assert pairs.num_products > 0
    assert num_features > 1


@pytest.mark.parametrize("which", ["largest", "smallest", "magnitude"])
def test_copies_are_found_at_both_ends_and_among_zeros(which):
    values = np.zeros(400)
    values[:30], values[30:42], values[42] = 3.0, -2.0, 1.0
    operator = aslinearoperator(np.diag(values))
    keys = {"largest": -values, "smallest": values, "magnitude": -np.abs(values)}
    expected = values[np.argsort(keys[which], kind="stable")]
    for solver in SOLVERS:
        for num_pairs in (2, 20, 45):
            pairs = solver(operator, num_pairs, which=which)
            np.testing.assert_allclose(pairs.values, expected[:num_pairs], rtol=0, atol=1e-8)


def test_the_multiple_leading_eigenvalue_of_an_operator_has_no_projection_coefficient():
    values = np.append(np.linspace(0, 1, 198), [2.0, 2.0])
    with pytest.raises(checks.InputError, match="is multiple"):
        indicators.projection_coefficient(aslinearoperator(np.diag(values)), np.eye(200))


def test_a_search_for_copies_that_does_not_end_is_not_converged(monkeypatch):
    operator = aslinearoperator(np.diag(np.linspace(0, 1, 3000) ** 0.1))

    def limited(matrix, num_pairs, **options):
        if isinstance(matrix, _arpack._Deflated):
            options["maxiter"] = 1
        return eigsh(matrix, num_pairs, **options)

    eigsh = _arpack.eigsh
    monkeypatch.setattr(_arpack, "eigsh", limited)
    with pytest.raises(NotConverged, match="copies of multiple eigenvalues") as caught:
        eigenpairs.leading_eigenpairs(operator, 2, tolerance=1e-6)
    np.testing.assert_allclose(caught.value.partial.values[0], 1, rtol=0, atol=1e-6)


def test_few_copies_need_no_second_iteration():
    assert not _pairs.may_hide_copies(np.array([2.0, 2.0, 1.0]), 3, 1e-9)
    assert not _pairs.may_hide_copies(np.array([2.0, 1.0, 1.0, 1.0]), 2, 1e-9)
    assert _pairs.may_hide_copies(np.array([2.0, 2.0, 1.0]), 1, 1e-9)


def test_eigenpairs_of_covariances_keep_the_promise_or_refuse(rng, monkeypatch):
    rows = rng.standard_normal((30, 80)) * np.geomspace(1, 1e-12, 30)[:, None]
    for factor in (rows, rows.T):
        covariance = factored.FactoredCovariance(factor, 2.0)
        dense = 2.0 * factor.T @ factor
        pairs = covariance.leading_eigenpairs(25)
        measured = np.linalg.norm(dense @ pairs.vectors - pairs.vectors * pairs.values, axis=0)
        assert measured.max() <= 1e-10 * pairs.values[0]
        broken = factored.FactoredCovariance(np.full_like(factor, np.nan), 1.0)
        with pytest.raises(checks.InputError, match="not finite"):
            broken.leading_eigenpairs(2)
    # a product that is not that of the factor breaks the promise
    monkeypatch.setattr(factored.FactoredCovariance, "_matmat", lambda _, v: 1.001 * v)
    with pytest.raises(NotConverged):
        factored.FactoredCovariance(np.eye(30), 1.0).leading_eigenpairs(3)


def small_network(rng, **options):
    stack = networks.Stack(
        (networks.Dense(4), networks.Activation("tanh"), networks.Dense(3)), (5,)
    )
    labels = rng.integers(0, 3, 20)
    return networks.Network(
        stack, losses.SoftmaxCrossEntropy(), rng.standard_normal((20, 5)), labels, **options
    )


def test_eigenpairs_of_networks_gradients_keep_the_promise_or_refuse(rng, monkeypatch):
    network = small_network(rng)
    theta = rng.standard_normal(network.num_parameters)
    covariance = gradient_covariance(network.example_gradients(theta))
    gradients = network.per_example_gradients(theta)
    dense = np.cov(gradients.T, ddof=0)
    pairs = covariance.leading_eigenpairs(6)
    measured = np.linalg.norm(dense @ pairs.vectors - pairs.vectors * pairs.values, axis=0)
    assert measured.max() <= 1e-9 * pairs.values[0]
    gram = covariance.gradients.gram()
    for wrong, error in (
        (np.full_like(gram, np.nan), checks.InputError),
        (gram + np.diag(np.arange(20.0)), NotConverged),
    ):
        monkeypatch.setattr(type(covariance.gradients), "gram", lambda _, w=wrong: w.copy())
        with pytest.raises(error):
            covariance.leading_eigenpairs(6)


def test_a_network_of_softmax_regression_shows_all_copies(rng):
    inputs = rng.standard_normal((40, 6)) * 0.6 ** np.arange(6)
    network = networks.Network(
        networks.Stack((networks.Dense(10),), (6,)),
        losses.SoftmaxCrossEntropy(),
        inputs,
        rng.integers(0, 10, 40),
    )
    zero = np.zeros(network.num_parameters)
    extended = np.column_stack([inputs, np.ones(40)])
    expected = np.repeat(np.linalg.eigvalsh(extended.T @ extended / 40)[::-1] / 10, 9)
    found = eigenpairs.leading_eigenpairs(
        network.linearise(zero).hessian_operator(), 12, method="block"
    )
    np.testing.assert_allclose(found.values, expected[:12], rtol=0, atol=1e-8)
