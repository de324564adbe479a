"""Start and length of the runs of SGD, for every implementation alike."""

import numpy as np

from benchmarks.implementations import network_problems

NUM_EXAMPLES = 1200
NUM_STEPS = {"2-32-1": 400, "784-128-64-10": 100, "convolutional": 25}
LEARNING_RATE = 1e-4


def start_of(model, dtype):
    """Return the problem, and theta in double precision."""
    problem = network_problems.problem(model, NUM_EXAMPLES, dtype)
    return problem, problem.theta.astype(np.float64)


def batches(rng, num_steps, batch_size):
    """Yield the examples of every step, with replacement, as aniso draws them."""
    for _ in range(num_steps):
        yield rng.integers(NUM_EXAMPLES, size=batch_size)
