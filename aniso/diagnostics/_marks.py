"""Rows of numbers on a logarithmic axis: the look of the drawings of a diagnosis."""

import math

from matplotlib import pyplot
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from aniso.diagnostics._rounding import rounded

# Okabe & Ito's palette, distinguishable with every common colour blindness
BLUE, RED = "#0072b2", "#d55e00"
TEXT, RULE = "#1c1c1a", "#c9c9c4"
STYLE = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "axes.edgecolor": TEXT,
    "axes.labelcolor": TEXT,
    "text.color": TEXT,
    "xtick.color": TEXT,
    "ytick.color": TEXT,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
    "svg.fonttype": "path",
}
WIDTH = 4.4  # inches: on a phone the letters stay legible
_LONGEST_NAME = 23


def axes_of(axes, height):
    """Return axes: the given ones, or new ones of a height in inches, without the labels."""
    size = (WIDTH, height + 0.95)
    if axes is None:
        _, axes = pyplot.subplots(figsize=size)
    elif isinstance(axes, Figure):
        axes.set_layout_engine("constrained")
        axes.set_size_inches(*size)
        axes = axes.subplots()
    return axes


def draw_number(axes, row, value, error, colour, marker):
    """Draw a number with its bar, hollow if negative; write one that has no place."""
    if not _is_drawn(value):
        axes.text(
            0.01, row, rounded(value), transform=axes.get_yaxis_transform(), va="center",
            color=colour, fontsize=8,
        )  # fmt: skip
        return
    error = error if math.isfinite(error) else 0.0
    face = colour if value > 0 else "none"
    axes.errorbar(
        abs(value), row, xerr=error or None, fmt=marker, ms=4.5, mfc=face, mew=1, color=colour,
        elinewidth=1.2, capsize=2.5,
    )  # fmt: skip


def label_rows(axes, names):
    """Write the names of the rows, given by height, the first at the top."""
    axes.set_yticks(list(names), [_shortened(name) for name in names.values()])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(max(names) + 0.6, min(names) - 0.6)
    axes.grid(axis="x", color=RULE, lw=0.5)
    axes.set_axisbelow(True)


def fix_limits(axes, numbers):
    """Fix a logarithmic axis to what is drawn; a bar down to 0 or below ends at its left edge."""
    axes.set_xscale("log")
    drawn = [(abs(value), error) for value, error in numbers if _is_drawn(value)]
    ends = [end for value, error in drawn for end in (value, value + error, value - error)]
    ends = [end for end in ends if _is_drawn(end) and end > 0]
    low, high = (min(ends), max(ends)) if ends else (1.0, 1.0)
    # at least two decades, so that there are ticks
    spare = max(0.08 * math.log10(high / low), 1 - math.log10(high / low) / 2, 0.15)
    factor = 10**spare
    axes.set_xlim(low / factor, high * factor)


def _is_drawn(value):
    """Whether a number has a place on a logarithmic axis, whose ticks overflow near 1e308."""
    return value != 0 and 1e-200 < abs(value) < 1e200


def mark(colour, marker, label, face=None):
    """Return an entry of a legend."""
    return Line2D(
        [], [], color=colour, marker=marker, ms=4.5, mew=1, ls="", mfc=face or colour, label=label
    )


def add_legend(axes, handles, negative):
    """Place a legend in one line above the axes; say what hollow marks are where there are any."""
    if negative:
        handles = [*handles, mark(TEXT, "o", "negative", "none")]
    axes.legend(
        handles=handles, loc="lower left", bbox_to_anchor=(0, 1), ncols=len(handles), fontsize=8,
        handletextpad=0.4, columnspacing=1.2, borderaxespad=0.2,
    )  # fmt: skip


def _shortened(name):
    """Return a name without line breaks and formulas; the middle of a long one is left out."""
    plain = "".join(letter if letter.isprintable() else " " for letter in name)
    plain = " ".join(plain.split())
    if len(plain) > _LONGEST_NAME:
        plain = f"{plain[:9]}…{plain[len(plain) - _LONGEST_NAME + 10 :]}"
    return plain.replace("$", r"\$")
