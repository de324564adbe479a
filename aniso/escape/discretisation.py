"""Mean exit time at step size 0, from runs with several steps on the same Wiener paths.

A simulated mean exit time T_h differs from the exact one T by an error of its step h. With an
exit corrected by the bridge or the shift it is ``T_h = T + b h + ...``. With an exit seen at the
ends of steps only it is ``T_h = T + a sqrt h + b h + ...``. Each power is removed by one more run.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import scipy

from aniso import checks, estimates
from aniso.escape import censoring

if TYPE_CHECKING:
    from aniso.escape.censoring import MeanExitTime
    from aniso.typing import ArrayLike


POWERS = {"bridge": (1.0,), "shift": (1.0,), "grid": (0.5, 1.0)}
"""Powers of the step in the error of a mean exit time, by method of detecting an exit."""


def extrapolation_weights(method):
    """Return the weights of runs with the steps h, h / 2, ... whose sum has no error of low order.

    Parameters
    ----------
    method : {"bridge", "shift", "grid"}
        Method of detecting an exit.

    Returns
    -------
    numpy.ndarray, shape (K,)
        K is 2 for "bridge" and "shift", and 3 for "grid". Their sum is 1.

    Examples
    --------
    >>> extrapolation_weights("bridge").round(12).tolist()
    [-1.0, 2.0]
    >>> extrapolation_weights("grid").round(3).tolist()
    [2.414, -8.243, 6.828]
    """
    powers = POWERS[checks.one_of("method", method, list(POWERS))]
    return _weights(powers)


def _weights(powers):
    steps = 0.5 ** np.arange(len(powers) + 1)
    rows = np.stack([np.ones_like(steps), *(steps**power for power in powers)])
    return np.linalg.solve(rows, np.eye(len(steps))[0])


def extrapolate_mean_exit_time(
    times: Sequence[ArrayLike],
    exited: Sequence[ArrayLike],
    horizon: float,
    *,
    method: Literal["bridge", "shift", "grid"],
    confidence: float = 0.95,
    step_size: float = 0.0,
) -> MeanExitTime:
    """Estimate the mean exit time at step size 0, with sampling and discretisation errors.

    ``T = sum_k w_k T_k`` with the weights of :func:`extrapolation_weights`; for the bridge
    ``2 T_{h/2} - T_h``. The discretisation error is the distance from T to the mean of the smallest
    step. For "grid" it is at least the distance to the value that two runs give.

    Parameters
    ----------
    times : sequence of array_like, each of shape (n,)
        Exit times with the steps h, h / 2, ...; the same path in the same place. The horizon where
        a path is censored.
    exited : sequence of array_like of bool, each of shape (n,)
        False where a path was still inside at the end.
    horizon : float
        Time at which the simulations stopped.
    method : {"bridge", "shift", "grid"}
        Method of detecting an exit; it determines the number of runs.
    confidence : float
        Level of the interval.
    step_size : float
        Largest step h, if exit times are multiples of their step; 0 if time is continuous.

    Returns
    -------
    MeanExitTime
        Its mean is an :class:`~aniso.estimates.ExtrapolatedEstimate`. Its interval is that of
        sampling, widened by the discretisation error. Counts and p value are those of the
        smallest step.

    Raises
    ------
    InputError
        If the runs have different numbers of paths, there are too few of them, or as
        :func:`aniso.escape.censoring.estimate_mean_exit_time`.

    Notes
    -----
    The mean is None if one of the runs has none, or if the steps are so large that T is not
    positive. The standard error counts that the runs share their paths: it is that of the sum of
    the influences ``(t_i - T_k d_i) n / sum d`` of path i, where d_i is 1 for an exit and 0 for a
    censored path. With censoring the interval is that of an exponential law with
    ``(T / standard error)^2`` exits.

    Examples
    --------
    Two paths, means 5 and 6 with steps h and h / 2: 2 · 6 - 5 = 7, one from the smaller step.

    >>> left = np.ones(2, bool)
    >>> times = [[4.0, 6.0], [5.0, 7.0]]
    >>> extrapolate_mean_exit_time(times, [left, left], 9.0, method="bridge").mean
    ExtrapolatedEstimate(value=7.0, standard_error=1.0, num_samples=2, discretisation_error=1.0)
    """
    weights = extrapolation_weights(method)
    if len(times) != len(weights) or len(exited) != len(weights):
        raise checks.InputError(
            f"times holds {len(times)} runs and exited {len(exited)}; expected {len(weights)} for "
            f"method={method!r}, each with half the step of the one before"
        )
    step_size = checks.number("step_size", step_size, low=0)
    runs = [
        censoring.estimate_mean_exit_time(
            t, e, horizon, confidence=confidence, step_size=step_size / 2**k
        )
        for k, (t, e) in enumerate(zip(times, exited, strict=True))
    ]
    times, exited = [np.asarray(t, float) for t in times], [np.asarray(e) for e in exited]
    if len({t.size for t in times}) > 1:
        raise checks.InputError(
            f"the runs have {[t.size for t in times]} paths; expected the same number in each"
        )
    finest = runs[-1]
    unknown = [run for run in runs if run.mean is None]
    if unknown:
        verdict = (finest if finest.mean is None else unknown[0]).verdict
        low = min(run.interval[0] for run in runs)
        return _with(finest, None, (low, math.inf), f"{verdict}; discretisation error unknown")
    means = np.array([run.mean.value for run in runs])
    value = float(weights @ means)
    # the values of fewer runs, which remove fewer powers of the step
    error = max(abs(value - _fewer(means, n, method)) for n in range(1, len(means)))
    if not value > 0:
        return _with(
            finest,
            None,
            (0.0, math.inf),
            f"unknown: the means {[float(f'{m:.6g}') for m in means]} of the step sizes, each half "
            "the one before, do not extrapolate to a positive time; simulate with a smaller step",
        )
    n = times[0].size
    influence = sum(
        w * (t - m * e) * (n / e.sum())
        for w, m, t, e in zip(weights, means, times, exited, strict=True)
    )
    spread = math.inf if n == 1 else float(influence.std(ddof=1) / math.sqrt(n))
    mean = estimates.ExtrapolatedEstimate(value, spread, finest.mean.num_samples, float(error))
    low, high = _interval(mean, finest, confidence)
    return _with(
        finest,
        mean,
        (max(low - error, 0.0), high + error),
        f"{finest.verdict}; extrapolated from {len(runs)} step sizes to 0",
    )


def _fewer(means, number, method):
    """Extrapolate the last `number` means, with the lowest powers."""
    return float(_weights(POWERS[method][: number - 1]) @ means[-number:])


def _interval(mean, finest, confidence):
    """Sampling interval of an extrapolated mean: normal, or exponential with censored paths."""
    tail = (1 - confidence) / 2
    if finest.num_censored == 0 or not 0 < mean.standard_error < math.inf:
        half = float(scipy.stats.norm.ppf(1 - tail)) * mean.standard_error
        return mean.value - half, mean.value + half
    # as many exits as give an exponential law this error
    exits = min((mean.value / mean.standard_error) ** 2, finest.num_exits)
    least = float(scipy.stats.chi2.ppf(tail, 2 * exits))  # 0 for a small part of an exit
    return (
        float(2 * exits * mean.value / scipy.stats.chi2.ppf(1 - tail, 2 * exits + 2)),
        2 * exits * mean.value / least if least > 0 else math.inf,
    )


def _with(finest, mean, interval, verdict):
    return censoring.MeanExitTime(
        mean,
        interval,
        finest.confidence,
        finest.num_exits,
        finest.num_censored,
        finest.horizon,
        finest.exponential_p_value,
        verdict,
    )
