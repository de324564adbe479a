"""A figure from Python: parameters in; arrays, claims and pictures out."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from analysis import (
    claims,
    figure_computation,
    figure_data,
    figure_drawing,
    figure_parameters,
    figure_paths,
    folders,
)
from aniso import checks
from aniso.datasets import official
from aniso.runs import executors, files, interruptions


@dataclass(frozen=True, eq=False, repr=False)
class FigureResult:
    """Result of one run of a figure.

    Attributes
    ----------
    name, scale : str
        The figure, and the scale whose parameters were taken where none were given.
    parameters : dict
        With which the arrays were made.
    arrays : dict of str to ndarray
        The stored numbers, see the figure's ``collect``.
    claims : list of claims.Claim
        The caption's claims with their verdicts.
    paths : list of Path
        The data, the pictures, and the table where the figure has one.
    """

    name: str
    scale: str
    parameters: dict
    arrays: dict[str, np.ndarray]
    claims: list[claims.Claim]
    paths: list[Path]

    def __repr__(self):
        lines = [f"{self.name} at scale {self.scale}"]
        lines += [f"[{claim.verdict}] {claim.statement}" for claim in self.claims]
        return "\n".join([*lines, *map(str, self.paths)])


def run(figure, scale, executor, output, runs, fresh, given):
    """Compute a figure, or load it where it is stored, and draw it.

    Parameters
    ----------
    figure : Figure
        Description of the figure.
    scale, executor, output, runs, fresh, given
        Scale, executor, folders, whether to ignore stored data, and other values of parameters;
        see :meth:`analysis.figure.Figure.run`.

    Returns
    -------
    FigureResult
    """
    checks.one_of("scale", scale, figure.scales)
    executors.require_reachable(executor)
    fresh = checks.flag("fresh", fresh)
    output = folders.given("output", output, folders.FIGURES)
    runs = folders.given("runs", runs, folders.RUNS)
    parameters = figure_parameters.chosen(figure, scale, given)
    prepared = prepared_where_named(figure, parameters)
    data, stored, other = find(figure, scale, parameters, prepared, output, fresh=fresh)
    files.require_folder("output", data.parent)
    files.require_writable("output", data)
    if stored is None or other:
        parameters |= prepared or figure.prepared(parameters)
        files.require_folder("runs", runs)
        stored = compute(figure, scale, parameters, executor, runs)
        if stored is None:
            raise RuntimeError(
                f"{figure.name}: a unit of work failed, as was printed; the others are kept in "
                f"{str(runs)!r}, and the same call computes the failed ones alone"
            )
    for sentence in figure_data.notices(figure, stored):
        print(sentence)
    paths = finish(figure, scale, parameters, data, stored)
    arrays = stored["arrays"]
    found = figure.judge(parameters, arrays)
    return FigureResult(figure.name, scale, parameters, arrays, found, [data, *paths])


def prepared_where_named(figure, parameters):
    """Return what the figure's `prepare` finds in a folder of images that is named, or {}.

    Parameters
    ----------
    figure : Figure
        Description of the figure.
    parameters : dict
        Of the figure.

    Returns
    -------
    dict
        {} where the environment names no folder.
    """
    named = os.environ.get(official.FOLDER_VARIABLE)
    return figure.prepared(parameters) if named else {}


def find(figure, scale, parameters, prepared, output, *, fresh=False):
    """Return where data of these parameters lie, what is stored there, and whether it serves.

    Parameters
    ----------
    figure : Figure
        Description of the figure.
    scale : str
        One of its scales.
    parameters : dict
        Of the figure.
    prepared : dict
        Of :func:`prepared_where_named`.
    output : Path
        Folder of the pictures.
    fresh : bool
        Whether to ignore stored data.

    Returns
    -------
    data : Path
        The ``.npz``.
    stored : dict or None
        Of :func:`analysis.figure_data.load`.
    other : str
        In what the stored data differ from what was prepared; "" where in nothing.

    Raises
    ------
    InputError
        If another study beside the data has used its seeds.
    """
    identity = parameters | prepared
    data = figure_paths.data_file(figure, scale, identity, output)
    if "margins" in parameters:
        figure_data.refuse_used_seeds(figure, scale, data, identity)
    stored = None if fresh else figure_data.load(data, parameters)
    return data, stored, figure_data.difference(stored, prepared) if stored else ""


def compute(figure, scale, parameters, executor, runs):
    """Return :func:`analysis.figure_computation.compute`; SIGTERM stops it as Ctrl-C does."""
    with interruptions.handled():
        return figure_computation.compute(figure, scale, parameters, executor, runs)


def finish(figure, scale, parameters, data, stored):
    """Save data that were computed now, write the verdicts and draw.

    Parameters
    ----------
    figure : Figure
        Description of the figure.
    scale : str
        One of its scales.
    parameters : dict
        Parameters that the data were made with.
    data : Path
        The ``.npz``.
    stored : dict
        Of :func:`find` or :func:`compute`.

    Returns
    -------
    list of Path
        The pictures, and the table where the figure has one.
    """
    if "seconds" in stored:  # computed now
        figure_data.save(figure, scale, data, parameters, stored)
    figure_data.update_claims(figure, data, parameters, stored["arrays"])
    return figure_drawing.draw(figure, parameters, stored["arrays"], figure_paths.stem_of(data))
