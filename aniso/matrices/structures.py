"""Noise structures for comparison at equal trace: isotropic, diagonal, leading, Hessian.

"Equal magnitude" means the same expected squared norm ``E|eps|^2 = Tr Sigma``. Each function takes
the covariance that is to be replaced, in any convention, and returns one in the same units. The
result is an array for an array, and an operator (:mod:`aniso.matrices.factored`) for an operator,
which never forms D x D.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from aniso import checks
from aniso.matrices import convention, eigenpairs, exact_traces, operands
from aniso.matrices.covariance_arrays import with_convention
from aniso.matrices.factored import DiagonalCovariance, FactoredCovariance

if TYPE_CHECKING:
    from aniso.typing import Array, ArrayLike, Matrix


def isotropic_equivalent(covariance: Matrix) -> Array | DiagonalCovariance:
    """Isotropic noise of equal trace, ``(Tr Sigma / D) I``.

    Parameters
    ----------
    covariance : array_like (D, D), LinearOperator or GradientCovariance
        Symmetric positive semi-definite.

    Returns
    -------
    ndarray (D, D) or DiagonalCovariance

    Raises
    ------
    InputError
        If the covariance breaks its rule.

    Examples
    --------
    >>> isotropic_equivalent([[3.0, 1.0], [1.0, 1.0]])
    array([[2., 0.],
           [0., 2.]])
    """
    given, covariance = covariance, operands.covariance("covariance", covariance)
    dimension = covariance.shape[0]
    variance = exact_traces.trace(covariance) / dimension
    return _like(given, DiagonalCovariance(np.full(dimension, variance)))


def diagonal_part(covariance: Matrix) -> Array | DiagonalCovariance:
    """Independent noise of the same variances, ``diag(Sigma)``.

    Parameters
    ----------
    covariance : array_like (D, D), LinearOperator or GradientCovariance
        Symmetric positive semi-definite.

    Returns
    -------
    ndarray (D, D) or DiagonalCovariance

    Raises
    ------
    InputError
        If the covariance breaks its rule.

    Examples
    --------
    >>> diagonal_part([[3.0, 1.0], [1.0, 1.0]])
    array([[3., 0.],
           [0., 1.]])
    """
    given, covariance = covariance, operands.covariance("covariance", covariance)
    return _like(given, DiagonalCovariance(exact_traces.diagonal(covariance)))


def leading_part(
    covariance: Matrix, num_pairs: int, *, rescaled: bool = True
) -> Array | FactoredCovariance:
    """Noise in the leading eigendirections, ``c sum_{i <= k} gamma_i v_i v_i^T``.

    Parameters
    ----------
    covariance : array_like (D, D), LinearOperator or GradientCovariance
        Symmetric positive semi-definite, eigenpairs (gamma, v).
    num_pairs : int
        k, 1 <= k <= D.
    rescaled : bool
        True: c restores the trace Tr Sigma. False: c = 1, truncated as in the published scripts.

    Returns
    -------
    ndarray (D, D) or FactoredCovariance

    Raises
    ------
    InputError
        If an argument breaks its rule.
    NotConverged
        If the eigenpairs of an operator are not found.

    Examples
    --------
    >>> leading_part([[3.0, 0.0], [0.0, 1.0]], 1)
    array([[4., 0.],
           [0., 0.]])
    """
    given, covariance = covariance, operands.covariance("covariance", covariance)
    if hasattr(covariance, "leading_eigenpairs"):
        pairs = covariance.leading_eigenpairs(num_pairs)
    else:
        pairs = eigenpairs.leading_eigenpairs(covariance, num_pairs)
    total = exact_traces.trace(covariance) if rescaled else None
    return _like(given, from_eigenpairs(np.maximum(pairs.values, 0.0), pairs.vectors, total))


def hessian_part(
    hessian: Matrix, covariance: Matrix, num_pairs: int, *, rescaled: bool = True
) -> Array | FactoredCovariance:
    """Noise shaped like the curvature, ``c sum_{i <= k} lambda_i u_i u_i^T`` of trace Tr Sigma.

    Parameters
    ----------
    hessian : array_like (D, D) or LinearOperator
        Symmetric, eigenpairs (lambda, u).
    covariance : array_like (D, D), LinearOperator or GradientCovariance
        The noise whose trace is kept.
    num_pairs : int
        k; of the k largest eigenvalues those that are positive enter, a covariance has no other.
    rescaled : bool
        True: trace Tr Sigma. False: c = 1.

    Returns
    -------
    ndarray (D, D) or FactoredCovariance
        An array where `covariance` is one.

    Raises
    ------
    InputError
        If an argument breaks its rule, or no eigenvalue is positive.
    NotConverged
        If the eigenpairs of an operator are not found.

    Examples
    --------
    >>> hessian_part([[4.0, 0.0], [0.0, -9.0]], [[1.0, 0.0], [0.0, 2.0]], 2)
    array([[3., 0.],
           [0., 0.]])
    """
    positive = lambda values: _some_positive(np.maximum(values, 0.0))  # noqa: E731
    return _of_hessian(hessian, covariance, num_pairs, positive, rescaled=rescaled)


def hessian_magnitude_part(
    hessian: Matrix, covariance: Matrix, num_pairs: int, *, rescaled: bool = True
) -> Array | FactoredCovariance:
    """Noise shaped like the magnitude of the curvature, ``c sum_{i <= k} |lambda_i| u_i u_i^T``.

    The variant of the published scripts: the k eigenvalues largest in *magnitude*, each by its
    absolute value, so that strong negative curvature receives noise as well.

    Parameters
    ----------
    hessian, covariance, num_pairs, rescaled
        As for :func:`hessian_part`.

    Returns
    -------
    ndarray (D, D) or FactoredCovariance

    Raises
    ------
    InputError
        If an argument breaks its rule, or H is zero.
    NotConverged
        If the eigenpairs of an operator are not found.

    Examples
    --------
    >>> hessian_magnitude_part([[4.0, 0.0], [0.0, -8.0]], [[1.0, 0.0], [0.0, 2.0]], 2)
    array([[1., 0.],
           [0., 2.]])
    """
    magnitudes = lambda values: _some_positive(np.abs(values))  # noqa: E731
    return _of_hessian(
        hessian, covariance, num_pairs, magnitudes, rescaled=rescaled, which="magnitude"
    )


def optimal_noise(hessian: Matrix, covariance: Matrix) -> Array | FactoredCovariance:
    """Noise of the largest alignment for its trace, ``Tr Sigma u_1 u_1^T``.

    Parameters
    ----------
    hessian, covariance
        As for :func:`hessian_part`; u_1 is the leading eigenvector of H.

    Returns
    -------
    ndarray (D, D) or FactoredCovariance
        Its trace ratio is ``lambda_1 D / Tr H``.

    Raises
    ------
    InputError
        If an argument breaks its rule.
    NotConverged
        If the leading eigenpair of an operator is not found.

    Examples
    --------
    >>> optimal_noise([[4.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 2.0]])
    array([[3., 0.],
           [0., 0.]])
    """
    return _of_hessian(hessian, covariance, 1, np.ones_like)


def from_eigenpairs(
    values: ArrayLike, vectors: ArrayLike, total_trace: float | None = None
) -> FactoredCovariance:
    """Factored covariance ``c sum_i values_i v_i v_i^T`` of given eigenpairs.

    Parameters
    ----------
    values : array_like, shape (k,)
        Non-negative.
    vectors : array_like, shape (D, k)
        Orthonormal columns (not checked).
    total_trace : float, optional
        Trace of the result; the sum of `values` if not given.

    Returns
    -------
    FactoredCovariance

    Raises
    ------
    InputError
        If a value is negative, or all are zero where a positive trace is wanted.

    Examples
    --------
    >>> from_eigenpairs([2.0], [[1.0], [0.0]], 6.0).diagonal()
    array([6., 0.])
    """
    values = checks.array("values", values, shape=(None,))
    vectors = checks.array("vectors", vectors, shape=(None, values.size))
    if values.min(initial=0.0) < 0:
        raise checks.InputError(f"values has the entry {values.min()}; expected numbers >= 0")
    rows = (np.sqrt(values) * vectors).T
    if total_trace is None:
        return FactoredCovariance(rows, 1.0)
    total_trace = checks.number("total_trace", total_trace, low=0)
    kept = float(values.sum())
    if kept == 0 and total_trace > 0:
        raise checks.InputError(
            f"all values are zero; no factor gives them the trace {total_trace:g}"
        )
    return FactoredCovariance(rows, total_trace / kept if kept > 0 else 0.0)


def _of_hessian(hessian, given, num_pairs, variances, *, rescaled=True, which="largest"):
    """Noise along leading eigenvectors of H, its variances a function of the eigenvalues."""
    hessian = operands.symmetric("hessian", hessian)
    covariance = operands.covariance("covariance", given, size=hessian.shape[0])
    pairs = eigenpairs.leading_eigenpairs(hessian, num_pairs, which=which)
    total = exact_traces.trace(covariance) if rescaled else None
    return _like(given, from_eigenpairs(variances(pairs.values), pairs.vectors, total))


def _some_positive(values):
    if not values.any():
        raise checks.InputError(
            "none of the leading eigenvalues of hessian can carry noise (all are negative or "
            "zero); expected a positive one"
        )
    return values


def _like(given, result):
    """Return the result in the form and the convention of the covariance that was given."""
    if not operands.is_operator(given):
        result = operands.to_dense(result)
    return with_convention(result, convention.convention_of(given))
