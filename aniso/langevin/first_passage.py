"""First exits from a region, path by path: times, points, and which paths are censored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from aniso import checks, estimates, memory
from aniso.langevin import (
    cells,
    checkpoints,
    functions,
    kernel_arguments,
    problems,
    regions,
    state_noises,
)
from aniso.langevin._kernels import first_passage, records, streams
from aniso.threads import thread_count

if TYPE_CHECKING:
    from aniso.langevin.problems import LangevinProblem
    from aniso.langevin.regions import Region


METHODS = {
    "grid": first_passage.GRID,
    "bridge": first_passage.BRIDGE,
    "shift": first_passage.SHIFT,
}
"""Methods of detecting an exit.

grid
    At the end of a step only. For a discrete chain this *is* its exit; for a stochastic
    differential equation it is late by O(sqrt h).
bridge
    Between two points inside, the boundary has been crossed with the probability of a Brownian
    bridge; error O(h) at a smooth boundary.
shift
    At the end of a step, with the boundary moved inwards by 0.5826 standard deviations of a step
    (Broadie, Glasserman and Kou 1997; Gobet and Menozzi 2010); error o(sqrt h).
"""

_RESUMABLE_CELL = 4096


@dataclass(frozen=True)
class ExitTimes:
    """First exits of an ensemble.

    Attributes
    ----------
    times : numpy.ndarray, shape (num_paths,)
        Time of the exit; the horizon where a path is censored.
    exited : numpy.ndarray of bool, shape (num_paths,)
        False where a path was still inside at the horizon: its exit time is not known.
    points : numpy.ndarray, shape (num_paths, D)
        Point of the exit on the boundary, to first order in the step. With method "grid" it is the
        first state outside. For a censored path it is the last state.
    horizon : float
        Time at which the simulation stopped.
    step_size : float
        Time h of a step.
    method : str
        A name in :data:`METHODS`.
    num_steps : int
        Steps taken by all paths together.
    """

    times: np.ndarray
    exited: np.ndarray
    points: np.ndarray
    horizon: float
    step_size: float
    method: str
    num_steps: int

    def __repr__(self):
        num_paths, num_exits = len(self.times), int(self.exited.sum())
        lines = [
            f"ExitTimes: {num_exits} of {num_paths} paths left, "
            f"{num_paths - num_exits} censored at {self.horizon:g}",
            f"  method {self.method!r}, step size {self.step_size:g}, "
            f"{self.num_steps} steps in all",
            f"  times {self.times.shape}, exited {self.exited.shape}, points {self.points.shape}",
        ]
        if num_exits == num_paths:
            lines.append(f"  mean time {estimates.Estimate.from_samples(self.times)}")
        return "\n".join(lines)


def simulate_exits(
    problem: LangevinProblem,
    region: Region,
    step_size: float,
    horizon: float,
    num_paths: int,
    seed: int,
    *,
    method: Literal["bridge", "grid", "shift"] = "bridge",
    substeps: int = 1,
    num_threads: int | None = None,
    checkpoint: Any = None,
) -> ExitTimes:
    """Simulate first exits of ``d theta = -grad L dt + Sigma^{1/2} dW`` by Euler-Maruyama.

    Parameters
    ----------
    problem : LangevinProblem
        Its start lies inside the region.
    region : Region
        From :mod:`aniso.langevin.regions`.
    step_size : float
        h > 0.
    horizon : float
        Time at which a path that is still inside is censored, rounded up to an even number of
        steps.
    num_paths, seed, num_threads, checkpoint
        As in :func:`aniso.langevin.simulate_ensemble`; one path is enough.
    method : {"bridge", "grid", "shift"}
        Method of detecting an exit, see :data:`METHODS`.
    substeps : int
        Number of fine increments that make up the Wiener increment of a step: runs with
        (h, substeps) and (h / 2, substeps / 2) follow the same Wiener process.

    Returns
    -------
    ExitTimes

    Raises
    ------
    InputError
        If an argument breaks its rule, or the drift is not compiled. If the start lies outside the
        region, or with "shift" outside the region with its boundary moved inwards. If Sigma(theta)
        is not positive semi-definite at a theta that a path reaches. With "bridge" and "shift" also
        if the region's variance is not that of the noise across its boundary.
    NonFiniteState
        If a path leaves the finite numbers.

    Notes
    -----
    Noise that depends on theta is constant during a step (Ito), so the bridge takes the variance of
    the margin where the step begins. The regions of :mod:`aniso.langevin.regions` know one
    covariance: there "bridge" and "shift" need noise that is constant across the boundary, for
    instance ``n^T Sigma n`` for a half-space with normal n. A region of your own may give the
    variance as a function of theta. Elsewhere method "grid" is left, late by O(sqrt h).
    :func:`aniso.escape.simulate_mean_exit_time` tells that error.

    Each path has its own random stream, so the result does not depend on threads or lanes. A step
    of a path takes about 3 ns in one dimension. Source: formulas of the Brownian bridge as in
    Gobet, "Weak approximation of killed diffusion using Euler schemes" (2000).

    Examples
    --------
    Brownian motion leaves (-1, 1) after a mean time of exactly 1.

    >>> from aniso.langevin import drifts, noises, regions
    >>> brownian = problems.LangevinProblem(
    ...     drifts.of_quadratic([[0.0]]), noises.diagonal([1.0]), [0.0]
    ... )
    >>> exits = simulate_exits(brownian, regions.interval(-1.0, 1.0), 0.04, 50.0, 4000, seed=2)
    >>> bool(abs(exits.times.mean() - 1.0) < 0.08), bool(exits.exited.all())
    (True, True)
    """
    if not isinstance(problem, problems.LangevinProblem):
        raise checks.InputError("problem is no LangevinProblem; expected LangevinProblem(...)")
    if not isinstance(region, regions.Region) or region.dimension != problem.dimension:
        raise checks.InputError(
            f"region is {region!r}; expected one of aniso.langevin.regions in "
            f"{problem.dimension} dimensions"
        )
    step_size = checks.number("step_size", step_size)
    horizon = checks.number("horizon", horizon)
    if step_size <= 0 or horizon < step_size:
        raise checks.InputError(
            f"step_size={step_size!r}, horizon={horizon!r}; expected 0 < step_size <= horizon"
        )
    num_paths = checks.integer("num_paths", num_paths, low=1)
    substeps = checks.integer("substeps", substeps, low=1)
    code = METHODS[checks.one_of("method", method, list(METHODS))]
    key = streams.seed_word(seed)
    threads = thread_count(num_threads)
    if not functions.is_compiled(problem.drift.function):
        raise checks.InputError(
            "the drift is a plain Python function; exit times need one compiled with numba.njit"
        )
    drift, _, _ = problems.compiled_or_plain(problem)
    noise = problem.noise
    if noise.kind in state_noises.FORMS:
        state_noises.require_sound(noise, problem.start)
    elif noise.factor is None:
        problems.require_own_component(noise, problem.start, derivative=False)
    covariance = state_noises.covariance_at(noise, problem.start)
    regions.require_sound(region, problem.start, noise, bridged=method != "grid")
    inside, variance = regions.margin(region, problem.start, covariance)
    if not inside > 0:
        raise checks.InputError(
            f"start={problem.start.tolist()} has margin {inside:.6g}; expected a start inside the "
            "region, with a margin above 0"
        )
    shift = first_passage.BOUNDARY_SHIFT * np.sqrt(variance * step_size)
    if method == "shift" and not inside > shift:
        raise checks.InputError(
            f"start={problem.start.tolist()} has margin {inside:.6g}, within the shift {shift:.6g} "
            f"of the boundary at step_size={step_size!r}; expected a smaller step, or "
            "method='bridge'"
        )
    memory.require(
        8 * num_paths * (problem.dimension + 3),
        f"exits of {num_paths} paths",
        "simulate fewer paths at a time",
    )
    max_steps = 2 * int(np.ceil(horizon / step_size / 2 - 1e-9))
    form, factor, rank, amplitude, noise_parameters, increments = kernel_arguments.of_noise(noise)
    region_function = functions.pointer(region.function, functions.PANEL_FUNCTION)
    equation = records.Equation(
        problem.drift.parameters, region.parameters_for(covariance), form, factor, rank
    )
    walls = kernel_arguments.of_walls(problem.walls)

    def begin(first_path, count):  # noqa: ARG001
        lanes = streams.LANES
        return {
            "steps": np.zeros(count, np.int64),
            "fractions": np.zeros(count),
            "points": np.zeros((count, problem.dimension)),
            "position": np.zeros(2, np.int64),
            "index": np.zeros(lanes, np.int64),
            "path": np.zeros(lanes, np.uint64),
            "round_number": np.zeros(lanes, np.uint64),
            "panel": np.zeros((problem.dimension, lanes)),
            "margin": np.zeros((2, lanes)),
        }

    def advance(first_path, count, arrays, num_rounds):
        steps, fractions, points, *lanes = arrays.values()
        failure = np.zeros(3, np.int64)
        with np.errstate(all="ignore"):
            first_passage.exit_paths(
                drift,
                region_function,
                amplitude,
                noise_parameters,
                increments,
                equation,
                walls,
                step_size,
                code,
                max_steps,
                substeps,
                records.Paths(key, np.uint64(first_path), count, problem.start),
                records.Exits(steps, fractions, points),
                records.Lanes(*lanes),
                failure,
                num_rounds,
            )
        if failure[0]:
            lane = int(np.argmax((arrays["path"] == failure[1]) & (arrays["index"] >= 0)))
            raise problems.broken_path(problem, failure, arrays["panel"][:, lane])
        broken = ~np.isfinite(points).all(axis=1)
        if broken.any():
            # an infinite state lies outside of most regions, but hasn't left through the boundary
            path = int(np.argmax(broken))
            raise problems.NonFiniteState(first_path + path, int(steps[path] or max_steps))
        return arrays["position"][1] == 0

    state = {
        "steps": np.zeros(num_paths, np.int64),
        "fractions": np.zeros(num_paths),
        "points": np.zeros((num_paths, problem.dimension)),
    }

    def add(state, first_path, arrays):
        for name, array in state.items():
            array[first_path : first_path + len(arrays[name])] = arrays[name]

    checkpoints.fold(
        cells.Work(begin, advance),
        add,
        state,
        num_paths,
        num_threads=threads,
        checkpoint=checkpoint,
        experiment=(
            "exits",
            num_paths,
            problem.drift.function,
            region.function,
            noise.amplitude,
            noise_parameters,
            problem.start,
            *equation,
            walls,
            step_size,
            code,
            max_steps,
            substeps,
            int(key),
        ),
        cell_size=-(-num_paths // threads) if checkpoint is None else _RESUMABLE_CELL,
    )
    exited = state["steps"] > 0
    # a chain leaves at the end of a step; a solution somewhere within it
    passed = 1.0 if method == "grid" else state["fractions"]
    times = np.where(exited, (state["steps"] - 1 + passed) * step_size, max_steps * step_size)
    return ExitTimes(
        times,
        exited,
        state["points"],
        max_steps * step_size,
        step_size,
        method,
        int(np.where(exited, state["steps"], max_steps).sum()),
    )
