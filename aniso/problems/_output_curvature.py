"""Gauss-Newton and Fisher matrix of a model with outputs, through its Jacobians.

G  =  (1/N) sum_i  J_i^T S_i J_i        S_i the Hessian of l_i in the output f_i
F  =  (1/N) sum_i  J_i^T E_i J_i        E_i = E[s s^T], s the gradient of l_i in f_i, labels
                                        drawn from the model's own distribution
"""

from functools import partial

import numpy as np

from aniso import checks, matrices, memory
from aniso.arrays import transfer

_CHUNK_BYTES = 128 * 2**20


def gauss_newton(problem, theta, blocks):
    """Generalised Gauss-Newton matrix of a problem, an operator.

    Parameters
    ----------
    problem : Problem
        With outputs.
    theta : ndarray, shape (D,)
        Point in parameter space.
    blocks : dict of str to slice
        Parts of theta by name.

    Returns
    -------
    matrices.SymmetricOperator

    Raises
    ------
    MissingFaculty
        If the problem has no outputs.
    AllocationRefused
        If the Jacobians, 8 N C D bytes, do not fit.

    Notes
    -----
    Uses the problem's own products where it has them, and its Jacobians otherwise.
    """
    if problem.has("generalized_gauss_newton_product"):
        product = partial(problem.generalized_gauss_newton_product, theta)
        return matrices.SymmetricOperator(product, theta.size, problem.dtype, blocks=blocks)
    outputs = problem.outputs(theta)
    weights = problem.output_loss.hessian(outputs, problem.targets)
    return _through_jacobians(problem, theta, blocks, weights)


def fisher(problem, theta, blocks):
    """Fisher matrix with the model's own labels, an operator; arguments as :func:`gauss_newton`."""
    if problem.has("fisher_product"):
        product = partial(problem.fisher_product, theta)
        return matrices.SymmetricOperator(product, theta.size, problem.dtype, blocks=blocks)
    outputs = problem.outputs(theta)
    weights = problem.output_loss.fisher_information(outputs)
    return _through_jacobians(problem, theta, blocks, weights)


def example_curvatures(problem, theta):
    """Gauss-Newton matrices of the examples, ``J_i^T S_i J_i``.

    Parameters
    ----------
    problem : Problem
        With outputs; a network may be on another device.
    theta : array, shape (D,)
        Point in parameter space.

    Returns
    -------
    matrices.ExampleCurvatures

    Raises
    ------
    MissingFaculty
        If the problem has no outputs.
    AllocationRefused
        If the Jacobians, 8 N C D bytes, do not fit.
    """
    problem, theta = problem.on_host(), transfer.to_numpy(theta)
    weights = np.asarray(problem.output_hessians(theta), dtype=np.float64)
    _require_jacobians(*weights.shape[:2], theta.size)
    jacobians = np.asarray(problem.jacobians(theta), dtype=np.float64)
    return matrices.curvatures_from_factors(jacobians, weights)


def _require_jacobians(num_examples, num_outputs, size):
    memory.require(
        2 * 8 * num_examples * num_outputs * size,
        f"the Jacobians of {num_examples} examples",
        "use problem.subset of fewer examples",
    )


def _through_jacobians(problem, theta, blocks, weights):
    num_examples = len(weights)
    _require_jacobians(*weights.shape[:2], theta.size)
    jacobians = problem.jacobians(theta)
    # An example without curvature, as one whose output is clipped, takes no part in any product.
    active = weights.any(axis=(1, 2))
    if not active.all():
        jacobians, weights = checks.frozen(jacobians[active]), weights[active]
    return OutputCurvature(jacobians, weights, num_examples, blocks)


class OutputCurvature(matrices.SymmetricOperator):
    """Matrix ``(1/N) sum_i J_i^T S_i J_i`` through the Jacobians of the outputs.

    Parameters
    ----------
    jacobians : ndarray, shape (n, C, D)
        J_i of the examples with S_i != 0; copied, unless they are read-only already
        (:func:`aniso.checks.held`).
    weights : ndarray, shape (n, C, C)
        Symmetric S_i.
    num_examples : int
        N, the examples without weight included.
    blocks : dict of str to slice, optional
        Parts of theta by name.

    Notes
    -----
    Holds 8 n C D bytes. A product with K vectors costs 4 n C D K flops in two matrix products.

    Examples
    --------
    >>> OutputCurvature(np.array([[[1.0, 2.0]]]), np.array([[[3.0]]]), 1).to_dense()
    array([[ 3.,  6.],
           [ 6., 12.]])
    """

    def __init__(self, jacobians, weights, num_examples, blocks=None):
        self.jacobians = checks.held(jacobians)
        self.weights = weights / num_examples
        super().__init__(
            self._curvature_product,
            jacobians.shape[2],
            np.dtype(np.float64),
            self._curvature_diagonal,
            blocks=blocks,
        )

    def _curvature_product(self, vectors):
        num_active, num_outputs, dimension = self.jacobians.shape
        rows = self.jacobians.reshape(num_active * num_outputs, dimension)
        num_vectors = vectors.shape[1]
        images = self.weights @ (rows @ vectors).reshape(num_active, num_outputs, num_vectors)
        return rows.T @ images.reshape(num_active * num_outputs, num_vectors)

    def _curvature_diagonal(self):
        result = np.zeros(self.shape[0])
        for start, stop in example_chunks(*self.jacobians.shape):
            part = self.jacobians[start:stop]
            result += np.einsum("iad,iad->d", part, self.weights[start:stop] @ part)
        return result

    def to_dense(self):
        """Return the matrix, shape (D, D), symmetric, by one matrix product per chunk of examples.

        Raises
        ------
        AllocationRefused
            If the matrix does not fit.
        """
        dimension = self.shape[0]
        memory.require(
            3 * 8 * dimension**2,
            f"the dense matrix, {dimension} × {dimension}",
            "use the operator, which never forms it",
        )
        num_outputs, total = self.jacobians.shape[1], np.zeros((dimension, dimension))
        for start, stop in example_chunks(*self.jacobians.shape):
            part = self.jacobians[start:stop]
            rows = part.reshape((stop - start) * num_outputs, dimension)
            total += rows.T @ (self.weights[start:stop] @ part).reshape(rows.shape)
        return (total + total.T) / 2


def example_chunks(num_examples, num_outputs, dimension):
    """Yield ranges (start, stop) of examples whose Jacobians take at most 128 MiB.

    Examples
    --------
    >>> list(example_chunks(3, 1, 2**24))
    [(0, 1), (1, 2), (2, 3)]
    """
    size = max(1, _CHUNK_BYTES // (8 * num_outputs * dimension))
    for start in range(0, num_examples, size):
        yield start, min(num_examples, start + size)
