"""A noise scale as a ratio of two estimated parts, with Fieller's interval."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import scipy

from aniso import checks
from aniso.estimates import Estimate

RESOLVED = 3.0
"""Normal standard errors by which a signal must exceed zero before a ratio to it is given.

Few samples need more: the quantile of Student's distribution with the same tail.
"""


@dataclass(frozen=True, repr=False)
class NoiseScale:
    """A noise scale ``(noise / signal)^power``, in examples.

    Attributes
    ----------
    kind : str
        Which scale.
    noise, signal : Estimate
        Numerator and denominator for the distribution from which the examples are drawn.
    covariance : float
        Covariance of the errors of `noise` and `signal`.
    power : int
        1, or 2 where the parts are sums of absolute values.
    signal_bias : float
        Most by which the expectation of `signal` exceeds the true signal; 0 where it is unbiased.
    in_sample : tuple of float, or None
        The two parts of the given examples themselves, taken as all examples there are.

    Examples
    --------
    >>> scale = NoiseScale("simple", Estimate(8.0, 0.4, 100), Estimate(2.0, 0.1, 100), 0.0)
    >>> scale
    <NoiseScale, simple: 4 ± 0.28, 95 % interval 3.47 to 4.61, from 100 samples>
    """

    kind: str
    noise: Estimate
    signal: Estimate
    covariance: float
    power: int = 1
    signal_bias: float = 0.0
    in_sample: tuple[float, ...] | None = None

    @property
    def of_examples(self) -> float:
        """The scale of the given examples, exact, float.

        Raises
        ------
        InputError
            If the signal of the examples is not positive, or there are no examples.
        """
        if self.in_sample is None:
            raise checks.InputError(
                f"the noise scale {self.kind} was computed from batches; expected one of the "
                "gradients of examples, for instance matrices.simple_noise_scale"
            )
        top, bottom = self.in_sample
        if not bottom > 0:
            raise checks.InputError(
                f"the signal of the examples is {bottom:g}; expected a positive one: the noise "
                "scale divides by it"
            )
        return (top / bottom) ** self.power

    @property
    def is_resolved(self) -> bool:
        """Whether the signal less its bias exceeds zero by 3 standard errors, by more for few."""
        low = self.signal.value - self.signal_bias
        return low > self._required * self.signal.standard_error

    @property
    def _required(self):
        return self._quantile(float(scipy.stats.norm.cdf(RESOLVED)))

    def _quantile(self, share):
        # the errors are measured too, from as many samples
        return float(scipy.stats.t.ppf(share, max(1, self.signal.num_samples - 1)))

    @property
    def of_distribution(self) -> Estimate:
        """The scale of the distribution, with the standard error of the delta method.

        Returns
        -------
        Estimate

        Raises
        ------
        InputError
            If the signal is not resolved from zero.
        """
        self._require_resolved()
        parts = self._scaled()
        bottom = parts.signal.value
        ratio = parts.noise.value / bottom
        variance = (
            parts.noise.standard_error**2
            - 2 * ratio * parts.covariance
            + ratio**2 * parts.signal.standard_error**2
        )
        error = math.sqrt(max(0.0, variance)) / bottom
        slope = self.power * abs(ratio) ** (self.power - 1)
        return Estimate(ratio**self.power, slope * error, self.signal.num_samples)

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Fieller's interval of the scale of the distribution.

        Parameters
        ----------
        confidence : float
            Probability within (0, 1) with which it covers, for normal errors of the parts. The
            quantile is Student's, as the errors are measured from the same samples.

        Returns
        -------
        low, high : float
            The upper end allows for the largest bias of the signal.

        Raises
        ------
        InputError
            If the signal is not resolved from zero: then the interval is unbounded.
        """
        confidence = checks.number("confidence", confidence, low=0, high=1, strict=True)
        self._require_resolved()
        z = self._quantile(0.5 + confidence / 2)
        parts = self._scaled()
        low = parts._fieller(z, parts.signal.value)[0]
        high = parts._fieller(z, parts.signal.value - parts.signal_bias)[1]
        if self.power == 2:
            low = max(0.0, low)
        return low**self.power, high**self.power

    def _scaled(self):
        # the same scale with a signal of about 1: squares of small parts leave the numbers
        if 1e-60 < self.signal.value < 1e60:
            return self
        factor = math.ldexp(1.0, -math.frexp(self.signal.value)[1])
        return replace(
            self,
            noise=self.noise.scaled(factor),
            signal=self.signal.scaled(factor),
            covariance=self.covariance * factor * factor,
            signal_bias=self.signal_bias * factor,
        )

    def _fieller(self, z, bottom):
        a = bottom**2 - (z * self.signal.standard_error) ** 2
        if a <= 0:
            raise checks.InputError(
                f"the signal {bottom:g} is within {z:.3g} standard errors of zero; expected a "
                "lower confidence, or more samples: the interval is unbounded"
            )
        b = self.noise.value * bottom - z**2 * self.covariance
        c = self.noise.value**2 - (z * self.noise.standard_error) ** 2
        half = math.sqrt(max(0.0, b**2 - a * c))
        return (b - half) / a, (b + half) / a

    def _require_resolved(self):
        if not self.is_resolved:
            bias = f" less its bias of at most {self.signal_bias:.3g}" if self.signal_bias else ""
            exact = "" if self.in_sample is None else ", or of_examples, exact for the given ones"
            raise checks.InputError(
                f"the signal of the noise scale is {self.signal}{bias}; expected "
                f"{self._required:.3g} standard errors above zero: take more examples or "
                f"batches{exact}"
            )

    def __repr__(self):
        count = f"from {self.signal.num_samples} samples"
        if not self.is_resolved:
            return (
                f"<NoiseScale, {self.kind}: unresolved, noise {self.noise}, signal {self.signal}, "
                f"{count}>"
            )
        low, high = self.interval()
        exact = "" if self.in_sample is None else f", of the examples {self.of_examples:.4g}"
        return (
            f"<NoiseScale, {self.kind}: {self.of_distribution}, 95 % interval {low:.3g} to "
            f"{high:.3g}, {count}{exact}>"
        )


def scale_of_parts(kind, top, bottom, left_out, **rest):
    """Return a noise scale whose errors are the jackknife's.

    Parameters
    ----------
    kind : str
        Which scale.
    top, bottom : float
        Noise and signal from all n samples.
    left_out : ndarray, shape (2, n)
        Noise and signal without sample i.
    **rest
        Further fields of the result.

    Returns
    -------
    NoiseScale

    Raises
    ------
    InputError
        As :func:`require_squares`.
    """
    count = left_out.shape[1]
    deviations = left_out - left_out.mean(axis=1, keepdims=True)
    require_squares(deviations)
    errors = deviations @ deviations.T * ((count - 1) / count)
    noise = Estimate(float(top), math.sqrt(errors[0, 0]), count)
    signal = Estimate(float(bottom), math.sqrt(errors[1, 1]), count)
    return NoiseScale(kind, noise, signal, float(errors[0, 1]), **rest)


def require_squares(deviations):
    """Refuse deviations of the parts of a noise scale whose squares leave the numbers.

    Raises
    ------
    InputError
        If the largest one is neither zero nor between 1e-145 and 1e145.
    """
    largest = float(np.abs(deviations).max())
    if largest != 0 and not 1e-145 < largest < 1e145:
        raise checks.InputError(
            f"the parts of the noise scale spread by {largest:.3g}; expected 0, or a number from "
            "1e-145 to 1e145, so that no variance loses digits: multiply the gradients by a "
            "constant, which leaves the noise scale as it is"
        )
