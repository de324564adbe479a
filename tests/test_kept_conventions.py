"""The convention of a covariance through multiples, sums and NumPy: kept, stated or unknown."""

import copy
import pickle

import numpy as np
import pytest
from scipy.sparse.linalg import aslinearoperator

from aniso import checks, networks
from aniso.closed_forms import diffusion as ornstein_uhlenbeck
from aniso.matrices import gradient_covariance, indicators, noise, structures
from aniso.matrices.convention import Convention, UnknownConvention, convention_of
from aniso.matrices.factored import DiagonalCovariance, FactoredCovariance
from aniso.problems import losses

HESSIAN = np.diag([3.0, 2.0, 1.0])


@pytest.fixture
def one(rng):
    return noise.gradient_covariance(rng.standard_normal((8, 3)))


@pytest.fixture
def batch(one):
    return noise.minibatch_covariance(one, 2, replacement=True)


@pytest.fixture
def diffusion(batch):
    return noise.diffusion_covariance(batch, 0.1)


def layered(rng):
    stack = networks.Stack((networks.Dense(1),), (2,))
    network = networks.Network(
        stack, losses.SquaredLoss(), rng.standard_normal((8, 2)), np.zeros((8, 1))
    )
    return gradient_covariance(network.example_gradients(np.ones(3)))


# forms that mean the same matrix in the same convention
SAME = {
    "to_dense": lambda c: c.to_dense(),
    "times one": lambda c: 1.0 * c,
    "one times": lambda c: c * 1,
    "divided by one": lambda c: c / np.float64(1.0),
    "transposed": lambda c: c.T,
    "adjoint": lambda c: c.H,
    "there and back": lambda c: 4 * c * 0.25,
    "dense times one": lambda c: 1.0 * c.to_dense(),
    "dense copy": lambda c: c.to_dense().copy(),
    "copy.copy": lambda c: copy.copy(c.to_dense()),
    "copy.deepcopy": lambda c: copy.deepcopy(c.to_dense()),
    "pickled": lambda c: pickle.loads(pickle.dumps(c.to_dense())),
    "pickled operator": lambda c: pickle.loads(pickle.dumps(c)),
    "dense transposed": lambda c: c.to_dense().T,
    "view": lambda c: c.to_dense()[:],
    "chosen": lambda c: c.to_dense()[np.ix_([0, 1, 2], [0, 1, 2])],
    "precision": lambda c: c.to_dense().astype(np.longdouble).astype(float),
    "isotropic": structures.isotropic_equivalent,
    "diagonal of dense": lambda c: structures.diagonal_part(c.to_dense()),
    "leading": lambda c: structures.leading_part(c, 2),
    "of hessian": lambda c: structures.hessian_part(HESSIAN, c, 2),
    "of |hessian|": lambda c: structures.hessian_magnitude_part(HESSIAN, c.to_dense(), 2),
    "optimal": lambda c: structures.optimal_noise(HESSIAN, c),
}
# matrices that were computed from it, whose convention nobody knows
UNKNOWN = {
    "sum": lambda c: c + c,
    "sum with another": lambda c: c + aslinearoperator(np.eye(3)),
    "sum from the right": lambda c: aslinearoperator(np.eye(3)) + c,
    "difference": lambda c: c - 0.5 * c,
    "square": lambda c: c**2,
    "product": lambda c: c @ c,
    "multiple of a sum": lambda c: 2.0 * (c + c),
    "negative": lambda c: -c,
    "negative multiple": lambda c: -1.0 * c,
    "dense sum": lambda c: c.to_dense() + c.to_dense(),
    "dense with noise": lambda c: np.eye(3) + c.to_dense(),
    "dense entrywise": lambda c: c.to_dense() * np.eye(3),
    "dense square": lambda c: c.to_dense() @ c.to_dense(),
    "dense dot": lambda c: np.dot(c.to_dense(), np.eye(3)),
    "dense negative": lambda c: -c.to_dense(),
    "dense root": lambda c: np.sqrt(np.abs(c.to_dense())),
}


@pytest.mark.parametrize("form", SAME)
def test_the_convention_is_kept(form, one, batch, diffusion, rng):
    for covariance in (one, batch, diffusion, layered(rng)):
        made = SAME[form](covariance)
        assert convention_of(made) == covariance.convention
    for covariance in (one, batch):
        with pytest.raises(checks.InputError, match="expected the diffusion covariance"):
            indicators.escape_rate(HESSIAN, SAME[form](covariance))
        with pytest.raises(checks.InputError, match="expected the diffusion covariance"):
            ornstein_uhlenbeck.escaping_efficiency(HESSIAN, SAME[form](covariance), [1.0])
    assert indicators.escape_rate(HESSIAN, SAME[form](diffusion)) > 0


@pytest.mark.parametrize("form", UNKNOWN)
def test_what_is_computed_from_it_is_unknown_and_refused(form, one, diffusion):
    for covariance in (one, diffusion):
        made = UNKNOWN[form](covariance)
        assert isinstance(convention_of(made), UnknownConvention)
        with pytest.raises(checks.InputError, match="unknown convention"):
            indicators.escape_rate(HESSIAN, made)
        with pytest.raises(checks.InputError, match="unknown convention"):
            noise.minibatch_covariance(made, 2, replacement=True)
        with pytest.raises(checks.InputError, match="unknown convention"):
            noise.diffusion_covariance(made, 0.1)


@pytest.mark.parametrize("dense", [False, True])
def test_a_multiple_states_its_factor(one, diffusion, dense):
    def form(covariance):
        return covariance.to_dense() if dense else covariance

    for made in (0.5 * form(diffusion), form(diffusion) * 0.5, form(diffusion) / 2):
        assert str(convention_of(made)).startswith("0.5 × diffusion covariance")
        np.testing.assert_allclose(np.asarray(made @ np.eye(3)), diffusion.to_dense() / 2)
        with pytest.raises(checks.InputError, match=r"0\.5 × diffusion"):
            indicators.escape_rate(HESSIAN, made)
    if not dense:
        # a multiple keeps its factor and its fast routes
        assert (0.5 * one).rows is one.rows
        assert (0.5 * one).trace() == 0.5 * one.trace()
        with pytest.raises(checks.InputError, match=r"this is the 0\.5 × centred"):
            noise.minibatch_covariance(0.5 * one, 2, replacement=True)


def test_in_place_changes_are_known(diffusion):
    dense = diffusion.to_dense()
    dense *= 3.0
    assert dense.convention == diffusion.convention.scaled(3.0)
    dense += 1.0
    assert isinstance(dense.convention, UnknownConvention)


def test_an_array_without_a_convention_is_taken_at_its_word(one):
    plain = np.asarray(one.to_dense())
    assert type(plain) is np.ndarray
    assert convention_of(plain) is None
    rate = indicators.escape_rate(HESSIAN, plain)
    np.testing.assert_allclose(rate, np.sum(HESSIAN * plain) / 2)
    assert convention_of(2.0 * FactoredCovariance(np.eye(3), 1.0)) is None
    assert convention_of(DiagonalCovariance([1.0, 2.0]) / 2) is None


def test_an_array_with_a_convention_computes_as_any_array(one, rng):
    dense, plain = one.to_dense(), np.asarray(one.to_dense())
    vectors = rng.standard_normal((3, 2))
    for function in (
        lambda a: a @ vectors,
        lambda a: np.linalg.eigvalsh(a),
        lambda a: np.linalg.eigh(a)[1],
        lambda a: np.linalg.solve(a, vectors),
        lambda a: np.trace(a),
        lambda a: a.sum(axis=0),
        lambda a: a.diagonal(),
        lambda a: a.max(),
        lambda a: np.concatenate([a, a]),
        lambda a: np.einsum("ij,jk->ik", a, vectors),
        lambda a: a > 0,
        lambda a: np.divmod(a, 2.0)[0],
        lambda a: a[0, 1],
    ):
        np.testing.assert_array_equal(np.asarray(function(dense)), function(plain))
    assert convention_of(np.linalg.eigh(dense)[1]) is None
    assert convention_of(dense @ vectors) is None
    assert convention_of(dense > 0) is None
    out = np.empty((3, 3))
    assert np.multiply(dense, 2.0, out=out) is out
    np.testing.assert_array_equal(out, 2.0 * plain)


def test_an_uncentred_matrix_is_no_covariance_of_any_stage(rng):
    fisher = noise.empirical_fisher(rng.standard_normal((8, 3)))
    for form in (fisher, fisher.to_dense(), 1.0 * fisher):
        with pytest.raises(checks.InputError, match="uncentred second moment"):
            indicators.escape_rate(HESSIAN, form)


def test_factors_that_are_no_numbers_leave_the_convention_unknown():
    assert isinstance(Convention(5).scaled(np.inf), UnknownConvention)
    assert isinstance(Convention(5).scaled(1j), UnknownConvention)
    assert Convention(5).scaled(np.float32(2.0)).factor == 2.0
