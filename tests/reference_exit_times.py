"""Mean exit times on the line by finite differences, as a random walk on a grid."""

import numpy as np


def random_walk_exit_times(drift, variance, low, high, num_cells):
    """Mean exit times of a walk on num_cells + 1 points whose ends absorb.

    The walk jumps up at the rate ``s^2 e^{f h / s^2} / (2 h^2)`` and down at
    ``s^2 e^{-f h / s^2} / (2 h^2)``, of second order in h. The elimination
    ``T_i = (1 - r_i) T_{i+1} + q_i`` adds positive numbers only and loses no digits.
    """
    x = np.linspace(low, high, num_cells + 1)
    h = (high - low) / num_cells
    s2 = variance(x) if callable(variance) else np.full_like(x, variance)
    tilt = drift(x) * h / s2
    up = (s2 / (2 * h * h) * np.exp(tilt)).tolist()
    down = (s2 / (2 * h * h) * np.exp(-tilt)).tolist()
    r, q = [1.0] * (num_cells + 1), [0.0] * (num_cells + 1)
    for i in range(1, num_cells):
        total = up[i] + down[i] * r[i - 1]
        r[i], q[i] = down[i] * r[i - 1] / total, (1 + down[i] * q[i - 1]) / total
    times = [0.0] * (num_cells + 1)
    for i in range(num_cells - 1, 0, -1):
        times[i] = up[i] / (up[i] + down[i] * r[i - 1]) * times[i + 1] + q[i]
    return x, np.array(times)


def mean_exit_times(drift, variance, low, high, num_cells):
    """Points, mean exit times and their errors, by extrapolation over h, h/2 and h/4."""
    x, coarse = random_walk_exit_times(drift, variance, low, high, num_cells)
    _, middle = random_walk_exit_times(drift, variance, low, high, 2 * num_cells)
    _, fine = random_walk_exit_times(drift, variance, low, high, 4 * num_cells)
    second = (4 * middle[::2] - coarse) / 3, (4 * fine[::4] - middle[::2]) / 3
    times = (16 * second[1] - second[0]) / 15
    return x, times, np.abs(times - second[1])
