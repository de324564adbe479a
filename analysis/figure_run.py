"""A figure from Python: parameters in; arrays, claims and pictures out."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from analysis import (
    claims,
    figure_command,
    figure_computation,
    figure_data,
    figure_parameters,
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
    named = os.environ.get(official.FOLDER_VARIABLE)
    prepared = figure.prepared(parameters) if named else {}
    data = figure_data.data_file(figure, scale, parameters | prepared, output)
    stored = None if fresh else figure_data.load(data, parameters)
    files.require_folder("output", data.parent)
    files.require_writable("output", data)
    if stored is not None and not figure_data.difference(stored, prepared):
        figure_command.note_source(stored)
    else:
        parameters |= prepared or figure.prepared(parameters)
        files.require_folder("runs", runs)
        with interruptions.handled():
            stored = figure_computation.compute(figure, scale, parameters, executor, runs)
        if stored is None:
            raise RuntimeError(
                f"{figure.name}: a unit of work failed, as was printed; the others are kept in "
                f"{str(runs)!r}, and the same call computes the failed ones alone"
            )
        figure_data.save(figure, scale, data, parameters, stored)
    arrays = stored["arrays"]
    figure_data.update_claims(figure, data, parameters, arrays)
    drawn = figure_command.draw(figure, parameters, arrays, figure_data.stem_of(data))
    return FigureResult(
        figure.name, scale, parameters, arrays, figure.judge(parameters, arrays), [data, *drawn]
    )
