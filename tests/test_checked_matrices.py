"""Matrices that were checked once are not checked again, and nothing else passes for them."""

import gc

import numpy as np
import pytest

from aniso import _checked_arrays, checks, matrices


@pytest.fixture
def factorised(monkeypatch):
    """Names of the matrices whose definiteness was tested."""
    names, original = [], checks._require_semidefinite

    def counted(name, matrix):
        names.append(name)
        original(name, matrix)

    monkeypatch.setattr(checks, "_require_semidefinite", counted)
    return names


def random_pair(rng, size=6):
    factors = rng.standard_normal((2, size, size))
    return [factor @ factor.T for factor in factors]


def test_a_checked_covariance_is_factorised_once(rng, factorised):
    hessian, covariance = random_pair(rng)
    kept = matrices.checked_covariance(covariance)
    assert factorised == ["covariance"]
    expected = matrices.trace_ratio(hessian, covariance)
    assert len(factorised) == 2
    assert matrices.trace_ratio(hessian, kept) == expected
    assert matrices.alignment(hessian, kept) == matrices.alignment(hessian, covariance)
    assert len(factorised) == 3
    covariance[0, 0] = np.nan
    assert np.isfinite(kept).all()


def test_a_read_only_array_is_checked_once_and_again_when_it_can_change(rng, factorised):
    hessian, covariance = random_pair(rng)
    covariance.setflags(write=False)
    for _ in range(3):
        matrices.trace_ratio(hessian, covariance)
    assert len(factorised) == 1
    covariance.setflags(write=True)
    covariance[0, 0] = -1.0
    with pytest.raises(checks.InputError, match="not positive semi-definite"):
        matrices.trace_ratio(hessian, covariance)
    view = matrices.checked_covariance(np.eye(3))[:2, :2]
    matrices.trace_ratio(np.eye(2), view)
    matrices.trace_ratio(np.eye(2), view)
    assert len(factorised) == 5


def test_a_symmetric_matrix_does_not_pass_for_a_covariance():
    kept = matrices.checked_symmetric([[1.0, 0.0], [0.0, -1.0]])
    with pytest.raises(checks.InputError, match="smallest eigenvalue is -1"):
        matrices.alignment(np.eye(2), kept)
    with pytest.raises(checks.InputError, match="smallest eigenvalue is -1"):
        matrices.alignment(np.eye(2), kept)
    with pytest.raises(checks.InputError, match=r"shape \(2, 2\); expected \(3, 3\)"):
        matrices.alignment(np.eye(3), matrices.checked_covariance(np.eye(2)))


def test_arrays_are_forgotten():
    before = len(_checked_arrays._known)
    kept = matrices.checked_covariance(np.eye(4))
    assert len(_checked_arrays._known) == before + 2
    del kept
    gc.collect()
    assert len(_checked_arrays._known) == before


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("smallest", [0.0, -1e-18, -1e-12, -1.0])
def test_the_verdict_is_that_of_the_eigenvalues(rng, order, smallest):
    basis = np.linalg.qr(rng.standard_normal((8, 8)))[0]
    matrix = (basis * np.array([smallest, 0, 0, 0.1, 0.2, 0.3, 0.9, 1.0])) @ basis.T
    matrix = np.array((matrix + matrix.T) / 2, order=order)
    kept = matrix.copy()
    if np.linalg.eigvalsh(matrix)[0] < -8 * 8 * np.finfo(float).eps:
        with pytest.raises(checks.InputError, match="not positive semi-definite"):
            checks.covariance_matrix("covariance", matrix)
    else:
        assert checks.covariance_matrix("covariance", matrix) is matrix
    assert (matrix == kept).all()
