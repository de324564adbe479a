"""Entropy production: the difference of traces, equilibrium where H and Sigma commute."""

import numpy as np
import pytest
from reference_matrices import random_positive, symmetrised
from tolerances import assert_equal_up_to_rounding

from aniso import checks
from aniso.closed_forms import diffusion, non_equilibrium


@pytest.fixture
def matrices(rng):
    shift = 0.2 * np.eye(5)
    return random_positive(rng, 5) + shift, random_positive(rng, 5) + shift


def assert_close(actual, expected, scale=None):
    # Inverses of matrices of condition below 1e3, relative to the norms.
    assert_equal_up_to_rounding(actual, expected, num_terms=5000, scale=scale)


def test_rate_is_the_difference_of_traces(matrices):
    hessian, covariance = matrices
    stationary = diffusion.stationary_covariance(hessian, covariance)
    first = np.trace(hessian @ np.linalg.inv(covariance / 2) @ hessian @ stationary)
    made = non_equilibrium.entropy_production(hessian, covariance)
    assert made > 0
    assert_close(made, first - np.trace(hessian), scale=first)
    with pytest.raises(AssertionError, match="rounding"):
        assert_close(made, first - 0.95 * np.trace(hessian), scale=first)
    again = non_equilibrium.entropy_production(hessian, 7 * covariance)
    assert_close(again, made, scale=first)


def test_noise_that_commutes_is_in_equilibrium(matrices):
    hessian, _ = matrices
    for covariance in (np.eye(5), hessian, symmetrised(hessian @ hessian)):
        rate = non_equilibrium.entropy_production(hessian, covariance)
        assert 0 <= rate < 1e-20
        current = non_equilibrium.circulation(hessian, covariance)
        assert_close(current, np.zeros((5, 5)), scale=np.linalg.norm(hessian))


def test_current_is_stationary(matrices):
    hessian, covariance = matrices
    stationary = diffusion.stationary_covariance(hessian, covariance)
    current = non_equilibrium.circulation(hessian, covariance) @ stationary
    # No divergence: the current round the minimum changes no density.
    assert_close(current, -current.T, scale=np.linalg.norm(covariance))
    assert np.linalg.norm(current) > 1e-3 * np.linalg.norm(covariance)


def test_noise_without_a_direction_is_refused():
    with pytest.raises(checks.InputError, match="smallest eigenvalue of covariance"):
        non_equilibrium.entropy_production(np.diag([1.0, 2.0]), np.diag([1.0, 0.0]))
    with pytest.raises(checks.InputError, match="no stationary distribution"):
        non_equilibrium.circulation(np.diag([1.0, 0.0]), np.eye(2))
