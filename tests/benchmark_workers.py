"""Implementations of a toy benchmark, each run in a process of its own by the tests."""

import os
import time

import numpy as np

from benchmarks.worker import Measured


def ours(size):
    """Sums of cubes; a stated time, in parts; memory that grows with the size."""
    numbers = np.arange(float(size))
    return {
        "cubes": lambda: numbers**3,
        "stated": lambda: Measured(seconds=8.0, units=4, more={"products": 7}, value=numbers),
        "heavy": lambda: numbers,
        "zeros@1000": lambda: np.zeros(1000),
        "zeros@2000": lambda: np.zeros(2000),
        "zeros@4000": lambda: np.zeros(4000),
    }


def slow(size):
    """The same, slower."""
    numbers = np.arange(float(size))

    def cubes():
        time.sleep(0.01)
        return numbers * numbers * numbers

    return {"cubes": cubes, "stated": lambda: Measured(seconds=24.0, units=4, value=numbers)}


def empty(size):
    """Answers what is no number."""
    return {"cubes": lambda: np.full(size, np.nan)}


def too_slow(size):
    """A peer for whole runs alone."""
    return slow(size)


def wrong(size):
    """Fast and false."""
    return {"cubes": lambda: np.arange(float(size)) ** 3 * (1 + 1e-4)}


def noisy(size):
    """Prints where answers are expected."""
    numbers = np.arange(float(size))

    def cubes():
        print("a library's banner", flush=True)
        os.write(1, b"another\n")
        return numbers**3

    return {"cubes": cubes}


def absent(size):
    """Needs what is not installed."""
    raise ImportError(f"no library for {size} numbers")


def raising(size):
    """Raises in one quantity, and goes on."""

    def stated():
        raise ArithmeticError(f"{size} is too much")

    return {"stated": stated, "cubes": lambda: np.arange(float(size)) ** 3}


def dying(size):
    """Ends its process in the first run."""

    def cubes():
        os._exit(size % 7 + 1)

    return {"cubes": cubes}
