"""The units of a figure on an executor: foundations first, then the units that build on them."""

import os
import time
from pathlib import Path

import aniso
from analysis import figure_data, units_of_work
from analysis.figure import seeds_of
from aniso.datasets import official


def compute(figure, scale, parameters, executor, runs):
    """Compute all units of a figure.

    Parameters
    ----------
    figure : analysis.figure.Figure
        Description of the figure.
    scale : str
        One of :data:`analysis.figure.SCALES`.
    parameters : dict
        Of the scale, with the digests of the data.
    executor : str
        See :mod:`aniso.runs.executors`.
    runs : Path
        Folder of the run directories.

    Returns
    -------
    dict or None
        "arrays", "seconds", and "diverged" with a sentence for each run that diverged. None where
        a unit failed.
    """
    start = time.perf_counter()
    units = figure.make_units(parameters)
    foundations = _foundations(figure, parameters, executor, runs)
    if foundations is None:
        return None
    name = _name(parameters, figure.revision)
    folder = runs.resolve() / f"{figure.runs or figure.name}_{scale}" / name
    images = os.environ.get(official.FOLDER_VARIABLE)
    work = [
        (figure.compute_unit, u, str(folder / f"unit-{i:03d}"), images, foundations.get(u["seed"]))
        for i, u in enumerate(units)
    ]
    values = units_of_work.values(figure.name, run_unit, work, executor, figure.steps_of)
    if values is None:
        return None
    return {
        "arrays": figure.collect(parameters, units, values),
        "seconds": time.perf_counter() - start,
        "diverged": [
            f"{unit['dynamics']}, seed {unit['seed']}: {value['message']}"
            for unit, value in zip(units, values, strict=True)
            if str(value.get("message", ""))
        ],
    }


def _foundations(figure, parameters, executor, runs):
    """Return the values of the foundations by seed; None where one failed."""
    foundation = figure.foundation
    if foundation is None:
        return {}
    seeds = seeds_of(parameters)
    units = [foundation.make_unit(parameters, seed) for seed in seeds]
    names = [_name(unit, foundation.revision) for unit in units]
    folders = [str(runs.resolve() / "foundations" / name) for name in names]
    work = [
        (foundation.compute, unit, folder, None)
        for unit, folder in zip(units, folders, strict=True)
    ]
    label = f"{figure.name}: foundation"
    values = units_of_work.values(label, run_unit, work, executor, figure.steps_of)
    return None if values is None else dict(zip(seeds, values, strict=True))


def _name(parameters, revision):
    # run directories of another revision or package are never taken up
    identity = parameters | {"revision": revision, "aniso": aniso.__version__}
    return figure_data.key(identity)[:12]


def run_unit(work):
    """Run one unit of work, in any process.

    Parameters
    ----------
    work : tuple
        The function, its unit, the run directory, the folder of images or None, and the further
        arguments of the function.

    Returns
    -------
    dict of str to ndarray
    """
    compute_unit, unit, folder, images, *more = work
    if images:  # a worker elsewhere may have a folder of its own
        os.environ.setdefault(official.FOLDER_VARIABLE, images)
    return compute_unit(unit, Path(folder), *more)
