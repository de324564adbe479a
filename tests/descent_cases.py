"""Objectives, starts and settings of the tests of descent."""

import numpy as np

from aniso import descent, networks
from aniso.descent import (
    structures,
)
from aniso.problems import Problem, losses
from aniso.problems.quadratic import quadratic_problem

HESSIAN = np.diag([4.0, 2.0, 0.5, 0.1])
NUM_EXAMPLES = 12
BATCH = {"batch_size": 3, "sampling": "with_replacement"}


def bowl(rng):
    """Quadratic whose gradient noise is anisotropic and not aligned with any axis."""
    rows = rng.standard_normal((NUM_EXAMPLES, 4)) @ np.diag([3.0, 1.0, 0.3, 0.1])
    rotation = np.linalg.qr(rng.standard_normal((4, 4)))[0]
    return quadratic_problem(HESSIAN, np.zeros(4), rows @ rotation)


def network(rng, dtype=np.float64):
    stack = networks.multilayer_perceptron((3, 5, 2))
    inputs = rng.standard_normal((NUM_EXAMPLES, 3))
    targets = rng.integers(2, size=NUM_EXAMPLES)
    return networks.Network(
        stack, losses.SoftmaxCrossEntropy(), inputs, targets, dtype=dtype, num_threads=1
    )


def chosen(dynamics, **changes):
    """Settings of a dynamics with whatever it needs."""
    needed = dict(BATCH)
    if dynamics == "gld_constant":
        needed = {"standard_deviation": 0.3}
    return descent.Settings(
        dynamics, **({"learning_rate": 0.1, "num_steps": 6, "num_pairs": 2} | needed | changes)
    )


def covariance_of(dynamics, objective, theta, rng, **changes):
    made = chosen(dynamics, **changes)
    return structures.STRUCTURES[dynamics](objective.at(theta), made, rng, None).covariance


class Bare(Problem):
    """A bowl of which the tests replace some members."""

    num_examples = NUM_EXAMPLES

    def losses(self, theta):
        return np.full(NUM_EXAMPLES, float(theta @ theta))

    def gradient(self, theta):
        return 2 * theta

    def example_gradients(self, theta):
        return np.tile(2 * theta, (NUM_EXAMPLES, 1))

    def hessian_product(self, theta, vectors):  # noqa: ARG002
        return 2 * vectors

    def subset(self, indices):  # noqa: ARG002
        return self
