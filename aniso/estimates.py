"""Numbers that carry their error bar, and the refusal to return one that is not to be trusted."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from aniso import checks

if TYPE_CHECKING:
    from aniso.typing import ArrayLike


@dataclass(frozen=True)
class Estimate:
    """Mean of a random quantity with its standard error.

    Attributes
    ----------
    value : float
        Sample mean, in the units of the quantity.
    standard_error : float
        Estimated standard deviation of `value`; 0 for an exact number, inf where one sample
        leaves it unknown.
    num_samples : int
        Number of independent samples.

    Examples
    --------
    >>> Estimate.from_samples([1.0, 3.0])
    Estimate(value=2.0, standard_error=1.0, num_samples=2)
    >>> print(Estimate(2.0, 0.5, 100))
    2 ± 0.5
    >>> f"{Estimate(2.0, 0.5, 100):.3f}", float(Estimate(2.0, 0.5, 100))
    ('2.000 ± 0.500', 2.0)
    """

    value: float
    standard_error: float
    num_samples: int

    @classmethod
    def from_samples(cls, samples: ArrayLike) -> Estimate:
        """Mean and standard error of independent samples, shape (n,), n >= 1."""
        samples = checks.array("samples", samples, shape=(None,))
        if samples.size == 0:
            raise checks.InputError("samples is empty; expected at least one sample")
        unit = power_of_two(samples)
        samples, error = samples / unit, math.inf
        if samples.size > 1:
            error = unit * float(samples.std(ddof=1) / math.sqrt(samples.size))
        return cls(unit * float(samples.mean()), error, int(samples.size))

    def z_score(self, reference: float) -> float:
        """``(value - reference) / standard_error``; 0 for an exact hit without error.

        Examples
        --------
        >>> Estimate(2.0, 0.5, 100).z_score(1.0)
        2.0
        """
        difference = self.value - float(reference)
        if self.standard_error == 0:
            return 0.0 if difference == 0 else math.copysign(math.inf, difference)
        return difference / self.standard_error

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Confidence interval of Student's t with ``num_samples - 1`` degrees of freedom.

        Parameters
        ----------
        confidence : float
            Probability that the interval holds the quantity, between 0 and 1.

        Returns
        -------
        low, high : float
            Both equal to the value where it is exact; infinite where one sample leaves the error
            unknown.

        Notes
        -----
        Exact for normal samples. Skewed samples are covered a few per cent less often.

        Examples
        --------
        >>> low, high = Estimate(2.0, 1.0, 2).interval()  # t of 0.975 and one degree is 12.706
        >>> round(low, 3), round(high, 3)
        (-10.706, 14.706)
        """
        confidence = checks.number("confidence", confidence, low=0, high=1, strict=True)
        if self.standard_error == 0:
            return self.value, self.value
        if self.num_samples < 2:
            return -math.inf, math.inf
        from scipy.special import stdtrit  # half a second that `import aniso` does not need

        quantile = stdtrit(self.num_samples - 1, (1 + confidence) / 2)
        half = float(quantile) * self.standard_error
        return self.value - half, self.value + half

    def scaled(self, factor: float) -> Estimate:
        """Return the estimate of `factor` times the quantity; 0 times it is exactly 0."""
        return Estimate(
            self.value * factor, _scaled_error(self.standard_error, factor), self.num_samples
        )

    def __float__(self):
        return float(self.value)

    def __format__(self, specification):
        """Format value and standard error alike; without a specification as ``str`` does."""
        if not specification:
            return str(self)
        return f"{self.value:{specification}} ± {self.standard_error:{specification}}"

    def __str__(self):
        return f"{self.value:.6g} ± {self.standard_error:.2g}"


@dataclass(frozen=True)
class ExtrapolatedEstimate(Estimate):
    """Estimate extrapolated to step size 0, with an error of its discretisation.

    Attributes
    ----------
    discretisation_error : float
        Distance from the extrapolated value to that of the smallest step. The sampling error is
        `standard_error`.

    Examples
    --------
    >>> estimate = ExtrapolatedEstimate(2.0, 0.5, 100, 0.25)
    >>> print(estimate)
    2 ± 0.75 (sampling 0.5, discretisation 0.25)
    >>> estimate.z_score(3.5)
    -2.0
    """

    discretisation_error: float = 0.0

    @property
    def combined_error(self):
        """Sum of the standard error of sampling and the discretisation error."""
        return self.standard_error + self.discretisation_error

    def z_score(self, reference):
        """``(value - reference) / combined_error``; 0 for an exact hit without error.

        Examples
        --------
        >>> ExtrapolatedEstimate(2.0, 0.5, 100, 0.5).z_score(1.0)
        1.0
        """
        return Estimate(self.value, self.combined_error, self.num_samples).z_score(reference)

    def interval(self, confidence=0.95):
        """Confidence interval of the sampling, widened by `discretisation_error` on both sides.

        Examples
        --------
        >>> ExtrapolatedEstimate(2.0, 0.0, 100, 0.25).interval()
        (1.75, 2.25)
        """
        low, high = super().interval(confidence)
        return low - self.discretisation_error, high + self.discretisation_error

    def scaled(self, factor):
        """Return the estimate of `factor` times the quantity; 0 times it is exactly 0."""
        return ExtrapolatedEstimate(
            self.value * factor,
            _scaled_error(self.standard_error, factor),
            self.num_samples,
            _scaled_error(self.discretisation_error, factor),
        )

    def __format__(self, specification):
        """Format value and combined error alike; without a specification as ``str`` does."""
        if not specification:
            return str(self)
        return f"{self.value:{specification}} ± {self.combined_error:{specification}}"

    def __str__(self):
        return (
            f"{self.value:.6g} ± {self.combined_error:.2g} (sampling {self.standard_error:.2g}, "
            f"discretisation {self.discretisation_error:.2g})"
        )


def _scaled_error(error, factor):
    # an unknown error times 0 is 0, not NaN
    return error * abs(factor) if factor else 0.0


class NotConverged(RuntimeError):
    """An iteration stopped before it reached its tolerance; `partial` is its last result.

    Attributes
    ----------
    partial : object
        The best result so far, of the same type as a complete result.
    """

    partial: Any

    def __init__(self, message: str, partial: Any) -> None:
        super().__init__(message)
        self.partial = partial

    def __reduce__(self):
        # the arguments of __init__: those that the base class remembers are fewer
        return type(self), (*self.args, self.partial), self.__dict__


def exponent_of(numbers):
    """Return the exponent of the largest magnitude of some numbers.

    ``np.ldexp(numbers, -exponent)`` is exact, and its squares are floating-point numbers.

    Parameters
    ----------
    numbers : ndarray
        Finite, not empty.

    Returns
    -------
    int
        e with the largest magnitude in [2^(e - 1), 2^e); 0 of zeros.

    Examples
    --------
    >>> exponent_of(np.array([3.0, -5.0]))
    3
    """
    return math.frexp(max(float(numbers.max()), -float(numbers.min())))[1]


def power_of_two(numbers):
    """Return a power of two near the largest of some numbers, by which they divide exactly.

    The squares of very small or large numbers would leave the floating-point numbers.

    Parameters
    ----------
    numbers : ndarray
        Finite, not empty.

    Returns
    -------
    float
        More than half of the largest magnitude, and at most that; 1/2 of zeros.

    Examples
    --------
    >>> power_of_two(np.array([3.0, -5.0]))
    4.0
    """
    # the inverse of a smaller power would be infinite
    return math.ldexp(0.5, max(exponent_of(numbers), -1000))


def loglog_slope(x, y):
    """Least-squares slope of log y against log x, with its standard error.

    Parameters
    ----------
    x, y : array_like, shape (n,), n >= 3
        Positive numbers.

    Returns
    -------
    Estimate
        The slope; its standard error comes from the residuals of the fit (n - 2 degrees of
        freedom).

    Raises
    ------
    InputError
        If there are fewer than three points, a number is not positive, or all x are equal.

    Examples
    --------
    >>> round(loglog_slope([1, 2, 4], [3, 12, 48]).value, 12)
    2.0
    """
    x = checks.array("x", x, shape=(None,))
    y = checks.array("y", y, shape=x.shape)
    if x.size < 3 or min(x.min(), y.min()) <= 0:
        raise checks.InputError("a slope needs at least three positive points")
    u, v = np.log(x), np.log(y)
    centred = u - u.mean()
    if np.ptp(u) <= 4 * np.finfo(float).eps * max(1.0, np.abs(u).max()):
        raise checks.InputError("x has a single value; a slope needs at least two")
    slope = float(centred @ v / (centred @ centred))
    residuals = v - v.mean() - slope * centred
    error = math.sqrt(float(residuals @ residuals) / (x.size - 2) / float(centred @ centred))
    return Estimate(slope, error, int(x.size))


def correlated_mean(samples):
    """Mean of a stationary series, with the standard error that its autocorrelation leaves.

    Parameters
    ----------
    samples : array_like, shape (T,), T >= 4
        Successive values.

    Returns
    -------
    mean : Estimate
        Its number of samples is the whole part of T / tau, at least 1.
    autocorrelation_time : float
        ``tau = 1 + 2 sum_k rho_k``, at least 1, in steps of the series.

    Raises
    ------
    InputError
        If the series is too short or not finite.

    Notes
    -----
    The squared error is ``s^2 tau / T``. The sum runs up to the first lag k with
    ``k >= 5 tau / 2`` (Sokal's window), so tau has the relative variance ``10 tau / T``. Where T is
    less than 50 tau, do not trust the error: a trend over the whole series is then possible.
    An anticorrelated series gets tau = 1, which overstates its error. Formulas:
    docs/theory/estimates.md.

    Examples
    --------
    >>> mean, time = correlated_mean(np.tile([1.0, 1.0, 3.0, 3.0], 100))
    >>> mean.value, time
    (2.0, 1.0)
    """
    samples = checks.array("samples", samples, shape=(None,))
    count = samples.size
    if count < 4:
        raise checks.InputError(f"samples has {count} entries; expected at least 4")
    unit = power_of_two(samples)
    samples = samples / unit
    if np.ptp(samples) == 0:
        return Estimate(unit * float(samples[0]), 0.0, count), 1.0
    mean = float(samples.mean())
    deviations = samples - mean
    transform = np.fft.rfft(deviations, 2 * count)
    covariances = np.fft.irfft(transform.real**2 + transform.imag**2)[:count] / count
    times = 2 * np.cumsum(covariances / covariances[0]) - 1
    inside = np.flatnonzero(np.arange(count) >= 2.5 * times)
    time = max(1.0, float(times[inside[0]] if inside.size else times[-1]))
    time = min(time, count / 2)
    # the deviations are from the mean of the series, which takes off tau / T of the variance
    variance = covariances[0] / (1 - time / count) * time / count
    found = Estimate(mean, math.sqrt(variance), max(1, int(count / time)))
    return found.scaled(unit), time
