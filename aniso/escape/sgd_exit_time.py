"""Mean exit time of mini-batch SGD from a region, by simulation of the chain itself."""

from aniso.escape import censoring
from aniso.langevin import simulate_sgd_exits


def simulate_sgd_mean_exit_time(
    examples,
    region,
    learning_rate,
    batch_size,
    sampling,
    start,
    horizon,
    num_paths,
    seed,
    *,
    momentum=0.0,
    confidence=0.95,
    num_threads=None,
    checkpoint=None,
):
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
