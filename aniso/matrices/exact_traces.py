"""Exact traces ``Tr A`` and ``Tr(A B)`` of arrays and operators, in blocks, at a stated cost.

The functions do not check their arguments: symmetric float arrays or operators, as
:func:`aniso.matrices.operands.symmetric` returns them. The functions of
:mod:`aniso.matrices.indicators` check theirs.
"""

import math

import numpy as np

from aniso import checks
from aniso.estimates import power_of_two
from aniso.matrices import operands
from aniso.matrices.factored import DiagonalCovariance, is_factored
from aniso.threads import blas_threads


def trace(matrix, *, max_products=operands.MAX_PRODUCTS):
    """Exact trace ``Tr A``, float.

    Parameters
    ----------
    matrix : ndarray (D, D) or LinearOperator
        Symmetric; the method `trace` of an operator is used if it has one.
    max_products : int
        Largest number of products with an operator that has no such method; D are needed.

    Raises
    ------
    InputError
        If D products are needed and exceed `max_products`.

    Examples
    --------
    >>> trace(np.array([[1.0, 5.0], [5.0, 2.0]]))
    3.0
    """
    if operands.is_dense(matrix):
        return float(np.trace(matrix))
    if states(matrix, "trace"):
        return float(operands.finite_products(matrix.trace()))
    return float(diagonal(matrix, max_products=max_products).sum())


def nonzero_trace(name, matrix, *, max_products=operands.MAX_PRODUCTS):
    """Return the exact trace as a divisor; refuse one that is zero to rounding.

    Raises
    ------
    InputError
        If the trace is zero to its rounding, as in :func:`significant_trace`, or D products exceed
        `max_products`.
    """
    total, uncertainty = _trace_with_rounding(matrix, max_products)
    if abs(total) <= uncertainty:
        raise checks.InputError(
            f"the trace of {name} is {total:g}, zero to its rounding of {uncertainty:.2g}; "
            "expected a non-zero trace: a ratio to it has no meaning"
        )
    return total


def significant_trace(matrix, *, max_products=operands.MAX_PRODUCTS):
    """Exact trace, 0 where it is zero to its rounding.

    Parameters
    ----------
    matrix, max_products
        As for :func:`trace`.

    Notes
    -----
    The rounding of the trace of a sum of squares is 0. A covariance that subtracts the mean from
    products states its own, `trace_rounding`. Otherwise the rounding is
    ``8 eps max(sum_i |A_ii|, |A|_F)``. For an operator, ``|A z|`` with random signs z replaces
    ``|A|_F``, at the cost of one product.

    Examples
    --------
    >>> significant_trace(np.array([[0.1 + 0.2, 5.0], [5.0, -0.3]]))
    0.0
    """
    total, uncertainty = _trace_with_rounding(matrix, max_products)
    return total if abs(total) > uncertainty else 0.0


def _trace_with_rounding(matrix, max_products):
    stated = getattr(matrix, "trace_rounding", None)
    if stated is not None:
        return trace(matrix, max_products=max_products), stated
    if getattr(matrix, "symmetric_by_construction", False):
        return trace(matrix, max_products=max_products), 0.0
    if operands.is_dense(matrix):
        entries = matrix.diagonal()
        scaled, unit = in_range(matrix)
        with blas_threads(1):
            size = unit * float(np.linalg.norm(scaled))
        total = float(entries.sum())
    else:
        states_trace, states_diagonal = states(matrix, "trace"), states(matrix, "diagonal")
        entries = 0.0
        if states_diagonal or not states_trace:
            entries = diagonal(matrix, max_products=max_products)
        total = trace(matrix) if states_trace else float(entries.sum())
        signs = np.random.Generator(np.random.Philox(key=0)).integers(0, 2, matrix.shape[0])
        size = float(np.linalg.norm(matrix @ (2.0 * signs - 1.0)))
    size = max(size, float(np.abs(entries).sum()))
    return total, 8 * operands.rounding(matrix) * size


def in_range(matrix):
    """Return an array whose squares keep their digits, and the power of two it was divided by.

    The array itself, and 1, where the largest entry is between 1e-100 and 1e100.

    Examples
    --------
    >>> in_range(np.array([[2.0**500]]))
    (array([[1.]]), 3.273390607896142e+150)
    """
    unit = power_of_two(matrix)
    return (matrix, 1.0) if 1e-100 < unit < 1e100 else (matrix / unit, unit)


def diagonal(matrix, *, max_products=operands.MAX_PRODUCTS):
    """Exact diagonal ``diag A``, shape (D,).

    Parameters
    ----------
    matrix, max_products
        As for :func:`trace`; the method `diagonal` of an operator is used if it has one.

    Raises
    ------
    InputError
        If D products are needed and exceed `max_products`.

    Examples
    --------
    >>> diagonal(np.array([[1.0, 5.0], [5.0, 2.0]]))
    array([1., 2.])
    """
    if operands.is_dense(matrix):
        return matrix.diagonal().copy()
    if states(matrix, "diagonal"):
        return matrix.diagonal()
    return operands.diagonal_by_products(matrix, max_products)


def states(matrix, name):
    """Return whether an operator computes its trace or diagonal without products."""
    return callable(getattr(matrix, name, None)) and getattr(matrix, "has_diagonal", True)


def trace_of_product(left, right, *, max_products=operands.MAX_PRODUCTS):
    """Exact trace of a product, ``Tr(A B)``, float.

    Parameters
    ----------
    left, right : ndarray (D, D) or LinearOperator
        Symmetric, of the same size.
    max_products : int
        Largest number of products with an operator of unknown structure.

    Raises
    ------
    InputError
        If more than `max_products` products would be needed, or the trace is not finite.

    Notes
    -----
    Two arrays cost D^2 multiplications. A factored matrix ``A^T A`` with n rows costs n products of
    the other one, in blocks, ``sum_i a_i^T B a_i`` (non-negative term by term for B >= 0);
    a diagonal one the other's diagonal; otherwise D products of the operators are taken.

    Examples
    --------
    >>> trace_of_product(np.diag([2.0, 1.0]), np.array([[3.0, 1.0], [1.0, 4.0]]))
    10.0
    """
    if operands.is_dense(left) and operands.is_dense(right):
        with np.errstate(over="ignore", invalid="ignore"):
            return _finite(float(np.einsum("ij,ij->", left, right)))
    for first, second in ((left, right), (right, left)):
        if isinstance(first, DiagonalCovariance):
            with np.errstate(over="ignore", invalid="ignore"):
                total = first.variances @ diagonal(second, max_products=max_products)
            return _finite(float(total))
    factored = [
        (first.num_rows, first, second)
        for first, second in ((left, right), (right, left))
        if is_factored(first)
    ]
    dimension = left.shape[0]
    if factored:
        num_rows, first, second = min(factored, key=lambda candidate: candidate[0])
        if num_rows <= dimension or operands.is_dense(second) or is_factored(second):
            return _by_rows(first, second, max_products)
    return _by_columns(left, right, max_products)


def _finite(total):
    if not math.isfinite(total):
        raise checks.InputError(
            f"Tr(A B) is {total}: its terms leave the floating-point numbers; expected entries "
            "whose products are finite: divide a matrix by a constant"
        )
    return total


def _by_rows(factored, other, max_products):
    dimension, num_rows = factored.shape[0], factored.num_rows
    if not operands.is_dense(other) and not is_factored(other):
        operands.require_products(num_rows, max_products, "estimate_alignment")
    total = 0.0
    largest = getattr(factored, "rows_at_once", None)
    for start, stop in operands.ranges(num_rows, dimension, largest):
        rows = factored.factor_rows(start, stop)
        total += float(np.einsum("ij,ji->", rows, other @ rows.T))
    return operands.finite_products(total)


def _by_columns(left, right, max_products):
    dimension = left.shape[0]
    operands.require_products(dimension, max_products, "estimate_alignment")
    total = 0.0
    for start, stop in operands.ranges(dimension, dimension):
        columns = operands.unit_columns(dimension, start, stop)
        images = [
            matrix[:, start:stop] if operands.is_dense(matrix) else matrix @ columns
            for matrix in (left, right)
        ]
        total += float(np.einsum("ij,ij->", *images))
    return operands.finite_products(total)
