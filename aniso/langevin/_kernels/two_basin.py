"""Kernel of the compared dynamics on the two-basin toy, in its rotated axes a and b."""

import math

import numpy as np

from aniso.arrays import (
    njit,
)
from aniso.langevin._kernels import streams
from aniso.langevin._kernels.accumulators import REDUCTION
from aniso.langevin._kernels.streams import EXAMPLES, INLINE, KERNEL, LANES
from aniso.langevin._kernels.two_basin_loss import ROOT_TWO, basin_gradient

GD, CONSTANT, DIAGONAL, LEADING, HESSIAN, FIRST_EIGENVECTOR, SGD = range(7)


@njit(**REDUCTION)
def _gradient_sums(a, b, data_a, data_b):
    """Return sums over the data of the gradient and its products, and the number in s."""
    sum_a, sum_b, sum_aa, sum_ab, sum_bb, sharp_data = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(data_a.shape[0]):
        g_a, g_b, sharp = basin_gradient(a - data_a[i], b - data_b[i])
        sum_a += g_a
        sum_b += g_b
        sum_aa += g_a * g_a
        sum_ab += g_a * g_b
        sum_bb += g_b * g_b
        sharp_data += 1.0 if sharp else 0.0
    return sum_a, sum_b, sum_aa, sum_ab, sum_bb, sharp_data


@njit(**INLINE)
def _noise(dynamics, trace, s_aa, s_ab, s_bb, sharp, z0, z1):
    """Return noise of expected squared norm `trace` in the rotated axes, from two normals.

    (s_aa, s_ab, s_bb) is the covariance of one datum's gradient, `sharp` the share of the data
    in the sharp basin.
    """
    whole = s_aa + s_bb
    if dynamics == CONSTANT:
        scale = math.sqrt(0.5 * trace)
        return scale * z0, scale * z1
    if dynamics == FIRST_EIGENVECTOR:
        return 0.0, math.sqrt(trace) * z1
    if dynamics == HESSIAN:
        h_a, h_b = 2.0 + 18.0 * sharp, 2.0 + 198.0 * sharp
        scale = math.sqrt(trace / (h_a + h_b))
        return scale * math.sqrt(h_a) * z0, scale * math.sqrt(h_b) * z1
    if dynamics == GD or whole <= 0.0:
        return 0.0, 0.0
    scale = math.sqrt(trace / whole)
    if dynamics == DIAGONAL:
        # variances of w_1 and w_2, then back to the rotated axes
        first = scale * math.sqrt(max(0.5 * whole + s_ab, 0.0)) * z0
        second = scale * math.sqrt(max(0.5 * whole - s_ab, 0.0)) * z1
        return (first - second) / ROOT_TWO, (first + second) / ROOT_TWO
    # both eigenpairs: the covariance itself, by its Cholesky factor
    l_aa = math.sqrt(s_aa)
    l_ab = s_ab / l_aa if l_aa > 0.0 else 0.0
    l_bb = math.sqrt(max(s_bb - l_ab * l_ab, 0.0))
    return scale * l_aa * z0, scale * (l_ab * z0 + l_bb * z1)


@njit(seconds=2, **KERNEL)
def run_cell(dynamics, learning_rate, trace, data, num_steps, paths, runs, position, panel, budget):
    """Advance the runs of a cell; `data` (2, N) and the start of `paths` are in rotated axes.

    The kernel advances one block of LANES runs after the other and returns after `budget` steps.
    The next call continues from `position` (2,), the block's first run and its step, and `panel`
    (2, LANES), its iterates. The cell is finished once ``position[0]`` reaches the number of its
    runs. For the records see :mod:`aniso.langevin._kernels.records`.
    """
    data_a, data_b, count = data[0], data[1], data.shape[1]
    num_paths, seed = paths.count, paths.seed
    iterates, alignments, ends = runs.iterates, runs.alignments, runs.ends
    normals = np.zeros((2, LANES))
    a, b = panel[0].copy(), panel[1].copy()
    offset, first_step = position[0], position[1]
    while offset < num_paths:
        active = min(LANES, num_paths - offset)
        block_path = paths.first + np.uint64(offset)
        if first_step == 0:
            for lane in range(LANES):
                a[lane], b[lane] = paths.start[0], paths.start[1]
        last_step = min(num_steps + 1, first_step + budget)
        budget -= last_step - first_step
        for step in range(first_step, last_step):
            streams.fill_normals(seed, block_path, np.uint64(step), 2, normals)
            for lane in range(active):
                g_a, g_b, s_aa, s_ab, s_bb, sharp = _gradient_sums(a[lane], b[lane], data_a, data_b)
                g_a, g_b, sharp = g_a / count, g_b / count, sharp / count
                s_aa = max(s_aa / count - g_a * g_a, 0.0)
                s_bb = max(s_bb / count - g_b * g_b, 0.0)
                s_ab = s_ab / count - g_a * g_b
                if iterates.shape[0] > 0:
                    iterates[offset + lane, step, 0] = a[lane]
                    iterates[offset + lane, step, 1] = b[lane]
                if alignments.shape[0] > 0:
                    # Tr(H Sigma) is linear in Sigma: the noise along each axis, squared
                    n_a0, n_b0 = _noise(dynamics, trace, s_aa, s_ab, s_bb, sharp, 1.0, 0.0)
                    n_a1, n_b1 = _noise(dynamics, trace, s_aa, s_ab, s_bb, sharp, 0.0, 1.0)
                    h_a, h_b = 2.0 + 18.0 * sharp, 2.0 + 198.0 * sharp
                    alignments[offset + lane, step] = h_a * (n_a0 * n_a0 + n_a1 * n_a1) + h_b * (
                        n_b0 * n_b0 + n_b1 * n_b1
                    )
                if step == num_steps:
                    continue
                if dynamics == SGD:
                    # a datum drawn at random, its gradient's deviation scaled to the trace
                    word = streams.words(
                        seed,
                        block_path + np.uint64(lane),
                        np.uint64(step),
                        np.uint64(EXAMPLES),
                    )[0]
                    i = min(int(count * streams.unit_uniform(word)), count - 1)
                    own_a, own_b, _ = basin_gradient(a[lane] - data_a[i], b[lane] - data_b[i])
                    scale = math.sqrt(trace / (s_aa + s_bb)) if s_aa + s_bb > 0.0 else 0.0
                    n_a, n_b = scale * (own_a - g_a), scale * (own_b - g_b)
                else:
                    n_a, n_b = _noise(
                        dynamics,
                        trace,
                        s_aa,
                        s_ab,
                        s_bb,
                        sharp,
                        normals[0, lane],
                        normals[1, lane],
                    )
                a[lane] += n_a - learning_rate * g_a
                b[lane] += n_b - learning_rate * g_b
        if last_step <= num_steps:
            position[0], position[1] = offset, last_step
            for lane in range(LANES):
                panel[0, lane], panel[1, lane] = a[lane], b[lane]
            return
        for lane in range(active):
            ends[offset + lane, 0], ends[offset + lane, 1] = a[lane], b[lane]
        offset, first_step = offset + LANES, 0
    position[0], position[1] = offset, 0
