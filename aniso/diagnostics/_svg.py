"""A drawing as an SVG element that is part of a page."""

import io
import re
import warnings

from matplotlib import rc_context
from matplotlib.figure import Figure

from aniso.diagnostics._marks import BLUE, RED, RULE, STYLE, TEXT

_PAGE_COLOURS = {
    TEXT: "currentColor",
    RULE: "var(--rule)",
    BLUE: "var(--blue)",
    RED: "var(--red)",
}


def as_svg(draw, diagnosis, label):
    """Return a drawing as an SVG element for a page, whose colours the page sets.

    Parameters
    ----------
    draw : callable
        One of :mod:`aniso.diagnostics.plots`.
    diagnosis : Diagnosis
    label : str
        What the drawing shows, for a reader who can't see it. Also keeps the identifiers of
        several drawings of one page apart. Letters and spaces.

    Returns
    -------
    str
        Without addresses, so that nothing is fetched.
    """
    stream = io.StringIO()
    with rc_context(STYLE | {"svg.hashsalt": label}), warnings.catch_warnings():
        # names in a script that the font lacks: the tables of the page have them
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure = Figure()
        draw(diagnosis, figure)
        absent = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(stream, format="svg", transparent=True, metadata=absent)
    _, _, text = stream.getvalue().partition("<svg")
    head, _, rest = text.partition(">")
    size = re.search(r'viewBox="[^"]*"', head)[0]
    rest = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->\n?", "", rest, flags=re.DOTALL)
    used = set(re.findall(r"#([\w-]+)", rest))
    rest = re.sub(r' id="([^"]*)"', lambda found: found[0] if found[1] in used else "", rest)
    for colour, name in _PAGE_COLOURS.items():
        rest = rest.replace(colour, name)
    return f'<svg role="img" aria-label="{label}" {size}>{rest}'
