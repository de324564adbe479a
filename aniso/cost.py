"""What a computation will take, before it is started: flops, bytes, seconds on this machine.

Counts come from the shapes; the time from a short calibration of matrix products and copies and
from the share of that speed which a kind of work has been measured to reach.
"""

import functools
import time
from dataclasses import dataclass

import numpy as np

from aniso import checks, memory
from aniso.threads import Workers


@dataclass(frozen=True)
class Cost:
    """Price of one computation.

    Attributes
    ----------
    flops : float
        Additions and multiplications.
    num_bytes : float
        Memory held at the peak beyond what is held before, results included.
    seconds : float
        Expected wall-clock time on an otherwise idle machine; within a factor of two.

    Examples
    --------
    >>> print(Cost(2e9, 3e6, 0.5))
    2 GFLOP, 3.00 MB, 0.5 s
    """

    flops: float
    num_bytes: float
    seconds: float

    def __add__(self, other):
        return Cost(
            self.flops + other.flops,
            self.num_bytes + other.num_bytes,
            self.seconds + other.seconds,
        )

    def __str__(self):
        return (
            f"{self.flops / 1e9:.3g} GFLOP, {memory.format_bytes(self.num_bytes)}, "
            f"{self.seconds:.2g} s"
        )


@dataclass(frozen=True)
class Calibration:
    """Speed of this machine.

    Attributes
    ----------
    flops_per_second : float
        Matrix products of moderate size, on all threads at once.
    bytes_per_second : float
        Memory written by copies of large arrays, on all threads at once.
    """

    flops_per_second: float
    bytes_per_second: float

    def cost(self, flops, num_bytes, *, efficiency=1.0, moved_bytes=0):
        """The cost of `flops` at a share `efficiency` of the calibrated speed.

        Parameters
        ----------
        flops, num_bytes : float
            As in :class:`Cost`.
        efficiency : float
            Share of the calibrated speed, 0 < efficiency.
        moved_bytes : float
            Memory written besides.

        Returns
        -------
        Cost

        Examples
        --------
        >>> Calibration(1e9, 1e9).cost(1e9, 8, efficiency=0.5).seconds
        2.0
        """
        seconds = flops / (efficiency * self.flops_per_second)
        return Cost(float(flops), float(num_bytes), seconds + moved_bytes / self.bytes_per_second)


@functools.cache
def calibrated(dtype=np.float64, num_threads=None):
    """The speed of this machine, measured once a process in about 0.1 s.

    Parameters
    ----------
    dtype : dtype
        Precision of the products.
    num_threads : int, optional
        All cores if not given.

    Returns
    -------
    Calibration

    Examples
    --------
    >>> calibrated().flops_per_second > 1e6
    True
    """
    dtype, workers = np.dtype(dtype), Workers(num_threads)
    left, right = np.ones((192, 512), dtype), np.ones((512, 512), dtype)
    source = np.ones(2_000_000)

    def multiply(_):
        for _ in range(8):
            left @ right

    def copy(_):
        source.copy()

    threads = range(workers.num_threads)
    work = 8 * 2 * 192 * 512 * 512 * workers.num_threads
    moved = source.nbytes * workers.num_threads
    return Calibration(
        work / _best_time(lambda: workers.map(multiply, threads)),
        moved / _best_time(lambda: workers.map(copy, threads)),
    )


def _best_time(run, rounds=4):
    run()
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def require_time(cost, limit_seconds, what):
    """Refusal of a computation that would take longer than allowed.

    Parameters
    ----------
    cost : Cost
    limit_seconds : float
    what : str
        Name of the computation, for the message.

    Raises
    ------
    InputError
        If the expected time exceeds the limit.

    Examples
    --------
    >>> require_time(Cost(1e15, 8.0, 1e4), 60, "the dense Hessian")
    Traceback (most recent call last):
        ...
    aniso.checks.InputError: the dense Hessian is expected to take 1e+04 s, more than the limit of \
60 s; expected a cheaper quantity or a larger limit
    """
    limit_seconds = checks.number("limit_seconds", limit_seconds, low=0)
    if cost.seconds > limit_seconds:
        raise checks.InputError(
            f"{what} is expected to take {cost.seconds:.2g} s, more than the limit of "
            f"{limit_seconds:g} s; expected a cheaper quantity or a larger limit"
        )
