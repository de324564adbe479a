"""The command behind every figure: compute, store, judge, draw.

    python -m analysis.figN_... [--scale small|medium|paper] [--seeds N] [--executor NAME]
                                [--plot-only] [--fresh] [--data-dir PATH] [--output FOLDER]
                                [--runs FOLDER]

Units of work run on any executor and leave run directories, from which an interrupted figure goes
on. The arrays go to ``FOLDER/data/*.npz`` with their provenance beside them as ``.json``; the
drawing is made of the stored arrays alone. Where no folder is named, it is ``figures`` or ``runs``
of the repository, whatever the working directory. Run directories belong to the sources that fill
them: other code begins anew. Stored arrays that other code made are drawn, and said to be so.
"""

import argparse
import importlib
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
import threadpoolctl

from analysis import figure_data, figure_style, folders, sources, units_of_work
from aniso import checks
from aniso.arrays import places
from aniso.datasets import official
from aniso.runs import executors, files, interruptions

SCALES = ("small", "medium", "paper")


@dataclass(frozen=True)
class Figure:
    """One figure.

    Attributes
    ----------
    name : str
        Module in this package, and stem of the files.
    title, claim : str
        What it shows, and what its caption claims, in a line each.
    scales : mapping of str to dict
        Parameters of each scale, plain data; "num_seeds" among them.
    costs : mapping of str to str
        What a scale takes, for the list of figures and before the work starts.
    make_units : callable
        ``(parameters) -> list of dict``, one for each unit of work, with its "seed".
    compute_unit : callable
        ``(unit, folder, foundation) -> dict of str to ndarray``. The folder is the unit's run
        directory, not made yet; `foundation` is what its seed's foundation returned, or None.
    collect : callable
        ``(parameters, units, values) -> dict of str to ndarray``.
    judge : callable
        ``(parameters, arrays) -> list of claims.Claim``.
    draw : callable
        ``(parameters, arrays) -> matplotlib.figure.Figure``.
    make_foundation, compute_foundation : callable, optional
        ``(parameters, seed) -> dict`` and ``(unit, folder) -> dict of str to ndarray``: work that
        comes before a seed's units, shared by figures with equal foundations.
    prepare : callable, optional
        ``(parameters) -> dict``, before any work: what the data are, in plain numbers and words,
        that stored runs must agree on; InputError where something is missing.
    steps_of : callable, optional
        ``unit -> int``, steps of a unit or of a foundation, for the progress bar.
    takes_device, takes_preset : bool
        Whether its networks can run on another device, with ``--device``, and whether its dynamics
        can be those of the published scripts, with ``--as-published``.
    runs : str
        Module whose runs it draws, "" for its own: figures of the same runs compute them once.
    bands : str
        What the lines and bands over seeds mean; "" where there are none.
    """

    name: str
    title: str
    claim: str
    scales: Mapping
    costs: Mapping
    make_units: Callable
    compute_unit: Callable
    collect: Callable
    judge: Callable
    draw: Callable
    make_foundation: Callable | None = None
    compute_foundation: Callable | None = None
    prepare: Callable | None = None
    steps_of: Callable | None = None
    takes_device: bool = False
    takes_preset: bool = False
    runs: str = ""
    bands: str = ""

    @property
    def made_by(self):
        """Name of the module, in this package, that the numbers come from."""
        return self.runs or self.name


def named(name):
    """The figure of the module `name` of this package."""
    return module(name).FIGURE


def module(name):
    """The module of a figure."""
    return importlib.import_module(f"analysis.{name}")


def main(name, arguments=None):
    """Compute and draw a figure; the exit status: 0, 1 where a unit failed, 130 after Ctrl-C.

    Parameters
    ----------
    name : str
        Module of the figure.
    arguments : sequence of str, optional
    """
    figure = named(name)
    parser = _parser(figure)
    options = parser.parse_args(arguments)
    if options.data_dir is not None:  # inherited by local workers
        os.environ[official.FOLDER_VARIABLE] = str(options.data_dir.resolve())
    parameters = dict(figure.scales[options.scale])
    if options.device is not None:
        parameters["device"] = options.device
    if options.seeds is not None:
        parameters["num_seeds"] = options.seeds
    if options.as_published:
        parameters["preset"] = "as_published"
    if options.fresh and options.plot_only:
        parser.error("--fresh computes and --plot-only does not: give one of them")
    stem = f"{figure.name}_{options.scale}{_variant(figure, options)}"
    data = options.output / "data" / f"{stem}.npz"
    try:
        stored = _ready(figure, parameters, options, data)
    except (checks.InputError, OSError) as error:
        parser.error(str(error))
    if stored is None:
        try:
            with interruptions.handled():
                stored = _compute(figure, parameters, options)
        except checks.InputError as error:
            parser.error(str(error))
        except KeyboardInterrupt:
            print(
                f"interrupted; the same command goes on from the checkpoints in {options.runs}",
                file=sys.stderr,
            )
            return 130
        if stored is None:
            return 1
    try:
        if stored.pop("new", False):
            figure_data.save(figure, options.scale, data, parameters, stored)
            print(f"wrote {data}")
        elif stored["sources"] != sources.fingerprint(f"analysis.{figure.made_by}"):
            print(
                f"the stored data were made by other sources ({stored['sources'] or 'not recorded'}"
                "); --fresh computes them anew"
            )
        figure_data.update_claims(figure, data, parameters, stored["arrays"])
        _show(figure, parameters, stored)
        for path in draw(figure, parameters, stored["arrays"], options.output / stem):
            print(f"wrote {path}")
    except OSError as error:
        print(
            f"{error}: {str(options.output)!r} takes no more; make room there, then the same "
            f"command goes on from the finished runs in {options.runs}",
            file=sys.stderr,
        )
        return 1
    return 0


def _variant(figure, options):
    # what tells these files from those of the scale itself
    seeds = options.seeds not in (None, figure.scales[options.scale]["num_seeds"])
    return f"_seeds{options.seeds}" * seeds + "_as_published" * bool(options.as_published)


def _ready(figure, parameters, options, data):
    """Stored arrays that serve, or None once all is there to compute them; refusals come first.

    `parameters` is told what the data are where there is something to compute.
    """
    checks.integer("--seeds", parameters["num_seeds"], low=1)
    stored = None if options.fresh else figure_data.load(data, parameters)
    if options.plot_only and stored is None:
        raise checks.InputError(
            f"--plot-only: {str(data)!r} holds no data of these parameters; run without it"
        )
    files.require_folder("--output", data.parent)
    files.require_writable("--output", data)
    if options.data_dir is not None and not options.data_dir.exists():
        raise checks.InputError(f"--data-dir: {str(options.data_dir)!r} does not exist")
    if options.device is not None:
        places.resolve(np.zeros(1), options.device)
    executors.require_reachable(options.executor)
    if options.plot_only:
        return stored
    # whoever names images wants a figure of these
    if stored is not None and os.environ.get(official.FOLDER_VARIABLE):
        if prepared(figure, parameters) == stored["prepared"]:
            return stored
        print("the stored data are of other images: computed anew", flush=True)
    elif stored is not None:
        return stored
    print(f"{figure.name} at scale {options.scale}: {_cost(figure, options)}", flush=True)
    parameters |= prepared(figure, parameters)
    files.require_folder("--runs", options.runs)
    return None


def draw(figure, parameters, arrays, stem):
    """The drawing of stored arrays as PNG and PDF; the paths written."""
    with matplotlib.rc_context(figure_style.STYLE):
        drawing = figure.draw(parameters, arrays)
        paths = [stem.with_suffix(f".{form}") for form in ("png", "pdf")]
        for path in paths:
            # no dates: the same data give the same file
            metadata = {"Creator": None, "CreationDate": None} if path.suffix == ".pdf" else None
            with files.atomic_writer(path, "wb") as stream:
                drawing.savefig(stream, format=path.suffix[1:], metadata=metadata)
    return paths


def prepared(figure, parameters):
    """What the data of a figure are, {} where it needs none from outside."""
    return {} if figure.prepare is None else figure.prepare(parameters)


def _cost(figure, options):
    own = figure.scales[options.scale]["num_seeds"]
    other = options.seeds is not None and options.seeds != own
    return figure.costs[options.scale] + (f" (of {own} seeds, not {options.seeds})" * other)


def _compute(figure, parameters, options):
    start = time.perf_counter()
    units = figure.make_units(parameters)
    code = sources.fingerprint(f"analysis.{figure.made_by}")
    foundations = _foundations(figure, parameters, options)
    if foundations is None:
        return None
    name = figure_data.key(parameters | {"sources": code})[:12]
    folder = options.runs.resolve() / f"{figure.made_by}_{options.scale}" / name
    images = os.environ.get(official.FOLDER_VARIABLE)
    work = [
        (figure.name, unit, str(folder / f"unit-{i:03d}"), foundations.get(unit["seed"]), images)
        for i, unit in enumerate(units)
    ]
    values = units_of_work.values(
        figure.name, compute_named, work, options.executor, figure.steps_of
    )
    if values is None:
        return None
    return {
        "arrays": figure.collect(parameters, units, values),
        "seconds": time.perf_counter() - start,
        "sources": code,
        "diverged": _divergences(units, values),
        "new": True,
    }


def _divergences(units, values):
    """What is told of the runs that diverged: plain sentences."""
    return [
        f"{unit['dynamics']}, seed {unit['seed']}: {value['message']}"
        for unit, value in zip(units, values, strict=True)
        if str(value.get("message", ""))
    ]


def _foundations(figure, parameters, options):
    """What each seed's units build on, by seed; None where one failed."""
    if figure.make_foundation is None:
        return {}
    # figures of the same foundation share it: what counts is the code that makes it
    code = sources.fingerprint(figure.compute_foundation.__module__)
    seeds = range(parameters["num_seeds"])
    units = [figure.make_foundation(parameters, seed) for seed in seeds]
    names = [figure_data.key(unit | {"sources": code})[:12] for unit in units]
    folders = [str(options.runs.resolve() / "foundations" / name) for name in names]
    work = [(figure.name, unit, path) for unit, path in zip(units, folders, strict=True)]
    label = f"{figure.name}: foundation"
    values = units_of_work.values(
        label, compute_named_foundation, work, options.executor, figure.steps_of
    )
    return None if values is None else dict(zip(seeds, values, strict=True))


def compute_named(work):
    """One unit of a figure, by name so that any process can find it."""
    name, unit, folder, foundation, images = work
    if images:  # a worker elsewhere may have a folder of its own
        os.environ.setdefault(official.FOLDER_VARIABLE, images)
    with _one_thread():
        return named(name).compute_unit(unit, Path(folder), foundation)


def compute_named_foundation(work):
    """One foundation of a figure, by name so that any process can find it."""
    name, unit, folder = work
    with _one_thread():
        return named(name).compute_foundation(unit, Path(folder))


def _one_thread():
    # the sums of linear algebra depend on its threads: the same number on every executor
    return threadpoolctl.threadpool_limits(1, user_api="blas")


def _show(figure, parameters, stored):
    for sentence in stored["diverged"]:
        print(f"diverged: {sentence}")
    for claim in figure.judge(parameters, stored["arrays"]):
        print(f"[{claim.verdict}] {claim.statement}: {claim.measured}")


def _parser(figure):
    parser = argparse.ArgumentParser(
        prog=f"python -m analysis.{figure.name}", description=f"{figure.title}. {figure.claim}"
    )
    costs = "; ".join(f"{scale}: {figure.costs[scale]}" for scale in SCALES)
    parser.add_argument("--scale", choices=SCALES, default="small", help=costs)
    parser.add_argument("--seeds", type=int, help="number of seeds (default: the scale's)")
    parser.add_argument(
        "--executor",
        default="local",
        help=f"one of: {executors.NAMES}; workers elsewhere must find this repository's folder "
        "on their path",
    )
    parser.add_argument("--plot-only", action="store_true", help="draw stored data")
    parser.add_argument(
        "--fresh",
        action="store_true",
        help="leave stored data aside; finished runs in --runs are still taken up",
    )
    if figure.takes_preset:
        parser.add_argument(
            "--as-published",
            action="store_true",
            help="the dynamics of the published scripts instead of those that the paper states",
        )
    parser.set_defaults(as_published=False)
    if figure.takes_device:
        parser.add_argument("--device", help='where networks run, for instance "cuda"')
    parser.set_defaults(device=None)
    parser.add_argument(
        "--data-dir",
        type=Path,
        metavar="PATH",
        help="folder or .npz of images, instead of ANISO_DATA",
    )
    folders.add_output(parser, "pictures, and for their data in its folder data")
    folders.add_runs(parser)
    return parser
