"""Matrices that are checked once, for many calls with the same array."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aniso import checks

if TYPE_CHECKING:
    from aniso.typing import Array, ArrayLike


def checked_symmetric(matrix: ArrayLike) -> Array:
    """Return a symmetric array as a read-only copy that is not checked again.

    Parameters
    ----------
    matrix : array_like, shape (D, D)
        Symmetric to rounding; it is copied, unless it is such a copy already.

    Returns
    -------
    ndarray, shape (D, D)
        Read-only, in double precision.

    Raises
    ------
    InputError
        If the matrix is not square, not finite or not symmetric.

    Notes
    -----
    Functions of this package know the array, as long as it is read-only. Its views and copies are
    checked as any other array.

    Examples
    --------
    >>> hessian = checked_symmetric([[2.0, 0.0], [0.0, 1.0]])
    >>> hessian.flags.writeable, checked_symmetric(hessian) is hessian
    (False, True)
    """
    return checks.symmetric_matrix("matrix", _held("matrix", matrix))


def checked_covariance(covariance: ArrayLike) -> Array:
    """Return a covariance array as a read-only copy that is not checked again.

    Parameters
    ----------
    covariance : array_like, shape (D, D)
        Symmetric and positive semi-definite to rounding; it is copied, unless it is such a copy
        already.

    Returns
    -------
    ndarray, shape (D, D)
        Read-only, in double precision.

    Raises
    ------
    InputError
        If it is no covariance matrix.

    Notes
    -----
    The check costs D^3/3 flops, far more than a trace. Functions of this package know the array, as
    long as it is read-only. Its views and copies are checked as any other array.

    Examples
    --------
    >>> from aniso import matrices
    >>> covariance = checked_covariance([[1.0, 0.0], [0.0, 0.0]])
    >>> matrices.trace_ratio([[3.0, 0.0], [0.0, 1.0]], covariance)
    1.5
    """
    return checks.covariance_matrix("covariance", _held("covariance", covariance))


def _held(name, matrix):
    return checks.held(checks.array(name, matrix, shape=(None, None)))
