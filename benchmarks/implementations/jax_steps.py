"""SGD in JAX: a compiled step in a loop, and the whole run as one compiled scan."""

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.implementations.jax_networks import as_array, channels_last, mean_loss
from benchmarks.implementations.training import LEARNING_RATE, NUM_STEPS, batches, start_of
from benchmarks.worker import Measured

__all__ = ["as_array", "sgd"]


def sgd(model, batch_size, dtype, scan):
    """Steps of SGD: draw, gather, gradient, update."""
    problem, _ = start_of(model, dtype)
    count, rate = NUM_STEPS[model], np.dtype(dtype).type(LEARNING_RATE)
    start, targets = jnp.asarray(problem.theta), jnp.asarray(problem.targets)
    inputs = jnp.asarray(channels_last(model, problem.inputs))

    def step(theta, rows):
        slope = jax.grad(lambda own: mean_loss(model, own, inputs[rows], targets[rows]))(theta)
        return theta - rate * slope

    compiled = jax.jit(step)
    whole = jax.jit(
        lambda theta, drawn: jax.lax.scan(lambda t, rows: (step(t, rows), None), theta, drawn)[0]
    )

    def run():
        drawn, theta = batches(np.random.default_rng(0), count, batch_size), start
        if scan:
            theta = whole(theta, np.stack(list(drawn)))
        else:
            for rows in drawn:
                theta = compiled(theta, rows)
        return Measured(units=count, value=np.asarray(theta))

    return {"step": run}
