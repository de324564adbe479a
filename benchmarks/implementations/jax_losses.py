"""The plain perceptron in JAX: jit and vmap."""

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.implementations.plain_losses import data_of, outputs

jax.config.update("jax_enable_x64", True)


def compiled(widths, num_examples):
    """jit of the gradient, and vmap over examples and over vectors."""
    theta, inputs, targets, vectors = map(jnp.asarray, data_of(widths, num_examples))

    def mean(own, x, y):
        logs = jax.nn.log_softmax(outputs(jnp, own, x, widths))
        return -jnp.mean(jnp.take_along_axis(logs, y[:, None], 1))

    slope = jax.grad(mean)
    single = jax.jit(slope)
    rows = jax.jit(jax.vmap(lambda own, x, y: slope(own, x[None], y[None]), (None, 0, 0)))
    block = jax.jit(
        lambda own, x, y, v: jax.vmap(
            lambda one: jax.jvp(lambda t: slope(t, x, y), (own,), (one,))[1], 1, 1
        )(v)
    )
    return {
        "gradient": lambda: single(theta, inputs, targets).block_until_ready(),
        "per_example_gradients": lambda: rows(theta, inputs, targets).block_until_ready(),
        "hessian_products": lambda: block(theta, inputs, targets, vectors).block_until_ready(),
    }


def as_array(result):
    """Return a result as a NumPy array, by which implementations are compared."""
    return np.asarray(result)
