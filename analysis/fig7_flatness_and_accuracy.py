"""Figure 7: expected sharpness against test accuracy, over all dynamics and seeds of Figure 3.

It draws the runs of Figure 3 and computes none of its own where these are done. It asks what the
structure of the noise changes at equal sharpness.
"""

import sys
from dataclasses import dataclass, replace

import numpy as np
from matplotlib.figure import Figure as Canvas

from analysis import claims, fig3_fashion_mnist, figure_command, figure_style
from analysis.fig3_fashion_mnist import DYNAMICS
from analysis.figure_style import COLOURS, LABELS, MARKERS


@dataclass(frozen=True)
class Adjusted:
    """Test accuracy at equal sharpness.

    Attributes
    ----------
    slope, slope_error : float
        Change of the accuracy for a factor e in sharpness, within seeds, over dynamics and seeds;
        its standard error over seeds, infinite for one seed.
    residual, residual_error : ndarray, shape (dynamics,)
        Mean over seeds of the accuracy that the line leaves over, and its standard error, as of
        :func:`analysis.claims.over_seeds`.
    """

    slope: float
    slope_error: float
    residual: np.ndarray
    residual_error: np.ndarray


def ends(arrays):
    """Return log sharpness and accuracy at the last record, (seeds, dynamics).

    NaN where a run diverged, where its sharpness is not above 0, or where it has lost the data.
    """
    sharpness, accuracy, fitted = (
        arrays[name][..., -1] for name in ("expected_sharpness", "test_accuracy", "accuracy")
    )
    kept = (sharpness > 0) & (fitted >= claims.LEARNT)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(kept, np.log(sharpness), np.nan), np.where(kept, accuracy, np.nan)


def adjusted(arrays):
    """Return the accuracy at equal sharpness: a line for every seed, with one slope.

    The mean of a seed is removed, because seeds differ in their images and starts. The error of the
    slope comes from leaving out one seed at a time.

    Returns
    -------
    Adjusted
    """
    x, y = (values - np.nanmean(values, axis=1, keepdims=True) for values in ends(arrays))

    def slope(rows):
        known = np.isfinite(x[rows])
        return np.sum(x[rows][known] * y[rows][known]) / np.sum(x[rows][known] ** 2)

    count = len(x)
    whole, error = claims.jackknife(slope, count) if count > 1 else (slope(slice(None)), np.inf)
    left_over = []
    for column in (y - whole * x).T:
        known = column[np.isfinite(column)]
        left_over.append(claims.over_seeds(known) if known.size else (np.nan, np.inf))
    mean, errors = np.array(left_over).T
    return Adjusted(float(whole), float(error), mean, errors)


def judge(parameters, arrays):
    """Judge whether flatter ends are more accurate; the structures at equal sharpness are told.

    In a study the slope is a description: its design has no such claim.
    """
    found = adjusted(arrays)
    count = len(arrays["accuracy"])
    widened = claims.widening(count) if count > 1 else 1.0
    lost = int(np.isnan(ends(arrays)[0]).sum())
    told = [
        f"{LABELS[name]} {value:+.4f} ± {error:.2g}"
        for name, value, error in zip(DYNAMICS, found.residual, found.residual_error, strict=True)
        if np.isfinite(error)
    ]
    name, statement = (
        "flatter is more accurate",
        "within a seed, dynamics that end flatter end at higher test accuracy",
    )
    measured = "change of the accuracy for a factor e less in sharpness"
    gap, error = -found.slope, widened * found.slope_error
    left_out = f"; {lost} runs that lost the data or diverged are left out" * bool(lost)
    if "margins" in parameters:  # no claim of the design, see docs/study.md
        text = f"{measured} ({claims.difference_text(gap, error)}){left_out}"
        slope = claims.described(name, statement, text)
    else:
        slope = claims.judged(name, statement, gap, error, measured, remark=left_out)
    return [
        slope,
        claims.described(
            "at equal sharpness",
            "test accuracy above the common line, the mean over the dynamics being 0",
            ", ".join(told) or "one seed: no error bars",
        ),
    ]


def draw(parameters, arrays):
    """Draw accuracy against sharpness with the common slope, and what the line leaves over."""
    canvas = Canvas(figsize=(7.2, 3.1))
    left, right = canvas.subplots(1, 2)
    logarithm, accuracy = ends(arrays)
    found = adjusted(arrays)
    for number, name in enumerate(DYNAMICS):
        style = {"color": COLOURS[name], "marker": MARKERS[name], "ls": "none", "mew": 0}
        sharpness = np.exp(logarithm[:, number])
        left.semilogx(sharpness, 100 * accuracy[:, number], ms=4.5, label=LABELS[name], **style)
        bar = 200 * found.residual_error[number]
        right.errorbar(
            100 * found.residual[number],
            len(DYNAMICS) - number,
            xerr=bar if np.isfinite(bar) else None,
            ms=5,
            capsize=2,
            elinewidth=1,
            **style,
        )
    middle = np.nanmean(logarithm), np.nanmean(accuracy)
    line = np.array([np.nanmin(logarithm), np.nanmax(logarithm)])
    height = middle[1] + found.slope * (line - middle[0])
    left.plot(np.exp(line), 100 * height, "-", color=figure_style.GREY, lw=1, zorder=0)
    radius = parameters["radius"]
    left.set(
        xlabel=rf"expected sharpness at the end, $\delta$ = {radius:g}",
        ylabel="test accuracy (%)",
        title="points: seeds; line: common slope",
    )
    right.axvline(0, color="0.7", lw=0.8, zorder=0)
    right.set(
        yticks=np.arange(len(DYNAMICS), 0, -1),
        yticklabels=[LABELS[name] for name in DYNAMICS],
        xlabel="accuracy above the line (percentage points)",
        title="at equal sharpness ± 2 errors",
    )
    for letter, axes in zip("ab", (left, right), strict=True):
        figure_style.panel_letter(axes, letter)
    canvas.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=5)
    return canvas


FIGURE = replace(
    fig3_fashion_mnist.FIGURE,
    name="fig7_flatness_and_accuracy",
    title="FashionMNIST: expected sharpness against test accuracy",
    claim="Within a seed, dynamics that end flatter end at higher test accuracy",
    judge=judge,
    draw=draw,
    bands="",
    runs="fig3_fashion_mnist",
)

if __name__ == "__main__":
    sys.exit(figure_command.main(FIGURE))
