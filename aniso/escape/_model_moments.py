"""Moments of the chain and of the diffusion in a leading model, at each number of steps n.

Derived in docs/theory/escape.md, "Expected loss in a leading subspace".
"""

from dataclasses import dataclass

import numpy as np

from aniso.closed_forms import diffusion, exponential_integral, geometric_sum

_BAND_ERRORS = 2.0


@dataclass(frozen=True)
class Moments:
    """Mean (k,) and covariance (k, k) of x."""

    mean: np.ndarray
    covariance: np.ndarray


def chain_moments(model, learning_rate, num_steps):
    """Mean and covariance of x after n steps of the chain from x = 0."""
    sums = geometric_sum(learning_rate * model.eigenvalues, num_steps)
    covariance = diffusion.chain_covariance_at(
        np.diag(model.eigenvalues), model.covariance, learning_rate, num_steps
    )
    return Moments(-learning_rate * model.gradient * sums, covariance)


def equation_moments(model, learning_rate, num_steps):
    """Mean and covariance of x at the time n eta of the diffusion from x = 0."""
    time = learning_rate * num_steps
    covariance = diffusion.covariance_at(
        np.diag(model.eigenvalues), learning_rate * model.covariance, time
    )
    return Moments(-model.gradient * exponential_integral(model.eigenvalues, time), covariance)


def expected_rise(model, moments):
    """Mean and standard deviation of the loss within the subspace, relative to the start."""
    mean, covariance, values = moments.mean, moments.covariance, model.eigenvalues
    expected = model.rise(mean[None])[0] + 0.5 * values @ covariance.diagonal()
    slope = model.gradient + values * mean
    curved = values[:, None] * covariance
    variance = 0.5 * np.sum(curved * curved.T) + slope @ covariance @ slope
    return float(expected), float(np.sqrt(max(variance, 0.0)))


def outside_rise(model, learning_rate, num_steps):
    """Mean rise of the loss outside of the subspace after n steps: value, lower and upper bound.

    Parameters
    ----------
    model : LeadingModel
    learning_rate : float
        eta.
    num_steps : array_like of int, shape (T,)
        n.

    Returns
    -------
    tuple of ndarray, shape (T,) each
    """
    outside, counts = model.outside, np.asarray(num_steps, dtype=np.float64)
    if outside.num_directions == 0:
        zero = np.zeros(counts.shape)
        return zero, zero, zero
    low, high = learning_rate * outside.smallest, learning_rate * outside.largest
    weight = outside.noise_trace + outside.gradient_square
    curved = learning_rate * (outside.alignment.value + outside.gradient_curvature)
    error = learning_rate * _BAND_ERRORS * outside.alignment.standard_error
    # the squared factors (1 - eta lambda)^2 of all directions lie between least and most
    squares = (1 - low) ** 2, (1 - high) ** 2
    least = 0.0 if low <= 1 <= high else min(squares)
    most, mean = max(squares), mean_rate(outside)
    few, many, usual = (
        geometric_sum(1 - square, counts)
        for square in (least, most, (1 - learning_rate * mean) ** 2)
    )
    fall = 2 * outside.gradient_square
    negative = max(-low, 0.0) * weight
    upper = many * (curved + error) + (many - few) * negative - few * fall
    lower = few * (curved - error) - (many - few) * negative - many * fall
    half = 0.5 * learning_rate
    return half * usual * (curved - fall), half * lower, half * upper


def outside_rise_of_equation(model, learning_rate, num_steps):
    """Mean rise of the loss outside of the subspace at the time n eta, shape (T,)."""
    outside, times = model.outside, learning_rate * np.asarray(num_steps, dtype=np.float64)
    if outside.num_directions == 0:
        return np.zeros(times.shape)
    integral = exponential_integral(np.float64(2 * mean_rate(outside)), times)
    return 0.5 * integral * (learning_rate * outside.alignment.value - 2 * outside.gradient_square)


def outside_square_distance(model, learning_rate, num_steps):
    """Mean squared distance from the start outside of the subspace, shape (T,)."""
    outside, counts = model.outside, np.asarray(num_steps, dtype=np.float64)
    if outside.num_directions == 0:
        return np.zeros(counts.shape)
    scaled = learning_rate * mean_rate(outside)
    spread = geometric_sum(scaled * (2 - scaled), counts) * outside.noise_trace
    drift = geometric_sum(scaled, counts) ** 2 * outside.gradient_square
    return learning_rate**2 * (spread + drift)


def outside_noise(model, learning_rate, num_steps, *, by_distance):
    """Part of noise in the mean rise, or squared distance, outside after n steps."""
    outside = model.outside
    scaled = learning_rate * mean_rate(outside)
    sums = float(geometric_sum(np.float64(scaled * (2 - scaled)), num_steps))
    if by_distance:
        return learning_rate**2 * sums * outside.noise_trace
    return 0.5 * learning_rate**2 * sums * outside.alignment.value


def mean_rate(outside):
    """Mean curvature outside, weighted with noise and gradient, within its bounds."""
    weight = outside.noise_trace + outside.gradient_square
    if weight == 0:
        return 0.0
    mean = (outside.alignment.value + outside.gradient_curvature) / weight
    return float(np.clip(mean, outside.smallest, outside.largest))
