"""Indicators of how the noise is aligned with the curvature: ``Tr(H Sigma)`` and its ratios.

Each function takes the curvature H and the covariance Sigma as arrays, as SciPy `LinearOperator`
objects or as a :class:`GradientCovariance`, in any combination, and is exact. H may be a Hessian, a
Gauss–Newton or a Fisher matrix. Sigma may be any positive semi-definite matrix, also an uncentred
empirical Fisher matrix.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse.linalg import LinearOperator

from aniso import checks
from aniso.estimates import exponent_of
from aniso.matrices import convention, eigenpairs, exact_traces, operands, subspaces
from aniso.matrices.factored import is_factored, quadratic_form

if TYPE_CHECKING:
    from aniso.matrices._pairs import EigenPairs
    from aniso.typing import Matrix


def alignment(
    hessian: Matrix, covariance: Matrix, *, max_products: int = operands.MAX_PRODUCTS
) -> float:
    """Alignment of curvature and noise, ``Tr(H Sigma)``.

    Parameters
    ----------
    hessian : array_like (D, D) or LinearOperator
        Symmetric.
    covariance : array_like (D, D), LinearOperator or GradientCovariance
        Symmetric positive semi-definite.
    max_products : int
        Largest number of products of an operator of unknown structure.

    Returns
    -------
    float
        Its unit is (loss / theta^2) times the unit of the covariance.

    Raises
    ------
    InputError
        If a matrix breaks its rule, or more than `max_products` products would be needed; the
        message then names the estimator.

    Notes
    -----
    Cost: D^2 for two arrays; n products of H for a covariance of n factor rows (N for one of N
    examples); D products otherwise. With the centred factor no digits are lost where the mean
    gradient is large.

    Examples
    --------
    >>> alignment([[4.0, 0.0], [0.0, 1.0]], [[2.0, 1.0], [1.0, 3.0]])
    11.0
    """
    hessian, covariance = _pair(hessian, covariance)
    return exact_traces.trace_of_product(hessian, covariance, max_products=max_products)


def escape_rate(
    hessian: Matrix, covariance: Matrix, *, max_products: int = operands.MAX_PRODUCTS
) -> float:
    """Slope of the escaping efficiency at time 0, ``Tr(H Sigma) / 2``.

    Parameters
    ----------
    hessian, covariance, max_products
        As for :func:`alignment`; `covariance` is the diffusion of the SDE
        ``dtheta = -grad L dt + Sigma^{1/2} dW``
        (:func:`aniso.matrices.diffusion_covariance` for SGD).

    Returns
    -------
    float
        In units of loss per time.

    Raises
    ------
    InputError
        As :func:`alignment`, and for a GradientCovariance in another convention.

    Examples
    --------
    >>> escape_rate([[4.0, 0.0], [0.0, 1.0]], [[2.0, 1.0], [1.0, 3.0]])
    5.5
    """
    convention.check_stage("covariance", covariance, "diffusion")
    return 0.5 * alignment(hessian, covariance, max_products=max_products)


def trace_ratio(
    hessian: Matrix, covariance: Matrix, *, max_products: int = operands.MAX_PRODUCTS
) -> float:
    """Alignment relative to isotropic noise of equal trace, ``D Tr(H Sigma) / (Tr H Tr Sigma)``.

    Parameters
    ----------
    hessian, covariance, max_products
        As for :func:`alignment`.

    Returns
    -------
    float
        1 for isotropic noise; at most ``lambda_1 D / Tr H`` where Tr H > 0.

    Raises
    ------
    InputError
        As :func:`alignment`, and where Tr H or Tr Sigma is zero to rounding: there is no isotropic
        alignment to compare with.

    Examples
    --------
    >>> trace_ratio([[3.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 0.0]])
    1.5
    """
    hessian, covariance = _pair(hessian, covariance)
    hessian_trace = exact_traces.nonzero_trace("hessian", hessian, max_products=max_products)
    covariance_trace = exact_traces.nonzero_trace(
        "covariance", covariance, max_products=max_products
    )
    aligned = exact_traces.trace_of_product(hessian, covariance, max_products=max_products)
    return hessian.shape[0] * aligned / (hessian_trace * covariance_trace)


def projection_coefficient(
    hessian: Matrix,
    covariance: Matrix,
    *,
    leading: EigenPairs | None = None,
    max_products: int = operands.MAX_PRODUCTS,
) -> float:
    """Projection coefficient ``u^T Sigma u Tr H / (lambda Tr Sigma)``, (lambda, u) leading in H.

    Parameters
    ----------
    hessian, covariance, max_products
        As for :func:`alignment`.
    leading : EigenPairs, optional
        Leading eigenpair of H, with a unit vector; the first is used. Computed if not given.

    Returns
    -------
    float
        At most ``Tr H / lambda``; it does not depend on the scale of either matrix.

    Raises
    ------
    InputError
        As :func:`trace_ratio`; also if lambda is not positive, or `leading` is no unit vector.
        Also if the leading eigenvalue is multiple to rounding and no `leading` is given: the value
        would depend on the choice of an eigenvector.
    NotConverged
        If the leading eigenpair of an operator is not found.

    Examples
    --------
    >>> projection_coefficient([[3.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]])  # 1*4 / (3*2)
    0.6666666666666666
    """
    hessian, covariance = _pair(hessian, covariance)
    hessian_trace = exact_traces.nonzero_trace("hessian", hessian, max_products=max_products)
    return hessian_trace * projection_per_trace(
        hessian, covariance, leading=leading, max_products=max_products
    )


def projection_per_trace(hessian, covariance, *, leading=None, max_products=operands.MAX_PRODUCTS):
    """Projection coefficient over Tr H, ``u^T Sigma u / (lambda Tr Sigma)``, of checked matrices.

    Parameters
    ----------
    hessian, covariance : ndarray or LinearOperator
        Checked, as in :func:`projection_coefficient`.
    leading, max_products
        As for :func:`projection_coefficient`.

    Returns
    -------
    float

    Raises
    ------
    InputError, NotConverged
        As :func:`projection_coefficient`.

    Examples
    --------
    >>> projection_per_trace(np.diag([3.0, 1.0]), np.eye(2))  # 1 / (3 * 2)
    0.16666666666666666
    """
    covariance_trace = exact_traces.nonzero_trace(
        "covariance", covariance, max_products=max_products
    )
    value, vector = _leading(hessian) if leading is None else _given(leading, hessian.shape[0])
    if not value > 0:
        raise checks.InputError(
            f"the leading eigenvalue of hessian is {value}; expected a positive one: the "
            "projection coefficient divides by it"
        )
    projected = float(quadratic_form(covariance, vector[:, None])[0])
    return projected / (value * covariance_trace)


class Commutator(LinearOperator):
    """Antisymmetric operator ``H Sigma - Sigma H`` with block products.

    Parameters
    ----------
    hessian, covariance : array_like (D, D) or LinearOperator
        Symmetric, of the same size. Arrays and sparse matrices are copied.

    Examples
    --------
    >>> Commutator([[1.0, 0.0], [0.0, 2.0]], [[0.0, 1.0], [1.0, 0.0]]) @ np.array([1.0, 0.0])
    array([0., 1.])
    """

    def __init__(self, hessian: Matrix, covariance: Matrix) -> None:
        self.hessian = operands.held_symmetric("hessian", hessian)
        size = self.hessian.shape[0]
        self.covariance = operands.held_symmetric("covariance", covariance, size=size)
        super().__init__(np.dtype(np.float64), (size, size))

    def _matvec(self, vector):
        return self._matmat(np.reshape(vector, (-1, 1)))[:, 0]

    def _matmat(self, vectors):
        there = self.hessian @ (self.covariance @ vectors)
        return there - self.covariance @ (self.hessian @ vectors)

    def _adjoint(self):
        return -self


def relative_commutator(hessian: Matrix, covariance: Matrix) -> float:
    """Size of the commutator, ``|H Sigma - Sigma H|_F / (2 |H Sigma|_F)``, between 0 and 1.

    Parameters
    ----------
    hessian : array_like (D, D) or LinearOperator
        Symmetric.
    covariance : array_like (D, D), LinearOperator or GradientCovariance
        Symmetric positive semi-definite.

    Returns
    -------
    float
        0 where they commute; 0 also where the product vanishes, or the covariance is zero to
        its rounding.

    Notes
    -----
    Of a factored covariance, ``Sigma = A^T A`` with n rows: n products of H and two n x n Gram
    matrices; ``|[H, Sigma]|^2 = 2 (Tr(H Sigma^2 H) - Tr(H Sigma H Sigma))`` cancels below about
    1e-8. Of another one, the dense matrix and D products of H.

    Examples
    --------
    >>> from aniso.matrices import noise
    >>> covariance = noise.gradient_covariance([[1.0, 1.0], [-1.0, -1.0]])
    >>> relative_commutator(np.diag([1.0, 0.0]), covariance)  # [[0, 1], [-1, 0]] over [[1, 1], 0]
    0.5
    """
    hessian = operands.symmetric("hessian", hessian)
    covariance = operands.covariance("covariance", covariance, size=hessian.shape[0])
    if not is_factored(covariance):
        dense = _scaled(np.asarray(operands.to_dense(covariance)))[0]
        product = _scaled(operands.finite_products(hessian @ dense))[0]
        size = float(np.linalg.norm(product))
        return float(np.linalg.norm(product - product.T)) / (2 * size) if size > 0 else 0.0
    if exact_traces.significant_trace(covariance) == 0:
        return 0.0
    num_rows, dimension = covariance.num_rows, covariance.shape[0]
    images = np.empty((num_rows, dimension))
    gram = np.empty((num_rows, num_rows))
    for start, stop in operands.ranges(num_rows, dimension):
        rows = covariance.factor_rows(start, stop)
        images[start:stop] = (hessian @ rows.T).T
        gram[:, start:stop] = covariance.project(rows.T)
    images = _scaled(operands.finite_products(images))[0]
    gram, exponent = _scaled(gram)
    squared = float(np.einsum("ij,ij->", images @ images.T, gram))
    crossed = np.ldexp(covariance.project(images.T), -exponent // 2)
    mixed = float(np.square(crossed).sum())
    if squared <= 0:
        return 0.0
    return math.sqrt(max(0.0, 2 * (squared - mixed))) / (2 * math.sqrt(squared))


def _scaled(array):
    """Return the array over an even power of two that is about its largest entry, and the exponent.

    Squares of very small or large entries would leave the floating-point numbers.
    """
    exponent = exponent_of(array)
    exponent += exponent % 2
    return np.ldexp(array, -exponent), exponent


def _pair(hessian, covariance):
    hessian = operands.symmetric("hessian", hessian)
    return hessian, operands.covariance("covariance", covariance, size=hessian.shape[0])


def _leading(hessian):
    dimension = hessian.shape[0]
    pairs = eigenpairs.leading_eigenpairs(hessian, min(2, dimension))
    if dimension > 1:
        gap = float(pairs.values[0] - pairs.values[1])
        scale = float(np.abs(pairs.values).max())
        if gap <= 8 * dimension * np.finfo(np.float64).eps * scale:
            raise checks.InputError(
                f"the leading eigenvalue {pairs.values[0]:g} of hessian is multiple (gap "
                f"{gap:.1e}); the coefficient depends on the vector within its eigenspace: "
                "expected a simple one, or the chosen pair as leading=matrices.EigenPairs(...)"
            )
    return float(pairs.values[0]), pairs.vectors[:, 0]


def _given(leading, dimension):
    given = isinstance(leading, eigenpairs.EigenPairs) and len(leading.values) > 0
    if not given or np.shape(leading.vectors)[:1] != (dimension,):
        raise checks.InputError(
            f"leading must be a matrices.EigenPairs with vectors of shape ({dimension}, k), k >= 1"
        )
    first = np.asarray(leading.vectors)[:, :1]
    vector = subspaces.orthonormal("leading.vectors", first, dimension)[:, 0]
    return float(leading.values[0]), vector
