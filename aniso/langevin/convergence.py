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
    error too.

    An order is unresolved if its interval is wider than 0.25 to a side. It is also unresolved if an
    error is smaller than three times its sampling error.

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
        errors = _exact_errors(problem, scheme, time, counts)
        (strong, weak), bars = errors, np.zeros((2, num_levels))
    else:
        num_paths = checks.integer("num_paths", num_paths, low=100)
        strong, weak, bars = _simulated_errors(
            problem, scheme, time, counts, num_paths, seed, num_threads
        )
    sizes = time / counts
    return ConvergenceStudy(
        chosen.name,
        _order(sizes, strong, bars[0], confidence),
        _order(sizes, weak, bars[1], confidence),
        problem.is_linear,
    )


def _exact_errors(problem, scheme, time, counts):
    hessian, factor = problem.drift.hessian, problem.noise.factor
    size = problem.dimension
    zero = np.zeros((size, size))
    exact = linear_schemes.step("exact", hessian, factor, time)
    mean, covariance = linear_schemes.moments_at(exact, problem.start, zero, 1)
    strong, weak = [], []
    for count in counts:
        step = linear_schemes.step(scheme, hessian, factor, time / count)
        m, c = linear_schemes.moments_at(step, problem.start, zero, int(count))
        second = c + np.outer(m, m) - covariance - np.outer(mean, mean)
        weak.append(math.hypot(np.linalg.norm(m - mean), np.linalg.norm(second)))
        strong.append(
            linear_schemes.strong_error(scheme, hessian, factor, problem.start, time, int(count))
        )
    return np.array(strong), np.array(weak)


def _simulated_errors(problem, scheme, time, counts, num_paths, seed, num_threads):
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
    strong, weak, bars = [], [], np.zeros((2, len(counts)))
    for level, (end, halved) in enumerate(itertools.pairwise(ends)):
        squares = np.sum((end - halved) ** 2, axis=1)
        strong.append(math.sqrt(squares.mean()))
        # standard error of a root: half that of the square, over the root
        bars[0, level] = squares.std() / math.sqrt(num_paths) / (2 * strong[-1] + 1e-300)
        # mean and second moments, as differences on the same paths
        moments = [
            np.hstack([x, (x[:, :, None] * x[:, None, :]).reshape(num_paths, -1)])
            for x in (end, halved)
        ]
        difference = moments[0] - moments[1]
        bias = difference.mean(axis=0)
        weak.append(float(np.linalg.norm(bias)))
        spread = difference.std(axis=0) / math.sqrt(num_paths)
        bars[1, level] = float(np.linalg.norm(spread * bias) / (weak[-1] + 1e-300))
    return np.array(strong), np.array(weak), bars


def _order(sizes, errors, bars, confidence):
    """Return the slope of log error against log step, its sampling error and its curvature."""
    tiny = 1e-13 * max(1.0, errors.max())
    if errors.min() <= tiny:
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
