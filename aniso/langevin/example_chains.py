"""SGD and SVAG themselves: discrete chains that draw examples, not Gaussian noise."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numba import njit

from aniso import checks
from aniso.langevin import (
    drift_functions,
    example_chain_kernel,
    functions,
    problems,
    recording,
    streams,
)
from aniso.langevin.linear_chain import record_grid
from aniso.langevin.streams import KERNEL

SAMPLINGS = {
    "replacement": example_chain_kernel.REPLACEMENT,
    "no_replacement": example_chain_kernel.NO_REPLACEMENT,
    "epochs": example_chain_kernel.EPOCHS,
}
"""How a batch is drawn: independently; without repetition within it; or as the next batch of a
shuffled order that is used up before it is shuffled again."""


@dataclass(frozen=True)
class Examples:
    """A finite set of examples with their gradients, made by one of the functions below.

    Attributes
    ----------
    num_examples, dimension : int
        N and D.
    gradient : callable
        ``(theta (D, L), index (L,), parameters, out (D, L))``.
    parameters : numpy.ndarray, shape (P,)
    potential : callable or None
        Mean loss ``(theta, parameters, out (L,))``.
    """

    num_examples: int
    dimension: int
    gradient: Callable
    parameters: np.ndarray
    potential: Callable | None = None


def least_squares(inputs, targets):
    """Examples with the losses ``(x_i . theta - y_i)^2 / 2``.

    Parameters
    ----------
    inputs : array_like, shape (N, D)
    targets : array_like, shape (N,)

    Examples
    --------
    >>> least_squares([[1.0], [2.0]], [0.0, 1.0]).num_examples
    2
    """
    inputs = checks.array("inputs", inputs, shape=(None, None))
    targets = checks.array("targets", targets, shape=(len(inputs),))
    if inputs.size == 0:
        raise checks.InputError("inputs is empty; expected at least one example")
    parameters = np.concatenate([[len(inputs)], inputs.ravel(), targets])
    return Examples(*inputs.shape, least_squares_gradient, parameters, least_squares_potential)


def shifted_quadratics(hessian, centres):
    """Examples with the losses ``(theta - c_i)^T H (theta - c_i) / 2``: additive gradient noise.

    Parameters
    ----------
    hessian : array_like, shape (D, D)
        H, any symmetric matrix.
    centres : array_like, shape (N, D)
        c_i; the covariance of the gradients is H times theirs times H, wherever theta is.

    Examples
    --------
    >>> shifted_quadratics([[2.0]], [[-1.0], [1.0]]).num_examples
    2
    """
    hessian = checks.symmetric_matrix("hessian", hessian)
    centres = checks.array("centres", centres, shape=(None, len(hessian)))
    if len(centres) == 0:
        raise checks.InputError("centres is empty; expected at least one row")
    parameters = np.concatenate([hessian.ravel(), centres.ravel()])
    return Examples(len(centres), len(hessian), shifted_quadratic_gradient, parameters)


def two_basin_toy(data):
    """Examples of the two-basin toy, losses ``min(s, f)``.

    Parameters
    ----------
    data : array_like, shape (N, 2)

    Examples
    --------
    >>> two_basin_toy([[0.0, 0.0]]).dimension
    2
    """
    data = checks.array("data", data, shape=(None, 2))
    if len(data) == 0:
        raise checks.InputError("data is empty; expected at least one row")
    rotated = np.concatenate([data[:, 0] - data[:, 1], data[:, 0] + data[:, 1]]) / np.sqrt(2.0)
    return Examples(len(data), 2, two_basin_gradient, rotated, drift_functions.two_basin_potential)


def custom(gradient, num_examples, dimension, *, parameters=(), potential=None):
    """Examples given by a compiled function of one's own.

    Parameters
    ----------
    gradient : callable
        ``gradient(theta, index, parameters, out)``, compiled with ``numba.njit``: writes into
        column l of out (D, L) the gradient of example index[l] at column l of theta.
    num_examples, dimension : int
    parameters : array_like, shape (P,)
    potential : callable, optional
        Mean loss ``(theta, parameters, out (L,))``.

    Returns
    -------
    Examples

    Raises
    ------
    InputError
        If a function is not compiled.
    """
    for name, function in (("gradient", gradient), ("potential", potential)):
        if function is None and name == "potential":
            continue
        functions.require_callable(name, function)
        if not functions.is_compiled(function):
            raise checks.InputError(
                f"{name} is a plain Python function; expected one compiled with numba.njit"
            )
    num_examples = checks.integer("num_examples", num_examples, low=1)
    dimension = checks.integer("dimension", dimension, low=1)
    parameters = checks.array("parameters", parameters, shape=(None,))
    return Examples(num_examples, dimension, gradient, parameters, potential)


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
    """Ensemble of SGD, ``theta <- theta - eta g_B(theta)``, g_B the mean over a drawn batch.

    Parameters
    ----------
    examples : Examples
    learning_rate : float
        eta > 0.
    batch_size : int
        1 <= batch_size <= N.
    sampling : {"replacement", "no_replacement", "epochs"}
        See :data:`SAMPLINGS`; "epochs" needs N to be a multiple of the batch size.
    start : array_like, shape (D,)
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
    One example: every batch is the whole, and nothing is random.

    >>> chain = simulate_sgd(
    ...     least_squares([[1.0]], [2.0]), 0.5, 1, "replacement", [0.0], [2], 4, seed=1
    ... )
    >>> float(chain.mean[0, 0]), float(chain.covariance[0, 0, 0])
    (1.5, 0.0)
    """
    run = _run(
        examples, learning_rate, batch_size, sampling, np.ones(1), 1, start, record_steps, seed
    )
    num_paths = checks.integer("num_paths", num_paths, low=2)
    return recording.moments(run, num_paths, num_threads=num_threads, checkpoint=checkpoint)


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
    """Ensemble of SVAG, l steps of size eta / l with the noise of one step of SGD.

    ``theta <- theta - (eta / l) (c_+ g_1 + c_- g_2)``, two independent batches, and
    ``c_+- = (1 +- sqrt(2 l - 1)) / 2``: the mean of the gradient is kept, its covariance
    multiplied by l. As l grows the chain tends to the stochastic differential equation.

    Parameters
    ----------
    examples, learning_rate, batch_size, start, num_paths, seed, num_threads, checkpoint
        As in :func:`simulate_sgd`.
    sampling : {"replacement", "no_replacement"}
        How each of the two batches is drawn.
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
    ...     least_squares([[1.0]], [2.0]), 0.5, 1, "replacement", 2, [0.0], [1], 4, seed=1
    ... )
    >>> float(chain.mean[0, 0])
    0.5
    """
    num_times = checks.integer("num_times", num_times, low=1)
    if sampling == "epochs":
        raise checks.InputError(
            "sampling='epochs'; expected 'replacement' or 'no_replacement': SVAG's two batches "
            "are independent"
        )
    weights = example_chain_kernel.svag_weights(num_times)
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
    return recording.moments(run, num_paths, num_threads=num_threads, checkpoint=checkpoint)


def _run(
    examples, learning_rate, batch_size, sampling, weights, num_times, start, record_steps, seed
):
    if not isinstance(examples, Examples):
        raise checks.InputError("examples is none of aniso.langevin.example_chains; expected one")
    learning_rate = checks.number("learning_rate", learning_rate)
    if learning_rate <= 0:
        raise checks.InputError(f"learning_rate={learning_rate!r}; expected a number above 0")
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
    gradient = functions.pointer(examples.gradient, functions.EXAMPLE_FUNCTION)
    potential = functions.pointer(
        examples.potential or drift_functions.no_potential, functions.ROW_FUNCTION
    )
    step_size = learning_rate / num_times

    def cell(first_path, count, *arrays):
        failure = np.zeros(3, np.int64)
        with np.errstate(all="ignore"):
            example_chain_kernel.advance_cell(
                gradient,
                potential,
                examples.parameters,
                examples.num_examples,
                size,
                code,
                weights,
                step_size,
                steps,
                key,
                np.uint64(first_path),
                count,
                start,
                *arrays,
                failure,
            )
        if failure[0]:
            raise problems.NonFiniteState(int(failure[1]), int(failure[2]))

    identity = (
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
    return recording.Run(cell, examples.dimension, steps, step_size, has_loss, identity)


@njit(**KERNEL)
def least_squares_gradient(theta, index, parameters, out):
    """``(x_i . theta - y_i) x_i``; parameters: N, inputs (N, D), targets (N,)."""
    dimension, lanes = theta.shape
    num_examples = int(parameters[0])
    for lane in range(lanes):
        row = 1 + index[lane] * dimension
        residual = -parameters[1 + num_examples * dimension + index[lane]]
        for i in range(dimension):
            residual += parameters[row + i] * theta[i, lane]
        for i in range(dimension):
            out[i, lane] = residual * parameters[row + i]


@njit(**KERNEL)
def least_squares_potential(theta, parameters, out):
    """Mean of ``(x_i . theta - y_i)^2 / 2``."""
    dimension, lanes = theta.shape
    num_examples = int(parameters[0])
    for lane in range(lanes):
        out[lane] = 0.0
    for example in range(num_examples):
        row = 1 + example * dimension
        target = parameters[1 + num_examples * dimension + example]
        for lane in range(lanes):
            residual = -target
            for i in range(dimension):
                residual += parameters[row + i] * theta[i, lane]
            out[lane] += 0.5 * residual * residual / num_examples


@njit(**KERNEL)
def two_basin_gradient(theta, index, parameters, out):
    """Gradient of ``min(s, f)`` of a datum; parameters as in the drift of the toy."""
    lanes = theta.shape[1]
    num_data = parameters.shape[0] // 2
    root_two = 2.0**0.5
    for lane in range(lanes):
        a = (theta[0, lane] - theta[1, lane]) / root_two - parameters[index[lane]]
        b = (theta[0, lane] + theta[1, lane]) / root_two - parameters[num_data + index[lane]]
        to_sharp, to_flat = b - root_two, b + root_two
        sharp = 9.0 * a * a + 100.0 * to_sharp * to_sharp < to_flat * to_flat
        g_a = 20.0 * a if sharp else 2.0 * a
        g_b = 200.0 * to_sharp if sharp else 2.0 * to_flat
        out[0, lane] = (g_a + g_b) / root_two
        out[1, lane] = (g_b - g_a) / root_two


@njit(**KERNEL)
def shifted_quadratic_gradient(theta, index, parameters, out):
    """``H (theta - c_i)``; parameters: H (D, D), centres (N, D)."""
    dimension, lanes = theta.shape
    for i in range(dimension):
        for lane in range(lanes):
            out[i, lane] = 0.0
        for j in range(dimension):
            entry = parameters[i * dimension + j]
            for lane in range(lanes):
                centre = parameters[dimension * dimension + index[lane] * dimension + j]
                out[i, lane] += entry * (theta[j, lane] - centre)
