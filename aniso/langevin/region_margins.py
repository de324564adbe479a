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
    [1.5, -1.0, 1.0, 0.0]
    """
    function = region.function
    if function is regions.quadratic_margin:
        function = quadratic_margin_alone
    parameters = region.parameters_for(np.zeros((region.dimension, region.dimension)))
    return functions.pointer(function, functions.PANEL_FUNCTION), parameters


@njit(**KERNEL)
def quadratic_margin_alone(theta, parameters, out):
    """``c - b^T x - x^T A x / 2``; parameters: c, b (D,), A (D, D). Zeros of A cost nothing."""
    dimension, lanes = theta.shape
    matrix = 1 + dimension
    for lane in range(lanes):
        out[0, lane] = parameters[0]
    for i in range(dimension):
        for lane in range(lanes):
            out[1, lane] = parameters[1 + i]
        for j in range(dimension):
            entry = 0.5 * parameters[matrix + i * dimension + j]
            if entry != 0.0:
                for lane in range(lanes):
                    out[1, lane] += entry * theta[j, lane]
        for lane in range(lanes):
            out[0, lane] -= theta[i, lane] * out[1, lane]
