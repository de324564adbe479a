"""Slow references of the forecast of escape: enumeration, densities on the line, plain paths."""

import itertools

import numpy as np
import scipy.linalg
import scipy.stats

from aniso.estimates import Estimate


def enumerate_batches(problem, theta, eta, batches, num_steps, level):
    """Mean loss after 0..n steps over all sequences of batches; share that reached a level."""
    rows = [list(batch) for batch in batches]
    losses, exited = np.zeros(num_steps + 1), np.zeros(num_steps + 1)
    losses[0] = problem.loss(theta)
    sequences = list(itertools.product(range(len(rows)), repeat=num_steps))
    seen = {(): (theta, False)}
    for length in range(1, num_steps + 1):
        parts = sorted({sequence[:length] for sequence in sequences})
        for part in parts:
            before, left = seen[part[:-1]]
            # the gradient of the batch: rows of all examples' gradients, an example may come twice
            gradients = problem.per_example_gradients(before)
            moved = before - eta * gradients[rows[part[-1]]].mean(axis=0)
            loss = problem.loss(moved)
            left = left or loss >= level
            seen[part] = moved, left
            losses[length] += loss / len(parts)
            exited[length] += left / len(parts)
    return losses, exited


def diffusion_losses(at, hessian, covariance, times):
    """Expected loss of the linear equation by Runge-Kutta steps for its two moments."""
    gradient, size = at.gradient, len(hessian)

    def slopes(mean, spread):
        return -gradient - hessian @ mean, covariance - hessian @ spread - spread @ hessian

    found, time, mean, spread = [], 0.0, np.zeros(size), np.zeros((size, size))
    for target in times:
        count = round((target - time) / 1e-3)
        h = (target - time) / max(count, 1)
        for _ in range(count):
            a = slopes(mean, spread)
            b = slopes(mean + h / 2 * a[0], spread + h / 2 * a[1])
            c = slopes(mean + h / 2 * b[0], spread + h / 2 * b[1])
            d = slopes(mean + h * c[0], spread + h * c[1])
            mean = mean + h / 6 * (a[0] + 2 * b[0] + 2 * c[0] + d[0])
            spread = spread + h / 6 * (a[1] + 2 * b[1] + 2 * c[1] + d[1])
        time = target
        second = spread + np.outer(mean, mean)
        found.append(at.loss + gradient @ mean + np.sum(hessian * second) / 2)
    return np.array(found)


class Line:
    """Exits of one coordinate from 0 through the ends of an interval, by densities."""

    def __init__(self, curvature, slope, eta, variance, ends):
        self.curvature, self.slope, self.eta = curvature, slope, eta
        self.variance, self.ends = variance, ends

    def chain_exits(self, num_steps):
        """P(exit within n steps), n = 0..N, by Gauss-Legendre quadrature of the kernel."""
        nodes, weights = np.polynomial.legendre.leggauss(200)
        low, high = self.ends
        nodes, weights = low + (high - low) * (nodes + 1) / 2, weights * (high - low) / 2
        spread = self.eta * np.sqrt(self.variance)

        def density(y, x):
            mean = x - self.eta * (self.slope + self.curvature * x)
            return scipy.stats.norm.pdf(y, mean, spread)

        inside, found = density(nodes, 0.0), [0.0]
        kernel = density(nodes[:, None], nodes) * weights
        for _ in range(num_steps):
            found.append(1 - weights @ inside)
            inside = kernel @ inside
        return np.array(found)

    def equation_exits(self, num_steps, num_points=801, substeps=40):
        """P(exit within n steps) by Crank-Nicolson for the backward equation of the survival."""
        low, high = self.ends
        x = np.linspace(low, high, num_points)
        h, dt = x[1] - x[0], self.eta / substeps
        half, drift = 0.5 * self.eta * self.variance / h**2, -(self.slope + self.curvature * x)
        lower, upper = half - drift / (2 * h), half + drift / (2 * h)
        matrix = np.zeros((3, num_points))
        matrix[0, 2:], matrix[1, 1:-1], matrix[2, :-2] = upper[1:-1], -2 * half, lower[1:-1]
        implicit = -dt / 2 * matrix
        implicit[1] += 1
        # four backward Euler steps first, which damp the jump at the ends
        start = -dt / 4 * matrix
        start[1] += 1
        survival = np.ones(num_points)
        survival[[0, -1]] = 0
        found, steps = [0.0], 0
        for _ in range(num_steps):
            for _ in range(substeps):
                if steps < 2:
                    for _ in range(4):
                        survival = scipy.linalg.solve_banded((1, 1), start, survival)
                else:
                    product = matrix[1] * survival
                    product[:-1] += matrix[0, 1:] * survival[1:]
                    product[1:] += matrix[2, :-1] * survival[:-1]
                    right = survival + dt / 2 * product
                    survival = scipy.linalg.solve_banded((1, 1), implicit, right)
                steps += 1
            found.append(1 - np.interp(0.0, x, survival))
        return np.array(found)


def least_squares_exits(
    inputs, targets, theta, eta, size, replacement, num_steps, radius, num_paths, rng
):
    """Share of paths of SGD on least squares that were once further away than a radius."""
    w, left = np.tile(theta, (num_paths, 1)), np.zeros(num_paths, dtype=bool)
    for _ in range(num_steps):
        if replacement:
            batch = rng.integers(len(inputs), size=(num_paths, size))
        else:
            batch = np.array([rng.permutation(len(inputs))[:size] for _ in range(num_paths)])
        errors = np.einsum("pji,pi->pj", inputs[batch], w) - targets[batch]
        w = w - eta * np.einsum("pj,pji->pi", errors, inputs[batch]) / size
        left |= np.linalg.norm(w - theta, axis=1) >= radius
    return Estimate.from_samples(left.astype(float))


def two_basin_paths(data, theta, eta, size, num_steps, level, num_paths, rng):
    """Final losses of SGD on the two-basin toy, and the share of paths that reached a level."""

    def parts(w, x):
        p, q = w - x - 1, w - x + 1
        along, across = (p[..., 0] - p[..., 1]) / np.sqrt(2), (p[..., 0] + p[..., 1]) / np.sqrt(2)
        sharp, flat = 10 * along**2 + 100 * across**2, np.sum(q**2, axis=-1)
        steep = np.stack([20 * along + 200 * across, -20 * along + 200 * across], axis=-1)
        gradient = np.where((sharp < flat)[..., None], steep / np.sqrt(2), 2 * q)
        return np.minimum(sharp, flat), gradient

    w, left = np.tile(theta, (num_paths, 1)), np.zeros(num_paths, dtype=bool)
    for _ in range(num_steps):
        batch = rng.integers(len(data), size=(num_paths, size))
        w = w - eta * parts(w[:, None], data[batch])[1].mean(axis=1)
        losses = parts(w[:, None], data[None])[0].mean(axis=1)
        left |= losses >= level
    return Estimate.from_samples(losses), Estimate.from_samples(left.astype(float))
