"""Pictures and tables of a figure as files, from its stored arrays."""

import csv

import matplotlib

from analysis import figure_style
from aniso.runs import files


def draw(figure, parameters, arrays, stem):
    """Draw stored arrays as PNG and PDF, and write the table.

    Parameters
    ----------
    figure : Figure
        Description of the figure.
    parameters : dict
        Parameters that the arrays were made with.
    arrays : dict of str to ndarray
        Stored arrays.
    stem : Path
        Path of the pictures without its ending.

    Returns
    -------
    list of Path
        The files that were written.
    """
    with matplotlib.rc_context(figure_style.STYLE):
        drawing = figure.draw(parameters, arrays)
        paths = [stem.with_suffix(f".{form}") for form in ("png", "pdf")]
        for path in paths:
            # no dates: the same data give the same file
            metadata = {"Creator": None, "CreationDate": None} if path.suffix == ".pdf" else None
            with files.atomic_writer(path, "wb") as stream:
                drawing.savefig(stream, format=path.suffix[1:], metadata=metadata)
    if figure.table is not None:
        paths.append(stem.with_suffix(".md"))
        with files.atomic_writer(paths[-1]) as stream:
            stream.write(figure.table(parameters, arrays))
    if figure.rows is not None:
        paths.append(stem.with_suffix(".csv"))
        rows = figure.rows(parameters, arrays)
        with files.atomic_writer(paths[-1]) as stream:
            writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    return paths
