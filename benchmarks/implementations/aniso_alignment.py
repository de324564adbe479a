"""Tr(H Sigma) by four estimators: exact, deflated, Hutchinson, sampled examples.

Every time starts from a fresh geometry, so that it includes gradients and linearisation. Hutchinson
and sampled examples run 64 products. Their number for 1 % follows from their error, and their time
in proportion.
"""

import math
import time

import numpy as np

from aniso import datasets, matrices, networks
from aniso.descent import adam_iterates
from aniso.estimates import NotConverged
from aniso.networks import initialisation
from aniso.problems import losses
from benchmarks.worker import Measured

TARGET = 0.01
PROBES = 64
_BATCH = 100
_NUM_RUNS = 8


def estimators(network, step, quick):
    """The four estimators at one theta.

    Parameters
    ----------
    network : {"convolutional", "vgg", "perceptron", "saddle"}
    step : int
        Of Adam, from random weights.
    quick : bool
        Fewer images.
    """
    problem, theta = _problem_of(network, step, quick)
    exact = matrices.alignment(problem.at(theta).hessian, problem.at(theta).noise)
    loss, state = problem.loss(theta), {"seed": 0}

    def timed(estimate):
        start, used = time.perf_counter(), time.process_time()
        result = estimate(problem.at(theta))
        return time.perf_counter() - start, time.process_time() - used, result

    def measured(seconds, core_seconds, products, stated, observed):
        more = {
            "loss": float(loss),
            "products": int(products),
            "core_seconds": float(core_seconds),
            "stated": float(stated),
            "observed": abs(float(observed)),
        }
        return Measured(seconds=float(seconds), more=more)

    def exactly():
        seconds, used, _ = timed(lambda at: matrices.alignment(at.hessian, at.noise))
        return measured(seconds, used, problem.num_examples, 0.0, 0.0)

    def deflated():
        state["seed"] += 1
        rng = np.random.default_rng(state["seed"])
        seconds, used, found = timed(lambda at: _reached(at, rng))
        if "observed" not in state:
            at = problem.at(theta)
            rngs = map(np.random.default_rng, range(100, 100 + _NUM_RUNS))
            errors = [_reached(at, rng).value / exact - 1 for rng in rngs]
            state["observed"] = math.sqrt(np.mean(np.square(errors)))
        stated = found.standard_error / abs(exact)
        return measured(seconds, used, found.num_products, stated, state["observed"])

    def sampled(method):
        def estimate(at):
            return at.estimate_alignment(
                np.random.default_rng(7), method=method, num_products=PROBES
            )

        def run():
            seconds, used, found = timed(estimate)
            # without the correction for a finite population, which would end at N
            error = found.standard_error / abs(exact)
            if method == "examples":
                error /= math.sqrt(1 - PROBES / problem.num_examples)
            factor = (error / TARGET) ** 2
            products = math.ceil(PROBES * factor)
            return measured(
                seconds * factor, used * factor, products, TARGET, found.value / exact - 1
            )

        return run

    return {
        "exact": exactly,
        "deflated": deflated,
        "hutchinson": sampled("hutchinson"),
        "examples": sampled("examples"),
    }


def _reached(at, rng):
    """Return the deflated estimate to 1 %, whether or not it met its target."""
    try:
        return at.estimate_alignment(rng, relative_error=TARGET)
    except NotConverged as missed:
        return missed.partial


def _problem_of(name, step, quick):
    rng, loss = np.random.default_rng(0), losses.SoftmaxCrossEntropy()
    if name == "convolutional":
        pixels, labels = _images(300 if quick else 1200)
        stack, inputs = networks.fashion_mnist_network(), pixels[:, None]
    elif name == "vgg":
        pixels, labels = _images(200, size=32)
        stack, inputs = networks.vgg11((1, 32, 32), width=1 / 16), pixels[:, None]
    else:
        pixels, labels = _images(600)
        stack = networks.multilayer_perceptron((784, 32, 32, 10), "tanh")
        inputs = pixels.reshape(len(pixels), -1)
    network = networks.Network(stack, loss, inputs, labels)
    if name == "saddle":  # near the origin
        return network, 0.05 * initialisation.he_normal(stack, rng)
    return network, _trained(network, step, rng)


def _images(count, size=28):
    """Return the first images of the package, padded with zeros, and their labels."""
    data, margin = datasets.fashion_mnist(), (size - 28) // 2
    pixels = data.train_images[:count] / 255.0
    pixels = np.pad(pixels, ((0, 0), (margin, margin), (margin, margin)))
    return pixels, data.train_labels[:count]


class _Batches:
    """Gradients of random batches, for Adam."""

    def __init__(self, network, rng):
        self.network, self.rng = network, rng

    def gradient(self, theta):
        chosen = np.sort(self.rng.choice(self.network.num_examples, _BATCH, replace=False))
        return self.network.subset(chosen).gradient(theta)


def _trained(network, num_steps, rng):
    theta = initialisation.he_normal(network.stack, rng)
    rates = np.full(num_steps, 2e-3)
    rates[num_steps // 2 :] /= 4
    for point in adam_iterates(_Batches(network, rng), theta, rates):
        theta = point
    return theta
