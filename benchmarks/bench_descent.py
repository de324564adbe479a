"""Steps of every dynamics against the full-batch gradient, on the network of Figure 3.

    python benchmarks/bench_descent.py [--steps N] [--json FILE]

N = 1,200 images, m = 20, k = 20, one thread. Times are means over whole refresh intervals; the
gradient is timed in between, so that a busy machine slows both. SGD is compared with the mini-batch
gradient alone, the columns of its images included.

Where the Hessian's cost comes from, in gradients g (processor time, N = 1,200): twenty eigenpairs
take 4 to 8 products with blocks of 20, that is 80 to 160 vectors. Each costs 1.5 to 2 g from
scratch; a linearisation costs 33 g once and then 0.05 g a vector. A refresh is 33 + 7 g at least,
and a step with a refresh every ten no less than (10 + 40) / 10 = 5 g in single precision. In
double precision the eigenpairs are found with the network's twin in single precision (a residual
of 1e-2 is far above its rounding), where the same work costs about 20 g of the slower gradient: 3 g
a step. One eigenvector, continued from the last, takes 4 to 10 products from scratch, without
linearisation: 1.8 g a step in double precision. Below that a step can't go without another matrix
than the Hessian of all N examples, or eigenpairs that have not converged.
"""

import argparse
import json
import os
import time
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import numpy as np  # noqa: E402

from aniso import datasets, descent, networks  # noqa: E402
from aniso.datasets import transformations  # noqa: E402
from aniso.problems import losses  # noqa: E402
from aniso.runs import provenance  # noqa: E402

WARM_UP_STEPS = 300


def network(dtype):
    """The network of Figure 3 on the shipped training images."""
    images = datasets.fashion_mnist()
    inputs = transformations.scale_images(images.train_images, -1, 1)[:, None]
    return networks.Network(
        networks.fashion_mnist_network(),
        losses.SoftmaxCrossEntropy(),
        inputs,
        images.train_labels,
        dtype=dtype,
        num_threads=1,
    )


def seconds_a_call(function, num_calls):
    """Mean seconds of one of `num_calls` calls."""
    start = time.perf_counter()
    for _ in range(num_calls):
        function()
    return (time.perf_counter() - start) / num_calls


def settings_of(dynamics, num_steps):
    """The dynamics as stated, m = 20, k = 20, refreshed every ten steps where stated."""
    more = {"standard_deviation": 1e-3} if dynamics == "gld_constant" else {}
    return descent.as_stated(
        dynamics, learning_rate=0.07, num_steps=num_steps, batch_size=20, **more
    )


def measure(dtype, num_steps):
    """Rows (dynamics, seconds a step, seconds of the gradient alone)."""
    problem, nothing = network(dtype), descent.Measurements(())

    def simulate(dynamics, theta, count):
        return descent.simulate_descent(
            problem,
            theta,
            settings_of(dynamics, count),
            np.random.default_rng(0),
            measurements=nothing,
        ).theta

    start = problem.model.initial_parameters(np.random.default_rng(0), 0.05)
    theta = simulate("sgd", start, WARM_UP_STEPS)
    for dynamics in descent.DYNAMICS:
        simulate(dynamics, theta, 1)
        if dynamics == "sgd":
            count = 20 * num_steps
            batch = np.random.default_rng(0).integers(problem.num_examples, size=20)
            alone = seconds_a_call(lambda b=batch: problem.subset(b).gradient(theta), count)
        else:
            count = num_steps
            alone = seconds_a_call(lambda: problem.gradient(theta), count)
        step = seconds_a_call(lambda d=dynamics, n=count: simulate(d, theta, n), 1) / count
        yield dynamics, step, alone


def main():
    """Print the table, and write it where asked."""
    parser = argparse.ArgumentParser(description=__doc__ and __doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=20, help="a multiple of ten")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = []
    print(f"{'dynamics':<24}{'dtype':<10}{'ms a step':>10}{'gradient':>10}{'ratio':>8}")
    for dtype in (np.float64, np.float32):
        for dynamics, step, alone in measure(dtype, options.steps):
            name = np.dtype(dtype).name
            rows.append({"dynamics": dynamics, "dtype": name, "step": step, "gradient": alone})
            print(
                f"{dynamics:<24}{name:<10}{1e3 * step:>10.2f}{1e3 * alone:>10.2f}"
                f"{step / alone:>8.2f}",
                flush=True,
            )
    if options.json is not None:
        content = {"rows": rows, "environment": provenance.environment()}
        options.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
