"""A diagnosis as a text for a terminal, as wide as the terminal; no sentence is cut."""

import io
import shutil

from rich.console import Console
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from aniso.diagnostics._rounding import rounded

WIDEST, NARROWEST = 100, 40
"""Columns of the text, where the terminal has more or fewer."""
_THREE_COLUMNS = 80
"""From which width on the formula stands beside the value, not below the name."""
_NAME, _VALUE = 26, 26  # most columns of each
_INDENTED = (0, 0, 0, 4)


def as_text(diagnosis, columns=None):
    """Return the text of a diagnosis: its headline, the readings, the refused quantities.

    Parameters
    ----------
    diagnosis : Diagnosis
    columns : int, optional
        Longest line; that of the terminal if not given, at most 100 and at least 40.

    Returns
    -------
    str
        A line with name, value and formula for each reading, and its whole sentence below.
    """
    if columns is None:
        columns = shutil.get_terminal_size((WIDEST, 1)).columns
        columns = min(max(columns, NARROWEST), WIDEST)
    parts = [_plain(f"<Diagnosis: {headline(diagnosis)}>"), *_readings(diagnosis, columns)]
    if diagnosis.refused:
        parts.append(Text("\nrefused" if len(diagnosis) else "refused"))
    for name, reason in diagnosis.refused.items():
        parts += [_plain(name), Padding(_plain(reason), _INDENTED)]
    return _rendered(parts, columns)


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
        units = f" {problem['unit']}s" if "unit" in problem else ""
        counted = f"n = {used} of N = {all_examples}" if sample else f"N = {all_examples}"
        parts.append(counted + units)
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


def _readings(diagnosis, columns):
    """Return what is printed of the readings."""
    names = [_plain(each.name) for each in diagnosis.values()]
    values = [_plain(rounded(each.value, each.standard_error)) for each in diagnosis.values()]
    if not names:
        return
    wide = columns >= _THREE_COLUMNS
    widths = _width("quantity", names, _NAME), _width("value", values, _VALUE)
    yield _row(("quantity", "value", *["formula"][:wide]), widths)
    yield Rule(style="")
    for name, value, each in zip(names, values, diagnosis.values(), strict=True):
        formula = _plain(each.formula)
        yield _row((name, value, *[formula][:wide]), widths)
        below = [_plain(each.sentence)] if wide else [formula, _plain(each.sentence)]
        yield from (Padding(text, _INDENTED) for text in below if text)


def _width(title, texts, limit):
    return min(max(len(title), *(text.cell_len for text in texts)), limit)


def _row(cells, widths):
    """Return cells side by side; each takes as many lines as it needs."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    for width in (*widths, None)[: len(cells)]:
        grid.add_column(width=width, overflow="fold")
    grid.add_row(*cells)
    return grid


def _plain(text):
    """Return a text without line breaks and control characters."""
    return Text("".join(letter if letter.isprintable() else " " for letter in text))


def _rendered(parts, columns):
    stream = io.StringIO()
    console = Console(
        file=stream,
        width=columns,
        color_system=None,
        legacy_windows=False,
        highlight=False,
        force_jupyter=False,  # a notebook would get the parts, and the caller an empty text
    )
    for part in parts:
        console.print(part)
    return "\n".join(line.rstrip() for line in stream.getvalue().rstrip("\n").split("\n"))
