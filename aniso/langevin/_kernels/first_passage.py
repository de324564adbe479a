"""Kernel of first exits: a lane whose path has left begins the next path at once."""

import math

import numpy as np

from aniso.arrays import (
    njit,
)
from aniso.langevin._kernels import streams
from aniso.langevin._kernels.accumulators import all_finite
from aniso.langevin._kernels.panel_steps import combine, copy_panel, scale_panel, scale_rows
from aniso.langevin._kernels.state_noise import (
    DIAGONAL,
    FULL,
    NOT_FINITE,
    NOT_SEMIDEFINITE,
    reflect,
)
from aniso.langevin._kernels.streams import INLINE, INNER, KERNEL, LANES, UNIFORMS

GRID, BRIDGE, SHIFT = range(3)
BOUNDARY_SHIFT = 0.5825971579390106
"""``- zeta(1/2) / sqrt(2 pi)``: how far a Gaussian walk overshoots, in standard deviations."""

_NEAR = 36.0  # exp(-36) = 2e-16: a bridge that far from the boundary hasn't crossed


@njit(**INNER)
def _fill_lanes(seed, path, round_number, rows, out):
    """Write the normals of one round; every lane has its own path and round number."""
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


@njit(**INNER)
def _fill_coarse_lanes(seed, path, round_number, rank, substeps, fine_round, fine, out):
    """Write the normals of one round whose increments consist of `substeps` fine ones each."""
    for i in range(2 * rank):
        for lane in range(LANES):
            out[i, lane] = 0.0
    scale = substeps**-0.5
    for part in range(substeps):
        for lane in range(LANES):
            fine_round[lane] = round_number[lane] * np.uint64(substeps) + np.uint64(part)
        _fill_lanes(seed, path, fine_round, 2 * rank, fine)
        for half in range(2):
            first = (2 * part + half) // substeps * rank
            for i in range(rank):
                for lane in range(LANES):
                    out[first + i, lane] += scale * fine[half * rank + i, lane]


@njit(**INNER)
def _stays(seed, path, step, substeps, probability):
    """Whether a bridge with that probability of a crossing has stayed inside.

    The smallest of n uniform numbers decides for n fine steps: they decide alike in a finer run.
    """
    smallest = 1.0
    for j in range(substeps):
        block = np.uint64((step - 1) * substeps + j + 1)
        word = streams.words(seed, path, block, np.uint64(UNIFORMS))[0]
        smallest = min(smallest, streams.unit_uniform(word))
    if substeps == 1:
        return smallest >= probability
    return (1.0 - smallest) ** substeps <= 1.0 - probability


@njit(**INLINE)
def _suspects(before, after, shift, scale, bridge, exponent):
    """Return the number of lanes that are, or may have been, outside; fill `exponent`."""
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


@njit(**INNER)
def _move_to_boundary(region, parameters, length, point, panel, out):
    """Move a point to the boundary by three Newton steps along the gradient of the margin.

    The gradient is taken by differences between the lanes of `panel`. Their widths follow from the
    `length` of the path's step, so that they suit a region of any size.
    """
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
                # wide enough to change the number
                panel[i, j] += max(1e-4 * length, 1e-12 * abs(point[i]))
            region(panel, parameters, out)
            here = out[0, LANES - 1]
            for j in range(count):
                i = first + j
                step[i] = (out[0, j] - here) / (panel[i, j] - point[i])
                norm += step[i] * step[i]
        if norm > 0.0:
            for i in range(dimension):
                point[i] -= here / norm * step[i]


@njit(seconds=4, **KERNEL)
def exit_paths(
    drift,
    region,
    amplitude,
    amplitude_parameters,
    increments,
    equation,
    walls,
    step_size,
    method,
    max_steps,
    substeps,
    paths,
    exits,
    lanes,
    failure,
    num_rounds,
):
    """Find the first exits of paths under Euler-Maruyama.

    In `equation`, `observed_parameters` are the parameters of the region. Noise that depends on
    theta is computed by `amplitude` from `amplitude_parameters`; `factor` has as many rows as it
    writes. `increments` is the function of the form of the noise, of
    :mod:`aniso.langevin._kernels.state_noise`. Steps are mirrored at `walls` (2, D); its shape
    (2, 0) means none.

    A path is censored after `max_steps`. Two steps make a round, whose 2 r normals are consecutive
    in the path's stream. An increment consists of `substeps` fine ones, so that a run with half the
    step and half the substeps follows the same Wiener process. If a state is not a number, or
    Sigma is no covariance, `failure` (3,) takes the flag, the number of the path in the ensemble,
    and the step; `lanes` then hold the states. For the records see
    :mod:`aniso.langevin._kernels.records`.

    The kernel returns after `num_rounds` rounds, and the next call continues from `lanes`. The cell
    is finished once ``lanes.position[1]`` is 0.
    """
    drift_parameters, region_parameters = equation.drift_parameters, equation.observed_parameters
    factor, form, rank = equation.factor, equation.form, equation.rank
    seed, first_path, num_paths, start = paths.seed, paths.first, paths.count, paths.start
    exit_step, exit_fraction, exit_point = exits.step, exits.fraction, exits.point
    position, index, path = lanes.position, lanes.index, lanes.path
    round_number, state, margin = lanes.round_number, lanes.state, lanes.margin
    dimension = len(start)
    root = math.sqrt(step_size)
    x, y = state.copy(), np.zeros((dimension, LANES))
    force, zero = np.zeros((dimension, LANES)), np.zeros((dimension, LANES))
    wiener = np.zeros((max(rank, factor.shape[1]), LANES))
    noise = np.zeros((max(dimension, factor.shape[0]), LANES))
    spread = np.zeros((factor.shape[0], LANES))
    work, broken = np.zeros((dimension + 1, LANES)), np.zeros((1, LANES))[0]
    normals, fine = np.zeros((2 * rank, LANES)), np.zeros((2 * rank, LANES))
    fine_round = round_number.copy()
    before, after = margin.copy(), np.zeros((2, LANES))
    exponent = np.zeros((1, LANES))[0]
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
        if substeps == 1:
            _fill_lanes(seed, path, round_number, 2 * rank, normals)
        else:
            _fill_coarse_lanes(seed, path, round_number, rank, substeps, fine_round, fine, normals)
        freed = 0
        for half in range(2):
            for i in range(rank):
                for lane in range(LANES):
                    wiener[i, lane] = normals[half * rank + i, lane]
            drift(x, drift_parameters, force)
            bad = 0
            if form == DIAGONAL:
                scale_rows(scales, root, wiener, noise[:dimension])
            else:
                if form != FULL:
                    amplitude(x, amplitude_parameters, spread)
                bad = increments(form, factor, spread, rank, root, wiener, work, broken, noise)
            if form == FULL:
                scale_panel(root, noise)
            for lane in range(LANES if bad > 0 else 0):
                if broken[lane] > 0.0 and index[lane] >= 0:
                    failure[0], failure[1] = NOT_SEMIDEFINITE, np.int64(path[lane])
                    failure[2] = 2 * np.int64(round_number[lane]) + half
                    copy_panel(x, state)
                    return
            combine(x, step_size, force, 0.0, zero, noise, y)
            if walls.shape[1] > 0:
                reflect(y, walls)
            region(y, region_parameters, after)
            if _suspects(before, after, shift, step_size, bridge, exponent) > 0:
                for lane in range(LANES):
                    value = exponent[lane]
                    if not value < _NEAR or index[lane] < 0:
                        continue
                    step = 2 * np.int64(round_number[lane]) + half + 1
                    outside = value < 0.0
                    if not outside and _stays(seed, path[lane], step, substeps, math.exp(-value)):
                        continue
                    # where the straight line, or its reflection, meets the boundary
                    edge = shift * math.sqrt(before[1, lane])
                    near, far = before[0, lane] - edge, abs(after[0, lane] - edge)
                    part = near / (near + far) if near > 0.0 else 0.0
                    exit_step[index[lane]] = step
                    exit_fraction[index[lane]] = part
                    moved = 1.0 if method == GRID else part
                    length = 0.0
                    for i in range(dimension):
                        way = y[i, lane] - x[i, lane]
                        exit_point[index[lane], i] = x[i, lane] + moved * way
                        length = max(length, abs(way))
                    if method != GRID:
                        _move_to_boundary(
                            region,
                            region_parameters,
                            length,
                            exit_point[index[lane]],
                            scratch,
                            margins,
                        )
                    index[lane] = -1
                    freed += 1
            x, y = y, x
            before, after = after, before
            if not all_finite(before, 1):
                for lane in range(LANES):
                    # a NaN fails every comparison, so look for it
                    if np.isnan(before[0, lane]) and index[lane] >= 0:
                        failure[0] = NOT_FINITE
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
