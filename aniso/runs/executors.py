"""Executors by name, and units of work that survive the death of a worker.

================================  =================================================================
name                              where the units run
================================  =================================================================
``serial``                        in this process, one after the other
``processes``, ``processes:4``    processes on this machine; as many as cores, or 4
``dask://host:port``              a Dask cluster (``pip install aniso[dask]``)
``mpi``                           ``mpi4py.futures`` (``pip install aniso[mpi]``), with the script
                                  started by ``mpiexec -n 9 python -m mpi4py.futures -m ...``
================================  =================================================================

Any other ``concurrent.futures.Executor`` works too. A unit is a picklable argument of a function
of a module. It has its own random seed, and linear algebra uses one thread. So results do not
depend on the executor, the number of workers or their order.
"""

import contextlib
import pickle
from collections import Counter, deque
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, wait
from dataclasses import dataclass

from aniso import checks, threads
from aniso.runs import _clusters, _sent_results, processes

NAMES = "serial, processes, processes:<number>, dask://<host>:<port>, mpi"
_ATTEMPTS = 3


@dataclass(frozen=True)
class Outcome:
    """The end of one unit.

    Attributes
    ----------
    unit : object
        The argument.
    value : object
        Value of the function; None where it failed.
    error : Exception or None
        Exception of the function, or the death of its worker where that happened three times.
    """

    unit: object
    value: object
    error: Exception | None


def run_units(function, units, executor="processes", *, on_done=None):
    """Return the outcomes of ``function(unit)`` for every unit, in their order.

    Parameters
    ----------
    function : callable
        Function of a module, so that other processes can import it.
    units : sequence
        Picklable arguments.
    executor : str or concurrent.futures.Executor
        A name, or an executor; an executor is not closed.
    on_done : callable, optional
        ``on_done(outcome)`` in this process whenever a unit has ended.

    Returns
    -------
    list of Outcome

    Raises
    ------
    InputError
        If the name is unknown, its package is not installed, or its cluster does not answer.
    KeyboardInterrupt
        After Ctrl-C; units in processes of this machine have then stopped.

    Notes
    -----
    If a unit raises, SystemExit included, or its value can't be pickled, the other units still run.
    A pool of processes breaks when a worker dies. It is replaced if it was opened by name. The
    units that ran in it then run one at a time, so that a unit that kills its process does not harm
    the others. Such a unit fails after three deaths. Units on a cluster continue after Ctrl-C until
    :func:`aniso.runs.run_directory.ask_to_stop` stops them.

    Examples
    --------
    >>> [outcome.value for outcome in run_units(abs, [-1, 2], "serial")]
    [1, 2]
    """
    work = _Work(function, list(units), on_done)
    if executor == "serial":
        work.run_here()
    elif isinstance(executor, str):
        while work.unfinished():
            with _named(executor, work.unfinished()) as (pool, width):
                work.run_in(pool, width)
    else:
        _require_submit(executor)
        broken = work.run_in(executor, len(work.units))
        work.give_up(broken)
    return [work.outcomes[index] for index in range(len(work.units))]


class _Work:
    """Units by index: those that wait, those that run alone, and the outcomes so far."""

    def __init__(self, function, units, on_done):
        self.function, self.units, self.on_done = function, units, on_done
        self.outcomes, self.attempts = {}, Counter()
        self.waiting, self.alone = deque(range(len(units))), deque()

    def unfinished(self):
        """Return the number of units without an outcome."""
        return len(self.units) - len(self.outcomes)

    def finish(self, index, value, error=None):
        """Note the outcome of a unit."""
        self.outcomes[index] = Outcome(self.units[index], value, error)
        if self.on_done is not None:
            self.on_done(self.outcomes[index])

    def give_up(self, error):
        """Note the same error for all units without an outcome."""
        for index in range(len(self.units)):
            if index not in self.outcomes:
                self.finish(index, None, error)

    def run_here(self):
        """Run all units in this process."""
        for index, unit in enumerate(self.units):
            try:
                value = _sent_results.called(self.function, unit)
            except Exception as error:
                self.finish(index, None, error)
            else:
                self.finish(index, value)

    def run_in(self, pool, width):
        """Run units, at most `width` at a time, until all have ended or the pool breaks.

        Returns
        -------
        BrokenExecutor or None
        """
        running, lost, broken = {}, [], None
        while running or (broken is None and (self.waiting or self.alone)):
            while broken is None and (index := self._next(len(running), width)) is not None:
                try:
                    future = pool.submit(
                        _sent_results.called_and_pickled, self.function, self.units[index]
                    )
                except BrokenExecutor as error:
                    broken = error
                    lost.append(index)
                else:
                    running[future] = index
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                index = running.pop(future)
                try:
                    value = pickle.loads(future.result())
                except BrokenExecutor as error:
                    broken = error
                    lost.append(index)
                except CancelledError as error:
                    self._again(index, error)
                except Exception as error:
                    self.finish(index, None, error)
                else:
                    self.finish(index, value)
        if len(lost) == 1:
            self._again(lost[0], broken)
        else:  # any of them may have been the cause
            self.alone.extend(sorted(lost))
        return broken

    def _next(self, num_running, width):
        # index of the unit to begin now, or None
        if self.alone:
            return self.alone.popleft() if num_running == 0 else None
        return self.waiting.popleft() if self.waiting and num_running < width else None

    def _again(self, index, error):
        self.attempts[index] += 1
        if self.attempts[index] == _ATTEMPTS:
            self.finish(index, None, error)
        else:
            self.alone.append(index)


def require_reachable(name):
    """Refuse, before any work, an executor that is unknown or does not answer.

    Parameters
    ----------
    name : str or concurrent.futures.Executor
        Name of the executor; an executor itself is taken as it is.

    Raises
    ------
    InputError
        If the name is unknown, or its cluster does not answer; if it is neither name nor executor.

    Notes
    -----
    For ``mpi`` only the presence of the package is tested: its workers would then wait for work.
    """
    if not isinstance(name, str):
        _require_submit(name)
    elif name == "mpi":
        _clusters.optional("mpi4py.futures", "mpi", name)
    elif name != "serial":
        with _named(name, 1):
            pass


def _require_submit(executor):
    if not callable(getattr(executor, "submit", None)):
        raise checks.InputError(
            f"executor={executor!r}; expected one of: {NAMES}; or an object with submit"
        )


@contextlib.contextmanager
def _named(name, num_units):
    """Yield the pool of a name and the number of units that it takes at a time."""
    kind, _, rest = name.partition(":")
    if kind == "processes" and (not rest or rest.isdigit()):
        count = int(rest) if rest else threads.available_cores()
        checks.integer("the number of processes", count, low=1)
        # no more than run: after a death those alone are suspects
        width = max(1, min(count, num_units))
        with processes.Processes(width) as pool:
            yield pool, width
    elif name.startswith("dask://"):
        with _clusters.dask(name) as client:
            # impure: two equal units are two tasks
            yield client.get_executor(pure=False), num_units
    elif name == "mpi":
        with _clusters.mpi(name) as pool:
            yield pool, num_units
    else:
        raise checks.InputError(f"executor={name!r}; expected one of: {NAMES}")
