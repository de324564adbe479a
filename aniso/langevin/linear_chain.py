"""The chain ``theta <- (I - eta H) theta + eta eps`` from 0, simulated path by path."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from aniso import checks, estimates, memory
from aniso.langevin import cells, covariance_factor
from aniso.langevin._kernels import accumulators, linear, panels, records, streams
from aniso.matrices import operands
from aniso.threads import thread_count

if TYPE_CHECKING:
    from aniso.estimates import Estimate
    from aniso.typing import ArrayLike, Matrix


@dataclass(frozen=True)
class ChainStatistics:
    """Moments of an ensemble of chains at the recorded steps.

    Attributes
    ----------
    steps : numpy.ndarray, shape (T,)
        Recorded steps, 0 being the start.
    loss : tuple of estimates.Estimate, length T
        Mean over the paths of ``theta^T H theta / 2``.
    covariance : numpy.ndarray, shape (T, D, D)
        Mean over the paths of ``theta theta^T``, which is the covariance: the mean is exactly 0.
    """

    steps: np.ndarray
    loss: tuple[Estimate, ...]
    covariance: np.ndarray


def simulate_linear_chain(
    hessian: ArrayLike,
    minibatch_covariance: Matrix,
    learning_rate: float,
    record_steps: ArrayLike,
    num_paths: int,
    seed: int,
    num_threads: int | None = None,
) -> ChainStatistics:
    """Simulate SGD on a quadratic, ``theta <- (I - eta H) theta + eta eps``, from theta = 0.

    Parameters
    ----------
    hessian : array_like, shape (D, D)
        H, any symmetric matrix.
    minibatch_covariance : array_like, shape (D, D), or any other covariance
        Covariance of eps, positive semi-definite, singular ones included; eps is Gaussian.
    learning_rate : float
        eta > 0.
    record_steps : array_like of int, shape (T,)
        Steps at which the moments are taken, increasing, from 0 on.
    num_paths : int
        Independent chains, at least 2.
    seed : int
        Key of the random streams, ``0 <= seed < 2^64``.
    num_threads : int, optional
        Threads; all CPUs of this process if not given.

    Returns
    -------
    ChainStatistics

    Raises
    ------
    InputError
        If an argument breaks its rule, or if an unstable chain overflows.
    AllocationRefused
        If the recorded covariances would not fit into memory.

    Notes
    -----
    The result has the same bits on any number of threads. Cost per path and step: about 3 ns for
    each normal and D (D + rank) multiplications. Memory: T D² numbers per thread, for any number
    of paths and steps.

    Examples
    --------
    One step from 0 has covariance eta² S, here 0.25 · 4 = 1, and mean loss 1/2.

    >>> ensemble = simulate_linear_chain([[1.0]], [[4.0]], 0.5, [0, 1], 4000, seed=1)
    >>> ensemble.loss[0]
    Estimate(value=0.0, standard_error=0.0, num_samples=4000)
    >>> abs(ensemble.loss[1].z_score(0.5)) < 5
    True
    """
    hessian = checks.symmetric_matrix("hessian", hessian)
    dimension = len(hessian)
    covariance = operands.dense_covariance(
        "minibatch_covariance", minibatch_covariance, "mini-batch", size=dimension
    )
    learning_rate = checks.number("learning_rate", learning_rate, low=0, strict=True)
    steps = record_grid("record_steps", record_steps)
    num_paths = checks.integer("num_paths", num_paths, low=2)
    seed = streams.seed_word(seed)
    threads = thread_count(num_threads)
    memory.require(
        8 * len(steps) * dimension**2 * (3 + 2 * threads),
        f"the covariances of {len(steps)} steps in {dimension} dimensions",
        "record fewer steps",
    )
    # in units of the noise and of the curvature, powers of two, whose squares stay finite
    factor = learning_rate * covariance_factor.full(covariance)
    exponent, of_loss = estimates.exponent_of(factor), estimates.exponent_of(hessian)
    factor = np.ldexp(factor, -exponent)
    propagator = np.eye(dimension) - learning_rate * hessian
    matrix = panels.padded(np.hstack([propagator, factor]))
    padded_hessian = panels.padded(np.ldexp(hessian, -of_loss))

    zero = records.zero_sums(np.zeros((len(steps), dimension)))
    start = np.zeros(dimension)

    def begin(first_path, count):  # noqa: ARG001
        return {
            "position": np.zeros(3, np.int64),
            "panel": np.zeros((dimension, streams.LANES)),
            "second": np.zeros_like(zero.second),
            "losses": np.zeros_like(zero.observable),
        }

    def advance(first_path, count, arrays, num_steps):
        failure = np.zeros(3, np.int64)
        sums = zero._replace(
            first=np.zeros_like(zero.first), second=arrays["second"], observable=arrays["losses"]
        )
        with np.errstate(over="ignore", invalid="ignore"):
            linear.advance_cell(
                matrix,
                padded_hessian,
                dimension,
                factor.shape[1],
                steps,
                records.Paths(seed, np.uint64(first_path), count, start),
                sums,
                records.Progress(arrays["position"], arrays["panel"], failure),
                num_steps,
            )
        if failure[0]:
            raise _grew(learning_rate)
        return arrays["position"][0] >= count

    second = np.zeros((len(steps), dimension, dimension))
    losses = np.zeros((len(steps), 3))
    for arrays in cells.in_order(cells.Work(begin, advance), num_paths, threads):
        second += arrays["second"]
        losses = accumulators.merged(losses, arrays["losses"])
    with np.errstate(over="ignore"):
        covariances = np.ldexp(accumulators.mirrored(second / num_paths), 2 * exponent)
        loss = tuple(_mean_loss(spread, 2 * exponent + of_loss) for spread in losses)
    numbers = [number for found in loss for number in (found.value, found.standard_error)]
    if not (np.isfinite(covariances).all() and np.isfinite(numbers).all()):
        raise _grew(learning_rate)
    return ChainStatistics(steps, loss, covariances)


def _mean_loss(spread, exponent):
    """Return the estimate of a mean loss, from the sums over ``2^-exponent`` times the losses."""
    found = mean_estimate(spread)
    value, error = np.ldexp([found.value, found.standard_error], exponent).tolist()
    return estimates.Estimate(value, error, found.num_samples)


def _grew(learning_rate):
    return checks.InputError(
        "the chain grew past the largest floating-point number: it is unstable at "
        f"learning_rate={learning_rate}; expected learning_rate below 2 / lambda_max or fewer "
        "steps"
    )


def record_grid(name, value):
    """Return recorded steps as int64, shape (T,): not empty, from 0 on, strictly increasing.

    Parameters
    ----------
    name : str
        Name of the argument, for the message.
    value : array_like of int, shape (T,)
        Steps as given.

    Returns
    -------
    numpy.ndarray of int64, shape (T,)

    Raises
    ------
    InputError
        If they are no such steps.

    Examples
    --------
    >>> record_grid("record_steps", [3, 1])
    Traceback (most recent call last):
        ...
    aniso.checks.InputError: record_steps=[3, 1]; expected increasing whole numbers from 0 on
    """
    given = checks.array(name, value, shape=(None,))
    increasing = given.size > 0 and given[0] >= 0 and (np.diff(given) > 0).all()
    if not increasing or (given != np.floor(given)).any() or given[-1] >= 2**40:
        raise checks.InputError(f"{name}={value!r}; expected increasing whole numbers from 0 on")
    return given.astype(np.int64)


def mean_estimate(spread, scale=1.0):
    """Return the estimate of a mean, from the sums over its samples.

    Parameters
    ----------
    spread : numpy.ndarray, shape (3,)
        Count, mean and sum of squared deviations, of `scale` times the samples.
    scale : float
        Power of two.

    Returns
    -------
    estimates.Estimate

    Examples
    --------
    >>> mean_estimate(np.array([2.0, 2.0, 2.0]))
    Estimate(value=2.0, standard_error=1.0, num_samples=2)
    """
    count, mean, squares = spread
    error = np.sqrt(squares / (count - 1) / count)
    return estimates.Estimate(float(mean / scale), float(error / scale), int(count))
