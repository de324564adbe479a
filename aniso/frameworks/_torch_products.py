"""Derivatives of the losses of one batch in PyTorch, each in more than one way.

A vector of parameters is differentiated as its parts, one for each parameter of the model. No way
differentiates a vmapped gradient: PyTorch returns wrong second derivatives there for layer
normalisation.

All functions take the layout of theta, a :class:`VectorModel`, and ``losses``, a function of the
parts that returns the losses of the examples, shape (n,).
"""

import torch
from torch.func import grad, jvp, vmap


def gradient(layout, losses, theta, weights):
    """``sum_i w_i g_i``, shape (D,), and the losses, shape (n,)."""
    leaves = _leaves(layout, theta)
    values = losses(leaves)
    return layout.joined(_pulled_back(values, leaves, weights)), values.detach()


def combine(layout, losses, theta, weights):
    """``W G`` for weights (K, n), shape (K, D), one pass back for each row."""
    leaves = _leaves(layout, theta)
    values = losses(leaves)
    rows = [
        layout.joined(_pulled_back(values, leaves, row, retain_graph=number < len(weights) - 1))
        for number, row in enumerate(weights)
    ]
    return torch.stack(rows)


def combine_block(layout, losses, theta, weights):
    """The same with all rows in one pass back."""
    leaves = _leaves(layout, theta)
    return layout.joined(_pulled_back(losses(leaves), leaves, weights, is_grads_batched=True))


def project_forward(layout, losses, theta, columns):
    """``G V`` for columns (D, K), shape (n, K), by forward mode."""
    parts = layout.parts(theta)
    made = [jvp(losses, (parts,), (layout.parts(row),))[1] for row in columns.T.contiguous()]
    return torch.stack(made, dim=1)


def project_block(layout, losses, theta, columns):
    """The same with all columns at once."""
    parts = layout.parts(theta)
    along = vmap(lambda direction: jvp(losses, (parts,), (direction,))[1], out_dims=1)
    return along(layout.parts(columns.T.contiguous()))


def project_twice_backward(layout, losses, theta, columns):
    """``G V`` for columns (D, K), shape (n, K): the gradient in u of ``v . (G^T u)``."""
    leaves = _leaves(layout, theta)
    values = losses(leaves)
    dual = torch.zeros_like(values, requires_grad=True)
    mixed = _pulled_back(values, leaves, dual, create_graph=True)
    made = [
        _second(mixed, (dual,), layout.parts(row), retain_graph=number < columns.shape[1] - 1)[0]
        for number, row in enumerate(columns.T.contiguous())
    ]
    return torch.stack(made, dim=1)


def hessian_forward(layout, losses, theta, columns, weight):
    """``weight * sum_i H_i V`` for columns (D, K), by forward mode over the gradient."""
    parts, slope = layout.parts(theta), grad(lambda parts: weight * losses(parts).sum())
    made = [
        layout.joined(jvp(slope, (parts,), (layout.parts(row),))[1])
        for row in columns.T.contiguous()
    ]
    return torch.stack(made, dim=1)


def hessian_block(layout, losses, theta, columns, weight):
    """The same with all columns at once."""
    parts, slope = layout.parts(theta), grad(lambda parts: weight * losses(parts).sum())
    along = vmap(lambda direction: jvp(slope, (parts,), (direction,))[1])
    return layout.joined(along(layout.parts(columns.T.contiguous()))).T


def hessian_twice_backward(layout, losses, theta, columns, weight):
    """The same by a second pass back; the gradient is computed once for all columns."""
    leaves = _leaves(layout, theta)
    slopes = _pulled_back(weight * losses(leaves).sum(), leaves, create_graph=True)
    made = [
        layout.joined(
            _second(slopes, leaves, layout.parts(row), retain_graph=number < columns.shape[1] - 1)
        )
        for number, row in enumerate(columns.T.contiguous())
    ]
    return torch.stack(made, dim=1)


def hessian_backward_block(layout, losses, theta, columns, weight):
    """The same with all columns in one second pass back."""
    leaves = _leaves(layout, theta)
    slopes = _pulled_back(weight * losses(leaves).sum(), leaves, create_graph=True)
    rows = layout.parts(columns.T.contiguous())
    return layout.joined(_second(slopes, leaves, rows, is_grads_batched=True)).T


HESSIAN_PRODUCTS = {
    "backward": hessian_twice_backward,
    "forward": hessian_forward,
    "block": hessian_block,
    "backward block": hessian_backward_block,
}
"""Ways to multiply with the Hessian, the usually fastest first."""

PROJECTIONS = {
    "forward": project_forward,
    "backward": project_twice_backward,
    "block": project_block,
}
"""Ways to multiply with the per-example gradients, the usually fastest first."""

COMBINATIONS = {"backward": combine, "block": combine_block}
"""Ways to sum the per-example gradients with weights."""

BLOCKS = ("block", "backward block")
"""Ways that take all vectors at once."""


def rows_together(layout, loss_of_one, theta, batch):
    """Gradients of the examples of a batch, with all examples at once.

    Parameters
    ----------
    layout : VectorModel
    loss_of_one : callable
        ``(parts, example) -> ()``, the loss of one example without the axis of examples.
    theta : tensor, shape (D,)
    batch : nested tensors
        Examples along the first axes.

    Returns
    -------
    tuple of tensors, shapes (n, ...)
        The parts of the gradients.
    """
    return vmap(grad(loss_of_one), (None, 0))(layout.parts(theta), batch)


def rows_one_by_one(layout, losses, theta):
    """The same by one pass back for each example."""
    leaves = _leaves(layout, theta)
    values = losses(leaves).unbind()
    rows = [_pulled_back(value, leaves, retain_graph=True) for value in values]
    return tuple(map(torch.stack, zip(*rows, strict=True)))


def _leaves(layout, theta):
    return tuple(part.requires_grad_() for part in layout.parts(theta.detach().clone()))


def _pulled_back(value, leaves, weights=None, **settings):
    return torch.autograd.grad(value, leaves, weights, materialize_grads=True, **settings)


def _second(slopes, leaves, directions, *, is_grads_batched=False, retain_graph=None):
    """Pull directions back through first derivatives; zero where these are constant."""
    pairs = [pair for pair in zip(slopes, directions, strict=True) if pair[0].requires_grad]
    if not pairs:  # piecewise linear
        lead = directions[0].shape[:1] if is_grads_batched else ()
        return tuple(leaf.new_zeros((*lead, *leaf.shape)) for leaf in leaves)
    first, second = zip(*pairs, strict=True)
    return torch.autograd.grad(
        first,
        leaves,
        second,
        retain_graph=retain_graph,
        is_grads_batched=is_grads_batched,
        materialize_grads=True,
    )
