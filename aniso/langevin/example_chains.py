"""Simulation of SGD and SVAG: discrete chains that draw examples, not Gaussian noise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from aniso import checks
from aniso.langevin import example_motion, problems, recording
from aniso.langevin._kernels import example_chain, heavy_ball_chain, records, streams
from aniso.langevin.example_motion import SAMPLINGS
from aniso.langevin.linear_chain import record_grid

if TYPE_CHECKING:
    from aniso.langevin.example_sets import Examples
    from aniso.langevin.recording import EnsembleStatistics
    from aniso.typing import ArrayLike


__all__ = ["SAMPLINGS", "simulate_sgd", "simulate_svag"]


def simulate_sgd(
    examples: Examples,
    learning_rate: float,
    batch_size: int,
    sampling: Literal["with_replacement", "without_replacement", "epochs"],
    start: ArrayLike,
    record_steps: ArrayLike,
    num_paths: int,
    seed: int,
    *,
    momentum: float = 0.0,
    num_threads: int | None = None,
    checkpoint: Any = None,
) -> EnsembleStatistics:
    """Simulate SGD, ``theta <- theta - eta g_B(theta)``, with g_B the mean gradient of a batch.

    With momentum it is heavy ball: ``m <- beta m + g_B(theta)``, ``theta <- theta - eta m``, from
    m = 0.

    Parameters
    ----------
    examples : aniso.langevin.example_sets.Examples
        The examples and the gradients of their losses.
    learning_rate : float
        eta > 0.
    batch_size : int
        1 <= batch_size <= N.
    sampling : {"with_replacement", "without_replacement", "epochs"}
        See :data:`SAMPLINGS`; "epochs" needs N to be a multiple of the batch size.
    start : array_like, shape (D,)
        theta of every chain at step 0.
    record_steps, num_paths, seed, num_threads, checkpoint
        As in :func:`aniso.langevin.simulate_ensemble`.
    momentum : float
        beta, ``0 <= beta < 1``.

    Returns
    -------
    EnsembleStatistics
        Moments of theta. `times` are steps times the learning rate, whatever the momentum.

    Raises
    ------
    InputError
        If an argument breaks its rule.
    NonFiniteState
        If a chain leaves the finite numbers.

    Notes
    -----
    There are two conventions of momentum. This one takes the whole gradient, as PyTorch does
    without dampening. With ``m <- beta m + (1 - beta) g_B`` the same motion has the learning rate
    ``eta / (1 - beta)``.

    Examples
    --------
    With one example every batch is the same, and nothing is random.

    >>> from aniso.langevin import example_sets
    >>> one = example_sets.least_squares([[1.0]], [2.0])
    >>> chain = simulate_sgd(one, 0.5, 1, "with_replacement", [0.0], [2], 4, seed=1)
    >>> float(chain.mean[0, 0]), float(chain.covariance[0, 0, 0])
    (1.5, 0.0)

    With momentum m is -2 and then ``0.5 * (-2) + (1 - 2) = -2``, so that theta is 1 and then 2.

    >>> chain = simulate_sgd(one, 0.5, 1, "with_replacement", [0.0], [2], 4, seed=1, momentum=0.5)
    >>> float(chain.mean[0, 0])
    2.0
    """
    motion = example_motion.validated(
        examples, learning_rate, batch_size, sampling, start, momentum
    )
    run = _run(motion, np.ones(1), 1, record_steps, seed)
    num_paths = checks.integer("num_paths", num_paths, low=2)
    return recording.simulate_moments(
        run, num_paths, num_threads=num_threads, checkpoint=checkpoint
    )


def simulate_svag(
    examples: Examples,
    learning_rate: float,
    batch_size: int,
    sampling: Literal["with_replacement", "without_replacement"],
    num_times: int,
    start: ArrayLike,
    record_steps: ArrayLike,
    num_paths: int,
    seed: int,
    *,
    num_threads: int | None = None,
    checkpoint: Any = None,
) -> EnsembleStatistics:
    """Simulate SVAG: l steps of size eta / l have the noise of one step of SGD.

    A step is ``theta <- theta - (eta / l) (c_+ g_1 + c_- g_2)``. g_1 and g_2 are the gradients of
    two independent batches, and ``c_+- = (1 +- sqrt(2 l - 1)) / 2``. This keeps the mean of the
    gradient and multiplies its covariance by l. As l grows, the chain tends to the stochastic
    differential equation.

    Parameters
    ----------
    examples, learning_rate, batch_size, start, num_paths, seed, num_threads, checkpoint
        As in :func:`simulate_sgd`.
    sampling : {"with_replacement", "without_replacement"}
        Sampling scheme of each of the two batches.
    num_times : int
        l >= 1; SGD at l = 1.
    record_steps : array_like of int
        Steps of this chain, l to a step of SGD.

    Returns
    -------
    EnsembleStatistics

    Raises
    ------
    InputError, NonFiniteState
        As :func:`simulate_sgd`.

    Notes
    -----
    Source: Li, Malladi and Arora, "On the validity of modeling SGD with stochastic differential
    equations" (2021).

    Examples
    --------
    >>> from aniso.langevin import example_sets
    >>> chain = simulate_svag(
    ...     example_sets.least_squares([[1.0]], [2.0]),
    ...     0.5, 1, "with_replacement", 2, [0.0], [1], 4, seed=1,
    ... )
    >>> float(chain.mean[0, 0])
    0.5
    """
    num_times = checks.integer("num_times", num_times, low=1)
    checks.one_of("sampling", sampling, list(SAMPLINGS))
    if sampling == "epochs":
        raise checks.InputError(
            "sampling='epochs'; expected 'with_replacement' or 'without_replacement': SVAG's two "
            "batches are independent"
        )
    motion = example_motion.validated(examples, learning_rate, batch_size, sampling, start)
    weights = example_chain.svag_weights(num_times)
    run = _run(motion, weights, num_times, record_steps, seed)
    num_paths = checks.integer("num_paths", num_paths, low=2)
    return recording.simulate_moments(
        run, num_paths, num_threads=num_threads, checkpoint=checkpoint
    )


def _run(motion, weights, num_times, record_steps, seed):
    steps = record_grid("record_steps", record_steps)
    key = streams.seed_word(seed)
    parameters = motion.examples.parameters
    step_size = motion.learning_rate / num_times
    dimension = motion.examples.dimension

    def scratch():
        if not motion.momentum:
            return motion.scratch()
        return {"velocity": np.zeros((dimension, streams.LANES)), **motion.scratch()}

    def cell(first_path, count, num_steps, arrays, sums):
        failure = np.zeros(3, np.int64)
        shared = (motion.gradient, motion.potential, parameters, motion.batches(arrays))
        paths = records.Paths(key, np.uint64(first_path), count, motion.start)
        progress = records.Progress(arrays["position"], arrays["panel"], failure)
        with np.errstate(all="ignore"):
            if motion.momentum:
                heavy_ball_chain.advance_cell(
                    *shared,
                    step_size,
                    motion.momentum,
                    steps,
                    paths,
                    sums,
                    progress,
                    arrays["velocity"],
                    num_steps,
                )
            else:
                example_chain.advance_cell(
                    *shared, weights, step_size, steps, paths, sums, progress, num_steps
                )
        if failure[0]:
            raise problems.NonFiniteState(int(failure[1]), int(failure[2]))
        return arrays["position"][0] >= count

    has_loss = motion.examples.potential is not None
    identity = (*motion.identity, weights, num_times, steps, int(key))
    return recording.Run(cell, dimension, steps, step_size, has_loss, identity, scratch)
