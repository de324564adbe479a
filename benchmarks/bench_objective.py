"""Seconds of per-example gradients and Hessian products by one pass, by broadcasting, by a loop.

    python benchmarks/bench_objective.py results.json

writes a list of records {quantity, model, num_examples, dtype, implementation, seconds}, seconds
the median of several runs. These figures decide the rules of ``aniso.problems._plans`` and the
sizes of a pass in ``aniso.problems.model_objective``. Run it with one thread of linear algebra
(OMP_NUM_THREADS=1) on a quiet machine.
"""

import argparse
import contextlib
import json
import statistics
import time

import numpy as np

from aniso.problems import (
    ClippedSquaredLoss,
    LogisticLoss,
    ModelObjective,
    MultilayerPerceptron,
    OneHiddenLayer,
    SoftmaxCrossEntropy,
    _plans,
)
from aniso.runs import files

NUM_VECTORS = 32


def problems(rng):
    """Pairs (name, ModelObjective, theta) from tiny to the network of Figure 4."""
    for widths, num_examples in (((10, 10, 3), 50), ((20, 20, 10), 200), ((100, 100, 10), 100)):
        model = MultilayerPerceptron(widths, "tanh")
        inputs = rng.standard_normal((num_examples, widths[0]))
        labels = rng.integers(0, widths[-1], num_examples)
        objective = ModelObjective(model, SoftmaxCrossEntropy(), inputs, labels)
        yield "-".join(map(str, widths)), objective, model.initial_parameters(rng)
    model = OneHiddenLayer(2, 512)
    inputs = rng.uniform(-2, 2, (1000, 2))
    labels = inputs[:, 0] >= inputs[:, 1]
    theta = 0.35 * model.initial_parameters(rng)
    for loss in (ClippedSquaredLoss(), LogisticLoss()):
        name = f"one hidden layer 2-512-1 {type(loss).__name__}"
        yield name, ModelObjective(model, loss, inputs, labels), theta


def timings(objective, theta, rng):
    """Triples (quantity, implementation, function without arguments)."""
    direct = AutogradProblem(composed(objective), objective.inputs, objective.targets)
    vectors = rng.standard_normal((theta.size, NUM_VECTORS))
    layered = "layers, one traced pass"
    yield "gradient", layered, lambda: objective.gradient(theta)
    yield "gradient", "autograd", lambda: direct.gradient(theta)
    yield "per_example_gradients", layered, lambda: objective.per_example_gradients(theta)
    for name in ("broadcast", "loop"):
        yield "per_example_gradients", name, forced(name, direct.per_example_gradients, theta)
    quantity = f"hessian_product, {NUM_VECTORS} vectors"
    yield quantity, "layers", lambda: objective.hessian_product(theta, vectors)
    for name in ("broadcast", "loop"):
        yield quantity, name, forced(name, direct.hessian_product, theta, vectors)
    if theta.size < 2000:
        yield "hessian", "layers", lambda: objective.hessian(theta)


def composed(objective):
    """The model's loss as a user would write it, for Objective."""

    def loss(theta, inputs, targets):
        return objective.output_loss(objective.model.outputs(theta, inputs), targets)

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
    for model, objective, theta in problems(rng):
        for quantity, implementation, function in timings(objective, theta, rng):
            yield {
                "quantity": quantity,
                "model": model,
                "num_examples": objective.num_examples,
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
