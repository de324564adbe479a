"""Settings of a verification run, and the tasks of which it consists."""

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from aniso import checks
from aniso.propositions.check import Check

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
    """

    name: str
    run: Callable[[], list[Check]]
