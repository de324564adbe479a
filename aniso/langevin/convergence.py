"""Measured strong and weak order of a scheme on a problem, with an interval, or "unresolved"."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import scipy

from aniso import checks, estimates
from aniso.langevin import ensembles, linear_schemes, problems, schemes

if TYPE_CHECKING:
    from aniso.langevin.problems import LangevinProblem


WIDEST_INTERVAL = 0.25
"""Half-width of the confidence interval above which an order is called unresolved."""


@dataclass(frozen=True)
class MeasuredOrder:
    """Order of convergence, fitted to the errors of several step sizes.

    Attributes
    ----------
    order : float or None
        None where it is unresolved.
    interval : tuple of float
        Confidence interval of the order, (low, high).
    step_sizes, errors, error_bars : numpy.ndarray, shape (n,)
        Step sizes, each half the one before; the errors of the scheme; and the standard errors of
        these, 0 if the moments are exact.
    verdict : str
        "resolved", or "unresolved" with the reason and a remedy.
    """

    order: float | None
    interval: tuple
    step_sizes: np.ndarray
    errors: np.ndarray
    error_bars: np.ndarray
    verdict: str


@dataclass(frozen=True)
class ConvergenceStudy:
    """Strong and weak order of a scheme.

    Attributes
    ----------
    scheme : str
        Name of the scheme.
    strong, weak : MeasuredOrder
        Order of ``sqrt(E |X_n - X(T)|^2)``, and order of the errors of the mean and the second
        moments of theta.
    is_exact : bool
        Whether the errors come from exact moment propagation.
    """

    scheme: str
    strong: MeasuredOrder
    weak: MeasuredOrder
    is_exact: bool


def measure_convergence(
    problem: LangevinProblem,
    scheme: str,
    *,
    time: float = 1.0,
    coarsest: int = 8,
    num_levels: int = 5,
    num_paths: int = 20_000,
    seed: int = 0,
    confidence: float = 0.95,
    num_threads: int | None = None,
) -> ConvergenceStudy:
    """Estimate the strong and weak order of a scheme at a fixed time, with confidence intervals.

    Parameters
    ----------
    problem : LangevinProblem
        Drift, noise and start.
    scheme : str
        A name in :data:`aniso.langevin.schemes.SCHEMES`.
    time : float
        T.
    coarsest : int
        Number of steps of the coarsest level; each level doubles it.
    num_levels : int
        Number of levels, at least 3.
    num_paths, seed, num_threads
        As in :func:`aniso.langevin.simulate_ensemble`; unused if the moments are exact.
    confidence : float
        Level of the intervals.

    Returns
    -------
    ConvergenceStudy

    Raises
    ------
    InputError
        If an argument breaks its rule, or the scheme is exact and has no order. If the scheme is
        unstable at the coarsest step and its moments overflow.

    Notes
    -----
    With linear drift and constant noise the moments of scheme and solution are exact. The interval
    then covers only the curvature of log error against log step.

    Otherwise all levels follow the same Wiener paths. The error of a level is its distance to the
    level with half the step, which decreases with the same order. The interval covers the sampling
    error too. The weak error is the length of the differences of all first and second moments; the
    sum of their sampling variances is subtracted from its square.

    An order is unresolved if its interval is wider than 0.25 to a side. It is also unresolved if an
    error is smaller than three times its sampling error, or 1e-13 of the moments.

    Examples
    --------
    >>> from aniso.langevin import drifts, noises
    >>> problem = problems.LangevinProblem(
    ...     drifts.of_quadratic([[1.0]]), noises.diagonal([1.0]), [1.0]
    ... )
    >>> study = measure_convergence(problem, "stochastic_heun")
    >>> round(study.strong.order, 1), round(study.weak.order, 1), study.is_exact
    (1.0, 2.0, True)
    """
    if not isinstance(problem, problems.LangevinProblem):
        raise checks.InputError("problem is no LangevinProblem; expected LangevinProblem(...)")
    chosen = problems.require_scheme(schemes.scheme(scheme), problem)
    if chosen.name == "exact":
        raise checks.InputError("scheme='exact' has no order; expected another scheme")
    time = checks.number("time", time, low=0, strict=True)
    coarsest = checks.integer("coarsest", coarsest, low=1)
    num_levels = checks.integer("num_levels", num_levels, low=3)
    confidence = checks.number("confidence", confidence, low=0, high=1, strict=True)
    counts = coarsest * 2 ** np.arange(num_levels)
    if problem.is_linear:
        found = _exact_errors(problem, scheme, time, counts)
    else:
        num_paths = checks.integer("num_paths", num_paths, low=100)
        found = _simulated_errors(problem, scheme, time, counts, num_paths, seed, num_threads)
    strong, weak = (_order(time / counts, *of, confidence) for of in zip(*found, strict=True))
    return ConvergenceStudy(chosen.name, strong, weak, problem.is_linear)


def _exact_errors(problem, scheme, time, counts):
    """Return strong and weak errors (2, n), error bars of 0, and the sizes of what is compared."""
    hessian, factor = problem.drift.hessian, problem.noise.factor
    size = problem.dimension
    zero = np.zeros((size, size))
    exact = linear_schemes.step("exact", hessian, factor, time)
    mean, covariance = linear_schemes.moments_at(exact, problem.start, zero, 1)
    second = covariance + np.outer(mean, mean)
    errors = np.zeros((2, len(counts)))
    for level, count in enumerate(counts.tolist()):
        step = linear_schemes.step(scheme, hessian, factor, time / count)
        m, c = linear_schemes.moments_at(step, problem.start, zero, count)
        bias = c + np.outer(m, m) - covariance - np.outer(mean, mean)
        errors[1, level] = math.hypot(np.linalg.norm(m - mean), np.linalg.norm(bias))
        errors[0, level] = linear_schemes.strong_error(
            scheme, hessian, factor, problem.start, time, count
        )
    sizes = math.sqrt(np.trace(second)), math.hypot(np.linalg.norm(mean), np.linalg.norm(second))
    return errors, np.zeros_like(errors), sizes


def _simulated_errors(problem, scheme, time, counts, num_paths, seed, num_threads):
    """Return strong and weak errors (2, n), their error bars, and the sizes of what is compared."""
    finest = int(2 * counts[-1])
    ends = [
        ensembles.simulate_paths(
            problem,
            scheme,
            time / count,
            [int(count)],
            num_paths,
            seed,
            substeps=finest // int(count),
            num_threads=num_threads,
        )[:, 0]
        for count in (*counts, finest)
    ]
    errors, bars = np.zeros((2, len(counts))), np.zeros((2, len(counts)))
    for level, (end, halved) in enumerate(itertools.pairwise(ends)):
        squares = np.sum((end - halved) ** 2, axis=1)
        errors[0, level] = math.sqrt(squares.mean())
        # standard error of a root: half that of the square, over the root
        bars[0, level] = squares.std() / math.sqrt(num_paths) / (2 * errors[0, level] + 1e-300)
        errors[1, level], bars[1, level] = _length_of_mean(_moments(end) - _moments(halved))
    moments = _moments(ends[-1])
    sizes = math.sqrt(np.mean(np.sum(ends[-1] ** 2, axis=1))), np.linalg.norm(moments.mean(axis=0))
    return errors, bars, sizes


def _moments(states):
    """Return the states of paths (P, D) and their products, shape (P, D + D^2)."""
    return np.hstack([states, (states[:, :, None] * states[:, None, :]).reshape(len(states), -1)])


def _length_of_mean(samples):
    """Return the length of the mean of samples (P, K), without sampling bias, and its error.

    The squared length of a sample mean exceeds that of the mean by the sum of its variances.
    """
    mean = samples.mean(axis=0)
    spread = samples.var(axis=0, ddof=1).sum() / len(samples)
    square = max(mean @ mean - spread, 0.0)
    # the variance of the square: 4 b^T C b + 2 Tr C^2, where C is that of the mean b
    along = (samples @ mean).var(ddof=1) / len(samples)
    error = math.sqrt(4 * along + 2 * spread**2)  # Tr C^2 is at most (Tr C)^2
    length = math.sqrt(square)
    # the error of a root, and where that is large the root of the error
    return length, error / max(2 * length, math.sqrt(error), 1e-300)


def _order(sizes, errors, bars, scale, confidence):
    """Return the slope of log error against log step, its sampling error and its curvature.

    `scale` is the size of the numbers whose difference is the error.
    """
    tiny = 1e-13 * max(scale, errors.max())
    if np.maximum(errors, bars).min() <= tiny:
        return MeasuredOrder(
            None,
            (-math.inf, math.inf),
            sizes,
            errors,
            bars,
            "unresolved: the errors are at rounding level; take coarser steps",
        )
    if (errors < 3 * bars).any():
        return MeasuredOrder(
            None,
            (-math.inf, math.inf),
            sizes,
            errors,
            bars,
            "unresolved: an error does not stand out of its sampling error; take more paths or "
            "coarser steps",
        )
    # the two finest halvings are closest to the limit
    fit = estimates.loglog_slope(sizes[-3:], errors[-3:])
    relative = bars[-3:] / errors[-3:]
    u = np.log(sizes[-3:])
    weights = (u - u.mean()) / np.sum((u - u.mean()) ** 2)
    sampling = float(np.sqrt(np.sum((weights * relative) ** 2)))
    bend = abs(math.log2(errors[-3] / errors[-2]) - math.log2(errors[-2] / errors[-1]))
    half = float(scipy.stats.norm.ppf(0.5 + confidence / 2)) * sampling + bend
    interval = (fit.value - half, fit.value + half)
    if half > WIDEST_INTERVAL:
        return MeasuredOrder(
            None,
            interval,
            sizes,
            errors,
            bars,
            f"unresolved: the order lies between {interval[0]:.2f} and {interval[1]:.2f}; take "
            "finer steps or more paths",
        )
    return MeasuredOrder(fit.value, interval, sizes, errors, bars, "resolved")
