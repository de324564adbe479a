"""Runs of descent that the tests of executors send to other processes."""

import os
import signal
import time
from pathlib import Path

import numpy as np

from aniso import descent, estimates
from aniso.descent import loop
from aniso.langevin.problems import NonFiniteState
from aniso.matrices import eigenpairs
from aniso.problems.quadratic import quadratic_problem
from aniso.runs import interruptions, run_directory

NUM_STEPS = 60


def wait_for(condition, seconds=120):
    """Wait for what comes in any case; the time only ends a test that has failed."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("what was waited for did not come")
        time.sleep(0.01)


def descend_until_stopped(unit):
    """The run of :func:`descend` without checkpoints of its own accord, until a signal asks it."""
    return descend(unit, interval=1e9, begun=Path(f"{unit[0]}.begun"), held=interruptions.requested)


def descend_until_asked(work):
    """A unit of a figure, as :func:`descend_until_stopped`, until its directory is asked to."""
    _, unit, folder = work
    return descend(
        (folder, unit["seed"], None),
        interval=1e9,
        begun=Path(f"{folder}.begun"),
        held=(Path(folder) / "stop").exists,
    )


def descend_until_killed(unit):
    """The run of :func:`descend`, which never takes its last step."""
    return descend(unit, held=bool, held_step=NUM_STEPS - 1)


def descend(unit, interval=0.0, begun=None, held=None, held_step=2):
    """A run of descent in its directory; killed once at a given step where one is given.

    The file `begun` appears with the first step. After `held_step` steps the run waits until `held`
    says yes, so that it can't end before.
    """
    folder, seed, fatal_step = unit
    loop.SECONDS_BETWEEN_CHECKPOINTS = interval
    rows = np.random.default_rng(0).standard_normal((8, 3))
    objective = quadratic_problem(np.diag([3.0, 1.0, 0.2]), np.zeros(3), rows)
    settings = descent.Settings(
        "gld_leading", 0.1, NUM_STEPS, 2, "epochs", num_pairs=2, refresh_interval=3
    )
    marker = Path(f"{folder}.killed")

    def kill(step, _):
        if begun is not None:
            begun.touch()
        if held is not None and step == held_step:
            wait_for(held)
        if step == fatal_step and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    with run_directory.RunDirectory(folder, settings.parameters(), seed=seed) as run:
        result = descent.simulate_descent(
            objective,
            np.ones(3),
            settings,
            np.random.default_rng(seed),
            measurements=descent.Measurements(range(NUM_STEPS), ("gradient_norm",)),
            run=run,
            progress=kill,
        )
        run.save_result(result.step, {"theta": result.theta} | result.records, {})
        return run.result().arrays


def _note_attempt(path):
    with Path(path).open("a") as stream:
        stream.write("begun\n")


def raise_what_carries(unit):
    """Raises an exception of the package whose ``__init__`` takes more than a message."""
    path, kind = unit
    _note_attempt(path)
    if kind == "NonFiniteState":
        raise NonFiniteState(3, 9)
    pairs = eigenpairs.leading_eigenpairs(np.diag([3.0, 1.0]), 1)
    raise estimates.NotConverged("not there yet", pairs)


class Stubborn(Exception):
    """Of a kind that is common: it can be sent, but not be made again from its message."""

    def __init__(self, reason, number):
        super().__init__(f"{reason} that is told")
        self.number = number


class BadValue:
    """A value that can be sent, but not be made again."""

    def __reduce__(self):
        return int, ("no number",)


def give_what_can_not_be_sent(unit):
    """Raises or returns what fails in the process that gets it, or before it leaves this one."""
    path, kind = unit
    _note_attempt(path)
    if "error" in kind:
        error = Stubborn("a reason", 3)
        if "unsent" in kind:
            error.handle = path.open()
        raise error
    if kind == "value":
        return BadValue()
    return path.open() if kind == "unsent value" else None
