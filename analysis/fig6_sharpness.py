"""Figure 6: expected sharpness along the runs of Figure 1."""

import sys

import numpy as np
from matplotlib.figure import Figure as Canvas

from analysis import claims, figure_command, figure_style, vgg
from analysis.fig1_generalization import COSTS, require_images


def judge(parameters, arrays):
    """The caption's claim for each data set, at the last iteration."""
    found, labels = [], figure_style.LABELS
    ends = arrays["expected_sharpness"][..., -1]
    errors = arrays["expected_sharpness_error"][..., -1]
    for number, name in enumerate(parameters["datasets"]):
        place = vgg.title(name, arrays["source"][number])
        for lower in vgg.ALIGNED:
            for upper in vgg.ROUND:
                pair = [vgg.DYNAMICS.index(d) for d in (lower, upper)]
                own = float(np.sqrt(2 * np.nanmean(np.square(errors[number][:, pair]))))
                c = vgg.compare(ends[number], upper, lower, own)
                found.append(
                    claims.judged(
                        f"{name}: {lower} flatter than {upper}",
                        f"{place}: {labels[lower]} ends at lower expected sharpness than "
                        f"{labels[upper]}",
                        c.difference,
                        c.standard_error,
                        f"{c.second:.3g} against {c.first:.3g} (difference {c.difference:.2g} "
                        f"± {c.standard_error:.1g}){c.remark}",
                    )
                )
    return found


def draw(parameters, arrays):
    """Expected sharpness by iteration, a panel for each data set."""
    names = parameters["datasets"]
    canvas = Canvas(figsize=(3.6 * max(len(names), 1.5), 2.9))
    panels = canvas.subplots(1, len(names), squeeze=False)[0]
    for column, (axes, name) in enumerate(zip(panels, names, strict=True)):
        vgg.draw_curves(axes, arrays["step"], arrays["expected_sharpness"][column])
        axes.set(
            title=vgg.title(name, arrays["source"][column]),
            xlabel="iteration",
            ylabel=r"expected sharpness, $\delta = 10^{-3}$",
            yscale="symlog",
        )
        smallest = np.abs(arrays["expected_sharpness_error"][column]).max()
        axes.set_yscale("symlog", linthresh=float(smallest) or 1e-6)
        figure_style.panel_letter(axes, "ab"[column])
    handles, labels = panels[0].get_legend_handles_labels()
    canvas.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=5,
        title=figure_style.seeds_note(parameters["num_seeds"]),
        title_fontsize=7,
    )
    return canvas


FIGURE = figure_command.Figure(
    name="fig6_sharpness",
    title="VGG-11 from random weights: expected sharpness",
    claim="SGD and GLD diag end at flatter minima than GD, GLD const and GLD dynamic",
    scales=vgg.SCALES,
    costs=COSTS,
    make_units=vgg.make_units,
    compute_unit=vgg.compute_unit,
    collect=vgg.collect,
    judge=judge,
    draw=draw,
    require=require_images,
    steps_of=vgg.steps_of,
    takes_device=True,
    runs="vgg",
    bands=figure_style.SEEDS,
)

if __name__ == "__main__":
    sys.exit(figure_command.main("fig6_sharpness"))
