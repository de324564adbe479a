"""Mean exit time from censored exits: maximum likelihood, interval, test of exponentiality."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import scipy

from aniso import checks, estimates

if TYPE_CHECKING:
    from aniso.typing import ArrayLike


EXPONENTIALITY_LEVEL = 1e-3
"""Below this p value the exits are not called exponential."""


@dataclass(frozen=True)
class MeanExitTime:
    """A mean exit time, or the verdict that the simulation was too short for one.

    Attributes
    ----------
    mean : estimates.Estimate or None
        Mean exit time. None if no path has left. None also if paths are censored and the exits are
        not exponential, because the remaining time of the censored paths is then unknown.
    interval : tuple of float
        Confidence interval (low, high); (low, inf) where only a lower bound is known.
    confidence : float
        Confidence level of `interval`.
    num_exits, num_censored : int
        Number of paths that left, and number of paths that were still inside at the end.
    horizon : float
        Time at which the simulation stopped.
    exponential_p_value : float
        p value of the hypothesis that exits come at a constant rate; nan below five exits.
    verdict : str
        Meaning of the mean in words, or the reason why it is None.
    """

    mean: estimates.Estimate | None
    interval: tuple[float, ...]
    confidence: float
    num_exits: int
    num_censored: int
    horizon: float
    exponential_p_value: float
    verdict: str

    def __repr__(self):
        low, high = self.interval
        mean = "unknown" if self.mean is None else str(self.mean)
        return (
            f"MeanExitTime: {mean}\n"
            f"  {100 * self.confidence:g} % interval ({low:.6g}, {high:.6g})\n"
            f"  {self.num_exits} exits, {self.num_censored} censored at {self.horizon:g}, "
            f"p value of exponential exits {self.exponential_p_value:.2g}\n"
            f"  {self.verdict}"
        )

    @property
    def is_exponential(self) -> bool:
        """Whether exits at a constant rate are not rejected."""
        return not self.exponential_p_value < EXPONENTIALITY_LEVEL


def estimate_mean_exit_time(
    times: ArrayLike,
    exited: ArrayLike,
    horizon: float,
    *,
    confidence: float = 0.95,
    step_size: float = 0.0,
) -> MeanExitTime:
    """Estimate the mean of exit times of which some are censored at the horizon.

    Without censoring the estimate is the sample mean with its standard error. With censoring it is
    the maximum likelihood estimate of an exponential law, ``tau = sum t_i / d``: the total time at
    risk over the number d of exits. It is None if the observed exits are not exponential.

    Parameters
    ----------
    times : array_like, shape (n,)
        Exit times; the horizon where a path is censored.
    exited : array_like of bool, shape (n,)
        False where a path was still inside at the end.
    horizon : float
        Time at which the simulation stopped.
    confidence : float
        Level of the interval.
    step_size : float
        Step of a discrete chain, whose exit times are multiples of it; 0 if time is continuous.

    Returns
    -------
    MeanExitTime

    Raises
    ------
    InputError
        If the times are not positive, or a censored path has another time than the horizon.

    Notes
    -----
    Without censoring the interval is the normal one. With censoring it is ``2 T / chi^2`` with
    2 d + 2 and 2 d degrees of freedom and the total time at risk T. It is conservative; it would be
    exact if the d-th exit ended the simulation.

    On the scale of total time at risk, exits at a constant rate are uniform. The test of
    Kolmogorov and Smirnov compares the exits with this law. Exits within one step of a chain are
    spread evenly over the step. Source: Lawless, "Statistical Models and Methods for Lifetime Data"
    (2003), chapters 3 and 10.

    Examples
    --------
    Four paths, two exits at 1 and 3, two still inside at 4: (1 + 3 + 4 + 4) / 2 = 6.

    >>> result = estimate_mean_exit_time([1.0, 3.0, 4.0, 4.0], [True, True, False, False], 4.0)
    >>> result.mean.value, result.num_censored
    (6.0, 2)
    >>> result
    MeanExitTime: 6 ± 4.2
      95 % interval (1.66097, 49.5439)
      2 exits, 2 censored at 4, p value of exponential exits nan
      2 of 4 paths censored: maximum likelihood of an exponential law
    >>> estimate_mean_exit_time([4.0], [False], 4.0).mean is None
    True
    """
    times = checks.array("times", times, shape=(None,))
    exited = checks.as_given("exited", exited)
    if exited.dtype != bool or exited.shape != times.shape or times.size == 0:
        raise checks.InputError("exited has to hold one bool per time; expected at least one")
    horizon = checks.number("horizon", horizon, low=0)
    confidence = checks.number("confidence", confidence, low=0, high=1, strict=True)
    step_size = checks.number("step_size", step_size, low=0)
    if times.min() <= 0 or times.max() > horizon * (1 + 1e-12):
        raise checks.InputError("times have to lie in (0, horizon]")
    if (times[~exited] < horizon * (1 - 1e-12)).any():
        raise checks.InputError("a censored path has a time below the horizon")
    num_exits, num_censored = int(exited.sum()), int((~exited).sum())
    at_risk = float(times.sum())
    p_value = _exponentiality(_spread_over_steps(times, exited, step_size), exited)
    tail = (1 - confidence) / 2
    shared = (confidence, num_exits, num_censored, horizon, p_value)
    if num_exits == 0:
        low = 2 * at_risk / scipy.stats.chi2.ppf(confidence, 2)
        return MeanExitTime(
            None,
            (float(low), math.inf),
            *shared,
            f"censored: no path left within the horizon {horizon:g}; only a lower bound of the "
            "mean exit time, which assumes a constant rate, is known",
        )
    if num_censored == 0:
        mean = estimates.Estimate.from_samples(times)
        half = float(scipy.stats.norm.ppf(1 - tail)) * mean.standard_error
        interval = (mean.value - half, mean.value + half)
        return MeanExitTime(mean, interval, *shared, "every path left: sample mean")
    low = float(2 * at_risk / scipy.stats.chi2.ppf(1 - tail, 2 * num_exits + 2))
    high = float(2 * at_risk / scipy.stats.chi2.ppf(tail, 2 * num_exits))
    if p_value < EXPONENTIALITY_LEVEL:
        return MeanExitTime(
            None,
            (float(times.mean()), math.inf),
            *shared,
            f"censored: {num_censored} of {times.size} paths are still inside at {horizon:g}, and "
            f"the exits are not exponential (p = {p_value:.1e}); the mean of the censored times "
            "is a lower bound; simulate longer",
        )
    mean = estimates.Estimate(at_risk / num_exits, at_risk / num_exits**1.5, num_exits)
    return MeanExitTime(
        mean,
        (low, high),
        *shared,
        f"{num_censored} of {times.size} paths censored: maximum likelihood of an exponential law",
    )


def _spread_over_steps(times, exited, step_size):
    """Times with the exits at the end of each step spread evenly over that step."""
    _, which, counts = np.unique(times[exited], return_inverse=True, return_counts=True)
    rank = np.empty(which.size)
    rank[np.argsort(which, kind="stable")] = np.arange(which.size) - np.repeat(
        np.cumsum(counts) - counts, counts
    )
    spread = times.copy()
    spread[exited] -= step_size * (1 - (rank + 0.5) / counts[which])
    return spread


def _exponentiality(times, exited):
    """p value of uniformity of the exits on the scale of total time at risk."""
    num_exits = int(exited.sum())
    if num_exits < 5:
        return math.nan
    order = np.sort(times[exited])
    # time at risk of all paths up to t: each path contributes min(its time, t)
    everything = np.sort(times)
    cumulated = np.concatenate([[0.0], np.cumsum(everything)])
    below = np.searchsorted(everything, order, side="right")
    at_risk = cumulated[below] + (times.size - below) * order
    total = cumulated[-1]
    if num_exits == times.size:
        # the last exit ends the time at risk, so it is no free observation
        at_risk = at_risk[:-1]
    return float(scipy.stats.kstest(at_risk / total, "uniform").pvalue)
