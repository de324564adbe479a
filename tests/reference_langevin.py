"""Slow and obvious versions of the random streams and chains, in plain Python integers."""

import math

import numpy as np


def philox(counter, key):
    """Philox 4x32-10 (Salmon et al., 2011): four 32-bit words from four words and two key words."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        first, second = c0 * 0xD2511F53, c2 * 0xCD9E8D57
        c0, c1, c2, c3 = (
            (second >> 32) ^ c1 ^ k0,
            second & 0xFFFFFFFF,
            (first >> 32) ^ c3 ^ k1,
            first & 0xFFFFFFFF,
        )
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return c0, c1, c2, c3


def words(seed, path, block, purpose=0):
    """The two 64-bit words of one block of a path's stream."""
    counter = (
        path & 0xFFFFFFFF,
        path >> 32,
        block & 0xFFFFFFFF,
        (block >> 32) | (purpose << 28),
    )
    a, b, c, d = philox(counter, (seed & 0xFFFFFFFF, seed >> 32))
    return (a << 32) | b, (c << 32) | d


def normal_pair(seed, path, block):
    """Box and Muller with the library's logarithm, sine and cosine."""
    first, second = words(seed, path, block)
    u = 1.0 - (first >> 12) / 2**52
    angle = ((second >> 12) / 2**52 - 0.5) * (math.pi / 2)
    radius = math.sqrt(-2.0 * math.log(u))
    sine, cosine = math.sin(angle), math.cos(angle)
    if second & 1:
        cosine = -cosine
    if second & 2:
        sine, cosine = cosine, sine
    return radius * cosine, radius * sine


def step_normals(seed, path, step, rank):
    """The normals of one step of a path, shape (rank,), in blocks of two."""
    blocks = (rank + 1) // 2
    values = [z for b in range(blocks) for z in normal_pair(seed, path, step * blocks + b)]
    return np.array(values[:rank])


def linear_chain(propagator, factor, start, seed, path, num_steps):
    """States of ``x <- A x + F z``, shape (num_steps + 1, D)."""
    states = [np.array(start, float)]
    for step in range(num_steps):
        noise = step_normals(seed, path, step, factor.shape[1])
        states.append(propagator @ states[-1] + factor @ noise)
    return np.array(states)


def two_basin_gradients(w, data):
    """Gradients of ``min(s, f)`` for every datum, and which of them are in the sharp basin."""
    p, q = w - data - 1, w - data + 1
    u, v = (p[:, 0] - p[:, 1]) / math.sqrt(2), (p[:, 0] + p[:, 1]) / math.sqrt(2)
    sharp = 10 * u**2 + 100 * v**2 < (q**2).sum(axis=1)
    of_sharp = np.column_stack([20 * u + 200 * v, 200 * v - 20 * u]) / math.sqrt(2)
    return np.where(sharp[:, None], of_sharp, 2 * q), sharp


def two_basin_covariance(dynamics, w, data, squared_norm):
    """Covariance of the noise of a dynamics at w, and the Hessian of the mean loss."""
    gradients, sharp = two_basin_gradients(w, data)
    share = sharp.mean()
    axes = np.array([[1, 1], [-1, 1]]) / math.sqrt(2)  # columns: second-steepest, steepest
    hessian = share * axes @ np.diag([20, 200]) @ axes.T + (1 - share) * 2 * np.eye(2)
    sample = np.cov(gradients.T, bias=True)
    covariance = {
        "gd": np.zeros((2, 2)),
        "gld_constant": np.eye(2),
        "gld_diagonal": np.diag(np.diag(sample)),
        "gld_leading": sample,
        "gld_hessian": hessian,
        "gld_first_eigenvector": np.ones((2, 2)),
        "sgd": sample,
    }[dynamics]
    trace = np.trace(covariance)
    return covariance * (squared_norm / trace if trace else 0.0), hessian
