"""Kernel of ensembles of ``dX = f(X) dt + g(X) dW`` for any drift and form of noise."""

import numpy as np

from aniso.arrays import (
    njit,
)
from aniso.langevin._kernels import accumulators
from aniso.langevin._kernels.panel_steps import (
    add_halves,
    advance,
    combine,
    copy_panel,
    fill,
    multiplicative_noise,
    scale_panel,
    scale_rows,
    subtract_ito_correction,
    variates,
)
from aniso.langevin._kernels.state_noise import (
    DIAGONAL,
    FULL,
    NOT_FINITE,
    NOT_SEMIDEFINITE,
    OWN_COMPONENT,
    reflect,
)
from aniso.langevin._kernels.streams import KERNEL, LANES
from aniso.langevin.schemes import EULER, HEUN, MILSTEIN, SRA1


@njit(seconds=4, **KERNEL)
def advance_cell(
    drift,
    potential,
    amplitude,
    increments,
    equation,
    walls,
    steps,
    paths,
    sums,
    progress,
    num_steps,
):
    """Advance the paths of a cell by a scheme and add them to sums at the recorded steps.

    `increments` is the function of the form of the noise, of
    :mod:`aniso.langevin._kernels.state_noise`.
    In `equation` a full factor is multiplied by sqrt(step size) already, and
    `observed_parameters` are the parameters of the amplitude. A factor of noise that depends on
    theta has as many rows as the amplitude writes. Steps are mirrored at `walls` (2, D); its shape
    (2, 0) means none. For the records see
    :mod:`aniso.langevin._kernels.records`; for calls in slices
    :func:`aniso.langevin._kernels.linear.advance_cell`. Where a state is not finite, or Sigma is
    no covariance, `failure` takes the number of the path in the ensemble, `panel` the states, and
    the kernel returns. A scheme without a step here is refused with ValueError.
    """
    if steps.code not in (EULER, HEUN, MILSTEIN, SRA1):
        raise ValueError("the scheme has no step in this kernel")
    drift_parameters, amplitude_parameters = equation.drift_parameters, equation.observed_parameters
    noise_form, factor, rank = equation.form, equation.factor, equation.rank
    scheme, normals, substeps = steps.code, steps.normals, steps.substeps
    step_size, recorded = steps.size, steps.recorded
    seed, first_path, num_paths, start = paths.seed, paths.first, paths.count, paths.start
    position, panel, failure = progress.position, progress.panel, progress.failure
    dimension = len(start)
    root = np.sqrt(step_size)
    x = panel.copy()
    force, other_force = np.zeros((dimension, LANES)), np.zeros((dimension, LANES))
    predictor, zero = np.zeros((dimension, LANES)), np.zeros((dimension, LANES))
    rows = max(dimension, factor.shape[0])
    work, broken = np.zeros((dimension + 1, LANES)), np.zeros((1, LANES))[0]
    noise, other_noise = np.zeros((rows, LANES)), np.zeros((rows, LANES))
    scratch = np.zeros((rank * normals + 1, LANES))
    columns = max(rank + 1, factor.shape[1])
    wiener, area = np.zeros((columns, LANES)), np.zeros((columns, LANES))
    spread_rows = 2 * dimension if noise_form <= OWN_COMPONENT else factor.shape[0]
    spread = np.zeros((spread_rows, LANES))
    observed = np.zeros((1, LANES))[0]
    scales = factor[:, 0].copy()
    milstein = 1.0 if scheme == MILSTEIN else 0.0
    offset, step, record = position[0], position[1], position[2]
    while offset < num_paths:
        if step == 0 and record == 0:
            fill(start, x)
        active = min(LANES, num_paths - offset)
        block_path = first_path + np.uint64(offset)
        while record < len(recorded):
            last = min(recorded[record], step + num_steps)
            num_steps -= last - step
            while step < last:
                variates(seed, block_path, step, substeps, rank, normals, scratch, wiener, area)
                # noise of the step, and the drift where it begins
                drift(x, drift_parameters, force)
                if noise_form >= OWN_COMPONENT:
                    amplitude(x, amplitude_parameters, spread)
                if noise_form == DIAGONAL:
                    scale_rows(scales, root, wiener, noise[:dimension])
                elif noise_form == OWN_COMPONENT:
                    multiplicative_noise(spread, root, wiener, milstein, noise[:dimension])
                else:
                    bad = increments(
                        noise_form, factor, spread, rank, root, wiener, work, broken, noise
                    )
                    for lane in range(active if bad > 0 else 0):
                        if broken[lane] > 0.0:
                            failure[0] = NOT_SEMIDEFINITE
                            failure[1], failure[2] = np.int64(block_path) + lane, step
                            copy_panel(x, panel)
                            return
                # the step
                if scheme == HEUN:
                    if noise_form == OWN_COMPONENT:
                        subtract_ito_correction(spread, force)
                    combine(x, step_size, force, 0.0, zero, noise, predictor)
                    drift(predictor, drift_parameters, other_force)
                    if noise_form == OWN_COMPONENT:
                        amplitude(predictor, amplitude_parameters, spread)
                        subtract_ito_correction(spread, other_force)
                        multiplicative_noise(spread, root, wiener, 0.0, other_noise[:dimension])
                        add_halves(noise, other_noise, noise)
                    half = 0.5 * step_size
                    combine(x, half, force, half, other_force, noise, x)
                elif scheme == SRA1:
                    if noise_form == FULL:
                        increments(
                            noise_form,
                            factor,
                            spread,
                            rank,
                            root,
                            area,
                            work,
                            broken,
                            other_noise,
                        )
                        scale_panel(1.5, other_noise)
                    else:
                        scale_rows(scales, 1.5 * root, area, other_noise[:dimension])
                    combine(x, 0.75 * step_size, force, 0.0, zero, other_noise, predictor)
                    drift(predictor, drift_parameters, other_force)
                    third = step_size / 3.0
                    combine(x, third, force, 2.0 * third, other_force, noise, x)
                else:  # Euler-Maruyama, and Milstein, whose correction is in the noise
                    advance(x, step_size, force, noise)
                if walls.shape[1] > 0:
                    reflect(x, walls)
                step += 1
                if not accumulators.all_finite(x, dimension):
                    lane = accumulators.first_broken_lane(x, dimension, active)
                    if lane >= 0:
                        failure[0] = NOT_FINITE
                        failure[1] = np.int64(block_path) + lane
                        failure[2] = step
                        return
            if step < recorded[record]:
                position[0], position[1], position[2] = offset, step, record
                copy_panel(x, panel)
                return
            potential(x, drift_parameters, observed)
            accumulators.add_record(sums, record, x, dimension, active, offset, observed, predictor)
            record += 1
        offset, step, record = offset + LANES, 0, 0
    position[0], position[1], position[2] = offset, 0, 0
