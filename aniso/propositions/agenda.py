"""The order of the units of a verification: long ones first, each after what it needs.

A unit is a task, or a computation that tasks share. Several processes take units from one agenda.
"""

import threading
from dataclasses import dataclass

from aniso.propositions.needs import Need


@dataclass(frozen=True)
class Unit:
    """A piece of a verification that runs in one process.

    Attributes
    ----------
    group : str
        Group of the task; empty for a shared computation.
    number : int
        Number of the task within its group.
    name : str
        Name of the task, or of the computation.
    cost : float
        About how many seconds it takes.
    kernels : str
        Name of the compiled functions that it needs, if any.
    needs : tuple of Need
        For a task, the computations that it shares with others.
    shared : Need or None
        The computation itself, where the unit is one.
    """

    group: str
    number: int
    name: str
    cost: float
    kernels: str = ""
    needs: tuple[Need, ...] = ()
    shared: Need | None = None


def units_of(tasks):
    """Return the units of tasks and of what they share.

    Parameters
    ----------
    tasks : dict of str to list of aniso.propositions.settings.Task
        Tasks by group.

    Returns
    -------
    list of Unit
    """
    shared, units = {}, []
    for group, own in tasks.items():
        for number, task in enumerate(own):
            units.append(Unit(group, number, task.name, task.cost, task.kernels, task.needs))
            shared |= dict.fromkeys(task.needs)
    return [Unit("", -1, str(need), need.cost, shared=need) for need in shared] + units


# A waiting thread looks this often, in seconds, whether Ctrl-C has come.
_PATIENCE = 0.1


class Agenda:
    """Units that wait, that run and that have ended, for several threads.

    Each thread stands for a process. It takes a unit, ends it, and takes another one.

    Parameters
    ----------
    units : sequence of Unit
        A unit begins after the units of its needs.
    on_end : callable, optional
        ``on_end(unit)``, called in the thread that ends a unit.

    Attributes
    ----------
    outcomes : dict
        Outcomes by unit, those of shared computations by their need.
    interrupted : bool
        Whether Ctrl-C has reached another process.
    """

    def __init__(self, units, on_end=None):
        self.waiting = sorted(units, key=lambda unit: -unit.cost)
        self.on_end, self.outcomes = on_end, {}
        self.owners, self.closed, self.interrupted = {}, False, False
        self.changed = threading.Condition()

    def take(self, process):
        """Return the next unit for a process, or None where none is left.

        The longest unit comes first. Units whose compiled functions another process has come last.
        The call waits while units run that others need.
        """
        with self.changed:
            while not self.closed and self.waiting:
                ready = [unit for unit in self.waiting if self._is_ready(unit)]
                if ready:
                    unit = min(ready, key=lambda unit: self._is_of_another(unit, process))
                    self.waiting.remove(unit)
                    if unit.kernels:
                        self.owners.setdefault(unit.kernels, process)
                    return unit
                self.changed.wait(_PATIENCE)
            return None

    def _is_ready(self, unit):
        return all(need in self.outcomes for need in unit.needs)

    def _is_of_another(self, unit, process):
        return self.owners.get(unit.kernels, process) != process

    def known(self, unit):
        """Return the outcomes of the needs of a unit, a dict."""
        return {need: self.outcomes[need] for need in unit.needs}

    def end(self, unit, outcome):
        """Note the outcome of a unit."""
        with self.changed:
            self.outcomes[unit if unit.shared is None else unit.shared] = outcome
            self.changed.notify_all()
        if self.on_end is not None:
            self.on_end(unit)

    def close(self):
        """Let no process take another unit."""
        with self.changed:
            self.closed = True
            self.changed.notify_all()

    def interrupt(self):
        """Note that Ctrl-C has reached another process, and let no process take another unit."""
        self.interrupted = True
        self.close()
