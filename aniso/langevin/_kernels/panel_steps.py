"""Elementwise parts of a step, on panels (D, LANES)."""

import numpy as np

from aniso.arrays import (
    njit,
)
from aniso.langevin._kernels import streams
from aniso.langevin._kernels.streams import INNER, LANES


@njit(**INNER)
def combine(x, a, first, b, second, noise, out):
    """Write x + a `first` + b `second` + `noise` into `out`."""
    for i in range(out.shape[0]):
        for lane in range(LANES):
            out[i, lane] = x[i, lane] + a * first[i, lane] + b * second[i, lane] + noise[i, lane]


@njit(**INNER)
def copy_panel(source, target):
    """Copy a panel entry by entry into another of the same shape."""
    for i in range(target.shape[0]):
        for lane in range(LANES):
            target[i, lane] = source[i, lane]


@njit(**INNER)
def advance(x, h, force, noise):
    """Add h `force` + `noise` to `x`, in place."""
    for i in range(x.shape[0]):
        for lane in range(LANES):
            x[i, lane] += h * force[i, lane] + noise[i, lane]


@njit(**INNER)
def scale_rows(scales, c, variates, out):
    """Write c `scales` (one per row) times `variates` into `out`."""
    for i in range(out.shape[0]):
        scale = c * scales[i]
        for lane in range(LANES):
            out[i, lane] = scale * variates[i, lane]


@njit(**INNER)
def scale_panel(c, panel):
    """Multiply `panel` by c, in place."""
    for i in range(panel.shape[0]):
        for lane in range(LANES):
            panel[i, lane] *= c


@njit(**INNER)
def multiplicative_noise(amplitude, c, variates, milstein, out):
    """Write ``c g z``, with `milstein` plus ``c^2 g g' (z^2 - 1) / 2``; c^2 is the step size."""
    dimension = out.shape[0]
    half = 0.5 * c * c * milstein
    for i in range(dimension):
        for lane in range(LANES):
            g, slope, z = amplitude[i, lane], amplitude[dimension + i, lane], variates[i, lane]
            out[i, lane] = c * g * z + half * g * slope * (z * z - 1.0)


@njit(**INNER)
def subtract_ito_correction(amplitude, force):
    """Subtract ``g g' / 2`` from `force`: the drift of the same equation after Stratonovich."""
    dimension = force.shape[0]
    for i in range(dimension):
        for lane in range(LANES):
            force[i, lane] -= 0.5 * amplitude[i, lane] * amplitude[dimension + i, lane]


@njit(**INNER)
def add_halves(first, second, out):
    """Write (`first` + `second`) / 2 into `out`."""
    for i in range(out.shape[0]):
        for lane in range(LANES):
            out[i, lane] = 0.5 * (first[i, lane] + second[i, lane])


@njit(**INNER)
def fill(values, panel):
    """Set every lane of `panel` to the column `values`."""
    for i in range(panel.shape[0]):
        for lane in range(LANES):
            panel[i, lane] = values[i]


@njit(**INNER)
def variates(seed, first_path, step, substeps, rank, normals, scratch, wiener, area):
    """Write normalised increments of a step made of `substeps` fine ones, per Wiener process.

    ``wiener = dW / sqrt h`` and, if `normals` is 2, ``area = int_0^h W ds / h^(3/2)``, both
    (rank, LANES); `wiener` has a row to spare. Fine step j contributes ``z_j`` and
    ``(n - j - 1/2) z_j + v_j / (2 sqrt 3)``.
    """
    if substeps == 1 and normals == 1:
        block = np.uint64(step) * np.uint64((rank + 1) // 2)
        streams.fill_normals(seed, first_path, block, rank, wiener)
        return
    rows = rank * normals
    blocks = np.uint64((rows + 1) // 2)
    for j in range(substeps):
        block = np.uint64(step * substeps + j) * blocks
        streams.fill_normals(seed, first_path, block, rows, scratch)
        # a single substep leaves the normals as they are, to the bit
        scale = 1.0 if substeps == 1 else substeps**-0.5
        weight = (substeps - j - 0.5) * substeps**-1.5
        own = substeps**-1.5 / np.sqrt(12.0)
        for i in range(rank):
            for lane in range(LANES):
                before = wiener[i, lane] if j > 0 else 0.0
                wiener[i, lane] = before + scale * scratch[i, lane]
            if normals == 2:
                for lane in range(LANES):
                    before = area[i, lane] if j > 0 else 0.0
                    area[i, lane] = (
                        before + weight * scratch[i, lane] + own * scratch[rank + i, lane]
                    )
