"""Drawings of stored results: ratios to the best peers, and growth over sizes."""

import itertools
import math
import statistics
from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from benchmarks import rows
from benchmarks.groups import GROUPS

TEXT, RULE = "#1c1c1a", "#c9c9c4"
# Okabe & Ito's palette, distinguishable with every common colour blindness
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
MARKERS = "osD^vP"
STYLE = {
    "font.size": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "axes.edgecolor": TEXT,
    "axes.labelcolor": TEXT,
    "axes.titlesize": 9,
    "text.color": TEXT,
    "xtick.color": TEXT,
    "ytick.color": TEXT,
    "legend.frameon": False,
}
WIDTH = 7.2  # inches
_ROW = 0.16  # inches
# up to which range of ratios the axis is marked at 1, 2 and 5
_FEW_DECADES = 3e3


def draw_all(stored, folder):
    """Write the pictures as PNG files: overview.png, growth.png and growth_of_alignment.png."""
    drawings = {"overview": (draw_overview, stored)}
    if "growth" in stored:
        drawings |= {name: (draw, stored["growth"]) for name, draw in of_growth(stored["growth"])}
    for name, (draw, content) in drawings.items():
        with rc_context(STYLE):
            figure = Figure(layout="constrained")
            draw(content, figure)
            figure.savefig(Path(folder) / f"{name}.png", dpi=200)


def of_growth(document):
    """Return pairs (name, function) of the drawings for which there are records."""
    ours = [_is_alignment(record["case"]) for record in document["records"]]
    known = (
        ("growth", draw_growth, False in ours),
        ("growth_of_alignment", draw_alignment, True in ours),
    )
    return [(name, draw) for name, draw, there in known if there]


def _is_alignment(case):
    return "Tr(HΣ)" in case


# ---- the overview


def draw_overview(stored, figure):
    """Draw the ratios of the headline rows that have a peer, by group, on a logarithmic axis."""
    groups = {name: _ratios(GROUPS[name], document) for name, document in stored.items()}
    groups = {name: found for name, found in groups.items() if found}
    heights = [len(found) + 1.6 for found in groups.values()] or [1]
    figure.set_size_inches(WIDTH, _ROW * sum(heights) + 0.7)
    panels = figure.subplots(
        max(1, len(groups)), 1, sharex=True, squeeze=False, height_ratios=heights
    )[:, 0]
    for axes, (name, found) in zip(panels, groups.items(), strict=False):
        _draw_ratios(axes, found)
        axes.set_title(GROUPS[name].title, loc="left", fontweight="bold", pad=3)
    panels[0].set_xscale("log")
    low, high = panels[0].get_xlim()
    subs = (1, 2, 5) if high < _FEW_DECADES * low else (1,)
    panels[0].xaxis.set_major_locator(LogLocator(subs=subs, numticks=12))
    panels[0].xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panels[0].xaxis.set_minor_locator(NullLocator())
    panels[-1].set_xlabel("time of the fastest peer over time of aniso")


def _ratios(group, document):
    """Return headline rows by label of their line: double and single precision share one."""
    found = {}
    if not group.columns and not group.is_growth:
        for (case, quantity), pair in rows.headline_rows(group, document["records"]).items():
            compared = [row for row in pair.values() if row.ratio is not None]
            if compared:
                found[f"{case}: {group.labels.get(quantity, quantity)}"] = compared
    return found


def _draw_ratios(axes, found):
    axes.axvline(1, color=TEXT, lw=0.8, zorder=1)
    for height, pair in enumerate(found.values()):
        for row in pair:
            single = row.dtype == "float32" and len(pair) > 1
            colour = COLOURS[0] if row.ratio >= 1 else COLOURS[1]
            place = height + (0.18 if single else -0.18 if len(pair) > 1 else 0)
            if row.span:
                axes.plot(row.span, [place] * 2, color=colour, lw=1, zorder=2)
            axes.plot(
                row.ratio, place, "o" if row.ratio >= 1 else "s", color=colour, ms=3.6,
                mfc="white" if row.dtype == "float32" else colour, mew=0.9, zorder=3,
            )  # fmt: skip
    axes.set_yticks(range(len(found)), list(found), fontsize=6.5)
    axes.set_ylim(len(found) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=RULE, lw=0.4)
    axes.set_axisbelow(True)
    axes.spines["left"].set_visible(False)


# ---- growth


_MEASURES = (("seconds", "seconds"), ("traced_bytes", "peak memory, MB"))
_COLUMNS = 3


def draw_growth(document, figure):
    """Draw time, then memory, over sizes: a panel an axis, with what the documentation says."""
    records = [r for r in document["records"] if not _is_alignment(r["case"])]
    cases = list(dict.fromkeys(record["case"] for record in records))
    lines = math.ceil(len(cases) / _COLUMNS)
    figure.set_size_inches(WIDTH, 2 * lines * 2.0)
    panels = figure.subplots(2 * lines, _COLUMNS, squeeze=False)
    for half, (measure, label) in zip((panels[:lines], panels[lines:]), _MEASURES, strict=True):
        for axes, case in itertools.zip_longest(half.ravel(), cases):
            if case is None:
                axes.set_axis_off()
                continue
            own = [record for record in records if record["case"] == case]
            _draw_costs(axes, own, measure, document["exponents"])
            axes.set(xlabel=case, ylabel=label)


def draw_alignment(document, figure):
    """Draw the exact and the deflated Tr(HΣ) over N: time and memory side by side."""
    own = [record for record in document["records"] if _is_alignment(record["case"])]
    figure.set_size_inches(WIDTH, 2.6)
    for axes, (measure, label) in zip(figure.subplots(1, 2), _MEASURES, strict=True):
        _draw_costs(axes, own, measure, document["exponents"])
        axes.set(xlabel="examples N", ylabel=label)


def _draw_costs(axes, records, measure, exponents):
    """Draw points with the range of their rounds, and the documented power law as a line."""
    scale = 1.0 if measure == "seconds" else 1e-6
    for number, quantity in enumerate(dict.fromkeys(r["quantity"] for r in records)):
        own = sorted(
            (r for r in records if r["quantity"] == quantity and r.get(measure)),
            key=lambda record: record["size"],
        )
        fitted = [
            e
            for e in exponents
            if (e["quantity"], e["measure"]) == (quantity, measure) and e["case"] == own[0]["case"]
        ]
        if own and fitted:
            style = {"color": COLOURS[number], "marker": MARKERS[number]}
            _draw_law(axes, own, scale, measure, fitted[0], style)
    axes.set(xscale="log", yscale="log")
    entries = axes.get_legend_handles_labels()[0]
    _set_ticks(axes, sorted({record["size"] for record in records}), 0.13 * len(entries) + 0.05)
    if entries:
        legend = axes.legend(
            fontsize=6, loc="upper left", borderaxespad=0, handletextpad=0.1, labelspacing=0.25
        )
        legend.set_in_layout(False)  # it may end beyond its panel, in the margin of the next


def _draw_law(axes, own, scale, measure, fitted, style):
    xs, ys = [r["size"] for r in own], [scale * r[measure] for r in own]
    label = GROUPS["growth"].labels.get(fitted["quantity"], fitted["quantity"])
    exponent = f"{fitted['exponent']:.2f} ± {fitted['standard_error']:.2f}"
    exponent = exponent.replace("-0.00", "0.00").replace("-", "−")
    label = f"{label}: {exponent} ({fitted['documented']})"
    if measure == "seconds":
        for record in own:
            ends = [min(record["runs"]), max(record["runs"])]
            axes.plot([record["size"]] * 2, ends, color=style["color"], lw=0.8)
    # through the middle of the sizes of the fit
    law, fit = fitted["documented"], slice(-fitted["num_points"], None)
    factor = statistics.geometric_mean(y / x**law for x, y in zip(xs[fit], ys[fit], strict=True))
    line = [factor * x**law for x in xs]
    axes.plot(xs, line, color=style["color"], lw=0.9)
    axes.plot(xs, ys, ls="", ms=3.8, label=label, **style)


def _set_ticks(axes, sizes, share):
    """Label sizes that were measured and decades of the cost; leave a share for the legend."""
    kept = sizes[::-1][:: math.ceil(len(sizes) / 3)] if sizes[-1] >= 1000 else sizes
    axes.set_xticks(kept, [f"{size:,.0f}" for size in kept])
    axes.xaxis.set_minor_locator(NullLocator())
    low, high = axes.get_ylim()
    if high / low < 10:  # a flat cost is to look flat
        middle = math.sqrt(low * high)
        low, high = middle / 3.5, middle * 3.5
    high *= (high / low) ** (share / (1 - share))
    axes.set_ylim(low, high)
    subs = (1, 2, 5) if high / low < 100 else (1,)
    axes.yaxis.set_major_locator(LogLocator(subs=subs, numticks=12))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
