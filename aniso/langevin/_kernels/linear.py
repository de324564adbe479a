"""Kernel of ensembles of ``x <- A x + B z``."""

import numpy as np

from aniso.arrays import (
    njit,
)
from aniso.langevin._kernels import accumulators, panels, streams
from aniso.langevin._kernels.panel_steps import copy_panel, fill
from aniso.langevin._kernels.streams import KERNEL, LANES


@njit(seconds=2, **KERNEL)
def advance_cell(matrix, hessian, size, num_normals, recorded, paths, sums, progress, num_steps):
    """Advance the paths of a cell by ``x <- A x + B z`` and add them to sums at recorded steps.

    `matrix` = [A B] and `hessian` are padded; `size` is D and `num_normals` the length of z.
    `recorded` (T,) are steps; the observable is x^T H x / 2. For the records see
    :mod:`aniso.langevin._kernels.records`.

    The kernel advances one block of LANES paths after the other and returns after `num_steps`
    steps. It also returns if a state is not finite at a record or at the end of the call; `failure`
    then takes the path within the cell. The next call continues from `progress`. The cell is
    finished once ``position[0]`` reaches the number of its paths.
    """
    seed, first_path, num_paths, start = paths.seed, paths.first, paths.count, paths.start
    position, state, failure = progress.position, progress.panel, progress.failure
    panel = np.zeros((max(matrix.shape[1], size + num_normals + 1, hessian.shape[1]), LANES))
    following = np.zeros((matrix.shape[0], LANES))
    product = np.zeros((hessian.shape[0], LANES))
    values = np.zeros(LANES)
    blocks_per_step = np.uint64((num_normals + 1) // 2)
    copy_panel(state, panel[:size])
    offset, step, record = position[0], position[1], position[2]
    while offset < num_paths:
        if step == 0 and record == 0:
            fill(start, panel[:size])
        active = min(LANES, num_paths - offset)
        while record < len(recorded):
            last = min(recorded[record], step + num_steps)
            num_steps -= last - step
            while step < last:
                streams.fill_normals(
                    seed,
                    first_path + np.uint64(offset),
                    np.uint64(step) * blocks_per_step,
                    num_normals,
                    panel[size:],
                )
                panels.multiply(matrix, panel, following)
                for i in range(size):
                    for lane in range(LANES):
                        panel[i, lane] = following[i, lane]
                step += 1
            if not accumulators.all_finite(panel, size):
                lane = accumulators.first_broken_lane(panel, size, active)
                if lane >= 0:
                    failure[0], failure[1], failure[2] = 1, offset + lane, step
                    return
            if step < recorded[record]:
                position[0], position[1], position[2] = offset, step, record
                copy_panel(panel[:size], state)
                return
            panels.multiply(hessian, panel, product)
            for lane in range(LANES):
                values[lane] = 0.0
            for i in range(size):
                for lane in range(LANES):
                    values[lane] += 0.5 * panel[i, lane] * product[i, lane]
            accumulators.add_record(sums, record, panel, size, active, offset, values, product)
            record += 1
        offset, step, record = offset + LANES, 0, 0
    position[0], position[1], position[2] = offset, 0, 0
