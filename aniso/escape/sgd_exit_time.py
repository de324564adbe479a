"""Mean exit time of mini-batch SGD from a region, by simulation of the chain itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aniso.escape import censoring
from aniso.langevin import simulate_sgd_exits

if TYPE_CHECKING:
    from aniso.escape.censoring import MeanExitTime
    from aniso.langevin.example_sets import Examples
    from aniso.langevin.regions import Region
    from aniso.typing import ArrayLike


def simulate_sgd_mean_exit_time(
    examples: Examples,
    region: Region,
    learning_rate: float,
    batch_size: int,
    sampling: str,
    start: ArrayLike,
    horizon: float,
    num_paths: int,
    seed: int,
    *,
    momentum: float = 0.0,
    confidence: float = 0.95,
    num_threads: int | None = None,
    checkpoint: Any = None,
) -> MeanExitTime:
    """Simulate the mean exit time of SGD on examples, with true mini-batches, from a region.

    Parameters
    ----------
    examples, region, learning_rate, batch_size, sampling, start, horizon, num_paths, seed
        As in :func:`aniso.langevin.simulate_sgd_exits`.
    momentum, num_threads, checkpoint
        As in :func:`aniso.langevin.simulate_sgd_exits`.
    confidence : float
        Level of the interval.

    Returns
    -------
    MeanExitTime
        In units of time, steps times the learning rate.

    Raises
    ------
    InputError, NonFiniteState, AllocationRefused
        As :func:`aniso.langevin.simulate_sgd_exits`.

    Notes
    -----
    The error is that of sampling alone: the chain has no error of discretisation. It differs from
    the equation by its steps and by the law of its batches, see docs/how-to/chain-or-sde.md.

    Examples
    --------
    Gradients +1 and -1 make a simple random walk. It leaves (-3, 3) after 9 steps on average.

    >>> import numba
    >>> from aniso.langevin import example_sets, regions
    >>> @numba.njit
    ... def signs(theta, index, parameters, out):
    ...     for lane in range(theta.shape[1]):
    ...         out[0, lane] = 2 * index[lane] - 1
    >>> found = simulate_sgd_mean_exit_time(
    ...     example_sets.custom(signs, 2, 1), regions.interval(-3, 3),
    ...     0.5, 1, "with_replacement", [0.0], 500.0, 4000, seed=1,
    ... )
    >>> found.num_censored, bool(abs(found.mean.z_score(18.0)) < 5)  # steps of half the size
    (0, True)
    """
    exits = simulate_sgd_exits(
        examples,
        region,
        learning_rate,
        batch_size,
        sampling,
        start,
        horizon,
        num_paths,
        seed,
        momentum=momentum,
        num_threads=num_threads,
        checkpoint=checkpoint,
    )
    return censoring.estimate_mean_exit_time(
        exits.times,
        exits.exited,
        exits.horizon,
        confidence=confidence,
        step_size=exits.step_size,
    )
