"""Drawings of a diagnosis: its readings, its spectrum and its blocks."""

import math

from matplotlib import rc_context
from matplotlib.lines import Line2D

from aniso import checks
from aniso.diagnostics._marks import (
    BLUE,
    RED,
    RULE,
    STYLE,
    TEXT,
    add_legend,
    axes_of,
    draw_number,
    fix_limits,
    label_rows,
    mark,
)

_MOST_BLOCKS = 30
_RATIOS = {"ratio", "share", "coefficient", "signal", "blocks", "density"}
"""Words in names of numbers that have no unit."""


def plot_readings(diagnosis, axes=None):
    """Draw the readings with bars of one standard error, on a logarithmic axis.

    Ratios and shares stand below the other quantities. A hollow mark is a negative number, drawn at
    its absolute value. Zeros and numbers that are not finite are written instead.

    Parameters
    ----------
    diagnosis : Diagnosis
    axes : matplotlib.axes.Axes or Figure, optional
        Where to draw. An empty figure gets axes and a fitting size; so does a new one of pyplot if
        not given.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    InputError
        If there is no reading.
    """
    if not len(diagnosis):
        raise checks.InputError(
            f"the diagnosis has no readings; expected at least one ({len(diagnosis.refused)} "
            "quantities were refused, see .refused)"
        )
    ratios = [reading for reading in diagnosis.values() if is_ratio(reading)]
    others = [reading for reading in diagnosis.values() if not is_ratio(reading)]
    gap = 1 if ratios and others else 0
    rows = [*enumerate(others), *enumerate(ratios, len(others) + gap)]
    with rc_context(STYLE):
        axes = axes_of(axes, 0.24 * (len(rows) + gap))
        fix_limits(axes, [(each.value, each.standard_error) for each in diagnosis.values()])
        label_rows(axes, {row: reading.name.replace("_", " ") for row, reading in rows})
        for row, reading in rows:
            colour, marker = (RED, "D") if is_ratio(reading) else (BLUE, "o")
            draw_number(axes, row, reading.value, reading.standard_error, colour, marker)
        if gap:
            axes.axhline(len(others), color=RULE, lw=0.7)
        axes.set_xlabel("value ± standard error")
        kinds = ((BLUE, "o", "quantity", others), (RED, "D", "ratio or share", ratios))
        handles = [mark(colour, marker, label) for colour, marker, label, some in kinds if some]
        add_legend(axes, handles, any(reading.value < 0 for reading in diagnosis.values()))
    return axes


def plot_spectrum(diagnosis, axes=None):
    """Draw the density of eigenvalues with its band, the outliers and the threshold 2/η.

    Parameters
    ----------
    diagnosis : Diagnosis
        With a reading whose details hold "eigenvalues" and "density", and "lower" and "upper" for a
        band. Outliers are the "values" in the details of a reading named outliers. η is the setting
        learning_rate.
    axes : matplotlib.axes.Axes or Figure, optional
        Where to draw. An empty figure gets axes and a fitting size; so does a new one of pyplot if
        not given.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    InputError
        If no reading has a density.
    """
    details = density_details(diagnosis)
    if details is None:
        raise checks.InputError(
            "no reading of the diagnosis holds a spectral density; expected quantities that "
            "include it, for instance quantities='spectrum'"
        )
    points, density = details["eigenvalues"], details["density"]
    with rc_context(STYLE):
        axes = axes_of(axes, 1.9)
        axes.set_yscale("log")
        (line,) = axes.plot(points, density, color=BLUE, lw=1.2, label="density")
        handles = [line]
        if "lower" in details and "upper" in details:
            band = axes.fill_between(
                points, details["lower"], details["upper"], color=BLUE, alpha=0.3, lw=0
            )
            band.set_label(_band_label(details))
            handles.append(band)
        peak = max((value for value in density if math.isfinite(value)), default=1.0)
        peak = peak if peak > 0 else 1.0
        axes.set_ylim(peak * 1e-5, peak * 3)
        outliers = _outliers(diagnosis)
        if outliers:
            heights = [0.035] * len(outliers)
            (marks,) = axes.plot(
                outliers, heights, "v", ms=5, mfc="none", mew=1, color=RED, clip_on=False,
                transform=axes.get_xaxis_transform(), label=f"outliers ({len(outliers)})",
            )  # fmt: skip
            handles.append(marks)
        handles += _threshold(axes, diagnosis.settings.get("learning_rate"), [*points, *outliers])
        axes.set(xlabel="eigenvalue λ", ylabel="density, per unit of λ")
        add_legend(axes, handles, False)
    return axes


def plot_blocks(diagnosis, axes=None):
    """Draw for each block of theta its trace ratio and its share of the alignment.

    Both have no unit and share a logarithmic axis; a hollow mark is a negative number. The ratio of
    isotropic noise is 1.

    Parameters
    ----------
    diagnosis : Diagnosis
        Its blocks have the columns "ratio" and "share", with "ratio error" and "share error" where
        there are errors. Of more than 30 blocks those of the largest shares are drawn.
    axes : matplotlib.axes.Axes or Figure, optional
        Where to draw. An empty figure gets axes and a fitting size; so does a new one of pyplot if
        not given.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    InputError
        If there are no blocks.
    """
    if not diagnosis.blocks:
        raise checks.InputError(
            "the diagnosis has no blocks; expected a problem with parameter blocks, or blocks="
        )
    chosen = _largest_blocks(diagnosis.blocks)
    series = (("ratio", "D", RED, -0.16), ("share", "o", BLUE, 0.16))
    with rc_context(STYLE):
        axes = axes_of(axes, 0.34 * len(chosen))
        numbers = [
            (columns[name], columns.get(f"{name} error", 0.0), row + offset, colour, marker)
            for row, columns in enumerate(chosen.values())
            for name, marker, colour, offset in series
            if name in columns
        ]
        fix_limits(axes, [(1.0, 0.0), *(pair[:2] for pair in numbers)])
        label_rows(axes, dict(enumerate(chosen)))
        for value, error, row, colour, marker in numbers:
            draw_number(axes, row, value, error, colour, marker)
        axes.axvline(1, color=TEXT, lw=1, ls="--", zorder=1)
        axes.set_xlabel("trace ratio, share of Tr(H Σ)")
        if len(chosen) < len(diagnosis.blocks):
            axes.set_title(
                f"{len(chosen)} of {len(diagnosis.blocks)} blocks, of the largest shares",
                fontsize=9,
                loc="left",
            )
        handles = [mark(RED, "D", "trace ratio"), mark(BLUE, "o", "share")]
        add_legend(axes, handles, any(value < 0 for value, *_ in numbers))
    return axes


def is_ratio(reading):
    """Return whether a reading has no unit, by the words of its name.

    Examples
    --------
    >>> from aniso.diagnostics import Reading
    >>> is_ratio(Reading("trace_ratio", 2.0)), is_ratio(Reading("hessian_trace", 2.0))
    (True, False)
    """
    return not _RATIOS.isdisjoint(reading.name.split("_"))


def density_details(diagnosis):
    """Return the details of the first reading that has a density of eigenvalues, or None."""
    for reading in diagnosis.values():
        if {"eigenvalues", "density"} <= reading.details.keys():
            return reading.details
    return None


def _outliers(diagnosis):
    for reading in diagnosis.values():
        if "outliers" in reading.name and "values" in reading.details:
            return list(reading.details["values"])
    return []


def _band_label(details):
    share = details.get("confidence")
    return "band" if share is None else f"{share:.0%} band"


def _threshold(axes, learning_rate, shown):
    """Draw 2/η where it does not push the spectrum together, and return its legend."""
    if not isinstance(learning_rate, (int, float)) or not learning_rate > 0:
        return []
    limit, low, high = 2 / learning_rate, min(shown), max(shown)
    line = {"color": TEXT, "lw": 1, "ls": "--"}
    label = f"2/η = {limit:.4g}"
    if limit > high + 2 * (high - low):
        return [Line2D([], [], label=f"{label}, beyond the right edge", **line)]
    return [axes.axvline(limit, label=label, **line)]


def _largest_blocks(blocks):
    if len(blocks) <= _MOST_BLOCKS:
        return dict(blocks)

    def share(name):
        value = abs(blocks[name].get("share", 0.0))
        return value if math.isfinite(value) else 0.0

    kept = set(sorted(blocks, key=share, reverse=True)[:_MOST_BLOCKS])
    return {name: columns for name, columns in blocks.items() if name in kept}
