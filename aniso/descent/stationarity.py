"""Test whether a run of SGD has become stationary, by a relation of first order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import scipy

from aniso import checks
from aniso.estimates import Estimate, correlated_mean

if TYPE_CHECKING:
    from aniso.typing import ArrayLike


MIN_INDEPENDENT = 50
"""Autocorrelation times that a run must span for a verdict."""
NUM_BLOCKS = 32
"""Blocks of the run whose means reveal a memory that is hidden under short-lived noise."""
MAX_CORRELATION = 0.7
"""Correlation of neighbouring block means above which a run is too short for its memory."""


@dataclass(frozen=True, repr=False)
class StationarityTest:
    """Both sides of the stationarity relation along a run, and the verdict.

    Attributes
    ----------
    position_side : float
        Mean of ``theta . grad L``.
    noise_side : float
        ``(eta / 2) (1 + beta)`` times the mean of the square norms.
    difference : Estimate
        ``position_side / noise_side - 1``, with the error that autocorrelation leaves.
    low, high : float
        Interval of `difference`, from Student's distribution.
    autocorrelation_time : float
        Of the difference, in steps.
    block_correlation : float
        Correlation of the means of neighbouring blocks, 32 of them.
    tolerance : float
        Difference that counts as stationary.
    verdict : str
        "stationary", "not stationary" or "unresolved".

    Examples
    --------
    >>> difference = Estimate(0.01, 0.005, 90)
    >>> StationarityTest(1.01, 1.0, difference, 0.0, 0.02, 3.0, 0.1, 0.05, "stationary")
    <StationarityTest: stationary, difference 0.01 ± 0.005, interval 0 to 0.02, tolerance 0.05, \
autocorrelation time 3>
    """

    position_side: float
    noise_side: float
    difference: Estimate
    low: float
    high: float
    autocorrelation_time: float
    block_correlation: float
    tolerance: float
    verdict: str

    def __repr__(self):
        return (
            f"<StationarityTest: {self.verdict}, difference {self.difference}, interval "
            f"{self.low:.4g} to {self.high:.4g}, tolerance {self.tolerance:g}, autocorrelation "
            f"time {self.autocorrelation_time:.3g}>"
        )


def stationarity_test(
    position_products: ArrayLike,
    square_norms: ArrayLike,
    learning_rate: float,
    *,
    momentum: float = 0.0,
    every: int = 1,
    tolerance: float = 0.05,
    confidence: float = 0.95,
) -> StationarityTest:
    """Compare ``<theta^T grad L>`` with ``(eta / 2) <|g_B|^2>`` along a run of SGD.

    Parameters
    ----------
    position_products : array_like, shape (T,)
        ``theta_t . grad L(theta_t)`` at successive records, T >= 64.
    square_norms : array_like, shape (T,)
        ``|g_B|^2`` of the batches, or its expectation ``|g|^2 + Tr S``. With momentum ``|v|^2`` of
        the velocity ``v <- beta v - g_B``, ``theta <- theta + eta v``.
    learning_rate : float
        eta > 0, constant along the run.
    momentum : float
        beta within [0, 1).
    every : int
        Steps between two records.
    tolerance : float
        Relative difference that counts as stationary, > 0.
    confidence : float
        Confidence of the interval, within (0, 1).

    Returns
    -------
    StationarityTest
        "stationary": the interval of the difference lies within the tolerance. "not stationary": it
        excludes 0 and reaches beyond the tolerance. "unresolved": neither, or the run is too short
        for its memory. That is a run of less than 50 autocorrelation times, or a correlation above
        0.7 between the means of neighbouring blocks, 32 of them.

    Raises
    ------
    InputError
        If an argument breaks its rule, or all square norms are 0.

    Notes
    -----
    The relation is necessary for stationarity, not sufficient: it says that ``|theta|^2`` no longer
    grows. It holds for any loss and depends on the origin of theta. Weight decay belongs to the
    loss. The error of the difference is the larger of two: that of
    :func:`aniso.estimates.correlated_mean`, and that of the block means with their correlation.
    Student's distribution has ``T / (5 tau)`` degrees of freedom, at most 31. A mode slower than
    the whole run can not be told from a lack of stationarity. The gradient in the products is the
    full one: with ``theta . g_B`` the differences sum to ``(|theta_0|^2 - |theta_T|^2)/(2 eta)`` in
    any run. Source: Yaida 2019; derivation: docs/theory/motion.md.

    Examples
    --------
    >>> alternating = np.tile([0.9, 1.1], 200)
    >>> stationarity_test(alternating, np.full(400, 20.0), 0.1).verdict
    'stationary'
    >>> stationarity_test(alternating, np.full(400, 30.0), 0.1).verdict
    'not stationary'
    """
    position = checks.array("position_products", position_products, shape=(None,))
    if position.size < 2 * NUM_BLOCKS:
        raise checks.InputError(
            f"position_products has {position.size} entries; expected at least {2 * NUM_BLOCKS}"
        )
    norms = checks.array("square_norms", square_norms, shape=position.shape)
    if norms.min() < 0 or not norms.any():
        raise checks.InputError(
            f"square_norms has the least entry {norms.min():g} and the mean {norms.mean():g}; "
            "expected numbers >= 0, not all 0"
        )
    learning_rate = checks.number("learning_rate", learning_rate, low=0, strict=True)
    momentum = checks.number("momentum", momentum, low=0)
    if momentum >= 1:
        raise checks.InputError(f"momentum={momentum}; expected a number with 0 <= momentum < 1")
    every = checks.integer("every", every, low=1)
    tolerance = checks.number("tolerance", tolerance, low=0, strict=True)
    confidence = checks.number("confidence", confidence, low=0, high=1, strict=True)
    noise = 0.5 * learning_rate * (1 + momentum) * norms
    right = float(noise.mean())
    ratio = float(position.mean()) / right
    # to first order the error of a ratio of means is that of the mean of this series
    series = (position - ratio * noise) / right
    found, time = correlated_mean(series)
    spread, correlation = _blocks(series)
    error = max(found.standard_error, spread)
    difference = Estimate(ratio - 1, error, found.num_samples)
    independent = position.size / time
    freedom = min(max(1.0, independent / 5), NUM_BLOCKS - 1)
    half = float(scipy.stats.t.ppf(0.5 + confidence / 2, freedom)) * error
    low, high = difference.value - half, difference.value + half
    if independent < MIN_INDEPENDENT or correlation > MAX_CORRELATION:
        verdict = "unresolved"
    elif max(-low, high) <= tolerance:
        verdict = "stationary"
    elif low > 0 or high < 0:
        verdict = "not stationary"
    else:
        verdict = "unresolved"
    return StationarityTest(
        float(position.mean()),
        right,
        difference,
        low,
        high,
        time * every,
        correlation,
        tolerance,
        verdict,
    )


def _blocks(series):
    # standard error from the means of blocks, and the correlation of neighbouring ones
    length = series.size // NUM_BLOCKS
    means = series[-NUM_BLOCKS * length :].reshape(NUM_BLOCKS, length).mean(axis=1)
    deviations = means - means.mean()
    total = float(deviations @ deviations)
    correlation = float(deviations[1:] @ deviations[:-1]) / total if total > 0 else 0.0
    # neighbours that are correlated by r leave (1 - r)/(1 + r) of the blocks independent
    lost = (1 + max(0.0, correlation)) / (1 - max(0.0, correlation))
    return float(np.sqrt(lost * total / (NUM_BLOCKS - 1) / NUM_BLOCKS)), correlation
