"""The layer engine at every place: NumPy, PyTorch and CuPy, on the processor and on a GPU.

    python benchmarks/bench_backends.py [--quick] [--json FILE]

The same code runs everywhere; NumPy has threads over chunks and its fused tile convolution beside
it. Rounds are interleaved and the median counts; a time ends when a number made of the result has
come to the host, so that no device is still at work. Places that are not there are skipped with a
notice. Set FASHION_MNIST to the folder of the four files for the real images; those of VGG-11 are
random.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import time
from pathlib import Path

import numpy as np
from bench_curvature import TUNED
from curvature_problems import Problem, problem

from aniso import checks, networks
from aniso.arrays import places, transfer
from aniso.networks import (
    StreamedGradients,
)
from aniso.problems import losses

HERE = Path(__file__).parent
BACKENDS = {
    "NumPy": lambda: "cpu",
    "PyTorch CPU": lambda: _torch("cpu"),
    "PyTorch CUDA": lambda: _torch("cuda"),
    "CuPy": lambda: "cuda",
}
MODELS = {"fashion": networks.fashion_mnist_network, "vgg11": networks.vgg11}


def _torch(device):
    import torch

    return torch.device(device)


def available():
    """Places of this machine by name."""
    found = {}
    for name, device in BACKENDS.items():
        try:
            found[name] = places.resolve(np.zeros(1), device())
        except (ImportError, checks.InputError) as error:
            print(f"skipped: {name} ({error})")
    return found


def data_of(model, num_examples, dtype):
    """Images, labels, parameters and vectors of a model."""
    if model == "fashion":
        return problem(model, num_examples).cast(dtype)
    rng = np.random.default_rng(0)
    stack = MODELS[model]()
    return Problem(
        model,
        rng.random((num_examples, *stack.input_shape)),
        rng.integers(0, stack.num_outputs, num_examples),
        stack.initial_parameters(rng),
        rng.standard_normal((stack.num_parameters, 8)),
    ).cast(dtype)


def quantities(data, place):
    """Functions that compute a quantity at a place and wait for it."""
    network = networks.Network(
        MODELS[data.model](),
        losses.SoftmaxCrossEntropy(),
        data.inputs,
        data.targets,
        dtype=data.inputs.dtype,
        device=place,
    )
    theta, vectors = (transfer.to_device(a, place) for a in (data.theta, data.vectors))
    total = place.namespace.sum
    return {
        "gradient": lambda: float(total(network.gradient(theta))),
        "gradient_square_norms": lambda: float(
            total(StreamedGradients(network, theta).square_norms())
        ),
        "hessian_product": lambda: float(total(network.hessian_product(theta, vectors[:, 0]))),
        "hessian_product_block8": lambda: float(
            total(network.hessian_product(theta, vectors[:, :8]))
        ),
    }


def measured(model, num_examples, dtype, found, options):
    """Results of one model in one precision."""
    data = data_of(model, num_examples, np.dtype(dtype))
    runs = {name: quantities(data, place) for name, place in found.items()}
    results = []
    for quantity in runs["NumPy"]:
        times, values = {name: [] for name in runs}, {}
        for round_number in range(options.rounds + 1):  # the first is the warm-up
            for name, own in runs.items():
                start = time.perf_counter()
                values[name] = own[quantity]()
                if round_number:
                    times[name].append(time.perf_counter() - start)
        reference = statistics.median(times["NumPy"])
        for name, own in times.items():
            seconds = statistics.median(own)
            results.append(
                {
                    "quantity": quantity, "model": model, "num_examples": num_examples,
                    "dtype": dtype, "backend": name, "place": str(found[name]),
                    "seconds": seconds, "numpy_over_this": reference / seconds,
                    "deviation": abs(values[name] - values["NumPy"])
                    / max(abs(values["NumPy"]), 1e-300),
                }
            )  # fmt: skip
            print(
                f"  {quantity:24s} {name:14s} {1e3 * seconds:11.1f} ms   "
                f"{reference / seconds:6.2f} x NumPy's speed",
                flush=True,
            )
    return results


def main(arguments=None):
    """Run the benchmark and write its results."""
    parser = argparse.ArgumentParser(description=__doc__ and __doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few examples, one round")
    parser.add_argument("--json", type=Path, default=HERE / "results" / "backends.json")
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--dtypes", nargs="+", default=["float64", "float32"])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(arguments)
    if options.quick:
        options.rounds = 1
    found, results = available(), []
    for model in options.models:
        num_examples = {"fashion": 1200, "vgg11": 100}[model] // (10 if options.quick else 1)
        for dtype in options.dtypes:
            if model == "vgg11" and dtype == "float64" and not options.quick:
                continue  # its users take single precision
            print(f"{model}, N = {num_examples}, {dtype}", flush=True)
            results += measured(model, num_examples, dtype, found, options)
    environment = {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "load": os.getloadavg(),
        "tuning": TUNED,
        "places": {name: str(place) for name, place in found.items()},
    }
    options.json.write_text(json.dumps({"results": results, "environment": environment}, indent=1))


if __name__ == "__main__":
    if os.environ.get("OMP_WAIT_POLICY") != TUNED["OMP_WAIT_POLICY"]:
        # allocation, waiting and BLAS kernels are chosen when a process starts
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **TUNED})
    main()
