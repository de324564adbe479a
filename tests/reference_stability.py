"""Second moments of SGD by enumeration of all batches, in matrices that anybody can check."""

import itertools

import numpy as np
import scipy.optimize


def batches(num_examples, batch_size, replacement):
    """All batches as lists of indices, equally likely."""
    if replacement:
        return [list(b) for b in itertools.product(range(num_examples), repeat=batch_size)]
    return [list(b) for b in itertools.combinations(range(num_examples), batch_size)]


def spectral_radius(hessians, learning_rate, batch_size, replacement, momentum=0.0):
    """Spectral radius of ``E[A x A]``, A the random matrix of one step (with its velocity)."""
    count, size, _ = hessians.shape
    identity, zero = np.eye(size), np.zeros((size, size))
    total = 0.0
    chosen = batches(count, batch_size, replacement)
    for batch in chosen:
        step = identity - learning_rate * hessians[batch].mean(axis=0)
        if momentum:
            step = np.block([[step + momentum * identity, -momentum * identity], [identity, zero]])
        total = total + np.kron(step, step)
    return np.abs(np.linalg.eigvals(total / len(chosen))).max()


def both_sharpnesses(hessians, gradients, batch_size, replacement):
    """Mean of ratios and ratio of means over all batches."""
    curvatures, squares = [], []
    for batch in batches(len(hessians), batch_size, replacement):
        gradient = gradients[batch].mean(axis=0)
        curvatures.append(gradient @ hessians[batch].mean(axis=0) @ gradient)
        squares.append(gradient @ gradient)
    ratios = np.array(curvatures) / np.array(squares)
    return ratios.mean(), np.mean(curvatures) / np.mean(squares)


def hessians_of(rows, weights=None):
    """``F_i^T S_i F_i`` example by example."""
    rows = rows[:, None, :] if rows.ndim == 2 else rows
    weights = np.tile(np.eye(rows.shape[1]), (len(rows), 1, 1)) if weights is None else weights
    return np.array([f.T @ s @ f for f, s in zip(rows, weights, strict=True)])


def threshold_by_roots(rows, fraction):
    """Threshold of ``H_i = f_i f_i^T``, by a matrix of N x N numbers that depends on the rate.

    ``2 C - eta (1 - p) H x H - eta (p/N) V V^T`` is singular, V the columns ``f_i x f_i``, where
    ``eta (p/N) V^T (2 C - eta (1 - p) H x H)^{-1} V`` has the largest eigenvalue 1.
    """
    count = len(rows)
    left, singular, _ = np.linalg.svd(rows, full_matrices=False)
    coordinates, values = left * singular, singular**2 / count
    pairs = coordinates[:, None, :] * coordinates

    def excess(rate):
        weights = values[:, None] + values - rate * (1 - fraction) * np.outer(values, values)
        matrix = np.einsum("abi,ij,abj->ab", pairs, 1 / weights, pairs, optimize=True)
        return rate * fraction / count * np.linalg.eigvalsh(matrix)[-1] - 1

    return scipy.optimize.brentq(excess, 1e-9, (2 - 1e-9) / values[0], xtol=1e-15, rtol=1e-14)
