"""A verification run: the tasks of some groups, on all cores, with the same numbers on any number.

This process works too. Every other process gets one unit of the agenda at a time.
"""

import contextlib
import threading
import time
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass, replace

from threadpoolctl import threadpool_limits

from aniso import propositions
from aniso.propositions import report
from aniso.propositions.agenda import Agenda, units_of
from aniso.runs import processes

# This process waits in steps of so many seconds: on some systems Ctrl-C interrupts no wait.
_PATIENCE = 0.1


@dataclass(frozen=True)
class SharedResult:
    """Value of a computation that tasks share.

    Attributes
    ----------
    value : object
        None where it failed.
    seconds : float
        Wall-clock time.
    error : str
        Text of the exception that ended it; empty if it ran through.
    """

    value: object
    seconds: float
    error: str = ""


def run_tasks(groups, settings, *, num_processes=1, on_units=None, on_end=None):
    """Run every task of the given groups and return the results in their order.

    Parameters
    ----------
    groups : sequence of str
        Keys of :data:`aniso.propositions.GROUPS`.
    settings : aniso.propositions.settings.Settings
        Scale and seed of the verification.
    num_processes : int
        Largest number of processes at a time, this one included.
    on_units : callable, optional
        ``on_units(units)`` before the first unit begins.
    on_end : callable, optional
        ``on_end(unit)`` whenever a unit has ended, in any thread.

    Returns
    -------
    list of aniso.propositions.report.TaskResult

    Raises
    ------
    KeyboardInterrupt
        After Ctrl-C, in this process or another one. All of them have then stopped.

    Notes
    -----
    An exception ends its task alone. Where a shared computation fails, the tasks that need it
    fail with its error. Where another process dies, its unit fails, and this process runs the rest.
    """
    units = units_of({group: propositions.tasks(group, settings) for group in groups})
    if on_units is not None:
        on_units(units)
    agenda = Agenda(units, on_end)
    independent = sum(not unit.needs for unit in units)
    num_others = max(0, min(num_processes, independent) - 1)
    # One BLAS thread: the matrices are small, and the bits don't depend on the number of cores.
    with (
        threadpool_limits(limits=1, user_api="blas"),
        processes.Processes(num_others) if num_others else contextlib.nullcontext() as pool,
    ):
        feeders = [
            threading.Thread(target=_feed, args=(agenda, pool, number, settings), daemon=True)
            for number in range(1, num_others + 1)
        ]
        try:
            for feeder in feeders:
                feeder.start()
            while (unit := agenda.take(0)) is not None:
                agenda.end(unit, _run_unit(unit, settings, agenda.known(unit)))
            for feeder in feeders:
                while feeder.is_alive():
                    feeder.join(_PATIENCE)
        finally:
            agenda.close()
        if agenda.interrupted:
            raise KeyboardInterrupt
    return _in_order(units, agenda.outcomes)


def _feed(agenda, pool, number, settings):
    """Let another process run units of the agenda until none is left."""
    while (unit := agenda.take(number)) is not None:
        try:
            outcome = pool.submit(_run_elsewhere, unit, settings, agenda.known(unit)).result()
        except BrokenExecutor as error:
            agenda.end(unit, _broken_off(unit, error, 0.0))
            return
        except Exception as error:
            agenda.end(unit, _broken_off(unit, error, 0.0))
        except BaseException:  # Ctrl-C in the other process
            agenda.interrupt()
        else:
            agenda.end(unit, outcome)


def _run_elsewhere(unit, settings, known):
    with threadpool_limits(limits=1, user_api="blas"):
        return _run_unit(unit, settings, known)


def _run_unit(unit, settings, known):
    """Return the outcome of a unit, given the results of its needs."""
    start = time.perf_counter()
    try:
        if unit.shared is not None:
            return SharedResult(unit.shared.compute(), time.perf_counter() - start)
        for need, result in known.items():
            if result.error:
                return report.TaskResult(unit.group, unit.name, (), 0.0, result.error)
            need.remember(result.value)
        task = propositions.tasks(unit.group, settings)[unit.number]
        found = tuple(task.run())
    except Exception as error:
        return _broken_off(unit, error, time.perf_counter() - start)
    return report.TaskResult(unit.group, unit.name, found, time.perf_counter() - start)


def _broken_off(unit, error, seconds):
    text = f"{type(error).__name__}: {error}"
    if unit.shared is not None:
        return SharedResult(None, seconds, text)
    return report.TaskResult(unit.group, unit.name, (), seconds, text)


def _in_order(units, outcomes):
    """Results of the tasks; the time of a shared computation is that of the first that needs it."""
    found, counted = [], set()
    for unit in units:
        if unit.shared is None:
            result = outcomes[unit]
            new = [need for need in unit.needs if need not in counted]
            counted.update(new)
            spent = sum(outcomes[need].seconds for need in new)
            found.append(replace(result, seconds=result.seconds + spent))
    return found
