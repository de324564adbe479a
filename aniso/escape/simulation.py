"""Mean exit time by simulation: of the stochastic differential equation, and of SGD's own chain."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aniso import checks
from aniso.escape import censoring, discretisation
from aniso.escape.censoring import MeanExitTime
from aniso.langevin import first_passage, noises, problems
from aniso.matrices import operands

if TYPE_CHECKING:
    from aniso.langevin import LangevinProblem
    from aniso.langevin.drifts import Drift
    from aniso.langevin.regions import Region
    from aniso.typing import Array, ArrayLike, Matrix, PathLike


@dataclass(frozen=True)
class ChainAndEquation:
    """Mean exit times of SGD's chain and of its stochastic differential equation, side by side.

    Attributes
    ----------
    chain, equation : MeanExitTime
        Mean exit times in units of time, the step number times the learning rate.
    """

    chain: MeanExitTime
    equation: MeanExitTime

    def __repr__(self):
        parts = {"chain": self.chain, "equation": self.equation}
        lines = [f"  {name}, {part}" for name, part in parts.items()]
        return "\n".join(["ChainAndEquation", *(line.replace("\n", "\n  ") for line in lines)])


def simulate_mean_exit_time(
    problem: LangevinProblem,
    region: Region,
    step_size: float,
    horizon: float,
    num_paths: int,
    seed: int,
    *,
    method: str = "bridge",
    confidence: float = 0.95,
    num_threads: int | None = None,
    checkpoint: PathLike | None = None,
) -> MeanExitTime:
    """Simulate the mean exit time of ``d theta = -grad L dt + Sigma^{1/2} dW`` from a region.

    Parameters
    ----------
    problem, region, horizon, num_paths, seed, method, num_threads
        As in :func:`aniso.langevin.simulate_exits`.
    step_size : float
        Largest step h > 0.
    confidence : float
        Level of the interval.
    checkpoint : path-like, optional
        File of the run with step h; the others add -1 and -2 to its name.

    Returns
    -------
    MeanExitTime
        Its mean is an :class:`~aniso.estimates.ExtrapolatedEstimate`.

    Raises
    ------
    InputError, NonFiniteState
        As :func:`aniso.langevin.simulate_exits`.

    Notes
    -----
    The runs with the steps h and h / 2, for "grid" h / 4 too, follow the same Wiener paths. Their
    means are extrapolated to step 0. The mean prints with its sampling and its discretisation
    error, and the interval counts both. That needs h times the curvature to be at most 1/2. Of 200
    intervals of 95 % for ``dX = -k X dt + s dW`` with the bridge, 97, 92, 77 and 49 % covered at h
    k = 0.1, 0.5, 1 and 1.5. Cost: three times that of a single run with step h, for "grid" seven
    times. Each run's own exit times come from :func:`aniso.langevin.simulate_exits`. Source: Talay
    and Tubaro (1990) for the extrapolation, Gobet (2000) for the powers of the step.

    Examples
    --------
    >>> from aniso.langevin import drifts, regions
    >>> brownian = problems.LangevinProblem(
    ...     drifts.of_quadratic([[0.0]]), noises.diagonal([1.0]), [0.0]
    ... )
    >>> short = simulate_mean_exit_time(brownian, regions.interval(-9, 9), 0.1, 0.5, 50, seed=1)
    >>> short.mean is None, short.num_censored
    (True, 50)

    The exact mean of the time to leave (-1, 1) is 1.

    >>> found = simulate_mean_exit_time(brownian, regions.interval(-1, 1), 0.1, 50.0, 2000, seed=1)
    >>> abs(found.mean.z_score(1.0)) < 4
    True
    """
    step_size = checks.number("step_size", step_size, low=0, strict=True)
    horizon = checks.number("horizon", horizon, low=step_size)
    num_runs = len(discretisation.extrapolation_weights(method))
    # every run stops at the horizon of the largest step
    horizon = 2 * math.ceil(horizon / step_size / 2 - 1e-9) * step_size
    runs = [
        first_passage.simulate_exits(
            problem,
            region,
            step_size / 2**k,
            horizon,
            num_paths,
            seed,
            method=method,
            substeps=2 ** (num_runs - 1 - k),
            num_threads=num_threads,
            checkpoint=_checkpoint_of(checkpoint, k),
        )
        for k in range(num_runs)
    ]
    return discretisation.extrapolate_mean_exit_time(
        [run.times for run in runs],
        [run.exited for run in runs],
        horizon,
        method=method,
        confidence=confidence,
        step_size=step_size if method == "grid" else 0.0,
    )


def _checkpoint_of(checkpoint, number):
    """Return the file of a run: that of the first has the given name."""
    if checkpoint is None or number == 0:
        return checkpoint
    path = Path(checkpoint)
    return path.with_name(f"{path.stem}-{number}{path.suffix}")


def simulate_mean_chain_exit_time(
    problem: LangevinProblem,
    region: Region,
    step_size: float,
    horizon: float,
    num_paths: int,
    seed: int,
    *,
    confidence: float = 0.95,
    num_threads: int | None = None,
    checkpoint: Any = None,
) -> MeanExitTime:
    """Simulate the mean exit time of the chain ``theta <- theta - h grad L + (h Sigma)^{1/2} z``.

    Parameters
    ----------
    problem, region, horizon, num_paths, seed, num_threads, checkpoint
        As in :func:`aniso.langevin.simulate_exits`.
    step_size : float
        h, the learning rate where the chain is that of SGD.
    confidence : float
        Level of the interval.

    Returns
    -------
    MeanExitTime
        In units of time, steps times h.

    Raises
    ------
    InputError, NonFiniteState
        As :func:`aniso.langevin.simulate_exits`.

    Notes
    -----
    The chain leaves when an iterate is outside, and has no states between its iterates. So its mean
    exit time has a sampling error alone. The step belongs to the chain.

    Examples
    --------
    The chain with step 1 of Brownian motion leaves (-0.1, 0.1) in its first step with probability
    0.92, and later with the same probability nearly: 1 / 0.92 = 1.09 steps.

    >>> from aniso.langevin import drifts, regions
    >>> brownian = problems.LangevinProblem(
    ...     drifts.of_quadratic([[0.0]]), noises.diagonal([1.0]), [0.0]
    ... )
    >>> found = simulate_mean_chain_exit_time(
    ...     brownian, regions.interval(-0.1, 0.1), 1.0, 50.0, 4000, seed=1
    ... )
    >>> abs(found.mean.z_score(1.0866)) < 4
    True
    """
    exits = first_passage.simulate_exits(
        problem,
        region,
        step_size,
        horizon,
        num_paths,
        seed,
        method="grid",
        num_threads=num_threads,
        checkpoint=checkpoint,
    )
    return censoring.estimate_mean_exit_time(
        exits.times, exits.exited, exits.horizon, confidence=confidence, step_size=exits.step_size
    )


def simulate_chain_and_equation(
    drift: Drift,
    minibatch_covariance: Matrix,
    learning_rate: float,
    start: ArrayLike,
    region: Region,
    horizon: float,
    num_paths: int,
    seed: int,
    *,
    substeps: int = 8,
    confidence: float = 0.95,
    num_threads: int | None = None,
) -> ChainAndEquation:
    """Simulate the exits of SGD's chain ``theta <- theta - eta (grad L + eps)`` and its equation.

    Parameters
    ----------
    drift : aniso.langevin.drifts.Drift
        ``-grad L``.
    minibatch_covariance : array_like, shape (D, D), or any other covariance
        Covariance of eps, taken as constant and Gaussian.
    learning_rate : float
        eta > 0; the equation has the diffusion covariance eta times `minibatch_covariance`.
    start : array_like, shape (D,)
        theta of every path at time 0.
    region : aniso.langevin.regions.Region
        Region that the paths leave; the start lies inside.
    horizon : float
        In units of time, steps times eta.
    num_paths, seed, num_threads
        As in :func:`aniso.langevin.simulate_exits`.
    substeps : int
        Steps of the equation's scheme per step of the chain; a second run has twice as many.
    confidence : float
        Level of the confidence intervals.

    Returns
    -------
    ChainAndEquation

    Raises
    ------
    InputError, NonFiniteState
        As :func:`aniso.langevin.simulate_exits`.

    Notes
    -----
    The chain leaves when an iterate is outside. It has no states between its iterates, so that no
    correction is needed. The equation's mean carries a discretisation error beside its sampling
    error, see :func:`simulate_mean_exit_time`.

    Examples
    --------
    A coarse chain leaves later than the equation, which may leave between two iterates.

    >>> from aniso.langevin import drifts, regions
    >>> both = simulate_chain_and_equation(
    ...     drifts.of_quadratic([[0.0]]), [[25.0]], 0.04, [0.0],
    ...     regions.interval(-1, 1), 50.0, 4000, seed=5,
    ... )
    >>> both.chain.mean.value > both.equation.mean.value
    True
    >>> both
    ChainAndEquation
      chain, MeanExitTime: ...
      equation, MeanExitTime: ... ± ... (sampling ..., discretisation ...)
      ...
    """
    covariance = operands.dense_covariance(
        "minibatch_covariance", minibatch_covariance, "mini-batch"
    )
    learning_rate = checks.number("learning_rate", learning_rate, low=0, strict=True)
    substeps = checks.integer("substeps", substeps, low=1)
    problem = problems.LangevinProblem(drift, noises.constant(learning_rate * covariance), start)
    arguments = (horizon, num_paths, seed)
    options = {"confidence": confidence, "num_threads": num_threads}
    return ChainAndEquation(
        simulate_mean_chain_exit_time(problem, region, learning_rate, *arguments, **options),
        simulate_mean_exit_time(problem, region, learning_rate / substeps, *arguments, **options),
    )


def simulate_exit_points(
    problem: LangevinProblem,
    region: Region,
    step_size: float,
    horizon: float,
    num_paths: int,
    seed: int,
    **options: Any,
) -> Array:
    """Simulate the points at which paths leave a region, shape (number of exits, D).

    Parameters
    ----------
    problem, region, step_size, horizon, num_paths, seed
        As in :func:`aniso.langevin.simulate_exits`.
    **options
        Its keyword arguments.

    Examples
    --------
    >>> from aniso.langevin import drifts, regions
    >>> brownian = problems.LangevinProblem(
    ...     drifts.of_quadratic([[0.0]]), noises.diagonal([1.0]), [0.0]
    ... )
    >>> points = simulate_exit_points(brownian, regions.interval(-1, 1), 0.01, 50.0, 20, seed=1)
    >>> sorted(set(points[:, 0].round(9).tolist()))
    [-1.0, 1.0]
    """
    exits = first_passage.simulate_exits(
        problem, region, step_size, horizon, num_paths, seed, **options
    )
    return exits.points[exits.exited]
