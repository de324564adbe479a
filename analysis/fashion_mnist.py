"""Common parts of the FashionMNIST figures: network, data, and the minimum theta*_GD."""

import hashlib

import numpy as np

from analysis.figure import Foundation
from aniso import datasets, descent, networks
from aniso.datasets import transformations
from aniso.problems import losses
from aniso.runs import run_directory

RANDOM_LABEL_SHARE = 6  # one label in six is drawn anew, 200 of 1,200
LIMITS = {"num_train": 1200, "num_test": 10_000}
"""Images of the package, and of the official files."""


def training_network(num_train, seed, dtype=np.float32, perceptron=None, device=None):
    """Return the paper's network on the first images, the last sixth with random labels.

    1,200 images are 1,000 clean ones and 200 with random labels, as the captions say; pixels are
    scaled to [-1, 1].

    Parameters
    ----------
    num_train, seed : int
        Number of images, and seed of the random labels.
    dtype : dtype
        Precision of the passes.
    perceptron : dict, optional
        "pooling" of the images and "hidden" units, of one layer, in the place of the paper's
        network: a task of seconds.
    device : device, optional
        Of the network's arrays, see :class:`aniso.networks.Network`.

    Returns
    -------
    aniso.networks.Network
    """
    images = datasets.fashion_mnist()
    rng = np.random.default_rng([3, seed])
    redrawn = np.arange(num_train - num_train // RANDOM_LABEL_SHARE, num_train)
    labels = transformations.with_random_labels(images.train_labels[:num_train], redrawn, 10, rng)
    return _network(images.train_images[:num_train], labels, dtype, perceptron, device)


def require_test_images(num_test):
    """Refuse, before hours of work, test images that are not available.

    Raises
    ------
    InputError
        If they are neither in the package nor in the cache.
    """
    datasets.fashion_mnist(subset=num_test <= 2000)


def held_out_network(num_test, dtype=np.float32, perceptron=None, device=None):
    """Return the same network on test images: 2,000 from the package, 10,000 official ones."""
    images = datasets.fashion_mnist(subset=num_test <= 2000)
    pixels, labels = images.test_images[:num_test], images.test_labels[:num_test]
    return _network(pixels, labels, dtype, perceptron, device)


def task_of(unit):
    """Return the arguments that a unit may give to its networks: the perceptron and the device."""
    return {name: unit[name] for name in ("perceptron", "device") if name in unit}


def label_groups(network):
    """Return the network on the images with clean and on those with random labels, by name.

    Parameters
    ----------
    network : aniso.networks.Network
        Of :func:`training_network`.

    Returns
    -------
    dict of str to aniso.networks.Network
    """
    count = network.num_examples
    border = count - count // RANDOM_LABEL_SHARE
    parts = {"clean": np.arange(border), "random": np.arange(border, count)}
    return {name: network.subset(indices) for name, indices in parts.items()}


def _network(images, labels, dtype, perceptron, device):
    if perceptron is None:
        model = networks.fashion_mnist_network()
        inputs = transformations.scale_images(images, -1, 1)[:, None]
    else:
        pixels = transformations.channels_first(images, perceptron["pooling"])
        inputs = (pixels / 127.5 - 1).reshape(len(images), -1)
        model = networks.multilayer_perceptron((inputs.shape[1], perceptron["hidden"], 10))
    # one thread: units share the cores between them
    loss = losses.SoftmaxCrossEntropy()
    return networks.Network(model, loss, inputs, labels, dtype=dtype, num_threads=1, device=device)


def gd_minimum_unit(parameters, seed):
    """Return the unit of work that finds theta*_GD."""
    names = ("num_train", "gd_steps", "gd_learning_rate", "perceptron", "device")
    return {"seed": seed} | {name: parameters[name] for name in names if name in parameters}


def gd_minimum(unit, folder):
    """Find theta*_GD by full-batch descent from small random weights."""
    network = training_network(unit["num_train"], unit["seed"], **task_of(unit))
    start = network.model.initial_parameters(np.random.default_rng([4, unit["seed"]]), 0.02)
    settings = descent.Settings("gd", unit["gd_learning_rate"], unit["gd_steps"])
    steps = np.linspace(0, unit["gd_steps"], 31).astype(int)
    return stored_run(
        folder, network, start, settings, unit["seed"], descent.Measurements(steps, ("accuracy",))
    )


GD_MINIMUM = Foundation(gd_minimum_unit, gd_minimum, revision=1)


def steps_of(unit):
    """Return the steps of a unit or a foundation; 0 for computations at theta*_GD alone."""
    if unit.get("part", "sgd") != "sgd":
        return 0
    return unit["num_steps"] if "num_steps" in unit else unit["gd_steps"]


def stored_run(folder, network, start, settings, seed, measurements):
    """Run descent in its directory from the last checkpoint; return theta, status, records."""
    parameters = settings.parameters() | {
        "num_examples": network.num_examples,
        "dtype": str(network.dtype),
        "start": hashlib.sha256(np.ascontiguousarray(start).data).hexdigest()[:16],
        "steps": list(measurements.steps),
        "quantities": list(measurements.quantities),
    }
    with run_directory.RunDirectory(folder, parameters, seed=seed) as run:
        stored = run.result()
        if stored is None:
            result = descent.simulate_descent(
                network,
                start,
                settings,
                np.random.default_rng([5, seed]),
                measurements=measurements,
                run=run,
            )
            arrays = {"theta": result.theta, "diverged": np.array(result.status == "diverged")}
            run.save_result(result.step, arrays | result.records, {"message": result.message})
            stored = run.result()
    return stored.arrays | {"message": np.array(stored.details["message"])}
