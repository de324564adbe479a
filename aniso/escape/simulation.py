"""Mean exit time by simulation: of the stochastic differential equation, and of SGD's own chain."""

from dataclasses import dataclass

from aniso import checks
from aniso.escape import censoring
from aniso.escape.censoring import MeanExitTime
from aniso.langevin import first_passage, noises, problems
from aniso.matrices import operands


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


def simulate_mean_exit_time(
    problem,
    region,
    step_size,
    horizon,
    num_paths,
    seed,
    *,
    method="bridge",
    confidence=0.95,
    num_threads=None,
    checkpoint=None,
):
    """Simulate the mean exit time of ``d theta = -grad L dt + Sigma^{1/2} dW`` from a region.

    Parameters
    ----------
    problem, region, step_size, horizon, num_paths, seed, method, num_threads, checkpoint
        As in :func:`aniso.langevin.simulate_exits`.
    confidence : float
        Level of the interval.

    Returns
    -------
    MeanExitTime

    Raises
    ------
    InputError, NonFiniteState
        As :func:`aniso.langevin.simulate_exits`.

    Notes
    -----
    Standard error and interval are those of sampling. The step adds an error of its own, of order
    ``step_size`` for the bridge. It is large where ``step_size`` times the largest curvature is not
    small beside 1. Run half the step as well: the difference shows it.

    Examples
    --------
    >>> from aniso.langevin import drifts, regions
    >>> brownian = problems.LangevinProblem(
    ...     drifts.of_quadratic([[0.0]]), noises.diagonal([1.0]), [0.0]
    ... )
    >>> short = simulate_mean_exit_time(brownian, regions.interval(-9, 9), 0.1, 0.5, 50, seed=1)
    >>> short.mean is None, short.num_censored
    (True, 50)
    """
    exits = first_passage.simulate_exits(
        problem,
        region,
        step_size,
        horizon,
        num_paths,
        seed,
        method=method,
        num_threads=num_threads,
        checkpoint=checkpoint,
    )
    return censoring.estimate_mean_exit_time(
        exits.times,
        exits.exited,
        exits.horizon,
        confidence=confidence,
        step_size=exits.step_size if method == "grid" else 0.0,
    )


def simulate_chain_and_equation(
    drift,
    minibatch_covariance,
    learning_rate,
    start,
    region,
    horizon,
    num_paths,
    seed,
    *,
    substeps=8,
    confidence=0.95,
    num_threads=None,
):
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
        Steps of the equation's scheme per step of the chain.
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
    correction is needed.

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
    """
    covariance = operands.dense_covariance(
        "minibatch_covariance", minibatch_covariance, "mini-batch"
    )
    learning_rate = checks.number("learning_rate", learning_rate, low=0, strict=True)
    substeps = checks.integer("substeps", substeps, low=1)
    problem = problems.LangevinProblem(drift, noises.constant(learning_rate * covariance), start)
    results = [
        simulate_mean_exit_time(
            problem,
            region,
            step_size,
            horizon,
            num_paths,
            seed,
            method=method,
            confidence=confidence,
            num_threads=num_threads,
        )
        for step_size, method in (
            (learning_rate, "grid"),
            (learning_rate / substeps, "bridge"),
        )
    ]
    return ChainAndEquation(*results)


def simulate_exit_points(problem, region, step_size, horizon, num_paths, seed, **options):
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
