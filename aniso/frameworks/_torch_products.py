"""Derivatives of the losses of one batch in PyTorch, each in more than one way.

No way differentiates a vmapped gradient: PyTorch returns wrong second derivatives there for layer
normalisation.
"""

import torch
from torch.func import grad, jvp, vmap


def gradient(losses, theta, weights):
    """``sum_i w_i g_i``, shape (D,), and the losses, shape (n,)."""
    point = theta.detach().clone().requires_grad_()
    values = losses(point)
    (result,) = _pulled_back(values @ weights, point)
    return result, values.detach()


def combine(losses, theta, weights):
    """``W G`` for weights (K, n), shape (K, D), one pass back for each row."""
    point = theta.detach().clone().requires_grad_()
    values = losses(point)
    last = len(weights) - 1
    rows = [
        _pulled_back(values @ row, point, retain_graph=number < last)[0]
        for number, row in enumerate(weights)
    ]
    return torch.stack(rows)


def project_forward(losses, theta, columns):
    """``G V`` for columns (D, K), shape (n, K), by forward mode."""
    parts = [jvp(losses, (theta,), (column,))[1] for column in columns.T]
    return torch.stack(parts, dim=1)


def project_twice_backward(losses, theta, columns):
    """``G V`` for columns (D, K), shape (n, K): the gradient in u of ``v . (G^T u)``."""
    point = theta.detach().clone().requires_grad_()
    values = losses(point)
    dual = torch.zeros_like(values, requires_grad=True)
    (mixed,) = torch.autograd.grad(values, point, dual, create_graph=True)
    parts = [torch.autograd.grad(mixed, dual, column, retain_graph=True)[0] for column in columns.T]
    return torch.stack(parts, dim=1)


def hessian_forward(losses, theta, columns, weight):
    """``weight * sum_i H_i V`` for columns (D, K), by forward mode over the gradient."""
    slope = grad(lambda point: weight * losses(point).sum())
    return torch.stack([jvp(slope, (theta,), (column,))[1] for column in columns.T], dim=1)


def hessian_block(losses, theta, columns, weight):
    """The same with all columns at once."""
    slope = grad(lambda point: weight * losses(point).sum())
    return vmap(lambda column: jvp(slope, (theta,), (column,))[1], 1, 1)(columns)


def hessian_twice_backward(losses, theta, columns, weight):
    """The same by a second pass back; the gradient is computed once for all columns."""
    point = theta.detach().clone().requires_grad_()
    (slope,) = torch.autograd.grad(weight * losses(point).sum(), point, create_graph=True)
    if not slope.requires_grad:  # piecewise linear in theta
        return torch.zeros_like(columns)
    parts = []
    for column in columns.T:
        part = _pulled_back(slope @ column, point, retain_graph=True)[0]
        parts.append(torch.zeros_like(theta) if part is None else part)
    return torch.stack(parts, dim=1)


HESSIAN_PRODUCTS = {
    "backward": hessian_twice_backward,
    "forward": hessian_forward,
    "block": hessian_block,
}
"""Ways to multiply with the Hessian, the usually fastest first."""

PROJECTIONS = {"forward": project_forward, "backward": project_twice_backward}
"""Ways to multiply with the per-example gradients; "forward" costs less."""


def rows_together(loss_of_one, theta, batch):
    """Gradients of the examples of a batch, shape (n, D), with all examples at once.

    Parameters
    ----------
    loss_of_one : callable
        ``(theta, example) -> ()``, the loss of one example without the axis of examples.
    theta : tensor, shape (D,)
    batch : nested tensors
        Examples along the first axes.

    Returns
    -------
    tensor, shape (n, D)
    """
    return vmap(grad(loss_of_one), (None, 0))(theta, batch)


def rows_one_by_one(losses, theta):
    """The same by one pass back for each example."""
    point = theta.detach().clone().requires_grad_()
    values = losses(point)
    return torch.stack(
        [_pulled_back(value, point, retain_graph=True)[0] for value in values.unbind()]
    )


def _pulled_back(value, point, *, retain_graph=False):
    return torch.autograd.grad(value, point, retain_graph=retain_graph, materialize_grads=True)
