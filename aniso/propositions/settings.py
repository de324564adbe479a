"""Settings of a verification run, and the tasks of which it consists."""

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from aniso import checks
from aniso.propositions.check import Check
from aniso.propositions.needs import Need

SCALES = ("quick", "default", "full")


@dataclass(frozen=True)
class Settings:
    """Scale and seed of a verification run.

    Attributes
    ----------
    scale : {"quick", "default", "full"}
        Number and size of the tests.
    seed : int
        Root of all randomness. Each task draws from its own stream, derived from the seed and the
        name of the stream. Its numbers therefore do not depend on which other tasks run.

    Raises
    ------
    InputError
        If there is no such scale, or the seed is negative.
    """

    scale: str = "default"
    seed: int = 0

    def __post_init__(self):
        checks.one_of("scale", self.scale, SCALES)
        checks.integer("seed", self.seed, low=0)

    def rng(self, name):
        """Return the generator of the stream called `name`."""
        return np.random.default_rng([self.seed, zlib.crc32(name.encode())])

    def stream_seed(self, name):
        """Return the integer seed of the stream called `name`, for counter-based simulations."""
        return int(self.rng(name).integers(2**63))

    def pick(self, quick, default, full):
        """Return the value for this scale."""
        return {"quick": quick, "default": default, "full": full}[self.scale]


@dataclass(frozen=True)
class Task:
    """A named piece of a verification: `run()` returns its checks.

    Attributes
    ----------
    name : str
        Shown while it runs.
    run : callable
        Takes no argument, returns a list of :class:`aniso.propositions.check.Check`.
    cost : float
        About how many seconds it takes at the default scale on one core, the compilation of its
        functions included. Long tasks begin first.
    kernels : str
        Name of the compiled functions that it needs, if any. Tasks of one name run in one process
        where that delays nothing, so that the functions are compiled and loaded once.
    needs : tuple of aniso.propositions.needs.Need
        Computations that it shares with other tasks. They run before it where there are several
        processes; by itself the task computes them.
    """

    name: str
    run: Callable[[], list[Check]]
    cost: float = 0.1
    kernels: str = ""
    needs: tuple[Need, ...] = ()
