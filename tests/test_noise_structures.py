"""Noise structures: equal trace, the shape each one promises, arrays and operators alike."""

import numpy as np
import pytest
from reference_matrices import random_positive, random_symmetric, with_spectrum
from scipy.sparse.linalg import LinearOperator, aslinearoperator
from tolerances import assert_equal_up_to_rounding

from aniso import checks
from aniso.matrices import indicators, noise
from aniso.matrices import structures as noise_structures
from aniso.matrices.factored import FactoredCovariance

DIMENSION = 7


@pytest.fixture
def hessian(rng):
    return with_spectrum(rng, [9.0, 5.0, 2.0, 1.0, 0.5, -3.0, -7.0])


@pytest.fixture
def covariance(rng):
    return random_positive(rng, DIMENSION)


def structures(hessian, covariance):
    return {
        "isotropic": noise_structures.isotropic_equivalent(covariance),
        "diagonal": noise_structures.diagonal_part(covariance),
        "leading": noise_structures.leading_part(covariance, 3),
        "hessian": noise_structures.hessian_part(hessian, covariance, 4),
        "magnitude": noise_structures.hessian_magnitude_part(hessian, covariance, 4),
        "optimal": noise_structures.optimal_noise(hessian, covariance),
    }


def test_every_structure_has_the_trace_of_the_noise(hessian, covariance):
    for name, made in structures(hessian, covariance).items():
        # Rescaling divides by a computed trace: relative rounding of D terms.
        assert_equal_up_to_rounding(np.trace(made), np.trace(covariance), num_terms=DIMENSION)
        assert np.linalg.eigvalsh(made).min() > -1e-14 * np.trace(made), name


def test_operators_agree_with_arrays(hessian, covariance, rng):
    factored = FactoredCovariance(np.linalg.cholesky(covariance).T, 1.0)
    arrays = structures(hessian, covariance)
    for given in (factored, aslinearoperator(covariance)):
        for name, made in structures(aslinearoperator(hessian), given).items():
            assert isinstance(made, LinearOperator), name
            # Eigenvectors of a 7 x 7 matrix with gaps of order one (of the covariance: random,
            # down to 1e-3 of the norm): eps / gap, thirty times D eps.
            assert_equal_up_to_rounding(made.to_dense(), arrays[name], num_terms=100 * DIMENSION)
            block = rng.standard_normal((DIMENSION, 2))
            np.testing.assert_allclose(made @ block, made.to_dense() @ block, atol=1e-12)


def test_shapes_are_those_promised(hessian, covariance):
    made = structures(hessian, covariance)
    np.testing.assert_array_equal(made["diagonal"], np.diag(np.diag(covariance)))
    np.testing.assert_allclose(
        made["isotropic"], np.eye(DIMENSION) * np.trace(covariance) / DIMENSION, rtol=1e-14
    )
    values, vectors = np.linalg.eigh(hessian)
    total = np.trace(covariance)
    leading = (vectors[:, -4:] * values[-4:]) @ vectors[:, -4:].T
    np.testing.assert_allclose(made["hessian"], leading * total / values[-4:].sum(), atol=1e-12)
    chosen = np.argsort(-np.abs(values))[:4]  # 9, -7, 5, -3
    magnitude = (vectors[:, chosen] * np.abs(values[chosen])) @ vectors[:, chosen].T
    np.testing.assert_allclose(made["magnitude"], magnitude * total / 24, atol=1e-12)
    assert np.abs(made["magnitude"] - made["hessian"]).max() > 0.01 * total


def test_unscaled_variants_are_those_of_the_published_scripts(hessian, covariance):
    values, vectors = np.linalg.eigh(covariance)
    truncated = (vectors[:, -3:] * values[-3:]) @ vectors[:, -3:].T
    made = noise_structures.leading_part(covariance, 3, rescaled=False)
    np.testing.assert_allclose(made, truncated, atol=1e-13)
    assert np.trace(made) < np.trace(covariance)
    raw = noise_structures.hessian_part(hessian, covariance, 2, rescaled=False)
    np.testing.assert_allclose(np.trace(raw), 14, rtol=1e-13)
    raw = noise_structures.hessian_magnitude_part(hessian, covariance, 2, rescaled=False)
    np.testing.assert_allclose(np.trace(raw), 16, rtol=1e-13)


def test_negative_curvature_carries_no_noise(hessian, covariance):
    full = noise_structures.hessian_part(hessian, covariance, DIMENSION)
    five = noise_structures.hessian_part(hessian, covariance, 5)
    np.testing.assert_allclose(full, five, atol=1e-12)
    with pytest.raises(checks.InputError, match="none of the leading eigenvalues"):
        noise_structures.hessian_part(-np.eye(3), np.eye(3), 2)


def test_optimal_noise_bounds_every_other(rng):
    hessian, covariance = random_positive(rng, DIMENSION), random_positive(rng, DIMENSION)
    best = noise_structures.optimal_noise(hessian, covariance)
    bound = np.linalg.eigvalsh(hessian)[-1] * DIMENSION / np.trace(hessian)
    # Two traces of 7 x 7 products of computed eigenvectors.
    assert_equal_up_to_rounding(
        indicators.trace_ratio(hessian, best), bound, num_terms=10 * DIMENSION
    )
    for made in structures(hessian, covariance).values():
        assert indicators.trace_ratio(hessian, made) <= bound * (1 + 1e-12)
    # The falsehood: noise along another eigenvector does not reach the bound.
    second = noise_structures.optimal_noise(-hessian, covariance)
    assert indicators.trace_ratio(hessian, second) < 0.9 * bound


def test_no_noise_stays_none(rng):
    silent = noise.gradient_covariance(np.ones((4, DIMENSION)))
    hessian = random_symmetric(rng, DIMENSION)
    for made in structures(hessian, silent).values():
        assert made.trace() == 0


def test_from_eigenpairs_refuses_what_is_no_covariance():
    with pytest.raises(checks.InputError, match="values has the entry -1"):
        noise_structures.from_eigenpairs([-1.0], [[1.0], [0.0]])
    with pytest.raises(checks.InputError, match="no factor gives them the trace 2"):
        noise_structures.from_eigenpairs([0.0], [[1.0], [0.0]], 2.0)
    with pytest.raises(checks.InputError, match="shape"):
        noise_structures.optimal_noise(np.eye(2), np.eye(3))
