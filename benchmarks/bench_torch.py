"""PyTorch problems beside the same quantities written directly in torch.func, and curvlinops.

    python benchmarks/bench_torch.py [--quick] [--json FILE]

The direct versions run with chunks of 100, 400 and all examples, and the best of these counts. All
versions of a quantity take turns in one process; a number is the median of the rounds.
"""

import argparse
import json
import os
import platform
import statistics
import time
import warnings
from functools import partial

import numpy as np
import torch
from torch.func import functional_call, grad, jvp, vjp, vmap

from aniso import datasets, frameworks, matrices

functional = torch.nn.functional
CHUNKS = (100, 400, 1200)
NUM_VECTORS = 16


def convolutional():
    nn = torch.nn
    return nn.Sequential(
        *(nn.Conv2d(1, 10, 5), nn.MaxPool2d(2), nn.ReLU()),
        *(nn.Conv2d(10, 10, 5), nn.MaxPool2d(2), nn.ReLU(), nn.Flatten()),
        *(nn.Linear(160, 50), nn.ReLU(), nn.Linear(50, 10)),
    )


def normalised():
    nn = torch.nn
    return nn.Sequential(
        *(nn.Flatten(), nn.Linear(784, 128), nn.GELU(), nn.LayerNorm(128)),
        *(nn.Linear(128, 64), nn.GELU(), nn.Linear(64, 10)),
    )


MODELS = {"convolutional, D = 11,330": convolutional, "layer normalisation": normalised}


class Direct:
    """The quantities in torch.func, as a user would write them."""

    def __init__(self, model, inputs, targets, chunk):
        self.model = model
        self.start = {name: value.detach() for name, value in model.named_parameters()}
        self.names, self.count = list(self.start), len(inputs)
        self.chunks = list(zip(inputs.split(chunk), targets.split(chunk), strict=True))
        generator = torch.Generator().manual_seed(0)
        self.vectors = {
            name: torch.randn(NUM_VECTORS, *value.shape, generator=generator, dtype=value.dtype)
            for name, value in self.start.items()
        }
        self.vector = {name: value[0] for name, value in self.vectors.items()}

    def losses(self, parameters, x, y):
        outputs = functional_call(self.model, parameters, (x,))
        return functional.cross_entropy(outputs, y, reduction="none")

    def part(self, parameters, x, y):
        return self.losses(parameters, x, y).sum() / self.count

    def total(self, function):
        parts = [function(x, y) for x, y in self.chunks]
        return {name: sum(part[name] for part in parts) for name in self.names}

    def gradient(self):
        return self.total(lambda x, y: grad(self.part)(self.start, x, y))

    def forward_product(self):
        return self.total(lambda x, y: self._forward(x, y, self.vector))

    def _forward(self, x, y, vector):
        slope = partial(grad(self.part), x=x, y=y)
        return jvp(slope, (self.start,), (vector,))[1]

    def backward_product(self):
        def product(x, y):
            point = {name: v.clone().requires_grad_() for name, v in self.start.items()}
            slopes = torch.autograd.grad(
                self.part(point, x, y), list(point.values()), create_graph=True
            )
            vector = list(self.vector.values())
            return dict(
                zip(point, torch.autograd.grad(slopes, list(point.values()), vector), strict=True)
            )

        return self.total(product)

    def block(self):
        return self.total(
            lambda x, y: vmap(lambda vector: self._forward(x, y, vector))(self.vectors)
        )

    def rows(self):
        def one(parameters, x, y):
            return self.losses(parameters, x[None], y[None])[0]

        parts = [vmap(grad(one), (None, 0, 0))(self.start, x, y) for x, y in self.chunks]
        return {name: torch.cat([part[name] for part in parts]) for name in self.names}

    def noise_product(self):
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
        return {name: sum(part[name] for part in parts) for name in self.names}


def versions(model, inputs, targets):
    """Functions of each quantity by version: ours, direct ones, curvlinops."""
    loss = torch.nn.CrossEntropyLoss()
    problem = frameworks.from_torch(model, loss, (inputs, targets))
    theta = problem.initial_theta
    vectors = np.random.default_rng(0).standard_normal((theta.size, NUM_VECTORS))
    vector = vectors[:, 0].copy()  # consecutive numbers, as the others have
    at = problem.at(theta)
    noise = matrices.gradient_covariance(problem.example_gradients(theta))
    made = {
        "gradient": {"aniso": lambda: problem.gradient(theta)},
        "Hessian product": {"aniso": lambda: at.hessian @ vector},
        "block of 16": {"aniso": lambda: at.hessian @ vectors},
        "per-example gradients": {"aniso": lambda: problem.per_example_gradients(theta)},
        "covariance product": {"aniso": lambda: noise @ vector},
    }
    for chunk in CHUNKS:
        direct = Direct(model, inputs, targets, chunk)
        for name, function in (
            ("gradient", direct.gradient),
            ("Hessian product", direct.forward_product),
            ("Hessian product", direct.backward_product),
            ("per-example gradients", direct.rows),
            ("covariance product", direct.noise_product),
        ):
            made[name][f"{function.__name__}, chunk {chunk}"] = function
        if chunk < CHUNKS[-1]:
            made["block of 16"][f"vmap, chunk {chunk}"] = direct.block
    try:
        from curvlinops import HessianLinearOperator
    except ImportError:
        print("skipped: curvlinops is not installed")
        return made
    chunks = list(zip(inputs.split(400), targets.split(400), strict=True))
    parameters = list(model.parameters())
    operator = HessianLinearOperator(model, loss, parameters, chunks, check_deterministic=False)
    columns = torch.as_tensor(vectors, dtype=inputs.dtype)
    column = columns[:, 0].clone()
    made["Hessian product"]["curvlinops"] = lambda: operator @ column
    made["block of 16"]["curvlinops"] = lambda: operator @ columns
    return made


def measured(functions, rounds):
    """Median seconds of each version, measured in turns."""
    seconds = {name: [] for name in functions}
    for function in functions.values():
        function()
    for _ in range(rounds):
        for name, function in functions.items():
            begin = time.perf_counter()
            function()
            seconds[name].append(time.perf_counter() - begin)
    return {name: statistics.median(values) for name, values in seconds.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="400 examples")
    parser.add_argument("--json", metavar="FILE")
    settings = parser.parse_args()
    count, rounds = (400, 3) if settings.quick else (1200, 3)
    torch.set_num_threads(2)
    images = datasets.fashion_mnist()
    results = []
    for dtype in (torch.float64, torch.float32):
        inputs = torch.as_tensor(images.train_images[:count, None] / 255.0, dtype=dtype)
        targets = torch.as_tensor(images.train_labels[:count].astype(np.int64))
        for model_name, make in MODELS.items():
            torch.manual_seed(0)
            for name, functions in versions(make().to(dtype), inputs, targets).items():
                found = measured(functions, rounds)
                ours = found.pop("aniso")
                best = min(found, key=found.get)
                row = {
                    "model": model_name,
                    "dtype": str(dtype).removeprefix("torch."),
                    "quantity": name,
                    "aniso": ours,
                    "best": best,
                    "seconds": found,
                    "ratio": ours / found[best],
                }
                results.append(row)
                print(
                    f"{model_name:26} {row['dtype']:8} {name:22} {1e3 * ours:8.1f} ms, best other "
                    f"{1e3 * found[best]:8.1f} ms ({best}), ratio {row['ratio']:.2f}",
                    flush=True,
                )
    if settings.json:
        document = {
            "processor": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
            "torch": torch.__version__,
            "load": os.getloadavg()[0],
            "rows": results,
        }
        with open(settings.json, "w", encoding="utf-8") as stream:
            json.dump(document, stream, indent=1)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
