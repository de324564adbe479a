"""Figure 1: test accuracy of VGG-11 along GD, three GLDs and SGD."""

import sys

import numpy as np
from matplotlib.figure import Figure as Canvas

from analysis import claims, figure_command, figure_style, vgg

COSTS = {
    "small": "10 s, 40 FashionMNIST images, 12 iterations",
    "medium": "100 min of one core (50 min on two), 500 images, 1,500 iterations, three seeds",
    "paper": "1.4e19 flops a data set and seed, three days at 50 Tflop/s: for a graphics processor",
}


def require_images(parameters):
    """Load every data set once: refused, or downloaded, before the units begin.

    Raises
    ------
    InputError, OSError
        If one can't be had.
    """
    for name in parameters["datasets"]:
        vgg.load(name, parameters["split"])


def judge(parameters, arrays):
    """The caption's claim for each data set, at the last iteration."""
    found, labels = [], figure_style.LABELS
    ends = arrays["test_accuracy"][..., -1]
    for number, name in enumerate(parameters["datasets"]):
        place = vgg.title(name, arrays["source"][number])
        for upper in vgg.ALIGNED:
            for lower in vgg.ROUND:
                pair = ends[number][:, [vgg.DYNAMICS.index(d) for d in (upper, lower)]]
                # as if the two networks erred independently: too wide rather than too narrow
                own = np.sqrt(np.nanmean(pair * (1 - pair)) * 2 / parameters["num_test"])
                c = vgg.compare(ends[number], upper, lower, own)
                found.append(
                    claims.judged(
                        f"{name}: {upper} above {lower}",
                        f"{place}: {labels[upper]} ends at higher test accuracy than "
                        f"{labels[lower]}",
                        c.difference,
                        c.standard_error,
                        f"{c.first:.4f} against {c.second:.4f} (difference {c.difference:.2g} "
                        f"± {c.standard_error:.1g}){c.remark}",
                    )
                )
    return found


def draw(parameters, arrays):
    """Test accuracy over training accuracy, a column for each data set."""
    names = parameters["datasets"]
    canvas = Canvas(figsize=(3.6 * max(len(names), 1.5), 4.4))
    panels = canvas.subplots(2, len(names), squeeze=False, sharex=True)
    for column, name in enumerate(names):
        heading = vgg.title(name, arrays["source"][column])
        for row, quantity in enumerate(("test_accuracy", "accuracy")):
            axes = panels[row, column]
            vgg.draw_curves(axes, arrays["step"], 100 * arrays[quantity][column])
            axes.set(ylabel=("test", "training")[row] + " accuracy (%)")
            figure_style.panel_letter(axes, "abcdefgh"[row * len(names) + column])
        panels[0, column].set_title(heading)
        panels[1, column].set(xlabel="iteration")
    handles, labels = panels[0, 0].get_legend_handles_labels()
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
    name="fig1_generalization",
    title="VGG-11 from random weights: test accuracy",
    claim="SGD and GLD diag generalise better than GD, GLD const and GLD dynamic",
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
    sys.exit(figure_command.main("fig1_generalization"))
