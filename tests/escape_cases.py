"""What test_escape and test_escape_exponents share."""

import numba
import seeds

FAST = not numba.config.DISABLE_JIT
SEED = seeds.integer("escape")
