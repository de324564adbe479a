"""Simulation of SGD and SVAG: discrete chains that draw examples, not Gaussian noise."""

import numpy as np

from aniso import checks
from aniso.langevin import (
    drift_functions,
    example_sets,
    function_trials,
    functions,
    problems,
    recording,
)
from aniso.langevin._kernels import example_chain, records, streams
from aniso.langevin.linear_chain import record_grid

SAMPLINGS = {
    "replacement": example_chain.REPLACEMENT,
    "no_replacement": example_chain.NO_REPLACEMENT,
    "epochs": example_chain.EPOCHS,
}
"""Sampling schemes of a batch. "replacement": independent draws. "no_replacement": no example twice
in a batch. "epochs": the next batch of a shuffled order; each epoch uses all examples once."""


def simulate_sgd(
    examples,
    learning_rate,
    batch_size,
    sampling,
    start,
    record_steps,
    num_paths,
    seed,
    *,
    num_threads=None,
    checkpoint=None,
):
    """Simulate SGD, ``theta <- theta - eta g_B(theta)``, with g_B the mean gradient of a batch.

    Parameters
    ----------
    examples : aniso.langevin.example_sets.Examples
        The examples and the gradients of their losses.
    learning_rate : float
        eta > 0.
    batch_size : int
        1 <= batch_size <= N.
    sampling : {"replacement", "no_replacement", "epochs"}
        See :data:`SAMPLINGS`; "epochs" needs N to be a multiple of the batch size.
    start : array_like, shape (D,)
        theta of every chain at step 0.
    record_steps, num_paths, seed, num_threads, checkpoint
        As in :func:`aniso.langevin.simulate_ensemble`.

    Returns
    -------
    EnsembleStatistics
        `times` are steps times the learning rate.

    Raises
    ------
    InputError
        If an argument breaks its rule.
    NonFiniteState
        If a chain leaves the finite numbers.

    Examples
    --------
    With one example every batch is the same, and nothing is random.

    >>> chain = simulate_sgd(
    ...     example_sets.least_squares([[1.0]], [2.0]), 0.5, 1, "replacement", [0.0], [2], 4, seed=1
    ... )
    >>> float(chain.mean[0, 0]), float(chain.covariance[0, 0, 0])
    (1.5, 0.0)
    """
    run = _run(
        examples, learning_rate, batch_size, sampling, np.ones(1), 1, start, record_steps, seed
    )
    num_paths = checks.integer("num_paths", num_paths, low=2)
    return recording.simulate_moments(
        run, num_paths, num_threads=num_threads, checkpoint=checkpoint
    )


def simulate_svag(
    examples,
    learning_rate,
    batch_size,
    sampling,
    num_times,
    start,
    record_steps,
    num_paths,
    seed,
    *,
    num_threads=None,
    checkpoint=None,
):
    """Simulate SVAG: l steps of size eta / l have the noise of one step of SGD.

    A step is ``theta <- theta - (eta / l) (c_+ g_1 + c_- g_2)``. g_1 and g_2 are the gradients of
    two independent batches, and ``c_+- = (1 +- sqrt(2 l - 1)) / 2``. This keeps the mean of the
    gradient and multiplies its covariance by l. As l grows, the chain tends to the stochastic
    differential equation.

    Parameters
    ----------
    examples, learning_rate, batch_size, start, num_paths, seed, num_threads, checkpoint
        As in :func:`simulate_sgd`.
    sampling : {"replacement", "no_replacement"}
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
    >>> chain = simulate_svag(
    ...     example_sets.least_squares([[1.0]], [2.0]),
    ...     0.5, 1, "replacement", 2, [0.0], [1], 4, seed=1,
    ... )
    >>> float(chain.mean[0, 0])
    0.5
    """
    num_times = checks.integer("num_times", num_times, low=1)
    checks.one_of("sampling", sampling, list(SAMPLINGS))
    if sampling == "epochs":
        raise checks.InputError(
            "sampling='epochs'; expected 'replacement' or 'no_replacement': SVAG's two batches "
            "are independent"
        )
    weights = example_chain.svag_weights(num_times)
    run = _run(
        examples,
        learning_rate,
        batch_size,
        sampling,
        weights,
        num_times,
        start,
        record_steps,
        seed,
    )
    num_paths = checks.integer("num_paths", num_paths, low=2)
    return recording.simulate_moments(
        run, num_paths, num_threads=num_threads, checkpoint=checkpoint
    )


def _run(
    examples, learning_rate, batch_size, sampling, weights, num_times, start, record_steps, seed
):
    if not isinstance(examples, example_sets.Examples):
        raise checks.InputError(
            f"examples is a {type(examples).__name__}; expected a result of "
            "langevin.example_sets, for instance least_squares(inputs, targets)"
        )
    learning_rate = checks.number("learning_rate", learning_rate, low=0, strict=True)
    size = checks.integer(
        "batch_size", batch_size, low=1, high=examples.num_examples, high_name="N"
    )
    code = SAMPLINGS[checks.one_of("sampling", sampling, list(SAMPLINGS))]
    if sampling == "epochs" and examples.num_examples % size:
        raise checks.InputError(
            f"batch_size={size}; expected a divisor of N={examples.num_examples} with epochs"
        )
    start = checks.array("start", start, shape=(examples.dimension,))
    steps = record_grid("record_steps", record_steps)
    key = streams.seed_word(seed)
    points = function_trials.points_around(start)
    function_trials.require_sound(
        "gradient",
        examples.gradient,
        functions.EXAMPLE_FUNCTION,
        points,
        examples.parameters,
        num_rows=examples.dimension,
        num_examples=examples.num_examples,
    )
    if examples.potential is not None:
        function_trials.require_sound(
            "potential",
            examples.potential,
            functions.ROW_FUNCTION,
            points,
            examples.parameters,
            finite=False,
        )
    gradient = functions.pointer(examples.gradient, functions.EXAMPLE_FUNCTION)
    potential = functions.pointer(
        examples.potential or drift_functions.no_potential, functions.ROW_FUNCTION
    )
    step_size = learning_rate / num_times

    num_ordered = examples.num_examples if sampling == "epochs" else 1

    def scratch():
        order = np.zeros((num_ordered, streams.LANES), np.int64)
        return {"_order": order, "_epoch_in_order": np.full(1, -1)}

    def cell(first_path, count, num_steps, arrays, sums):
        failure = np.zeros(3, np.int64)
        with np.errstate(all="ignore"):
            example_chain.advance_cell(
                gradient,
                potential,
                examples.parameters,
                records.Batches(
                    examples.num_examples, size, code, arrays["_order"], arrays["_epoch_in_order"]
                ),
                weights,
                step_size,
                steps,
                records.Paths(key, np.uint64(first_path), count, start),
                sums,
                records.Progress(arrays["position"], arrays["panel"], failure),
                num_steps,
            )
        if failure[0]:
            raise problems.NonFiniteState(int(failure[1]), int(failure[2]))
        return arrays["position"][0] >= count

    identity = (
        examples.num_examples,
        examples.gradient,
        examples.parameters,
        examples.potential,
        step_size,
        size,
        sampling,
        weights,
        start,
        steps,
        int(key),
    )
    has_loss = examples.potential is not None
    return recording.Run(cell, examples.dimension, steps, step_size, has_loss, identity, scratch)
