"""Units of a figure on an executor: their progress while they run, their failures afterwards."""

import errno
import sys
from pathlib import Path

from analysis import step_progress
from aniso.runs import executors, run_directory

_FULL = (errno.ENOSPC, errno.EDQUOT)


def values(label, function, work, executor, steps_of=None):
    """Return the values of all units, or None where one failed.

    A failure is printed and stops no other unit.

    Parameters
    ----------
    label : str
        For the progress bar.
    function : callable
        ``function((something, unit, folder, ...)) -> value``, a function of a module.
    work : list of tuple
        Its arguments, with a unit (dict) second and its run directory third.
    executor : str
        See :mod:`aniso.runs.executors`.
    steps_of : callable, optional
        ``unit -> int``.

    Returns
    -------
    list or None

    Raises
    ------
    KeyboardInterrupt
        After Ctrl-C or SIGTERM. Units that still run elsewhere are asked to stop.
    """
    folders = [item[2] for item in work]
    steps = steps_of and [steps_of(item[1]) for item in work]
    try:
        with step_progress.shown(label, folders, steps) as finish:
            outcomes = executors.run_units(
                function, work, executor, on_done=lambda outcome: finish(outcome.unit[2])
            )
    except KeyboardInterrupt:
        run_directory.ask_to_stop(folders)
        raise
    failed = [outcome for outcome in outcomes if outcome.error is not None]
    if not failed:
        return [outcome.value for outcome in outcomes]
    for outcome in failed:
        error, (_, unit, folder) = outcome.error, outcome.unit[:3]
        named = ", ".join(f"{key}={value}" for key, value in _own(unit, work).items())
        print(
            f"unit {named} failed: {type(error).__name__}: {error} ({folder}){_remedy(error)}",
            file=sys.stderr,
        )
    done = len(outcomes) - len(failed)
    print(
        f"{done} of {len(outcomes)} units are done and kept; without the causes of these errors, "
        "which may come again, the same command computes the others alone",
        file=sys.stderr,
    )
    return None


def _remedy(error):
    if not (isinstance(error, OSError) and error.errno in _FULL):
        return ""
    where = "the disk" if error.filename is None else f"the disk of {Path(error.filename).parent}"
    return f"; {where} is full: free space there"


def _own(unit, work):
    """Return the entries that distinguish a unit from the others, its seed at least."""
    others = [item[1] for item in work]
    return {
        key: value
        for key, value in unit.items()
        if key == "seed" or any(other.get(key) != value for other in others)
    }
