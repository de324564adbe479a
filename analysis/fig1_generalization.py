"""Figure 1: test accuracy of VGG-11 along GD, three GLDs and SGD."""

import sys

import numpy as np

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

    if "margins" in parameters:
        return vgg_claims.decided(parameters, _effects(parameters, arrays))
    return vgg_claims.compared(parameters, arrays, "test_accuracy", own_error, _claim)


def _claim(name, place, aligned, other):
    upper, lower = figure_style.LABELS[aligned], figure_style.LABELS[other]
    statement = f"{place}: {upper} ends at higher test accuracy than {lower}"
    return f"{name}: {aligned} above {other}", statement, 1


def _effects(parameters, arrays):
    return vgg_claims.study_effects(parameters, arrays, "test_accuracy", _claim)


def draw(parameters, arrays):
    """Draw test accuracy over training accuracy, a column for each data set.

    A study has its paired effects below.
    """
    names, study = parameters["datasets"], "margins" in parameters
    canvas, panels = vgg_claims.panels_of(2, len(names), 1.9, study)
    for column, name in enumerate(names):
        heading = vgg_claims.title(name, arrays["source"][column])
        for row, quantity in enumerate(("test_accuracy", "accuracy")):
            axes = panels[row, column]
            curves = 100 * arrays[quantity][column]
            figure_style.plot_dynamics(axes, arrays["step"], curves, vgg.DYNAMICS)
            axes.set(ylabel=("test", "training")[row] + " accuracy (%)")
        panels[0, column].set_title(heading)
        panels[0, column].tick_params(labelbottom=False)
        panels[1, column].set(xlabel="iteration")
    found = [claim.verdict for claim in judge(parameters, arrays)] if study else ()
    if study:
        vgg_claims.draw_effects(panels[2], _effects(parameters, arrays), found)
    for letter, axes in zip("abcdefgh", panels.flat, strict=False):
        figure_style.panel_letter(axes, letter)
    vgg_claims.draw_legend(
        canvas, panels[0, 0], figure_style.seeds_note(parameters["num_seeds"]), found
    )
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
