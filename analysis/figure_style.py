"""The look of all figures: one palette, one label and one colour for each of the dynamics."""

import matplotlib
import numpy as np
from matplotlib import ticker
from matplotlib.lines import Line2D

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
    "gld_first_eigenvector": "GLD 1st eigenvector",
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

# Without strong noise along the curvature, dynamics may coincide: the later ones are drawn thinner.
_WIDTHS = {"gd": 3.0, "gld_constant": 2.2, "gld_dynamic": 1.5, "gld_diagonal": 0.8}
_SIZES = {"gd": 5.5, "gld_constant": 5, "gld_dynamic": 4, "gld_diagonal": 3}
_FEW_RECORDS = 8

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
GEOMETRIC = "lines are geometric means over seeds, bands geometric standard deviations"


def seeds_note(num_seeds, text=SEEDS):
    """Return the meaning of lines and bands; "" for a single seed, which has no bands."""
    return "" if num_seeds < 2 else f"{num_seeds} seeds: {text}"


def smallest_mean_largest(curves):
    """Return three lines over seeds (seeds, records); NaN where every run has diverged."""
    known = np.ma.masked_invalid(curves)
    return tuple(
        line.filled(np.nan) for line in (known.min(axis=0), known.mean(axis=0), known.max(axis=0))
    )


def geometric_spread(curves):
    """Return the geometric mean, divided and multiplied by the geometric standard deviation.

    A record where one is at or below 0 has none.

    Parameters
    ----------
    curves : ndarray, shape (seeds, records)
        NaN after a divergence.

    Returns
    -------
    low, middle, high : ndarray, shape (records,)
        Of the seeds that have not diverged; NaN where one is at or below 0, or none is left.

    Examples
    --------
    >>> low, middle, high = geometric_spread(np.array([[1.0, 5.0], [100.0, -1.0]]))
    >>> middle.round(12).tolist(), (high / middle).round(1).tolist()
    ([10.0, nan], [26.0, nan])
    """
    known = np.ma.masked_invalid(curves)
    logarithms = np.ma.log(np.ma.masked_where((known <= 0).any(axis=0) | known.mask, known))
    mean = logarithms.mean(axis=0)
    squares = ((logarithms - mean) ** 2).sum(axis=0)
    deviation = np.ma.sqrt(squares / np.maximum(logarithms.count(axis=0) - 1, 1))
    return tuple(
        np.ma.exp(line).filled(np.nan) for line in (mean - deviation, mean, mean + deviation)
    )


def plot_seeds(axes, steps, curves, logarithmic=False, **line):
    """Draw a line over seeds with its band; on a logarithmic axis both are geometric.

    Where a seed is at or below 0, a logarithmic axis has a triangle at its lower edge in the place
    of both.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Axes to draw on.
    steps : ndarray, shape (records,)
        Recorded steps.
    curves : ndarray, shape (seeds, records)
        Recorded values, one seed a row.
    logarithmic : bool
        Whether the vertical axis is logarithmic.
    **line
        Style of the line; "color" is needed.
    """
    low, middle, high = (geometric_spread if logarithmic else smallest_mean_largest)(curves)
    axes.plot(steps, middle, **line)
    colour = line["color"]
    if len(curves) > 1:
        axes.fill_between(steps, low, high, color=colour, alpha=0.13, lw=0)
    left_out = (curves <= 0).any(axis=0)
    if logarithmic and left_out.any():
        (marks,) = axes.plot(
            steps[left_out],
            np.full(left_out.sum(), 0.02),
            "v",
            ms=4,
            mfc="none",
            color=colour,
            transform=axes.get_xaxis_transform(),
        )
        marks.set_in_layout(False)


def plot_dynamics(axes, steps, curves, dynamics, logarithmic=False):
    """Draw a line for each of the dynamics; lines that coincide all stay visible.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Axes to draw on.
    steps : ndarray, shape (records,)
        Recorded steps.
    curves : ndarray, shape (seeds, dynamics, records)
        Recorded values.
    dynamics : sequence of str
        Names of the dynamics, in the order of `curves`.
    logarithmic : bool
        Whether the vertical axis is logarithmic.
    """
    for number, name in enumerate(dynamics):
        period = len(_WIDTHS) if name in _WIDTHS and len(steps) >= _FEW_RECORDS else 1
        plot_seeds(
            axes,
            steps,
            curves[:, number],
            logarithmic,
            color=COLOURS[name],
            lw=_WIDTHS.get(name, 1.1),
            marker=MARKERS[name],
            ms=_SIZES.get(name, 3.5),
            mew=0,
            markevery=(number % period, period),
            label=LABELS[name],
        )


def in_rows(num_columns, *rows):
    """Return handles and labels so that a legend, which fills columns, shows them in these rows.

    Parameters
    ----------
    num_columns : int
        Columns of the legend.
    *rows : (list, list)
        Handles and labels of one or more rows; a row longer than the columns goes on in the next.

    Returns
    -------
    handles, labels : list

    Examples
    --------
    >>> handles, labels = in_rows(2, (["a", "b"], ["A", "B"]), (["c"], ["C"]))
    >>> labels
    ['A', 'C', 'B', '']
    """
    cells = []
    for handles, labels in rows:
        own = list(zip(handles, labels, strict=True))
        own += [(Line2D([], [], ls="none"), "")] * (-len(own) % num_columns)
        cells += own
    ordered = [cell for column in range(num_columns) for cell in cells[column::num_columns]]
    return tuple(map(list, zip(*ordered, strict=True)))


def plain_logarithm(axis, digits):
    """Label a logarithmic axis by plain numbers, these digits in every decade."""
    axis.set_major_locator(ticker.LogLocator(subs=digits))
    axis.set_major_formatter(ticker.FormatStrFormatter("%g"))
    axis.set_minor_formatter(ticker.NullFormatter())


def panel_letter(axes, letter):
    """Write a bold letter at the upper left corner of a panel."""
    axes.set_title(letter, loc="left", fontweight="bold")
