"""The given loss of all examples, held once against the losses of the single examples.

A few examples may be alike where all are not: a loss that weights them looks like their mean.
"""

import math

import torch

from aniso import checks
from aniso.frameworks import _reductions, _torch_data, _torch_losses, _torch_tokens, _trees

_BYTES = 2**27
"""Outputs that are held together; of more the examples are compared in several parts."""
_PASS_BYTES, _PASS_EXAMPLES = 2**24, 128


def require_whole(loss, found, vectors, trial, theta, data, tokens, outputs, tolerance, chunk_size):
    """Refuse a loss whose value for all examples is not that of the single examples.

    Parameters
    ----------
    loss : callable
        The given loss in the precision of `trial`.
    found : ExampleLosses or TokenLosses
        Its losses of single examples.
    vectors, trial : VectorModel
        The model, which computes the outputs, and that in the precision of the comparison.
    theta : tensor, shape (D,)
        Place of the comparison, in the precision of `trial`.
    data : pair of nested tensors
        All examples, or all sequences.
    tokens : Tokens or None
        The examples, where they are tokens.
    outputs : nested tensors
        Outputs of one example or sequence, in the precision of `trial`.
    tolerance : float
        Relative error of the values.
    chunk_size : int or None
        Examples of one pass, as given.

    Raises
    ------
    InteractingExamples
        If the loss weights or couples the examples.
    InputError
        If losses are not finite, or the loss itself leaves out tokens.
    """
    count = _trees.count("data", data)
    size = sum(part.numel() * part.element_size() for part in _trees.leaves(outputs))
    chunk_size = chunk_size or _PASS_EXAMPLES
    if tokens is not None:
        chunk_size = chunk_size // tokens.length
    chunk_size = max(1, min(chunk_size, _PASS_BYTES // size))
    parts = min(-(-count * size // _BYTES), max(1, count // 2))
    for first in range(parts):
        # every part runs through all of the data, which may be in order
        rows = torch.arange(first, count, parts)
        made = _outputs(vectors, trial, theta, data[0], rows, chunk_size)
        targets = _torch_data.placed(_torch_data.taken(data[1], rows), trial.device, trial.dtype)
        if tokens is None:
            _require_examples(loss, found, made, targets, tolerance)
            continue
        inside = tokens.of_sequences(rows.to(tokens.rows.device)).moved(trial.device)
        if len(inside):
            _require_tokens(loss, found, made, targets, inside, tolerance)


def _outputs(vectors, trial, theta, inputs, rows, size):
    """Outputs of some examples, by the model in its own precision."""
    theta, parts = theta.to(vectors.device, vectors.dtype), []
    for chunk in rows.split(size):
        own = _torch_data.placed(_torch_data.taken(inputs, chunk), vectors.device, vectors.dtype)
        try:
            made = vectors.outputs(theta, own)
        except IndexError as error:
            raise checks.InputError(
                f"the model raised IndexError for an input of the data: {error}; expected inputs "
                "as the model takes them, token numbers below num_embeddings for instance"
            ) from error
        parts.append(_torch_data.placed(made, trial.device, trial.dtype))
    return _trees.joined(parts, torch.cat)


def _require_examples(loss, found, outputs, targets, tolerance):
    whole, count = loss(outputs, targets), _trees.count("the targets", targets)
    if found.reduction == "none" and count > 1:
        # in two other batches
        each = whole.new_empty(count)
        for half in (slice(0, None, 2), slice(1, None, 2)):
            each[half] = found(*_torch_data.taken((outputs, targets), half))
    else:
        each = found(outputs, targets)
    _require_finite(each)
    if found.reduction == "none":
        value, expected = whole.reshape(-1), each
    else:
        total = {"mean": count, "sum": 1}.get(found.reduction) or found.total_weight(targets)
        if not total:  # every class of this part is ignored
            return
        value, expected = whole.reshape(()), each.sum() / total
    scale = float(each.abs().mean()) * (count if found.reduction == "sum" else 1)
    error = float((value - expected).abs().max()) if value.shape == expected.shape else math.inf
    if not error <= 10 * min(tolerance, _reductions.SINGLE) * max(scale, 1e-30):
        shown = ""
        if not value.ndim:
            shown = f" ({count} examples: {float(value):.6g}, not {float(expected):.6g})"
        raise _reductions.coupled(_reductions.EXPECTED, shown)


def _require_finite(each):
    if not bool(torch.isfinite(each).all()):
        row = int((~torch.isfinite(each)).nonzero()[0, 0])
        raise checks.InputError(
            f"the loss of an example alone is {float(each[row])} at the model's parameters; "
            "expected finite numbers"
        )


def _require_tokens(loss, found, outputs, targets, tokens, tolerance):
    labels = targets["labels"] if isinstance(targets, dict) else targets
    each = found.of_tokens(outputs, targets, tokens)
    _require_finite(each)
    if not labels.is_floating_point() and not _torch_losses.is_of_classes(loss):
        _require_counted(found, outputs, targets, tokens.taken(each == 0))
    whole = loss(outputs, targets)
    if not _torch_tokens.is_made_of(whole, found, outputs, targets, tokens, tolerance):
        raise _reductions.coupled(_torch_tokens.FORM)


def _require_counted(found, outputs, targets, silent):
    """Refuse tokens whose loss is zero whatever their outputs: the loss itself ignores them."""
    if not len(silent):
        return
    given = found.outputs(outputs, silent)
    own = silent.of_tree(targets)
    nothing = torch.ones(len(silent), dtype=torch.bool, device=given.device)
    # each class in the place of another one, so that a good fit is none
    for moved in (given, given.roll(1, dims=1 if found.axis == -1 else -1)):
        with torch.enable_grad():
            moved = moved.detach().requires_grad_()
            losses = found.losses(moved, own)
            slope = torch.zeros_like(moved)
            if losses.requires_grad:
                (slope,) = torch.autograd.grad(losses.sum(), moved, materialize_grads=True)
        nothing &= (losses.detach() == 0) & (slope.flatten(1) == 0).all(dim=1)
    if bool(nothing.any()):
        labels = own["labels"] if isinstance(own, dict) else own
        label = int(labels[nothing][0, 0])
        raise checks.InputError(
            f"example='token', and {int(nothing.sum())} tokens have the loss 0 whatever their "
            f"outputs, with the target {label} for instance: the loss ignores them, and they would "
            f"count; expected torch.nn.CrossEntropyLoss(ignore_index={label}), "
            f"functools.partial(loss, ignore_index={label}), or the target -100 for them"
        )
