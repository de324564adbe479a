"""Records of an ensemble: moments at chosen steps with their errors, or the paths themselves.

Both take a function ``cell(first_path, count, num_steps, arrays, sums)``. It advances the paths of
a cell by at most that many steps. It continues from `arrays` (``position``, ``panel`` and the work
space of the run). It adds to `sums`, see :class:`aniso.langevin._kernels.records.Sums`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from aniso import memory
from aniso.langevin import cells, checkpoints
from aniso.langevin._kernels import accumulators, records, streams
from aniso.langevin.linear_chain import mean_estimate

if TYPE_CHECKING:
    from aniso.estimates import Estimate


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
        Covariance of theta over the paths. Its error is that of the jackknife, which is rather too
        large for few paths; inf for two.
    loss : tuple of estimates.Estimate, length T, or None
        Mean of the drift's potential; None where it has none.
    num_paths : int
        Number of independent paths.
    """

    steps: np.ndarray
    times: np.ndarray
    mean: np.ndarray
    mean_error: np.ndarray
    covariance: np.ndarray
    covariance_error: np.ndarray
    loss: tuple[Estimate, ...] | None
    num_paths: int

    def __repr__(self):
        last = f"  at the last, t = {self.times[-1]:.6g}:"
        lines = [
            f"EnsembleStatistics: {self.num_paths} paths, {len(self.steps)} recorded steps, "
            f"dimension {self.mean.shape[1]}",
            f"  mean {self.mean.shape}, covariance {self.covariance.shape}, each with its error",
            f"{last} largest error of the mean {self.mean_error[-1].max():.2g}, of the covariance "
            f"{self.covariance_error[-1].max():.2g}",
        ]
        if self.loss is not None:
            lines.append(f"{last} loss {self.loss[-1]}")
        return "\n".join(lines)


@dataclass(frozen=True)
class Run:
    """A validated experiment.

    Attributes
    ----------
    cell : callable
        Advances the paths of a cell and returns whether it is finished.
    dimension : int
        D.
    steps : numpy.ndarray, shape (T,)
        Recorded steps.
    step_size : float
        Time of one step.
    has_loss : bool
        Whether the observable is a loss.
    identity : tuple
        All that the result depends on, for the fingerprint of a checkpoint.
    scratch : callable
        Makes further arrays of a cell, a dict by name. Those whose names begin with an underscore
        can be recomputed.
    """

    cell: object
    dimension: int
    steps: np.ndarray
    step_size: float
    has_loss: bool
    identity: tuple
    scratch: object = dict

    def work(self, frame, num_fourth, *, stores_paths):
        """Return the work that fills sums and, if wanted, snapshots of the paths.

        `frame` holds the centre and the scales of the sums by name.
        """
        size, centre = self.dimension, frame["centre"]

        def begin(first_path, count):  # noqa: ARG001
            return {
                "position": np.zeros(3, np.int64),
                "panel": np.zeros((size, streams.LANES)),
                **self.scratch(),
                **_arrays(
                    records.zero_sums(
                        centre, num_fourth=num_fourth, num_snapshots=count if stores_paths else 0
                    )
                ),
            }

        def advance(first_path, count, arrays, num_steps):
            sums = records.Sums(**{name: (frame | arrays)[name] for name in records.Sums._fields})
            return self.cell(first_path, count, num_steps, arrays, sums)

        return cells.Work(begin, advance)


_FRAME = ("centre", "scale", "observable_scale")


def _frame(times, size):
    """Return the centre 0 and the scales 1 of sums, arrays by name."""
    sums = records.zero_sums(np.zeros((times, size)))
    return {name: getattr(sums, name) for name in _FRAME}


def _arrays(sums):
    """Return the arrays of sums by name, other than their centre and scales."""
    return {name: array for name, array in sums._asdict().items() if name not in _FRAME}


def _scale(mean, squares):
    """Return powers of two that bring numbers of some mean and mean square to about 1."""
    with np.errstate(invalid="ignore"):
        roots = np.sqrt(squares)
    # a square that leaves the floating-point numbers leaves the mean
    size = np.fmax(np.abs(mean), np.where(np.isfinite(roots), roots, 0.0))
    size = np.where(np.isfinite(size), size, 0.0)
    # the inverse of a smaller power would be infinite
    return np.ldexp(1.0, -np.maximum(np.frexp(size)[1], -1000))


def simulate_moments(run, num_paths, *, num_threads=None, checkpoint=None):
    """Simulate `num_paths` paths, and return their statistics at the recorded steps.

    Parameters
    ----------
    run : Run
        The validated experiment.
    num_paths : int
        Number of independent paths.
    num_threads : int, optional
        Threads over cells of paths; all cores if not given. The result does not depend on it.
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
    options = {
        "num_threads": num_threads,
        "checkpoint": checkpoint,
        "experiment": ("scaled ensemble", num_paths, *run.identity),
    }

    def add(state, first_path, arrays):  # noqa: ARG001
        for name in ("first", "second", "fourth"):
            state[name] += arrays[name]
        state["observable"][...] = accumulators.merged(state["observable"], arrays["observable"])

    # moments are taken about the mean of a pilot, so that nothing cancels, and in units of its size
    pilot = min(num_paths, cells.CELL)
    frame = _frame(times, size)
    sums = _arrays(records.zero_sums(frame["centre"], num_fourth=size))
    work = run.work(frame, size, stores_paths=False)
    if checkpoints.fold(work, add, sums, pilot, **options):
        mean, squares = sums["first"] / pilot, np.diagonal(sums["second"], axis1=1, axis2=2) / pilot
        _, level, deviations = sums["observable"].T
        scale = _scale(mean, squares)
        frame = {
            "centre": scale * mean,
            "scale": scale,
            "observable_scale": _scale(level, deviations / pilot),
        }
    state = {**frame, **_arrays(records.zero_sums(frame["centre"], num_fourth=size))}
    work = run.work(frame, size, stores_paths=False)
    checkpoints.fold(work, add, state, num_paths, stage=1, **options)
    return _statistics(run, state, num_paths)


def simulate_states(run, num_paths, *, num_threads=None, checkpoint=None):
    """Simulate `num_paths` paths, and return the states of each at the recorded steps.

    Parameters
    ----------
    run : Run
        The validated experiment.
    num_paths : int
        Number of independent paths.
    num_threads : int, optional
        Threads over cells of paths; all cores if not given. The result does not depend on it.
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

    def add(state, first_path, arrays):
        snapshots = arrays["snapshots"]
        state["paths"][first_path : first_path + len(snapshots)] = snapshots

    checkpoints.fold(
        run.work(_frame(times, size), 0, stores_paths=True),
        add,
        state,
        num_paths,
        num_threads=num_threads,
        checkpoint=checkpoint,
        experiment=("paths", num_paths, *run.identity),
    )
    return state["paths"]


def _statistics(run, state, num_paths):
    scale = state["scale"]
    mean_offset = state["first"] / num_paths
    second = accumulators.mirrored(state["second"]) / num_paths
    fourth = accumulators.mirrored(state["fourth"]) / num_paths
    covariance = (second - mean_offset[:, :, None] * mean_offset[:, None, :]) * (
        num_paths / (num_paths - 1)
    )
    variances = np.maximum(np.diagonal(covariance, axis1=1, axis2=2), 0.0)
    error = np.full_like(covariance, np.inf)
    if num_paths > 2:
        # the jackknife: a deviation changes the covariance without it by n / ((n - 1) (n - 2))
        spread = np.maximum(fourth - second**2, 0.0)
        error = np.sqrt(spread / (num_paths - 1)) * (num_paths / (num_paths - 2))
    loss = None
    if run.has_loss:
        loss = tuple(map(mean_estimate, state["observable"], state["observable_scale"]))
    return EnsembleStatistics(
        run.steps,
        run.steps * run.step_size,
        (state["centre"] + mean_offset) / scale,
        np.sqrt(variances / num_paths) / scale,
        accumulators.unscaled(covariance, scale),
        accumulators.unscaled(error, scale),
        loss,
        num_paths,
    )
