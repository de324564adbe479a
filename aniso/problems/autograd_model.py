"""A model in plain NumPy with a loss on its outputs, differentiated by autograd."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from aniso import checks
from aniso.problems import _plans
from aniso.problems.autograd_problem import AutogradProblem
from aniso.problems.problem_checks import checked_indices, finite

if TYPE_CHECKING:
    from aniso.typing import Array, ArrayLike, Loss


class AutogradModel(AutogradProblem):
    """Mean loss ``L(theta) = (1/N) sum_i l(f(x_i; theta), y_i)`` of a model f and a loss l.

    Every derivative comes from autograd, so that a model is one function. It is the exact
    reference of faster implementations, :class:`aniso.networks.Network` for instance.

    Parameters
    ----------
    model : object
        With ``outputs(theta, inputs) -> (n, C)``, written with ``autograd.numpy``, and the integers
        `num_parameters` (D) and `num_outputs` (C). `input_shape`, a tuple, is optional: inputs of
        another shape are refused. So is `blocks`, see below. A :class:`aniso.networks.Stack` is
        such a model.
    output_loss : loss
        One of :mod:`aniso.problems.losses`.
    inputs : array_like, shape (N, ...)
        Copied, as the targets are.
    targets : array_like, shape (N,) or (N, C)
        As ``output_loss.check_targets`` expects.
    blocks : dict of str to slice, optional
        Parts of theta by name, as for :class:`AutogradProblem`; ``model.blocks`` if not given.

    Raises
    ------
    InputError
        If the model or the loss lacks a member, or the data are not finite, are empty, have a
        wrong shape or wrong labels; at a call as :class:`AutogradProblem`.

    Notes
    -----
    Derivatives cost as much as the derivatives of an :class:`AutogradProblem`. The Jacobians cost
    as much as C times its per-example gradients.

    Examples
    --------
    f = theta_1 x + theta_2 at x = 1, target 1, theta = (0.25, 0.25), so that l = (0.5 - 1)^2:

    >>> from aniso.problems.losses import SquaredLoss
    >>> class Line:
    ...     num_parameters, num_outputs = 2, 1
    ...     def outputs(self, theta, inputs):
    ...         return theta[0] * inputs + theta[1]
    >>> problem = AutogradModel(Line(), SquaredLoss(), [[1.0]], [1.0])
    >>> at = problem.at([0.25, 0.25])
    >>> at.loss, at.gradient, at.gauss_newton.to_dense()
    (0.25, array([-1., -1.]), array([[2., 2.],
           [2., 2.]]))
    """

    def __init__(
        self,
        model: Any,
        output_loss: Loss,
        inputs: ArrayLike,
        targets: ArrayLike,
        *,
        blocks: dict[str, slice] | None = None,
    ) -> None:
        _require_parts("model", model, ("outputs", "num_parameters", "num_outputs"))
        _require_parts("output_loss", output_loss, ("gradient", "hessian", "check_targets"))
        shape = getattr(model, "input_shape", None)
        inputs = checks.array("inputs", inputs, shape=None if shape is None else (None, *shape))
        if inputs.ndim == 0:
            raise checks.InputError(f"inputs has shape {inputs.shape}; expected (N, ...)")
        targets = output_loss.check_targets(targets, len(inputs), model.num_outputs)
        self.model, self.output_loss = model, output_loss
        super().__init__(
            _ComposedLoss(model, output_loss),
            inputs,
            targets,
            num_parameters=model.num_parameters,
            blocks=getattr(model, "blocks", None) if blocks is None else blocks,
        )

    def outputs(self, theta: ArrayLike) -> Array:
        """Outputs f(x_i; theta), shape (N, C)."""
        outputs = self.model.outputs(self.check_theta(theta), self.inputs)
        expected = (self.num_examples, self.model.num_outputs)
        if np.shape(outputs) != expected:
            raise checks.InputError(
                f"the model's outputs have shape {np.shape(outputs)}; expected (N, C)={expected}"
            )
        return finite("an output of the model", outputs)

    def jacobians(self, theta: ArrayLike) -> Array:
        """Jacobians of the outputs in theta, J_i, shape (N, C, D).

        Raises
        ------
        AllocationRefused
            If N × C × D numbers do not fit.
        """
        theta = self.check_theta(theta)
        num_outputs = self.model.num_outputs
        _plans.require_matrix(
            self.num_examples * num_outputs,
            theta.size,
            "the Jacobians of all examples",
            "use hessian_product, or subset of fewer examples",
        )
        result = np.empty((self.num_examples, num_outputs, theta.size))
        for number in range(num_outputs):
            entry = AutogradProblem(_Output(self.model, number), self.inputs, self.targets)
            result[:, number] = entry.example_gradients(theta)
        return result

    def subset(self, indices: ArrayLike) -> AutogradModel:
        """Return the same model on some of the examples, in the order of `indices`."""
        indices = checked_indices(indices, self.num_examples)
        part = AutogradModel(
            self.model,
            self.output_loss,
            checks.frozen(self.inputs[indices]),
            checks.frozen(self.targets[indices]),
            blocks=self.blocks,
        )
        part._independent = self._independent
        return part


def _require_parts(name, value, parts):
    lacking = [part for part in parts if not hasattr(value, part)]
    if isinstance(value, type) or lacking:
        example = {
            "model": "networks.one_hidden_layer(num_inputs=2, num_hidden=32)",
            "output_loss": "problems.losses.SoftmaxCrossEntropy()",
        }[name]
        raise checks.InputError(
            f"{name}={value!r}"
            + (f" has no {', '.join(lacking)}" if lacking else "")
            + f"; expected an object with {', '.join(parts)}, for instance {example}"
        )


@dataclass(frozen=True)
class _ComposedLoss:
    """Losses of the examples as a function of theta, shape (..., n)."""

    model: object
    output_loss: object

    def __call__(self, theta, inputs, targets):
        return self.output_loss(self.model.outputs(theta, inputs), targets)


@dataclass(frozen=True)
class _Output:
    """One output of every example as a function of theta, shape (..., n)."""

    model: object
    number: int

    def __call__(self, theta, inputs, targets):  # noqa: ARG002
        return self.model.outputs(theta, inputs)[..., self.number]
