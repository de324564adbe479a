"""Seconds of per-example gradients and Hessian products by layers, broadcasting and a loop.

    python benchmarks/bench_objective.py results.json [--quick]

The layers are those of ``aniso.networks``; the other two are ways in which autograd differentiates
the same loss written plainly. The output is a list of records {quantity, model, num_examples,
dtype, implementation, seconds}, seconds the median of several runs. These figures decide the rules
of ``aniso.problems._plans``. Run it with one thread of linear algebra (OMP_NUM_THREADS=1) on a
quiet machine.
"""

import argparse
import contextlib
import json
import statistics
import time

import autograd.numpy as anp
import numpy as np

from aniso import networks
from aniso.problems import AutogradProblem, _plans, losses
from aniso.runs import files

NUM_VECTORS = 32


def problems(rng, quick):
    """Pairs (name, Network, theta) from tiny to the network of Figure 4."""
    for widths, num_examples in (((10, 10, 3), 50), ((20, 20, 10), 200), ((100, 100, 10), 100)):
        stack = networks.multilayer_perceptron(widths, "tanh")
        inputs = rng.standard_normal((num_examples, widths[0]))
        labels = rng.integers(0, widths[-1], num_examples)
        network = networks.Network(stack, losses.SoftmaxCrossEntropy(), inputs, labels)
        yield "-".join(map(str, widths)), network, stack.initial_parameters(rng)
        if quick:
            return
    stack = networks.one_hidden_layer(2, 512)
    inputs = rng.uniform(-2, 2, (1000, 2))
    labels = (inputs[:, 0] >= inputs[:, 1]).astype(int)
    theta = 0.35 * stack.initial_parameters(rng)
    for loss in (losses.ClippedSquaredLoss(), losses.LogisticLoss()):
        name = f"one hidden layer 2-512-1 {type(loss).__name__}"
        yield name, networks.Network(stack, loss, inputs, labels), theta


def timings(network, theta, rng):
    """Triples (quantity, implementation, function without arguments)."""
    direct = AutogradProblem(composed(network), network.inputs, network.targets)
    vectors = rng.standard_normal((theta.size, NUM_VECTORS))
    yield "gradient", "layers", lambda: network.gradient(theta)
    yield "gradient", "autograd", lambda: direct.gradient(theta)
    yield "per_example_gradients", "layers", lambda: network.per_example_gradients(theta)
    for name in ("broadcast", "loop"):
        yield "per_example_gradients", name, forced(name, direct.per_example_gradients, theta)
    quantity = f"hessian_product, {NUM_VECTORS} vectors"
    yield quantity, "layers", lambda: network.hessian_product(theta, vectors)
    for name in ("broadcast", "loop"):
        yield quantity, name, forced(name, direct.hessian_product, theta, vectors)
    if theta.size < 2000:
        yield "hessian", "layers", lambda: network.hessian(theta)


def composed(network):
    """The network's loss as a user would write it, for theta (..., D): one number per example."""

    def outputs(theta, inputs):
        lead, hidden, start = theta.shape[:-1], inputs, 0
        for layer, shapes in zip(network.model.layers, network.model.parameter_shapes, strict=True):
            if not shapes:  # an activation, or the fixed sum of Figure 4
                hidden = layer.plain((), hidden)
                continue
            (rows, columns), _ = shapes
            middle, end = start + rows * columns, start + rows * columns + rows
            weights = anp.reshape(theta[..., start:middle], (*lead, rows, columns))
            products = anp.matmul(hidden, anp.swapaxes(weights, -1, -2))
            hidden = products + theta[..., None, middle:end]
            start = end
        return hidden

    def loss(theta, inputs, targets):
        return network.output_loss(outputs(theta, inputs), targets)

    return loss


def forced(method, function, *arguments):
    """The function with the rules of derivative_plans set so that `method` is taken."""
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


def median_seconds(function, num_runs, limit=5.0):
    """Median over at most `num_runs` runs after a first one; fewer where they take long."""
    function()
    seconds = []
    while len(seconds) < num_runs and sum(seconds) < limit:
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def records(quick):
    """All measurements, as dictionaries."""
    rng = np.random.default_rng(0)
    for model, network, theta in problems(rng, quick):
        for quantity, implementation, function in timings(network, theta, rng):
            yield {
                "quantity": quantity,
                "model": model,
                "num_examples": network.num_examples,
                "dtype": "float64",
                "implementation": implementation,
                "seconds": median_seconds(function, 1 if quick else 7),
            }


def main():
    """Measure, print one line a record and write the file."""
    parser = argparse.ArgumentParser(description=__doc__ and __doc__.splitlines()[0])
    parser.add_argument("output", help="JSON file to write")
    parser.add_argument("--quick", action="store_true", help="the smallest network, one run")
    options = parser.parse_args()
    path = files.require_writable("output", options.output)
    measured = []
    for record in records(options.quick):
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
