"""The look of all figures: one palette, one label and one colour for each of the dynamics."""

import matplotlib
import numpy as np

BLUE, RED, GREEN, PINK, ORANGE, SKY, BLACK = (
    # Okabe & Ito's palette, distinguishable with every common colour blindness
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#000000",
)
GREY = "#7F7F7F"

LABELS = {
    "gd": "GD",
    "gld_constant": "GLD const",
    "gld_dynamic": "GLD dynamic",
    "gld_diagonal": "GLD diag",
    "gld_leading": "GLD leading",
    "gld_hessian": "GLD Hessian",
    "gld_first_eigenvector": "GLD 1st eigvec(H)",
    "sgd_gaussian": "SGD, Gaussian",
    "sgd": "SGD",
}
COLOURS = {
    "gd": GREY,
    "gld_constant": SKY,
    "gld_dynamic": BLUE,
    "gld_diagonal": GREEN,
    "gld_leading": RED,
    "gld_hessian": ORANGE,
    "gld_first_eigenvector": PINK,
    "sgd_gaussian": "#8C510A",
    "sgd": BLACK,
}
MARKERS = {
    "gd": "o",
    "gld_constant": "v",
    "gld_dynamic": "^",
    "gld_diagonal": "<",
    "gld_leading": "s",
    "gld_hessian": "D",
    "gld_first_eigenvector": "P",
    "sgd_gaussian": "X",
    "sgd": "*",
}

STYLE = {
    "font.size": 8,
    "axes.titlesize": 8.5,
    "axes.labelsize": 8,
    "legend.fontsize": 7,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "lines.linewidth": 1.3,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
    "axes.prop_cycle": matplotlib.cycler(color=(BLUE, RED, GREEN, PINK, ORANGE, SKY, BLACK)),
    "savefig.dpi": 220,
    "pdf.fonttype": 42,
}


SEEDS = "lines are means over seeds, bands reach from the smallest to the largest seed"


def seeds_note(num_seeds):
    """What lines and bands are, for the picture; "" of a single seed, which has no bands."""
    return "" if num_seeds < 2 else f"{num_seeds} seeds: {SEEDS}"


def smallest_mean_largest(curves):
    """Three lines over seeds (seeds, records); NaN where every run has diverged."""
    known = np.ma.masked_invalid(curves)
    return tuple(
        line.filled(np.nan) for line in (known.min(axis=0), known.mean(axis=0), known.max(axis=0))
    )


def panel_letter(axes, letter):
    """A bold letter at the upper left corner of a panel."""
    axes.set_title(letter, loc="left", fontweight="bold")
