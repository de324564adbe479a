"""Implementations take turns: rounds of one quantity, so that all see the same load."""

import math
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

from benchmarks import rows
from benchmarks.processes import Worker

LEAST_SECONDS = 0.02
"""A run that is shorter is repeated within a round, and the median of the repetitions counts."""
SLOW_SECONDS = 4.0
LONGEST_TURN = 45.0


@dataclass(frozen=True)
class Case:
    """One problem.

    Attributes
    ----------
    label : str
        Without the precision.
    arguments : dict
        Of the implementations' functions.
    dtype : str or None
        Cases that differ in their precision alone make one line of the tables.
    in_headline : bool
        Whether the tables have it.
    """

    label: str
    arguments: dict
    dtype: str | None = None
    in_headline: bool = True


@dataclass(frozen=True)
class Group:
    """Measurements that belong together, and their names.

    Attributes
    ----------
    name : str
        On the command line, and of the file of results.
    title, about : str
        Heading and a sentence for the report.
    implementations : dict of str to Implementation
        The first is aniso's.
    cases : callable
        From `quick` to a list of cases.
    labels : dict
        Quantity to its label; quantities that are not listed keep their names.
    per : dict
        Quantity to the number of equal parts that its time is divided by, such as vectors.
    instead : dict
        Quantity to others, one of which stands where a peer lacks it: products one by one for a
        block.
    headline : tuple of str
        Quantities of the tables.
    heavy : tuple of str
        Quantities and peers that a quick run leaves out.
    columns : dict
        Key in a record's "more" to the heading of a column: such a group is a table of records and
        compares nothing.
    side_by_side : bool
        Whether every implementation has a column in the tables: none of them is a peer.
    is_growth : bool
        Whether quantities are named "quantity@size", with times and memory over sizes.
    in_quick : bool
        Whether a quick run has it.
    warm_up : bool
        Whether the first runs don't count.
    most_rounds : int
    """

    name: str
    title: str
    about: str
    implementations: dict
    cases: Callable
    labels: dict = field(default_factory=dict)
    per: dict = field(default_factory=dict)
    instead: dict = field(default_factory=dict)
    headline: tuple = ()
    heavy: tuple = ()
    columns: dict = field(default_factory=dict)
    side_by_side: bool = False
    is_growth: bool = False
    in_quick: bool = True
    warm_up: bool = True
    most_rounds: int = 9


@dataclass(frozen=True)
class Effort:
    """Time and number of rounds of a measurement.

    Attributes
    ----------
    quick : bool
    seconds : float
        Of all rounds of a quantity, about.
    least, most : int
        Rounds.
    few : int
        Rounds of an implementation that is slower than `SLOW_SECONDS`.
    brief : float
        Seconds of a first run up to which a second one is made before the rounds.
    """

    quick: bool = False
    seconds: float = 12.0
    least: int = 3
    most: int = 9
    few: int = 2
    brief: float = 4.0


QUICK = Effort(quick=True, seconds=0.6, least=1, most=5, few=1, brief=0.5)


def measure(group, effort, *, python=sys.executable, turns=None, say=print, own=False):
    """Return the records of a group, a list of plain dicts.

    Parameters
    ----------
    group : Group
    effort : Effort
    python : str
        Interpreter of the peers.
    turns : Turns, optional
        With other runs on the same machine.
    say : callable
        Takes lines of progress.
    own : bool
        Whether peers are left out.

    Notes
    -----
    Peers that are not installed are skipped with a notice. One whose process dies is left out from
    there on, and one that raises is left out of that quantity.
    """
    omitted = group.heavy if effort.quick else ()
    chosen = list(group.implementations.items())[: 1 if own else None]
    turns = Turns(None) if turns is None else turns
    workers = [
        Worker(name, made, python if made.is_peer else sys.executable)
        for name, made in chosen
        if name not in omitted
    ]
    records = []
    try:
        with turns:
            for worker in workers:
                worker.wait_until_ready()
        for case in group.cases(effort.quick):
            say(f"{group.name}: {', '.join(filter(None, [case.label, case.dtype]))}")
            with turns:
                there = {worker: worker.open(case.arguments) for worker in workers}
            names = dict.fromkeys(
                name for found in there.values() for name in found if name not in omitted
            )
            for family in dict.fromkeys(name.split("@")[0] for name in names):
                members = [name for name in names if name.split("@")[0] == family]
                contestants = [
                    _Contestant(worker, name, group.per.get(name, 1))
                    for name in members
                    for worker in workers
                    if name in there[worker]
                ]
                with turns:
                    _run_rounds(contestants, group, effort)
                for contestant in contestants:
                    if contestant.runs:
                        records.append(contestant.record(case, contestants))
                        say(_line(records[-1]))
    finally:
        turns.close()
        for worker in workers:
            for quantity, reason in worker.failures.items():
                say(f"  failed: {quantity} of {worker.name} ({reason})")
            if worker.missing:
                say(f"  left out: {worker.name} ({worker.missing})")
            worker.close()
    return records


class _Contestant:
    """One implementation of one quantity."""

    def __init__(self, worker, quantity, parts):
        self.worker, self.quantity, self.parts = worker, quantity, parts
        self.runs, self.longest, self.more, self.repeat = [], 0.0, {}, 1
        self.memory, self.first, self.checksum = {}, None, None

    def warm_up(self, brief):
        """Run once, or twice if that is brief, and choose the repetitions of a round."""
        answer = self.worker.run(self.quantity, checksum=True)
        if answer is None:
            return 0.0
        self.first, self.checksum = answer["elapsed"], answer["checksum"]
        if self.first < brief:  # a first run may have compiled something
            answer = self.worker.run(self.quantity) or answer
        self.repeat = min(100, max(1, int(LEAST_SECONDS / max(answer["elapsed"], 1e-6))))
        return answer["elapsed"] * self.repeat

    def run(self, few):
        """Run one round, unless it is slow and has had `few` of them."""
        if len(self.runs) >= few and self.longest > SLOW_SECONDS:
            return
        if self.quantity in self.worker.failures:
            return
        answer = self.worker.run(self.quantity, repeat=self.repeat)
        if answer is not None:
            self.runs.append(answer["seconds"])
            self.longest = max(self.longest, answer["elapsed"])
            self.more = answer["more"]
            self.memory = {k: answer[k] for k in ("page_faults", "peak_bytes") if k in answer}

    def record(self, case, contestants):
        """Return what was measured as plain data, in seconds of one part."""
        runs = [seconds / self.parts for seconds in self.runs]
        quantity, _, size = self.quantity.partition("@")
        found = {
            "case": case.label,
            "dtype": case.dtype,
            "in_headline": case.in_headline,
            "quantity": quantity,
            "implementation": self.worker.name,
            "seconds": _rounded(statistics.median(runs)),
            "runs": [_rounded(seconds) for seconds in runs],
            "first_seconds": None if self.first is None else _rounded(self.first),
            "deviation": self._deviation(contestants),
        }
        if size:
            found["size"] = float(size)
        return found | self.memory | ({"more": self.more} if self.more else {})

    def _deviation(self, contestants):
        """Return how far the result is from aniso's, relative to its norm."""
        ours = next((c for c in contestants if c.quantity == self.quantity), self)
        if ours is self or ours.checksum is None or self.checksum is None:
            return None
        gaps = [abs(a - b) for a, b in zip(self.checksum, ours.checksum, strict=True)]
        if not all(map(math.isfinite, gaps)):
            return 1e99  # JSON has no infinity
        return float(f"{max(gaps) / max(ours.checksum[0], 1e-300):.1e}")


def _run_rounds(contestants, group, effort):
    each = [c.warm_up(effort.brief) for c in contestants] if group.warm_up else [effort.seconds]
    most = min(effort.most, group.most_rounds)
    rounds = max(min(effort.least, most), min(most, int(effort.seconds / max(sum(each), 1e-3))))
    for _ in range(rounds):
        for contestant in contestants:
            contestant.run(effort.few)
    if group.is_growth:
        for contestant in contestants:
            contestant.memory |= contestant.worker.weigh(contestant.quantity) or {}


class Turns:
    """A lock file that is held as flock(1) holds it, and given to others every now and then.

    Parameters
    ----------
    path : path-like or None
        The file stays, since others may wait for it. None locks nothing.

    Notes
    -----
    A part of the work is a ``with`` block. Its end gives the lock away once it has been held for
    `LONGEST_TURN` seconds. `waited` counts the seconds without it.
    """

    def __init__(self, path):
        self.path, self._stream, self._since, self.waited = path, None, 0.0, 0.0

    def __enter__(self):
        if self.path is not None and self._stream is None:
            self._stream = open(self.path, "a", encoding="utf-8")
            begin = time.monotonic()
            fcntl.flock(self._stream, fcntl.LOCK_EX)
            self._since = time.monotonic()
            self.waited += self._since - begin

    def __exit__(self, *_):
        if time.monotonic() - self._since > LONGEST_TURN:
            self.close()

    def close(self):
        """Give the lock away."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None


def _rounded(seconds):
    return float(f"{seconds:.4g}")


def _line(record):
    size = f" {record['size']:,.0f}" if "size" in record else ""
    time_taken = rows.span_of_time(record["seconds"])
    return f"  {record['quantity'] + size:36s} {record['implementation']:24s} {time_taken:>8s}"
