"""Picture of the claims of a study: paired effects with their intervals, and the margin."""

import numpy as np
from matplotlib.lines import Line2D

from analysis import decisions, figure_style
from analysis.claims import Verdict

_LOOKS = {
    # by markers alone: the colours belong to the dynamics
    Verdict.HOLDS: {"color": figure_style.BLACK, "marker": ">"},
    Verdict.FAILS: {"color": figure_style.BLACK, "marker": "<"},
    Verdict.EQUIVALENT: {"color": figure_style.BLACK, "marker": "D"},
    Verdict.DESCRIPTION: {"color": figure_style.BLACK, "marker": "o"},
    Verdict.UNRESOLVED: {"color": figure_style.BLACK, "marker": "o", "mfc": "white"},
}


NOTE = (
    "paired effects with their single 95 % intervals, the margin in grey; the verdicts account "
    "for all claims of the figure"
)


def draw(axes, effects, verdicts, rows):
    """Draw one row for each effect, with its own 95 % interval; the margin is a grey band.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Axes to draw on.
    effects : sequence of analysis.decisions.Effect
        With the same margin and unit. Logarithms of ratios are drawn as factors, differences of
        accuracies in percentage points.
    verdicts : sequence of analysis.claims.Verdict
        Of the effects, judged in their whole family.
    rows : sequence of str
        Label of each effect.
    """
    ratio, margin = effects[0].ratio, effects[0].margin
    shown = np.exp if ratio else (100.0).__mul__
    axes.axvspan(shown(-margin), shown(margin), color="0.9", lw=0, zorder=0)
    axes.axvline(shown(0.0), color="0.6", lw=0.8, zorder=1)
    for row, (effect, verdict) in enumerate(zip(effects, verdicts, strict=True)):
        mean, low, high = map(shown, decisions.interval(effect))
        look = {"ms": 4.5, "capsize": 2, "elinewidth": 1, **_LOOKS[verdict]}
        axes.errorbar(mean, row, xerr=[[mean - low], [high - mean]], **look)
    axes.set(
        ylim=(len(effects) - 0.5, -0.5),
        yticks=range(len(effects)),
        yticklabels=rows,
        xlabel="sharpness of the second / of the first"
        if ratio
        else "test accuracy, first minus second (% points)",
    )
    if ratio:
        axes.set_xscale("log")
        low, high = axes.get_xlim()
        figure_style.plain_logarithm(axes.xaxis, _ticks(np.log10(high / low)))


def _ticks(decades):
    """Return the labelled places of a decade, so that labels do not overlap.

    Examples
    --------
    >>> _ticks(3.0), _ticks(1.0)
    ((1,), (1, 1.5, 2, 3, 5))
    """
    if decades > 1.6:
        return (1,)
    return (1, 1.5, 2, 3, 5) if decades > 0.7 else (1, 1.2, 1.5, 2, 3, 5, 7, 8)


def legend_entries(verdicts):
    """Return handles and labels of those verdicts that occur."""
    looks = {str(verdict): look for verdict, look in _LOOKS.items() if verdict in verdicts}
    return [Line2D([], [], ls="none", ms=4.5, **look) for look in looks.values()], list(looks)
