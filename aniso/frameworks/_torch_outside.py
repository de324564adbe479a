"""Parameters that a loss or a model uses beside those of the copied model."""

import torch

from aniso import checks

_MESSAGE = (
    "the loss or forward uses parameters outside the model, as a penalty on those of the original "
    "does: their derivatives would be missing; expected .detach() of what is fixed, and a penalty "
    "as an output: forward=lambda model, x: (model(x), penalty(model).expand(len(x)))"
)


def refuse_in_module(loss, vectors):
    """Refuse a loss module that holds parameters of the given model, since it is copied."""
    if isinstance(loss, torch.nn.Module) and vectors.has_one_of(loss.parameters()):
        raise checks.InputError(_MESSAGE)


def refuse_behind(values):
    """Refuse values at a theta without gradient that depend on parameters all the same.

    Tensors that are no parameters may require gradients: a forward may differentiate in its inputs.
    """
    if values.requires_grad and any(
        isinstance(leaf, torch.nn.Parameter) for leaf in _leaves(values)
    ):
        raise checks.InputError(_MESSAGE)


def _leaves(tensor):
    """Yield the tensors at the end of the graph of a tensor."""
    seen, waiting = set(), [tensor.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            yield node.variable
        waiting.extend(following for following, _ in node.next_functions)
