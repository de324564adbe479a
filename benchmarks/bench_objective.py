"""Seconds of per-example gradients and Hessian products: network, broadcasting, loop.

    python benchmarks/bench_objective.py results.json

writes a list of records {quantity, model, num_examples, dtype, implementation, seconds}, seconds
the median of several runs. These figures decide the rules of ``aniso.problems._plans``. Run it with
one thread of linear algebra (OMP_NUM_THREADS=1) on a quiet machine.
"""

import argparse
import contextlib
import json
import statistics
import time

import numpy as np

from aniso import networks
from aniso.problems import (
    AutogradModel,
    ClippedSquaredLoss,
    LogisticLoss,
    SoftmaxCrossEntropy,
    _plans,
)
from aniso.runs import files

NUM_VECTORS = 32


def cases(rng):
    """Tuples (name, stack, loss, inputs, labels, theta) from tiny to the network of Figure 4."""
    for widths, num_examples in (((10, 10, 3), 50), ((20, 20, 10), 200), ((100, 100, 10), 100)):
        stack = networks.multilayer_perceptron(widths, "tanh")
        inputs = rng.standard_normal((num_examples, widths[0]))
        labels = rng.integers(0, widths[-1], num_examples)
        theta = stack.initial_parameters(rng)
        yield "-".join(map(str, widths)), stack, SoftmaxCrossEntropy(), inputs, labels, theta
    stack = networks.one_hidden_layer(2, 512)
    inputs = rng.uniform(-2, 2, (1000, 2))
    labels = (inputs[:, 0] >= inputs[:, 1]).astype(int)
    theta = 0.35 * stack.initial_parameters(rng)
    for loss in (ClippedSquaredLoss(), LogisticLoss()):
        name = f"one hidden layer 2-512-1 {type(loss).__name__}"
        yield name, stack, loss, inputs, labels, theta


def timings(layered, direct, theta, rng):
    """Triples (quantity, implementation, function without arguments)."""
    vectors = rng.standard_normal((theta.size, NUM_VECTORS))
    yield "gradient", "network", lambda: layered.gradient(theta)
    yield "gradient", "autograd", lambda: direct.gradient(theta)
    yield "per_example_gradients", "network", lambda: layered.per_example_gradients(theta)
    for name in ("broadcast", "loop"):
        yield "per_example_gradients", name, forced(name, direct.example_gradients, theta)
    quantity = f"hessian_product, {NUM_VECTORS} vectors"
    yield quantity, "network", lambda: layered.hessian_product(theta, vectors)
    for name in ("broadcast", "loop"):
        yield quantity, name, forced(name, direct.hessian_product, theta, vectors)
    if theta.size < 2000:
        yield "hessian", "network", lambda: layered.hessian(theta)


def forced(method, function, *arguments):
    """The function with the rules of _plans set so that `method` is taken."""
    column = 2**40 if method == "broadcast" else 0
    passes = {"BLOCK_COLUMN_ENTRIES": column}
    if method == "broadcast":
        passes["BLOCK_PASS_ENTRIES"] = 2**21
    else:
        passes |= {"ROW_PASS_ENTRIES": 0, "TRACE_PASS_ENTRIES": 0}

    def call():
        with replaced(_plans, passes):
            return function(*arguments)

    return call


@contextlib.contextmanager
def replaced(module, values):
    """Attributes of a module replaced for the time of a block."""
    before = {name: getattr(module, name) for name in values}
    try:
        for name, value in values.items():
            setattr(module, name, value)
        yield
    finally:
        for name, value in before.items():
            setattr(module, name, value)


def median_seconds(function, num_runs=7, limit=5.0):
    """Median over at most `num_runs` runs after a first one; fewer where they take long."""
    function()
    seconds = []
    while len(seconds) < num_runs and sum(seconds) < limit:
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def records():
    """All measurements, as dictionaries."""
    rng = np.random.default_rng(0)
    for model, *parts, theta in cases(rng):
        layered, direct = networks.Network(*parts, num_threads=1), AutogradModel(*parts)
        for quantity, implementation, function in timings(layered, direct, theta, rng):
            yield {
                "quantity": quantity,
                "model": model,
                "num_examples": layered.num_examples,
                "dtype": "float64",
                "implementation": implementation,
                "seconds": median_seconds(function),
            }


def main():
    """Measure, print one line a record and write the file."""
    parser = argparse.ArgumentParser(description=__doc__ and __doc__.splitlines()[0])
    parser.add_argument("output", help="JSON file to write")
    path = files.require_writable("output", parser.parse_args().output)
    measured = []
    for record in records():
        measured.append(record)
        milliseconds = 1e3 * record["seconds"]
        print(
            f"{record['model']:45} {record['quantity']:30} {record['implementation']:24} "
            f"{milliseconds:10.3f} ms",
            flush=True,
        )
    with files.atomic_writer(path) as stream:
        json.dump(measured, stream, indent=1)


if __name__ == "__main__":
    main()
