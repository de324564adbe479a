"""Quadratic loss whose Hessian, minimum and gradient covariance are all prescribed exactly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import autograd.numpy as anp
import numpy as np

from aniso import checks
from aniso.matrices import operands
from aniso.problems.autograd_problem import AutogradProblem
from aniso.problems.problem_checks import checked_vectors, finite

if TYPE_CHECKING:
    from aniso.typing import Array, ArrayLike, Matrix


@dataclass(frozen=True)
class QuadraticLoss:
    """Quadratic of one example, ``l_i = 1/2 (th - m)^T H (th - m) - xi_i^T (th - m)``.

    Called as ``loss(theta, noise, targets)``, noise (..., n, D) the rows xi_i; `targets` is not
    used.
    """

    hessian: np.ndarray
    minimum: np.ndarray

    def __post_init__(self):
        object.__setattr__(self, "hessian", checks.held(np.asarray(self.hessian)))
        object.__setattr__(self, "minimum", checks.held(np.asarray(self.minimum)))

    def __call__(self, theta, inputs, targets):  # noqa: ARG002
        offset = theta - self.minimum
        curved = 0.5 * anp.sum(
            anp.matmul(offset[..., None, :], self.hessian)[..., 0, :] * offset, axis=-1
        )
        return curved[..., None] - anp.matmul(inputs, offset[..., :, None])[..., 0]


class QuadraticProblem(AutogradProblem):
    """Problem ``L = 1/2 (th - m)^T H (th - m) - mean(xi)^T (th - m)`` with closed derivatives.

    It is made by :func:`quadratic_problem`. All derivatives are in closed form.
    """

    def loss_and_gradient(self, theta):
        """Mean loss, float, and its gradient ``H (th - m) - mean(xi)``, shape (D,)."""
        theta = self.check_theta(theta)
        slope = self._loss.hessian @ (theta - self._loss.minimum) - self.inputs.mean(axis=0)
        return self.loss(theta), finite("the gradient of the loss", slope)

    def example_gradients(self, theta):
        """Gradients ``H (th - m) - xi_i``, shape (N, D)."""
        theta = self.check_theta(theta)
        return self._loss.hessian @ (theta - self._loss.minimum) - self.inputs

    def hessian_product(self, theta, vectors):
        """H times vectors, shape (D,) or (D, K)."""
        theta = self.check_theta(theta)
        vectors, _ = checked_vectors(vectors, theta.size)
        return self._loss.hessian @ vectors

    def hessian(self, theta):
        """Return a copy of H, shape (D, D)."""
        self.check_theta(theta)
        return self._loss.hessian.copy()

    def subset(self, indices):
        """Return the problem of some of the examples; their noise is not centred again."""
        part = super().subset(indices)
        return QuadraticProblem(
            self._loss, part.inputs, part.targets, num_parameters=self.num_parameters
        )


def quadratic_problem(
    hessian: ArrayLike, minimum: ArrayLike, gradient_noise: ArrayLike
) -> QuadraticProblem:
    """Mean of ``l_i = 1/2 (th - m)^T H (th - m) - xi_i^T (th - m)``, xi_i centred.

    The mean loss is the first term alone; the per-example gradients are
    ``H (th - m) - xi_i``, so their covariance is the covariance of `gradient_noise` at every
    theta.

    Parameters
    ----------
    hessian : array_like, shape (D, D)
        H, symmetric; it may be indefinite.
    minimum : array_like, shape (D,)
        m, where the gradient is 0.
    gradient_noise : array_like, shape (N, D)
        xi_i before centring: their mean is taken off.
        :func:`noise_rows` gives rows of a prescribed covariance.

    Returns
    -------
    QuadraticProblem

    Raises
    ------
    InputError
        If H is not symmetric, or shapes do not agree, or anything is not finite.

    Examples
    --------
    >>> problem = quadratic_problem([[2.0]], [1.0], [[0.0], [2.0]])
    >>> problem.loss([4.0]), problem.gradient([4.0])
    (9.0, array([6.]))
    >>> problem.example_gradients([1.0])
    array([[ 1.],
           [-1.]])
    """
    hessian = checks.symmetric_matrix("hessian", hessian)
    size = len(hessian)
    minimum = checks.array("minimum", minimum, shape=(size,))
    noise = checks.array("gradient_noise", gradient_noise, shape=(None, size))
    if len(noise) == 0:
        raise checks.InputError("gradient_noise has no rows; expected N >= 1 examples")
    hessian = (hessian + hessian.T) / 2
    return QuadraticProblem(
        QuadraticLoss(hessian, minimum),
        noise - noise.mean(axis=0),
        np.zeros(len(noise)),
        num_parameters=size,
    )


def noise_rows(covariance: Matrix) -> Array:
    """Rows of mean 0 whose covariance (normalised by 1/N) is the given one, shape (2 D, D).

    Parameters
    ----------
    covariance : array_like, shape (D, D), or any other covariance
        Sigma_1, symmetric positive semi-definite, of one example's gradient.

    Returns
    -------
    array, shape (2 D, D)
        ``+- sqrt(D gamma_j) v_j`` of the eigenpairs (gamma_j, v_j).

    Raises
    ------
    InputError
        If it is not a covariance matrix.

    Examples
    --------
    >>> rows = noise_rows([[4.0]])
    >>> np.sort(rows.ravel())
    array([-2.,  2.])
    """
    covariance = operands.dense_covariance("covariance", covariance, "one example")
    eigenvalues, eigenvectors = np.linalg.eigh(covariance)
    rows = (eigenvectors * np.sqrt(len(covariance) * np.maximum(eigenvalues, 0.0))).T
    return np.concatenate([rows, -rows])
