"""Curvature and noise in the eigenbasis of H: the common ground of the closed forms."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from aniso import checks
from aniso.matrices import convention, operands

if TYPE_CHECKING:
    from aniso.typing import ArrayLike


# Name of the argument that holds the covariance, by its convention.
_NAMES = {"diffusion": "covariance", "mini-batch": "minibatch_covariance"}


def rotated_covariance(hessian, covariance, stage):
    """Eigenvalues and eigenvectors of H, and ``U^T Sigma U``, shape (D, D)."""
    hessian, covariance = _operands(hessian, covariance, stage)
    if not operands.is_dense(covariance):
        covariance = checks.covariance_matrix(_NAMES[stage], operands.to_dense(covariance))
    values, vectors = np.linalg.eigh(hessian)
    return values, vectors, vectors.T @ covariance @ vectors


def projected_variances(hessian, covariance, stage):
    """Eigenvalues lambda of H and ``s_i = u_i^T Sigma u_i``, each of shape (D,)."""
    hessian, covariance = _operands(hessian, covariance, stage)
    values, vectors = np.linalg.eigh(hessian)
    variances = np.sum(vectors * operands.finite_products(covariance @ vectors), axis=0)
    if variances.min() < -1e-8 * np.abs(variances).max():
        raise checks.InputError(
            f"{_NAMES[stage]} is not positive semi-definite: along an eigenvector of hessian it "
            f"is {float(variances.min())}; expected a covariance matrix"
        )
    return values, np.maximum(variances, 0.0)


def rotated_back(vectors, rotated):
    """``U C U^T``, symmetric to the last bit."""
    result = vectors @ rotated @ vectors.T
    return (result + result.T) / 2


def checked_spectrum(eigenvalues, noise_variances):
    """Return checked eigenvalues of H and variances along its eigenvectors, shape (D,) each."""
    eigenvalues = checks.array("eigenvalues", eigenvalues, shape=(None,))
    noise_variances = checks.array("noise_variances", noise_variances, shape=eigenvalues.shape)
    if noise_variances.min(initial=0.0) < 0:
        raise checks.InputError(
            f"noise_variances has the entry {float(noise_variances.min())}; expected numbers >= 0"
        )
    return eigenvalues, noise_variances


def non_negative(name, value):
    """Return a checked array of finite numbers >= 0."""
    value = checks.array(name, value)
    if value.min(initial=0.0) < 0:
        raise checks.InputError(f"{name} has the entry {float(value.min())}; expected numbers >= 0")
    return value


def for_each(times, function):
    """Return ``function(time)`` for each time, an array of the shape of `times`.

    The times are taken one by one, so that memory holds one spectrum at once.
    """
    return np.array([function(time) for time in times.ravel()]).reshape(times.shape)


_NO_STATIONARY_STATE = (
    "otherwise there is no stationary distribution. Ask at finite times, for instance "
    "covariance_at or escaping_efficiency, or restrict both matrices to the eigenvectors of "
    "hessian with positive eigenvalues"
)


def check_definite(values: ArrayLike, consequence: str = _NO_STATIONARY_STATE) -> None:
    """Refuse eigenvalues of H, in increasing order, if H is not positive definite.

    `consequence` is the end of the message: the result of such an H, and the remedy.
    """
    if values[0] <= 8 * len(values) * np.finfo(np.float64).eps * np.abs(values).max():
        raise checks.InputError(
            f"the smallest eigenvalue of hessian is {float(values[0]):.3g}; expected a positive "
            f"definite hessian: {consequence}"
        )


def _operands(hessian, covariance, stage):
    hessian = checks.symmetric_matrix("hessian", hessian)
    name = _NAMES[stage]
    convention.check_stage(name, covariance, stage)
    return hessian, operands.covariance(name, covariance, size=len(hessian))
