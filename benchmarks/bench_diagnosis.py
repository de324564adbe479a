"""Seconds, memory and Hessian products of a standard diagnosis, quantity by quantity.

    python benchmarks/bench_diagnosis.py [--quick] [--only NAME] [--images FILE] [--json FILE]

The cases are the convolutional network of FashionMNIST images (D = 11,330, N = 1,200) as a PyTorch
problem and on the engine of `aniso.networks`, and a residual network with group normalisation
(D = 308,378, N = 2,000) in single precision. Its images are those of an npz file with ``x_train``
(N, 32, 32, 3) and ``y_train``, or drawn blobs of ten classes. Each case runs in a process of its
own, after 150 steps of Adam. The plan that is shown beside the times is made before.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
import warnings

import numpy as np
import torch

from aniso import datasets, diagnostics, frameworks

nn = torch.nn
BUDGET = 2 * 2**30
"""Bytes for the gradients of the examples."""
SETTINGS = {"batch_size": 100, "replacement": False, "learning_rate": 0.05}


def convolutional():
    """The network of FashionMNIST images."""
    return nn.Sequential(
        *(nn.Conv2d(1, 10, 5), nn.MaxPool2d(2), nn.ReLU()),
        *(nn.Conv2d(10, 10, 5), nn.MaxPool2d(2), nn.ReLU(), nn.Flatten()),
        *(nn.Linear(160, 50), nn.ReLU(), nn.Linear(50, 10)),
    )


class ResidualBlock(nn.Module):
    """Two convolutions with group normalisation beside a shortcut."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.first_norm = nn.GroupNorm(4, outputs)
        self.second = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.second_norm = nn.GroupNorm(4, outputs)
        same = inputs == outputs and stride == 1
        self.shortcut = nn.Identity() if same else nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, images):
        """Return the images after the block."""
        hidden = torch.relu(self.first_norm(self.first(images)))
        return torch.relu(self.second_norm(self.second(hidden)) + self.shortcut(images))


def residual():
    """Four residual blocks of 16 to 128 channels."""
    return nn.Sequential(
        *(nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.GroupNorm(4, 16), nn.ReLU()),
        *(ResidualBlock(16, 16, 1), ResidualBlock(16, 32, 2)),
        *(ResidualBlock(32, 64, 2), ResidualBlock(64, 128, 2)),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, 10)),
    )


def grey_images(count, dtype):
    """FashionMNIST images of the package."""
    found = datasets.fashion_mnist()
    images = torch.as_tensor(found.train_images[:count, None] / 255.0, dtype=dtype)
    return images, torch.as_tensor(found.train_labels[:count].astype(np.int64))


def colour_images(count, dtype, file):
    """Images of a file, or noise around ten drawn pictures, standardised."""
    if file is not None:
        with np.load(file) as stored:
            images, labels = stored["x_train"][:count], stored["y_train"][:count]
        images = images.transpose(0, 3, 1, 2).astype(np.float64)
    else:
        rng = np.random.default_rng(0)
        labels = rng.integers(0, 10, count)
        coarse = rng.standard_normal((10, 3, 8, 8)).repeat(4, axis=2).repeat(4, axis=3)
        images = coarse[labels] + rng.standard_normal((count, 3, 32, 32))
    images -= images.mean(axis=(0, 2, 3), keepdims=True)
    images /= images.std(axis=(0, 2, 3), keepdims=True)
    return torch.as_tensor(images, dtype=dtype), torch.as_tensor(labels.astype(np.int64))


CASES = {
    "convolutional, torch": (convolutional, "torch", torch.float64, 1200),
    "convolutional, engine": (convolutional, "aniso", torch.float64, 1200),
    "residual, torch": (residual, "torch", torch.float32, 2000),
}


def trained(model, images, labels):
    """The model after 150 steps of Adam with batches of 100."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(150):
        batch = torch.randint(0, len(images), (100,))
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images[batch]), labels[batch]).backward()
        optimizer.step()
    return model


class Meter:
    """Counts Hessian products, and the seconds of each quantity."""

    def __init__(self, problem):
        self.products, self.seconds, self.name, self.began = {}, {}, "", 0.0
        product = type(problem).hessian_product

        def counted(called, theta, vectors):
            if called.num_examples == problem.num_examples:
                number = 1 if np.ndim(vectors) == 1 else np.shape(vectors)[1]
                self.products[self.name] = self.products.get(self.name, 0) + number
            return product(called, theta, vectors)

        # not of the problem alone: its subsets would inherit a product with all examples
        type(problem).hessian_product = counted

    def __call__(self, done, total, name):  # noqa: ARG002
        now = time.perf_counter()
        if self.name:
            self.seconds[self.name] = now - self.began
        self.name, self.began = name, now


def diagnosed(name, quick, file):
    """Return costs and results of the diagnosis of a case, as plain data."""
    make, engine, dtype, count = CASES[name]
    count = 200 if quick else count
    torch.manual_seed(0)
    torch.set_num_threads(2)
    if make is residual:
        images, labels = colour_images(count, dtype, file)
    else:
        images, labels = grey_images(count, dtype)
    model = trained(make().to(dtype), images, labels)
    begin = time.perf_counter()
    problem = frameworks.from_torch(model, nn.CrossEntropyLoss(), (images, labels), engine=engine)
    made = time.perf_counter() - begin
    plan = diagnostics.plan(problem, "standard", batch_size=SETTINGS["batch_size"])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    meter, rng, busy = Meter(problem), np.random.default_rng(0), time.process_time()
    found = diagnostics.measure(problem, **SETTINGS, memory_budget=BUDGET, progress=meter, rng=rng)
    return {
        "case": name,
        "num_examples": count,
        "num_parameters": problem.num_parameters,
        "dtype": str(problem.dtype),
        "images": "of a file" if file and make is residual else "synthetic or of the package",
        "seconds_of_construction": made,
        "seconds": found.seconds,
        "core_seconds": time.process_time() - busy,
        "planned_seconds": plan.total_seconds,
        "planned_bytes": plan.peak_bytes,
        "peak_bytes_before": 1024 * before,
        "peak_bytes": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        "memory_budget": BUDGET,
        "products": sum(meter.products.values()),
        "products_by_quantity": meter.products,
        "seconds_by_quantity": meter.seconds,
        "planned_by_quantity": plan.seconds,
        "readings": {key: [each.value, each.standard_error] for key, each in found.items()},
        "refused": dict(found.refused),
    }


def shown(row):
    """A line about a case."""
    return (
        f"{row['case']:24} {row['seconds']:7.1f} s, {row['core_seconds']:.1f} s of all cores "
        f"together (planned {row['planned_seconds']:.1f} s), "
        f"{row['products']} products, peak {row['peak_bytes'] / 2**30:.2f} GiB, "
        f"{len(row['refused'])} refused"
    )


def main():
    """Run the cases, each in its own process, and write what they took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="200 examples")
    parser.add_argument("--only", choices=list(CASES), action="append")
    parser.add_argument("--images", metavar="FILE", help="npz with x_train and y_train")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    settings = parser.parse_args()
    if settings.inside:
        print(json.dumps(diagnosed(settings.only[0], settings.quick, settings.images)))
        return
    rows = []
    for name in settings.only or CASES:
        command = [sys.executable, __file__, "--inside", "--only", name]
        command += ["--quick"] if settings.quick else []
        command += ["--images", settings.images] if settings.images else []
        made = subprocess.run(command, check=True, capture_output=True, text=True)
        rows.append(json.loads(made.stdout.splitlines()[-1]))
        print(shown(rows[-1]), flush=True)
    if settings.json:
        document = {
            "processor": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
            "torch": torch.__version__,
            "load": os.getloadavg()[0],
            "rows": rows,
        }
        with open(settings.json, "w", encoding="utf-8") as stream:
            json.dump(document, stream, indent=1)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
