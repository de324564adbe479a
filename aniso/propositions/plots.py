"""Figures of a verification, drawn from the series of numbers that its checks carry."""

import argparse
import json
import sys
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from aniso import checks
from aniso.propositions import document
from aniso.runs import files

# Okabe & Ito's palette, distinguishable with every common colour blindness.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKERS = ("o", "s", "^", "D")
_ACTIVATIONS = {
    "relu": "ReLU",
    "leaky_relu": "leaky ReLU",
    "abs": "absolute value",
    "hard_tanh": "hard tanh",
}
_STYLE = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": matplotlib.cycler(color=_COLOURS),
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
    "savefig.dpi": 200,
}


def draw(results, folder):
    """Write one PNG file for each group that has data to draw.

    Parameters
    ----------
    results : sequence of aniso.propositions.report.TaskResult
        Checks of each task.
    folder : path-like
        Existing folder.

    Returns
    -------
    list of Path
        The files written.
    """
    folder, written = Path(folder), []
    for group, drawing in _DRAWINGS.items():
        drawn = [check for r in results if r.group == group for check in r.checks if check.series]
        if not drawn:
            continue
        with matplotlib.rc_context(_STYLE):
            figure = drawing(drawn)
            path = folder / f"{group}.png"
            with files.atomic_writer(path, "wb") as stream:
                figure.savefig(stream, format="png")
        written.append(path)
    return written


def _named(checks, name, *parts):
    """Return the checks of one name whose setting contains all the given parts."""
    return [
        check
        for check in checks
        if check.statement.name == name and all(part in check.statement.setting for part in parts)
    ]


def _lettered(axes, titles):
    """Set the titles of the panels; each begins with the letter of its panel."""
    for letter, axis, title in zip("abcd", axes, titles, strict=False):
        axis.set_title(f"({letter}) {title}", loc="left")


def _definition1(checks):
    """Draw the losses under four noise structures, and simulation against the closed form."""
    figure = Figure(figsize=(7.2, 3.0))
    left, right = figure.subplots(1, 2)
    for check in _named(checks, "plateau"):
        times = check.series["times"]
        for name, curve in check.series.items():
            if name != "times":
                left.loglog(times, curve, label=name.replace("H", "$H$"))
        left.axhline(check.bound, color="0.5", lw=0.8, ls=":")
        left.text(times[0], 0.9 * check.bound, r"Tr $\Sigma$ / 4", color="0.4", va="top")
    left.set(xlabel="time $t$", ylabel=r"$E[L(\theta_t)] - L(\theta_0)$")
    left.legend(loc="lower right", title="noise", alignment="left")
    for index, check in enumerate(_named(checks, "simulated chain")):
        steps, colour = check.series["steps"], _COLOURS[index]
        closed, simulated, error = (
            np.array(check.series[name]) / max(map(abs, check.series["closed_form"]))
            for name in ("closed_form", "simulated", "standard_error")
        )
        real = "FashionMNIST" in check.statement.setting
        label = "network on images" if real else r"random $H$, $\Sigma$"
        style = {"fmt": _MARKERS[index], "ms": 3.5, "capsize": 2, "color": colour}
        right.errorbar(steps, simulated, yerr=2 * error, label=label, **style)
        right.plot(steps, closed, color=colour, lw=1)
    right.plot([], [], color="0.3", lw=1, label="closed form")
    right.set(xscale="log", xlabel="step $k$", ylabel="mean loss / maximum")
    right.legend()
    _lettered((left, right), ("Four noises of one trace", "Simulated SGD, ±2 standard errors"))
    return figure


def _proposition1(checks):
    """Draw the least ratio, its bound and the published rate over D."""
    figure = Figure(figsize=(7.2, 3.4))
    axes = figure.subplots(1, 2)
    for axis, name in zip(axes, ("rate in D", "saturation"), strict=True):
        for index, check in enumerate(_named(checks, name)):
            series, colour = check.series, _COLOURS[index]
            label = check.statement.setting.split(",")[0].replace("d", "$d$")
            sizes = series["num_parameters"]
            # smaller and smaller: where ratios coincide, all of them stay visible
            size = (7, 4.5, 2.5)[index % 3]
            axis.loglog(sizes, series["ratio"], _MARKERS[index], ms=size, color=colour, label=label)
            axis.loglog(sizes, series["bound"], color=colour, lw=1)
            axis.loglog(sizes, series["published_rate"], color=colour, lw=0.9, ls=":")
            if index == 0:
                axis.loglog(sizes, sizes, color="0.3", lw=0.9, ls="--", zorder=5)
        axis.set(xlabel="number of parameters $D$")
        axis.legend(loc="upper left", ncols=3, handletextpad=0.1, columnspacing=1.0)
        bottom, top = axis.get_ylim()
        axis.set_ylim(top=top * (top / bottom) ** 0.15)
    axes[0].set_ylabel(r"Tr($H\Sigma$) / Tr($H\bar{\Sigma}$)")
    _lettered(axes, (r"$d < 1$: order $D^{2d-1}$", r"$d > 1$: order $D$, no more"))
    grey = {"color": "0.3"}
    handles = [
        Line2D([], [], marker="o", ms=4, ls="", label="least ratio, $a=k=1$", **grey),
        Line2D([], [], lw=1, label=r"bound $aD/(k+(D-k)D^{-d})^2$", **grey),
        Line2D([], [], lw=0.9, ls=":", label="published $aD^{2d-1}$", **grey),
        Line2D([], [], lw=0.9, ls="--", label="ceiling $D$", **grey),
    ]
    _shared_legend(figure, handles)
    return figure


def _shared_legend(figure, handles, title=None):
    """Place one legend below all panels, in one row."""
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=len(handles),
        title=title,
        title_fontsize=9,
        handletextpad=0.4,
        columnspacing=1.2,
    )


def _proposition2(checks):
    """Draw the eigenvalues of F relative to H at the end of training, between their bounds."""
    chosen = [
        check
        for check in _named(checks, "lower sandwich", "h = 32,", "synthetic")
        if "pencil" in check.series
    ]
    figure = Figure(figsize=(7.2, 3.4))
    axes = figure.subplots(1, 2)
    for axis, loss in zip(axes, ("clipped squared", "logistic"), strict=True):
        for check in _named(chosen, "lower sandwich", loss):
            index = list(_ACTIVATIONS).index(check.statement.setting.split(", ")[2])
            values, colour = check.series["pencil"], _COLOURS[index]
            rank = [(i + 0.5) / len(values) for i in range(len(values))]
            axis.semilogy(rank, values, _MARKERS[index], ms=3.5, mew=0.7, mfc="none", color=colour)
            for value in (check.series["lowest_weight"][0], check.series["highest_weight"][0]):
                axis.axhline(value, color=colour, lw=0.8, ls="--")
        axis.set(xlabel="quantile of the spectrum")
    axes[0].set_ylabel("eigenvalues of $F$ relative to $H$")
    _lettered(axes, ("Clipped squared loss", "Logistic loss"))
    handles = [
        Line2D([], [], marker=marker, ms=4, mfc="none", ls="", color=colour, label=label)
        for label, marker, colour in zip(_ACTIVATIONS.values(), _MARKERS, _COLOURS, strict=False)
    ]
    bounds = r"$w_{\min}$ and $w_{\max}$"
    handles.append(Line2D([], [], ls="--", lw=0.8, color="0.3", label=bounds))
    _shared_legend(
        figure, handles, "Trained networks of $h$ = 32 hidden units on synthetic data; activation:"
    )
    return figure


def _proposition3(checks):
    """Draw the projection coefficient along training and its guaranteed value."""
    chosen = _named(checks, "along training", ", relu, ")
    widths = sorted({_width(check) for check in chosen})
    styles = dict(zip(widths, zip(_COLOURS, _MARKERS, strict=False), strict=False))
    figure = Figure(figsize=(7.2, 5.6))
    grid = figure.subplots(2, 2, sharex=True)
    panels = [
        (data, loss)
        for data in ("synthetic", "FashionMNIST")
        for loss in ("clipped squared", "logistic")
    ]
    for axis, (data, loss) in zip(grid.flat, panels, strict=True):
        axis.set(yscale="log")
        for check in _named(chosen, "along training", data, f" {loss},"):
            width = _width(check)
            height = 0.03 + 0.045 * widths.index(width)
            _coefficient_and_guarantee(axis, check.series, *styles[width], height)
    _lettered(grid.flat, (f"{data}, {loss} loss" for data, loss in panels))
    for row in grid:
        row[0].set_ylabel("projection coefficient")
    for axis in grid[1]:
        axis.set_xlabel("epoch")
    handles = [
        Line2D([], [], marker=marker, ms=3, lw=1, color=colour, label=f"$h$ = {width}")
        for width, (colour, marker) in styles.items()
    ]
    grey = {"color": "0.3"}
    handles += [
        Line2D([], [], marker="o", ms=3, lw=1, label=r"measured $\hat{a}$", **grey),
        Line2D([], [], ls=":", marker="o", ms=1.5, lw=1.2, label="guaranteed $a$", **grey),
        Line2D([], [], ls="", **_NO_GUARANTEE, label=r"$a \leq 0$: no guarantee", **grey),
    ]
    _shared_legend(figure, handles, "ReLU networks of one hidden layer with $h$ units")
    return figure


_NO_GUARANTEE = {"marker": "v", "ms": 4, "mfc": "none"}


def _width(check):
    return int(check.statement.setting.split("h = ")[1].split(",")[0])


def _coefficient_and_guarantee(axis, series, colour, marker, height):
    """Draw the coefficient of one network, its positive guarantees, and marks where none is.

    The marks lie at a height in units of the axis, for any range.
    """
    epochs = np.array(series["epoch"])
    bound = np.array(series["bound"])
    axis.plot(epochs, series["measured"], marker=marker, ms=3, lw=1, color=colour)
    promised = np.where(bound > 0, bound, np.nan)
    axis.plot(epochs, promised, ":", marker=marker, ms=1.5, lw=1.2, color=colour)
    (marks,) = axis.plot(
        epochs[bound <= 0],
        np.full((bound <= 0).sum(), height),
        ls="",
        color=colour,
        transform=axis.get_xaxis_transform(),
        **_NO_GUARANTEE,
    )
    marks.set_in_layout(False)  # else they stretch the logarithmic axis


_DRAWINGS = {
    "definition1": _definition1,
    "proposition1": _proposition1,
    "proposition2": _proposition2,
    "proposition3": _proposition3,
}

GROUPS = tuple(_DRAWINGS)
"""Groups of the verification that have a figure."""


def main(arguments=None):
    """Draw the numbers that ``python -m aniso.verify_propositions --json FILE`` has stored.

    Parameters
    ----------
    arguments : sequence of str, optional
        The file, and an existing folder for the figures.

    Returns
    -------
    int
        0. A file of another version ends the process with status 2.
    """
    parser = argparse.ArgumentParser(
        prog="python -m aniso.propositions.plots",
        description="Draw the figures of a verification anew, from its stored numbers.",
    )
    parser.add_argument("file", type=Path, help="written by verify_propositions --json")
    parser.add_argument("folder", type=Path, help="existing folder for the figures")
    options = parser.parse_args(arguments)
    try:
        results = document.results_of(json.loads(options.file.read_text(encoding="utf-8")))
    except checks.InputError as error:
        parser.error(str(error))
    for path in draw(results, options.folder):
        print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
