"""Compiled drifts and noise of the tests of chains."""

import numba
import numpy as np
import seeds

FAST = not numba.config.DISABLE_JIT
SEED = seeds.integer("langevin_chains")
RNG = seeds.generator(11)
START = np.array([0.5, -1.0])


@numba.njit
def cubic(theta, _parameters, out):
    for lane in range(theta.shape[1]):
        out[0, lane] = theta[0, lane] - theta[0, lane] ** 3
