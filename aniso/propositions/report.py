"""Results of a verification as a terminal table, a verdict and a JSON document."""

import json
import math
from collections import Counter
from dataclasses import dataclass

from rich import box
from rich.table import Table
from rich.text import Text

from aniso.propositions.check import Check, Verdict, is_within

SCHEMA_NAME = "aniso.verification"
SCHEMA_VERSION = 1
TABLE_WIDTH = 100
_SIGNS = {">=": "≥", "<=": "≤", "==": "="}
_TOLERANCE_SIGNS = {">=": "−", "<=": "+", "==": "±"}
_STYLES = {
    Verdict.HOLDS: "green",
    Verdict.FAILS: "bold red",
    Verdict.VACUOUS: "yellow",
    Verdict.NOT_APPLICABLE: "yellow",
}


@dataclass(frozen=True)
class TaskResult:
    """Checks of one task.

    Attributes
    ----------
    group, name : str
        Group and task.
    checks : tuple of Check
    seconds : float
        Wall-clock time of the task.
    error : str
        Text of the exception that ended the task; empty if it ran through.
    """

    group: str
    name: str
    checks: tuple[Check, ...]
    seconds: float
    error: str = ""


def passed(results):
    """Whether no check fails, no task broke off, and at least one claim was compared.

    Parameters
    ----------
    results : sequence of TaskResult

    Returns
    -------
    bool
    """
    verdicts = _counts(results)
    return not (verdicts[Verdict.FAILS] or any(r.error for r in results)) and bool(
        verdicts[Verdict.HOLDS]
    )


def verdict_line(results, seconds):
    """One line: the verdict, the counts and the time.

    Parameters
    ----------
    results : sequence of TaskResult
    seconds : float

    Returns
    -------
    rich.text.Text
    """
    counts = _counts(results)
    total = sum(counts.values())
    parts = [f"{counts[verdict]} {verdict.value}" for verdict in Verdict if counts[verdict]]
    broken = sum(1 for result in results if result.error)
    if broken:
        parts.append(f"{broken} task{'s' if broken > 1 else ''} broke off")
    word, style = ("VERIFIED", "bold green") if passed(results) else ("NOT VERIFIED", "bold red")
    return Text.assemble((word, style), f": {total} checks, {', '.join(parts)}, {seconds:.1f} s")


def table(group, results):
    """Table of one group: a row per claim, showing the setting closest to violating it.

    Each row has both sides of the comparison, the tolerance and its reason. Numbers have as many
    digits as it takes to draw the verdict from them.

    Parameters
    ----------
    group : str
        Title.
    results : sequence of TaskResult
        Of this group.

    Returns
    -------
    rich.table.Table
    """
    drawn = Table(
        title=Text(group),
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        expand=True,
    )
    drawn.add_column("claim", ratio=40)
    drawn.add_column("tightest setting", ratio=25)
    drawn.add_column("measured,\nstd. error", justify="right", no_wrap=True)
    drawn.add_column("theory,\ntolerance", justify="right", no_wrap=True)
    drawn.add_column("verdict", justify="right", no_wrap=True)
    for name, checks in _by_name(results).items():
        worst = min(checks, key=_closeness)
        agreeing = sum(check.verdict is worst.verdict for check in checks)
        compared = worst.verdict in (Verdict.HOLDS, Verdict.FAILS)
        measured, theory = _sides(worst) if compared else ("–", "–")
        reason = ("\n" + _tolerance_reason(worst), "italic") if compared else ""
        drawn.add_row(
            Text.assemble((name, "bold"), f"\n{worst.claim}", reason),
            Text(worst.setting),
            measured,
            theory,
            Text(f"{worst.verdict.value} {agreeing}/{len(checks)}", _STYLES[worst.verdict]),
        )
    for result in results:
        if result.error:
            broken = Text.assemble((result.name, "bold"), f"\n{result.error}")
            drawn.add_row(broken, "–", "–", "–", Text("broke off", "bold red"))
    return drawn


def findings(results):
    """What a reader should know beyond the verdicts, each text once, in order of appearance.

    Parameters
    ----------
    results : sequence of TaskResult

    Returns
    -------
    list of str
        ``"claim: finding (number of settings)"`` where several settings share a finding.
    """
    texts = Counter(
        f"{check.name}: {check.finding}"
        for result in results
        for check in result.checks
        if check.finding
    )
    return [text if count == 1 else f"{text} ({count} settings)" for text, count in texts.items()]


def document(results, settings, environment, seconds):
    """The run as JSON-ready data, described by ``verification.schema.json``.

    Parameters
    ----------
    results : sequence of TaskResult
    settings : aniso.propositions.check.Settings
    environment : dict
        From :func:`aniso.runs.provenance.environment`.
    seconds : float

    Returns
    -------
    dict
    """
    counts = _counts(results)
    return {
        "schema": SCHEMA_NAME,
        "schema_version": SCHEMA_VERSION,
        "scale": settings.scale,
        "seed": settings.seed,
        "environment": environment,
        "seconds": seconds,
        "verdict": "holds" if passed(results) else "fails",
        "counts": {verdict.value: counts[verdict] for verdict in Verdict},
        "tasks": [
            {
                "group": result.group,
                "name": result.name,
                "seconds": result.seconds,
                "error": result.error,
                "checks": [_plain(check) for check in result.checks],
            }
            for result in results
        ],
    }


def results_of(data):
    """The results that :func:`document` has described.

    Parameters
    ----------
    data : dict
        The JSON document.

    Returns
    -------
    list of TaskResult
        Numbers that JSON lacks (nan, inf) are nan.
    """
    return [
        TaskResult(
            task["group"],
            task["name"],
            tuple(_check_of(plain) for plain in task["checks"]),
            task["seconds"],
            task["error"],
        )
        for task in data["tasks"]
    ]


def _check_of(plain):
    def number(value):
        return math.nan if value is None else value

    fields = {name: plain[name] for name in plain if name not in ("margin", "series")}
    fields |= {name: number(plain[name]) for name in ("measured", "bound", "tolerance")}
    series = {
        name: tuple(number(value) for value in values) for name, values in plain["series"].items()
    }
    return Check(**fields | {"verdict": Verdict(plain["verdict"]), "series": series})


def write_document(stream, data):
    """The document as JSON text; numbers that JSON lacks (nan, inf) are null already."""
    json.dump(data, stream, indent=1, allow_nan=False)
    stream.write("\n")


def _plain(check):
    plain = {
        name: _number(getattr(check, name))
        for name in ("measured", "bound", "margin", "tolerance", "standard_error")
    }
    plain |= {
        name: str(getattr(check, name))
        for name in (
            "name",
            "claim",
            "setting",
            "relation",
            "tolerance_reason",
            "source",
            "verdict",
            "finding",
        )
    }
    plain["series"] = {
        name: [_number(value) for value in values] for name, values in check.series.items()
    }
    return plain


def _number(value):
    return value if value is not None and math.isfinite(value) else None


def _counts(results):
    return Counter(check.verdict for result in results for check in result.checks)


def _by_name(results):
    grouped = {}
    for result in results:
        for check in result.checks:
            grouped.setdefault(check.name, []).append(check)
    return grouped


def _closeness(check):
    """Sort key that puts failures first, then the smallest relative margin, then no comparison."""
    order = {Verdict.FAILS: 0, Verdict.HOLDS: 1, Verdict.VACUOUS: 2, Verdict.NOT_APPLICABLE: 2}
    margin = check.relative_margin
    return order[check.verdict], margin if math.isfinite(margin) else -math.inf


def _sides(check):
    """Text of the measured side, with its standard error, and of theory, with its tolerance."""
    measured, bound, tolerance = _printed(check)
    if check.standard_error is not None:
        measured += f"\n± {_rounded(check.standard_error, 2)}"
    theory = f"{_SIGNS[check.relation]} {bound}"
    if check.tolerance:
        theory += f"\n{_TOLERANCE_SIGNS[check.relation]} {tolerance}"
    return measured, theory


def _printed(check):
    """Measured, bound and tolerance in the fewest digits from which the verdict follows."""
    numbers = check.measured, check.bound, check.tolerance
    for digits in ((4, 4, 2), *((count,) * 3 for count in range(5, 18))):
        texts = [_rounded(number, count) for number, count in zip(numbers, digits, strict=True)]
        measured, bound, tolerance = map(float, texts)
        holds = is_within(measured, check.relation, bound, tolerance)
        if holds is (check.verdict is Verdict.HOLDS):
            break
    return texts


def _rounded(number, digits):
    """The number in significant digits, without an exponent where it is of ordinary size."""
    return f"{float(f'{number:.{digits}g}'):.{max(digits, 6)}g}"


def _tolerance_reason(check):
    if check.tolerance:
        return f"tolerance: {check.tolerance_reason}"
    reason = check.tolerance_reason.removeprefix("none").removeprefix(": ")
    return f"no tolerance: {reason}" if reason else "no tolerance"
