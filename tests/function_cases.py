"""Drifts and noise that the tests of function trials are given."""

import numba
import pytest

from aniso import langevin
from aniso.langevin import (
    drifts,
    noises,
)

FAST = not numba.config.DISABLE_JIT
compiled_only = pytest.mark.skipif(not FAST, reason="concerns compiled functions")


def right(theta, parameters, out):
    for lane in range(theta.shape[1]):
        out[0, lane] = -parameters[0] * theta[0, lane]


def problem(drift=right, start=0.0, **options):
    own = drifts.of_function(numba.njit(drift), 1, parameters=[3.0], **options)
    return langevin.LangevinProblem(own, noises.diagonal([1.0]), [start])
