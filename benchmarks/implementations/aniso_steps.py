"""Steps of aniso's descent: of SGD, and of every dynamics that is compared.

Where the cost of the Hessian's noise comes from, in gradients g (processor time, N = 1,200): twenty
eigenpairs take 4 to 8 products with blocks of 20, that is 80 to 160 vectors. Each costs 1.5 to 2 g
from scratch; a linearisation costs 33 g once and then 0.05 g a vector. A refresh is 33 + 7 g at
least, and a step with a refresh every ten no less than (10 + 40) / 10 = 5 g in single precision. In
double precision the eigenpairs are found with the same network in single precision (a residual
of 1e-2 is far above its rounding), where the same work costs about 20 g of the slower gradient: 3 g
a step. One eigenvector, continued from the last, takes 4 to 10 products from scratch, without
linearisation: 1.8 g a step in double precision. Below that a step can't go without another matrix
than the Hessian of all N examples, or eigenpairs that have not converged.
"""

import time

import numpy as np

from aniso import datasets, descent
from aniso.datasets import transformations
from benchmarks.implementations import network_problems
from benchmarks.implementations.aniso_networks import network_of
from benchmarks.implementations.training import LEARNING_RATE, NUM_STEPS, start_of
from benchmarks.worker import Measured

_NOTHING = descent.Measurements(())
_WARM_UP_STEPS = 300
_RADIUS = 1e-2


def sgd(model, batch_size, dtype):
    """Steps of SGD: draw, gather, gradient, update."""
    problem, theta = start_of(model, dtype)
    network, num_steps = network_of(problem), NUM_STEPS[model]
    settings = descent.as_stated(
        "sgd", learning_rate=LEARNING_RATE, num_steps=num_steps, batch_size=batch_size
    )

    def run():
        result = descent.simulate_descent(
            network, theta, settings, np.random.default_rng(0), measurements=_NOTHING
        )
        return Measured(units=num_steps, value=result.theta)

    return {"step": run}


def dynamics(dtype, num_steps):
    """Steps of every dynamics, in units of the gradient measured right after them; one thread."""
    images = datasets.fashion_mnist()
    inputs = transformations.scale_images(images.train_images, -1, 1)[:, None].astype(dtype)
    problem = network_problems.Problem("convolutional", inputs, images.train_labels, None, None)
    network = network_of(problem, num_threads=1)

    def simulate(name, start, count):
        more = {"standard_deviation": 1e-3} if name == "gld_constant" else {}
        settings = descent.as_stated(
            name, learning_rate=0.07, num_steps=count, batch_size=20, **more
        )
        rng = np.random.default_rng(0)
        return descent.simulate_descent(network, start, settings, rng, measurements=_NOTHING).theta

    start = network.model.initial_parameters(np.random.default_rng(0), 0.05)
    theta = simulate("sgd", start, _WARM_UP_STEPS)
    batch = np.random.default_rng(0).integers(network.num_examples, size=20)

    def gradient_of(name):
        if name == "sgd":
            return network.subset(batch).gradient(theta)
        return network.gradient(theta)

    def steps_of(name):
        count = 20 * num_steps if name == "sgd" else num_steps

        def run():
            step = _seconds(lambda: simulate(name, theta, count)) / count
            alone = _seconds(lambda: [gradient_of(name) for _ in range(count)]) / count
            return Measured(seconds=step, more={"gradients": step / alone})

        return run

    def sharpness():
        draws = 2 * num_steps

        def estimate():
            return descent.sharpness.expected_sharpness(
                network, theta, _RADIUS, draws, np.random.default_rng(0)
            )

        each = _seconds(estimate) / draws
        return Measured(
            seconds=each, more={"gradients": each / _seconds(lambda: network.gradient(theta))}
        )

    return {name: steps_of(name) for name in descent.DYNAMICS} | {"expected_sharpness": sharpness}


def _seconds(function):
    start = time.perf_counter()
    function()
    return time.perf_counter() - start
