"""What is kept of an ensemble: moments at chosen steps with their errors, or the paths themselves.

Both take a function ``cell(first_path, count, centre, first, second, fourth, values, snapshots)``
that advances the paths of a cell and adds to the arrays it is given.
"""

from dataclasses import dataclass

import numpy as np

from aniso import memory
from aniso.langevin import accumulators, cells, checkpoints
from aniso.langevin.linear_chain import mean_estimate


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


@dataclass(frozen=True)
class Run:
    """A validated experiment.

    Attributes
    ----------
    cell : callable
        Advances the paths of a cell.
    dimension : int
    steps : numpy.ndarray, shape (T,)
    step_size : float
    has_loss : bool
        Whether `values` holds a loss.
    identity : tuple
        All that the result depends on, for the fingerprint of a checkpoint.
    """

    cell: object
    dimension: int
    steps: np.ndarray
    step_size: float
    has_loss: bool
    identity: tuple


def moments(run, num_paths, *, num_threads=None, checkpoint=None):
    """Statistics of `num_paths` paths at the recorded steps.

    Parameters
    ----------
    run : Run
    num_paths : int
    num_threads : int, optional
    checkpoint : path-like, optional
        File from which to resume and in which to save.

    Returns
    -------
    EnsembleStatistics

    Raises
    ------
    AllocationRefused
        If the result would not fit into memory.
    """
    times, size = len(run.steps), run.dimension
    memory.require(
        8 * times * size**2 * 12,
        f"the moments of {times} steps in {size} dimensions",
        "record fewer steps",
    )
    no_snapshots = np.zeros((0, times, size))

    def of_cell(first_path, count, centre):
        partial = {
            "first": np.zeros((times, size)),
            "second": np.zeros((times, size, size)),
            "fourth": np.zeros((times, size, size)),
            "values": np.zeros((times, 3)),
        }
        run.cell(first_path, count, centre, *partial.values(), no_snapshots)
        return partial

    # moments are taken about the mean of a pilot, so that nothing cancels
    pilot = min(num_paths, cells.CELL)
    centre = of_cell(0, pilot, np.zeros((times, size)))["first"] / pilot
    state = {
        "first": np.zeros((times, size)),
        "second": np.zeros((times, size, size)),
        "fourth": np.zeros((times, size, size)),
        "values": np.zeros((times, 3)),
    }

    def add(state, first_path, partial):  # noqa: ARG001
        for name in ("first", "second", "fourth"):
            state[name] += partial[name]
        state["values"] = accumulators.merged(state["values"], partial["values"])

    checkpoints.fold(
        lambda first_path, count: of_cell(first_path, count, centre),
        add,
        state,
        num_paths,
        num_threads=num_threads,
        checkpoint=checkpoint,
        experiment=("centred ensemble", num_paths, *run.identity),
    )
    return _statistics(run, state, centre, num_paths)


def paths(run, num_paths, *, num_threads=None, checkpoint=None):
    """States of every path at the recorded steps.

    Parameters
    ----------
    run : Run
    num_paths : int
    num_threads : int, optional
    checkpoint : path-like, optional
        File from which to resume and in which to save.

    Returns
    -------
    numpy.ndarray, shape (num_paths, T, D)

    Raises
    ------
    AllocationRefused
        If the result would not fit into memory.
    """
    times, size = len(run.steps), run.dimension
    memory.require(
        8 * num_paths * times * size,
        f"{num_paths} paths at {times} steps in {size} dimensions",
        "record fewer steps, or take moments, which store no paths",
    )
    state = {"paths": np.zeros((num_paths, times, size))}
    centre = np.zeros((times, size))

    def of_cell(first_path, count):
        snapshots = np.zeros((count, times, size))
        unused = (np.zeros((times, size)), np.zeros((times, size, size)))
        no_fourth, values = np.zeros((times, 0, 0)), np.zeros((times, 3))
        run.cell(first_path, count, centre, *unused, no_fourth, values, snapshots)
        return snapshots

    def add(state, first_path, partial):
        state["paths"][first_path : first_path + len(partial)] = partial

    checkpoints.fold(
        of_cell,
        add,
        state,
        num_paths,
        num_threads=num_threads,
        checkpoint=checkpoint,
        experiment=("paths", num_paths, *run.identity),
    )
    return state["paths"]


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
    if run.has_loss:
        loss = tuple(mean_estimate(spread) for spread in state["values"])
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
