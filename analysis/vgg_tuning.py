"""Before the study of Figures 1 and 6: sigma of GLD const, by accuracy on held-out images."""

import sys

import numpy as np
from matplotlib.figure import Figure as Canvas

from analysis import (
    claims,
    figure_command,
    figure_style,
    image_sources,
    vgg,
    vgg_claims,
    vgg_study,
)
from analysis.fashion_mnist import stored_run
from analysis.figure import Figure, seeds_of
from aniso import descent
from aniso.descent import accuracy
from aniso.networks import initialisation

_SMALL = {
    "datasets": ("fashion_mnist",),
    "width": 1 / 32,
    "num_train": 40,
    "num_validation": 20,
    "num_test": 50,
    "batch_size": 10,
    "num_steps": 12,
    "sigma_grid": (1e-3, 1e-2, 1e-1),
}
SCALES = {"small": vgg_study.TUNING | _SMALL, "study": vgg_study.TUNING}


def make_units(parameters):
    """Return one unit for each data set, seed and sigma."""
    shared = {k: v for k, v in parameters.items() if k not in ("datasets", "num_seeds")}
    return [
        {"dataset": dataset, "seed": seed, "dynamics": "gld_constant", "sigma": sigma}
        | vgg.of_dataset(shared, dataset)
        for seed in seeds_of(parameters)
        for dataset in parameters["datasets"]
        for sigma in parameters["sigma_grid"]
    ]


def compute_unit(unit, folder, foundation):  # noqa: ARG001 (as every figure)
    """Run GLD const with one sigma; return its accuracy on held-out training images."""
    training, validation, _ = vgg.networks_of(unit)
    rng = np.random.default_rng([4, unit["seed"]])
    start = initialisation.he_normal(training.model, rng).astype(training.dtype)
    settings = vgg.settings_of(unit, standard_deviation=unit["sigma"])
    plan = descent.Measurements((0, unit["num_steps"]), ("accuracy",))
    run = stored_run(folder, training, start, settings, unit["seed"], plan)
    lost = bool(run["diverged"])
    found = 0.0 if lost else accuracy(validation.on_host(), run["theta"])
    return {
        "validation_accuracy": np.array(found),
        "diverged": run["diverged"],
        "message": run["message"],
    }


def collect(parameters, units, values):
    """Return the accuracies by data set, seed and sigma."""
    names, grid = tuple(parameters["datasets"]), list(parameters["sigma_grid"])
    shape = len(names), parameters["num_seeds"], len(grid)
    arrays = {"validation_accuracy": np.zeros(shape), "diverged": np.zeros(shape, dtype=bool)}
    for unit, value in zip(units, values, strict=True):
        number = unit["seed"] - seeds_of(parameters)[0]
        place = names.index(unit["dataset"]), number, grid.index(unit["sigma"])
        for name, array in arrays.items():
            array[place] = value[name]
    sources = [image_sources.label(name, parameters["images"][name]) for name in names]
    return arrays | {"source": np.array(sources)}


def judge(parameters, arrays):
    """Describe the chosen sigma of each data set; no caption claims it."""
    found, grid = [], parameters["sigma_grid"]
    chosen = vgg_study.best_places(arrays["validation_accuracy"])
    for number, (name, place) in enumerate(zip(parameters["datasets"], chosen, strict=True)):
        means = arrays["validation_accuracy"][number].mean(axis=0)
        told = ", ".join(f"{sigma:g}: {mean:.3f}" for sigma, mean in zip(grid, means, strict=True))
        end = "; an end of the grid" * (place in (0, len(grid) - 1))
        place_name = vgg_claims.title(name, arrays["source"][number])
        found.append(
            claims.described(
                f"{name}: sigma",
                f"{place_name}: sigma of GLD const with the best mean accuracy on held-out images",
                f"{grid[place]:g} ({told}){end}",
            )
        )
    return found


def draw(parameters, arrays):
    """Draw accuracy on held-out images against sigma, a panel for each data set."""
    names, grid = parameters["datasets"], parameters["sigma_grid"]
    canvas = Canvas(figsize=(3.4 * max(len(names), 1.2), 2.7))
    panels = canvas.subplots(1, len(names), squeeze=False)[0]
    for number, (axes, name) in enumerate(zip(panels, names, strict=True)):
        rates = 100 * arrays["validation_accuracy"][number]
        axes.semilogx(grid, rates.T, "o", color=figure_style.GREY, ms=4, label="one seed")
        axes.semilogx(grid, rates.mean(axis=0), "-", color=figure_style.BLUE, label="mean")
        axes.set(
            title=vgg_claims.title(name, arrays["source"][number]),
            xlabel=r"standard deviation $\sigma$ of the noise of GLD const",
            ylabel="accuracy on held-out images (%)",
        )
        handles, labels = axes.get_legend_handles_labels()
        unique = dict(zip(labels, handles, strict=True))
        axes.legend(unique.values(), unique.keys())
    return canvas


FIGURE = Figure(
    name="vgg_tuning",
    title="VGG-11: sigma of GLD const before the study",
    claim="none: the study of Figures 1 and 6 takes the best sigma",
    revision=1,
    scales=SCALES,
    costs={
        "small": "10 s, 40 FashionMNIST images, 12 iterations",
        "study": "1 h of one core (30 min on two), 1,000 images, 1,500 iterations, two seeds",
    },
    make_units=make_units,
    compute_unit=compute_unit,
    collect=collect,
    judge=judge,
    draw=draw,
    prepare=vgg.prepare,
    steps_of=lambda unit: unit["num_steps"],
    takes_device=True,
)

if __name__ == "__main__":
    sys.exit(figure_command.main(FIGURE))
