"""Geometries of given matrices: every kind of matrix, and what is refused."""

import numpy as np
import pytest
import scipy.sparse
import torch_operators
from scipy.sparse.linalg import LinearOperator, aslinearoperator

from aniso import checks, diagnostics, frameworks, matrices
from aniso.problems import MissingFaculty

HESSIAN = np.array([[4.0, 1.0, 0.0], [1.0, 2.0, 0.5], [0.0, 0.5, 1.0]])
COVARIANCE = np.array([[2.0, 0.5, 0.0], [0.5, 1.0, 0.0], [0.0, 0.0, 3.0]])
ONE = matrices.Convention(100)
BLOCKS = {"first": slice(0, 2), "last": slice(2, 3)}
ALIGNMENT = 4 * 2 + 2 * 1 * 0.5 + 2 * 1 + 1 * 3  # sum of H_ij Sigma_ij


def tensor(array):
    return pytest.importorskip("torch").tensor(array)


def jax_array(array):
    return pytest.importorskip("jax").numpy.asarray(array)


def products(array):
    return torch_operators.Products(tensor(array))


def applied(array):
    return torch_operators.Applied(tensor(array))


KINDS = {
    "list": lambda a: a.tolist(),
    "array": np.array,
    "sparse": scipy.sparse.csr_array,
    "operator": aslinearoperator,
    "tensor": tensor,
    "JAX array": jax_array,
    "curvlinops": products,
    "hessian-eigenthings": applied,
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_matrix_gives_the_same_geometry(kind, rng):
    made = KINDS[kind]
    at = frameworks.from_matrices(
        made(HESSIAN), covariance=made(COVARIANCE), convention=ONE, blocks=BLOCKS
    )
    vectors = rng.standard_normal((3, 2))
    for found, expected in ((at.hessian, HESSIAN), (at.noise, COVARIANCE)):
        np.testing.assert_allclose(found @ vectors, expected @ vectors, rtol=1e-6)
        np.testing.assert_allclose(found @ vectors[:, 0], expected @ vectors[:, 0], rtol=1e-6)
        np.testing.assert_allclose(np.asarray(found.to_dense()), expected, rtol=1e-6)
        np.testing.assert_allclose(found.diagonal(), np.diag(expected), rtol=1e-6)
        assert found.trace() == pytest.approx(np.trace(expected), rel=1e-6)
    blocks = at.by_block()
    assert blocks.alignment == pytest.approx(ALIGNMENT, rel=1e-6)
    assert blocks.names == ("first", "last")
    np.testing.assert_allclose(blocks.alignments, [ALIGNMENT - 3, 3], rtol=1e-6)
    assert at.noise.convention == ONE
    assert at.noise.to_dense().convention == ONE
    assert matrices.trace_ratio(at.hessian, at.noise) == pytest.approx(ALIGNMENT * 3 / 42)
    batch = matrices.minibatch_covariance(at.noise, 4, replacement=True)
    assert batch.trace() == pytest.approx(1.5)
    assert matrices.convention_of(0.5 * at.noise) == ONE.scaled(0.5)
    assert matrices.leading_eigenpairs(at.hessian, 1).values[0] == pytest.approx(
        np.linalg.eigvalsh(HESSIAN)[-1], rel=1e-6
    )


def test_rows_give_noise_gradient_and_fisher(rng):
    rows = rng.standard_normal((5, 3))
    at = frameworks.from_matrices(HESSIAN, per_example_gradients=rows, loss=0.5)
    np.testing.assert_allclose(at.gradient, rows.mean(axis=0))
    np.testing.assert_allclose(at.noise.to_dense(), np.cov(rows.T, bias=True), atol=1e-14)
    np.testing.assert_allclose(at.empirical_fisher.to_dense(), rows.T @ rows / 5)
    assert (at.loss, at.num_parameters, at.blocks) == (0.5, 3, {"theta": slice(0, 3)})
    assert at.hessian_for(1, 0.1) is at.hessian
    at.gradient[:] = 7.0
    np.testing.assert_allclose(at.gradient, rows.mean(axis=0))
    assert "D = 3, loss = 0.5" in repr(at)
    rows += 1
    assert not np.allclose(at.gradient, rows.mean(axis=0))


def test_a_covariance_keeps_its_own_convention(rng):
    one = matrices.gradient_covariance(rng.standard_normal((5, 3)))
    batch = matrices.minibatch_covariance(one, 2, replacement=False)
    at = frameworks.from_matrices(HESSIAN, covariance=batch)
    assert at.noise is batch
    dense = frameworks.from_matrices(HESSIAN, covariance=batch.to_dense())
    assert dense.noise.convention == batch.convention
    with pytest.raises(checks.InputError, match="already the covariance"):
        matrices.minibatch_covariance(dense.noise, 2, replacement=True)


def test_single_precision_may_round_and_nothing_more():
    rounded = HESSIAN.astype(np.float32)
    rounded[0, 1] += 1e-6
    at = frameworks.from_matrices(rounded, covariance=COVARIANCE, convention=ONE)
    assert at.hessian.to_dense()[0, 1] == at.hessian.to_dense()[1, 0]
    rounded[0, 1] += 0.04
    with pytest.raises(checks.InputError, match="not symmetric"):
        frameworks.from_matrices(rounded, covariance=COVARIANCE, convention=ONE)


@pytest.mark.parametrize("made", [aslinearoperator, products, applied])
@pytest.mark.parametrize("precision", [np.float32, np.float64])
def test_an_operator_that_is_a_few_percent_asymmetric_is_refused(made, precision, rng):
    """Three percent: what a wrong second derivative of layer normalisation leaves."""
    half = rng.standard_normal((60, 60))
    symmetric, skew = half + half.T, half - half.T
    exact = made((symmetric).astype(precision))
    assert frameworks.from_matrices(exact, covariance=np.eye(60), convention=ONE)
    wrong = made((symmetric + 0.03 * skew).astype(precision))
    with pytest.raises(checks.InputError, match="hessian is not symmetric"):
        frameworks.from_matrices(wrong, covariance=np.eye(60), convention=ONE)


class Broken(LinearOperator):
    def _matvec(self, vector):
        return vector * np.nan

    _matmat = _matvec


def negative(array):
    return aslinearoperator(-array)


def halves(array):
    made = products(array)
    made.dtype = pytest.importorskip("torch").float16
    return made


REFUSED = [
    ({}, "one of covariance= and per_example_gradients=, got none"),
    ({"covariance": COVARIANCE, "per_example_gradients": np.eye(3)}, "got both"),
    ({"covariance": COVARIANCE}, "states no convention"),
    ({"covariance": COVARIANCE, "convention": 100}, "convention is a int"),
    (
        {"covariance": matrices.gradient_covariance(np.eye(3)), "convention": ONE},
        "of 100, and covariance is the centred gradient covariance of one example of 3",
    ),
    ({"covariance": matrices.empirical_fisher(np.eye(3))}, "expected a centred covariance"),
    ({"covariance": COVARIANCE[:2, :2], "convention": ONE}, r"expected \(3, 3\)"),
    ({"covariance": -COVARIANCE, "convention": ONE}, "not positive semi-definite"),
    ({"covariance": negative(COVARIANCE), "convention": ONE}, "for a random vector"),
    ({"per_example_gradients": np.eye(2)}, "D of the Hessian"),
    ({"per_example_gradients": np.eye(3), "convention": ONE}, "expected no convention"),
    ({"per_example_gradients": np.eye(3), "gradient": [1.0, 0.0, 0.0]}, "differs from the mean"),
    ({"per_example_gradients": np.eye(3), "gradient": [1.0]}, "gradient has shape"),
    ({"per_example_gradients": np.eye(3), "loss": np.inf}, "loss"),
    ({"per_example_gradients": np.eye(3), "blocks": {"a": slice(0, 9)}}, "blocks"),
]


@pytest.mark.parametrize(("given", "words"), REFUSED)
def test_what_is_no_geometry_is_refused(given, words):
    with pytest.raises(checks.InputError, match=words):
        frameworks.from_matrices(HESSIAN, **given)


@pytest.mark.parametrize(
    ("hessian", "words"),
    [
        (HESSIAN[:2], "square"),
        (HESSIAN * np.nan, "non-finite"),
        (HESSIAN + np.triu(HESSIAN, 1), "not symmetric"),
        (Broken(float, (3, 3)), "not finite"),
        ("none", "hessian"),
    ],
)
def test_what_is_no_hessian_is_refused(hessian, words):
    with pytest.raises(checks.InputError, match=words):
        frameworks.from_matrices(hessian, per_example_gradients=np.eye(3))


def test_half_precision_is_refused():
    with pytest.raises(checks.InputError, match="float16"):
        frameworks.from_matrices(halves(HESSIAN), per_example_gradients=np.eye(3))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("loss", "was not given"),
        ("gradient", "was not given"),
        ("example_gradients", "per_example_gradients="),
        ("theta", "problem.at"),
        ("fisher", "from_torch"),
    ],
)
def test_what_was_not_given_is_refused_by_name(name, words):
    at = frameworks.from_matrices(HESSIAN, covariance=COVARIANCE, convention=ONE)
    with pytest.raises(MissingFaculty, match=words):
        getattr(at, name)
    assert not hasattr(at, "unheard_of")


def test_a_diagnosis_says_what_matrices_answer_themselves(rng):
    at = frameworks.from_matrices(HESSIAN, covariance=COVARIANCE, convention=ONE)
    with pytest.raises(checks.InputError, match=r"a MatrixGeometry, .* aniso\.alignment"):
        diagnostics.measure(at, batch_size=2, replacement=True, rng=rng)
