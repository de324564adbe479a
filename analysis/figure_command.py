"""The command of every figure: compute, store, judge, draw.

    python -m analysis.figN_... [--scale small|medium|study|paper] [--seeds N] [--first-seed N]
                                [--set NAME=VALUE]... [--executor NAME] [--plot-only] [--fresh]
                                [--data-dir PATH] [--output FOLDER] [--runs FOLDER]

Units of work run on any executor and leave run directories, from which an interrupted figure
continues. The arrays are written to ``FOLDER/data/*.npz``, with their provenance in a ``.json`` of
the same name. The drawing uses the stored arrays alone. The default folders are ``figures`` and
``runs`` of the repository, for any working directory. What was computed with other parameters than
a scale's own, or with a user's own images, lies apart, in ``FOLDER/own``.

A figure declares a revision, a number that is raised when its computation changes. Run directories
of another revision or another version of aniso are not used. Stored arrays of another revision
or version are drawn, with a notice.
"""

import argparse
import os
import sys

import numpy as np

from analysis import figure_data, figure_parameters, figure_run, folders
from aniso import checks
from aniso.arrays import places
from aniso.datasets import official
from aniso.runs import executors, files


def main(figure, arguments=None):
    """Compute and draw a figure.

    Parameters
    ----------
    figure : analysis.figure.Figure
        Description of the figure.
    arguments : sequence of str, optional
        Arguments of the command line; ``sys.argv[1:]`` if not given.

    Returns
    -------
    int
        Exit status: 0, 1 where a unit failed or the disk is full, 130 after Ctrl-C. Wrong
        arguments end the process with status 2 before any work.
    """
    parser = _parser(figure)
    options = parser.parse_args(arguments)
    try:
        return _run(figure, parser, options)
    except KeyboardInterrupt:
        again = f"continues from the checkpoints in {options.runs}"
        if options.plot_only:
            again = "draws again"
        print(f"interrupted; the same command {again}", file=sys.stderr)
        return 130


def _run(figure, parser, options):
    if options.data_dir is not None:  # inherited by local workers
        os.environ[official.FOLDER_VARIABLE] = str(options.data_dir.resolve())
    try:
        parameters = _parameters(figure, options)
    except checks.InputError as error:
        parser.error(str(error))
    if options.device is not None:
        parameters["device"] = options.device
    if options.first_seed is not None:
        parameters["first_seed"] = options.first_seed
    if options.as_published:
        parameters["preset"] = "as_published"
    if options.fresh and options.plot_only:
        parser.error("--fresh computes and --plot-only does not: give one of them")
    try:
        data, stored = _ready(figure, parameters, options)
    except (checks.InputError, OSError) as error:
        parser.error(str(error))
    if stored is None:
        try:
            stored = figure_run.compute(
                figure, options.scale, parameters, options.executor, options.runs
            )
        except checks.InputError as error:
            parser.error(str(error))
        if stored is None:
            return 1
    _show(figure, parameters, stored)
    try:
        drawn = figure_run.finish(figure, options.scale, parameters, data, stored)
        for path in [data, *drawn] if "seconds" in stored else drawn:
            print(f"wrote {path}")
    except OSError as error:
        print(
            f"{error}: {str(options.output)!r} can't be written; make room there, then the "
            f"same command continues from the finished runs in {options.runs}",
            file=sys.stderr,
        )
        return 1
    return 0


def _parameters(figure, options):
    given = figure_parameters.read(options.set)
    if options.seeds is None:
        return figure_parameters.chosen(figure, options.scale, given)
    if "num_seeds" in given:
        raise checks.InputError(f"--seeds {options.seeds} --set num_seeds=...: give one of them")
    figure_parameters.PARAMETERS["num_seeds"].rule("--seeds", options.seeds)
    parameters = figure_parameters.chosen(figure, options.scale, given)
    return parameters | {"num_seeds": options.seeds}


def _ready(figure, parameters, options):
    """Return path and stored arrays of these parameters, None for arrays that must be computed.

    Options that cannot work are refused first. If arrays must be computed, the digests of the data
    have been added to `parameters`.
    """
    if "num_seeds" in parameters:
        checks.integer("--seeds", parameters["num_seeds"], low=2 if "margins" in parameters else 1)
        checks.integer("--first-seed", parameters.get("first_seed", 0), low=0)
    if options.data_dir is not None and not options.data_dir.exists():
        raise checks.InputError(f"--data-dir: {str(options.data_dir)!r} does not exist")
    prepared = _prepared_where_named(figure, parameters, options)
    data, stored, other = figure_run.find(
        figure, options.scale, parameters, prepared, options.output, fresh=options.fresh
    )
    if options.plot_only and stored is None:
        raise checks.InputError(
            f"--plot-only: {str(data)!r} holds no data of these parameters; run without it"
        )
    files.require_folder("--output", data.parent)
    files.require_writable("--output", data)
    if options.device is not None:
        places.resolve(np.zeros(1), options.device)
    executors.require_reachable(options.executor)
    if other and options.plot_only:
        raise checks.InputError(
            f"--plot-only: {str(data)!r} holds data of {other}; name the images that it was made "
            "of, or run without --plot-only"
        )
    if stored is not None and not other:
        return data, stored
    if other:
        print(f"the stored data are of {other}: computed anew", flush=True)
    print(f"{figure.name} at scale {options.scale}: {_cost(figure, options)}", flush=True)
    parameters |= prepared or figure.prepared(parameters)
    files.require_folder("--runs", options.runs)
    return data, None


def _prepared_where_named(figure, parameters, options):
    try:
        return figure_run.prepared_where_named(figure, parameters)
    except (checks.InputError, OSError):
        if options.plot_only and options.data_dir is None:  # the variable may name other data
            return {}
        raise


def _cost(figure, options):
    own = figure.scales[options.scale].get("num_seeds")
    other = options.seeds is not None and options.seeds != own
    note = f" (of {own} seeds, not {options.seeds})" * other
    return figure.costs[options.scale] + note + " (of its own parameters)" * bool(options.set)


def _show(figure, parameters, stored):
    for sentence in figure_data.notices(figure, stored):
        print(sentence)
    for sentence in stored["diverged"]:
        print(f"diverged: {sentence}")
    for claim in figure.judge(parameters, stored["arrays"]):
        print(f"[{claim.verdict}] {claim.statement}: {claim.measured}")


def _parser(figure):
    parser = argparse.ArgumentParser(
        prog=f"python -m analysis.{figure.name}",
        description=f"{figure.title}. {figure.claim}",
        epilog=figure_parameters.described(figure),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    costs = "; ".join(f"{scale}: {figure.costs[scale]}" for scale in figure.scales)
    parser.add_argument("--scale", choices=tuple(figure.scales), default="small", help=costs)
    if "num_seeds" in figure.scales["small"]:
        parser.add_argument("--seeds", type=int, help="number of seeds (default: the scale's)")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="another value of a parameter of the scale, listed below; once for each",
    )
    if any("first_seed" in parameters for parameters in figure.scales.values()):
        parser.add_argument(
            "--first-seed", type=int, help="first seed of a study: a replication takes new seeds"
        )
    parser.set_defaults(seeds=None, first_seed=None)
    parser.add_argument(
        "--executor",
        default="processes",
        help=f"one of: {executors.NAMES}; workers elsewhere must find this repository's folder "
        "on their path",
    )
    parser.add_argument("--plot-only", action="store_true", help="draw stored data")
    parser.add_argument(
        "--fresh",
        action="store_true",
        help="ignore stored data; finished runs in --runs are still used",
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
        type=folders.path,
        metavar="PATH",
        help="folder or .npz of images, instead of ANISO_DATA",
    )
    folders.add_output(parser, "pictures, and for their data in its folder data")
    folders.add_runs(parser)
    return parser
