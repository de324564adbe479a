"""JAX peers: jit as users write it, and the tiled network."""

import curvature_problems as common
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

jax.config.update("jax_enable_x64", True)


def outputs(model, theta, inputs):
    """Outputs (n, C)."""
    arrays = common.unpacked(model, theta)
    if model == "fashion":
        w1, b1, w2, b2, w3, b3, w4, b4 = arrays
        hidden = inputs
        for weights, biases in ((w1, b1), (w2, b2)):
            hidden = lax.conv_general_dilated(
                hidden, weights, (1, 1), "VALID", dimension_numbers=("NHWC", "OIHW", "NHWC")
            )
            n, height, width, channels = hidden.shape
            shape = (n, height // 2, 2, width // 2, 2, channels)
            hidden = jax.nn.relu((hidden + biases).reshape(shape).max((2, 4)))
        hidden = hidden.transpose(0, 3, 1, 2).reshape(hidden.shape[0], -1)
        return jax.nn.relu(hidden @ w3.T + b3) @ w4.T + b4
    if model == "hidden512":
        hidden = jax.nn.relu(inputs @ arrays[0].T + arrays[1])
        half = hidden.shape[-1] // 2
        return hidden[..., :half].sum(-1) - hidden[..., half:].sum(-1)
    hidden = inputs
    for number in range(0, len(arrays), 2):
        hidden = hidden @ arrays[number].T + arrays[number + 1]
        if number + 2 < len(arrays):
            hidden = jax.nn.relu(hidden)
    return hidden


def mean_loss(model, theta, inputs, targets):
    """The mean loss."""
    values = outputs(model, theta, inputs)
    if model == "hidden512":
        return jnp.mean((jnp.clip(values, 1e-3, 1 - 1e-3) - targets) ** 2)
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(values), targets[:, None], 1))


def compiled(problem):
    """jit of gradients, of lax.map over examples, of forward-over-reverse products."""
    inputs = problem.inputs.transpose(0, 2, 3, 1) if problem.model == "fashion" else problem.inputs
    theta, inputs, targets, vectors = map(
        jnp.asarray, (problem.theta, inputs, problem.targets, problem.vectors)
    )

    def loss(own, x, y):
        return mean_loss(problem.model, own, x, y)

    slope = jax.jit(jax.grad(loss))
    if problem.model == "hidden512":
        rows = jax.jit(jax.vmap(lambda t, x, y: jax.grad(loss)(t, x[None], y[None]), (None, 0, 0)))
    else:
        rows = jax.jit(
            lambda t, x, y: lax.map(
                lambda pair: jax.grad(loss)(t, pair[0][None], pair[1][None]), (x, y), batch_size=20
            )
        )
    found = {
        "gradient": lambda: slope(theta, inputs, targets).block_until_ready(),
        "per_example_gradients": lambda: rows(theta, inputs, targets).block_until_ready(),
        **_products(lambda own: loss(own, inputs, targets), theta, vectors),
    }
    if problem.model == "hidden512":
        # jax.hessian pushes all D tangents at once and runs out of memory: blocks of 64 instead
        dense = jax.jit(
            lambda t, x, y: lax.map(
                lambda v: jax.jvp(lambda own: jax.grad(loss)(own, x, y), (t,), (v,))[1],
                jnp.eye(t.size, dtype=t.dtype),
                batch_size=64,
            )
        )
        found["dense_hessian"] = lambda: dense(theta, inputs, targets).block_until_ready()
    return found


def _products(loss, theta, vectors):
    slope = jax.grad(loss)
    moving = jax.jit(lambda own, v: jax.jvp(slope, (own,), (v,))[1])
    state = {}

    def fixed():
        if not state:
            _, linear = jax.linearize(jax.jit(slope), theta)
            state["product"] = jax.jit(linear)
        return state["product"](vectors[:, 0]).block_until_ready()

    def block():
        if "block" not in state:
            fixed()
            _, linear = jax.linearize(jax.jit(slope), theta)
            state["block"] = jax.jit(jax.vmap(linear, in_axes=1, out_axes=1))
        return state["block"](vectors[:, :8]).block_until_ready()

    return {
        "hessian_product_moving": lambda: moving(theta, vectors[:, 0]).block_until_ready(),
        "hessian_product_fixed": fixed,
        "hessian_product_block8": block,
    }


def tiled(problem):
    """The tiled network."""
    if problem.model != "fashion":
        return {}
    theta, targets, vectors = map(jnp.asarray, (problem.theta, problem.targets, problem.vectors))
    columns = jnp.asarray(common.tile_columns(problem.inputs))
    tiling = jnp.asarray(common.tiling().astype(problem.inputs.dtype))
    count = len(targets)

    def loss(own, data):
        w1, b1, w2, b2, w3, b3, w4, b4 = common.unpacked("fashion", own)
        first = (w1.reshape(10, 25) @ tiling).reshape(40, 36)
        cells = jnp.max((first @ data).reshape(10, 4, 144 * count), axis=1) + b1[:, None]
        hidden = jax.nn.relu(cells).reshape(10, 12, 12, count)
        stacked = jnp.stack(
            [hidden[:, a : a + 7 : 2, b : b + 7 : 2] for a in range(6) for b in range(6)], 1
        ).reshape(360, 16 * count)
        second = (w2.reshape(100, 25) @ tiling).reshape(10, 10, 4, 36)
        second = second.transpose(0, 2, 1, 3).reshape(40, 360)
        cells = jnp.max((second @ stacked).reshape(10, 4, 16 * count), axis=1) + b2[:, None]
        hidden = jax.nn.relu(cells).reshape(160, count)
        hidden = jax.nn.relu(w3 @ hidden + b3[:, None])
        values = (w4 @ hidden + b4[:, None]).T
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(values), targets[:, None], 1))

    slope = jax.jit(jax.grad(loss))
    return {
        "gradient": lambda: slope(theta, columns).block_until_ready(),
        **_products(lambda own: loss(own, columns), theta, vectors),
    }


def as_array(result):
    """A result as a NumPy array, for the comparison of implementations."""
    return np.asarray(result)
