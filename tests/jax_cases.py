"""Small JAX losses with parameters and data."""

import jax
import jax.numpy as jnp
import numpy as np

NUM_EXAMPLES = 5


def double():
    """A context in which JAX computes in double precision."""
    return jax.enable_x64(True) if hasattr(jax, "enable_x64") else jax.experimental.enable_x64(True)


def params():
    """Parameters of two layers, 3-4-3; keys in another order than the layers."""
    rng = np.random.default_rng(1)
    return {
        "out": {"w": rng.standard_normal((4, 3)) / 2, "b": rng.standard_normal(3) / 4},
        "hidden": {"w": rng.standard_normal((3, 4)), "b": rng.standard_normal(4) / 4},
    }


def data():
    """Inputs (5, 3) and targets (5, 3)."""
    rng = np.random.default_rng(2)
    return rng.standard_normal((NUM_EXAMPLES, 3)), rng.standard_normal((NUM_EXAMPLES, 3))


def outputs(params, inputs):
    """Outputs of the network, shape (n, 3)."""
    hidden = jnp.tanh(inputs @ params["hidden"]["w"] + params["hidden"]["b"])
    return hidden @ params["out"]["w"] + params["out"]["b"]


def mean(params, inputs, targets):
    """Mean squared error."""
    return ((outputs(params, inputs) - targets) ** 2).mean()


LINE = {"w": 0.5, "b": -1.0}


def line(params, inputs, targets):
    """Losses (w x + b - y)^2 / 2 of a line, shape (n,)."""
    return (params["w"] * inputs + params["b"] - targets) ** 2 / 2
