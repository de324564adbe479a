"""First exits of mini-batch SGD from a region, chain by chain, with and without momentum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from aniso import checks, memory
from aniso.langevin import (
    cells,
    checkpoints,
    example_motion,
    noises,
    problems,
    region_margins,
    regions,
)
from aniso.langevin._kernels import example_first_passage, streams
from aniso.langevin._kernels.records import Paths
from aniso.langevin.first_passage import ExitTimes
from aniso.threads import thread_count

if TYPE_CHECKING:
    from aniso.langevin.example_sets import Examples
    from aniso.langevin.regions import Region
    from aniso.typing import ArrayLike


_RESUMABLE_CELL = 4096
_MOST_STEPS = 2**40


def simulate_sgd_exits(
    examples: Examples,
    region: Region,
    learning_rate: float,
    batch_size: int,
    sampling: Literal["with_replacement", "without_replacement", "epochs"],
    start: ArrayLike,
    horizon: float,
    num_paths: int,
    seed: int,
    *,
    momentum: float = 0.0,
    num_threads: int | None = None,
    checkpoint: Any = None,
) -> ExitTimes:
    """Simulate first exits of SGD on examples, ``m <- beta m + g_B``, ``theta <- theta - eta m``.

    A chain leaves with its first iterate that is not inside the region.

    Parameters
    ----------
    examples : aniso.langevin.example_sets.Examples
        The examples and the gradients of their losses.
    region : aniso.langevin.regions.Region
        Region that the chains leave; the start lies inside.
    learning_rate : float
        eta > 0.
    batch_size : int
        1 <= batch_size <= N.
    sampling : {"with_replacement", "without_replacement", "epochs"}
        See :data:`aniso.langevin.example_motion.SAMPLINGS`; "epochs" needs N to be a multiple of
        the batch size.
    start : array_like, shape (D,)
        theta of every chain at step 0, where m is 0.
    horizon : float
        Time at which a chain that is still inside is censored, in units of steps times eta. It is
        rounded up to whole steps.
    num_paths, seed, num_threads, checkpoint
        As in :func:`aniso.langevin.simulate_exits`.
    momentum : float
        beta, ``0 <= beta < 1``.

    Returns
    -------
    ExitTimes
        `times` are steps times eta, whatever the momentum. The method is "grid", which for a chain
        is exact. `points` are the first states outside.

    Raises
    ------
    InputError
        If an argument breaks its rule, a function fails its trial, or the start lies outside the
        region. With `checkpoint` also if the file holds another experiment.
    NonFiniteState
        If a chain leaves the finite numbers.
    AllocationRefused
        If the exits would not fit into memory.

    Notes
    -----
    The exits have a sampling error only: no step is too large, because the chain has no states
    between its iterates. Chain p takes the batches that chain p of
    :func:`aniso.langevin.example_chains.simulate_sgd` takes.

    Examples
    --------
    Gradients +1 and -1 make a simple random walk. It leaves (-3, 3) after 9 steps on average.

    >>> import numba
    >>> from aniso.langevin import example_sets
    >>> @numba.njit
    ... def signs(theta, index, parameters, out):
    ...     for lane in range(theta.shape[1]):
    ...         out[0, lane] = 2 * index[lane] - 1
    >>> exits = simulate_sgd_exits(
    ...     example_sets.custom(signs, 2, 1), regions.interval(-3, 3),
    ...     1.0, 1, "with_replacement", [0.0], 1000.0, 4000, seed=1,
    ... )
    >>> bool(abs(exits.times.mean() - 9) < 5 * exits.times.std() / 4000**0.5)
    True
    """
    motion = example_motion.validated(
        examples, learning_rate, batch_size, sampling, start, momentum
    )
    max_steps = _whole_steps(horizon, motion.learning_rate)
    num_paths = checks.integer("num_paths", num_paths, low=1)
    key = streams.seed_word(seed)
    threads = thread_count(num_threads)
    _require_start_inside(region, motion)
    dimension = examples.dimension
    memory.require(
        8 * num_paths * (dimension + 2),
        f"exits of {num_paths} chains",
        "simulate fewer chains at a time",
    )
    margin, region_parameters = region_margins.margin_function(region)

    def begin(first_path, count):  # noqa: ARG001
        lanes = streams.LANES
        return {
            "steps": np.zeros(count, np.int64),
            "points": np.zeros((count, dimension)),
            "position": np.zeros(2, np.int64),
            "index": np.full(lanes, -1),
            "path": np.zeros(lanes, np.uint64),
            "step": np.zeros(lanes, np.int64),
            "panel": np.zeros((dimension, lanes)),
            "velocity": np.zeros((dimension, lanes)),
            **motion.scratch(num_orders=lanes),
        }

    def advance(first_path, count, arrays, num_steps):
        failure = np.zeros(3, np.int64)
        lanes = ("position", "index", "path", "step", "panel", "velocity")
        with np.errstate(all="ignore"):
            example_first_passage.exit_chains(
                motion.gradient,
                margin,
                examples.parameters,
                region_parameters,
                motion.batches(arrays),
                motion.learning_rate,
                motion.momentum,
                max_steps,
                Paths(key, np.uint64(first_path), count, motion.start),
                example_first_passage.ChainExits(arrays["steps"], arrays["points"]),
                example_first_passage.ChainLanes(*(arrays[name] for name in lanes)),
                failure,
                num_steps,
            )
        if failure[0]:
            raise problems.NonFiniteState(int(failure[1]), int(failure[2]))
        begun, live = arrays["position"]
        return begun == count and live == 0

    state = {"steps": np.zeros(num_paths, np.int64), "points": np.zeros((num_paths, dimension))}

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
            "exits of sgd",
            num_paths,
            *motion.identity,
            region.function,
            region_parameters,
            max_steps,
            int(key),
        ),
        cell_size=-(-num_paths // threads) if checkpoint is None else _RESUMABLE_CELL,
    )
    exited = state["steps"] > 0
    steps = np.where(exited, state["steps"], max_steps)
    step_size = motion.learning_rate
    return ExitTimes(
        steps * step_size,
        exited,
        state["points"],
        max_steps * step_size,
        step_size,
        "grid",
        int(steps.sum()),
    )


def _whole_steps(horizon, learning_rate):
    horizon = checks.number("horizon", horizon)
    if not learning_rate <= horizon <= _MOST_STEPS * learning_rate:
        raise checks.InputError(
            f"horizon={horizon!r}, learning_rate={learning_rate!r}; expected learning_rate <= "
            "horizon, and at most 2^40 steps: the horizon is a time, steps times learning_rate"
        )
    return int(np.ceil(horizon / learning_rate - 1e-9))


def _require_start_inside(region, motion):
    start, dimension = motion.start, motion.examples.dimension
    if not isinstance(region, regions.Region) or region.dimension != dimension:
        raise checks.InputError(
            f"region is {region!r}; expected one of aniso.langevin.regions in {dimension} "
            "dimensions"
        )
    still = noises.diagonal(np.zeros(dimension))  # a chain has no noise between its iterates
    regions.require_sound(region, start, still, bridged=False)
    inside, _ = regions.margin(region, start, np.zeros((dimension, dimension)))
    if not inside > 0:
        raise checks.InputError(
            f"start={start.tolist()} has margin {inside:.6g}; expected a start inside the region, "
            "with a margin above 0"
        )
