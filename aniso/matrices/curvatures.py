"""Hessians of the single examples, as arrays or as factors, for the stability of SGD.

    H_i = F_i^T S_i F_i,     F_i of shape (r, D),  S_i symmetric of shape (r, r)

A Gauss-Newton matrix has this form with the Jacobian of the outputs in place of F_i. No array of
shape (D, D) is formed from factors.
"""

from functools import cached_property

import numpy as np

from aniso import checks
from aniso.matrices.curvature_span import span_of, weighted


class ExampleCurvatures:
    """Hessians H_i of the loss of each example at one theta.

    It is made by :func:`example_curvatures` or :func:`curvatures_from_factors`. A problem with
    outputs gives its Gauss-Newton ones as ``problem.at(theta).example_curvatures``.

    Parameters
    ----------
    rows : ndarray, shape (N, r, D)
        Factors F_i; copied, unless they are read-only already.
    weights : ndarray, shape (N, r, r), or None
        Symmetric S_i; None stands for the identity.

    Attributes
    ----------
    rows, weights
        As given, read-only.

    Notes
    -----
    Holds 8 N r D bytes.
    """

    def __init__(self, rows, weights=None):
        self.rows = checks.held(rows)
        self.weights = None if weights is None else checks.held(weights)

    @property
    def num_examples(self):
        """N, the number of examples."""
        return self.rows.shape[0]

    @property
    def num_parameters(self):
        """D, the number of parameters."""
        return self.rows.shape[2]

    @cached_property
    def span(self):
        """The Hessians within their span, a :class:`CurvatureSpan`, computed at its first use.

        Raises
        ------
        InputError
            If the mean has a negative eigenvalue, or is zero in a direction in which an H_i is not.
        AllocationRefused
            If the span does not fit.
        """
        return span_of(self.rows, self.weights)

    def in_parameters(self, coordinates):
        """Return the unit vector (D,) of coordinates (n,) in the basis of the span.

        Its component that is largest in magnitude is positive.
        """
        vector = self.span.combination @ coordinates
        if self.span.of_factors:
            vector = vector @ self.rows.reshape(len(vector), -1)
        vector = vector / np.linalg.norm(vector)
        return vector * np.sign(vector[np.abs(vector).argmax()])

    def along(self, direction):
        """Curvatures of the examples along a unit vector, ``h_i = u^T H_i u``, shape (N,).

        Parameters
        ----------
        direction : array_like, shape (D,)
            Any length but zero.
        """
        images = self.rows @ unit_direction(direction, self.num_parameters)
        return np.einsum("ia,ia->i", images, weighted(self.weights, images[:, :, None])[:, :, 0])

    def mean_product(self, vector):
        """Return ``H v = (1/N) sum_i H_i v``, shape (D,)."""
        vector = checks.array("vector", vector, shape=(self.num_parameters,))
        images = weighted(self.weights, (self.rows @ vector)[:, :, None])
        return images.reshape(-1) @ self.rows.reshape(-1, self.num_parameters) / self.num_examples

    def preconditioned(self, preconditioner):
        """Return the Hessians ``P^{-1/2} H_i P^{-1/2}`` for a diagonal P.

        SGD with the step ``-eta P^{-1} g`` has their threshold.

        Parameters
        ----------
        preconditioner : array_like, shape (D,)
            Diagonal of P, positive.

        Raises
        ------
        InputError
            If P is not positive.
        """
        scales = 1 / np.sqrt(positive_diagonal(preconditioner, self.num_parameters))
        return ExampleCurvatures(checks.frozen(self.rows * scales), self.weights)

    def __repr__(self):
        return (
            f"<ExampleCurvatures: N = {self.num_examples}, D = {self.num_parameters}, "
            f"rank <= {self.rows.shape[1]} each>"
        )


def unit_direction(direction, size):
    """Return a direction (D,) as a unit vector.

    Raises
    ------
    InputError
        If it is zero, not finite, or of another length.
    """
    direction = checks.array("direction", direction, shape=(size,))
    largest = np.abs(direction).max(initial=0.0)
    if largest == 0:
        raise checks.InputError("direction is zero; expected a vector with a non-zero entry")
    direction = direction / largest
    return direction / np.linalg.norm(direction)


def positive_diagonal(preconditioner, size):
    """Return the diagonal of a preconditioner, shape (D,).

    Raises
    ------
    InputError
        If an entry is not positive and finite, or the length is another.
    """
    diagonal = checks.array("preconditioner", preconditioner, shape=(size,))
    if not (diagonal > 0).all():
        index = int(diagonal.argmin())
        raise checks.InputError(
            f"preconditioner has the entry {float(diagonal[index])} at index {index}; expected "
            "positive numbers, for instance sqrt(v) + floor"
        )
    return diagonal


def example_curvatures(hessians):
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


def curvatures_from_factors(factors, weights=None):
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


def _with_roots(rows, weights):
    """Return curvatures ``(L_i^T F_i)^T (L_i^T F_i)``, ``S_i = L_i L_i^T``, where these exist."""
    values, vectors = np.linalg.eigh(weights)
    limit = 8 * values.shape[1] * np.finfo(np.float64).eps * np.abs(values).max(axis=1)
    if (values < -limit[:, None]).any():
        return ExampleCurvatures(rows, weights)
    rank = max(1, int((values > limit[:, None]).sum(axis=1).max()))
    roots = vectors[:, :, -rank:] * np.sqrt(np.maximum(values[:, None, -rank:], 0.0))
    return ExampleCurvatures(checks.frozen(roots.transpose(0, 2, 1) @ rows))
