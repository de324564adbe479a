"""Drawings of stored results: ratios to the best peers, and growth over sizes."""

import io
import math
import re
from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from benchmarks import rows
from benchmarks.groups import GROUPS
from benchmarks.groups.growth import LAWS

TEXT, RULE, SOFT = "#1c1c1a", "#c9c9c4", "#5c5c57"
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
    "svg.fonttype": "path",
}
WIDTH = 7.2  # inches
_ROW = 0.16  # inches


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


def as_svg(draw, content, label):
    """Return a drawing as an SVG element, without addresses, so that nothing is fetched."""
    stream = io.StringIO()
    with rc_context(STYLE | {"svg.hashsalt": label}):
        figure = Figure(layout="constrained")
        draw(content, figure)
        absent = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(stream, format="svg", transparent=True, metadata=absent)
    _, _, text = stream.getvalue().partition("<svg")
    head, _, rest = text.partition(">")
    size = re.search(r'viewBox="[^"]*"', head)[0]
    rest = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->\n?", "", rest, flags=re.DOTALL)
    return f'<svg role="img" aria-label="{label}" {size}>{rest}'


# ---- the overview


def draw_overview(stored, figure):
    """Draw the ratio of every row that has a peer, by group, on one logarithmic axis."""
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
    panels[0].xaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=12))
    panels[0].xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panels[0].xaxis.set_minor_locator(NullLocator())
    panels[-1].set_xlabel("time of the fastest peer over time of aniso")


def _ratios(group, document):
    """Return rows by label of their line: double and single precision share one."""
    found = {}
    if not group.columns and not group.is_growth:
        for row in rows.rows_of(document["records"], group.instead):
            if row.ratio is not None:
                label = f"{row.case}: {group.labels.get(row.quantity, row.quantity)}"
                found.setdefault(label, []).append(row)
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


def draw_growth(document, figure):
    """Draw time, and memory where it is documented, over sizes: a column of panels an axis."""
    records = document["records"]
    cases = [c for c in dict.fromkeys(r["case"] for r in records) if not _is_alignment(c)]
    figure.set_size_inches(WIDTH, 0.4 + 2.15 * len(cases))
    panels = figure.subplots(len(cases), 2, squeeze=False)
    for row, case in zip(panels, cases, strict=True):
        own = [record for record in records if record["case"] == case]
        for axes, measure, label in zip(
            row, ("seconds", "traced_bytes"), ("seconds", "peak memory, MB"), strict=True
        ):
            _draw_costs(axes, own, measure, document.get("exponents", []), case)
            axes.set_ylabel(label)
            axes.set_xlabel(case)
    for axes, title in zip(panels[0], ("Time", "Memory"), strict=True):
        axes.set_title(title, loc="left", fontweight="bold")


def draw_alignment(document, figure):
    """Draw the exact and the deflated Tr(HΣ) over N: time and memory side by side."""
    own = [record for record in document["records"] if _is_alignment(record["case"])]
    figure.set_size_inches(WIDTH, 2.7)
    panels = figure.subplots(1, 2)
    case = own[0]["case"]
    for axes, measure, label in zip(
        panels, ("seconds", "traced_bytes"), ("seconds", "peak memory, MB"), strict=True
    ):
        _draw_costs(axes, own, measure, document.get("exponents", []), case)
        axes.set_xlabel("examples N")
        axes.set_ylabel(label)
    panels[0].set_title("Time", loc="left", fontweight="bold")
    panels[1].set_title("Memory", loc="left", fontweight="bold")


def _draw_costs(axes, records, measure, exponents, case):
    """Draw points with the range of their rounds, and the documented power law as a line."""
    labels, scale = GROUPS["growth"].labels, 1.0 if measure == "seconds" else 1e-6
    sizes = sorted({record["size"] for record in records})
    for number, quantity in enumerate(dict.fromkeys(r["quantity"] for r in records)):
        points = sorted(
            (r["size"], scale * r[measure], [scale * x for x in r["runs"]])
            for r in records
            if r["quantity"] == quantity and r.get(measure)
        )
        if not points:
            continue
        colour, marker = COLOURS[number], MARKERS[number]
        xs, ys = [p[0] for p in points], [p[1] for p in points]
        fitted = next(
            (
                e
                for e in exponents
                if (e["case"], e["quantity"], e["measure"]) == (case, quantity, measure)
            ),
            None,
        )
        label = labels.get(quantity, quantity)
        if fitted:
            label += f": {fitted['exponent']:.2f} ± {fitted['standard_error']:.2f}"
        if measure == "seconds":
            for x, _, runs in points:
                axes.plot([x, x], [min(runs), max(runs)], color=colour, lw=0.8)
        axes.plot(xs, ys, marker, color=colour, ms=4, label=label)
        law = _documented(case, quantity, measure)
        if law is not None:
            # through the largest size, where the law holds best
            line = [ys[-1] * (x / xs[-1]) ** law for x in xs]
            axes.plot(xs, line, color=colour, lw=0.9, ls="-", alpha=0.8)
    axes.set(xscale="log", yscale="log")
    _set_ticks(axes, sizes)
    axes.legend(
        fontsize=6.5, loc="lower left", bbox_to_anchor=(0, 1.0), borderaxespad=0, handletextpad=0.2
    )


def _documented(case, quantity, measure):
    for law in LAWS:
        if (law.case, law.quantity) == (case, quantity) and measure in law.documented:
            return law.documented[measure][0]
    return None


def _set_ticks(axes, sizes):
    """Label the sizes that were measured, at most six, and decades of the cost."""
    step = math.ceil(len(sizes) / 6)
    axes.set_xticks(sizes[::step], [f"{size:,.0f}" for size in sizes[::step]])
    axes.xaxis.set_minor_locator(NullLocator())
    low, high = axes.get_ylim()
    if high / low < 30:
        middle = math.sqrt(low * high)
        axes.set_ylim(min(low, middle / 5.5), max(high, middle * 5.5))
    axes.yaxis.set_major_locator(LogLocator(numticks=8))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
