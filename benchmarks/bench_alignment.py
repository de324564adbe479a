"""Tr(H Sigma) by four estimators: exact, deflated, Hutchinson, sampled examples.

    python benchmarks/bench_alignment.py [--quick] [--json FILE]

Networks: the FashionMNIST network (N = 1,200) at four points from random weights to convergence, a
narrow VGG-11, a tanh perceptron 784-32-32-10, and the same perceptron near the saddle at the
origin. The images are those in the package. Every time starts from a fresh geometry, so it
includes gradients and linearisation. Hutchinson and sampled examples run 64 products. Their number
for 1 % follows from their error, and their time in proportion.
"""

import argparse
import json
import math
import os
import time
from pathlib import Path

import numpy as np
from bench_curvature import _processor

from aniso import datasets, matrices, networks
from aniso.descent import adam_iterates
from aniso.estimates import NotConverged
from aniso.networks import initialisation
from aniso.problems import losses

TARGET = 0.01
PROBES = 64
BATCH = 100


class Batches:
    """Gradients of random batches, for Adam."""

    def __init__(self, network, rng):
        self.network, self.rng = network, rng

    def gradient(self, theta):
        """Gradient of the mean loss of the next batch."""
        chosen = np.sort(self.rng.choice(self.network.num_examples, BATCH, replace=False))
        return self.network.subset(chosen).gradient(theta)


def images(count, size=28):
    """The first images, padded with zeros to size x size, and their labels."""
    data, margin = datasets.fashion_mnist(), (size - 28) // 2
    pixels = data.train_images[:count] / 255.0
    pixels = np.pad(pixels, ((0, 0), (margin, margin), (margin, margin)))
    return pixels, data.train_labels[:count]


def trained(network, steps, rng, learning_rate=2e-3):
    """Points along Adam from random weights, a dict of step to theta."""
    theta = initialisation.he_normal(network.stack, rng)
    rates = np.full(max(steps), learning_rate)
    rates[len(rates) // 2 :] /= 4
    points = {0: theta} if 0 in steps else {}
    for step, point in enumerate(adam_iterates(Batches(network, rng), theta, rates), start=1):
        if step in steps:
            points[step] = point
    return points


def cases(quick):
    """Triples (name, network, theta)."""
    rng = np.random.default_rng(0)
    loss = losses.SoftmaxCrossEntropy()
    pixels, labels = images(300 if quick else 1200)
    network = networks.Network(networks.fashion_mnist_network(), loss, pixels[:, None], labels)
    steps = (0, 20) if quick else (0, 100, 400, 1500)
    for step, theta in trained(network, steps, rng).items():
        yield f"FashionMNIST network, step {step}", network, theta
    pixels, labels = images(100 if quick else 200, size=32)
    stack = networks.vgg11((1, 32, 32), width=1 / 16)
    network = networks.Network(stack, loss, pixels[:, None], labels)
    steps = (10,) if quick else (200,)
    yield "VGG-11, width 1/16", network, trained(network, steps, rng)[steps[0]]
    pixels, labels = images(200 if quick else 600)
    stack = networks.multilayer_perceptron((784, 32, 32, 10), "tanh")
    network = networks.Network(stack, loss, pixels.reshape(len(pixels), -1), labels)
    yield "perceptron, tanh", network, trained(network, steps, rng)[steps[0]]
    theta = 0.05 * initialisation.he_normal(stack, rng)
    yield "perceptron near a saddle", network, theta


def measured(name, network, theta, repetitions):
    """The four estimators at one point, as plain data."""
    rows, loss = [], float(network.loss(theta))
    seconds, exact = timed(lambda at: matrices.alignment(at.hessian, at.noise), network, theta)
    rows.append(row("exact", network.num_examples, seconds, 0.0, 0.0))
    seconds = []
    for number in range(repetitions):
        rng = np.random.default_rng(number)
        own, found = timed(lambda at, rng=rng: reached(at, rng), network, theta)
        seconds.append(own)
    at = network.at(theta)
    errors = [reached(at, np.random.default_rng(100 + n)).value / exact - 1 for n in range(8)]
    rows.append(
        row(
            "deflated",
            found.num_products,
            np.median(seconds, axis=0),
            found.standard_error / abs(exact),
            math.sqrt(np.mean(np.square(errors))),
            deflated_share=found.deflated_share,
            num_pairs=found.num_pairs,
        )
    )
    for method in ("hutchinson", "examples"):
        own, found = timed(
            lambda at, method=method: at.estimate_alignment(
                np.random.default_rng(7), method=method, num_products=PROBES
            ),
            network,
            theta,
        )
        # without the correction for a finite population, which would end at N
        error = found.standard_error / abs(exact)
        if method == "examples":
            error /= math.sqrt(1 - PROBES / network.num_examples)
        factor = (error / TARGET) ** 2
        rows.append(
            row(method, math.ceil(PROBES * factor), own * factor, TARGET, found.value / exact - 1)
        )
    edges = None
    if "saddle" in name:
        edges = matrices.extreme_eigenvalues(at.hessian, tolerance=1e-3)
    return {
        "case": name,
        "num_examples": network.num_examples,
        "num_parameters": network.num_parameters,
        "loss": loss,
        "alignment": exact,
        "extreme_eigenvalues": edges,
        "rows": rows,
    }


def reached(at, rng):
    """The deflated estimate to 1 %, whether or not it met its target."""
    try:
        return at.estimate_alignment(rng, relative_error=TARGET)
    except NotConverged as missed:
        return missed.partial


def timed(function, network, theta):
    """(elapsed seconds, seconds of all cores) and result of a function of a fresh geometry."""
    start, used = time.perf_counter(), time.process_time()
    result = function(network.at(theta))
    return np.array([time.perf_counter() - start, time.process_time() - used]), result


def row(method, products, seconds, stated, observed, **more):
    """One line of the table as plain data."""
    return {
        "method": method,
        "products": int(products),
        "seconds": float(seconds[0]),
        "core_seconds": float(seconds[1]),
        "stated_error": stated,
        "observed_error": abs(observed),
    } | more


def table(results):
    """The results as a table of Markdown."""
    lines = [
        "| network | estimator | products | seconds | core seconds | stated error | observed |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for result in results:
        name = f"{result['case']}, loss {result['loss']:.2g}"
        for line in result["rows"]:
            lines.append(
                f"| {name} | {line['method']} | {line['products']:,} | {line['seconds']:.3g} | "
                f"{line['core_seconds']:.3g} | "
                f"{100 * line['stated_error']:.2g} % | {100 * line['observed_error']:.2g} % |"
            )
            name = ""
    return "\n".join(lines)


def main(arguments=None):
    """Run the benchmark, print the table and write the results."""
    parser = argparse.ArgumentParser(description=__doc__ and __doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer images and steps")
    parser.add_argument("--json", type=Path, help="where to write the results")
    options = parser.parse_args(arguments)
    if options.json and not options.json.resolve().parent.is_dir():
        parser.error(f"{str(options.json)!r}: expected a file in a folder that exists")
    results = []
    for name, network, theta in cases(options.quick):
        results.append(measured(name, network, theta, 1 if options.quick else 3))
        print(table(results[-1:]), flush=True)
    print(table(results))
    if options.json:
        environment = {
            "processor": _processor(),
            "cores": os.cpu_count(),
            "load": os.getloadavg(),
        }
        content = {"results": results, "environment": environment, "target": TARGET}
        options.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
