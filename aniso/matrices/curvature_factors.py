"""Curvatures of examples from their Hessians, their factors, or scalar products of factors.

Positive semi-definite weights are multiplied into the factors, so that ``H_i = F_i^T F_i``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from aniso import checks
from aniso.matrices.curvatures import ExampleCurvatures

if TYPE_CHECKING:
    from aniso.typing import ArrayLike


def example_curvatures(hessians: ArrayLike) -> ExampleCurvatures:
    """Return the curvatures of the examples from their Hessians, an array.

    Parameters
    ----------
    hessians : array_like, shape (N, D, D)
        H_i, symmetric. They may be indefinite where their mean is not.

    Returns
    -------
    ExampleCurvatures

    Raises
    ------
    InputError
        If the array is not finite, not (N, D, D) with N, D >= 1, or an H_i is not symmetric.

    Notes
    -----
    N eigendecompositions of D x D matrices, for small D. For larger D use
    :func:`curvatures_from_factors`.

    Examples
    --------
    >>> curvatures = example_curvatures([[[1.0]], [[3.0]]])
    >>> curvatures.along([1.0]).round(12)
    array([1., 3.])
    >>> curvatures
    <ExampleCurvatures: N = 2, D = 1, rank <= 1 each>
    """
    hessians = checks.array("hessians", hessians, shape=(None, None, None))
    count, dimension, columns = hessians.shape
    if count == 0 or dimension == 0 or dimension != columns:
        raise checks.InputError(
            f"hessians has shape {hessians.shape}; expected (N, D, D) with N, D >= 1"
        )
    for index, hessian in enumerate(hessians):
        checks.symmetric_matrix(f"hessians[{index}]", hessian)
    values, vectors = np.linalg.eigh(hessians)
    limit = 8 * dimension * np.finfo(np.float64).eps * np.abs(values).max(axis=1, keepdims=True)
    values = np.where(np.abs(values) > limit, values, 0.0)
    order = np.argsort(-np.abs(values), axis=1, kind="stable")
    rank = max(1, int((values != 0).sum(axis=1).max()))
    order = order[:, :rank]
    values = np.take_along_axis(values, order, axis=1)
    rows = np.take_along_axis(vectors, order[:, None, :], axis=2).transpose(0, 2, 1)
    return _with_roots(np.ascontiguousarray(rows), values[:, :, None] * np.eye(rank))


def curvatures_from_factors(
    factors: ArrayLike, weights: ArrayLike | None = None
) -> ExampleCurvatures:
    """Return the curvatures of the examples from factors, ``H_i = F_i^T S_i F_i``.

    Parameters
    ----------
    factors : array_like, shape (N, D) or (N, r, D)
        F_i: one row, or r rows, for each example. Copied, unless it is read-only already.
    weights : array_like, shape (N,) or (N, r, r), optional
        Symmetric S_i; the identity if not given.

    Returns
    -------
    ExampleCurvatures
        Where every S_i is positive semi-definite, their roots are multiplied into the factors, and
        `weights` is None.

    Raises
    ------
    InputError
        If an array is not finite or has another shape, or an S_i is not symmetric.

    Examples
    --------
    Least squares with the loss ``(x^T theta - y)^2 / 2`` has ``H_i = x_i x_i^T``:

    >>> curvatures = curvatures_from_factors([[1.0, 0.0], [1.0, 1.0]])
    >>> curvatures.along([0.0, 1.0])
    array([0., 1.])
    """
    rows = checks.array("factors", factors)
    if rows.ndim == 2:
        rows = rows[:, None, :]
    if rows.ndim != 3 or 0 in rows.shape:
        raise checks.InputError(
            f"factors has shape {np.shape(factors)}; expected (N, D) or (N, r, D), all >= 1"
        )
    if weights is None:
        return ExampleCurvatures(rows)
    count, rank = rows.shape[:2]
    weights = checks.array("weights", weights)
    if rank == 1 and weights.ndim == 1:
        weights = weights[:, None, None]
    if weights.shape != (count, rank, rank):
        raise checks.InputError(
            f"weights has shape {weights.shape}; expected ({count}, {rank}, {rank})"
        )
    if rank > 1:
        for index, weight in enumerate(weights):
            checks.symmetric_matrix(f"weights[{index}]", weight)
    return _with_roots(rows, weights)


def curvatures_from_kernel(
    kernel: ArrayLike, weights: ArrayLike | None = None
) -> ExampleCurvatures:
    """Return the curvatures of the examples from the scalar products of their factors.

    The stability of SGD depends on the factors F_i through these alone. With the Jacobians J_i of
    the outputs they are the tangent kernel, which is small where D is large.

    Parameters
    ----------
    kernel : array_like, shape (N, N) or (N, r, N, r)
        ``F_i F_j^T``, positive semi-definite as a matrix of N r rows.
    weights : array_like, shape (N,) or (N, r, r), optional
        Symmetric S_i in ``H_i = F_i^T S_i F_i``; the identity if not given.

    Returns
    -------
    ExampleCurvatures
        In an orthonormal basis of the span, of dimension n: D = n, and directions have n entries.

    Raises
    ------
    InputError
        If the kernel has another shape or is not positive semi-definite, or a weight breaks its
        rule.

    Notes
    -----
    One eigendecomposition of N r rows. Eigenvalues below their rounding, ``8 N r eps`` times the
    largest, count as zero.

    Examples
    --------
    >>> curvatures_from_kernel([[4.0, 0.0], [0.0, 1.0]])
    <ExampleCurvatures: N = 2, D = 2, rank <= 1 each>
    """
    kernel = checks.array("kernel", kernel)
    if kernel.ndim == 2:
        kernel = kernel[:, None, :, None]
    if kernel.ndim != 4 or kernel.shape[:2] != kernel.shape[2:] or 0 in kernel.shape:
        raise checks.InputError(
            f"kernel has shape {kernel.shape}; expected (N, N) or (N, r, N, r), all >= 1"
        )
    count, rank = kernel.shape[:2]
    size = count * rank
    values, vectors = np.linalg.eigh(
        checks.covariance_matrix("kernel", kernel.reshape(size, size), size=size)
    )
    kept = values > 8 * size * np.finfo(np.float64).eps * values[-1]
    kept[-1] = True  # a kernel of zeros has one direction without curvature
    rows = vectors[:, kept] * np.sqrt(np.maximum(values[kept], 0.0))
    return curvatures_from_factors(rows.reshape(count, rank, -1), weights)


def _with_roots(rows, weights):
    """Return curvatures ``(L_i^T F_i)^T (L_i^T F_i)``, ``S_i = L_i L_i^T``, where these exist."""
    values, vectors = np.linalg.eigh(weights)
    limit = 8 * values.shape[1] * np.finfo(np.float64).eps * np.abs(values).max(axis=1)
    if (values < -limit[:, None]).any():
        return ExampleCurvatures(rows, weights)
    rank = max(1, int((values > limit[:, None]).sum(axis=1).max()))
    roots = vectors[:, :, -rank:] * np.sqrt(np.maximum(values[:, None, -rank:], 0.0))
    return ExampleCurvatures(checks.frozen(roots.transpose(0, 2, 1) @ rows))
