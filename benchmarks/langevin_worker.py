"""One implementation in a process of its own: reads names of quantities, answers with seconds.

    python langevin_worker.py IMPLEMENTATION THREADS SCALE

Every line on standard input names a quantity; every answer is a line
``{"seconds": ..., "path_steps": ...}``. The first answer lists the quantities, or says why there
are none. SCALE divides the number of paths.
"""

import ctypes
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

STEP, NUM_STEPS, DIMENSION = 0.01, 500, 10
LEARNING_RATE, SQUARED_NORM = 0.005, 0.01
EXIT_STEP, SIGMA = 1e-3, 0.7


def linear_problem():
    """H, F and the start of the 10-dimensional problem, both matrices dense."""
    rng = np.random.default_rng(0)
    a = rng.standard_normal((DIMENSION, DIMENSION))
    return a @ a.T / DIMENSION + np.eye(DIMENSION), rng.standard_normal((10, 10)) / 4, np.ones(10)


def toy_data():
    """100 data of the two-basin toy."""
    z = np.random.default_rng(1).standard_normal((100, 2))
    return z * [np.sqrt(10), 1] @ np.array([[1, -1], [1, 1]]) / np.sqrt(2) / 100


def aniso(threads, scale):
    """This package."""
    import numba

    from aniso import langevin
    from aniso.langevin import (
        drifts,
        example_chains,
        example_sets,
        noises,
        regions,
        two_basin_dynamics,
    )

    hessian, factor, start = linear_problem()
    data = toy_data()

    @numba.njit
    def own_linear(theta, parameters, out):
        size, lanes = theta.shape
        for i in range(size):
            for lane in range(lanes):
                out[i, lane] = 0.0
            for j in range(size):
                entry = parameters[i * size + j]
                for lane in range(lanes):
                    out[i, lane] -= entry * theta[j, lane]

    @numba.njit
    def own_double_well(theta, _parameters, out):
        for lane in range(theta.shape[1]):
            x = theta[0, lane]
            out[0, lane] = x - x * x * x

    noise = noises.low_rank(factor)
    quadratic = drifts.of_quadratic(hessian)
    general = drifts.Drift(10, quadratic.function, quadratic.parameters, quadratic.potential)
    own = drifts.of_function(own_linear, 10, parameters=hessian.ravel())
    paths = 100_000 // scale

    def ensemble(drift, scheme="euler_maruyama", num_paths=paths, num_steps=NUM_STEPS):
        problem = langevin.LangevinProblem(drift, noise, start)

        def run():
            langevin.simulate_ensemble(
                problem, scheme, STEP, [num_steps], num_paths, 1, num_threads=threads
            )
            return num_paths * num_steps

        return run

    def in_dimension(size):
        problem = langevin.LangevinProblem(
            drifts.of_quadratic(np.eye(size) + 0.1), noises.low_rank(np.eye(size) + 0.1),
            np.ones(size),
        )  # fmt: skip
        num_paths = max(64 * threads, 200_000 // size**2 // scale * 8)

        def run():
            langevin.simulate_ensemble(
                problem, "euler_maruyama", STEP, [100], num_paths, 1, num_threads=threads
            )
            return num_paths * 100

        return run

    def toy():
        two_basin_dynamics.simulate_two_basin(
            "gld_leading", data, 10_000 // scale, 1, num_threads=threads
        )
        return 10_000 // scale * 500

    def figure():
        for dynamics in two_basin_dynamics.FIGURE_DYNAMICS:
            two_basin_dynamics.simulate_two_basin(dynamics, data, 100, 1, num_threads=threads)
        return 6 * 100 * 500

    def exits(drift):
        problem = langevin.LangevinProblem(drift, noises.diagonal([SIGMA**2]), [-1.0])

        def run():
            return langevin.simulate_exits(
                problem, regions.interval(-np.inf, 0.0), EXIT_STEP, 500.0, 10_000 // scale, 1,
                num_threads=threads,
            ).num_steps  # fmt: skip

        return run

    @numba.njit
    def robust(theta, index, parameters, out):
        for lane in range(theta.shape[1]):
            distance = theta[0, lane] - parameters[index[lane]]
            out[0, lane] = distance * np.exp(-0.5 * distance**2)

    rng = np.random.default_rng(2)
    clusters = rng.choice([-1.5, 1.5], 200) + 0.5 * rng.standard_normal(200)
    sgd_problems = {
        "1d": (
            example_sets.custom(robust, 200, 1, parameters=clusters),
            regions.interval(-50.0, 50.0), 0.01, [-1.4],
        ),
        "10d": (
            example_sets.least_squares(rng.standard_normal((200, 10)), rng.standard_normal(200)),
            regions.sublevel_set(np.eye(10) + 0.1, 1e6), 0.01, np.zeros(10),
        ),
    }  # fmt: skip

    def of_sgd(size, sampling, *, exits):
        # the same steps: no chain leaves
        examples, region, rate, begin = sgd_problems[size]
        num_paths = 4096 // scale
        settings = rate, 4, sampling, begin

        def run():
            if exits:
                return langevin.simulate_sgd_exits(
                    examples, region, *settings, 300 * rate, num_paths, 1, num_threads=threads
                ).num_steps
            example_chains.simulate_sgd(
                examples, *settings, [300], num_paths, 1, num_threads=threads
            )
            return 300 * num_paths

        return run

    double_well = drifts.of_polynomial([0, 0, -0.5, 0, 0.25])
    return {
        "ou_10d": ensemble(quadratic),
        "ou_10d_general_kernel": ensemble(general),
        "ou_10d_own_drift": ensemble(own),
        "ou_10d_sra1": ensemble(quadratic, "sra1"),
        "two_basin": toy,
        "figure_2": figure,
        "first_passage": exits(double_well),
        "first_passage_own_drift": exits(drifts.of_function(own_double_well, 1)),
        **{f"sgd_{'exits' if exits else 'ensemble'}_{size}_{sampling}":
               of_sgd(size, sampling, exits=exits)
           for size in sgd_problems
           for sampling in ("with_replacement", "without_replacement", "epochs")
           for exits in (False, True)},
        **{f"paths_{n}": ensemble(quadratic, num_paths=n, num_steps=200)
           for n in (64, 256, 1024, 4096, 16384)},
        **{f"dimension_{d}": in_dimension(d) for d in (1, 2, 5, 10, 20, 50, 100, 200)},
    }  # fmt: skip


def c(threads, scale):
    """The same kernel in C, compiled here with what compiler there is."""
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None:
        raise ImportError("no C compiler")
    folder = tempfile.mkdtemp()
    target = Path(folder, "langevin_reference.so")
    subprocess.run(
        [compiler, "-O3", "-march=native", "-ffast-math", "-shared", "-fPIC", "-o", target,
         Path(__file__).with_name("langevin_reference.c"), "-lm"],
        check=True,
    )  # fmt: skip
    function = ctypes.CDLL(str(target)).ornstein_uhlenbeck
    shutil.rmtree(folder)
    hessian, factor, start = linear_problem()
    matrices = [np.ascontiguousarray(m) for m in (np.eye(10) - STEP * hessian,
                                                  np.sqrt(STEP) * factor, start)]  # fmt: skip
    chunk = 4096
    chunks = max(threads, 100_000 // scale // chunk)

    def part(number):
        sums = np.zeros(10)
        function(
            ctypes.c_uint64(1), ctypes.c_uint64(number * chunk), ctypes.c_int64(chunk),
            ctypes.c_int64(NUM_STEPS),
            *(m.ctypes.data_as(ctypes.c_void_p) for m in (*matrices, sums)),
        )  # fmt: skip
        return sums

    def run():
        with ThreadPoolExecutor(threads) as pool:
            sum(pool.map(part, range(chunks)))
        return chunks * chunk * NUM_STEPS

    return {"ou_10d": run}


def jax_scan(threads, scale):  # noqa: ARG001
    """A JAX scan, double precision; its threads are set by the environment."""
    import jax
    import jax.numpy as jnp
    from jax import random

    jax.config.update("jax_enable_x64", True)
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
            return int(answer) if count is None else count

        return run

    return {
        "ou_10d": counted(linear, paths * NUM_STEPS),
        "two_basin": counted(toy, runs * 500),
        "first_passage": counted(passage, None),
    }


def diffrax(threads, scale):  # noqa: ARG001
    """diffrax with UnsafeBrownianPath, its fastest source of noise."""
    import diffrax as dx
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
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

    batch = jax.jit(lambda key: jax.vmap(one)(jax.random.split(key, paths)).mean(0))

    def run():
        batch(jax.random.key(1)).block_until_ready()
        return paths * NUM_STEPS

    return {"ou_10d": run}


def torch_loop(threads, scale):
    """A loop in torch."""
    import torch

    torch.set_num_threads(threads)
    torch.set_default_dtype(torch.float64)
    hessian, factor, start = map(torch.tensor, linear_problem())
    a, f = (torch.eye(10) - STEP * hessian).T.contiguous(), (np.sqrt(STEP) * factor).T.contiguous()
    paths = 4000 // scale

    @torch.no_grad()
    def run():
        x = start.repeat(paths, 1)
        for _ in range(NUM_STEPS):
            x = x @ a + torch.randn(paths, 10) @ f
        return paths * NUM_STEPS

    return {"ou_10d": run}


def torchsde(threads, scale):
    """torchsde with its default BrownianInterval."""
    import torch
    import torchsde as library

    torch.set_num_threads(threads)
    torch.set_default_dtype(torch.float64)
    hessian, factor, start = map(torch.tensor, linear_problem())
    paths, steps = 4000 // scale, 100

    class Problem(torch.nn.Module):
        noise_type, sde_type = "general", "ito"

        def f(self, t, y):  # noqa: ARG002
            return -y @ hessian.T

        def g(self, t, y):  # noqa: ARG002
            return factor.expand(len(y), 10, 10)

    @torch.no_grad()
    def run():
        times = torch.tensor([0.0, steps * STEP])
        library.sdeint(Problem(), start.repeat(paths, 1), times, dt=STEP, method="euler")
        return paths * steps

    return {"ou_10d": run}


IMPLEMENTATIONS = {
    "aniso": aniso,
    "C": c,
    "JAX scan": jax_scan,
    "diffrax": diffrax,
    "torch loop": torch_loop,
    "torchsde": torchsde,
}


def main():
    """Serve one implementation until standard input ends."""
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints must not enter the answers

    def answer(message):
        channel.write(json.dumps(message) + "\n")
        channel.flush()

    implementation, threads, scale = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    if hasattr(os, "sched_setaffinity"):
        # the only way to hold JAX to a number of threads
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    try:
        found = IMPLEMENTATIONS[implementation](threads, scale)
    except ImportError as error:
        answer({"missing": str(error)})
        return
    answer({"quantities": list(found)})
    for line in sys.stdin:
        run = found[line.strip()]
        begin = time.perf_counter()
        path_steps = run()
        answer({"seconds": time.perf_counter() - begin, "path_steps": path_steps})


if __name__ == "__main__":
    main()
