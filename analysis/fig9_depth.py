"""Figure 9: Propositions 2 and 3 at any depth, measured coefficient beside constant, in training.

Two classes of FashionMNIST, one output, logistic loss: the losses of the examples then bound the
empirical Fisher matrix F by multiples of the Gauss-Newton matrix G from both sides, and with it the
noise along the leading eigenvector of G (docs/theory/deep.md).
"""

import sys

import numpy as np
from matplotlib.figure import Figure as Canvas

from analysis import claims, figure_command, figure_style
from analysis.figure import Figure, seeds_of
from aniso import datasets, networks, propositions
from aniso.datasets import transformations
from aniso.descent import adam_iterates
from aniso.problems import losses
from aniso.runs import run_directory

CLASSES = (0, 6)  # T-shirts and shirts, which are hard to tell apart
NETWORKS = ("one hidden layer", "three hidden layers", "convolutional")
RECORDS = (
    "loss",
    "order_lowest",
    "order_smallest",
    "order_largest",
    "order_highest",
    "noise_guaranteed",
    "noise_lower",
    "noise_coefficient",
    "noise_upper",
)
# bounds and measurements are computed in double precision by different ways
_ROUNDING = 1e-6

_COMMON = {"learning_rate": 2e-3, "pooling": 4, "hidden": 32}
SCALES = {
    "small": _COMMON | {"num_seeds": 2, "num_train": 24, "steps": [0, 10, 40]},
    "medium": _COMMON
    | {"num_seeds": 5, "num_train": 200, "steps": [0, 10, 30, 100, 300, 1000, 3000]},
}
# images of both classes in the package
LIMITS = {"num_train": 244}
COSTS = {
    "small": "10 s, two seeds, 24 images, 40 iterations",
    "medium": "4 min of one core (2 min on two), five seeds, 200 images, 3,000 iterations",
}


def network_of(name, unit):
    """Return one of the three networks on the first images of two classes.

    Parameters
    ----------
    name : str
        One of :data:`NETWORKS`.
    unit : dict
        "num_train", and "pooling" and "hidden" of the perceptrons.

    Returns
    -------
    aniso.networks.Network
    """
    data = datasets.fashion_mnist()
    images, labels = transformations.pair(data.train_images, data.train_labels, *CLASSES)
    images, labels = images[: unit["num_train"]], labels[: unit["num_train"]]
    if name == "convolutional":
        whole = networks.fashion_mnist_network()
        model = networks.Stack((*whole.layers[:-1], networks.Dense(1)), whole.input_shape)
        inputs = transformations.scale_images(images, -1.0, 1.0)[:, None]
    else:
        pixels = transformations.channels_first(images, unit["pooling"])
        inputs = (pixels / 127.5 - 1).reshape(len(images), -1)
        depth = 1 if name == "one hidden layer" else 3
        model = networks.multilayer_perceptron((inputs.shape[1], *[unit["hidden"]] * depth, 1))
    return networks.Network(model, losses.LogisticLoss(), inputs, labels, num_threads=1)


def make_units(parameters):
    """Return one unit for each seed and network, the slow ones first."""
    shared = {name: value for name, value in parameters.items() if name != "num_seeds"}
    return [
        {"seed": seed, "network": name, **shared}
        for name in reversed(NETWORKS)
        for seed in seeds_of(parameters)
    ]


def compute_unit(unit, folder, foundation):  # noqa: ARG001 (as every figure)
    """Return the readings of one network along full-batch Adam; computed once."""
    return run_directory.stored_arrays(folder, unit, unit["seed"], lambda: _readings(unit))


def _readings(unit):
    network, steps = network_of(unit["network"], unit), unit["steps"]
    theta = network.model.initial_parameters(np.random.default_rng([7, unit["seed"]]))
    found = [_reading(network.at(theta))] if 0 in steps else []
    iterates = adam_iterates(network, theta, [unit["learning_rate"]] * max(steps))
    for step, own in enumerate(iterates, start=1):
        if step in steps:
            found.append(_reading(network.at(own)))
    return {name: np.array([record[name] for record in found]) for name in RECORDS}


def _reading(at):
    constants = propositions.order_constants(at)
    order = propositions.fisher_gauss_newton_order(at)
    bound = propositions.deep_alignment_bound(at)
    values = (
        at.loss,
        constants.lowest,
        order.smallest,
        order.largest,
        constants.highest,
        bound.guaranteed,
        bound.lower,
        bound.coefficient,
        bound.upper,
    )
    return dict(zip(RECORDS, values, strict=True))


def collect(parameters, units, values):
    """Return the records by network, seed and step, and the steps."""
    shape = len(NETWORKS), parameters["num_seeds"], len(parameters["steps"])
    arrays = {name: np.full(shape, np.nan) for name in RECORDS}
    for unit, value in zip(units, values, strict=True):
        place = NETWORKS.index(unit["network"]), unit["seed"] - seeds_of(parameters)[0]
        for name in RECORDS:
            arrays[name][place] = value[name]
    return arrays | {"step": np.array(parameters["steps"])}


def _within(arrays, low, value, high):
    """Return the number of readings, and the least relative room of a value within its bounds."""
    value = arrays[value]
    size = np.abs(value) + np.abs(arrays[high])
    room = np.minimum(value - arrays[low], arrays[high] - value) / size
    return room.size, float(room.min())


def judge(parameters, arrays):  # noqa: ARG001 (as every figure)
    """Judge whether every measurement lies within its bounds, for each network."""
    found = []
    for number, name in enumerate(NETWORKS):
        own = {key: arrays[key][number] for key in RECORDS}
        for title, low, values, high in (
            (
                "smallest and largest eigenvalue of F relative to G lie within the constants",
                "order_lowest",
                ("order_smallest", "order_largest"),
                "order_highest",
            ),
            (
                "the noise along the leading eigenvector of G lies within its bounds",
                "noise_lower",
                ("noise_coefficient",),
                "noise_upper",
            ),
        ):
            count, room = 0, np.inf
            for value in values:
                more, least = _within(own, low, value, high)
                count, room = count + more, np.minimum(room, least)
            found.append(
                claims.judged(
                    f"{name}: {values[0]}",
                    f"{name}: {title}",
                    room + _ROUNDING,
                    0.0,
                    f"{count} readings, least room {room:.2g} of the values",
                )
            )
        share = float((own["noise_guaranteed"] > 0).mean())
        coefficient = own["noise_coefficient"]
        found.append(
            claims.described(
                f"{name}: promise",
                f"{name}: how much the losses alone promise",
                f"the guaranteed coefficient is positive at {share:.0%} of the readings; the "
                f"measured one is {coefficient.min():.2g} to {coefficient.max():.2g}",
            )
        )
    return found


def draw(parameters, arrays):
    """Draw a column for each network: eigenvalues of F relative to G, and noise along u."""
    canvas = Canvas(figsize=(7.2, 4.6))
    panels = canvas.subplots(2, len(NETWORKS), sharex=True, sharey="row")
    steps = arrays["step"] + 1
    for column, name in enumerate(NETWORKS):
        upper, lower = panels[:, column]
        for axes, rows in (
            (
                upper,
                (
                    (
                        "order_highest",
                        "constants, from losses (a to c)",
                        figure_style.GREY,
                        "--",
                    ),
                    ("order_largest", "measured, largest", figure_style.RED, "-"),
                    ("order_smallest", "measured, smallest", figure_style.BLUE, "-"),
                    ("order_lowest", "", figure_style.GREY, "--"),
                ),
            ),
            (
                lower,
                (
                    ("noise_upper", "bounds (d to f)", figure_style.GREY, "--"),
                    ("noise_coefficient", "measured coefficient", figure_style.BLACK, "-"),
                    ("noise_lower", "", figure_style.GREY, "--"),
                ),
            ),
        ):
            for key, label, colour, line in rows:
                low, middle, high = figure_style.smallest_mean_largest(arrays[key][column])
                axes.fill_between(steps, low, high, color=colour, alpha=0.15, lw=0)
                axes.plot(steps, middle, line, color=colour, label=label or None, marker=".", ms=4)
        upper.set(xscale="log", yscale="log", title=name)
        lower.set(xscale="log", xlabel="iteration + 1")
        lower.set_yscale("symlog", linthresh=0.1)
        lower.axhline(0, color="0.8", lw=0.6, zorder=0)
    panels[0, 0].set_ylabel("eigenvalues of F relative to G")
    panels[1, 0].set_ylabel(r"$u^T\Sigma u\,$Tr$\,G\,/\,(\lambda\,$Tr$\,\Sigma)$")
    for letter, axes in zip("abcdef", panels.ravel(), strict=True):
        figure_style.panel_letter(axes, letter)
    canvas.legend(
        *figure_style.in_rows(3, *(row[0].get_legend_handles_labels() for row in panels)),
        loc="outside lower center",
        ncols=3,
        title=figure_style.seeds_note(parameters["num_seeds"]),
        title_fontsize=7,
    )
    return canvas


FIGURE = Figure(
    name="fig9_depth",
    title="Propositions 2 and 3 at any depth: measured coefficients beside their constants",
    claim="F lies between the multiples of G that the losses allow, and the noise along the "
    "leading eigenvector of G within its bounds, at any depth and along training",
    revision=1,
    scales=SCALES,
    costs=COSTS,
    make_units=make_units,
    compute_unit=compute_unit,
    collect=collect,
    judge=judge,
    draw=draw,
    limits=LIMITS,
    bands=figure_style.SEEDS,
)

if __name__ == "__main__":
    sys.exit(figure_command.main(FIGURE))
