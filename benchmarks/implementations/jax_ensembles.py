"""Ensembles in JAX: scans, a while loop for first passages, and diffrax."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import random

from benchmarks.implementations.ensemble_problems import (
    EXIT_STEP,
    LEARNING_RATE,
    NUM_STEPS,
    SIGMA,
    SQUARED_NORM,
    STEP,
    linear_problem,
    toy_data,
)
from benchmarks.worker import Measured

jax.config.update("jax_enable_x64", True)


def scan(scale):
    """Scans over the steps, in double precision."""
    hessian, factor, start = map(jnp.array, linear_problem())
    a, f = jnp.eye(10) - STEP * hessian, np.sqrt(STEP) * factor
    paths, runs, exits = 4000 // scale, 2000 // scale, 500 // scale
    data = jnp.array(toy_data())

    @jax.jit
    def linear(key):
        def step(x, k):
            return x @ a.T + random.normal(k, (paths, 10)) @ f.T, None

        last, _ = jax.lax.scan(step, jnp.tile(start, (paths, 1)), random.split(key, NUM_STEPS))
        return last.mean(0)

    def loss(w, x):
        p, q = w - x - 1, w - x + 1
        s = 5 * (p[0] - p[1]) ** 2 + 50 * (p[0] + p[1]) ** 2
        return jnp.minimum(s, q @ q)

    gradients = jax.vmap(jax.vmap(jax.grad(loss), (None, 0)), (0, None))

    @jax.jit
    def toy(key):
        def step(w, k):
            g = gradients(w, data)
            mean = g.mean(1)
            d = g - mean[:, None]
            cov = jnp.einsum("rni,rnj->rij", d, d)
            cov *= (SQUARED_NORM / (cov[:, 0, 0] + cov[:, 1, 1]))[:, None, None]
            l0 = jnp.sqrt(cov[:, 0, 0])
            l1 = cov[:, 0, 1] / l0
            l2 = jnp.sqrt(jnp.maximum(cov[:, 1, 1] - l1 * l1, 0))
            z = random.normal(k, (runs, 2))
            noise = jnp.stack([l0 * z[:, 0], l1 * z[:, 0] + l2 * z[:, 1]], -1)
            return w - LEARNING_RATE * mean + noise, None

        return jax.lax.scan(step, jnp.ones((runs, 2)), random.split(key, 500))[0].mean(0)

    @jax.jit
    def passage(key):
        deviation, scale_ = SIGMA * np.sqrt(EXIT_STEP), -2 / (SIGMA**2 * EXIT_STEP)

        def body(carry):
            x, steps, alive, k = carry
            k, k1, k2 = random.split(k, 3)
            y = x - (x**3 - x) * EXIT_STEP + deviation * random.normal(k1, (exits,))
            crossed = random.uniform(k2, (exits,)) < jnp.exp(jnp.minimum(scale_ * x * y, 0))
            steps = steps + alive
            alive = alive & ~((y >= 0) | crossed)
            return jnp.where(alive, y, -1.0), steps, alive, k

        begin = (jnp.full(exits, -1.0), jnp.zeros(exits, int), jnp.ones(exits, bool), key)
        return jax.lax.while_loop(lambda carry: carry[2].any(), body, begin)[1].sum()

    def counted(function, count):
        def run():
            answer = function(random.key(1)).block_until_ready()
            return Measured(units=int(answer) if count is None else count)

        return run

    return {
        "linear": counted(linear, paths * NUM_STEPS),
        "two_basin": counted(toy, runs * 500),
        "first_passage": counted(passage, None),
    }


def diffrax(scale):
    """diffrax with UnsafeBrownianPath, its fastest source of noise."""
    import diffrax as dx

    hessian, factor, start = map(jnp.array, linear_problem())
    paths = 1000 // scale

    def one(key):
        brownian = dx.UnsafeBrownianPath(shape=(10,), key=key)
        terms = dx.MultiTerm(
            dx.ODETerm(lambda t, y, args: -hessian @ y),  # noqa: ARG005
            dx.ControlTerm(lambda t, y, args: factor, brownian),  # noqa: ARG005
        )
        return dx.diffeqsolve(
            terms, dx.Euler(), 0.0, NUM_STEPS * STEP, STEP, start,
            saveat=dx.SaveAt(t1=True), max_steps=None, adjoint=dx.ForwardMode(), throw=False,
        ).ys[0]  # fmt: skip

    batch = jax.jit(lambda key: jax.vmap(one)(random.split(key, paths)).mean(0))

    def run():
        batch(random.key(1)).block_until_ready()
        return Measured(units=paths * NUM_STEPS)

    return {"linear": run}
