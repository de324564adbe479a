"""Units of work that load little, for tests that start many processes."""

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import seeds
import threadpoolctl


def draw(seed):
    """A number that depends on the seed alone."""
    return float(seeds.generator(seed).standard_normal(100).sum())


def fail(unit):
    """Raises for the unit 1."""
    if unit == 1:
        raise ValueError("unit 1 has no value")
    return unit


def leave(unit):
    """Ends the program for the unit 1."""
    if unit == 1:
        sys.exit("no more")
    return unit


def blas_threads(_):
    """Numbers of threads of the BLAS libraries, SciPy's loaded late."""
    import scipy.linalg

    scipy.linalg.eigh(np.eye(2))
    libraries = threadpoolctl.threadpool_info()
    return sorted({own["num_threads"] for own in libraries if own["user_api"] == "blas"})


def die_once(unit):
    """Kills its own process the first time that the unit with a marker file runs."""
    marker, value = unit
    if marker is not None and not Path(marker).exists():
        Path(marker).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return value


def stop_once(unit):
    """Stops its own process, as a cluster does, the first time that the marked unit runs."""
    marker, value = unit
    if marker is not None and not Path(marker).exists():
        Path(marker).touch()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)
    return value


def die_always(_):
    """Kills its own process."""
    os.kill(os.getpid(), signal.SIGKILL)


def die_if_negative(unit):
    """Kills its own process where it is asked to."""
    if unit < 0:
        time.sleep(0.2)  # while others run
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.3)
    return unit
