"""Kernel of ensembles of ``x <- A x + B z``."""

import numpy as np

from aniso.arrays import (
    njit,
)
from aniso.langevin._kernels import accumulators, panels, streams
from aniso.langevin._kernels.panel_steps import copy_panel, fill
from aniso.langevin._kernels.streams import KERNEL, LANES


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
    failure,
    position,
    state,
    num_steps,
):
    """Paths of one cell from `start`; sums and states at the recorded steps.

    `matrix` = [A B] and `hessian` are padded; `steps` (T,); `centre` (T, D). Added to: `first`
    (T, D), `second` (T, D, D), `fourth` (T, D, D) or (T, 0, 0). Merged into `losses` (T, 3): count,
    mean and sum of squared deviations of x^T H x / 2. `snapshots` (num_paths, T, D), or (0, T, D)
    for none.

    The kernel returns after `num_steps` steps of one block of LANES paths after the other, and
    goes on in the next call: `position` (3,) holds the block's first path, its step and the number
    of the next record, `state` (D, LANES) its paths. The cell is finished once ``position[0]`` is
    num_paths or more. Where a state is not finite at a record or at a stop, `failure` takes 1, the
    path within the cell and the step, and the kernel returns.
    """
    panel = np.zeros((max(matrix.shape[1], dimension + num_normals + 1, hessian.shape[1]), LANES))
    following = np.zeros((matrix.shape[0], LANES))
    product = np.zeros((hessian.shape[0], LANES))
    values = np.zeros(LANES)
    blocks_per_step = np.uint64((num_normals + 1) // 2)
    copy_panel(state, panel[:dimension])
    offset, step, record = position[0], position[1], position[2]
    while offset < num_paths:
        if step == 0 and record == 0:
            fill(start, panel[:dimension])
        active = min(LANES, num_paths - offset)
        while record < len(steps):
            last = min(steps[record], step + num_steps)
            num_steps -= last - step
            while step < last:
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
            if not accumulators.all_finite(panel, dimension):
                lane = accumulators.first_broken_lane(panel, dimension, active)
                if lane >= 0:
                    failure[0], failure[1], failure[2] = 1, offset + lane, step
                    return
            if step < steps[record]:
                position[0], position[1], position[2] = offset, step, record
                copy_panel(panel[:dimension], state)
                return
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
            record += 1
        offset, step, record = offset + LANES, 0, 0
    position[0], position[1], position[2] = offset, 0, 0
