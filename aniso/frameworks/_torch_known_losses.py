"""PyTorch losses that are losses of :mod:`aniso.problems`, and any other loss in their form."""

import math

import numpy as np
import torch

from aniso import checks
from aniso.frameworks import _torch_data, _torch_losses
from aniso.frameworks._torch_model import array
from aniso.problems import (
    LogisticLoss,
    MeanSquaredLoss,
    SoftmaxCrossEntropy,
    SquaredLoss,
    problem_checks,
)


class Unknown(Exception):
    """A loss, or a model, is not one of aniso's own; the message says why."""


def known(example_losses, output_shape, targets):
    """Return the loss of :mod:`aniso.problems` with the same values, and its targets.

    Parameters
    ----------
    example_losses : ExampleLosses
        Of the given loss.
    output_shape : tuple of int
        Shape of the outputs of one example.
    targets : nested tensors

    Returns
    -------
    loss, targets : a loss, ndarray
        For outputs that are flattened to (N, C).

    Raises
    ------
    Unknown
        If there is none.

    Examples
    --------
    >>> given = _torch_losses.ExampleLosses("mean", "reduction", torch.nn.MSELoss())
    >>> known(given, (1,), torch.ones(2, 1))
    (MeanSquaredLoss(), array([[1.],
           [1.]], dtype=float32))
    """
    loss, size = example_losses.loss, math.prod(output_shape)
    make = _MAKERS.get(_torch_losses.kind_of(loss))
    if make is None:
        name = getattr(loss, "__name__", type(loss).__name__)
        raise Unknown(f"the loss {name} is none of cross-entropy, binary cross-entropy, MSE")
    if example_losses.reduction == "weighted mean" or any(
        getattr(loss, name, None) is not None for name in ("weight", "pos_weight")
    ):
        raise Unknown("the loss weights classes or ignores some")
    return make(loss, output_shape, size, targets)


def _cross_entropy(loss, output_shape, size, targets):
    if getattr(loss, "label_smoothing", 0) or targets.is_floating_point():
        raise Unknown("the targets of the cross-entropy are probabilities, or smoothed")
    if len(output_shape) != 1 or size < 2 or targets.ndim != 1:
        raise Unknown("the cross-entropy is over several entries of an example")
    if bool(((targets < 0) | (targets >= size)).any()):
        raise Unknown("the loss ignores some targets")
    return SoftmaxCrossEntropy(), array(targets).astype(np.int64)


def _squared(loss, output_shape, size, targets):
    if tuple(targets.shape[1:]) != output_shape:
        raise Unknown("targets and outputs differ in shape")
    mean = getattr(loss, "reduction", "mean") == "mean"
    return MeanSquaredLoss() if mean else SquaredLoss(), array(targets).reshape(-1, size)


def _binary(loss, output_shape, size, targets):  # noqa: ARG001
    if size != 1:
        raise Unknown("the binary cross-entropy is over several outputs")
    if not bool(((targets == 0) | (targets == 1)).all()):
        raise Unknown("the targets of the binary cross-entropy are not all 0 or 1")
    return LogisticLoss(), array(targets).reshape(-1).astype(np.int64)


_MAKERS = {
    torch.nn.CrossEntropyLoss: _cross_entropy,
    torch.nn.MSELoss: _squared,
    torch.nn.BCEWithLogitsLoss: _binary,
}


class OutputLoss:
    """A PyTorch loss as a function of outputs (n, C), with derivatives by PyTorch.

    Parameters
    ----------
    checked : CheckedModel
        Losses of the examples, and their factor.
    vectors : VectorModel
        Device and precision of the computation.
    output_shape : tuple of int
        Shape of the outputs of one example, of C entries.
    """

    def __init__(self, checked, vectors, output_shape):
        self._checked, self._vectors, self._shape = checked, vectors, output_shape

    def __repr__(self):
        loss = self._checked.losses.loss
        return f"<losses of the outputs by {getattr(loss, '__name__', loss)}>"

    def __call__(self, outputs, targets):
        """Losses of the examples, shape (n,)."""
        with torch.no_grad():
            return array(self._losses(*self._tensors(outputs, targets)))

    def gradient(self, outputs, targets):
        """Gradients of the losses in the outputs, shape (n, C)."""
        outputs, targets = self._tensors(outputs, targets)
        with torch.enable_grad():
            return array(self._slope(outputs.requires_grad_(), targets, create_graph=False))

    def hessian(self, outputs, targets):
        """Hessians of the losses in the outputs, S_i, shape (n, C, C).

        Raises
        ------
        InputError
            If the loss is not differentiable twice.
        """
        if not self._checked.hessian_ways:
            raise checks.InputError(
                f"second derivatives of this loss do not exist: {self._checked.reason}; expected "
                "a loss that PyTorch differentiates twice"
            )
        outputs, targets = self._tensors(outputs, targets)
        with torch.enable_grad():
            slope = self._slope(outputs.requires_grad_(), targets, create_graph=True)
            if not slope.requires_grad:
                return np.zeros((*slope.shape, slope.shape[1]), array(slope).dtype)
            columns = [
                torch.autograd.grad(part.sum(), outputs, retain_graph=True, materialize_grads=True)[
                    0
                ]
                for part in slope.unbind(dim=1)
            ]
        made = array(torch.stack(columns, dim=2))
        return problem_checks.finite(
            "a Hessian of the loss in the outputs", (made + made.swapaxes(1, 2)) / 2
        )

    def fisher_information(self, outputs):  # noqa: ARG002
        """Refuse: the loss alone does not tell how targets are distributed.

        Raises
        ------
        InputError
            Always.
        """
        raise checks.InputError(
            f"{self!r} has no distribution of targets that is known; expected CrossEntropyLoss of "
            "classes, BCEWithLogitsLoss or MSELoss for the Fisher matrix; gauss_newton and "
            "empirical_fisher are there"
        )

    def _tensors(self, outputs, targets):
        outputs = self._vectors.vector(outputs)
        return outputs, _torch_data.placed(targets, self._vectors.device, self._vectors.dtype)

    def _losses(self, outputs, targets):
        given = outputs.reshape(len(outputs), *self._shape)
        return self._checked.factor * self._checked.losses(given, targets)

    def _slope(self, outputs, targets, *, create_graph):
        # an example's loss depends on its own outputs alone
        total = self._losses(outputs, targets).sum()
        (slope,) = torch.autograd.grad(
            total, outputs, create_graph=create_graph, materialize_grads=True
        )
        return slope
