"""The tables of speed in docs/benchmarks.md, made from the stored results."""

from pathlib import Path

from aniso import checks
from aniso.runs import files
from benchmarks import rows
from benchmarks.groups import GROUPS

BEGIN = "<!-- benchmarks: begin, written by python -m benchmarks --report --tables -->"
END = "<!-- benchmarks: end -->"


def rewrite(path, stored):
    """Rewrite the marked block of a file.

    Raises
    ------
    InputError
        If the file has no marked block.
    """
    path = Path(path)
    text = rewritten(path.read_text(encoding="utf-8"), stored)
    with files.atomic_writer(path) as stream:
        stream.write(text)


def rewritten(text, stored):
    """Return a text with its marked block made anew.

    Raises
    ------
    InputError
        If there are no marks, or not in this order.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise checks.InputError(f"no block of benchmarks; expected the lines {BEGIN!r} and {END!r}")
    return f"{before}{BEGIN}\n{block(stored)}{END}{after}"


def block(stored):
    """Return the tables of the headline quantities, by group."""
    machines = {name: _machine(document["environment"]) for name, document in stored.items()}
    usual = next(iter(machines.values()))
    parts = [_measured(usual)]
    for name, document in stored.items():
        group = GROUPS[name]
        lines, case = _lines(group, document["records"])
        if lines:
            where = f" ({case})" if case else ""
            elsewhere = f" Measured on {machines[name]}." * (machines[name] != usual)
            parts += [f"**{group.title}**{where}. {group.about}{elsewhere}", "\n".join(lines)]
            parts += _left_out(group, document["records"])
    return "\n" + "\n\n".join(parts) + "\n\n"


def _machine(environment):
    device = f", {environment['device']}" if "device" in environment else ""
    return (
        f"{environment['date'][:10]} on {environment['cores']} cores "
        f"({environment['processor']}, {environment['memory_gib']} GiB{device}, "
        f"Python {environment['python']})"
    )


def _measured(machine):
    return (
        f"Measured on {machine}, unless said otherwise. Every implementation runs in its own "
        "process with the allocation settings that serve it best. Rounds are interleaved, and "
        "medians count. In brackets single precision, where both are given. The ratio is the best "
        "peer's time over aniso's."
    )


def _left_out(group, records):
    """Return a sentence on the peers whose results are not aniso's; none where there are none."""
    told = [
        f"{record['implementation']}, {record['case']}, "
        f"{group.labels.get(record['quantity'], record['quantity'])} (by {record['deviation']:.2g})"
        for record in rows.deviating(records)
    ]
    return [f"Left out, because the result is not aniso's: {'; '.join(told)}."] if told else []


def _lines(group, records):
    """Return the lines of a table, and the case if there is but one."""
    if group.columns:
        return _lines_of_columns(group, records), None
    if group.side_by_side:
        return _lines_side_by_side(group, records), None
    found = rows.headline_rows(group, records)
    if not found:
        return [], None
    cases = {case for case, _ in found}
    alone = all(row.peer is None for pair in found.values() for row in pair.values())
    headings = ["", "aniso"] if alone else ["", "aniso", "best peer", "ratio"]
    lines = [_line(headings), f"|{' --- |' * len(headings)}"]
    seen = None
    for (case, quantity), pair in found.items():
        if case != seen and len(cases) > 1:
            lines.append(_line([f"*{case}*", *[""] * (len(headings) - 1)]))
        seen = case
        cells = [_both(pair, lambda row: rows.span_of_time(row.ours))]
        if not alone:
            cells += [_both(pair, _peer), _both(pair, _ratio)]
        lines.append(_line([group.labels.get(quantity, quantity), *cells]))
    return lines, cases.pop() if len(cases) == 1 else None


def _lines_side_by_side(group, records):
    """Return lines with a column for every implementation, single precision in brackets."""
    names = list(group.implementations)
    found = {}
    for record in records:
        place = record["case"], record["quantity"], record["implementation"]
        found.setdefault(place, {})[record["dtype"]] = record
    lines = [_line(["", *names]), f"|{' --- |' * (len(names) + 1)}"]
    for case in dict.fromkeys(case for case, _, _ in found):
        lines.append(_line([f"*{case}*", *[""] * len(names)]))
        for quantity in dict.fromkeys(q for c, q, _ in found if c == case):
            cells = [
                _both(found[case, quantity, name], lambda r: rows.span_of_time(r["seconds"]))
                if (case, quantity, name) in found
                else "–"
                for name in names
            ]
            lines.append(_line([group.labels.get(quantity, quantity), *cells]))
    return lines


def _line(cells):
    return f"| {' | '.join(cells)} |"


def _lines_of_columns(group, records):
    """Return one line of numbers, single precision in brackets."""
    found = {}
    for record in records:
        if record["quantity"] in group.headline:
            found.setdefault(record["quantity"], {})[record["dtype"]] = record
    if not found:
        return []
    names = [group.labels.get(quantity, quantity) for quantity in found]
    key, heading = next(iter(group.columns.items()))
    numbers = [
        _both(pair, lambda record: rows.times(record["more"][key])) for pair in found.values()
    ]
    return [
        _line(["", *names]),
        f"|{' --- |' * (len(names) + 1)}",
        _line([heading, *numbers]),
    ]


def _both(pair, text):
    """Return the text in double precision, and that in single precision in brackets if both are."""
    wide = next((row for dtype, row in pair.items() if dtype != "float32"), None)
    narrow = pair.get("float32")
    texts = [text(row) for row in (wide, narrow) if row is not None]
    if len(texts) == 2:
        return f"{texts[0]} ({texts[1]})"
    return texts[0]


def _peer(row):
    return "–" if row.peer is None else f"{rows.span_of_time(row.theirs)} {row.peer}"


def _ratio(row):
    return "–" if row.ratio is None else rows.times(row.ratio)
