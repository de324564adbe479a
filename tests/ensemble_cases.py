"""Equations and errors of the tests of ensembles."""

import json

import numba
import numpy as np
import seeds

from aniso import langevin
from aniso.langevin import (
    drifts,
    noises,
)
from aniso.runs import array_files

FAST = not numba.config.DISABLE_JIT
SEED = seeds.integer("langevin_ensembles")
SCHEMES = ("euler_maruyama", "stochastic_heun", "milstein", "sra1", "exact")


@numba.njit
def cubic(theta, _parameters, out):
    """Drift of the double well, theta - theta^3."""
    for lane in range(theta.shape[1]):
        out[0, lane] = theta[0, lane] - theta[0, lane] ** 3


@numba.njit
def geometric_amplitude(theta, parameters, out):
    for lane in range(theta.shape[1]):
        out[0, lane] = parameters[0] * theta[0, lane]
        out[1, lane] = parameters[0]


def linear_problem(dimension=3, rank=2, seed=0, *, general=False):
    """An OU problem; with `general` its drift is not known to be linear."""
    rng = seeds.generator(seed)
    a, b = rng.standard_normal((dimension, dimension)), rng.standard_normal((dimension, rank))
    drift = drifts.of_quadratic(a @ a.T / dimension + 0.5 * np.eye(dimension))
    if general:
        drift = drifts.Drift(dimension, drift.function, drift.parameters, drift.potential)
    return langevin.LangevinProblem(drift, noises.low_rank(b), rng.standard_normal(dimension))


def details(checkpoint):
    """What a checkpoint of paths says of itself, a dictionary."""
    return json.loads(array_files.load_arrays(checkpoint)[1])
