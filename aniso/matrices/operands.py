"""Validation of symmetric matrices that are given as arrays or as linear operators.

The functions of this folder take a matrix A in R^{D x D} as an array or as a SciPy
`LinearOperator`; a sparse matrix counts as an operator. Nothing here forms D x D numbers, except
where a name says "dense".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse
from scipy.sparse.linalg import LinearOperator, aslinearoperator

from aniso import _array_hints, checks, memory
from aniso.arrays import transfer
from aniso.matrices import convention
from aniso.matrices._symmetry import (
    finite_products,
    probe_once,
    require_symmetric_forms,
    rounding,
    symmetry_tolerance,
)

if TYPE_CHECKING:
    from aniso.typing import Array


__all__ = [
    "MAX_PRODUCTS",
    "covariance",
    "dense_covariance",
    "diagonal_by_products",
    "finite_products",
    "held_symmetric",
    "is_dense",
    "is_operator",
    "ranges",
    "require_products",
    "require_symmetric_forms",
    "rounding",
    "symmetric",
    "symmetry_tolerance",
    "to_dense",
    "unit_columns",
    "vector",
]

MAX_PRODUCTS = 10_000
_BLOCK_BYTES = 32 * 2**20


def symmetric(name, value, *, size=None, probed=True):
    """Return a symmetric matrix as a float array (D, D) or as a `LinearOperator` of that shape.

    Parameters
    ----------
    name : str
        Name for the message.
    value : array_like (D, D), sparse matrix or LinearOperator
        An array or sparse matrix is checked to be finite and symmetric. Another operator is
        probed once by two products. Integers and booleans become floats.
    size : int, optional
        The dimension D that is expected.
    probed : bool
        False where the caller measures the symmetry itself.

    Raises
    ------
    InputError
        If the shape is wrong, the numbers are not real, or the matrix is not finite or not
        symmetric.

    Examples
    --------
    >>> symmetric("hessian", [[2.0, 0.0], [0.0, 1.0]], size=3)
    Traceback (most recent call last):
        ...
    aniso.checks.InputError: hessian has shape (2, 2); expected (3, 3)
    """
    if not is_operator(value):
        other = _array_hints.takes_its_place(name, value)
        if other is not None:
            raise checks.InputError(other)
        return checks.symmetric_matrix(name, value, size=size)
    operator = value if isinstance(value, LinearOperator) else aslinearoperator(value)
    _check_operator(name, operator, size)
    if scipy.sparse.issparse(value):
        matrix = value.astype(np.float64) if operator.dtype.kind in "biu" else value
        _check_sparse(name, matrix)
        return aslinearoperator(matrix)
    if operator.dtype is not None and np.dtype(operator.dtype).kind in "biu":
        operator = _RealOperator(operator)
    if probed:
        probe_once(name, value, operator)
    return operator


def dense_covariance(name: str, value: Any, stage: str, *, size: int | None = None) -> Array:
    """Return the array (D, D) of a covariance of any kind, checked to be one.

    Parameters
    ----------
    name : str
        Name for the message.
    value : array_like (D, D), sparse matrix, LinearOperator or covariance of gradients
        An operator is formed by its own `to_dense` or D products.
    stage : str
        Required stage, if the covariance has a convention: "one example", "mini-batch"
        or "diffusion".
    size : int, optional
        The dimension D that is expected.

    Raises
    ------
    InputError
        If it has another convention, or is no covariance matrix of that size.
    AllocationRefused
        If D^2 numbers would not fit.

    Examples
    --------
    >>> dense_covariance("covariance", aslinearoperator(np.eye(2)), "diffusion")
    array([[1., 0.],
           [0., 1.]])
    """
    convention.check_stage(name, value, stage)
    if is_operator(value):
        value = to_dense(symmetric(name, value, size=size), name)
    return checks.covariance_matrix(name, value, size=size)


def is_operator(value):
    """Return whether the matrix is given as an operator or a sparse matrix, not as an array."""
    return scipy.sparse.issparse(value) or hasattr(value, "matvec")


class _RealOperator(LinearOperator):
    """An operator of integers or booleans, whose products become floats."""

    def __init__(self, operator):
        self._operator = operator
        super().__init__(np.dtype(np.float64), operator.shape)

    def _matvec(self, vector):
        return np.asarray(self._operator @ vector, dtype=np.float64)

    _matmat = _matvec

    def _adjoint(self):
        return self

    def __getattr__(self, name):
        # its own trace, diagonal, factor or convention
        if name == "_operator":
            raise AttributeError(name)
        return getattr(self._operator, name)


def held_symmetric(name, value, *, size=None):
    """Return :func:`symmetric` of the value, an array or a sparse matrix copied for an object."""
    if scipy.sparse.issparse(value):
        value = value.copy()
    result = symmetric(name, value, size=size)
    return checks.held(result) if is_dense(result) else result


def covariance(name, value, *, size=None):
    """Return a positive semi-definite matrix as a float array or as a `LinearOperator`.

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
    if not is_operator(value):
        other = _array_hints.takes_its_place(name, value)
        if other is not None:
            raise checks.InputError(other)
        return checks.covariance_matrix(name, value, size=size)
    result = symmetric(name, value, size=size)
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


def is_dense(matrix):
    """Return whether the matrix is an array."""
    return isinstance(matrix, np.ndarray)


def to_dense(matrix, name="matrix"):
    """Return the array (D, D) of a matrix, for an operator by its own `to_dense` or D products.

    Parameters
    ----------
    matrix : ndarray (D, D) or LinearOperator
        Symmetric; products may be asymmetric by their rounding.
    name : str
        Name of the argument, for messages.

    Returns
    -------
    ndarray, shape (D, D)

    Raises
    ------
    InputError
        If a product is not finite, or the products are not symmetric.
    AllocationRefused
        If D^2 numbers would not fit.
    """
    if is_dense(matrix):
        return matrix
    if hasattr(matrix, "to_dense"):
        _require_dense(matrix.shape[0], name)
        return np.asarray(matrix.to_dense())
    return dense_by_products(matrix, name)


def dense_by_products(matrix, name="matrix"):
    """Return the array (D, D) of an operator by D products; else as :func:`to_dense`."""
    dimension = matrix.shape[0]
    _require_dense(dimension, name)
    dense = np.empty((dimension, dimension))
    for start, stop in ranges(dimension, dimension):
        dense[:, start:stop] = matrix @ unit_columns(dimension, start, stop)
    finite_products(dense)
    checks.require_symmetry(name, dense, symmetry_tolerance(matrix))
    return (dense + dense.T) / 2


def _require_dense(dimension, name):
    memory.require(
        3 * 8 * dimension**2, f"the dense {name}, {dimension} × {dimension}", "keep the operator"
    )


def diagonal_by_products(matrix, max_products=MAX_PRODUCTS):
    """Return the diagonal of an operator, shape (D,), from D products.

    Raises
    ------
    InputError
        If D exceeds `max_products`, or a product is not finite.
    """
    dimension = matrix.shape[0]
    require_products(dimension, max_products, "hutch_plus_plus")
    result = np.empty(dimension)
    for start, stop in ranges(dimension, dimension):
        products = matrix @ unit_columns(dimension, start, stop)
        result[start:stop] = products[np.arange(start, stop), np.arange(stop - start)]
    return finite_products(result)


def require_products(needed, max_products, estimator):
    """Refuse to take more than `max_products` products; the message names the estimator.

    Raises
    ------
    InputError
        If the number of products exceeds `max_products`.
    """
    max_products = checks.integer("max_products", max_products, low=1)
    if needed > max_products:
        raise checks.InputError(
            f"the exact trace needs {needed} products of the operator, more than "
            f"max_products={max_products}; use matrices.{estimator}, or raise max_products"
        )


def ranges(count, dimension, largest=None):
    """Yield ranges (start, stop) that cover 0..count, each of at most 32 MiB of vectors in R^D.

    Parameters
    ----------
    count, dimension : int
        Number of vectors, and D.
    largest : int, optional
        Largest number of vectors in a range.

    Examples
    --------
    >>> list(ranges(300, 10))
    [(0, 256), (256, 300)]
    """
    size = max(1, min(largest or 256, 256, _BLOCK_BYTES // (8 * max(1, dimension))))
    for start in range(0, count, size):
        yield start, min(count, start + size)


def unit_columns(dimension: int, start: int, stop: int) -> Array:
    """Return columns start..stop of the identity, shape (dimension, stop - start)."""
    columns = np.zeros((dimension, stop - start))
    columns[np.arange(start, stop), np.arange(stop - start)] = 1.0
    return columns


def vector(name, value, size):
    """Return a finite vector (D,) of any array library as a NumPy array.

    Raises
    ------
    InputError
        If the length is not `size`, or an entry is not a finite number.

    Examples
    --------
    >>> vector("gradient", [1.0, 2.0], 3)
    Traceback (most recent call last):
        ...
    aniso.checks.InputError: gradient has shape (2,); expected (3,)
    """
    checks.refuse_loss_of_meaning(name, value)
    return checks.array(name, transfer.to_numpy(value), shape=(size,))
