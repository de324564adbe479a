"""Quantities of the small searched network, with their derivatives written out.

With ``a_i = J_i . u`` and ``q_i = |J_i|^2``, slopes g_i and curvatures c_i of the loss:

    u^T F u = mean g_i^2 a_i^2    u^T g = mean g_i a_i    lambda = mean c_i a_i^2
    Tr F    = mean g_i^2 q_i      Tr H  = mean c_i q_i
"""

import functools
from typing import NamedTuple

import numpy as np
from autograd.extend import defvjp, primitive

NUM_INPUTS, NUM_HIDDEN, NUM_EXAMPLES = 2, 4, 12
NUM_WEIGHTS = NUM_HIDDEN * (NUM_INPUTS + 1)
_CLIP = 1e-3
_SIGNS = np.repeat([1.0, -1.0], NUM_HIDDEN // 2)
_LABELS = np.arange(NUM_EXAMPLES) % 2
QUANTITIES = (
    "fisher_coefficient",
    "covariance_coefficient",
    "mean_gradient_share",
    "weight_ratio",
    "active_fraction",
)


class _OutputLoss(NamedTuple):
    """Slope, curvature and w_i of the loss in each output, their derivatives, and who is active."""

    slope: np.ndarray
    curvature: np.ndarray
    weight: np.ndarray
    active: np.ndarray
    curvature_slope: np.ndarray
    weight_slope: np.ndarray


def _output_loss(kind, outputs):
    if kind == "logistic":
        signs = 1 - 2 * _LABELS
        probability = 1 / (1 + np.exp(-signs * outputs))
        curvature, weight = probability * (1 - probability), np.exp(signs * outputs)
        everyone = np.ones(outputs.shape, dtype=bool)
        return _OutputLoss(
            signs * probability,
            curvature,
            weight,
            everyone,
            signs * curvature * (1 - 2 * probability),
            signs * weight,
        )
    active = (outputs > _CLIP) & (outputs < 1 - _CLIP)
    residual = outputs - _LABELS
    return _OutputLoss(
        2 * residual * active,
        2.0 * active,
        2 * residual**2,
        active,
        np.zeros_like(residual),
        4 * residual,
    )


class _Place(NamedTuple):
    """Everything at points x (..., n) that the values and the way back are made of."""

    weights: np.ndarray
    inputs: np.ndarray
    switches: np.ndarray
    loss: _OutputLoss
    jacobian: np.ndarray
    eigenvalues: np.ndarray
    eigenvectors: np.ndarray
    along: np.ndarray
    squares: np.ndarray
    gradient: np.ndarray
    extremes: np.ndarray


def _place(x, kind):
    lead, size = x.shape[:-1], NUM_HIDDEN * NUM_INPUTS
    weights = x[..., :size].reshape(*lead, NUM_HIDDEN, NUM_INPUTS)
    biases = x[..., size:NUM_WEIGHTS]
    inputs = x[..., NUM_WEIGHTS:].reshape(*lead, NUM_EXAMPLES, NUM_INPUTS)
    z = inputs @ np.swapaxes(weights, -1, -2) + biases[..., None, :]
    switches = (z > 0) * _SIGNS
    loss = _output_loss(kind, (z * switches).sum(axis=-1))
    augmented = np.concatenate([inputs, np.ones((*lead, NUM_EXAMPLES, 1))], axis=-1)
    jacobian = switches[..., :, None] * augmented[..., None, :]
    jacobian = jacobian.reshape(*lead, NUM_EXAMPLES, NUM_WEIGHTS)
    transposed = np.swapaxes(jacobian, -1, -2)
    hessian = transposed @ (loss.curvature[..., None] * jacobian) / NUM_EXAMPLES
    eigenvalues, eigenvectors = np.linalg.eigh(hessian)
    lowest = np.where(loss.active, loss.weight, np.inf).min(axis=-1)
    highest = np.where(loss.active, loss.weight, -np.inf).max(axis=-1)
    return _Place(
        weights,
        inputs,
        switches,
        loss,
        jacobian,
        eigenvalues,
        eigenvectors,
        (jacobian @ eigenvectors[..., -1:])[..., 0],
        np.square(jacobian).sum(axis=-1),
        (transposed @ loss.slope[..., None])[..., 0] / NUM_EXAMPLES,
        np.stack([lowest, highest], axis=-1),
    )


@functools.lru_cache(maxsize=1)
def _place_of_point(numbers, kind):
    # the derivative is taken where the value has been
    return _place(np.frombuffer(numbers), kind)


def _at(x, kind):
    return _place(x, kind) if x.ndim > 1 else _place_of_point(x.tobytes(), kind)


def _sums(at):
    """``u^T F u, u^T g, lambda, Tr F, Tr H, Tr Sigma`` at a place."""
    slope, along = at.loss.slope, at.along
    weights = np.stack([slope**2, at.loss.curvature], axis=-2)
    terms = np.stack([along**2, at.squares], axis=-1)
    means = weights @ terms / NUM_EXAMPLES
    fisher_trace = means[..., 0, 1]
    return (
        means[..., 0, 0],
        np.einsum("...i,...i->...", slope, along) / NUM_EXAMPLES,
        means[..., 1, 0],
        fisher_trace,
        means[..., 1, 1],
        fisher_trace - np.square(at.gradient).sum(axis=-1),
    )


@primitive
def quantities(x, kind):
    """Return the quantities of the network at points x.

    Parameters
    ----------
    x : array, shape (..., 36)
        Weights (4, 2), biases (4,), inputs (12, 2), flat; one point of shape (36,) may be traced by
        autograd.
    kind : {"clipped squared", "logistic"}
        Loss.

    Returns
    -------
    ndarray, shape (..., 5)
        In the order of `QUANTITIES`. All nan where fewer than two examples are active: with one,
        every claim is the equality 1 = 1.

    Notes
    -----
    The derivative of u needs only that the largest eigenvalue is simple. Where it is not, the
    derivative is not finite.
    """
    at = _at(x, kind)
    along, mean, eigenvalue, fisher_trace, trace, noise_trace = _sums(at)
    with np.errstate(divide="ignore", invalid="ignore"):  # without an active example: 0 / 0
        share = trace / eigenvalue
        values = (
            along * share / fisher_trace,
            (along - mean**2) * share / noise_trace,
            mean**2 * share / noise_trace,
            at.extremes[..., 0] / at.extremes[..., 1],
            at.loss.active.mean(axis=-1),
        )
    enough = at.loss.active.sum(axis=-1) >= 2
    return np.where(enough[..., None], np.stack(values, axis=-1), np.nan)


def _pull_back(_, x, kind):
    at = _at(x, kind)
    return lambda cotangent: _pulled_back(at, cotangent)


def _pulled_back(at, cotangent):
    """Return the gradient, shape (36,), of ``cotangent . quantities`` at one point."""
    loss, jacobian, along = at.loss, at.jacobian, at.along
    slope, curvature, vector = loss.slope, loss.curvature, at.eigenvectors[:, -1]
    product, mean, eigenvalue, fisher_trace, trace, noise_trace = _sums(at)
    to_fisher, to_covariance, to_mean, to_ratio, _ = cotangent
    share = trace / eigenvalue
    # of the sums
    of_noise = to_covariance * (product - mean**2) + to_mean * mean**2
    d_product = (to_fisher / fisher_trace + to_covariance / noise_trace) * share
    d_mean = 2 * mean * share / noise_trace * (to_mean - to_covariance)
    d_share = to_fisher * product / fisher_trace + of_noise / noise_trace
    d_noise_trace = -of_noise * share / noise_trace**2
    d_fisher_trace = d_noise_trace - to_fisher * product * share / fisher_trace**2
    d_gradient = -2 * d_noise_trace * at.gradient
    d_trace, d_eigenvalue = d_share / eigenvalue, -d_share * trace / eigenvalue**2
    # of the terms of the examples
    d_along = 2 * (d_product * slope**2 + d_eigenvalue * curvature) * along + d_mean * slope
    d_squares = d_fisher_trace * slope**2 + d_trace * curvature
    d_slope = (
        2 * slope * (d_product * along**2 + d_fisher_trace * at.squares)
        + d_mean * along
        + jacobian @ d_gradient
    )
    d_curvature = d_eigenvalue * along**2 + d_trace * at.squares
    # of the leading eigenvector: H moves by the symmetric part of (lambda - H)^+ v u^T
    others, gaps = at.eigenvectors[:, :-1], at.eigenvalues[-1] - at.eigenvalues[:-1]
    with np.errstate(divide="ignore", invalid="ignore"):  # a degenerate gap: not finite
        left = others @ ((others.T @ (jacobian.T @ d_along)) / gaps) / NUM_EXAMPLES
    image = jacobian @ left
    d_curvature += along * image
    d_jacobian = (
        (d_along + curvature * image)[:, None] * vector
        + (curvature * along)[:, None] * left
        + 2 * d_squares[:, None] * jacobian
        + slope[:, None] * d_gradient
    )
    # of the outputs and of what they are made of
    d_output = d_slope * curvature + d_curvature * loss.curvature_slope
    d_output /= NUM_EXAMPLES
    lowest, highest = at.extremes
    least = np.argmin(np.where(loss.active, loss.weight, np.inf))
    largest = np.argmax(np.where(loss.active, loss.weight, -np.inf))
    d_output[least] += to_ratio / highest * loss.weight_slope[least]
    d_output[largest] -= to_ratio * lowest / highest**2 * loss.weight_slope[largest]
    d_z = d_output[:, None] * at.switches
    by_unit = d_jacobian.reshape(NUM_EXAMPLES, NUM_HIDDEN, NUM_INPUTS + 1) / NUM_EXAMPLES
    d_augmented = (by_unit * at.switches[:, :, None]).sum(axis=1)
    d_inputs = d_augmented[:, :NUM_INPUTS] + d_z @ at.weights
    return np.concatenate([(d_z.T @ at.inputs).ravel(), d_z.sum(axis=0), d_inputs.ravel()])


defvjp(quantities, _pull_back, None)
