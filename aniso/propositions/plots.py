"""Figures of a verification's evidence, drawn from the series that its checks carry."""

import argparse
import json
import sys
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from aniso.propositions import report
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
_PROPOSITION1_KEY = (
    "points: least ratio ($a=k=1$)\nline: explicit bound,  dotted: published $D^{2d-1}$"
)
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
    """Write one PNG a group that has evidence to show.

    Parameters
    ----------
    results : sequence of aniso.propositions.report.TaskResult
    folder : path-like
        Existing folder.

    Returns
    -------
    list of Path
        The files written.
    """
    folder, written = Path(folder), []
    for group, drawing in _DRAWINGS.items():
        checks = [check for r in results if r.group == group for check in r.checks if check.series]
        if not checks:
            continue
        with matplotlib.rc_context(_STYLE):
            figure = drawing(checks)
            path = folder / f"{group}.png"
            with files.atomic_writer(path, "wb") as stream:
                figure.savefig(stream, format="png")
        written.append(path)
    return written


def _named(checks, name):
    return [check for check in checks if check.name == name]


def _definition1(checks):
    """Slope, curve and plateau of four structures; simulation against the closed form."""
    figure = Figure(figsize=(7.2, 3.0))
    left, right = figure.subplots(1, 2)
    for check in _named(checks, "plateau"):
        times = check.series["times"]
        for name, curve in check.series.items():
            if name != "times":
                left.loglog(times, curve, label=name)
        left.axhline(check.bound, color="0.5", lw=0.8, ls=":")
        left.annotate(
            "Tr Σ / 4",
            (times[0], check.bound),
            xytext=(0, -3),
            color="0.4",
            textcoords="offset points",
            va="top",
        )
    left.set(
        xlabel="time $t$",
        ylabel=r"$E[L(\theta_t)] - L(\theta_0)$",
        title="One trace, four noise structures",
    )
    left.legend(loc="lower right")
    for index, check in enumerate(_named(checks, "simulated chain")):
        series, scale = check.series, max(map(abs, check.series["closed_form"]))
        right.errorbar(
            series["steps"],
            [value / scale for value in series["simulated"]],
            yerr=[2 * error / scale for error in series["standard_error"]],
            fmt="o",
            ms=3.5,
            capsize=2,
            color=_COLOURS[index],
            label="real images" if "FashionMNIST" in check.setting else "random H, Σ",
        )
        right.plot(
            series["steps"],
            [value / scale for value in series["closed_form"]],
            color=_COLOURS[index],
            lw=1,
        )
    right.set(
        xscale="log",
        xlabel="step $k$",
        ylabel="mean loss / largest closed form",
        title="Simulated (±2 s.e.), closed form (line)",
    )
    right.legend()
    return figure


def _proposition1(checks):
    """Least ratio, explicit bound and published rate over D."""
    figure = Figure(figsize=(7.2, 3.0))
    axes = figure.subplots(1, 2)
    for axis, name, title in (
        (axes[0], "rate in D", r"$d < 1$: the ratio grows as $D^{2d-1}$"),
        (axes[1], "saturation", r"$d > 1$: the ratio saturates at order $D$"),
    ):
        for index, check in enumerate(_named(checks, name)):
            series, colour = check.series, _COLOURS[index]
            label = check.setting.split(",")[0].replace("d", "$d$")
            # smaller and smaller: where ratios coincide, all of them stay visible
            axis.loglog(
                series["num_parameters"],
                series["ratio"],
                _MARKERS[index],
                ms=(7, 4.5, 2.5)[index % 3],
                color=colour,
                label=label,
            )
            axis.loglog(series["num_parameters"], series["bound"], color=colour, lw=1)
            axis.loglog(
                series["num_parameters"], series["published_rate"], color=colour, lw=0.9, ls=":"
            )
        axis.set(xlabel="parameters $D$", title=title)
        bottom, top = axis.get_ylim()
        axis.set_ylim(top=top * (top / bottom) ** 0.35)
        axis.legend(
            loc="upper left",
            title=_PROPOSITION1_KEY,
            title_fontsize=8,
            ncols=3,
            handletextpad=0.1,
            columnspacing=1.0,
        )
    axes[0].set_ylabel(r"Tr($H\Sigma$) / Tr($H\bar{\Sigma}$)")
    return figure


def _proposition2(checks):
    """Sandwich of the pencil's eigenvalues at the end of training."""
    chosen = [
        check
        for check in _named(checks, "lower sandwich")
        if "pencil" in check.series and "h = 32," in check.setting and "synthetic" in check.setting
    ]
    losses = [("clipped squared", "Clipped squared loss"), ("logistic", "Logistic loss")]
    figure = Figure(figsize=(7.2, 3.4))
    axes = figure.subplots(1, 2)
    for axis, (loss, title) in zip(axes, losses, strict=True):
        for check in (check for check in chosen if loss in check.setting):
            index = list(_ACTIVATIONS).index(check.setting.split(", ")[2])
            values, colour = check.series["pencil"], _COLOURS[index]
            rank = [(i + 0.5) / len(values) for i in range(len(values))]
            axis.semilogy(rank, values, _MARKERS[index], ms=3.5, mew=0.7, mfc="none", color=colour)
            for value in (check.series["lowest_weight"][0], check.series["highest_weight"][0]):
                axis.axhline(value, color=colour, lw=0.8, ls="--")
        axis.set(xlabel="quantile of the spectrum", title=title)
    axes[0].set_ylabel("eigenvalues of $F$ relative to $H$")
    handles = [
        Line2D([], [], marker=marker, ms=4, mfc="none", ls="", color=colour, label=label)
        for label, marker, colour in zip(_ACTIVATIONS.values(), _MARKERS, _COLOURS, strict=False)
    ]
    handles.append(Line2D([], [], ls="--", lw=0.8, color="0.3", label="explicit bounds"))
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=5,
        title="synthetic data, $h$ = 32 hidden units, trained; activations:",
        title_fontsize=9,
        handletextpad=0.3,
        columnspacing=1.2,
    )
    return figure


def _proposition3(checks):
    """The projection coefficient along training against its guarantee."""
    chosen = [check for check in _named(checks, "along training") if ", relu, " in check.setting]
    widths = sorted({_width(check) for check in chosen})
    styles = dict(zip(widths, zip(_COLOURS, _MARKERS, strict=False), strict=False))
    figure = Figure(figsize=(7.2, 5.6))
    grid = figure.subplots(2, 2, sharex=True)
    for row, data in zip(grid, ("synthetic", "FashionMNIST"), strict=True):
        for axis, loss in zip(row, ("clipped squared", "logistic"), strict=True):
            own = [c for c in chosen if data in c.setting and f" {loss}," in c.setting]
            axis.set(yscale="log", title=f"{data}, {loss} loss")
            for check in own:
                width = _width(check)
                height = 0.03 + 0.045 * widths.index(width)
                _coefficient_and_guarantee(axis, check.series, *styles[width], height)
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
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=len(handles),
        title="ReLU networks of one hidden layer with $h$ units",
        title_fontsize=9,
        handletextpad=0.4,
        columnspacing=1.2,
    )
    return figure


_NO_GUARANTEE = {"marker": "v", "ms": 4, "mfc": "none"}


def _width(check):
    return int(check.setting.split("h = ")[1].split(",")[0])


def _coefficient_and_guarantee(axis, series, colour, marker, height):
    """One network: its coefficient, its positive guarantees, and marks where there are none.

    The marks lie at a height in units of the axis, whatever its range.
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
    marks.set_in_layout(False)  # the extent of a logarithmic axis is none of theirs


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
        0.
    """
    parser = argparse.ArgumentParser(
        prog="python -m aniso.propositions.plots", description=_PURPOSE
    )
    parser.add_argument("file", type=Path, help="written by verify_propositions --json")
    parser.add_argument("folder", type=Path, help="existing folder for the figures")
    options = parser.parse_args(arguments)
    stored = json.loads(options.file.read_text(encoding="utf-8"))
    for path in draw(report.results_of(stored), options.folder):
        print(f"wrote {path}")
    return 0


_PURPOSE = "Draw the evidence of a verification anew, from its stored numbers."

if __name__ == "__main__":
    sys.exit(main())
