"""Seed of the tests of escape, and whether kernels are compiled."""

import numba
import seeds

FAST = not numba.config.DISABLE_JIT
SEED = seeds.integer("escape")
