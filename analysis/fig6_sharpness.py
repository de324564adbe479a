"""Figure 6: expected sharpness along the runs of Figure 1."""

import sys

import numpy as np

from analysis import figure_command, figure_style, vgg, vgg_claims
from analysis.figure import Figure


def judge(parameters, arrays):
    """Judge the caption's claim for each data set, at the last iteration."""
    errors = arrays["expected_sharpness_error"][..., -1]

    def own_error(number, pair):
        known = errors[number][:, pair]
        known = known[np.isfinite(known)]
        return float(np.sqrt(2 * np.square(known).mean())) if known.size else np.nan

    if "margins" in parameters:
        return vgg_claims.decided(parameters, _effects(parameters, arrays))
    return vgg_claims.compared(parameters, arrays, "expected_sharpness", own_error, _claim)


def _claim(name, place, aligned, other):
    lower, upper = figure_style.LABELS[aligned], figure_style.LABELS[other]
    statement = f"{place}: {lower} ends at lower expected sharpness than {upper}"
    return f"{name}: {aligned} flatter than {other}", statement, -1


def _effects(parameters, arrays):
    return vgg_claims.study_effects(parameters, arrays, "expected_sharpness", _claim)


def draw(parameters, arrays):
    """Draw expected sharpness by iteration, a panel for each data set.

    A study has its paired effects below.
    """
    names, study = parameters["datasets"], "margins" in parameters
    canvas, panels = vgg_claims.panels_of(1, len(names), 2.2, study)
    for column, (axes, name) in enumerate(zip(panels[0], names, strict=True)):
        curves = arrays["expected_sharpness"][column]
        figure_style.plot_dynamics(axes, arrays["step"], curves, vgg.DYNAMICS, logarithmic=True)
        axes.set(
            title=vgg_claims.title(name, arrays["source"][column]),
            xlabel="iteration",
            ylabel=rf"expected sharpness, $\delta$ = {parameters['radius']:g}",
        )
        axes.set_yscale("log")
    found = [claim.verdict for claim in judge(parameters, arrays)] if study else ()
    if study:
        vgg_claims.draw_effects(panels[1], _effects(parameters, arrays), found)
    for letter, axes in zip("abcd", panels.flat, strict=False):
        figure_style.panel_letter(axes, letter)
    some = (arrays["expected_sharpness"] <= 0).any()
    lost = "; triangles: a seed at or below 0 has no place" * bool(some)
    note = figure_style.seeds_note(parameters["num_seeds"], figure_style.GEOMETRIC)
    vgg_claims.draw_legend(canvas, panels[0, 0], note + lost, found)
    return canvas


FIGURE = Figure(
    name="fig6_sharpness",
    title="VGG-11 from random weights: expected sharpness",
    claim="SGD and GLD diag end at flatter minima than GD, GLD const and GLD dynamic",
    judge=judge,
    draw=draw,
    bands=figure_style.GEOMETRIC,
    **vgg.FIELDS,
)

if __name__ == "__main__":
    sys.exit(figure_command.main(FIGURE))
