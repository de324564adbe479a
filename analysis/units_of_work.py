"""Units of a figure on an executor: their progress while they run, their failures afterwards."""

import sys

from analysis import step_progress
from aniso import executors


def values(label, function, work, executor, steps_of=None):
    """Values of all units, or None where one failed; failures are told and stop no other unit.

    Parameters
    ----------
    label : str
        For the progress bar.
    function : callable
        ``function((name, unit, folder, ...)) -> value``, module-level.
    work : list of tuple
        Its arguments: a name, a unit (dict) and its run directory first.
    executor : str
        See :mod:`aniso.executors`.
    steps_of : callable, optional
        ``unit -> int``.

    Returns
    -------
    list or None
    """
    folders = [item[2] for item in work]
    steps = steps_of and [steps_of(item[1]) for item in work]
    with step_progress.shown(label, folders, steps) as finish:
        outcomes = executors.run_units(
            function, work, executor, on_done=lambda outcome: finish(outcome.unit[2])
        )
    failed = [outcome for outcome in outcomes if outcome.error is not None]
    if not failed:
        return [outcome.value for outcome in outcomes]
    for outcome in failed:
        error, (_, unit, folder) = outcome.error, outcome.unit[:3]
        told = ", ".join(f"{key}={value}" for key, value in _own(unit, work).items())
        print(f"unit {told} failed: {type(error).__name__}: {error} ({folder})", file=sys.stderr)
    done = len(outcomes) - len(failed)
    print(
        f"{done} of {len(outcomes)} units are done and kept; the same command takes them up",
        file=sys.stderr,
    )
    return None


def _own(unit, work):
    """What tells a unit from the others, its seed at least."""
    others = [item[1] for item in work]
    return {
        key: value
        for key, value in unit.items()
        if key == "seed" or any(other.get(key) != value for other in others)
    }
