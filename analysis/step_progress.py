"""Progress of units of work in steps, read from their run directories on any executor."""

import contextlib
import json
import threading
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

_SECONDS_BETWEEN_LOOKS = 1.0
_SECONDS_OF_RATE = 120.0  # several checkpoints, between which a unit tells nothing


class StepCount:
    """Steps done by units, from the ``progress.json`` that they write with their checkpoints.

    Parameters
    ----------
    folders : sequence of path-like
        Run directory of each unit.
    num_steps : sequence of int
        Steps of each unit.

    Attributes
    ----------
    total : int
        Of all units.
    """

    def __init__(self, folders, num_steps):
        self.num_steps = dict(zip(map(Path, folders), num_steps, strict=True))
        self.ended = set()
        self.total = sum(num_steps)

    def finish(self, folder):
        """Note that the unit of this folder has ended, with or without success."""
        self.ended.add(Path(folder))

    def done(self):
        """Return the number of steps done so far."""
        return sum(
            steps if folder in self.ended else min(steps, _step_of(folder))
            for folder, steps in self.num_steps.items()
        )


def _step_of(folder):
    try:
        return int(json.loads((folder / "progress.json").read_text(encoding="utf-8"))["step"])
    except (OSError, ValueError, KeyError):  # not begun, or without checkpoints
        return 0


class _Rate(ProgressColumn):
    """Steps a second, lately."""

    def __init__(self, noun):
        super().__init__()
        self.noun = noun

    def render(self, task):
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.3g} {self.noun}/s")


@contextlib.contextmanager
def shown(label, folders, num_steps, console=None):
    """Show a bar while units run, if standard error is a terminal.

    Parameters
    ----------
    label : str
        Text before the bar.
    folders : sequence of path-like
        Run directory of each unit.
    num_steps : sequence of int or None
        Steps of each unit; None counts units.
    console : rich.console.Console, optional
        Where to draw; standard error if not given.

    Yields
    ------
    callable
        ``finish(folder)``, to be called when a unit has ended.
    """
    noun = "units" if num_steps is None else "steps"
    count = StepCount(folders, [1] * len(folders) if num_steps is None else num_steps)
    console = console or Console(stderr=True)
    if not console.is_terminal:
        yield count.finish
        return
    columns = (
        TextColumn(label),
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        TextColumn("{task.completed:,.0f}/{task.total:,.0f} " + noun),
        _Rate(noun),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    over = threading.Event()
    with Progress(*columns, console=console, speed_estimate_period=_SECONDS_OF_RATE) as progress:
        # steps of an earlier attempt count as done, not as speed
        bar = progress.add_task("", total=count.total, completed=count.done())

        def look():
            while not over.wait(_SECONDS_BETWEEN_LOOKS):
                done = count.done()
                if done > progress.tasks[0].completed:
                    progress.update(bar, completed=done)

        watcher = threading.Thread(target=look, daemon=True)
        watcher.start()
        try:
            yield count.finish
        finally:
            over.set()
            watcher.join()
            progress.update(bar, completed=count.done())
