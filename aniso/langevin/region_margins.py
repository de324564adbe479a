"""Margins of regions alone, for chains: these have no boundary to cross within a step."""

import numpy as np

from aniso.arrays import (
    njit,
)
from aniso.langevin import functions, regions
from aniso.langevin._kernels.streams import KERNEL


def margin_function(region):
    """Return the function that writes the margin of a region, and its parameters.

    Parameters
    ----------
    region : aniso.langevin.regions.Region
        Region that a chain leaves.

    Returns
    -------
    tuple
        A pointer ``(theta (D, L), parameters, out (2, L))``, as kernels take it, and the flat
        parameters. Row 0 of out takes the margin; row 1 has no meaning.

    Examples
    --------
    >>> margin_function(regions.ball([1.0], 2.0))[1].tolist()
    [2.0, 1.0, 0.0, 1.0, 0.0]
    """
    function = region.function
    if function is regions.quadratic_margin:
        function = quadratic_margin_alone
    parameters = region.parameters_for(np.zeros((region.dimension, region.dimension)))
    return functions.pointer(function, functions.PANEL_FUNCTION), parameters


@njit(**KERNEL)
def quadratic_margin_alone(theta, parameters, out):
    """Write ``c - b^T y - y^T A y / 2`` with ``y = x - p``; zeros of A cost nothing.

    Parameters: c, p (D,), b (D,), A (D, D).
    """
    dimension, lanes = theta.shape
    vector = 1 + dimension
    matrix = vector + dimension
    for lane in range(lanes):
        out[0, lane] = parameters[0]
    for i in range(dimension):
        for lane in range(lanes):
            out[1, lane] = parameters[vector + i]
        for j in range(dimension):
            entry = 0.5 * parameters[matrix + i * dimension + j]
            if entry != 0.0:
                for lane in range(lanes):
                    out[1, lane] += entry * (theta[j, lane] - parameters[1 + j])
        for lane in range(lanes):
            out[0, lane] -= (theta[i, lane] - parameters[1 + i]) * out[1, lane]
