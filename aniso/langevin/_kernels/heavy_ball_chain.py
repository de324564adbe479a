"""Kernel of SGD with momentum: ``m <- beta m + g_B(theta)``, then ``theta <- theta - eta m``."""

import numpy as np

from aniso.arrays import (
    njit,
)
from aniso.langevin._kernels import accumulators
from aniso.langevin._kernels.example_chain import draw_batches
from aniso.langevin._kernels.panel_steps import copy_panel, fill, scale_panel
from aniso.langevin._kernels.streams import INNER, KERNEL, LANES


@njit(**INNER)
def heavy_ball_step(gradient, parameters, chosen, learning_rate, momentum, x, velocity, one):
    """Advance every lane by a step, in place; `chosen` (B, LANES) are the examples of its batch.

    `velocity` (D, LANES) holds m. `one` (D, LANES) is overwritten.
    """
    dimension, size = x.shape[0], chosen.shape[0]
    share = 1.0 / size
    scale_panel(momentum, velocity)
    for draw in range(size):
        gradient(x, chosen[draw], parameters, one)
        for i in range(dimension):
            for lane in range(LANES):
                velocity[i, lane] += share * one[i, lane]
    for i in range(dimension):
        for lane in range(LANES):
            x[i, lane] -= learning_rate * velocity[i, lane]


@njit(seconds=3, **KERNEL)
def advance_cell(
    gradient,
    potential,
    parameters,
    batches,
    learning_rate,
    momentum,
    recorded,
    paths,
    sums,
    progress,
    velocity,
    num_steps,
):
    """Advance chains with momentum, from theta = start and m = 0, and add them to sums.

    `velocity` (D, LANES) is the m of the present block. For the other arguments and calls in slices
    see :func:`aniso.langevin._kernels.example_chain.advance_cell`.
    """
    seed, first_path, num_paths, start = paths.seed, paths.first, paths.count, paths.start
    position, panel, failure = progress.position, progress.panel, progress.failure
    dimension = len(start)
    x, one = panel.copy(), np.zeros((dimension, LANES))
    chosen = np.zeros((batches.size, LANES), np.int64)
    observed = np.zeros(LANES)
    offset, step, record = position[0], position[1], position[2]
    while offset < num_paths:
        if step == 0 and record == 0:
            fill(start, x)
            scale_panel(0.0, velocity)
            batches.epoch_in_order[0] = -1
        active = min(LANES, num_paths - offset)
        block_path = first_path + np.uint64(offset)
        while record < len(recorded):
            last = min(recorded[record], step + num_steps)
            num_steps -= last - step
            while step < last:
                draw_batches(seed, block_path, step, batches, chosen)
                heavy_ball_step(
                    gradient, parameters, chosen, learning_rate, momentum, x, velocity, one
                )
                step += 1
                if not accumulators.all_finite(x, dimension):
                    lane = accumulators.first_broken_lane(x, dimension, active)
                    if lane >= 0:
                        failure[0] = 1
                        failure[1] = np.int64(block_path) + lane
                        failure[2] = step
                        return
            if step < recorded[record]:
                position[0], position[1], position[2] = offset, step, record
                copy_panel(x, panel)
                return
            potential(x, parameters, observed)
            accumulators.add_record(sums, record, x, dimension, active, offset, observed, one)
            record += 1
        offset, step, record = offset + LANES, 0, 0
    position[0], position[1], position[2] = offset, 0, 0
