"""Overlaps of subspaces: of leading eigenvectors with each other, and of the noise with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from aniso import checks
from aniso.matrices import exact_traces, operands
from aniso.matrices.factored import quadratic_form

if TYPE_CHECKING:
    from aniso.typing import Array, ArrayLike, Matrix


def subspace_overlap(first: ArrayLike, second: ArrayLike) -> float:
    """Overlap of two subspaces, ``|U^T V|_F^2 / min(k, l)``.

    Parameters
    ----------
    first, second : array_like, shapes (D, k) and (D, l)
        Orthonormal columns, for instance leading eigenvectors of H and of Sigma.

    Returns
    -------
    float
        Mean squared cosine of the principal angles: 1 where one subspace contains the other, 0
        where they are orthogonal, about max(k, l)/D for random ones.

    Raises
    ------
    InputError
        If the columns are not orthonormal or the dimensions differ.

    Examples
    --------
    >>> subspace_overlap([[1.0], [0.0]], [[0.6], [0.8]])
    0.36
    """
    cosines = principal_cosines(first, second)
    return float(np.mean(cosines**2))


def principal_cosines(first: ArrayLike, second: ArrayLike) -> Array:
    """Cosines of the principal angles of two subspaces, singular values of ``U^T V``.

    Parameters
    ----------
    first, second : array_like, shapes (D, k) and (D, l)
        Orthonormal columns.

    Returns
    -------
    ndarray, shape (min(k, l),)
        In decreasing order, within [0, 1].

    Raises
    ------
    InputError
        If the columns are not orthonormal or the dimensions differ.

    Examples
    --------
    >>> principal_cosines([[1.0], [0.0]], [[0.6], [0.8]])
    array([0.6])
    """
    first = orthonormal("first", first, None)
    second = orthonormal("second", second, first.shape[0])
    return np.minimum(np.linalg.svd(first.T @ second, compute_uv=False), 1.0)


def captured_share(covariance: Matrix, basis: ArrayLike) -> float:
    """Share of the noise within a subspace, ``Tr(U^T Sigma U) / Tr Sigma``.

    Parameters
    ----------
    covariance : array_like (D, D), LinearOperator or GradientCovariance
        Symmetric positive semi-definite.
    basis : array_like, shape (D, k)
        Orthonormal columns U.

    Returns
    -------
    float
        Within [0, 1]; k/D for isotropic noise.

    Raises
    ------
    InputError
        If a matrix breaks its rule, the columns are not orthonormal, or Tr Sigma is zero.

    Examples
    --------
    >>> captured_share([[3.0, 0.0], [0.0, 1.0]], [[1.0], [0.0]])
    0.75
    """
    covariance = operands.covariance("covariance", covariance)
    basis = orthonormal("basis", basis, covariance.shape[0])
    total = exact_traces.nonzero_trace("covariance", covariance)
    return float(np.sum(quadratic_form(covariance, basis))) / total


def orthonormal(name, value, dimension):
    """Return orthonormal columns as a float array, shape (D, k).

    Parameters
    ----------
    name : str
        Name of the argument, for messages.
    value : array_like, shape (D, k)
        Columns.
    dimension : int or None
        The D that is expected; None for any.

    Returns
    -------
    ndarray, shape (D, k)

    Raises
    ------
    InputError
        If there is no column, or the columns are not orthonormal to 1e-8, or 1e-4 in single
        precision.

    Examples
    --------
    >>> orthonormal("basis", [[2.0], [0.0]], 2)
    Traceback (most recent call last):
        ...
    aniso.checks.InputError: the columns of basis are not orthonormal: U.T @ U differs from the \
identity by 3.0e+00; expected orthonormal columns, for instance numpy.linalg.qr(U)[0]
    """
    single = getattr(value, "dtype", None) == np.float32
    value = checks.array(name, value, shape=(dimension, None))
    if value.shape[1] == 0:
        raise checks.InputError(f"{name} has shape {value.shape}; expected at least one column")
    deviation = float(np.abs(value.T @ value - np.eye(value.shape[1])).max())
    if deviation > (1e-4 if single else 1e-8):
        raise checks.InputError(
            f"the columns of {name} are not orthonormal: U.T @ U differs from the identity by "
            f"{deviation:.1e}; expected orthonormal columns, for instance numpy.linalg.qr(U)[0]"
        )
    return value
