"""Figure 1: test accuracy of VGG-11 along GD, three GLDs and SGD."""

import sys

import numpy as np
from matplotlib.figure import Figure as Canvas

from analysis import figure_command, figure_style, vgg, vgg_claims
from analysis.figure import Figure


def judge(parameters, arrays):
    """Judge the caption's claim for each data set, at the last iteration."""
    ends = arrays["test_accuracy"][..., -1]

    def own_error(number, pair):
        rates = ends[number][:, pair]
        rates = rates[np.isfinite(rates)]
        # as if the two networks erred independently: too wide rather than too narrow
        tested = vgg.of_dataset(parameters, parameters["datasets"][number])["num_test"]
        return np.sqrt((rates * (1 - rates)).mean() * 2 / tested) if rates.size else np.nan

    def claim(name, place, aligned, other):
        upper, lower = figure_style.LABELS[aligned], figure_style.LABELS[other]
        statement = f"{place}: {upper} ends at higher test accuracy than {lower}"
        return f"{name}: {aligned} above {other}", statement, 1

    if "margins" in parameters:
        return vgg_claims.study(parameters, arrays, "test_accuracy", claim)
    return vgg_claims.compared(parameters, arrays, "test_accuracy", own_error, claim)


def draw(parameters, arrays):
    """Draw test accuracy over training accuracy, a column for each data set."""
    names = parameters["datasets"]
    canvas = Canvas(figsize=(3.6 * max(len(names), 1.5), 4.4))
    panels = canvas.subplots(2, len(names), squeeze=False, sharex=True)
    for column, name in enumerate(names):
        heading = vgg_claims.title(name, arrays["source"][column])
        for row, quantity in enumerate(("test_accuracy", "accuracy")):
            axes = panels[row, column]
            curves = 100 * arrays[quantity][column]
            figure_style.plot_dynamics(axes, arrays["step"], curves, vgg.DYNAMICS)
            axes.set(ylabel=("test", "training")[row] + " accuracy (%)")
            figure_style.panel_letter(axes, "abcdefgh"[row * len(names) + column])
        panels[0, column].set_title(heading)
        panels[1, column].set(xlabel="iteration")
    vgg_claims.draw_legend(canvas, panels[0, 0], parameters["num_seeds"])
    return canvas


FIGURE = Figure(
    name="fig1_generalization",
    title="VGG-11 from random weights: test accuracy",
    claim="SGD and GLD diag generalise better than GD, GLD const and GLD dynamic",
    judge=judge,
    draw=draw,
    bands=figure_style.SEEDS,
    **vgg.FIELDS,
)

if __name__ == "__main__":
    sys.exit(figure_command.main(FIGURE))
