"""Mean exit times of Euler's chain on the line as an integral equation, without sampling."""

import numpy as np

SHIFT = 0.5825971579390106


def panels(low, high, width, order=8):
    """Nodes and weights of Gauss and Legendre on panels of at most a given width."""
    nodes, weights = np.polynomial.legendre.leggauss(order)
    edges = np.linspace(low, high, int(np.ceil((high - low) / width)) + 1)
    half = np.diff(edges)[:, None] / 2
    middle = (edges[1:] + edges[:-1])[:, None] / 2
    return (middle + half * nodes).ravel(), (half * weights).ravel()


def mean_exit_time(drift, variance, start, low, high, step, method, *, wall=None):
    """Mean exit time of ``x + step f(x) + sqrt(step variance) z`` through `high`.

    ``T(x) = h E[part of the step inside] + int p(x, y) S(x, y) T(y) dy`` with the probability S to
    be inside all along the step. Below `low` nothing happens: the drift has to prevent it, or a
    path is mirrored at `wall`, which is `low` then. A variance that is a function is taken where a
    step begins.
    """
    if not callable(variance):
        constant = variance
        variance = lambda x: np.full_like(x, constant)  # noqa: E731
    wide = np.sqrt(step * variance(np.linspace(low, high, 101)))
    spread = wide.min()
    edge = SHIFT * spread if method == "shift" else 0.0
    top = high - edge
    y, weight = panels(low, top, 1.5 * spread)
    beyond, weight_beyond = panels(top, top + 10 * wide.max(), 1.5 * spread)
    x = np.append(y, start)
    spread = np.sqrt(step * variance(x))[:, None]

    def density(target):
        away = target - (x + step * drift(x))[:, None]
        return np.exp(-0.5 * (away / spread) ** 2) / (spread * np.sqrt(2 * np.pi))

    near = (top - x)[:, None]
    inside, outside = density(y) * weight, density(beyond) * weight_beyond
    if wall is not None:
        inside = inside + density(2 * wall - y) * weight
    ends = top - np.concatenate([y, beyond])
    everywhere = np.concatenate([inside, outside], axis=1)
    if method == "bridge":
        crossed = np.where(ends > 0, np.exp(-2 * np.maximum(near * ends, 0) / spread**2), 1.0)
    else:
        crossed = np.broadcast_to(ends <= 0, everywhere.shape) * 1.0
    part = np.maximum(near, 0) / (np.maximum(near, 0) + np.abs(ends))
    part = np.ones_like(everywhere) if method == "grid" else part
    spent = step * np.sum(everywhere * (1 - crossed + crossed * part), axis=1)
    kernel = inside * (1 - crossed[:, : len(y)])
    times = np.linalg.solve(np.eye(len(y)) - kernel[:-1], spent[:-1])
    return float(spent[-1] + kernel[-1] @ times)
