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
_NARROW = {"quantity": 26, "value": 26, "formula": 22}  # most columns of each


def as_text(diagnosis):
    """Return the table of a diagnosis: its headline, the readings, the refused quantities.

    Parameters
    ----------
    diagnosis : Diagnosis

    Returns
    -------
    str
        Where it would be longer than a screen, sentences are cut first, then rows are left out;
        their number is stated.
    """
    head = _cut(f"<Diagnosis: {headline(diagnosis)}>", 2 * COLUMNS)
    readings, refused = list(diagnosis.values()), list(diagnosis.refused.items())
    for wrapped in (True, False):
        lines = _rendered([head, *_parts(readings, refused, wrapped)])
        if len(lines) <= LINES:
            return "\n".join(lines)
    refused = refused[: max(_FEW_REFUSED, LINES - _FRAME - len(readings))]
    kept = len(readings)
    while True:
        left_out = _left_out(len(readings) - kept, len(diagnosis.refused) - len(refused))
        lines = _rendered([head, *_parts(readings[:kept], refused, False), left_out])
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


def _parts(readings, refused, wrapped):
    """Return what is printed below the headline."""
    if readings:
        table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
        rows = [_cells(reading) for reading in readings]
        # the narrow columns take what they need up to a limit, the sentences have the rest
        for number, (title, widest) in enumerate(_NARROW.items()):
            width = max(len(title), *(row[number].cell_len for row in rows))
            width = min(width, widest)
            table.add_column(title, min_width=width, max_width=width, no_wrap=True)
        table.add_column("meaning", no_wrap=not wrapped, overflow=_overflow(wrapped))
        for row in rows:
            table.add_row(*row)
        yield table
    if refused:
        yield Text("refused" if not readings else "\nrefused")
        for name, reason in refused:
            line = _cut(f"{name}: {reason}")
            line.no_wrap, line.overflow = not wrapped, _overflow(wrapped)
            yield Padding(line, (0, 0, 0, 2))


def _cells(reading):
    value = rounded(reading.value, reading.standard_error)
    return [_cut(cell) for cell in (reading.name, value, reading.formula, reading.sentence)]


def _overflow(wrapped):
    return "fold" if wrapped else "ellipsis"


def _cut(text, longest=_LONGEST):
    """Return a text without line breaks and control characters, shortened."""
    plain = "".join(letter if letter.isprintable() else " " for letter in text)
    return Text(plain if len(plain) <= longest else f"{plain[: longest - 1]}…")


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
