"""``python -m analysis``: the figures with their cost and their claim."""

from analysis import (
    alignment_and_exit,
    fig1_generalization,
    fig2_two_basins,
    fig3_fashion_mnist,
    fig4_one_hidden_layer,
    fig5_curvature,
    fig6_sharpness,
    fig7_flatness_and_accuracy,
    fig8_escape,
    fig9_depth,
    fig10_stability,
    folders,
    vgg_tuning,
)

FIGURES = {
    module.FIGURE.name: module.FIGURE
    for module in (
        fig1_generalization,
        fig2_two_basins,
        fig3_fashion_mnist,
        fig4_one_hidden_layer,
        fig5_curvature,
        fig6_sharpness,
        fig7_flatness_and_accuracy,
        fig8_escape,
        fig9_depth,
        fig10_stability,
        alignment_and_exit,
        vgg_tuning,
    )
}


def listing():
    """Return the list as text."""
    lines = []
    for name, figure in FIGURES.items():
        lines.append(f"python -m analysis.{name}")
        lines.append(f"    {figure.title}")
        lines.append(f"    claim: {figure.claim}")
        for scale, cost in figure.costs.items():
            lines.append(f"    --scale {scale:<7} {cost}")
    lines += [
        "",
        f"pictures and their data go to {folders.FIGURES} (--output FOLDER names another),",
        f"checkpoints to {folders.RUNS} (--runs FOLDER)",
        "--set NAME=VALUE gives another value of a parameter; --help of each figure lists them",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    print(listing())
