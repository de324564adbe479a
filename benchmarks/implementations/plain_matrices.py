"""Two dense symmetric positive matrices, for every implementation alike, and the sums by hand."""

import numpy as np


def pair(size):
    """Return H and Sigma."""
    rng = np.random.default_rng(0)
    return [_positive(rng, size) for _ in range(2)]


def _positive(rng, size):
    factor = rng.standard_normal((size, 100))
    return factor @ factor.T / 100 + np.eye(size)


def by_hand(size):
    """The sums, with no check of the matrices."""
    hessian, covariance = pair(size)

    def ratio():
        alignment = np.vdot(hessian, covariance)
        return size * alignment / (np.trace(hessian) * np.trace(covariance))

    return {"trace_ratio": ratio, "alignment": lambda: np.vdot(hessian, covariance)}
