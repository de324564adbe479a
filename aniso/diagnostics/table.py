"""A diagnosis as a table for a terminal: at most 100 columns and 45 lines."""

import io

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from aniso.diagnostics._rounding import rounded

COLUMNS, LINES = 100, 45
_LONGEST = 240  # characters of a cell
_FEW_REFUSED = 10  # lines that refused quantities keep where there is no room
_FRAME = 7  # lines of the headline, the head of the table and the titles
_NAME, _VALUE, _FORMULA = 26, 26, 22  # most columns of each


def as_text(diagnosis):
    """Return the table of a diagnosis: its headline, the readings, the refused quantities.

    Parameters
    ----------
    diagnosis : Diagnosis

    Returns
    -------
    str
        Where it would be longer than a screen, formulas move below the names. Then sentences are
        cut, and then left out. At last rows are left out, and their number is stated.
    """
    head = _cut(f"<Diagnosis: {headline(diagnosis)}>", 2 * COLUMNS)
    readings, refused = list(diagnosis.values()), list(diagnosis.refused.items())
    for layout, wrapped in ((_wide, True), (_stacked, True), (_cut_short, False), (_bare, False)):
        lines = _rendered([head, *_parts(layout, readings, refused, wrapped)])
        if len(lines) <= LINES:
            return "\n".join(lines)
    refused = refused[: max(_FEW_REFUSED, LINES - _FRAME - len(readings))]
    kept = len(readings)
    while True:
        left_out = _left_out(len(readings) - kept, len(diagnosis.refused) - len(refused))
        lines = _rendered([head, *_parts(_bare, readings[:kept], refused, False), left_out])
        if len(lines) <= LINES or kept < 2:
            return "\n".join(lines)
        kept = max(1, kept - (len(lines) - LINES))


def headline(diagnosis):
    """Return what was measured and how, in one sentence.

    Parameters
    ----------
    diagnosis : Diagnosis

    Returns
    -------
    str

    Examples
    --------
    >>> from aniso.diagnostics import Diagnosis, Reading
    >>> made = Diagnosis({"loss": Reading("loss", 1.0)},
    ...     settings={"batch_size": 8, "replacement": True},
    ...     problem={"kind": "Network", "num_examples": 200, "num_parameters": 51}, seconds=0.25)
    >>> headline(made)
    'Network, N = 200, D = 51, batches of 8 with replacement; 1 reading in 0.25 s'
    """
    problem, settings = diagnosis.problem, diagnosis.settings
    parts = [str(problem["kind"])] if "kind" in problem else []
    used, all_examples = problem.get("used_examples"), problem.get("num_examples")
    if all_examples is not None:
        sample = used is not None and used != all_examples
        parts.append(f"n = {used} of N = {all_examples}" if sample else f"N = {all_examples}")
    if "num_parameters" in problem:
        parts.append(f"D = {problem['num_parameters']}")
    if settings.get("batch_size") is not None:
        how = {True: " with replacement", False: " without replacement"}
        drawn = how.get(settings.get("replacement"), "")
        parts.append(f"batches of {settings['batch_size']}{drawn}")
    if settings.get("learning_rate") is not None:
        parts.append(f"η = {settings['learning_rate']}")
    counts = f"{len(diagnosis)} reading{'s' * (len(diagnosis) != 1)}"
    if diagnosis.refused:
        counts += f", {len(diagnosis.refused)} refused"
    told = "; ".join(filter(None, [", ".join(parts), counts]))
    return f"{told} in {duration(diagnosis.seconds)}" if diagnosis.seconds else told


def duration(seconds):
    """Return a time in seconds, or in minutes and hours where it is long.

    Examples
    --------
    >>> duration(0.25), duration(61.0), duration(7325.0)
    ('0.25 s', '1 min 1 s', '2 h 2 min')
    """
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _parts(layout, readings, refused, wrapped):
    """Return what is printed below the headline."""
    if readings:
        yield layout(readings)
    if refused:
        overflow = "fold" if wrapped else "ellipsis"
        yield Text("refused" if not readings else "\nrefused")
        for name, reason in refused:
            line = _cut(f"{name}: {reason}")
            line.no_wrap, line.overflow = not wrapped, overflow
            yield Padding(line, (0, 0, 0, 2))


def _wide(readings):
    """Four columns; sentences take as many lines as they need."""
    rows = [(*_numbers(each), _cut(each.formula), _cut(each.sentence)) for each in readings]
    limits = {"quantity": _NAME, "value": _VALUE, "formula": _FORMULA}
    return _table(rows, limits, "meaning")


def _stacked(readings, longest=_LONGEST):
    """Three columns, with the formula below the name."""
    rows = []
    for each in readings:
        name, value = _numbers(each)
        for line in (name, formula := _cut(f"  {each.formula}")):
            line.truncate(_NAME, overflow="ellipsis")
        rows.append((Text("\n").join([name, formula]), value, _cut(each.sentence, longest)))
    return _table(rows, {"quantity": _NAME, "value": _VALUE}, "meaning")


def _cut_short(readings):
    """As :func:`_stacked`, with sentences that as a rule take two lines."""
    widest = max(_numbers(each)[1].cell_len for each in readings)
    return _stacked(readings, 2 * (COLUMNS - _NAME - min(widest, _VALUE) - 2) - 12)


def _bare(readings):
    """Three columns without sentences, a line for each reading."""
    rows = [(*_numbers(each), _cut(each.formula)) for each in readings]
    return _table(rows, {"quantity": _NAME, "value": _VALUE}, "formula", no_wrap=True)


def _numbers(reading):
    return _cut(reading.name), _cut(rounded(reading.value, reading.standard_error))


def _table(rows, limits, last, *, no_wrap=False):
    """Return a table whose first columns are as wide as they need up to a limit."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for number, (title, limit) in enumerate(limits.items()):
        lines = [line.cell_len for row in rows for line in row[number].split()]
        width = min(max(len(title), *lines), limit)
        table.add_column(title, min_width=width, max_width=width, no_wrap=True)
    table.add_column(last, no_wrap=no_wrap, overflow="ellipsis" if no_wrap else "fold")
    for row in rows:
        table.add_row(*row)
    return table


def _cut(text, longest=_LONGEST):
    """Return a text without line breaks and control characters, shortened."""
    plain = "".join(letter if letter.isprintable() else " " for letter in text)
    if len(plain) > longest:
        plain = plain[: longest - 1]
        space = plain.rfind(" ")
        # after a whole word, if there is one nearby
        plain = f"{plain[:space]} …" if space > 0.7 * longest else f"{plain}…"
    return Text(plain)


def _left_out(readings, refused):
    kinds = ((readings, "readings"), (refused, "refused quantities"))
    return Text("... " + " and ".join(f"{count} more {kind}" for count, kind in kinds if count))


def _rendered(parts):
    stream = io.StringIO()
    console = Console(
        file=stream, width=COLUMNS, color_system=None, legacy_windows=False, highlight=False
    )
    for part in parts:
        console.print(part)
    return [line.rstrip() for line in stream.getvalue().rstrip("\n").split("\n")]
