"""Reduction of a PyTorch loss, and the losses of single examples.

A loss of a batch may be the mean of the losses of its examples, their sum, or these losses
themselves. The kind is found by values: L(batch) is compared with the mean of the L({i}).
"""

import copy
import functools
import inspect
from dataclasses import dataclass, replace

import torch
from torch.func import vmap

from aniso import checks
from aniso.frameworks import _reductions, _trees
from aniso.frameworks._torch_model import array

_CLASS_LOSSES = (torch.nn.CrossEntropyLoss, torch.nn.NLLLoss)
_PROBABILITY_LOSSES = (torch.nn.BCEWithLogitsLoss, torch.nn.BCELoss)
_ENTRYWISE_LOSSES = (
    torch.nn.MSELoss,
    torch.nn.L1Loss,
    torch.nn.SmoothL1Loss,
    torch.nn.HuberLoss,
    *_PROBABILITY_LOSSES,
)
_FUNCTIONS = {
    torch.nn.functional.cross_entropy: torch.nn.CrossEntropyLoss,
    torch.nn.functional.nll_loss: torch.nn.NLLLoss,
    torch.nn.functional.mse_loss: torch.nn.MSELoss,
    torch.nn.functional.l1_loss: torch.nn.L1Loss,
    torch.nn.functional.smooth_l1_loss: torch.nn.SmoothL1Loss,
    torch.nn.functional.huber_loss: torch.nn.HuberLoss,
    torch.nn.functional.binary_cross_entropy: torch.nn.BCELoss,
    torch.nn.functional.binary_cross_entropy_with_logits: torch.nn.BCEWithLogitsLoss,
}
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

    def with_loss(self, loss):
        """Return the same of the loss in another precision."""
        return replace(self, loss=loss)

    def total_weight(self, targets):
        """Sum of the weights of the examples, a float; their number where all weigh the same."""
        if self.reduction == "weighted mean":
            return float(self.weights(targets).sum())
        return float(_trees.count("the targets", targets))

    def weights(self, targets):
        """Weights of the examples, the mean over the weights of their class numbers, (n,)."""
        kept = targets != ignored(self.loss)
        weight = getattr(self.loss, "weight", None)
        classes = torch.where(kept, targets, 0).long()
        weights = kept.double() if weight is None else weight.to(targets.device)[classes] * kept
        return weights.reshape(len(targets), -1).mean(dim=1)

    def weights_differ(self, targets):
        """Whether the examples of a weighted mean have different weights."""
        if self.reduction != "weighted mean":
            return False
        weights = self.weights(targets)
        return bool((weights != weights[0]).any())


def of_loss(loss, outputs, targets, tolerance, every=None):
    """Return the :class:`ExampleLosses` of a loss, from its values on a few examples.

    Parameters
    ----------
    loss : callable
        ``(outputs, targets) -> tensor``.
    outputs, targets : nested tensors
        A few examples, at least two where there are as many.
    tolerance : float
        Relative error of the values.
    every : nested tensors, optional
        Targets of all examples, whose classes may weigh differently; those of the few if not given.

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
    near = functools.partial(_near, tolerance=tolerance * max(float(singles.abs().max()), 1e-30))
    reduction = _reductions.reduction_of(array(whole), array(singles), tolerance, _REMEDY)
    weighs = reduction == "mean" and _weighs(loss, targets if every is None else every)
    if reduction is None or weighs:
        reduction = "weighted mean"
        _require_weights(loss, outputs, targets, whole, near)
        singles = singles * ExampleLosses(reduction, "reduction", loss).weights(targets)
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
            f"{error}; expected a function (outputs, targets) -> tensor, and targets of the shape "
            "and type that it takes"
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
    if _takes_classes(loss, targets):
        made = ExampleLosses("weighted mean", "reduction", loss)
        if near(made(outputs, targets).sum() / made.total_weight(targets), whole):
            return
    raise _reductions.coupled(_REMEDY, _broadcast(outputs, targets))


def _broadcast(outputs, targets):
    """Name shapes (n, 1) and (n,), of which entrywise operations make (n, n)."""
    if not all(isinstance(part, torch.Tensor) for part in (outputs, targets)):
        return ""
    shapes = {tuple(outputs.shape), tuple(targets.shape)}
    if shapes != {(len(outputs),), (len(outputs), 1)}:
        return ""
    return (
        f" (outputs have shape {tuple(outputs.shape)}, targets {tuple(targets.shape)}; their "
        "difference has shape (n, n))"
    )


def _weighs(loss, targets):
    """Whether the mean of a loss over classes weighs them differently, or ignores a target."""
    if not _takes_classes(loss, targets) or getattr(loss, "reduction", "mean") != "mean":
        return False
    # also of classes that are absent: other processes may hold them
    weight = getattr(loss, "weight", None)
    differ = weight is not None and bool((weight != weight[0]).any())
    return differ or bool((targets == ignored(loss)).any())


def that_count(loss, targets):
    """Return the numbers of the examples whose classes have a weight, all of them if none has."""
    every = torch.arange(_trees.count("the targets", targets))
    if not _takes_classes(loss, targets):
        return every
    counts, weight = targets != ignored(loss), getattr(loss, "weight", None)
    if weight is not None:  # wrong classes are refused elsewhere
        counts &= weight.to(targets.device)[targets.long().clamp(0, len(weight) - 1)] > 0
    counts = counts.reshape(len(every), -1).any(dim=1).cpu()
    return every[counts] if bool(counts.any()) else every


def kind_of(loss):
    """Return the class of a loss module, also of the function with the same values; else None."""
    if isinstance(loss, torch.nn.Module):
        return type(loss)
    return next((kind for function, kind in _FUNCTIONS.items() if loss is function), None)


def is_of_classes(loss):
    """Return whether a loss is one of PyTorch over classes, whose ignored targets are known."""
    return kind_of(loss) in _CLASS_LOSSES


def _takes_classes(loss, targets):
    return (
        is_of_classes(loss)
        and isinstance(targets, torch.Tensor)
        and not targets.is_floating_point()
    )


def ignored(loss):
    """Return the class number that a loss ignores, that of PyTorch if it states none."""
    given = getattr(loss, "keywords", {})  # of functools.partial
    return getattr(loss, "ignore_index", given.get("ignore_index", -100))


def require_targets(loss, outputs, targets):
    """Refuse targets that a known loss takes without a word, or with an error far from the cause.

    Parameters
    ----------
    loss : callable
        The given loss; only losses of PyTorch are looked at.
    outputs : nested tensors
        Of a few examples, shape (n, C, ...) where classes count.
    targets : nested tensors
        Of all examples.

    Raises
    ------
    InputError
        If a class has no output, a probability is not within 0..1, or the shapes of entrywise
        losses differ, which PyTorch broadcasts.
    """
    if not all(isinstance(part, torch.Tensor) for part in (outputs, targets)):
        return
    if _takes_classes(loss, targets) and outputs.ndim > 1:
        num_classes = outputs.shape[1]
        wrong = ((targets < 0) | (targets >= num_classes)) & (targets != ignored(loss))
        if bool(wrong.any()):
            raise checks.InputError(
                f"targets has the class {int(targets[wrong][0])}; expected 0 <= class < "
                f"{num_classes}, the number of outputs"
            )
    if kind_of(loss) in _ENTRYWISE_LOSSES and outputs.shape[1:] != targets.shape[1:]:
        raise checks.InputError(
            f"targets has shape {tuple(targets.shape)} and the outputs "
            f"{('N', *outputs.shape[1:])}, which PyTorch broadcasts against each other; expected "
            "equal shapes, for instance targets[:, None] for outputs (N, 1)"
        )
    if kind_of(loss) in _PROBABILITY_LOSSES:
        wrong = (targets < 0) | (targets > 1)
        if bool(wrong.any()):
            raise checks.InputError(
                f"targets has the entry {float(targets[wrong][0]):.6g}; expected probabilities or "
                "labels, 0 <= target <= 1"
            )
