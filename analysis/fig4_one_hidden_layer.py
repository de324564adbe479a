"""Figure 4: Tr(H Sigma) against isotropic noise of equal trace, one hidden layer, by width."""

import sys

import numpy as np
from matplotlib.figure import Figure as Canvas

from analysis import claims, figure_command, figure_style
from analysis.figure import Figure
from aniso import networks
from aniso.descent import adam
from aniso.matrices import convention
from aniso.problems import losses
from aniso.runs import run_directory

# of the paper, at every scale
OPTIONS = {"learning_rate": 1e-3, "num_epochs": 31, "num_examples": 1000, "batch_size": 10}
_COLOURS = (figure_style.BLUE, figure_style.RED, figure_style.GREEN)

SCALES = {
    "small": {"num_seeds": 3, "widths": [32, 128], "every": 10},
    "medium": {"num_seeds": 20, "widths": [32, 128, 512], "every": 1},
    "paper": {"num_seeds": 20, "widths": [32, 128, 512], "every": 1},
}
COSTS = {
    "small": "5 s, three seeds, h = 32 and 128",
    "medium": "2 min of one core, twenty seeds",
    "paper": "2 min of one core, twenty seeds",
}

BANDS = "lines are medians over seeds, bands reach from the 10th to the 90th percentile"


def make_units(parameters):
    """Return one unit for each seed and width."""
    own = {name: parameters[name] for name in ("every", *OPTIONS) if name in parameters}
    return [
        {"seed": seed, "width": width, **own}
        for seed in range(parameters["num_seeds"])
        for width in parameters["widths"]
    ]


def epochs_of(parameters):
    """Return the epochs at which curvature and noise are evaluated."""
    last = parameters.get("num_epochs", OPTIONS["num_epochs"])
    return np.arange(0, last + 1, parameters["every"])


def training_network(width, seed, num_examples=OPTIONS["num_examples"]):
    """Return the paper's problem: points of a square, label 1 where x_1 >= x_2."""
    inputs = np.random.default_rng([7, seed]).uniform(-2, 2, (num_examples, 2))
    targets = (inputs[:, 0] >= inputs[:, 1]).astype(np.int64)
    stack = networks.one_hidden_layer(2, width)
    return networks.Network(
        stack, losses.ClippedSquaredLoss(delta=1e-3), inputs, targets, num_threads=1
    )


def parameters_by_epoch(
    network,
    width,
    seed,
    learning_rate=OPTIONS["learning_rate"],
    num_epochs=OPTIONS["num_epochs"],
):
    """Return iterates of Adam, one for each epoch of ten iterations, the start first.

    The start is uniform on ``(-1, 1) / sqrt(d h)``: without 1 / sqrt(h) about one network in ten
    starts with every output beyond the clip, and never learns. The learning rate falls linearly
    over the last ten epochs.
    """
    start = network.model.initial_parameters(np.random.default_rng([8, seed])) / np.sqrt(width)
    decay = 1 - np.arange(1, 11) / 11
    rates = np.concatenate([np.ones(max(num_epochs - 10, 0)), decay[-num_epochs:]])
    rates *= learning_rate
    iterates = list(adam.adam_iterates(network, start, np.repeat(rates, 10)))
    return [start, *iterates[9::10]]


def compute_unit(unit, folder, foundation):  # noqa: ARG001 (as every figure)
    """Compute Tr(H Sigma) of batches of ten and its isotropic counterpart by epoch, once."""
    return run_directory.stored_arrays(folder, unit, unit["seed"], lambda: _traces(unit))


def _traces(unit):
    own = {name: unit.get(name, value) for name, value in OPTIONS.items()}
    width, seed, count = unit["width"], unit["seed"], own["num_examples"]
    network = training_network(width, seed, count)
    thetas = parameters_by_epoch(network, width, seed, own["learning_rate"], own["num_epochs"])
    scale = convention.minibatch_scale(count, own["batch_size"], replacement=True)
    traces = []
    for epoch in epochs_of(unit):
        at = network.at(thetas[epoch])
        found = at.by_block()
        traces.append((at.loss, scale * found.alignment, scale * found.isotropic))
    return {"traces": np.array(traces)}


def collect(parameters, units, values):
    """Return loss, alignment and isotropic alignment, each (seeds, widths, epochs)."""
    del units
    traces = np.stack([value["traces"] for value in values])
    traces = traces.reshape(parameters["num_seeds"], len(parameters["widths"]), -1, 3)
    return {
        "epochs": epochs_of(parameters),
        "loss": traces[..., 0],
        "alignment": traces[..., 1],
        "isotropic": traces[..., 2],
    }


def alive(arrays):
    """Return which networks have an example within the clip at every epoch, (seeds, widths).

    The others have lost all of them: gradient, curvature and noise are zero for good, and there
    is nothing to compare.
    """
    return (arrays["isotropic"] > 0).all(axis=2)


def _log_ratios(arrays, number):
    """Return log Tr(H Sigma) / Tr(H Sigma_bar) of the networks that learn, (n, epochs)."""
    living = alive(arrays)[:, number]
    return np.log(arrays["alignment"][living, number] / arrays["isotropic"][living, number])


def _mean(values):
    return claims.over_seeds(values) if len(values) else (np.nan, np.nan)


def _factor(logarithm, error):
    """Return a geometric mean and the ends of two standard errors as text."""
    if not np.isfinite(logarithm):
        return "no network keeps an example within the clip: nothing to compare"
    factor = f"factor {claims.beside(np.exp(logarithm), 1)}"
    if not np.isfinite(error):
        return f"{factor}, one network: no error bar"
    low, high = (claims.beside(np.exp(logarithm + sign * 2 * error), 1) for sign in (-1, 1))
    return f"{factor}, two standard errors reach from {low} to {high}"


def judge(parameters, arrays):
    """Judge the caption's claims, for the ratio Tr(H Sigma) / Tr(H Sigma_bar)."""
    found, means = [], []
    for number, width in enumerate(parameters["widths"]):
        ratios = _log_ratios(arrays, number)
        mean, error = _mean(ratios.mean(axis=1))
        means.append((mean, error))
        counted = f"{len(ratios)} of {parameters['num_seeds']} networks"
        found.append(
            claims.judged(
                f"anisotropic at h = {width}",
                "Tr(H Sigma) exceeds Tr(H Sigma_bar), in the geometric mean over epochs and "
                f"networks, h = {width}",
                mean,
                error,
                counted,
                text=_factor,
            )
        )
        least = ratios.min() if len(ratios) else np.nan
        found.append(
            claims.judged(
                f"anisotropic throughout at h = {width}",
                "Tr(H Sigma) exceeds Tr(H Sigma_bar) at every epoch of every network that keeps an "
                f"example within the clip, h = {width}",
                least,
                0.0,
                f"least ratio {claims.beside(np.exp(least), 1)}, {counted}",
                text=_factor,
            )
        )
    for number in range(1, len(parameters["widths"])):
        growth = means[number][0] - means[number - 1][0]
        error = np.hypot(means[number][1], means[number - 1][1])
        narrow, wide = parameters["widths"][number - 1], parameters["widths"][number]
        found.append(
            claims.judged(
                f"ratio grows from {narrow} to {wide}",
                f"the ratio grows with the number of parameters, from h = {narrow} to {wide}",
                growth,
                error,
                f"D grows by {wide / narrow:.0f}",
                text=_factor,
            )
        )
    return found


def draw(parameters, arrays):
    """Draw both traces by epoch and width, and their ratio."""
    canvas = Canvas(figsize=(7.2, 2.7))
    left, right = canvas.subplots(1, 2)
    epochs = arrays["epochs"]
    for number, width in enumerate(parameters["widths"]):
        if not alive(arrays)[:, number].any():
            continue
        colour = _COLOURS[number % len(_COLOURS)]
        for name, line in (("alignment", "-"), ("isotropic", ":")):
            curves = arrays[name][alive(arrays)[:, number], number]
            low, middle, high = np.quantile(curves, (0.1, 0.5, 0.9), axis=0)
            left.plot(epochs, middle, line, color=colour)
            left.fill_between(epochs, low, high, color=colour, alpha=0.15, lw=0)
        ratios = np.exp(_log_ratios(arrays, number))
        low, middle, high = np.quantile(ratios, (0.1, 0.5, 0.9), axis=0)
        right.plot(epochs, middle, color=colour)
        right.annotate(
            f"$h = {width}$, $D = {3 * width}$",
            (epochs[-1], middle[-1]),
            xytext=(0, 3),
            textcoords="offset points",
            ha="right",
            color=colour,
            fontsize=7,
        )
        right.fill_between(epochs, low, high, color=colour, alpha=0.15, lw=0)
    left.plot([], [], "-", color="0.3", label=r"$\mathrm{Tr}(H_t\Sigma_t)$")
    left.plot([], [], ":", color="0.3", label=r"$\mathrm{Tr}(H_t\bar\Sigma_t)$")
    left.legend(loc="upper right")
    left.set(yscale="log", xlabel="epoch", ylabel="trace")
    right.axhline(1, color="0.5", lw=0.7)
    right.text(epochs[-1], 1.06, "isotropic", ha="right", va="bottom", fontsize=7, color="0.4")
    right.set(yscale="log", xlabel="epoch")
    right.set_ylim(top=1.8 * right.get_ylim()[1])
    right.set_ylabel(r"$\mathrm{Tr}(H_t\Sigma_t)\,/\,\mathrm{Tr}(H_t\bar\Sigma_t)$")
    canvas.supxlabel(f"{parameters['num_seeds']} seeds: {BANDS}", fontsize=7, color="0.3")
    figure_style.panel_letter(left, "a")
    figure_style.panel_letter(right, "b")
    return canvas


FIGURE = Figure(
    name="fig4_one_hidden_layer",
    title="One hidden layer: curvature and gradient noise along training",
    claim="Tr(H Sigma) is far above that of isotropic noise of equal trace, the more the wider",
    revision=1,
    scales=SCALES,
    costs=COSTS,
    make_units=make_units,
    compute_unit=compute_unit,
    collect=collect,
    judge=judge,
    draw=draw,
    options=OPTIONS,
    bands=BANDS,
)

if __name__ == "__main__":
    sys.exit(figure_command.main(FIGURE))
