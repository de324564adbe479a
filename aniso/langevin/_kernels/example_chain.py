"""Kernel of SGD and SVAG on a finite set of examples, with the sampling of real training."""

import math

import numpy as np

from aniso.arrays import (
    njit,
)
from aniso.langevin._kernels import accumulators, streams
from aniso.langevin._kernels.panel_steps import copy_panel, fill
from aniso.langevin._kernels.streams import EXAMPLES, INLINE, INNER, KERNEL, LANES

REPLACEMENT, NO_REPLACEMENT, EPOCHS = range(3)


@njit(**INLINE)
def below(word, bound):
    """Return a whole number in 0 .. bound - 1 from the upper 52 bits of a word."""
    return min(np.int64(bound * streams.unit_uniform(np.uint64(word))), bound - 1)


@njit(**INNER)
def draw_batches(seed, first_path, batch, batches, chosen):
    """Write the examples of batch number `batch` of every lane into `chosen` (size, LANES).

    With replacement each draw is independent; without, it is Floyd's algorithm. In epochs a batch
    is the next part of an order that is shuffled anew when it is used up.
    """
    num_examples, size, sampling = batches.num_examples, batches.size, batches.sampling
    order, epoch_in_order = batches.order, batches.epoch_in_order
    per_epoch = num_examples // size
    if sampling == EPOCHS:
        within = batch % per_epoch
        if epoch_in_order[0] != batch // per_epoch:
            epoch_in_order[0] = batch // per_epoch
            epoch = np.uint64(batch // per_epoch) * np.uint64(num_examples)
            for lane in range(LANES):
                path = first_path + np.uint64(lane)
                for i in range(num_examples):
                    order[i, lane] = i
                for i in range(num_examples - 1, 0, -1):
                    word = streams.words(seed, path, epoch + np.uint64(i), np.uint64(EXAMPLES))[0]
                    j = below(word, i + 1)
                    order[i, lane], order[j, lane] = order[j, lane], order[i, lane]
        for draw in range(size):
            for lane in range(LANES):
                chosen[draw, lane] = order[within * size + draw, lane]
        return
    for draw in range(size):
        block = np.uint64(batch * size + draw)
        for lane in range(LANES):
            path = first_path + np.uint64(lane)
            word = streams.words(seed, path, block, np.uint64(EXAMPLES))[0]
            if sampling == REPLACEMENT:
                chosen[draw, lane] = below(word, num_examples)
                continue
            last = num_examples - size + draw
            candidate = below(word, last + 1)
            for earlier in range(draw):
                if chosen[earlier, lane] == candidate:
                    candidate = last
            chosen[draw, lane] = candidate


@njit(seconds=3, **KERNEL)
def advance_cell(
    gradient,
    potential,
    parameters,
    batches,
    weights,
    learning_rate,
    recorded,
    paths,
    sums,
    progress,
    num_steps,
):
    """Advance chains ``theta <- theta - eta sum_k weights[k] g_k``, g_k the k-th batch mean.

    `recorded` (T,) are steps. For the records see :mod:`aniso.langevin._kernels.records`; for calls
    in slices :func:`aniso.langevin._kernels.linear.advance_cell`. Where a state is not finite,
    `failure` takes the number of the path in the ensemble, and the kernel returns.
    """
    seed, first_path, num_paths, start = paths.seed, paths.first, paths.count, paths.start
    position, panel, failure = progress.position, progress.panel, progress.failure
    dimension, batch_size = len(start), batches.size
    x, moved = panel.copy(), np.zeros((dimension, LANES))
    one = np.zeros((dimension, LANES))
    chosen = np.zeros((batch_size, LANES), np.int64)
    observed = np.zeros(LANES)
    offset, step, record = position[0], position[1], position[2]
    while offset < num_paths:
        if step == 0 and record == 0:
            fill(start, x)
            batches.epoch_in_order[0] = -1
        active = min(LANES, num_paths - offset)
        block_path = first_path + np.uint64(offset)
        while record < len(recorded):
            last = min(recorded[record], step + num_steps)
            num_steps -= last - step
            while step < last:
                for i in range(dimension):
                    for lane in range(LANES):
                        moved[i, lane] = x[i, lane]
                for k in range(len(weights)):
                    draw_batches(seed, block_path, step * len(weights) + k, batches, chosen)
                    scale = learning_rate * weights[k] / batch_size
                    for draw in range(batch_size):
                        gradient(x, chosen[draw], parameters, one)
                        for i in range(dimension):
                            for lane in range(LANES):
                                moved[i, lane] -= scale * one[i, lane]
                x, moved = moved, x
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


def svag_weights(num_times):
    """Return the weights of the two batches of SVAG, ``(1 +- sqrt(2 l - 1)) / 2``.

    Examples
    --------
    Their sum is 1 and the sum of their squares l.

    >>> weights = svag_weights(5)
    >>> weights.tolist(), float(weights.sum()), float(weights @ weights)
    ([2.0, -1.0], 1.0, 5.0)
    """
    root = math.sqrt(2 * num_times - 1)
    return np.array([(1 + root) / 2, (1 - root) / 2])
