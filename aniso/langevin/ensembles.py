"""Ensembles of Langevin paths: their statistics at chosen steps, or the paths themselves."""

import time
import warnings
from dataclasses import dataclass

import numpy as np

from aniso import checks, memory
from aniso.langevin import (
    accumulators,
    cells,
    checkpoints,
    drift_functions,
    functions,
    linear_kernel,
    linear_schemes,
    noises,
    panels,
    problems,
    schemes,
    stepping_kernel,
    streams,
)
from aniso.langevin.linear_chain import mean_estimate, record_grid


@dataclass(frozen=True)
class EnsembleStatistics:
    """Moments of an ensemble at the recorded steps, each with its standard error.

    Attributes
    ----------
    steps : numpy.ndarray, shape (T,)
        Recorded steps.
    times : numpy.ndarray, shape (T,)
        Steps times the step size.
    mean, mean_error : numpy.ndarray, shape (T, D)
        Mean of theta over the paths.
    covariance, covariance_error : numpy.ndarray, shape (T, D, D)
        Covariance of theta over the paths.
    loss : tuple of estimates.Estimate, length T, or None
        Mean of the drift's potential; None where it has none.
    num_paths : int
    """

    steps: np.ndarray
    times: np.ndarray
    mean: np.ndarray
    mean_error: np.ndarray
    covariance: np.ndarray
    covariance_error: np.ndarray
    loss: tuple | None
    num_paths: int


def simulate_ensemble(
    problem,
    scheme,
    step_size,
    record_steps,
    num_paths,
    seed,
    *,
    num_threads=None,
    checkpoint=None,
):
    """Moments of ``d theta = -grad L dt + Sigma^{1/2} dW`` at chosen steps, paths not stored.

    Parameters
    ----------
    problem : LangevinProblem
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
        File from which to resume and in which to save: an ensemble that was killed goes on from
        there, with the bits of one that was not.

    Returns
    -------
    EnsembleStatistics

    Raises
    ------
    InputError
        If an argument breaks its rule or the scheme is not meant for the problem.
    NonFiniteState
        If a path leaves the finite numbers; path and step are named.
    AllocationRefused
        If the moments would not fit into memory.

    Notes
    -----
    The same bits on any number of threads and after any resumption. Memory does not grow with the
    number of steps or of paths. Quadratic losses with constant noise take one matrix product per
    step, whatever the scheme.

    Examples
    --------
    >>> from aniso.langevin import drifts, noises
    >>> problem = problems.LangevinProblem(
    ...     drifts.quadratic([[1.0]]), noises.diagonal([2.0]), [0.0]
    ... )
    >>> ensemble = simulate_ensemble(problem, "exact", 0.5, [20], 4000, seed=3)
    >>> bool(abs(ensemble.covariance - 1.0) < 5 * ensemble.covariance_error)
    True
    """
    run = _validated(problem, scheme, step_size, record_steps, seed)
    num_paths = checks.integer("num_paths", num_paths, low=2)
    times, size = len(run.steps), problem.dimension
    memory.require(
        8 * times * size**2 * 12,
        f"the moments of {times} steps in {size} dimensions",
        "record fewer steps",
    )
    no_snapshots = np.zeros((0, times, size))

    def moments(first_path, count, centre):
        partial = {
            "first": np.zeros((times, size)),
            "second": np.zeros((times, size, size)),
            "fourth": np.zeros((times, size, size)),
            "values": np.zeros((times, 2)),
        }
        run.cell(first_path, count, centre, *partial.values(), no_snapshots)
        return partial

    # moments are taken about the mean of a pilot, so that nothing cancels
    pilot = min(num_paths, cells.CELL)
    centre = moments(0, pilot, np.zeros((times, size)))["first"] / pilot
    state = {name: np.zeros_like(array) for name, array in moments(0, 1, centre).items()}

    def add(state, first_path, partial):  # noqa: ARG001
        for name, array in partial.items():
            state[name] += array

    checkpoints.fold(
        lambda first_path, count: moments(first_path, count, centre),
        add,
        state,
        num_paths,
        num_threads=num_threads,
        checkpoint=checkpoint,
        fingerprint=checkpoints.fingerprint("ensemble", num_paths, *run.identity),
    )
    return _statistics(run, state, centre, num_paths)


def simulate_paths(
    problem,
    scheme,
    step_size,
    record_steps,
    num_paths,
    seed,
    *,
    num_threads=None,
    substeps=1,
    checkpoint=None,
):
    """States of every path at chosen steps, shape (num_paths, T, D).

    Parameters
    ----------
    problem, scheme, step_size, record_steps, num_paths, seed, num_threads, checkpoint
        As in :func:`simulate_ensemble`; one path is enough.
    substeps : int
        Number of fine increments that make up the Wiener increment of a step: runs with
        (h, substeps) and (h / 2, substeps / 2) follow the same Wiener process.

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
    ...     drifts.quadratic([[1.0]]), noises.diagonal([0.0]), [1.0]
    ... )
    >>> simulate_paths(problem, "euler_maruyama", 0.5, [0, 1, 2], 1, seed=3).ravel().tolist()
    [1.0, 0.5, 0.25]
    """
    substeps = checks.integer("substeps", substeps, low=1)
    run = _validated(problem, scheme, step_size, record_steps, seed, substeps)
    num_paths = checks.integer("num_paths", num_paths, low=1)
    times, size = len(run.steps), problem.dimension
    memory.require(
        8 * num_paths * times * size,
        f"{num_paths} paths at {times} steps in {size} dimensions",
        "record fewer steps, or use simulate_ensemble, which stores no paths",
    )
    state = {"paths": np.zeros((num_paths, times, size))}
    centre = np.zeros((times, size))

    def states(first_path, count):
        snapshots = np.zeros((count, times, size))
        unused = (np.zeros((times, size)), np.zeros((times, size, size)))
        run.cell(
            first_path,
            count,
            centre,
            *unused,
            np.zeros((times, 0, 0)),
            np.zeros((times, 2)),
            snapshots,
        )
        return snapshots

    def add(state, first_path, partial):
        state["paths"][first_path : first_path + len(partial)] = partial

    checkpoints.fold(
        states,
        add,
        state,
        num_paths,
        num_threads=num_threads,
        checkpoint=checkpoint,
        fingerprint=checkpoints.fingerprint("paths", num_paths, *run.identity),
    )
    return state["paths"]


@dataclass(frozen=True)
class _Run:
    """A validated experiment: its recorded steps, its identity and the kernel of a cell."""

    problem: problems.LangevinProblem
    step_size: float
    steps: np.ndarray
    identity: tuple
    cell: object


def _validated(problem, scheme, step_size, record_steps, seed, substeps=1):
    if not isinstance(problem, problems.LangevinProblem):
        raise checks.InputError("problem is no LangevinProblem; expected LangevinProblem(...)")
    chosen = problems.require_scheme(schemes.scheme(scheme), problem)
    step_size = checks.number("step_size", step_size)
    if step_size <= 0:
        raise checks.InputError(f"step_size={step_size!r}; expected a number above 0")
    steps = record_grid("record_steps", record_steps)
    seed = streams.seed_word(seed)
    drift, noise = problem.drift, problem.noise
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
        noise.factor,
        noise.amplitude,
        noise.parameters,
    )
    if problem.is_linear and substeps == 1:
        cell = _linear_cell(problem, chosen, step_size, steps, seed)
    else:
        cell = _general_cell(problem, chosen, step_size, steps, seed, substeps)
    return _Run(problem, step_size, steps, identity, cell)


def _linear_cell(problem, scheme, step_size, steps, seed):
    hessian = problem.drift.hessian
    linear = linear_schemes.step(scheme.name, hessian, problem.noise.factor, step_size)
    matrix = panels.padded(np.hstack([linear.propagator, linear.factor]))
    padded_hessian = panels.padded(hessian)
    size, num_normals = linear.factor.shape

    def cell(first_path, count, *arrays):
        with np.errstate(over="ignore", invalid="ignore"):
            linear_kernel.advance_cell(
                matrix,
                padded_hessian,
                size,
                num_normals,
                steps,
                seed,
                np.uint64(first_path),
                count,
                problem.start,
                *arrays,
            )
        if not np.isfinite(arrays[1]).all():
            step = steps[np.argmin(np.isfinite(arrays[1]).all(axis=1))]
            raise problems.NonFiniteState(f"{first_path} or one of the next {count - 1}", int(step))

    return cell


def _general_cell(problem, scheme, step_size, steps, seed, substeps):
    drift, potential, compiled = problems.compiled_or_plain(problem.drift)
    noise = problem.noise
    amplitude = noise.amplitude or noises.no_amplitude
    if noise.factor is None:
        form, factor = stepping_kernel.STATE_DEPENDENT, np.zeros((problem.dimension, 1))
    elif noise.is_diagonal:
        form, factor = stepping_kernel.DIAGONAL, np.diag(noise.factor)[:, None].copy()
    else:
        form, factor = stepping_kernel.FULL, panels.padded(noise.factor)
    if compiled:
        kernel = stepping_kernel.advance_cell
    else:
        kernel = getattr(stepping_kernel.advance_cell, "py_func", stepping_kernel.advance_cell)
    amplitude = functions.pointer(amplitude, functions.PANEL_FUNCTION)
    rank = problem.dimension if noise.is_diagonal else noise.factor.shape[1]
    amplitude_parameters = np.zeros(0) if noise.parameters is None else noise.parameters

    def run(kernel, drift, potential, steps, first_path, count, *arrays):
        failure = np.zeros(3, np.int64)
        with np.errstate(all="ignore"):
            kernel(
                drift,
                potential,
                problem.drift.parameters,
                amplitude,
                amplitude_parameters,
                form,
                factor,
                rank,
                scheme.code,
                scheme.normals,
                step_size,
                substeps,
                steps,
                seed,
                np.uint64(first_path),
                count,
                problem.start,
                *arrays,
                failure,
            )
        if failure[0]:
            raise problems.NonFiniteState(int(failure[1]), int(failure[2]))

    def cell(first_path, count, *arrays):
        run(kernel, drift, potential, steps, first_path, count, *arrays)

    if not compiled:
        _warn_of_slow_path(problem, run, kernel, drift, potential)
    return cell


def _warn_of_slow_path(problem, run, kernel, drift, potential):
    """Times a few steps of the plain drift and of a compiled one, and warns of the factor."""
    size, steps = problem.dimension, np.array([8])
    none = functions.pointer(drift_functions.no_drift, functions.PANEL_FUNCTION)
    no_potential = functions.pointer(drift_functions.no_potential, functions.ROW_FUNCTION)
    compiled = stepping_kernel.advance_cell
    seconds = []
    # the first of the compiled runs loads the kernel
    for arguments in (
        (compiled, none, no_potential),
        (compiled, none, no_potential),
        (kernel, drift, potential),
    ):
        arrays = (
            np.zeros((1, size)),
            np.zeros((1, size)),
            np.zeros((1, size, size)),
            np.zeros((1, 0, 0)),
            np.zeros((1, 2)),
            np.zeros((0, 1, size)),
        )
        begin = time.perf_counter()
        run(*arguments, steps, 0, streams.LANES, *arrays)
        seconds.append(time.perf_counter() - begin)
    warnings.warn(
        f"the drift is not compiled: steps take about {seconds[2] / seconds[1]:.0f} times as "
        "long as with a compiled drift; decorate it with numba.njit",
        stacklevel=5,
    )


def _statistics(run, state, centre, num_paths):
    mean_offset = state["first"] / num_paths
    second = accumulators.mirrored(state["second"]) / num_paths
    fourth = accumulators.mirrored(state["fourth"]) / num_paths
    covariance = (second - mean_offset[:, :, None] * mean_offset[:, None, :]) * (
        num_paths / (num_paths - 1)
    )
    variances = np.maximum(np.diagonal(covariance, axis1=1, axis2=2), 0.0)
    spread = np.maximum(fourth - second**2, 0.0)
    loss = None
    if run.problem.drift.potential is not None:
        loss = tuple(mean_estimate(sums, num_paths) for sums in state["values"])
    return EnsembleStatistics(
        run.steps,
        run.steps * run.step_size,
        centre + mean_offset,
        np.sqrt(variances / num_paths),
        covariance,
        np.sqrt(spread / num_paths),
        loss,
        num_paths,
    )
