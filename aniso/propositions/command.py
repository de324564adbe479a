"""The command ``python -m aniso.verify_propositions``: does the theory hold, in numbers?"""

import argparse
import contextlib
import os
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from aniso import checks, propositions, threads
from aniso.propositions import document, report, running
from aniso.propositions.settings import SCALES, Settings
from aniso.runs import files, provenance


def main(arguments=None):
    """Run the checks, print their table, and return the exit status.

    Parameters
    ----------
    arguments : sequence of str, optional
        Arguments of the command line; ``sys.argv[1:]`` if not given.

    Returns
    -------
    int
        0 if nothing fails, 1 if a check fails, a task breaks off or the results can't be written,
        130 after Ctrl-C. Wrong arguments end the process with status 2 before any work.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        return _checked(parser, options)
    except KeyboardInterrupt:  # one during the checks is reported by _verify
        print("interrupted: the results are not all written", file=sys.stderr)
        return 130


def _checked(parser, options):
    """Run the command after refusing options that cannot work."""
    with contextlib.ExitStack() as stack:
        try:
            settings = Settings(options.scale, options.seed)
            groups = _chosen(options.only)
            # The folder comes first, since the file may lie in it.
            if options.plot is not None:
                _require_figures(groups)
                stack.enter_context(_folder_for_figures(options.plot))
            if options.json is not None:
                files.require_writable("--json", options.json, devices=True)
        except checks.InputError as error:
            parser.error(str(error))
        return _verify(groups, settings, options)


def _chosen(only):
    """Return the named groups in their order; without names those that are not on request."""
    wanted = only or [name for name in propositions.GROUPS if name not in propositions.ON_REQUEST]
    return [name for name in propositions.GROUPS if name in wanted]


def _verify(groups, settings, options):
    """Run the groups, print and write the results, and return the exit status."""
    start = time.perf_counter()
    try:
        num_processes = threads.available_cores()
        results = run(groups, settings, Console(stderr=True), num_processes=num_processes)
    except KeyboardInterrupt:
        print("interrupted: nothing was written", file=sys.stderr)
        return 130
    seconds = time.perf_counter() - start
    try:
        _show(groups, results, seconds)
        _write(options, settings, results, seconds)
        sys.stdout.flush()
    except OSError as error:
        where = "" if error.filename is None else f" {error.filename!r}"
        print(
            f"error: the results can't be written to{where or ' standard output'}: "
            f"{error.strerror}; make room there or choose another place, and run again",
            file=sys.stderr,
        )
        return 1
    return 0 if report.passed(results) else 1


def _write(options, settings, results, seconds):
    if options.json is not None:
        with files.atomic_writer(options.json) as stream:
            data = document.as_document(results, settings, provenance.environment(), seconds)
            document.write_document(stream, data)
        print(f"wrote {options.json}")
    if options.plot is not None:
        from aniso.propositions import plots  # matplotlib loads only when a figure is asked for

        written = plots.draw(results, options.plot)
        for path in written:
            print(f"wrote {path}")
        if not written:
            print("no figure: no task left data to draw")


def run(groups, settings, console, *, num_processes=1):
    """Run every task of the given groups and return the results.

    Parameters
    ----------
    groups : sequence of str
        Keys of :data:`aniso.propositions.GROUPS`.
    settings : aniso.propositions.settings.Settings
        Scale and seed of the verification.
    console : rich.console.Console
        Where the progress bar is drawn, if it is a terminal.
    num_processes : int
        Largest number of processes at a time, this one included. The numbers are the same for any.

    Returns
    -------
    list of aniso.propositions.report.TaskResult
    """
    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as progress:
        bar = progress.add_task("", total=None)

        def advance(unit):
            shown = ": ".join(filter(None, (unit.group, unit.name)))
            progress.update(bar, advance=1, description=shown[:56].ljust(56))

        return running.run_tasks(
            groups,
            settings,
            num_processes=num_processes,
            on_units=lambda units: progress.update(bar, total=len(units)),
            on_end=advance,
        )


def _show(groups, results, seconds):
    console = Console(highlight=False)
    if not console.is_terminal or console.width > report.TABLE_WIDTH:
        console.width = report.TABLE_WIDTH
    for group in groups:
        own = [result for result in results if result.group == group]
        console.print(report.table(propositions.title(group), own, propositions.legend(group)))
    notes = report.findings(results)
    if notes:
        console.print("Findings", style="bold")
        for note in notes:
            console.print(f"- {note}", markup=False)
        console.print()
    console.print(report.verdict_line(results, seconds))


def _parser():
    parser = argparse.ArgumentParser(
        prog="python -m aniso.verify_propositions",
        description="Check Definition 1 and Propositions 1 to 3 of Zhu et al. (2019) with explicit "
        "constants, margins and error bars, on synthetic and real data.",
        epilog="Exit status: 0 nothing fails, 1 a check fails, 2 wrong arguments.",
    )
    parser.add_argument(
        "--only",
        nargs="+",
        metavar="GROUP",
        choices=tuple(propositions.GROUPS),
        help="groups to run: "
        + ", ".join(propositions.GROUPS)
        + " (default: all but "
        + ", ".join(propositions.ON_REQUEST)
        + "); their numbers are those of the whole run",
    )
    scale = parser.add_mutually_exclusive_group()
    help_texts = {"quick": "small sizes, less than a minute", "full": "heavy sizes, many minutes"}
    for name, text in help_texts.items():
        scale.add_argument(f"--{name}", dest="scale", action="store_const", const=name, help=text)
    parser.set_defaults(scale=SCALES[1])
    parser.add_argument("--seed", type=int, default=0, help="root of all randomness (default 0)")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all numbers as JSON")
    parser.add_argument("--plot", metavar="DIR", type=Path, help="write the evidence as figures")
    return parser


def _require_figures(groups):
    """Refuse groups of which none has a figure."""
    from aniso.propositions import plots  # matplotlib loads only when a figure is asked for

    if not set(groups) & set(plots.GROUPS):
        raise checks.InputError(
            f"--plot has no figure of {', '.join(groups)}; leave it out, or choose a group with "
            f"one: {', '.join(plots.GROUPS)}"
        )


@contextlib.contextmanager
def _folder_for_figures(path):
    """Create the folder and its parents; at the end remove those that are still empty."""
    created = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise checks.InputError(
                f"--plot={str(path)!r} can't be created: {error.strerror}; expected a writable "
                "folder"
            ) from error
        files.require_writable("--plot", path / "evidence.png")
        yield
    finally:
        with contextlib.suppress(OSError):  # a folder with files in it stays
            for folder in created:
                folder.rmdir()


def program():
    """Run the command as a process, with messages in place of tracebacks for its streams.

    A letter that standard output can't show is replaced. A full standard output is reported once.

    Returns
    -------
    int
        The exit status of :func:`main`.
    """
    sys.stdout.reconfigure(errors="replace")
    status = main()
    try:
        sys.stdout.flush()
    except OSError:  # main has reported it; else the interpreter reports it again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return status
