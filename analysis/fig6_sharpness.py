"""Figure 6: expected sharpness along the runs of Figure 1."""

import sys

import numpy as np
from matplotlib.figure import Figure as Canvas

from analysis import figure_command, figure_style, vgg, vgg_claims
from analysis.figure import Figure


def judge(parameters, arrays):
    """Judge the caption's claim for each data set, at the last iteration."""
    errors = arrays["expected_sharpness_error"][..., -1]

    def own_error(number, pair):
        known = errors[number][:, pair]
        known = known[np.isfinite(known)]
        return float(np.sqrt(2 * np.square(known).mean())) if known.size else np.nan

    def claim(name, place, aligned, other):
        lower, upper = figure_style.LABELS[aligned], figure_style.LABELS[other]
        statement = f"{place}: {lower} ends at lower expected sharpness than {upper}"
        return f"{name}: {aligned} flatter than {other}", statement, -1

    if "margins" in parameters:
        return vgg_claims.study(parameters, arrays, "expected_sharpness", claim)
    return vgg_claims.compared(parameters, arrays, "expected_sharpness", own_error, claim)


def draw(parameters, arrays):
    """Draw expected sharpness by iteration, a panel for each data set."""
    names = parameters["datasets"]
    canvas = Canvas(figsize=(3.6 * max(len(names), 1.5), 2.9))
    panels = canvas.subplots(1, len(names), squeeze=False)[0]
    for column, (axes, name) in enumerate(zip(panels, names, strict=True)):
        curves = arrays["expected_sharpness"][column]
        figure_style.plot_dynamics(axes, arrays["step"], curves, vgg.DYNAMICS)
        axes.set(
            title=vgg_claims.title(name, arrays["source"][column]),
            xlabel="iteration",
            ylabel=rf"expected sharpness, $\delta$ = {parameters['radius']:g}",
        )
        # linear where the numbers drown in their own error
        errors = arrays["expected_sharpness_error"][column]
        errors = errors[np.isfinite(errors)]
        axes.set_yscale("symlog", linthresh=errors.max(initial=1e-12))
        figure_style.panel_letter(axes, "ab"[column])
    vgg_claims.draw_legend(canvas, panels[0], parameters["num_seeds"])
    return canvas


FIGURE = Figure(
    name="fig6_sharpness",
    title="VGG-11 from random weights: expected sharpness",
    claim="SGD and GLD diag end at flatter minima than GD, GLD const and GLD dynamic",
    judge=judge,
    draw=draw,
    bands=figure_style.SEEDS,
    **vgg.FIELDS,
)

if __name__ == "__main__":
    sys.exit(figure_command.main(FIGURE))
