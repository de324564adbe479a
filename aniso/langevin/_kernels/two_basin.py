"""Kernel of the compared dynamics on the two-basin toy, in its rotated axes.

With a = (w_1 - w_2) / sqrt 2 and b = (w_1 + w_2) / sqrt 2 both losses of a datum are sums of
squares, ``s = 10 (da)^2 + 100 (db - sqrt 2)^2`` and ``f = (da)^2 + (db + sqrt 2)^2``.
"""

import math

import numpy as np

from aniso.arrays import (
    njit,
)
from aniso.langevin._kernels import streams
from aniso.langevin._kernels.streams import EXAMPLES, INLINE, KERNEL, LANES

GD, CONSTANT, DIAGONAL, LEADING, HESSIAN, FIRST_EIGENVECTOR, SGD = range(7)

_ROOT_TWO = math.sqrt(2.0)


@njit(**(INLINE | {"fastmath": {"contract", "reassoc", "nsz"}}))
def _gradient_sums(a, b, data_a, data_b):
    """Sums over the data of the gradient, of its products, and of the sharp data."""
    sum_a, sum_b, sum_aa, sum_ab, sum_bb, sharp_data = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(data_a.shape[0]):
        da, db = a - data_a[i], b - data_b[i]
        to_sharp, to_flat = db - _ROOT_TWO, db + _ROOT_TWO
        sharp = 9.0 * da * da + 100.0 * to_sharp * to_sharp < to_flat * to_flat
        g_a = 20.0 * da if sharp else 2.0 * da
        g_b = 200.0 * to_sharp if sharp else 2.0 * to_flat
        sum_a += g_a
        sum_b += g_b
        sum_aa += g_a * g_a
        sum_ab += g_a * g_b
        sum_bb += g_b * g_b
        sharp_data += 1.0 if sharp else 0.0
    return sum_a, sum_b, sum_aa, sum_ab, sum_bb, sharp_data


@njit(**INLINE)
def _noise(dynamics, trace, s_aa, s_ab, s_bb, sharp, z0, z1):
    """Noise of expected squared norm `trace` in the rotated axes, from two normals.

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
        return (first - second) / _ROOT_TWO, (first + second) / _ROOT_TWO
    # both eigenpairs: the covariance itself, by its Cholesky factor
    l_aa = math.sqrt(s_aa)
    l_ab = s_ab / l_aa if l_aa > 0.0 else 0.0
    l_bb = math.sqrt(max(s_bb - l_ab * l_ab, 0.0))
    return scale * l_aa * z0, scale * (l_ab * z0 + l_bb * z1)


@njit(**KERNEL)
def run_cell(
    dynamics,
    learning_rate,
    trace,
    data_a,
    data_b,
    start_a,
    start_b,
    num_steps,
    seed,
    first_path,
    num_paths,
    ends,
    paths,
    alignments,
    position,
    panel,
    budget,
):
    """Runs of one cell; `ends` (num_paths, 2) takes the last iterates (a, b).

    `paths` (num_paths, num_steps + 1, 2) and `alignments` (num_paths, num_steps + 1) with
    Tr(H Sigma) at each iterate, Sigma the covariance of the added noise, are filled where they
    are not of length 0.

    The kernel returns after `budget` steps of one block of LANES runs after the other, and goes on
    in the next call from `position` (2,), the block's first run and its step, and `panel`
    (2, LANES) with its iterates. The cell is finished once ``position[0]`` is num_paths or more.
    """
    count = data_a.shape[0]
    normals = np.zeros((2, LANES))
    a, b = panel[0].copy(), panel[1].copy()
    offset, first_step = position[0], position[1]
    while offset < num_paths:
        active = min(LANES, num_paths - offset)
        block_path = first_path + np.uint64(offset)
        if first_step == 0:
            for lane in range(LANES):
                a[lane], b[lane] = start_a, start_b
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
                if paths.shape[0] > 0:
                    paths[offset + lane, step, 0] = a[lane]
                    paths[offset + lane, step, 1] = b[lane]
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
                    d_a, d_b = a[lane] - data_a[i], b[lane] - data_b[i]
                    to_sharp, to_flat = d_b - _ROOT_TWO, d_b + _ROOT_TWO
                    is_sharp = 9.0 * d_a * d_a + 100.0 * to_sharp * to_sharp < to_flat * to_flat
                    scale = math.sqrt(trace / (s_aa + s_bb)) if s_aa + s_bb > 0.0 else 0.0
                    n_a = scale * ((20.0 if is_sharp else 2.0) * d_a - g_a)
                    n_b = scale * ((200.0 * to_sharp if is_sharp else 2.0 * to_flat) - g_b)
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
