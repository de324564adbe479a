"""Kernel of first exits: lanes take up the next path as soon as theirs has left."""

import math

import numpy as np

from aniso.arrays import (
    njit,
)
from aniso.langevin._kernels import panels, streams
from aniso.langevin._kernels.accumulators import all_finite
from aniso.langevin._kernels.panel_steps import combine, copy_panel, scale_panel, scale_rows
from aniso.langevin._kernels.streams import INLINE, KERNEL, LANES, UNIFORMS

GRID, BRIDGE, SHIFT = range(3)
BOUNDARY_SHIFT = 0.5825971579390106
"""``- zeta(1/2) / sqrt(2 pi)``: how far a Gaussian walk overshoots, in standard deviations."""

_NEAR = 36.0  # exp(-36) = 2e-16: a bridge that far from the boundary hasn't crossed


@njit(**KERNEL)
def _fill_lanes(seed, path, round_number, rows, out):
    """Normals of one round for lanes that follow paths of their own, at rounds of their own."""
    k0 = seed & np.uint64(0xFFFFFFFF)
    k1 = seed >> np.uint64(32)
    blocks = np.uint64(rows // 2)
    for pair in range(rows // 2):
        for lane in range(LANES):
            block = round_number[lane] * blocks + np.uint64(pair)
            a, b = streams.philox(
                path[lane] & np.uint64(0xFFFFFFFF),
                path[lane] >> np.uint64(32),
                block & np.uint64(0xFFFFFFFF),
                block >> np.uint64(32),
                k0,
                k1,
            )
            out[2 * pair, lane], out[2 * pair + 1, lane] = streams.box_muller(a, b)


@njit(**INLINE)
def _suspects(before, after, shift, scale, bridge, exponent):
    """Number of lanes that are, or may have been, outside; fills the bridge exponents."""
    count = 0
    for lane in range(LANES):
        variance = before[1, lane]
        distance = after[0, lane] - shift * math.sqrt(variance)
        bridge_exponent = 2.0 * before[0, lane] * distance / (variance * scale + 1e-300)
        value = bridge_exponent if bridge else 1e300
        # a NaN is not called outside
        value = -1.0 if distance <= 0.0 else value
        exponent[lane] = value
        count += 1 if value < _NEAR else 0
    return count


@njit(**KERNEL)
def _move_to_boundary(region, parameters, point, panel, out):
    """Three Newton steps along the gradient of the margin, taken by differences in the lanes."""
    dimension = len(point)
    for _ in range(3):
        here, norm = 0.0, 0.0
        step = np.zeros(dimension)
        for first in range(0, dimension, LANES - 1):
            count = min(LANES - 1, dimension - first)
            for i in range(dimension):
                for lane in range(LANES):
                    panel[i, lane] = point[i]
            for j in range(count):
                i = first + j
                panel[i, j] += 1e-6 * (1.0 + abs(point[i]))
            region(panel, parameters, out)
            here = out[0, LANES - 1]
            for j in range(count):
                i = first + j
                step[i] = (out[0, j] - here) / (1e-6 * (1.0 + abs(point[i])))
                norm += step[i] * step[i]
        if norm > 0.0:
            for i in range(dimension):
                point[i] -= here / norm * step[i]


@njit(**KERNEL)
def exit_paths(
    drift,
    drift_parameters,
    region,
    region_parameters,
    factor,
    is_diagonal,
    rank,
    step_size,
    method,
    max_steps,
    seed,
    first_path,
    num_paths,
    start,
    exit_step,
    exit_fraction,
    exit_point,
    failure,
    position,
    index,
    path,
    round_number,
    state,
    margin,
    num_rounds,
):
    """First exits of `num_paths` paths under Euler-Maruyama with constant noise.

    Written for each path: `exit_step` (number of the step in which it left, from 1 on, 0 if it
    didn't in `max_steps`), `exit_fraction` (part of that step that had passed) and `exit_point`
    (num_paths, D). Two steps make a round, whose 2 r normals are consecutive in the path's stream.

    The kernel returns after `num_rounds` rounds and goes on in the next call from `position` (2,),
    how many paths have begun and how many of them are under way, 0 once all have ended, and from
    what it keeps of each lane: `index`, -1 for a lane with nothing more to do, `path`,
    `round_number`, `state` (D, LANES) and `margin` (2, LANES).
    """
    dimension = len(start)
    root = math.sqrt(step_size)
    x, y = state.copy(), np.zeros((dimension, LANES))
    force, zero = np.zeros((dimension, LANES)), np.zeros((dimension, LANES))
    wiener = np.zeros((max(rank, factor.shape[1]), LANES))
    noise = np.zeros((max(dimension, factor.shape[0]), LANES))
    normals = np.zeros((2 * rank, LANES))
    before, after = margin.copy(), np.zeros((2, LANES))
    exponent = np.zeros(LANES)
    scratch, margins = np.zeros((dimension, LANES)), np.zeros((2, LANES))
    scales = factor[:, 0].copy()
    shift = BOUNDARY_SHIFT * root if method == SHIFT else 0.0
    bridge = method == BRIDGE
    waiting, live = position[0], position[1]
    if waiting == 0:
        # a lane without a path stands at the start
        for lane in range(LANES):
            for i in range(dimension):
                x[i, lane] = start[i]
            index[lane] = -1
            if waiting < num_paths:
                index[lane] = waiting
                path[lane] = first_path + np.uint64(waiting)
                waiting += 1
                live += 1
        region(x, region_parameters, before)
    while live > 0 and num_rounds > 0:
        num_rounds -= 1
        _fill_lanes(seed, path, round_number, 2 * rank, normals)
        freed = 0
        for half in range(2):
            for i in range(rank):
                for lane in range(LANES):
                    wiener[i, lane] = normals[half * rank + i, lane]
            drift(x, drift_parameters, force)
            if is_diagonal:
                scale_rows(scales, root, wiener, noise[:dimension])
            else:
                panels.multiply(factor, wiener, noise)
                scale_panel(root, noise)
            combine(x, step_size, force, 0.0, zero, noise, y)
            region(y, region_parameters, after)
            if _suspects(before, after, shift, step_size, bridge, exponent) > 0:
                for lane in range(LANES):
                    value = exponent[lane]
                    if not value < _NEAR or index[lane] < 0:
                        continue
                    step = 2 * np.int64(round_number[lane]) + half + 1
                    outside = value < 0.0
                    if not outside:
                        word = streams.words(
                            seed, path[lane], np.uint64(step), np.uint64(UNIFORMS)
                        )[0]
                        if streams.unit_uniform(word) >= math.exp(-value):
                            continue
                    # where the straight line, or its reflection, meets the boundary
                    edge = shift * math.sqrt(before[1, lane])
                    near, far = before[0, lane] - edge, abs(after[0, lane] - edge)
                    part = near / (near + far) if near > 0.0 else 0.0
                    exit_step[index[lane]] = step
                    exit_fraction[index[lane]] = part
                    moved = 1.0 if method == GRID else part
                    for i in range(dimension):
                        exit_point[index[lane], i] = x[i, lane] + moved * (y[i, lane] - x[i, lane])
                    if method != GRID:
                        _move_to_boundary(
                            region, region_parameters, exit_point[index[lane]], scratch, margins
                        )
                    index[lane] = -1
                    freed += 1
            x, y = y, x
            before, after = after, before
            if not all_finite(before, 1):
                for lane in range(LANES):
                    # a NaN fails every comparison, so look for it
                    if np.isnan(before[0, lane]) and index[lane] >= 0:
                        failure[0] = 1
                        failure[1] = np.int64(path[lane])
                        failure[2] = 2 * np.int64(round_number[lane]) + half + 1
                        return
        for lane in range(LANES):
            round_number[lane] += np.uint64(1)
        for lane in range(LANES):
            censored = index[lane] >= 0 and 2 * np.int64(round_number[lane]) >= max_steps
            if censored:
                for i in range(dimension):
                    exit_point[index[lane], i] = x[i, lane]
                index[lane] = -1
                freed += 1
        # idle lanes go back to the start too, so that none of them looks like an exit
        if freed > 0 or live < LANES:
            live -= freed
            for lane in range(LANES):
                if index[lane] < 0:
                    for i in range(dimension):
                        x[i, lane] = start[i]
                    if waiting < num_paths:
                        index[lane] = waiting
                        path[lane] = first_path + np.uint64(waiting)
                        round_number[lane] = np.uint64(0)
                        waiting += 1
                        live += 1
            region(x, region_parameters, before)
    position[0], position[1] = waiting, live
    copy_panel(x, state)
    copy_panel(before, margin)
