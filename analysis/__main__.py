"""``python -m analysis``: the figures of the paper with their cost and their claim."""

from analysis import figure_command, folders

FIGURES = (
    "fig1_generalization",
    "fig2_two_basins",
    "fig3_fashion_mnist",
    "fig4_one_hidden_layer",
    "fig5_curvature",
    "fig6_sharpness",
)


def listing():
    """The list as text."""
    lines = []
    for name in FIGURES:
        figure = figure_command.named(name)
        lines.append(f"python -m analysis.{name}")
        lines.append(f"    {figure.title}")
        lines.append(f"    claim: {figure.claim}")
        for scale in figure_command.SCALES:
            lines.append(f"    --scale {scale:<7} {figure.costs[scale]}")
    lines += [
        "",
        f"pictures and their data go to {folders.FIGURES} (--output FOLDER names another),",
        f"checkpoints to {folders.RUNS} (--runs FOLDER)",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    print(listing())
