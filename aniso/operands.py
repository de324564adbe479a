"""Symmetric matrices given as arrays or as linear operators: one door for both.

The matrix storey takes a matrix A in R^{D x D} either as an array or as a SciPy `LinearOperator`
(a sparse matrix counts as one). The functions here validate either and never form D x D unless
their name says so. The further protocol of a *factored* covariance is described in
:mod:`aniso.covariance_operators`.
"""

import numpy as np
import scipy.sparse
from scipy.sparse.linalg import LinearOperator, aslinearoperator

from aniso import array_hints, checks, memory

MAX_PRODUCTS = 10_000
_BLOCK_BYTES = 32 * 2**20


def symmetric(name, value, *, size=None):
    """Symmetric matrix as a float array (D, D) or as a `LinearOperator` of that shape.

    Parameters
    ----------
    name : str
        Name for the message.
    value : array_like (D, D), sparse matrix or LinearOperator
        An array or sparse matrix is checked to be finite and symmetric; of another operator only
        the shape and the kind of numbers can be, its symmetry is the caller's promise.
    size : int, optional
        The dimension D that is expected.

    Raises
    ------
    InputError
        If the shape is wrong, the numbers are not real, or an array or sparse matrix is not finite
        or not symmetric.

    Examples
    --------
    >>> symmetric("hessian", [[2.0, 0.0], [0.0, 1.0]], size=3)
    Traceback (most recent call last):
        ...
    aniso.checks.InputError: hessian has shape (2, 2); expected (3, 3)
    """
    if scipy.sparse.issparse(value) or hasattr(value, "matvec"):
        operator = value if isinstance(value, LinearOperator) else aslinearoperator(value)
        _check_operator(name, operator, size)
        if scipy.sparse.issparse(value):
            _check_sparse(name, value)
        return operator
    other = array_hints.takes_its_place(name, value)
    if other is not None:
        raise checks.InputError(other)
    return checks.symmetric_matrix(name, value, size=size)


def held_symmetric(name, value, *, size=None):
    """Return :func:`symmetric` of the value, an array or a sparse matrix copied for an object."""
    if scipy.sparse.issparse(value):
        value = value.copy()
    result = symmetric(name, value, size=size)
    return checks.held(result) if is_dense(result) else result


def covariance(name, value, *, size=None):
    """Symmetric positive semi-definite matrix as a float array or as a `LinearOperator`.

    An array is checked to be positive semi-definite, at the D^3/3 flops of a Cholesky
    factorisation; a sparse matrix to have a non-negative diagonal; an operator is trusted.

    Examples
    --------
    >>> covariance("covariance", [[1.0, 2.0], [2.0, 1.0]])
    Traceback (most recent call last):
        ...
    aniso.checks.InputError: covariance is not positive semi-definite: its smallest eigenvalue \
is -1.0; expected a covariance matrix
    """
    result = symmetric(name, value, size=size)
    if is_dense(result):
        return checks.covariance_matrix(name, result)
    if scipy.sparse.issparse(value) and value.diagonal().min() < 0:
        index = int(value.diagonal().argmin())
        raise checks.InputError(
            f"{name} has the negative variance {float(value.diagonal()[index])} at index {index}; "
            "expected a covariance matrix"
        )
    return result


def _check_operator(name, operator, size):
    rows, columns = operator.shape
    if rows != columns or rows == 0:
        raise checks.InputError(
            f"{name} has shape {operator.shape}; expected a square operator (D, D), D >= 1"
        )
    if size is not None and rows != size:
        raise checks.InputError(f"{name} has shape {operator.shape}; expected ({size}, {size})")
    if operator.dtype is not None and np.dtype(operator.dtype).kind not in "biuf":
        raise checks.InputError(f"{name} has dtype {operator.dtype}; expected real numbers")


def _check_sparse(name, matrix):
    entries = matrix.tocoo().data
    if not np.isfinite(entries).all():
        raise checks.InputError(f"{name} has a non-finite entry; expected finite numbers")
    difference = abs(matrix - matrix.T).max()
    if difference > 8 * matrix.shape[0] * np.finfo(np.float64).eps * np.abs(entries).max(initial=0):
        raise checks.InputError(
            f"{name} is not symmetric: opposite entries differ by {difference}; expected a "
            "symmetric matrix, for instance (A + A.T) / 2"
        )


def finite_products(products):
    """Products of an operator, or a number made of them; refused where not finite."""
    if not np.isfinite(products).all():
        raise checks.InputError(
            "the operator returned a product that is not finite; expected finite numbers"
        )
    return products


def is_dense(matrix):
    """Whether the matrix is an array."""
    return isinstance(matrix, np.ndarray)


def to_dense(matrix, name="matrix"):
    """The array (D, D) of a matrix; an operator is formed by its own `to_dense` or D products.

    Raises
    ------
    AllocationRefused
        If D^2 numbers would not fit.
    """
    if is_dense(matrix):
        return matrix
    dimension = matrix.shape[0]
    memory.require(
        3 * 8 * dimension**2, f"the dense {name}, {dimension} × {dimension}", "keep the operator"
    )
    if hasattr(matrix, "to_dense"):
        return matrix.to_dense()
    dense = np.empty((dimension, dimension))
    for start, stop in blocks(dimension, dimension):
        dense[:, start:stop] = matrix @ unit_columns(dimension, start, stop)
    return finite_products((dense + dense.T) / 2)


def blocks(count, dimension, largest=None):
    """Ranges (start, stop) that cover 0..count, each of at most 32 MiB of vectors in R^D.

    `largest` is the number of vectors that the operator behind them lets be held together, if it
    states one.

    Examples
    --------
    >>> list(blocks(300, 10))
    [(0, 256), (256, 300)]
    """
    size = max(1, min(largest or 256, 256, _BLOCK_BYTES // (8 * max(1, dimension))))
    for start in range(0, count, size):
        yield start, min(count, start + size)


def unit_columns(dimension, start, stop):
    """Columns start..stop of the identity, shape (dimension, stop - start)."""
    columns = np.zeros((dimension, stop - start))
    columns[np.arange(start, stop), np.arange(stop - start)] = 1.0
    return columns
