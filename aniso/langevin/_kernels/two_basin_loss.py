"""Loss and gradient of one datum of the two-basin toy, in its rotated axes.

Let a = (w_1 - w_2) / sqrt 2 and b = (w_1 + w_2) / sqrt 2, with w relative to the datum. The loss is
the smaller of ``s = 10 a^2 + 100 (b - sqrt 2)^2`` and ``f = a^2 + (b + sqrt 2)^2``. See the
two-basin toy in docs/theory/motion.md.
"""

import math

import numpy as np

from aniso.arrays import (
    njit,
)
from aniso.langevin._kernels.accumulators import REDUCTION

ROOT_TWO = math.sqrt(2.0)


@njit(**REDUCTION)
def basin_loss(a, b):
    """Return ``min(s, f)``."""
    to_sharp, to_flat = b - ROOT_TWO, b + ROOT_TWO
    return min(10.0 * a * a + 100.0 * to_sharp * to_sharp, a * a + to_flat * to_flat)


@njit(**REDUCTION)
def basin_gradient(a, b):
    """Return the derivatives of ``min(s, f)`` in a and b, and whether s is below f."""
    to_sharp, to_flat = b - ROOT_TWO, b + ROOT_TWO
    sharp = 9.0 * a * a + 100.0 * to_sharp * to_sharp < to_flat * to_flat
    g_a = 20.0 * a if sharp else 2.0 * a
    g_b = 200.0 * to_sharp if sharp else 2.0 * to_flat
    return g_a, g_b, sharp


def rotated(points):
    """Return points w, shape (..., 2), in the axes a and b.

    Examples
    --------
    >>> rotated(np.array([1.0, 1.0])).round(6).tolist()
    [0.0, 1.414214]
    """
    first, second = points[..., 0], points[..., 1]
    return np.stack([first - second, first + second], axis=-1) / ROOT_TWO


def rotated_back(points):
    """Return points given by a and b, shape (..., 2), in w."""
    a, b = points[..., 0], points[..., 1]
    return np.stack([a + b, b - a], axis=-1) / ROOT_TWO
