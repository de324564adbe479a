"""First exits of the linear chain and of its diffusion in a leading model, by simulation.

The boundary moves: what lies outside of the subspace contributes its mean. The diffusion is
advanced by its exact transition. Between two of its points the boundary is crossed with the
probability of a Brownian bridge, which is multiplied into a path's weight instead of being drawn.
"""

from dataclasses import dataclass

import numpy as np

from aniso.closed_forms import diffusion, exponential_integral

SUBSTEPS = 4
"""Points of the diffusion within a step of the chain, an even number."""


@dataclass(frozen=True)
class Boundary:
    """Boundary of the region that is left: a rise of the loss, or a distance from the start.

    Attributes
    ----------
    model : LeadingModel
    rise : float or None
        Rise of the loss at the boundary; None for a ball.
    radius : float or None
        Radius of the ball.
    """

    model: object
    rise: float | None
    radius: float | None

    def margin(self, points, offset):
        """Positive inside, shape (n,); `offset` is what the other directions contribute."""
        if self.radius is not None:
            return 0.5 * (self.radius**2 - offset - np.einsum("ij,ij->i", points, points))
        return self.rise - offset - self.model.rise(points)

    def slope(self, points):
        """Minus the gradient of the margin, shape (n, k)."""
        if self.radius is not None:
            return points
        return self.model.gradient + points * self.model.eigenvalues

    def scales(self, points):
        """Largest factor by which each point can be moved within the region, nan if none ends it.

        The smallest positive s with the margin 0 at ``s x``, shape (n,).
        """
        if self.radius is not None:
            with np.errstate(divide="ignore"):
                return self.radius / np.linalg.norm(points, axis=1)
        linear, curved = points @ self.model.gradient, 0.5 * points**2 @ self.model.eigenvalues
        with np.errstate(invalid="ignore", divide="ignore"):
            root = np.sqrt(linear**2 + 4 * curved * self.rise)
            # the form without cancellation; both signs of the curvature
            scale = 2 * self.rise / (linear + root)
        return np.where(np.isfinite(scale) & (scale > 0), scale, np.nan)


@dataclass(frozen=True)
class SimulatedExits:
    """Exits of an ensemble by steps, in units of steps.

    Attributes
    ----------
    probability, standard_error : ndarray, shape (N + 1,)
        Probability of an exit within n steps. The error is at least 1 / (paths + 2), so that a
        probability of 0 or 1 in the sample is not taken for exact.
    coarse_probability : ndarray, shape (N + 1,)
        The same with half as many points of the diffusion; equal for the chain.
    times : ndarray, shape (n,)
        Exit time of each path, N where it has not left.
    exited : ndarray of bool, shape (n,)
    """

    probability: np.ndarray
    standard_error: np.ndarray
    coarse_probability: np.ndarray
    times: np.ndarray
    exited: np.ndarray


def chain_exits(boundary, learning_rate, offsets, num_paths, rng):
    """Simulate ``x <- x - eta (g + lambda x + eps)`` from 0 until each path is outside.

    Parameters
    ----------
    boundary : Boundary
    learning_rate : float
    offsets : ndarray, shape (N + 1,)
        Contribution of the other directions after n steps.
    num_paths : int
    rng : numpy.random.Generator

    Returns
    -------
    tuple
        SimulatedExits, and the last state of each path, shape (n, k).
    """
    model, num_steps = boundary.model, len(offsets) - 1
    factor = learning_rate * symmetric_root(model.covariance)
    decay, shift = 1 - learning_rate * model.eigenvalues, learning_rate * model.gradient
    times, last = np.full(num_paths, float(num_steps)), np.zeros((num_paths, len(decay)))
    inside, states = np.arange(num_paths), np.zeros((num_paths, len(decay)))
    survived = np.full(num_steps + 1, num_paths)
    for step in range(1, num_steps + 1):
        states = states * decay - shift + rng.standard_normal(states.shape) @ factor
        left = boundary.margin(states, offsets[step]) <= 0
        if left.any():
            times[inside[left]], last[inside[left]] = step, states[left]
            inside, states = inside[~left], states[~left]
        survived[step] = len(inside)
    last[inside] = states
    exited = np.ones(num_paths, dtype=bool)
    exited[inside] = False
    share = survived / num_paths
    errors = binomial_errors(share, num_paths)
    return SimulatedExits(1 - share, errors, 1 - share, times, exited), last


def equation_exits(boundary, learning_rate, offsets, num_paths, rng):
    """Simulate ``dx = -(g + lambda x) dt + (eta S)^{1/2} dW`` from 0 until each path is outside.

    Parameters
    ----------
    boundary, learning_rate, num_paths, rng
        As for :func:`chain_exits`.
    offsets : ndarray, shape (SUBSTEPS N + 1,)
        Contribution of the other directions at every point of time.

    Returns
    -------
    SimulatedExits
    """
    model, num_points = boundary.model, len(offsets) - 1
    step = learning_rate / SUBSTEPS
    spread = learning_rate * model.covariance
    decay = np.exp(-model.eigenvalues * step)
    shift = model.gradient * exponential_integral(model.eigenvalues, step)
    transition = diffusion.covariance_at(np.diag(model.eigenvalues), spread, step)
    factor, root = symmetric_root(transition), symmetric_root(spread)
    states = np.zeros((num_paths, len(decay)))
    inside, draws = np.arange(num_paths), rng.random(num_paths)
    times, exited = np.full(num_paths, num_points / SUBSTEPS), np.zeros(num_paths, dtype=bool)
    sums = np.zeros((3, num_points // SUBSTEPS + 1))
    sums[:, 0] = num_paths
    fine, coarse = np.ones(num_paths), np.ones(num_paths)
    margins = earlier = boundary.margin(states, offsets[0])
    earlier_states = states
    for point in range(1, num_points + 1):
        new = states * decay - shift + rng.standard_normal(states.shape) @ factor
        reached = boundary.margin(new, offsets[point])
        before = fine
        fine = fine * _stayed(boundary, states, margins, reached, root, step)
        if point % 2 == 0:
            stayed = _stayed(boundary, earlier_states, earlier, reached, root, 2 * step)
            coarse, earlier, earlier_states = coarse * stayed, reached, new
        states, margins = new, reached
        now = (fine <= draws[inside]) & ~exited[inside]
        if now.any():
            paths = inside[now]
            # where the weight passes the path's number, between the two points
            share = (before[now] - draws[paths]) / (before[now] - fine[now])
            times[paths], exited[paths] = (point - 1 + share) / SUBSTEPS, True
        if point % SUBSTEPS == 0:
            sums[:, point // SUBSTEPS] = fine.sum(), fine @ fine, coarse.sum()
        if point % 2 == 0:
            kept = (fine > 0) | (coarse > 0)
            if not kept.all():
                inside, states, margins = inside[kept], states[kept], margins[kept]
                fine, coarse, earlier = fine[kept], coarse[kept], earlier[kept]
                earlier_states = earlier_states[kept]
    means = sums / num_paths
    deviation = np.sqrt(np.maximum(means[1] - means[0] ** 2, 0.0))
    errors = _errors(deviation, num_paths)
    return SimulatedExits(1 - means[0], errors, 1 - means[2], times, exited)


def _stayed(boundary, states, before, after, root, duration):
    """Probability that a path stayed inside between two points; 0 if the second is outside."""
    result = np.where(after > 0, 1.0, 0.0)
    slopes = boundary.slope(states)
    # no more than this; only paths near the boundary need the exact variance
    largest = np.einsum("ij,ij->i", slopes, slopes) * np.linalg.norm(root, 2) ** 2
    near = (after > 0) & (2 * before * after < 40 * duration * largest)
    if near.any():
        variance = np.sum((slopes[near] @ root) ** 2, axis=1)
        with np.errstate(divide="ignore"):
            exponent = 2 * before[near] * after[near] / (variance * duration)
        result[near] = -np.expm1(-exponent)
    return np.where(before > 0, result, 0.0)


def binomial_errors(share, num_paths):
    """Standard errors of shares of paths, at least 1 / (paths + 2)."""
    return _errors(np.sqrt(share * (1 - share)), num_paths)


def _errors(deviation, num_paths):
    return np.maximum(deviation / np.sqrt(num_paths), 1 / (num_paths + 2))


def symmetric_root(matrix):
    """Symmetric square root of a positive semi-definite matrix.

    Examples
    --------
    >>> symmetric_root(np.array([[4.0, 0.0], [0.0, 0.0]])).round(12).tolist()
    [[2.0, 0.0], [0.0, 0.0]]
    """
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
