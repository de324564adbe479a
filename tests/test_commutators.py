"""The commutator of curvature and noise against dense arrays."""

import numpy as np
import pytest
from scipy.sparse.linalg import aslinearoperator

from aniso.matrices import indicators, noise


def test_commutator_is_the_dense_one(rng):
    rows = rng.normal(size=(7, 4))
    covariance = noise.gradient_covariance(rows)
    hessian = np.diag([1.0, 2.0, 3.0, 4.0])
    dense = covariance.to_dense()
    expected = hessian @ dense - dense @ hessian
    operator = indicators.Commutator(hessian, covariance)
    # a few additions of numbers of order one
    np.testing.assert_allclose(operator @ np.eye(4), expected, rtol=0, atol=1e-13)
    np.testing.assert_allclose(operator.T @ np.eye(4), expected.T, rtol=0, atol=1e-13)
    size = np.linalg.norm(expected) / (2 * np.linalg.norm(hessian @ dense))
    assert abs(indicators.relative_commutator(hessian, covariance) - size) < 1e-10


def test_commuting_matrices_and_zero_give_zero(rng):
    covariance = noise.gradient_covariance(rng.normal(size=(7, 4)))
    # cancellation of two equal squares: half the digits
    assert indicators.relative_commutator(np.eye(4), covariance) < 1e-7
    assert indicators.relative_commutator(np.zeros((4, 4)), covariance) == 0


@pytest.mark.parametrize("scale", [1e-100, 1e-50, 1e50, 1e100, 1e150])
def test_the_relative_commutator_does_not_depend_on_the_scale(scale, rng):
    hessian, dense = np.diag([1.0, 2.0]), np.array([[2.0, 1.0], [1.0, 2.0]])
    # [[2, 1], [2, 4]] has the norm 5, and the commutator [[0, -1], [1, 0]] the root of 2
    expected = np.sqrt(2) / 10
    rows = rng.normal(size=(7, 2))
    factored = noise.gradient_covariance(rows)
    far = noise.gradient_covariance(np.sqrt(scale) * rows)
    value = indicators.relative_commutator(hessian, factored)
    for one, other in ((1.0, scale), (scale, 1.0), (scale, scale)):
        found = indicators.relative_commutator(one * hessian, other * dense)
        np.testing.assert_allclose(found, expected, rtol=1e-14)
        found = indicators.relative_commutator(aslinearoperator(one * hessian), other * dense)
        np.testing.assert_allclose(found, expected, rtol=1e-14)
        found = indicators.relative_commutator(one * hessian, factored if other == 1 else far)
        np.testing.assert_allclose(found, value, rtol=1e-8)
