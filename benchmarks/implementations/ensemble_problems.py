"""Stochastic differential equations that every implementation simulates alike."""

import numpy as np

STEP, NUM_STEPS, DIMENSION = 0.01, 500, 10
LEARNING_RATE, SQUARED_NORM = 0.005, 0.01
EXIT_STEP, SIGMA = 1e-3, 0.7


def linear_problem():
    """Return H, F and the start of the 10-dimensional problem, both matrices dense."""
    rng = np.random.default_rng(0)
    a = rng.standard_normal((DIMENSION, DIMENSION))
    return a @ a.T / DIMENSION + np.eye(DIMENSION), rng.standard_normal((10, 10)) / 4, np.ones(10)


def toy_data():
    """Return the 100 data of the two-basin toy."""
    z = np.random.default_rng(1).standard_normal((100, 2))
    return z * [np.sqrt(10), 1] @ np.array([[1, -1], [1, 1]]) / np.sqrt(2) / 100
