"""Results of a verification as tables for a terminal, with legend, findings and verdict."""

import math
from collections import Counter
from dataclasses import dataclass

from rich import box
from rich.table import Table
from rich.text import Text

from aniso.propositions.check import Check, Verdict, is_within

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
        Comparisons with their verdicts.
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
    """Return whether no check fails, no task broke off, and at least one claim was compared.

    Parameters
    ----------
    results : sequence of TaskResult
        Checks of each task.

    Returns
    -------
    bool
    """
    verdicts = _counts(results)
    return not (verdicts[Verdict.FAILS] or any(r.error for r in results)) and bool(
        verdicts[Verdict.HOLDS]
    )


def verdict_line(results, seconds):
    """Return one line with the verdict, the counts and the time.

    Parameters
    ----------
    results : sequence of TaskResult
        Checks of each task.
    seconds : float
        Wall-clock time of the run.

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


def table(title, results, legend):
    """Return the table of one group: a row per claim, in the setting closest to violating it.

    Each row has both sides of the comparison, the tolerance with its reason, and the source.
    Numbers have enough digits to show the verdict.

    Parameters
    ----------
    title : str
        Title of the group.
    results : sequence of TaskResult
        Results of the group.
    legend : mapping of str to str
        Meaning of each symbol that the rows use; printed below them.

    Returns
    -------
    rich.table.Table
    """
    drawn = Table(
        title=Text(title),
        title_justify="left",
        title_style="bold",
        caption=_legend_text(legend),
        caption_justify="left",
        caption_style="",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        leading=1,
        expand=True,
    )
    drawn.add_column("claim", ratio=40)
    drawn.add_column("tightest setting", ratio=25)
    drawn.add_column("measured,\nstd. error", justify="right", no_wrap=True)
    drawn.add_column("theory,\ntolerance", justify="right", no_wrap=True)
    drawn.add_column("verdict", justify="right", no_wrap=True)
    for checks in _by_name(results).values():
        drawn.add_row(*_row(checks))
    for result in results:
        if result.error:
            broken = Text.assemble((result.name, "bold"), f"\n{result.error}")
            drawn.add_row(broken, "–", "–", "–", Text("broke off", "bold red"))
    return drawn


def _row(checks):
    """Return the cells of one claim."""
    worst = min(checks, key=_closeness)
    agreeing = sum(check.verdict is worst.verdict for check in checks)
    compared = worst.verdict in (Verdict.HOLDS, Verdict.FAILS)
    measured, theory = _sides(worst) if compared else ("–", "–")
    words = worst.statement
    reason = ("\n" + _tolerance_reason(words), "italic") if compared else ""
    source = f"\nsee {words.source.removeprefix('docs/theory/')}"
    return (
        Text.assemble((words.name, "bold"), f"\n{words.claim}", reason, (source, "dim")),
        Text(words.setting),
        measured,
        theory,
        Text(f"{worst.verdict.value} {agreeing}/{len(checks)}", _STYLES[worst.verdict]),
    )


def _legend_text(legend):
    """Symbols and their meanings as running text, or nothing."""
    if not legend:
        return None
    entries = [((symbol, "bold"), f": {meaning}; ") for symbol, meaning in legend.items()]
    parts = [("Symbols. ", "bold"), *(part for entry in entries for part in entry)]
    return Text.assemble(*parts, "see: pages of docs/theory, and their headings.\n")


def findings(results):
    """Return the remarks for the reader, each text once.

    Parameters
    ----------
    results : sequence of TaskResult
        Checks of each task.

    Returns
    -------
    list of str
        ``"claim: finding (number of settings)"`` where several settings share a finding, in
        order of appearance.
    """
    texts = Counter(
        f"{check.statement.name}: {check.finding}"
        for result in results
        for check in result.checks
        if check.finding
    )
    return [text if count == 1 else f"{text} ({count} settings)" for text, count in texts.items()]


def _counts(results):
    return Counter(check.verdict for result in results for check in result.checks)


def _by_name(results):
    grouped = {}
    for result in results:
        for check in result.checks:
            grouped.setdefault(check.statement.name, []).append(check)
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
    if check.statement.tolerance:
        theory += f"\n{_TOLERANCE_SIGNS[check.relation]} {tolerance}"
    return measured, theory


def _printed(check):
    """Measured, bound and tolerance in the fewest digits from which the verdict follows."""
    numbers = check.measured, check.bound, check.statement.tolerance
    for digits in ((4, 4, 2), *((count,) * 3 for count in range(5, 18))):
        texts = [_rounded(number, count) for number, count in zip(numbers, digits, strict=True)]
        measured, bound, tolerance = map(float, texts)
        holds = is_within(measured, check.relation, bound, tolerance)
        if holds is (check.verdict is Verdict.HOLDS):
            break
    return texts


def _rounded(number, digits):
    """Return the number in significant digits, without an exponent where it is of ordinary size."""
    return f"{float(f'{number:.{digits}g}'):.{max(digits, 6)}g}"


def _tolerance_reason(words):
    if words.tolerance:
        return f"tolerance: {words.tolerance_reason}"
    reason = words.tolerance_reason.removeprefix("none").removeprefix(": ")
    return f"no tolerance: {reason}" if reason else "no tolerance"
