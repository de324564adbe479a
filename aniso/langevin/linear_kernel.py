"""Kernel of ensembles of ``x <- A x + B z``."""

import numpy as np
from numba import njit

from aniso.langevin import accumulators, panels, streams
from aniso.langevin.streams import KERNEL, LANES


@njit(**KERNEL)
def advance_cell(
    matrix,
    hessian,
    dimension,
    num_normals,
    steps,
    seed,
    first_path,
    num_paths,
    start,
    centre,
    first,
    second,
    fourth,
    losses,
    snapshots,
):
    """Paths of one cell from `start`; sums and states at the recorded steps.

    `matrix` = [A B] and `hessian` are padded; `steps` (T,); `centre` (T, D). Added to: `first`
    (T, D), `second` (T, D, D), `fourth` (T, D, D) or (T, 0, 0). Merged into `losses` (T, 3): count,
    mean and sum of squared deviations of x^T H x / 2. `snapshots` (num_paths, T, D), or (0, T, D)
    for none.
    """
    panel = np.zeros((max(matrix.shape[1], dimension + num_normals + 1, hessian.shape[1]), LANES))
    following = np.zeros((matrix.shape[0], LANES))
    product = np.zeros((hessian.shape[0], LANES))
    values = np.zeros(LANES)
    blocks_per_step = np.uint64((num_normals + 1) // 2)
    for offset in range(0, num_paths, LANES):
        for i in range(dimension):
            for lane in range(LANES):
                panel[i, lane] = start[i]
        step = 0
        active = min(LANES, num_paths - offset)
        for record in range(len(steps)):
            while step < steps[record]:
                streams.fill_normals(
                    seed,
                    first_path + np.uint64(offset),
                    np.uint64(step) * blocks_per_step,
                    num_normals,
                    panel[dimension:],
                )
                panels.multiply(matrix, panel, following)
                for i in range(dimension):
                    for lane in range(LANES):
                        panel[i, lane] = following[i, lane]
                step += 1
            panels.multiply(hessian, panel, product)
            for lane in range(LANES):
                values[lane] = 0.0
            for i in range(dimension):
                for lane in range(LANES):
                    values[lane] += 0.5 * panel[i, lane] * product[i, lane]
            accumulators.add_observable(values, active, losses[record])
            accumulators.add_moments(
                panel,
                dimension,
                active,
                centre[record],
                product,
                first[record],
                second[record],
                fourth[record],
            )
            if snapshots.shape[0] > 0:
                for lane in range(active):
                    for i in range(dimension):
                        snapshots[offset + lane, record, i] = panel[i, lane]
