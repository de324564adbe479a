"""The report as one page that needs no network: tables, and pictures in it."""

from pathlib import Path

import jinja2

from aniso.runs import files
from benchmarks import growth, pictures, rows
from benchmarks.groups import GROUPS


def write(stored, path):
    """Write the page, whole or not at all; return its path.

    Parameters
    ----------
    stored : dict of str to dict
        Documents of groups by name, as :func:`benchmarks.command.load` returns them.
    path : Path
    """
    path = Path(path)
    with files.atomic_writer(path) as stream:
        stream.write(as_page(stored))
    return path


def as_page(stored):
    """Return the text of the page."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "time": rows.span_of_time,
        "times": rows.times,
        "bytes": size_of,
        "number": number,
    }
    sections = [_section(GROUPS[name], document) for name, document in stored.items()]
    return environment.get_template("page.html").render(
        sections=sections,
        overview=pictures.as_svg(pictures.draw_overview, stored, "Best peer over aniso"),
        environments=_environments(stored),
        quick=any(document["quick"] for document in stored.values()),
    )


def _section(group, document):
    records = document["records"]
    section = {
        "name": group.name,
        "title": group.title,
        "about": group.about,
        "labels": group.labels,
        "columns": group.columns,
        "records": records if group.columns else [],
        "rows": [],
        "exponents": document.get("exponents", []),
        "measures": growth.MEASURES,
        "deviating": rows.deviating(records),
        "svgs": [],
    }
    if group.is_growth:
        section["svgs"] = [
            pictures.as_svg(draw, document, name.replace("_", " "))
            for name, draw in pictures.of_growth(document)
        ]
    elif not group.columns:
        section["rows"] = rows.rows_of(records, group.instead)
    return section


def _environments(stored):
    """Return the groups by where they were measured: one entry if all on one machine."""
    found = {}
    for name, document in stored.items():
        own = document["environment"]
        kept = tuple((key, str(own[key])) for key in ("processor", "cores", "memory_gib", "python"))
        kept += tuple(sorted(own["versions"].items()))
        entry = found.setdefault(kept, {"sheet": dict(kept), "groups": []})
        entry["groups"].append(
            {
                "title": GROUPS[name].title,
                "date": own["date"],
                "load": f"{own['load_before']} to {own['load_after']}",
                "seconds": document["seconds"],
            }
        )
    return list(found.values())


def size_of(num_bytes):
    """Return bytes with a unit.

    Examples
    --------
    >>> [size_of(n) for n in (512, 90_640, 108_800_000, 1.03e9)]
    ['512 B', '91 kB', '109 MB', '1.0 GB']
    """
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if num_bytes >= size:
            scaled = num_bytes / size
            return f"{scaled:.0f} {unit}" if scaled >= 9.95 else f"{scaled:.1f} {unit}"
    return f"{num_bytes:.0f} B"


def number(value):
    """Return a number of a column: integers whole, others with two digits.

    Examples
    --------
    >>> [number(v) for v in (1200, 0.00412, 3.39)]
    ['1,200', '0.0041', '3.4']
    """
    return f"{value:,}" if isinstance(value, int) else f"{value:.2g}"
