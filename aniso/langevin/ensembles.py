"""Ensembles of Langevin paths: their statistics at chosen steps, or the paths themselves."""

from __future__ import annotations

import functools
import time
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from aniso import checks
from aniso.langevin import (
    drift_functions,
    functions,
    kernel_arguments,
    linear_schemes,
    problems,
    recording,
    schemes,
)
from aniso.langevin._kernels import accumulators, panels, records, stepping, streams
from aniso.langevin._kernels import linear as linear_kernel
from aniso.langevin.linear_chain import record_grid

if TYPE_CHECKING:
    from aniso.langevin.problems import LangevinProblem
    from aniso.langevin.recording import EnsembleStatistics
    from aniso.typing import Array, ArrayLike, PathLike


def simulate_ensemble(
    problem: LangevinProblem,
    scheme: str,
    step_size: float,
    record_steps: ArrayLike,
    num_paths: int,
    seed: int,
    *,
    num_threads: int | None = None,
    checkpoint: PathLike | None = None,
) -> EnsembleStatistics:
    """Simulate ``d theta = -grad L dt + Sigma^{1/2} dW``; return moments at chosen steps.

    Parameters
    ----------
    problem : LangevinProblem
        Drift, noise, start and reflecting walls.
    scheme : str
        A name in :data:`aniso.langevin.schemes.SCHEMES`.
    step_size : float
        h > 0.
    record_steps : array_like of int, shape (T,)
        Steps at which the moments are taken, increasing, from 0 on.
    num_paths : int
        At least 2.
    seed : int
        Key of the random streams.
    num_threads : int, optional
        Threads; all CPUs of this process if not given.
    checkpoint : path-like, optional
        File in which to save, and from which to resume. An interrupted ensemble continues from
        it, and gives the same bits as an uninterrupted one.

    Returns
    -------
    EnsembleStatistics

    Raises
    ------
    InputError
        If an argument breaks its rule, the scheme is not meant for the problem, or a function of
        the problem fails its trial (:mod:`aniso.langevin.function_trials`). If Sigma(theta) is not
        positive semi-definite at a theta that a path reaches. With `checkpoint` also
        if a function uses an object that can't be identified, or the file holds another experiment.
    NonFiniteState
        If the state of a path overflows or becomes NaN; the message names path and step.
    AllocationRefused
        If the moments would not fit into memory.

    Notes
    -----
    The result has the same bits on any number of threads and after any resumption. Memory does not
    grow with the number of steps or of paths. Quadratic losses with constant noise take one matrix
    product per step, with every scheme.

    Examples
    --------
    >>> from aniso.langevin import drifts, noises
    >>> problem = problems.LangevinProblem(
    ...     drifts.of_quadratic([[1.0]]), noises.diagonal([2.0]), [0.0]
    ... )
    >>> ensemble = simulate_ensemble(problem, "exact", 0.5, [20], 4000, seed=3)
    >>> bool(abs(ensemble.covariance - 1.0) < 5 * ensemble.covariance_error)
    True
    """
    run = _validated(problem, scheme, step_size, record_steps, seed)
    num_paths = checks.integer("num_paths", num_paths, low=2)
    return recording.simulate_moments(
        run, num_paths, num_threads=num_threads, checkpoint=checkpoint
    )


def simulate_paths(
    problem: LangevinProblem,
    scheme: str,
    step_size: float,
    record_steps: ArrayLike,
    num_paths: int,
    seed: int,
    *,
    num_threads: int | None = None,
    substeps: int = 1,
    checkpoint: Any = None,
) -> Array:
    """Simulate paths; return their states at chosen steps, shape (num_paths, T, D).

    Parameters
    ----------
    problem, scheme, step_size, record_steps, num_paths, seed, num_threads, checkpoint
        As in :func:`simulate_ensemble`; one path is enough.
    substeps : int
        Number of fine increments that make up the Wiener increment of a step: runs with
        (h, substeps) and (h / 2, substeps / 2) follow the same Wiener process. With scheme "exact"
        they have the same states.

    Returns
    -------
    numpy.ndarray, shape (num_paths, T, D)

    Raises
    ------
    InputError, NonFiniteState, AllocationRefused
        As :func:`simulate_ensemble`.

    Examples
    --------
    >>> from aniso.langevin import drifts, noises
    >>> problem = problems.LangevinProblem(
    ...     drifts.of_quadratic([[1.0]]), noises.diagonal([0.0]), [1.0]
    ... )
    >>> simulate_paths(problem, "euler_maruyama", 0.5, [0, 1, 2], 1, seed=3).ravel().tolist()
    [1.0, 0.5, 0.25]
    """
    substeps = checks.integer("substeps", substeps, low=1)
    run = _validated(problem, scheme, step_size, record_steps, seed, substeps)
    num_paths = checks.integer("num_paths", num_paths, low=1)
    return recording.simulate_states(run, num_paths, num_threads=num_threads, checkpoint=checkpoint)


def _validated(problem, scheme, step_size, record_steps, seed, substeps=1):
    if not isinstance(problem, problems.LangevinProblem):
        raise checks.InputError("problem is no LangevinProblem; expected LangevinProblem(...)")
    chosen = problems.require_scheme(schemes.scheme(scheme), problem)
    step_size = checks.number("step_size", step_size, low=0, strict=True)
    steps = record_grid("record_steps", record_steps)
    seed = streams.seed_word(seed)
    drift, noise = problem.drift, problem.noise
    coarse = 1
    if chosen.name == "exact":
        # fine steps of the solution end where one step ends
        coarse, substeps = substeps, 1
        step_size, steps = step_size / coarse, steps * coarse
    identity = (
        chosen.name,
        step_size,
        steps,
        int(seed),
        substeps,
        problem.start,
        drift.function,
        drift.parameters,
        drift.potential,
        drift.hessian,
        noise.factor,
        noise.amplitude,
        noise.parameters,
        noise.kind,
        noise.rank,
        None if problem.walls is None else problem.walls.ends,
    )
    if problem.is_linear and substeps == 1:
        cell = _linear_cell(problem, chosen, step_size, steps, seed, coarse)
    else:
        cell = _general_cell(problem, chosen, step_size, steps, seed, substeps)
    has_loss = drift.potential is not None
    return recording.Run(cell, problem.dimension, steps, step_size, has_loss, identity)


def _linear_cell(problem, scheme, step_size, steps, seed, coarse):
    """Return the cell of a linear problem; errors count steps of `coarse` times the step size."""
    hessian = problem.drift.hessian
    linear = linear_schemes.step(scheme.name, hessian, problem.noise.factor, step_size)
    matrix = panels.padded(np.hstack([linear.propagator, linear.factor]))
    padded_hessian = panels.padded(hessian)
    size, num_normals = linear.factor.shape

    def run(recorded, first_path, count, num_steps, position, panel, sums):
        failure = np.zeros(3, np.int64)
        with np.errstate(over="ignore", invalid="ignore"):
            linear_kernel.advance_cell(
                matrix,
                padded_hessian,
                size,
                num_normals,
                recorded,
                records.Paths(seed, np.uint64(first_path), count, problem.start),
                sums,
                records.Progress(position, panel, failure),
                num_steps,
            )
        return failure

    def cell(first_path, count, num_steps, arrays, sums):
        position, panel = arrays["position"], arrays["panel"]
        before = position.copy(), panel.copy()
        failure = run(steps, first_path, count, num_steps, position, panel, sums)
        if failure[0]:
            raise _first_break(run, size, before, failure, first_path, count, coarse)
        is_finished = position[0] >= count
        second = accumulators.unscaled(sums.second, sums.scale)
        if is_finished and not np.isfinite(second).all():
            # the squares of states are larger than the states
            broken = ~np.isfinite(second).all(axis=(1, 2))
            raise problems.NonFiniteState(first_path, int(steps[np.argmax(broken)]) // coarse)
        return is_finished

    return cell


def _first_break(run, size, before, failure, first_path, count, coarse):
    """Return the error that names step and path at which a linear chain first overflows.

    `before` is position and panel at the start of the slice that overflows. It begins in the block
    of the path that overflows, or in an earlier one.
    """
    _, path, high = failure.tolist()
    block = path - path % streams.LANES
    (offset, low, _), panel = before
    if offset != block:
        low = 0

    def fails(begin, panel, end, num_steps):
        # a record at `end`, which is not reached in fewer steps
        sums = records.zero_sums(np.zeros((1, size)))
        number = min(streams.LANES, count - block)
        position = np.array([0, begin, 0])
        return run(np.array([end]), first_path + block, number, num_steps, position, panel, sums)

    while high - low > 1:
        middle = (low + high) // 2
        reached = panel.copy()
        if fails(low, reached, high, middle - low)[0]:
            high = middle
        else:
            low, panel = middle, reached
    _, lane, step = fails(low, panel.copy(), high, high - low).tolist()
    return problems.NonFiniteState(first_path + block + lane, -(-step // coarse))


def _general_cell(problem, scheme, step_size, steps, seed, substeps):
    function, potential, is_compiled = problems.compiled_or_plain(problem)
    drift, noise = problem.drift, problem.noise
    form, factor, rank, amplitude, parameters, increments = kernel_arguments.of_noise(
        noise, np.sqrt(step_size)
    )
    equation = records.Equation(drift.parameters, parameters, form, factor, rank)
    walls = kernel_arguments.of_walls(problem.walls)
    scheme_steps = records.Steps(scheme.code, scheme.normals, substeps, step_size, steps)
    kernel = stepping.advance_cell
    if not is_compiled:
        kernel = getattr(kernel, "py_func", kernel)

    def run(kernel, function, potential, steps, first_path, count, num_steps, arrays, sums):
        failure = np.zeros(3, np.int64)
        with np.errstate(all="ignore"):
            kernel(
                function,
                potential,
                amplitude,
                increments,
                equation,
                walls,
                steps,
                records.Paths(seed, np.uint64(first_path), count, problem.start),
                sums,
                records.Progress(arrays["position"], arrays["panel"], failure),
                num_steps,
            )
        if failure[0]:
            lane = (int(failure[1]) - first_path) % streams.LANES
            raise problems.broken_path(problem, failure, arrays["panel"][:, lane])
        return arrays["position"][0] >= count

    if not is_compiled:
        _warn_of_slow_path(run, kernel, function, potential, scheme_steps, problem.dimension)
    return functools.partial(run, kernel, function, potential, scheme_steps)


def _warn_of_slow_path(run, kernel, function, potential, steps, size):
    """Time a few steps of the plain drift and of a compiled one, and warn of the factor."""
    steps = steps._replace(recorded=np.array([8]))
    none = functions.pointer(drift_functions.no_drift, functions.PANEL_FUNCTION)
    no_potential = functions.pointer(drift_functions.no_potential, functions.ROW_FUNCTION)
    compiled = stepping.advance_cell
    seconds = []
    # the first of the compiled runs loads the kernel
    for arguments in (
        (compiled, none, no_potential),
        (compiled, none, no_potential),
        (kernel, function, potential),
    ):
        arrays = {"position": np.zeros(3, np.int64), "panel": np.zeros((size, streams.LANES))}
        sums = records.zero_sums(np.zeros((1, size)))
        begin = time.perf_counter()
        run(*arguments, steps, 0, streams.LANES, 8, arrays, sums)
        seconds.append(time.perf_counter() - begin)
    warnings.warn(
        f"the drift is not compiled: steps take about {seconds[2] / seconds[1]:.0f} times as "
        "long as with a compiled drift; decorate it with numba.njit",
        stacklevel=5,
    )
