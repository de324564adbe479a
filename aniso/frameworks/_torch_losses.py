"""What a PyTorch loss reduces, and the losses of the single examples.

A loss of a batch may be the mean of the losses of its examples, their sum, or these losses
themselves. The kind is found by values: L(batch) is compared with the mean of the L({i}).
"""

import copy
import functools
import inspect
from dataclasses import dataclass

import torch
from torch.func import vmap

from aniso import checks
from aniso.frameworks import _trees

_CLASS_LOSSES = (torch.nn.CrossEntropyLoss, torch.nn.NLLLoss)
_REMEDY = (
    'expected one loss for each example, as reduction="none" gives, or gradients of whole batches '
    "by from_draws"
)


@dataclass(frozen=True)
class ExampleLosses:
    """The losses of the single examples of a batch.

    Attributes
    ----------
    reduction : {"none", "mean", "sum", "weighted mean"}
        What the given loss does with a batch.
    method : {"given", "reduction", "vmap", "loop"}
        How the losses of single examples are computed.
    loss : callable
        ``(outputs, targets) -> tensor``.
    """

    reduction: str
    method: str
    loss: object

    def __call__(self, outputs, targets):
        """Losses l_i, shape (n,); a weighted mean gives the losses times their weights."""
        count = _trees.count("the targets", targets)
        if self.method == "given":
            return self.loss(outputs, targets).reshape(count)
        if self.method == "reduction":
            parts = _unreduced(self.loss)(outputs, targets).reshape(count, -1)
            return parts.sum(dim=1) if self.reduction == "sum" else parts.mean(dim=1)
        if self.method == "vmap":
            return vmap(self._single)(outputs, targets)
        return torch.stack(
            [self.loss(*_row((outputs, targets), i)).reshape(()) for i in range(count)]
        )

    def _single(self, output, target):
        one = _trees.mapped(lambda part: part[None], (output, target))
        return self.loss(*one).reshape(())

    def total_weight(self, targets):
        """Sum of the weights of the examples, a float; their number where all weigh the same."""
        if self.reduction == "weighted mean":
            return float(self.loss.weight[targets].sum())
        return float(_trees.count("the targets", targets))


def of_loss(loss, outputs, targets, tolerance):
    """Return the :class:`ExampleLosses` of a loss, from its values on a few examples.

    Parameters
    ----------
    loss : callable
        ``(outputs, targets) -> tensor``.
    outputs, targets : nested tensors
        A few examples, at least two where there are as many.
    tolerance : float
        Relative error of the values.

    Returns
    -------
    ExampleLosses

    Raises
    ------
    InputError
        If the loss returns no real tensor of shape () or (n,), or values that are not finite.
    InteractingExamples
        If the loss of a batch is not made of losses of its examples.
    """
    if not callable(loss):
        raise checks.InputError(
            f"loss is a {type(loss).__name__}; expected a module or a function "
            "(outputs, targets) -> tensor, for instance torch.nn.CrossEntropyLoss()"
        )
    whole, singles = _values(loss, outputs, targets)
    count, scale = len(singles), float(singles.abs().max())
    near = functools.partial(_near, tolerance=tolerance * max(scale, 1e-30))
    if whole.ndim and whole.numel() == count and whole.shape[0] == count:
        reduction = "none"
        if not near(whole.reshape(count), singles):
            raise checks.InteractingExamples(
                "the loss of an example changes with the other examples of its batch; " + _REMEDY
            )
    elif whole.ndim:
        raise checks.InputError(
            f"loss returned shape {tuple(whole.shape)} for {count} examples; expected a number, or "
            "one for each example: average over the other axes"
        )
    elif near(whole, singles.mean()):
        reduction = "mean"
    elif near(whole, singles.sum()):
        reduction = "sum"
    else:
        reduction = "weighted mean"
        _require_weights(loss, outputs, targets, whole, near)
        singles = singles * loss.weight[targets]
    for method in ("given",) if reduction == "none" else ("reduction", "vmap", "loop"):
        made = ExampleLosses(reduction, method, loss)
        try:
            values = made(outputs, targets)
        except Exception:
            continue
        if values.shape == singles.shape and near(values, singles):
            return made
    raise checks.InputError("the losses of single examples can't be computed; " + _REMEDY)


def _values(loss, outputs, targets):
    """Return the loss of a batch, and the losses of its examples alone, shape (n,)."""
    count = _trees.count("the targets", targets)
    try:
        whole = loss(outputs, targets)
        singles = [loss(*_row((outputs, targets), i)) for i in range(count)]
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        shapes = [tuple(part.shape) for part in _trees.leaves((outputs, targets))]
        raise checks.InputError(
            f"loss raised {type(error).__name__} for outputs and targets of shapes {shapes}: "
            f"{error}; expected a function (outputs, targets) -> tensor"
        ) from error
    for value in (whole, *singles):
        if not isinstance(value, torch.Tensor) or not value.is_floating_point():
            raise checks.InputError(
                f"loss returned a {type(value).__name__}; expected a real tensor"
            )
        if not bool(torch.isfinite(value).all()):
            raise checks.InputError(
                "loss is not finite at the model's parameters; expected finite numbers"
            )
    if any(value.numel() != 1 for value in singles):
        raise checks.InputError(
            f"loss returned shape {tuple(singles[0].shape)} for one example; expected one number: "
            "average over the other axes"
        )
    return whole, torch.stack([value.reshape(()) for value in singles])


def _near(first, second, tolerance):
    return bool((first - second).abs().max() <= tolerance)


def _row(tree, index):
    return _trees.mapped(lambda part: part[index : index + 1], tree)


def _unreduced(loss):
    """Return the loss with its argument or attribute `reduction` set to "none"."""
    if isinstance(loss, torch.nn.Module):
        made = copy.copy(loss)
        made.reduction = "none"
        return made
    if "reduction" not in inspect.signature(loss).parameters:
        raise TypeError("no argument reduction")
    return functools.partial(loss, reduction="none")


def _require_weights(loss, outputs, targets, whole, near):
    """Refuse a loss that is no weighted mean over the classes of its targets."""
    known = isinstance(loss, _CLASS_LOSSES) and getattr(loss, "weight", None) is not None
    if known and isinstance(targets, torch.Tensor) and not targets.is_floating_point():
        made = ExampleLosses("weighted mean", "reduction", loss)
        if near(made(outputs, targets).sum() / made.total_weight(targets), whole):
            return
    raise checks.InteractingExamples(
        "the loss of a batch is neither the mean nor the sum of the losses of its examples: it "
        "weights them, or couples them; " + _REMEDY
    )


def require_all_labels(loss, outputs, targets):
    """Refuse class numbers that the model has no output for.

    Parameters
    ----------
    loss : callable
        The given loss; only losses of class numbers are looked at.
    outputs : nested tensors
        Of a few examples, shape (n, C, ...) where classes count.
    targets : nested tensors
        Of all examples.
    """
    is_class_loss = isinstance(loss, _CLASS_LOSSES) or loss is torch.nn.functional.cross_entropy
    if not is_class_loss or not isinstance(targets, torch.Tensor) or targets.is_floating_point():
        return
    if not isinstance(outputs, torch.Tensor) or outputs.ndim < 2:
        return
    num_classes, ignored = outputs.shape[1], getattr(loss, "ignore_index", -100)
    wrong = ((targets < 0) | (targets >= num_classes)) & (targets != ignored)
    if bool(wrong.any()):
        raise checks.InputError(
            f"targets has the class {int(targets[wrong][0])}; expected 0 <= class < {num_classes}, "
            "the number of outputs"
        )
