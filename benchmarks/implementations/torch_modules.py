"""Modules of PyTorch: the same quantities by `from_torch`, in torch.func, and by curvlinops."""

from functools import partial

import numpy as np
import torch
from torch import nn
from torch.func import functional_call, grad, jvp, vjp, vmap

functional = nn.functional
NUM_VECTORS = 16


def convolutional():
    """Return the network of Figure 3, a sequence that aniso's engine knows."""
    return nn.Sequential(
        *(nn.Conv2d(1, 10, 5), nn.MaxPool2d(2), nn.ReLU()),
        *(nn.Conv2d(10, 10, 5), nn.MaxPool2d(2), nn.ReLU(), nn.Flatten()),
        *(nn.Linear(160, 50), nn.ReLU(), nn.Linear(50, 10)),
    )


def normalised():
    """Return a perceptron that stays in PyTorch."""
    return nn.Sequential(
        *(nn.Flatten(), nn.Linear(784, 128), nn.GELU(), nn.LayerNorm(128)),
        *(nn.Linear(128, 64), nn.GELU(), nn.Linear(64, 10)),
    )


MODELS = {"convolutional": convolutional, "normalised": normalised}


def module_and_data(model, num_examples, dtype):
    """Return module, inputs and targets, the same in every process."""
    torch.manual_seed(0)
    module = MODELS[model]().to(getattr(torch, dtype))
    rng = np.random.default_rng(0)
    inputs = torch.tensor(rng.random((num_examples, 1, 28, 28)).astype(dtype))
    return module, inputs, torch.tensor(rng.integers(0, 10, num_examples))


def vectors_of(module):
    """Return the vectors of products, (D, 16), in double precision."""
    size = sum(parameter.numel() for parameter in module.parameters())
    return np.random.default_rng(0).standard_normal((size, NUM_VECTORS))


def by_aniso(model, num_examples, dtype):
    """The quantities of the problem that `from_torch` makes."""
    from aniso import frameworks, matrices

    module, inputs, targets = module_and_data(model, num_examples, dtype)
    vectors = vectors_of(module)
    vector = vectors[:, 0].copy()  # consecutive numbers, as the others have
    problem = frameworks.from_torch(module, nn.CrossEntropyLoss(), (inputs, targets))
    theta = problem.initial_theta
    at = problem.at(theta)
    noise = matrices.gradient_covariance(problem.example_gradients(theta))
    return {
        "gradient": lambda: problem.gradient(theta),
        "hessian_product": lambda: at.hessian @ vector,
        "hessian_product_block16": lambda: at.hessian @ vectors,
        "per_example_gradients": lambda: problem.per_example_gradients(theta),
        "covariance_product": lambda: noise @ vector,
    }


def direct(model, num_examples, dtype, chunk):
    """The quantities in torch.func with chunks of examples, as a user would write them."""
    made = _Direct(*module_and_data(model, num_examples, dtype), chunk or num_examples)
    return {
        "gradient": made.gradient,
        "hessian_product": made.hessian_product,
        "hessian_product_block16": made.block,
        "per_example_gradients": made.rows,
        "covariance_product": made.covariance_product,
    }


def eager(model, num_examples, dtype):
    """Backward, and backward of backward, all examples at once."""
    module, inputs, targets = module_and_data(model, num_examples, dtype)
    parameters = list(module.parameters())
    vectors = torch.tensor(vectors_of(module)[:, 0].astype(dtype))
    vector = _split(vectors, parameters)

    def gradient(create_graph=False):
        loss = functional.cross_entropy(module(inputs), targets)
        return torch.autograd.grad(loss, parameters, create_graph=create_graph)

    return {
        "gradient": lambda: _joined(gradient()),
        "hessian_product": lambda: _joined(
            torch.autograd.grad(gradient(create_graph=True), parameters, vector)
        ),
    }


def curvlinops(model, num_examples, dtype):
    """The Hessian as an operator, by chunks of 400 examples."""
    from curvlinops import HessianLinearOperator

    module, inputs, targets = module_and_data(model, num_examples, dtype)
    chunks = list(zip(inputs.split(400), targets.split(400), strict=True))
    operator = HessianLinearOperator(
        module, nn.CrossEntropyLoss(), list(module.parameters()), chunks,
        check_deterministic=False,
    )  # fmt: skip
    columns = torch.as_tensor(vectors_of(module).astype(dtype))
    column = columns[:, 0].clone()
    return {
        "hessian_product": lambda: operator @ column,
        "hessian_product_block16": lambda: operator @ columns,
    }


class _Direct:
    """Sums over chunks of what torch.func makes of one."""

    def __init__(self, module, inputs, targets, chunk):
        self.module, self.count = module, len(inputs)
        self.start = {name: value.detach() for name, value in module.named_parameters()}
        self.chunks = list(zip(inputs.split(chunk), targets.split(chunk), strict=True))
        columns = torch.tensor(vectors_of(module)).to(inputs.dtype)
        parts = [_split(column, self.start.values()) for column in columns.T]
        self.vectors = {
            name: torch.stack([part[number] for part in parts])
            for number, name in enumerate(self.start)
        }
        self.vector = {name: value[0] for name, value in self.vectors.items()}

    def losses(self, parameters, x, y):
        outputs = functional_call(self.module, parameters, (x,))
        return functional.cross_entropy(outputs, y, reduction="none")

    def part(self, parameters, x, y):
        return self.losses(parameters, x, y).sum() / self.count

    def total(self, function):
        parts = [function(x, y) for x, y in self.chunks]
        return {name: sum(part[name] for part in parts) for name in self.start}

    def gradient(self):
        return _joined(self.total(lambda x, y: grad(self.part)(self.start, x, y)).values())

    def _along(self, x, y, vector):
        slope = partial(grad(self.part), x=x, y=y)
        return jvp(slope, (self.start,), (vector,))[1]

    def hessian_product(self):
        return _joined(self.total(lambda x, y: self._along(x, y, self.vector)).values())

    def block(self):
        found = self.total(lambda x, y: vmap(lambda v: self._along(x, y, v))(self.vectors))
        return torch.cat([part.flatten(1) for part in found.values()], 1).T

    def rows(self):
        def one(parameters, x, y):
            return self.losses(parameters, x[None], y[None])[0]

        parts = [vmap(grad(one), (None, 0, 0))(self.start, x, y) for x, y in self.chunks]
        return [torch.cat([part[name].flatten(1) for part in parts]) for name in self.start]

    def covariance_product(self):
        """Products of the examples' gradients with a vector, and their weighted sum."""
        inner = [
            jvp(partial(self.losses, x=x, y=y), (self.start,), (self.vector,))[1]
            for x, y in self.chunks
        ]
        mean = torch.cat(inner).mean()

        def back(x, y, weights):
            return vjp(partial(self.losses, x=x, y=y), self.start)[1](weights)[0]

        parts = [
            back(x, y, (part - mean) / self.count)
            for (x, y), part in zip(self.chunks, inner, strict=True)
        ]
        return _joined(sum(part[name] for part in parts) for name in self.start)


def _split(flat, parameters):
    parts, start = [], 0
    for parameter in parameters:
        parts.append(flat[start : start + parameter.numel()].reshape(parameter.shape))
        start += parameter.numel()
    return parts


def _joined(parts):
    return torch.cat([part.reshape(-1) for part in parts])


def as_array(result):
    """Return a result as a NumPy array, by which implementations are compared."""
    if isinstance(result, list):
        result = torch.cat(result, 1)
    return np.asarray(result.detach()) if isinstance(result, torch.Tensor) else np.asarray(result)
