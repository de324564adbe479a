"""The commutator of curvature and noise against dense arrays."""

import numpy as np

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
