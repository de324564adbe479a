"""The runs of Figures 1 and 6: VGG-11 on images by five dynamics, computed once for both."""

import hashlib

import numpy as np

from analysis import image_sources, vgg_study
from analysis.fashion_mnist import stored_run
from analysis.figure import seeds_of
from aniso import checks, datasets, descent, networks
from aniso.datasets import transformations
from aniso.descent import (
    accuracy,
)
from aniso.networks import initialisation
from aniso.problems import losses

REVISION = 1
"""Of the runs that Figures 1 and 6 draw."""

DYNAMICS = ("gd", "gld_constant", "gld_dynamic", "gld_diagonal", "sgd")
ALIGNED = ("gld_diagonal", "sgd")
ROUND = ("gd", "gld_constant", "gld_dynamic")
RECORDS = (
    "loss",
    "accuracy",
    "test_accuracy",
    "expected_sharpness",
    "expected_sharpness_error",
    "noise_trace",
)

_COMMON = {
    "learning_rate": 0.05,
    "refresh_interval": 10,
    "sigma_grid": (3e-4, 1e-3, 3e-3),
    "radius": 1e-3,
}
_STUDY = (
    {name: _COMMON[name] for name in _COMMON if name != "sigma_grid"}
    | vgg_study.TASK
    | {"margins": {"sharpness": 1.5, "accuracy": 0.01}, "num_records": 5, "num_draws": 100}
    | {"num_test": {"cifar10": 10000, "svhn": 2499}}
)
SCALES = {
    "small": _COMMON
    | {"num_seeds": 1, "datasets": ("fashion_mnist",), "split": "official", "width": 1 / 32}
    | {"pooling": 2, "num_train": 40, "num_validation": 20, "num_test": 50, "batch_size": 10}
    | {"num_steps": 12, "num_records": 2, "num_draws": 4},
    "medium": _COMMON
    | {"num_seeds": 3, "datasets": ("cifar10", "svhn"), "split": "official", "width": 1 / 8}
    | {"pooling": 2, "num_train": 500, "num_validation": 500, "num_test": 2000, "batch_size": 50}
    | {"num_steps": 1500, "num_records": 5, "num_draws": 100},
    # designed before their first runs, see docs/study.md; sigma comes from `analysis.vgg_tuning`
    "study_n500": _STUDY
    | {"num_seeds": 20, "first_seed": 200, "num_train": 500, "num_steps": 2000},
    "study": _STUDY | {"num_seeds": 12, "first_seed": 100},
    "paper": _COMMON
    | {"num_seeds": 1, "datasets": ("cifar10", "svhn"), "split": "paper", "width": 1.0}
    | {"pooling": 1, "num_train": {"cifar10": 49000, "svhn": 25000}, "num_validation": 1000}
    | {"num_test": {"cifar10": 10000, "svhn": 70000}, "batch_size": 100}
    | {"num_steps": 100000, "num_records": 50, "num_draws": 100},
}


def prepare(parameters):
    """Return digest and source of the images, by data set, before the units begin.

    Parameters
    ----------
    parameters : dict
        Of a scale.

    Returns
    -------
    dict
        "images": their digest and source. In a study also "tuned": sigma of GLD const, by data set.

    Raises
    ------
    InputError, OSError
        If a data set can't be had, or has too few images for the parameters; if a study's sigma is
        not tuned yet.
    """
    found = {}
    for name in parameters["datasets"]:
        own = of_dataset(parameters, name)
        images = load(name, own["split"])
        for what, have, need in (
            ("training", len(images.train_labels), own["num_train"] + own["num_validation"]),
            ("test", len(images.test_labels), own["num_test"]),
        ):
            if have < need:
                raise checks.InputError(
                    f"{name}: {have} {what} images in {images.source}; expected at least {need}: "
                    "take the official files or a smaller scale"
                )
        found[name] = {"digest": digest(images), "source": images.source}
    return {"images": found} | (
        {"tuned": vgg_study.tuned_sigma(found)} if "margins" in parameters else {}
    )


def digest(images):
    """Return 16 hexadecimal digits of the SHA-256 of all images and labels of a Dataset."""
    total = hashlib.sha256()
    for array in (
        images.train_images, images.train_labels, images.test_images, images.test_labels,
    ):  # fmt: skip
        total.update(np.ascontiguousarray(array).data)
    return total.hexdigest()[:16]


def of_dataset(parameters, name):
    """Return the parameters of one data set, with its own numbers where they differ by set.

    Examples
    --------
    >>> of_dataset({"num_train": {"cifar10": 2, "svhn": 3}, "width": 1.0}, "svhn")
    {'num_train': 3, 'width': 1.0}
    """
    return {
        key: value[name] if isinstance(value, dict) and name in value else value
        for key, value in parameters.items()
    }


def make_units(parameters):
    """Return one unit for each data set, seed and dynamics, the longest first."""
    order = sorted(DYNAMICS, key=lambda name: name != "gld_constant")
    left_out = ("datasets", "num_seeds", "first_seed")
    shared = {k: v for k, v in parameters.items() if k not in left_out}
    return [
        {"dataset": dataset, "seed": seed, "dynamics": name, **of_dataset(shared, dataset)}
        for seed in seeds_of(parameters)
        for dataset in parameters["datasets"]
        for name in order
    ]


def compute_unit(unit, folder, foundation):  # noqa: ARG001 (as every figure)
    """Run one dynamics from random weights; GLD const once for each sigma, the best is kept.

    sigma is chosen by the accuracy on held-out training images, the smaller of equals.
    """
    training, validation, test = networks_of(unit)
    rng = np.random.default_rng([4, unit["seed"]])
    start = initialisation.he_normal(training.model, rng).astype(training.dtype)
    measurements = descent.Measurements(
        np.linspace(0, unit["num_steps"], unit["num_records"] + 1).astype(int),
        ("accuracy", "test", "sharpness"),
        test,
        radius=unit["radius"],
        num_draws=unit["num_draws"],
    )
    if unit["dynamics"] != "gld_constant" or "tuned" in unit:
        constant = unit["dynamics"] == "gld_constant"
        settings = settings_of(unit, **({"standard_deviation": unit["tuned"]} if constant else {}))
        return stored_run(folder, training, start, settings, unit["seed"], measurements)
    runs = [
        stored_run(
            folder / f"sigma-{number}",
            training,
            start,
            settings_of(unit, standard_deviation=sigma),
            unit["seed"],
            measurements,
        )
        for number, sigma in enumerate(unit["sigma_grid"])
    ]
    validation = validation.on_host()
    found = np.array([accuracy(validation, run["theta"]) for run in runs])
    best = int(np.argmax(found))
    return runs[best] | {"validation_accuracy": found, "chosen": np.array(best)}


def steps_of(unit):
    """Return the number of steps of a unit; GLD const takes them once for each sigma."""
    tuned_here = unit["dynamics"] == "gld_constant" and "tuned" not in unit
    runs = len(unit["sigma_grid"]) if tuned_here else 1
    return runs * unit["num_steps"]


def settings_of(unit, **more):
    """Return the settings of a unit: exact covariances, refreshed as published."""
    return descent.as_stated(
        unit["dynamics"],
        learning_rate=unit["learning_rate"],
        num_steps=unit["num_steps"],
        batch_size=unit["batch_size"],
        refresh_interval=1 if unit["dynamics"] in ("gd", "sgd") else unit["refresh_interval"],
        **more,
    )


def networks_of(unit):
    """Return the network on training, held-out and test images.

    Training and held-out images are drawn anew for each seed; pixels are pooled, then every
    channel gets mean 0 and variance 1 over the training images.
    """
    images = load(unit["dataset"], unit["split"])
    if "images" in unit and digest(images) != unit["images"]["digest"]:
        raise checks.InputError(
            f"{unit['dataset']}: the images in {images.source} are not those of "
            f"{unit['images']['source']} with which the figure began"
        )
    rng = np.random.default_rng([3, unit["seed"]])
    count = unit["num_train"] + unit["num_validation"]
    chosen = rng.permutation(len(images.train_labels))[:count]
    train, held_out = chosen[: unit["num_train"]], chosen[unit["num_train"] :]
    parts = [
        (images.train_images[train], images.train_labels[train]),
        (images.train_images[held_out], images.train_labels[held_out]),
        (images.test_images[: unit["num_test"]], images.test_labels[: unit["num_test"]]),
    ]
    pixels = [transformations.channels_first(part, unit["pooling"]) for part, _ in parts]
    mean, deviation = (f(pixels[0], axis=(0, 2, 3), keepdims=True) for f in (np.mean, np.std))
    model = networks.vgg11(pixels[0].shape[1:], unit["width"])
    return [
        networks.Network(
            model,
            losses.SoftmaxCrossEntropy(),
            (own - mean) / deviation,
            labels,
            dtype=np.float32,
            num_threads=1,  # units share the cores between them
            device=unit.get("device"),
        )
        for own, (_, labels) in zip(pixels, parts, strict=True)
    ]


def load(name, split):
    """Return a data set by name; the paper's split of SVHN exchanges its two files."""
    if name == "cifar10":
        return datasets.cifar10()
    if name == "svhn":
        return datasets.svhn(exchanged=split == "paper")
    return datasets.fashion_mnist()


def collect(parameters, units, values):
    """Return records by data set, seed, dynamics and iteration; NaN after a divergence."""
    count = parameters["num_records"] + 1
    names = tuple(parameters["datasets"])
    shape = len(names), parameters["num_seeds"], len(DYNAMICS), count
    arrays = {name: np.full(shape, np.nan) for name in RECORDS}
    arrays["diverged"] = np.zeros(shape[:3], dtype=bool)
    if "tuned" not in parameters:
        grid = len(parameters["sigma_grid"])
        arrays["validation_accuracy"] = np.zeros((*shape[:2], grid))
    arrays["standard_deviation"] = np.zeros(shape[:2])
    arrays["step"] = np.linspace(0, parameters["num_steps"], count).astype(int)
    arrays["source"] = np.array(
        [image_sources.label(name, parameters["images"][name]) for name in names]
    )
    for unit, value in zip(units, values, strict=True):
        number = unit["seed"] - seeds_of(parameters)[0]
        place = names.index(unit["dataset"]), number, DYNAMICS.index(unit["dynamics"])
        arrays["diverged"][place] = value["diverged"]
        for name in RECORDS:
            arrays[name][place][: len(value[name])] = value[name]
        if unit["dynamics"] != "gld_constant":
            continue
        if "tuned" in unit:
            arrays["standard_deviation"][place[:2]] = unit["tuned"]
        else:
            arrays["validation_accuracy"][place[:2]] = value["validation_accuracy"]
            sigma = parameters["sigma_grid"][int(value["chosen"])]
            arrays["standard_deviation"][place[:2]] = sigma
    return arrays


FIELDS = {
    "revision": REVISION,
    "scales": SCALES,
    "costs": {
        "small": "10 s, 40 FashionMNIST images, 12 iterations",
        "medium": "100 min of one core (50 min on two), 500 images, 1,500 iterations, three seeds",
        "study_n500": "4.5 h of one core (2 h on two), 500 images, 2,000 iterations, twenty seeds",
        "study": "4 h of one core (2 h on two; 12 min on an H100 with --device cuda --executor "
        "processes:16), 1,000 images, 1,500 iterations, twelve seeds",
        "paper": "1.4e19 flops a data set and seed, three days at 50 Tflop/s: for a graphics "
        "processor",
    },
    "make_units": make_units,
    "compute_unit": compute_unit,
    "collect": collect,
    "prepare": prepare,
    "steps_of": steps_of,
    "takes_device": True,
    "runs": "vgg",
}
"""Common fields of the figures of these runs, by their names in Figure."""
