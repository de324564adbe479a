"""Kernel of first exits of SGD on examples: a lane whose chain has left begins the next at once."""

from typing import NamedTuple

import numpy as np

from aniso.arrays import (
    njit,
)
from aniso.langevin._kernels import streams
from aniso.langevin._kernels.accumulators import all_finite
from aniso.langevin._kernels.example_chain import EPOCHS, REPLACEMENT, below
from aniso.langevin._kernels.heavy_ball_chain import heavy_ball_step
from aniso.langevin._kernels.streams import EXAMPLES, INNER, KERNEL, LANES


class ChainExits(NamedTuple):
    """First exits of n chains.

    `step` (n,) is the number of steps after which a chain is outside, 0 if it did not leave.
    `point` (n, D) is its state then; for a censored chain it is the last state.
    """

    step: np.ndarray
    point: np.ndarray


class ChainLanes(NamedTuple):
    """State of lanes, each of which follows its own chain.

    `position` (2,) holds the number of chains that have begun, and how many of these have not
    ended. For each lane, `index` (LANES,) is its chain within the cell, -1 for none, `path` the
    number of that chain in the ensemble, and `step` its number of steps. A lane also has a column
    of `state` and of `velocity`, each (D, LANES).
    """

    position: np.ndarray
    index: np.ndarray
    path: np.ndarray
    step: np.ndarray
    state: np.ndarray
    velocity: np.ndarray


@njit(**INNER)
def draw_for_lanes(seed, path, step, batches, chosen):
    """Write the examples of each lane's next batch into `chosen` (B, LANES).

    Lane l draws the batch of step ``step[l]`` of chain ``path[l]``: the batch that this chain draws
    in an ensemble. `batches.epoch_in_order` (LANES,) is -1 in a lane whose order is not of its
    chain.
    """
    num_examples, size, sampling = batches.num_examples, batches.size, batches.sampling
    order, epoch_in_order = batches.order, batches.epoch_in_order
    if sampling == EPOCHS:
        per_epoch = num_examples // size
        for lane in range(LANES):
            epoch = step[lane] // per_epoch
            if epoch_in_order[lane] != epoch:
                epoch_in_order[lane] = epoch
                first = np.uint64(epoch * num_examples)
                for i in range(num_examples):
                    order[i, lane] = i
                for i in range(num_examples - 1, 0, -1):
                    word = streams.words(
                        seed, path[lane], first + np.uint64(i), np.uint64(EXAMPLES)
                    )[0]
                    j = below(word, i + 1)
                    order[i, lane], order[j, lane] = order[j, lane], order[i, lane]
            begin = (step[lane] - epoch * per_epoch) * size
            for draw in range(size):
                chosen[draw, lane] = order[begin + draw, lane]
        return
    for draw in range(size):
        bound = num_examples if sampling == REPLACEMENT else num_examples - size + draw + 1
        for lane in range(LANES):
            block = np.uint64(step[lane] * size + draw)
            word = streams.words(seed, path[lane], block, np.uint64(EXAMPLES))[0]
            chosen[draw, lane] = below(word, bound)
        if sampling != REPLACEMENT:
            # Floyd's algorithm: an example that is in the batch already gives way to the last
            for earlier in range(draw):
                for lane in range(LANES):
                    if chosen[earlier, lane] == chosen[draw, lane]:
                        chosen[draw, lane] = bound - 1


@njit(seconds=3, **KERNEL)
def exit_chains(
    gradient,
    region,
    parameters,
    region_parameters,
    batches,
    learning_rate,
    momentum,
    max_steps,
    paths,
    exits,
    lanes,
    failure,
    num_steps,
):
    """Find the first step after which chains are outside: row 0 of `region` is not positive.

    A chain is censored after `max_steps`. If a state or a margin is not a number, `failure` (3,)
    takes 1, the number of the chain in the ensemble, and the step.

    The kernel returns after `num_steps` steps of all lanes, and the next call continues from
    `lanes`. Before the first call every entry of ``lanes.index`` is -1. The cell is finished once
    all chains have begun and ended.
    """
    seed, first_path, num_paths, start = paths.seed, paths.first, paths.count, paths.start
    position, index, path, step = lanes.position, lanes.index, lanes.path, lanes.step
    x, velocity = lanes.state, lanes.velocity
    dimension = len(start)
    one, margins = np.zeros((dimension, LANES)), np.zeros((2, LANES))
    chosen = np.zeros((batches.size, LANES), np.int64)
    waiting, live = position[0], position[1]
    while (live > 0 or waiting < num_paths) and num_steps > 0:
        # idle lanes go back to the start too, so that they stay finite
        if live < LANES:
            for lane in range(LANES):
                if index[lane] >= 0:
                    continue
                for i in range(dimension):
                    x[i, lane] = start[i]
                    velocity[i, lane] = 0.0
                step[lane] = 0
                if waiting < num_paths:
                    index[lane] = waiting
                    path[lane] = first_path + np.uint64(waiting)
                    batches.epoch_in_order[lane] = -1
                    waiting += 1
                    live += 1
        num_steps -= 1
        draw_for_lanes(seed, path, step, batches, chosen)
        heavy_ball_step(gradient, parameters, chosen, learning_rate, momentum, x, velocity, one)
        region(x, region_parameters, margins)
        is_sound = all_finite(x, dimension)
        num_ended = 0
        for lane in range(LANES):
            step[lane] += 1
            # a NaN is not called inside
            num_ended += not (margins[0, lane] > 0.0 and step[lane] < max_steps)
        if num_ended == 0 and is_sound:
            continue
        for lane in range(LANES):
            if index[lane] < 0:
                continue
            broken = np.isnan(margins[0, lane])
            for i in range(dimension):
                broken = broken or not np.isfinite(x[i, lane])
            if broken:
                failure[0] = 1
                failure[1] = np.int64(path[lane])
                failure[2] = step[lane]
                return
            outside = margins[0, lane] <= 0.0
            if outside or step[lane] >= max_steps:
                exits.step[index[lane]] = step[lane] if outside else 0
                for i in range(dimension):
                    exits.point[index[lane], i] = x[i, lane]
                index[lane] = -1
                live -= 1
    position[0], position[1] = waiting, live
