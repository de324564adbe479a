"""What the tests of monitors measure: a loss by hand, and a number that is drawn."""

import json
import os
import signal
import sys
from pathlib import Path

import numpy as np

from aniso.diagnostics import Diagnosis, Monitor, Reading
from aniso.problems import quadratic_problem

THETA = np.array([1.0, -1.0])


def problem():
    """L = (3 theta_1^2 + theta_2^2) / 2, with noise of two examples."""
    return quadratic_problem(np.diag([3.0, 1.0]), np.zeros(2), [[1.0, 0.0], [-1.0, 0.0]])


def measure(problem, theta, *, rng, learning_rate, optimizer, level=0.0):  # noqa: ARG001
    """The loss above a level, a drawn number, and a quantity that large theta refuses."""
    readings = {
        "loss": Reading("loss", problem.loss(theta) - level, formula="L"),
        "drawn": Reading("drawn", rng.standard_normal(), {"probes": 0.5}),
    }
    refused = {}
    if abs(theta[0]) > 2:
        refused["small"] = f"|theta_1| = {abs(theta[0]):g} > 2"
    else:
        readings["small"] = Reading("small", theta[0])
    return Diagnosis(readings, refused, settings={"learning_rate": learning_rate})


def measure_or_fail(problem, theta, **settings):
    """The same; it fails for negative theta_1 while the file `broken` is there."""
    if theta[0] < 0 and Path(settings.pop("broken")).exists():
        raise ZeroDivisionError("nothing for negative theta")
    settings.pop("broken", None)
    return measure(problem, theta, **settings)


def monitor(folder, **options):
    return Monitor(folder, problem(), **{"steps": 2, "seed": 3, "measure": measure} | options)


def killed_in_a_write(folder):
    """Steps 0, 2, 4; the process is killed after half of the file of step 4."""
    watched = monitor(folder)
    watched.at_step(0, THETA)
    watched.at_step(2, THETA)

    def half(content, stream, **options):
        text = json.dumps(content, **options)
        stream.write(text[: len(text) // 2])
        stream.flush()
        os.fsync(stream.fileno())
        os.kill(os.getpid(), signal.SIGKILL)

    json.dump = half
    watched.at_step(4, THETA)


if __name__ == "__main__":
    killed_in_a_write(sys.argv[1])
