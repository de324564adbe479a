"""A PyTorch model, a loss and data as a problem."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from aniso import checks
from aniso.arrays import transfer
from aniso.frameworks import _reductions, _torch_checks, _torch_data, _trees
from aniso.frameworks._timing import Choices
from aniso.frameworks._torch_gradients import TorchGradients
from aniso.frameworks._torch_model import array, differentiable
from aniso.frameworks._torch_outputs import TensorOutputs
from aniso.frameworks._torch_parameters import ModelParameters
from aniso.frameworks._torch_passes import ChunkedPasses
from aniso.problems import Problem, problem_checks

if TYPE_CHECKING:
    from aniso.matrices import ExampleGradients
    from aniso.problems.derivative_check import DerivativeReport
    from aniso.typing import Array, ArrayLike


_BLOCK = 16
"""Hessian products with more vectors are computed this many at a time."""


class TorchProblem(ModelParameters, ChunkedPasses, Problem):
    """Mean loss of a PyTorch model over examples; :func:`aniso.frameworks.from_torch` makes it.

    Attributes
    ----------
    num_examples, num_parameters : int
        N, and D in the order of ``torch.nn.utils.parameters_to_vector``.
    initial_theta : ndarray, shape (D,)
        Parameters of the model when the problem was made; read-only.
    blocks : dict of str to slice
        Parts of theta by name.
    dtype : numpy.dtype
        Precision of the computation.
    chunk_size : int
        Examples of one pass of the gradient.
    engine, engine_reason : str
        "torch", and why it is not aniso's own.
    """

    engine, engine_reason = "torch", "engine='torch' was chosen"

    def __init__(
        self, vectors: Any, checked: Any, inputs: Any, targets: Any, chunk_size: int | None
    ) -> None:
        self._vectors, self._checked = vectors, checked
        self._inputs, self._targets = inputs, targets
        self.num_examples = _trees.count("data", (inputs, targets))
        self.num_parameters = vectors.num_parameters
        self.dtype = np.dtype(str(vectors.dtype).removeprefix("torch."))
        self.blocks = vectors.blocks("modules")
        self._given_chunk, self._choices = chunk_size, Choices()

    # ---- the six members

    def losses(self, theta: ArrayLike) -> Array:
        """Losses of the examples, l_i, shape (N,)."""
        theta = self._point(theta)
        with differentiable(self._vectors.device), torch.no_grad():
            parts = [self._losses_of(chunk)(theta) for chunk in self._chunks()]
        return problem_checks.finite("a loss", array(torch.cat(parts)))

    def gradient(self, theta: ArrayLike) -> Array:
        """Gradient of the mean loss, shape (D,)."""
        return self.loss_and_gradient(theta)[1]

    def loss_and_gradient(self, theta: ArrayLike) -> tuple[float, Array]:
        """Mean loss, float, and its gradient, shape (D,), from one pass."""
        gradient, total = self._gradient(self._point(theta))
        gradient = problem_checks.finite("the gradient of the loss", array(gradient))
        return float(total) / self.num_examples, gradient

    def per_example_gradients(self, theta: ArrayLike) -> Array:
        """Gradients of the losses l_i as a NumPy array, shape (N, D); see `Problem`."""
        return transfer.to_numpy(super().per_example_gradients(theta))

    def example_gradients(self, theta: ArrayLike) -> Array | ExampleGradients:
        """Gradients of the examples, which are recomputed chunk by chunk where they are needed.

        Returns
        -------
        matrices.ExampleGradients
            A product with a vector costs about two gradients and never forms N x D numbers.
        """
        return TorchGradients(self, self.check_theta(theta))

    def hessian_product(self, theta: ArrayLike, vectors: ArrayLike) -> Array:
        """Hessian of the mean loss times vectors, shape (D,) or (D, K), the shape of `vectors`.

        Raises
        ------
        InputError
            If PyTorch has no right second derivative of this model; the reason is named.
        """
        if not self._checked.hessian_ways:
            raise checks.InputError(
                f"second derivatives of this model do not exist: {self._checked.reason}; expected "
                "a model and a loss that PyTorch differentiates twice; first-order quantities, "
                "losses, gradient and noise are there"
            )
        point = self._point(theta)
        vectors, columns = problem_checks.checked_vectors(vectors, self.num_parameters)
        with differentiable(self._vectors.device):
            parts = []
            for start in range(0, columns.shape[1], _BLOCK):
                block = self._vectors.vector(
                    np.ascontiguousarray(columns[:, start : start + _BLOCK])
                )
                parts.append(array(self._hessian_block(point, block)))
        return problem_checks.finite("a Hessian product", np.concatenate(parts, axis=1)).reshape(
            vectors.shape
        )

    def subset(self, indices: ArrayLike) -> TorchProblem:
        """Return the same problem on some of the examples, in the order of `indices`."""
        indices = torch.as_tensor(
            problem_checks.checked_indices(indices, self.num_examples).astype(np.int64)
        )
        indices = indices.to(self._vectors.device)
        with torch.inference_mode(mode=False):
            inputs, targets = _torch_data.taken((self._inputs, self._targets), indices)
        return self._with(self._checked, inputs, targets)

    def _with(self, checked, inputs, targets, vectors=None, **more):
        part = self._like(vectors or self._vectors, checked, inputs, targets, **more)
        part.blocks, part._choices = self.blocks, self._choices
        part.engine_reason = self.engine_reason
        return part

    def _with_rest(self, rest):
        vectors = self._vectors.with_rest(rest)
        return self._with(self._checked, self._inputs, self._targets, vectors)

    def check(self, theta: ArrayLike, rng: np.random.Generator) -> DerivativeReport:
        """Compare all derivatives with finite differences, in double precision.

        Parameters
        ----------
        theta : array_like, shape (D,)
            Point in parameter space.
        rng : numpy.random.Generator
            Draws the directions.

        Returns
        -------
        problems.derivative_check.DerivativeReport
        """
        if self.dtype == np.float64:
            return super().check(theta, rng)
        vectors = _torch_checks.in_double(self._vectors)
        inputs, targets = _torch_data.placed(
            (self._inputs, self._targets), vectors.device, vectors.dtype
        )
        return self._like(vectors, self._checked.moved(vectors), inputs, targets).check(theta, rng)

    def _like(self, vectors, checked, inputs, targets):
        return type(self)(vectors, checked, inputs, targets, self._given_chunk)

    # ---- of PyTorch alone

    @property
    def reduction(self) -> str:
        """Reduction of a batch by the given loss: "none", "mean", "sum" or "weighted mean"."""
        return self._checked.losses.reduction

    @property
    def mean_weight(self) -> float:
        """Mean weight of the examples in a weighted mean, by which losses are divided; else 1."""
        return 1 / self._checked.factor

    def with_mean_weight(self, weight: float) -> TorchProblem:
        """Return the same problem with losses that are divided by another mean weight."""
        checked = replace(self._checked, factor=1 / weight, weights_differ=True)
        return self._with(checked, self._inputs, self._targets)

    @property
    def batch_assumption(self) -> str:
        """What the noise of a batch assumes of a weighted mean; "" where all weights are equal."""
        return _reductions.WEIGHTED_BATCHES if self._checked.weights_differ else ""

    def __repr__(self):
        checked = self._checked
        kind = _reductions.told(self.reduction, weights_differ=checked.weights_differ)
        second = "" if checked.hessian_ways else ", first order only"
        return (
            f"<{type(self).__name__}: {self._counted()}, D = {self.num_parameters}, "
            f"{self.dtype} on {self._vectors.device}, loss: {kind}{second}>"
        )

    def _counted(self):
        return f"N = {self.num_examples}"


class TorchModel(TensorOutputs, TorchProblem):
    """A :class:`TorchProblem` whose model returns one tensor, with Gauss-Newton and Fisher matrix.

    It has all members of :data:`aniso.problems.FACULTIES`.

    Examples
    --------
    >>> import torch
    >>> from aniso import frameworks
    >>> model = torch.nn.Linear(1, 1, bias=False, dtype=torch.float64)
    >>> x, y = torch.tensor([[1.0], [2.0]]), torch.tensor([[1.0], [0.0]])
    >>> problem = frameworks.from_torch(model, torch.nn.MSELoss(), (x, y), engine="torch")
    >>> at = problem.at([1.0])  # J_i = x_i and S_i = 2
    >>> problem.outputs([1.0]), at.gauss_newton.trace()
    (array([[1.],
           [2.]]), 5.0)
    """
