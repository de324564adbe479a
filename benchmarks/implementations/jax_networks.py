"""JAX: jit as its users write it, and the convolutional network with aniso's tiling."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from benchmarks.implementations import network_problems

jax.config.update("jax_enable_x64", True)
# vmap over all images would take gigabytes
_TOGETHER = 20


def outputs(model, theta, inputs):
    """Return the outputs (n, C), or (n,) of one hidden layer."""
    arrays = network_problems.unpacked(model, theta)
    if model == "convolutional":
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
    if model.startswith("2-"):
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
    """Return the mean loss."""
    values = outputs(model, theta, inputs)
    if model.startswith("2-"):
        return jnp.mean((jnp.clip(values, 1e-3, 1 - 1e-3) - targets) ** 2)
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(values), targets[:, None], 1))


def channels_last(model, inputs):
    """Return the inputs as `outputs` takes them."""
    return inputs.transpose(0, 2, 3, 1) if model == "convolutional" else inputs


def compiled(model, num_examples, dtype):
    """jit of gradients, of gradients of examples and of forward-over-reverse products."""
    problem = network_problems.problem(model, num_examples, dtype)
    theta, inputs, targets, vectors = map(
        jnp.asarray,
        (problem.theta, channels_last(model, problem.inputs), problem.targets, problem.vectors),
    )

    def loss(own, x, y):
        return mean_loss(model, own, x, y)

    def one(own, x, y):
        return jax.grad(loss)(own, x[None], y[None])

    slope = jax.jit(jax.grad(loss))
    if model == "convolutional":
        rows = jax.jit(
            lambda t, x, y: lax.map(lambda pair: one(t, *pair), (x, y), batch_size=_TOGETHER)
        )
    else:
        rows = jax.jit(jax.vmap(one, (None, 0, 0)))
    found = {
        "gradient": lambda: slope(theta, inputs, targets).block_until_ready(),
        "per_example_gradients": lambda: rows(theta, inputs, targets).block_until_ready(),
        **_products(lambda own: loss(own, inputs, targets), theta, vectors),
    }
    if model == "convolutional":
        x, y = inputs[:100], targets[:100]
        found["gradient_100"] = lambda: slope(theta, x, y).block_until_ready()
    if problem.is_small:
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
    slope, vector = jax.grad(loss), vectors[:, 0]

    def along(own, v):
        return jax.jvp(slope, (own,), (v,))[1]

    moving = jax.jit(along)
    moving_block = jax.jit(jax.vmap(along, in_axes=(None, 1), out_axes=1))
    state = {}

    def linear(name, transform):
        if name not in state:
            state[name] = jax.jit(transform(jax.linearize(jax.jit(slope), theta)[1]))
        return state[name]

    def fixed():
        return linear("one", lambda product: product)(vector).block_until_ready()

    def fixed_block():
        block = linear("block", lambda product: jax.vmap(product, in_axes=1, out_axes=1))
        return block(vectors[:, :8]).block_until_ready()

    return {
        "hessian_product_moving": lambda: moving(theta, vector).block_until_ready(),
        "hessian_product_block8": lambda: moving_block(theta, vectors[:, :8]).block_until_ready(),
        "hessian_product_fixed": fixed,
        "hessian_product_fixed8": fixed_block,
    }


def tiled(model, num_examples, dtype):
    """The convolutional network with aniso's tiling: faster than what users write."""
    if model != "convolutional":
        return {}
    problem = network_problems.problem(model, num_examples, dtype)
    theta, vectors = jnp.asarray(problem.theta), jnp.asarray(problem.vectors)
    tiling = jnp.asarray(network_problems.tiling().astype(dtype))

    def loss(own, columns, targets):
        count = len(targets)
        w1, b1, w2, b2, w3, b3, w4, b4 = network_problems.unpacked(model, own)
        first = (w1.reshape(10, 25) @ tiling).reshape(40, 36)
        cells = jnp.max((first @ columns).reshape(10, 4, 144 * count), axis=1) + b1[:, None]
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
    whole, head = _tiled_data(problem), _tiled_data(problem.head(100))
    return {
        "gradient": lambda: slope(theta, *whole).block_until_ready(),
        "gradient_100": lambda: slope(theta, *head).block_until_ready(),
        **_products(lambda own: loss(own, *whole), theta, vectors),
    }


def _tiled_data(problem):
    columns = network_problems.tile_columns(problem.inputs)
    return jnp.asarray(columns), jnp.asarray(problem.targets)


def as_array(result):
    """Return a result as a NumPy array, by which implementations are compared."""
    return np.asarray(result)
