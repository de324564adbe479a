"""Curvature matrices of an objective: Hessian, generalized Gauss–Newton, Fisher.

    H       =  (1/N) sum_i  Hessian of l_i
    G       =  (1/N) sum_i  J_i^T S_i J_i
    Fisher  =  (1/N) sum_i  J_i^T E_i J_i

with J_i the Jacobian of the outputs f_i, S_i the Hessian of l_i in f_i, and E_i the expected outer
product of the gradients of l_i in f_i under the model's own labels.

Each exists as an array and as a `LinearOperator` that never forms D x D. H needs an objective with
`hessian` or `hessian_product`; G and Fisher one with `outputs` besides (`jacobians`,
`output_hessians`, `output_loss.fisher_information`), such as
:class:`aniso.problems.model_objective.ModelObjective`. The empirical Fisher matrix is made of
per-example gradients alone and lives in :mod:`aniso.matrices.noise`.
"""

import numpy as np
from scipy.sparse.linalg import LinearOperator

from aniso import checks, memory
from aniso.arrays import transfer
from aniso.problems.output_curvature import OutputCurvature, example_chunks

_OUTPUT_METHODS = ("outputs", "jacobians", "output_hessians", "output_loss")


# an objective is linearised, if it can be, once so many vectors have been asked for
_FEW_VECTORS = 16


class HessianOperator(LinearOperator):
    """Hessian of the mean loss as an operator; see :func:`hessian_operator`.

    Notes
    -----
    An objective with `linearise`, such as :class:`aniso.networks.Network`, gives its exact
    `trace` and `diagonal` too. The first few products are its own, the others come from the
    linearisation at theta, which is kept.
    """

    def __init__(self, objective, theta):
        self.objective = objective
        self.theta = checks.held(theta)
        self._num_vectors, self._linearisation = 0, None
        if hasattr(objective, "linearise"):
            self.diagonal, self.trace = self._exact_diagonal, self._exact_trace
        super().__init__(np.dtype(np.float64), (theta.size, theta.size))

    def _exact_diagonal(self):
        return transfer.to_numpy(self._linearised().hessian_diagonal)

    def _exact_trace(self):
        return float(self._linearised().hessian_trace())

    def _linearised(self):
        if self._linearisation is None:
            self._linearisation = self.objective.linearise(self.theta)
        return self._linearisation

    def _product(self, vectors):
        self._num_vectors += 1 if vectors.ndim == 1 else vectors.shape[1]
        many = self._num_vectors >= _FEW_VECTORS or self._linearisation is not None
        if many and hasattr(self.objective, "linearise"):
            return self._linearised().hessian_product(vectors)
        return self.objective.hessian_product(self.theta, vectors)

    def _matvec(self, vector):
        return self._product(np.ravel(vector))

    def _matmat(self, vectors):
        return self._product(vectors)

    def _adjoint(self):
        return self


def hessian(objective, theta):
    """Hessian of the mean loss at theta, shape (D, D).

    Parameters
    ----------
    objective : object
        With `hessian(theta)`, for instance :class:`aniso.problems.autograd_problem.Objective`.
    theta : array_like, shape (D,)
        Parameters.

    Returns
    -------
    ndarray, shape (D, D)
        Symmetric to the last bit: the mean of the computed matrix and its transpose.

    Raises
    ------
    InputError
        If theta is not a finite vector.
    AllocationRefused
        If D x D would not fit.

    Notes
    -----
    Cost: that of the objective's `hessian`. Of a piecewise smooth loss it is the Hessian of the
    piece at theta.
    """
    theta = _parameters(objective, theta, ("hessian",))
    _require_dense(theta.size, "the dense Hessian")
    matrix = objective.hessian(theta)
    return (matrix + matrix.T) / 2


def hessian_operator(objective, theta):
    """Hessian of the mean loss at theta as a `LinearOperator`; products take blocks of vectors.

    Parameters
    ----------
    objective : object
        With `hessian_product(theta, vectors)`, vectors (D,) or (D, K).
    theta : array_like, shape (D,)
        Parameters.

    Returns
    -------
    HessianOperator or OutputCurvature
        Of shape (D, D), symmetric. Where the model's outputs are linear in theta almost
        everywhere, H is the generalized Gauss–Newton matrix; it is returned if the Jacobians
        take no more than a quarter of the available memory.

    Raises
    ------
    InputError
        If theta is not a finite vector.
    """
    theta = _parameters(objective, theta, ("hessian_product",))
    if _is_gauss_newton(objective) and _jacobians_are_small(objective, theta):
        return generalized_gauss_newton_operator(objective, theta)
    return HessianOperator(objective, theta)


def _is_gauss_newton(objective):
    if hasattr(objective, "linearise"):
        return False
    model = getattr(objective, "model", None)
    return getattr(model, "linear_almost_everywhere", False)


def _jacobians_are_small(objective, theta):
    num_bytes = 2 * 8 * objective.num_examples * objective.model.num_outputs * theta.size
    return 4 * num_bytes <= memory.available_bytes()


def generalized_gauss_newton(objective, theta):
    """Generalized Gauss–Newton matrix ``(1/N) sum_i J_i^T S_i J_i``, shape (D, D).

    Parameters
    ----------
    objective : object
        With `num_examples`, `jacobians(theta)` (N, C, D), `output_hessians(theta)` (N, C, C) and
        `subset(indices)`.
    theta : array_like, shape (D,)
        Parameters.

    Returns
    -------
    ndarray, shape (D, D)
        Positive semi-definite where every S_i is.

    Raises
    ------
    InputError
        If theta is not a finite vector, or the objective has no outputs.
    AllocationRefused
        If D x D would not fit.

    Notes
    -----
    Cost 2 N C D^2 flops; Jacobians are held for a chunk of examples at a time. Equal to the Hessian
    where the outputs are linear in theta.
    """
    return _dense_output_curvature(objective, theta, _output_hessians)


def generalized_gauss_newton_operator(objective, theta):
    """Generalized Gauss–Newton matrix as a `LinearOperator` on stored Jacobians.

    Parameters
    ----------
    objective, theta
        As for :func:`generalized_gauss_newton`.

    Returns
    -------
    OutputCurvature
        With `trace`, `diagonal` and `to_dense`.

    Raises
    ------
    InputError
        If theta is not a finite vector, or the objective has no outputs.
    AllocationRefused
        If the Jacobians, 8 N C D bytes, would not fit.
    """
    return _output_curvature(objective, theta, _output_hessians)


def fisher(objective, theta):
    """Fisher matrix of the model's own labels ``(1/N) sum_i J_i^T E[s s^T] J_i``, shape (D, D).

    Parameters
    ----------
    objective : object
        As for :func:`generalized_gauss_newton`, with `outputs(theta)` and an `output_loss` that
        has `fisher_information(outputs)` (N, C, C): the exact expectation, no labels are drawn.
    theta : array_like, shape (D,)
        Parameters.

    Returns
    -------
    ndarray, shape (D, D)
        Positive semi-definite.

    Raises
    ------
    InputError
        If theta is not a finite vector, or the objective has no outputs.
    AllocationRefused
        If D x D would not fit.
    """
    return _dense_output_curvature(objective, theta, _fisher_information)


def fisher_operator(objective, theta):
    """Fisher matrix of the model's own labels as a `LinearOperator` on stored Jacobians.

    Parameters
    ----------
    objective, theta
        As for :func:`fisher`.

    Returns
    -------
    OutputCurvature
        With `trace`, `diagonal` and `to_dense`.

    Raises
    ------
    InputError
        If theta is not a finite vector, or the objective has no outputs.
    AllocationRefused
        If the Jacobians, 8 N C D bytes, would not fit.
    """
    return _output_curvature(objective, theta, _fisher_information)


def _output_hessians(objective, theta):
    return objective.output_hessians(theta)


def _fisher_information(objective, theta):
    return objective.output_loss.fisher_information(objective.outputs(theta))


def _output_curvature(objective, theta, weights_at):
    theta = _parameters(objective, theta, _OUTPUT_METHODS)
    weights = weights_at(objective, theta)
    num_examples, num_outputs = weights.shape[:2]
    memory.require(
        2 * 8 * num_examples * num_outputs * theta.size,
        f"the Jacobians of {num_examples} examples",
        "use the dense matrix, or objective.subset",
    )
    jacobians = objective.jacobians(theta)
    # Examples without curvature (an output clipped away) take no part in any product.
    active = weights.any(axis=(1, 2))
    if not active.all():
        jacobians, weights = checks.frozen(jacobians[active]), weights[active]
    return OutputCurvature(jacobians, weights, num_examples)


def _dense_output_curvature(objective, theta, weights_at):
    theta = _parameters(objective, theta, _OUTPUT_METHODS)
    _require_dense(theta.size, "the dense matrix")
    num_examples = objective.num_examples
    num_outputs = objective.outputs(theta).shape[1]
    total = np.zeros((theta.size, theta.size))
    for start, stop in example_chunks(num_examples, num_outputs, theta.size):
        whole = stop - start == num_examples
        part = objective if whole else objective.subset(np.arange(start, stop))
        operator = _output_curvature(part, theta, weights_at)
        operator.weights *= (stop - start) / num_examples
        operator.add_to(total)
    return (total + total.T) / 2


def _parameters(objective, theta, methods):
    """The checked theta of an objective that has the methods needed."""
    for name in methods:
        if not hasattr(objective, name):
            raise checks.InputError(
                f"objective of type {type(objective).__name__} has no {name}; expected "
                "objective.Objective or, for what needs outputs, model_objective.ModelObjective"
            )
    theta = checks.parameters(theta, getattr(objective, "num_parameters", None))
    if theta.size == 0:
        raise checks.InputError("theta is empty; expected the parameters, shape (D,), D >= 1")
    return theta


def _require_dense(dimension, what):
    memory.require(
        3 * 8 * dimension**2,
        f"{what}, {dimension} × {dimension}",
        "use the operator of the same name, which never forms it",
    )
