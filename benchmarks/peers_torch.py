"""PyTorch peers: eager, torch.func with vmap, the tiled network, curvlinops and BackPACK."""

import curvature_problems as common
import numpy as np
import torch
import torch.nn.functional as F
from torch.func import grad, jvp, vmap


def outputs(model, theta, inputs):
    """Outputs (n, C) as a user of PyTorch writes them."""
    arrays = common.unpacked(model, theta)
    if model == "fashion":
        w1, b1, w2, b2, w3, b3, w4, b4 = arrays
        hidden = F.relu(F.max_pool2d(F.conv2d(inputs, w1, b1), 2))
        hidden = F.relu(F.max_pool2d(F.conv2d(hidden, w2, b2), 2))
        return F.linear(F.relu(F.linear(hidden.flatten(1), w3, b3)), w4, b4)
    if model == "hidden512":
        hidden = F.relu(F.linear(inputs, *arrays))
        half = hidden.shape[-1] // 2
        return hidden[..., :half].sum(-1) - hidden[..., half:].sum(-1)
    hidden = inputs
    for number in range(0, len(arrays), 2):
        hidden = F.linear(hidden, arrays[number], arrays[number + 1])
        if number + 2 < len(arrays):
            hidden = F.relu(hidden)
    return hidden


def mean_loss(model, theta, inputs, targets):
    """The mean loss."""
    values = outputs(model, theta, inputs)
    if model == "hidden512":
        return ((values.clamp(1e-3, 1 - 1e-3) - targets) ** 2).mean()
    return F.cross_entropy(values, targets)


def _tensors(problem):
    theta, inputs = (torch.tensor(a) for a in (problem.theta, problem.inputs))
    targets = torch.tensor(problem.targets)
    return theta, inputs, targets, torch.tensor(problem.vectors)


def _gradient_of(loss, theta):
    def run():
        own = theta.clone().requires_grad_(True)
        return torch.autograd.grad(loss(own), own)[0]

    return run


def _products(loss, theta, vectors):
    def moving():
        own = theta.clone().requires_grad_(True)
        slope = torch.autograd.grad(loss(own), own, create_graph=True)[0]
        return torch.autograd.grad(slope, own, vectors[:, 0])[0]

    state = {}

    def cached():
        if not state:
            state["theta"] = theta.clone().requires_grad_(True)
            state["slope"] = torch.autograd.grad(
                loss(state["theta"]), state["theta"], create_graph=True
            )[0]
        return torch.autograd.grad(
            state["slope"], state["theta"], vectors[:, 0], retain_graph=True
        )[0]

    return {"hessian_product_moving": moving, "hessian_product_fixed": cached}


def eager(problem):
    """Eager mode: backward, double backward."""
    theta, inputs, targets, vectors = _tensors(problem)

    def loss(own):
        return mean_loss(problem.model, own, inputs, targets)

    return {"gradient": _gradient_of(loss, theta), **_products(loss, theta, vectors)}


def functional(problem):
    """torch.func: vmap over examples in chunks of 100, vmap over four tangents."""
    theta, inputs, targets, vectors = _tensors(problem)

    def single(own, x, y):
        return mean_loss(problem.model, own, x[None], y[None])

    rows = vmap(grad(single), (None, 0, 0), chunk_size=100)

    def loss(own):
        return mean_loss(problem.model, own, inputs, targets)

    def block():
        return vmap(lambda v: jvp(grad(loss), (theta,), (v,))[1], in_dims=1, out_dims=1)(
            vectors[:, :4]
        )

    return {
        "per_example_gradients": lambda: rows(theta, inputs, targets),
        "hessian_product_block4": block,
    }


def tiled(problem):
    """The tiled network: faster than what users write."""
    if problem.model != "fashion":
        return {}
    theta, _, targets, vectors = _tensors(problem)
    columns = torch.tensor(common.tile_columns(problem.inputs))
    tiling = torch.tensor(common.tiling().astype(problem.inputs.dtype))
    count = len(targets)

    def loss(own):
        w1, b1, w2, b2, w3, b3, w4, b4 = common.unpacked("fashion", own)
        first = (w1.reshape(10, 25) @ tiling).reshape(40, 36)
        cells = torch.amax((first @ columns).reshape(10, 4, 144 * count), 1) + b1[:, None]
        hidden = F.relu(cells).reshape(10, 12, 12, count)
        stacked = torch.stack(
            [hidden[:, a : a + 7 : 2, b : b + 7 : 2] for a in range(6) for b in range(6)], 1
        ).reshape(360, 16 * count)
        second = (w2.reshape(100, 25) @ tiling).reshape(10, 10, 4, 36)
        second = second.permute(0, 2, 1, 3).reshape(40, 360)
        cells = torch.amax((second @ stacked).reshape(10, 4, 16 * count), 1) + b2[:, None]
        hidden = F.relu(cells).reshape(160, count)
        hidden = F.relu(w3 @ hidden + b3[:, None])
        return F.cross_entropy((w4 @ hidden + b4[:, None]).T, targets)

    return {"gradient": _gradient_of(loss, theta), **_products(loss, theta, vectors)}


def backpack(problem):
    """BackPACK's BatchGrad."""
    if problem.model == "hidden512":
        return {}
    from backpack import backpack as context
    from backpack import extend
    from backpack.extensions import BatchGrad

    model, loss, inputs, targets = _module(problem)
    model, loss = extend(model), extend(loss)

    def run():
        model.zero_grad()
        with context(BatchGrad()):
            loss(model(inputs), targets).backward()
        return [p.grad_batch for p in model.parameters()]

    return {"per_example_gradients": run}


def curvlinops(problem):
    """curvlinops' Hessian operator, one vector and blocks of four."""
    if problem.model == "hidden512":
        return {}
    from curvlinops import HessianLinearOperator

    model, loss, inputs, targets = _module(problem)
    parameters = list(model.parameters())
    operator = HessianLinearOperator(
        model, loss, parameters, [(inputs, targets)], check_deterministic=False
    )
    vectors = torch.tensor(problem.vectors)
    return {
        "hessian_product_moving": lambda: operator @ vectors[:, 0],
        "hessian_product_block4": lambda: operator @ vectors[:, :4],
    }


def _module(problem):
    nn = torch.nn
    if problem.model == "fashion":
        layers = [nn.Conv2d(1, 10, 5), nn.MaxPool2d(2), nn.ReLU(), nn.Conv2d(10, 10, 5)]
        layers += [nn.MaxPool2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(160, 50), nn.ReLU()]
        layers += [nn.Linear(50, 10)]
    else:
        layers = [nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10)]
    theta, inputs, targets, _ = _tensors(problem)
    model = nn.Sequential(*layers).to(inputs.dtype)
    with torch.no_grad():
        arrays = common.unpacked(problem.model, theta)
        for parameter, value in zip(model.parameters(), arrays, strict=True):
            parameter.copy_(value)
    return model, nn.CrossEntropyLoss(), inputs, targets


def as_array(result):
    """A result as a NumPy array, for the comparison of implementations."""
    if isinstance(result, list):
        rows = [part.reshape(len(part), -1) for part in result]
        return torch.cat(rows, 1).numpy() * len(rows[0])
    return np.asarray(result.detach())
