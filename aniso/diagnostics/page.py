"""A diagnosis as a page for a browser and as a list for a notebook, all texts escaped."""

import functools
import html
import re
from collections.abc import Mapping

import jinja2

import aniso
from aniso.diagnostics import plots
from aniso.diagnostics._rounding import rounded
from aniso.diagnostics._svg import as_svg
from aniso.diagnostics.reading import CAUSES
from aniso.diagnostics.table import headline
from aniso.runs import files

_PLAIN = str.maketrans("-⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "−−0123456789")
_ERROR = " error"
_CAPTIONS = {
    plots.plot_readings: "Readings with bars of one standard error, which may be shorter than "
    "the mark. Hollow marks are negative numbers at their absolute values.",
    plots.plot_spectrum: "Density of eigenvalues, and its band where it is known. Triangles are "
    "outliers; gradient descent is stable along eigenvalues below 2/\u2060η.",
    plots.plot_blocks: "Trace ratio and share of the alignment by block of parameters. The dashed "
    "line is isotropic noise. Shares lack the terms between blocks.",
}


def write_page(diagnosis, file):
    """Write a diagnosis as one HTML page, whole or not at all.

    Parameters
    ----------
    diagnosis : Diagnosis
    file : path-like
        In an existing folder; a file of this name is replaced.

    Returns
    -------
    pathlib.Path
        Of the file.

    Raises
    ------
    InputError
        If the file can't be written.

    Notes
    -----
    The page holds its style and its figures, and neither scripts nor addresses. It adapts to narrow
    windows, dark screens and paper.
    """
    path = files.require_writable("file", file)
    text = as_page(diagnosis)
    with files.atomic_writer(path) as stream:
        stream.write(text)
    return path


def as_page(diagnosis):
    """Return the text of the page.

    Parameters
    ----------
    diagnosis : Diagnosis

    Returns
    -------
    str
    """
    kind = diagnosis.problem.get("kind")
    sheets = {
        "Settings": diagnosis.settings,
        "Problem": diagnosis.problem,
        "Environment": diagnosis.environment,
    }
    return _filled(
        "page.html",
        title=f"Diagnosis: {kind}" if kind else "Diagnosis",
        headline=headline(diagnosis),
        readings=list(diagnosis.values()),
        causes=CAUSES,
        figures=list(_figures(diagnosis)),
        blocks=diagnosis.blocks,
        columns=_columns(diagnosis.blocks),
        refused=diagnosis.refused,
        sheets={title: sheet for title, sheet in sheets.items() if sheet},
        version=aniso.__version__,
    )


def as_notebook_output(diagnosis):
    """Return the readings and refused quantities as HTML for a notebook.

    Parameters
    ----------
    diagnosis : Diagnosis

    Returns
    -------
    str
    """
    return _filled(
        "notebook.html",
        headline=headline(diagnosis),
        readings=list(diagnosis.values()),
        refused=diagnosis.refused,
    )


def _figures(diagnosis):
    """Yield the figures for which there are numbers, with their captions."""
    known = (
        (plots.plot_readings, len(diagnosis), "Readings"),
        (plots.plot_spectrum, plots.density_details(diagnosis), "Density of eigenvalues"),
        (plots.plot_blocks, diagnosis.blocks, "Trace ratio and share by block"),
    )
    for draw, numbers, label in known:
        if numbers:
            svg = as_svg(draw, diagnosis, label)
            yield {"svg": svg, "caption": _CAPTIONS[draw]}


def _filled(template, **contents):
    text = _environment().get_template(template).render(**contents)
    # a lone surrogate has no place in a UTF-8 file
    return text.encode("utf-8", "replace").decode("utf-8")


@functools.cache
def _environment():
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("aniso.diagnostics", ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "number": lambda reading: _typeset(rounded(reading.value, reading.standard_error)),
        "cell": _cell,
        "error": lambda size: _typeset(rounded(float(f"{size:.1e}"))),
        "formula": _formula,
        "words": lambda name: name.replace("_", " "),
        "symbols": lambda name: name.replace("Sigma", "Σ"),
        "entry": _entry,
    }
    return environment


def _typeset(text):
    """Return a number of :func:`rounded` as markup: a minus sign, powers of ten raised."""
    raised = re.sub("[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+", lambda power: f"<sup>{power[0]}</sup>", text)
    return raised.translate(_PLAIN)


def _formula(text):
    """Return a formula as markup, with its ``_i`` and ``^{-1/2}`` lowered and raised."""
    marked = re.sub("_([A-Za-z0-9]+)", r"<sub>\1</sub>", html.escape(text))
    return re.sub(r"\^\{([^{}<>]*)\}", r"<sup>\1</sup>", marked)


def _columns(blocks):
    """Return the columns of the blocks; errors stand beside their numbers."""
    names = dict.fromkeys(name for block in blocks.values() for name in block)
    errors = {name + _ERROR for name in names}
    return [name for name in names if name not in errors]


def _cell(block, column):
    """Return a number of a block with its error, four digits where it has none."""
    if column not in block:
        return "–"
    error = block.get(column + _ERROR, 0.0)
    value = block[column]
    return _typeset(rounded(value, error) if error else rounded(float(f"{value:.4g}")))


def _entry(value):
    """Return a setting in words."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_entry(part)}" for name, part in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(_entry(part) for part in value)
    return str(value)
