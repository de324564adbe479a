"""PyTorch: eager, torch.func with vmap, with aniso's tiling, curvlinops and BackPACK."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.func import grad, jvp, vmap

from benchmarks.implementations import network_problems


def outputs(model, theta, inputs):
    """Return the outputs (n, C) as a user of PyTorch writes them, or (n,) of one hidden layer."""
    arrays = network_problems.unpacked(model, theta)
    if model == "convolutional":
        w1, b1, w2, b2, w3, b3, w4, b4 = arrays
        hidden = F.relu(F.max_pool2d(F.conv2d(inputs, w1, b1), 2))
        hidden = F.relu(F.max_pool2d(F.conv2d(hidden, w2, b2), 2))
        return F.linear(F.relu(F.linear(hidden.flatten(1), w3, b3)), w4, b4)
    if model.startswith("2-"):
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
    """Return the mean loss."""
    values = outputs(model, theta, inputs)
    if model.startswith("2-"):
        return ((values.clamp(1e-3, 1 - 1e-3) - targets) ** 2).mean()
    return F.cross_entropy(values, targets)


def tensors(problem):
    """Return theta, inputs, targets and vectors as tensors."""
    parts = (problem.theta, problem.inputs, problem.targets, problem.vectors)
    return tuple(torch.tensor(part) for part in parts)


def _gradient_of(loss, theta):
    def run():
        own = theta.clone().requires_grad_(True)
        return torch.autograd.grad(loss(own), own)[0]

    return run


def _products(loss, theta, vectors):
    vector = vectors[:, 0].contiguous()

    def moving():
        own = theta.clone().requires_grad_(True)
        slope = torch.autograd.grad(loss(own), own, create_graph=True)[0]
        return torch.autograd.grad(slope, own, vector)[0]

    state = {}

    def cached():
        if not state:
            state["theta"] = theta.clone().requires_grad_(True)
            state["slope"] = torch.autograd.grad(
                loss(state["theta"]), state["theta"], create_graph=True
            )[0]
        return torch.autograd.grad(state["slope"], state["theta"], vector, retain_graph=True)[0]

    return {"hessian_product_moving": moving, "hessian_product_fixed": cached}


def eager(model, num_examples, dtype):
    """Eager mode: backward, double backward."""
    theta, inputs, targets, vectors = tensors(network_problems.problem(model, num_examples, dtype))

    def loss(own):
        return mean_loss(model, own, inputs, targets)

    found = {"gradient": _gradient_of(loss, theta), **_products(loss, theta, vectors)}
    if model == "convolutional":
        x, y = inputs[:100], targets[:100]
        found["gradient_100"] = _gradient_of(lambda own: mean_loss(model, own, x, y), theta)
    return found


def functional(model, num_examples, dtype):
    """torch.func: vmap over examples in chunks of 100, vmap over tangents."""
    theta, inputs, targets, vectors = tensors(network_problems.problem(model, num_examples, dtype))
    vector = vectors[:, 0].contiguous()

    def single(own, x, y):
        return mean_loss(model, own, x[None], y[None])

    def loss(own):
        return mean_loss(model, own, inputs, targets)

    def along(v):
        return jvp(grad(loss), (theta,), (v,))[1]

    rows = vmap(grad(single), (None, 0, 0), chunk_size=100)
    together = 4 if model == "convolutional" else 8
    block = vmap(along, in_dims=1, out_dims=1, chunk_size=together)
    return {
        "per_example_gradients": lambda: rows(theta, inputs, targets),
        "hessian_product_moving": lambda: along(vector),
        "hessian_product_block8": lambda: block(vectors[:, :8]),
    }


def tiled(model, num_examples, dtype):
    """The convolutional network with aniso's tiling: faster than what users write."""
    if model != "convolutional":
        return {}
    problem = network_problems.problem(model, num_examples, dtype)
    theta, _, targets, vectors = tensors(problem)
    tiling = torch.tensor(network_problems.tiling().astype(dtype))

    def loss(own, columns, targets):
        count = len(targets)
        w1, b1, w2, b2, w3, b3, w4, b4 = network_problems.unpacked(model, own)
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

    columns = torch.tensor(network_problems.tile_columns(problem.inputs))
    few = torch.tensor(network_problems.tile_columns(problem.inputs[:100]))
    return {
        "gradient": _gradient_of(lambda own: loss(own, columns, targets), theta),
        "gradient_100": _gradient_of(lambda own: loss(own, few, targets[:100]), theta),
        **_products(lambda own: loss(own, columns, targets), theta, vectors),
    }


def backpack(model, num_examples, dtype):
    """BackPACK's BatchGrad."""
    from backpack import backpack as context
    from backpack import extend
    from backpack.extensions import BatchGrad

    problem = network_problems.problem(model, num_examples, dtype)
    if problem.is_small:
        return {}
    module, loss, inputs, targets = module_of(problem)
    module, loss = extend(module), extend(loss)

    def run():
        module.zero_grad()
        with context(BatchGrad()):
            loss(module(inputs), targets).backward()
        return [p.grad_batch for p in module.parameters()]

    return {"per_example_gradients": run}


def curvlinops(model, num_examples, dtype):
    """curvlinops' Hessian operator, one vector and blocks of eight."""
    from curvlinops import HessianLinearOperator

    problem = network_problems.problem(model, num_examples, dtype)
    if problem.is_small:
        return {}
    module, loss, inputs, targets = module_of(problem)
    parameters = list(module.parameters())
    operator = HessianLinearOperator(
        module, loss, parameters, [(inputs, targets)], check_deterministic=False
    )
    vectors = torch.tensor(problem.vectors)
    vector = vectors[:, 0].contiguous()
    return {
        "hessian_product_moving": lambda: operator @ vector,
        "hessian_product_block8": lambda: operator @ vectors[:, :8],
    }


def module_of(problem):
    """Return module, loss, inputs and targets of a network."""
    if problem.model == "convolutional":
        layers = [nn.Conv2d(1, 10, 5), nn.MaxPool2d(2), nn.ReLU(), nn.Conv2d(10, 10, 5)]
        layers += [nn.MaxPool2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(160, 50), nn.ReLU()]
        layers += [nn.Linear(50, 10)]
    else:
        layers = [nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10)]
    theta, inputs, targets, _ = tensors(problem)
    module = nn.Sequential(*layers).to(inputs.dtype)
    with torch.no_grad():
        arrays = network_problems.unpacked(problem.model, theta)
        for parameter, value in zip(module.parameters(), arrays, strict=True):
            parameter.copy_(value)
    return module, nn.CrossEntropyLoss(), inputs, targets


def as_array(result):
    """Return a result as a NumPy array, by which implementations are compared."""
    if isinstance(result, list):
        rows = [part.reshape(len(part), -1) for part in result]
        return torch.cat(rows, 1).numpy() * len(rows[0])
    return np.asarray(result.detach())
