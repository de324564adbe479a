"""The command ``python -m aniso.diagnose module:function``."""

import argparse
import importlib
import os
import sys
import threading
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from aniso import _extras, checks
from aniso.diagnostics.measurement import measure
from aniso.diagnostics.planning import plan
from aniso.diagnostics.registry import GROUPS, QUANTITIES, TIERS
from aniso.problems import LocalGeometry, Problem
from aniso.runs import files

_INTERRUPTED = 130
# seconds between looks at Ctrl-C while a long computation runs in its thread
_WAIT = 0.1


def main(arguments=None):
    """Measure the problem that a function returns, print and write the diagnosis.

    Parameters
    ----------
    arguments : sequence of str, optional
        Arguments of the command line; ``sys.argv[1:]`` if not given.

    Returns
    -------
    int
        0, or 1 if the results can't be written, or 130 after Ctrl-C. Wrong arguments end the
        process with status 2.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        for name in ("json", "html"):
            if getattr(options, name) is not None:
                files.require_writable(f"--{name}", getattr(options, name), devices=True)
        _require_batch(options)
        problem, theta = load(options.target)
        console = Console(stderr=True)
        with _bar(console) as progress:
            found = _in_thread(lambda: _result(problem, theta, options, progress))
    except checks.InputError as error:
        parser.error(str(error))
    except KeyboardInterrupt:
        print("interrupted: nothing was written", file=sys.stderr)
        return _INTERRUPTED
    try:
        print(found)
        _write(found, options)
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("interrupted: the results are not all written", file=sys.stderr)
        return _INTERRUPTED
    except OSError as error:
        where = "" if error.filename is None else f" {error.filename!r}"
        print(
            f"error: the results can't be written to{where or ' standard output'}: "
            f"{error.strerror}; make room there or choose another place, and run again",
            file=sys.stderr,
        )
        return 1
    return 0


def load(target):
    """Return the problem, and theta or None, that a named function returns.

    Parameters
    ----------
    target : str
        ``module:function``. The module is looked for in the working directory first.

    Returns
    -------
    tuple
        (problem, theta).

    Raises
    ------
    InputError
        If there is no such module or function, or it returns no problem. Errors of the module and
        of the function themselves are raised as they are.
    """
    module_name, colon, name = target.partition(":")
    if not (module_name and colon and name):
        raise checks.InputError(
            f"{target!r} has no module and function; expected module:function, for instance "
            "my_model:problem"
        )
    sys.path.insert(0, os.getcwd())
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        # a package that the user's own module lacks is another fault
        if not f"{module_name}.".startswith(f"{error.name}."):
            told = _extras.absent(f"module {module_name!r}", error)
            if told is error:
                raise
            raise checks.InputError(str(told)) from error
        raise checks.InputError(
            f"module {module_name!r} of {target!r} is not found from {os.getcwd()!r}; expected a "
            "file there, or an installed module"
        ) from error
    finally:
        sys.path.remove(os.getcwd())
    function = getattr(module, name, None)
    if not callable(function):
        what = "no" if function is None else f"{type(function).__name__}, not a function,"
        raise checks.InputError(
            f"module {module_name!r} has {what} {name!r}; expected a function without arguments "
            "that returns a problem"
        )
    made = function()
    problem, theta = made if isinstance(made, tuple) and len(made) == 2 else (made, None)
    if not isinstance(problem, (Problem, LocalGeometry)):
        raise checks.InputError(
            f"{target} returned a {type(made).__name__}; expected a problem, or (problem, theta)"
        )
    return problem, theta


def _result(problem, theta, options, progress):
    quantities = options.quantities or "standard"
    if options.plan:
        batch = {} if options.batch_size is None else {"batch_size": options.batch_size}
        return plan(
            problem,
            quantities,
            theta,
            relative_error=options.relative_error,
            num_examples=options.num_examples,
            **batch,
        )
    bar = progress.add_task("", total=None)

    def told(done, total, name):
        progress.update(bar, completed=done, total=total, description=name.ljust(26))

    return measure(
        problem,
        theta,
        batch_size=options.batch_size,
        replacement=options.replacement,
        learning_rate=options.learning_rate,
        quantities=quantities,
        relative_error=options.relative_error,
        num_examples=options.num_examples,
        progress=told,
        rng=np.random.default_rng(options.seed),
    )


def _require_batch(options):
    if options.seed < 0:
        raise checks.InputError(f"--seed={options.seed}; expected an integer >= 0")
    if options.plan:
        if options.html is not None:
            raise checks.InputError("--html with --plan: a cost has no page; expected --json")
        return
    if options.batch_size is None:
        raise checks.InputError("--batch-size is missing; expected the size of the mini-batches")
    if options.replacement is None:
        raise checks.InputError(
            "--replacement or --no-replacement is missing; expected one of them: the noise of a "
            "batch depends on it"
        )


def _in_thread(call):
    """Return the result of a call in a thread of its own, so that Ctrl-C ends the wait at once."""
    kept = {}

    def run():
        try:
            kept["result"] = call()
        except BaseException as error:
            kept["error"] = error

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(_WAIT)
    if "error" in kept:
        raise kept["error"]
    return kept["result"]


def _write(found, options):
    if options.json is not None:
        with files.atomic_writer(options.json) as stream:
            stream.write(found.to_json() + "\n")
        print(f"wrote {options.json}")
    if options.html is not None:
        found.to_html(options.html)
        print(f"wrote {options.html}")


def _bar(console):
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def _parser():
    parser = argparse.ArgumentParser(
        prog="python -m aniso.diagnose",
        description="Measure curvature and gradient noise of a problem at one theta.",
        epilog="Exit status: 0 done, 1 results can't be written, 2 wrong arguments, 130 Ctrl-C.",
    )
    parser.add_argument(
        "target",
        metavar="module:function",
        help="function that returns a problem, or (problem, theta); found from this directory",
    )
    parser.add_argument("--batch-size", type=int, metavar="N", help="size of the mini-batches")
    parser.add_argument(
        "--replacement",
        action=argparse.BooleanOptionalAction,
        help="whether a batch may hold an example twice",
    )
    parser.add_argument("--learning-rate", type=float, metavar="η", help="learning rate of SGD")
    parser.add_argument(
        "--quantities",
        nargs="+",
        metavar="NAME",
        choices=(*GROUPS, *TIERS, *QUANTITIES),
        help="tiers (" + ", ".join((*GROUPS, *TIERS)) + ") or names: " + ", ".join(QUANTITIES),
    )
    parser.add_argument(
        "--relative-error",
        type=float,
        default=0.01,
        metavar="ε",
        help="of Tr(H Sigma) (default 0.01)",
    )
    parser.add_argument("--num-examples", type=int, metavar="n", help="random subset to use")
    parser.add_argument("--seed", type=int, default=0, help="root of all randomness (default 0)")
    parser.add_argument(
        "--json",
        metavar="FILE",
        type=Path,
        help="write the diagnosis as JSON, or the cost with --plan",
    )
    parser.add_argument("--html", metavar="FILE", type=Path, help="write it as a page")
    parser.add_argument("--plan", action="store_true", help="print the cost, measure nothing")
    return parser


def program():
    """Run the command as a process, which ends with the status of :func:`main`.

    After Ctrl-C it ends at once, while a thread may still compute.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")
    status = main()
    if status == _INTERRUPTED:
        sys.stderr.flush()
        os._exit(status)
    try:
        sys.stdout.flush()
    except OSError:  # main has reported it; else the interpreter reports it again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(status)
