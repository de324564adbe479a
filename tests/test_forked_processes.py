"""A process that was forked after aniso had used its threads computes what its parent computes.

Each case runs in an interpreter of its own. A forked process that waits for threads it does not
have is ended by its alarm, so that a failure is a failure and not a test run that never returns.
"""

import os
import signal
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(
    not hasattr(os, "fork") or not hasattr(signal, "alarm"), reason="the system cannot fork"
)

# what uses the threads of a network, of Lanczos iterations and of ensembles
_QUANTITIES = """
import numpy as np
from aniso import escape, langevin, networks, threads
from aniso.matrices import gradient_covariance
from aniso.matrices import eigenpairs, noise
from aniso.problems import losses
from aniso.langevin import drifts, noises, regions

rng = np.random.default_rng(0)
stack = networks.multilayer_perceptron((6, 5, 3))
inputs, labels = rng.normal(size=(64, 6)), rng.integers(0, 3, 64)
network = networks.Network(stack, losses.SoftmaxCrossEntropy(), inputs, labels, num_threads=2)
theta, vectors = stack.initial_parameters(rng), rng.normal(size=(stack.num_parameters, 2))
factors = network.linearise(theta, "factors").prepare()
workers = threads.Workers(2)
well = langevin.LangevinProblem(
    drifts.of_polynomial([0.0, 0.0, -0.5, 0.0, 0.25]), noises.constant([[0.25]]), [-1.0]
)
matrix = np.diag(np.arange(1.0, 41.0))


def lanczos_values():
    return eigenpairs.leading_eigenpairs(matrix, 3, method="block").values


def ensemble():
    return escape.simulate_mean_exit_time(
        well, regions.interval(-9, 0), 0.05, 1.0, 600, seed=1, num_threads=2
    ).mean.value


QUANTITIES = {
    "workers": lambda: workers.map(abs, [-1, -2, -3]),
    "gradient": lambda: network.gradient(theta),
    "hessian_product": lambda: network.hessian_product(theta, vectors),
    "hessian": lambda: network.hessian(theta),
    "per_example_gradients": lambda: network.per_example_gradients(theta),
    "noise_curvature": lambda: network.linearise(theta).noise_curvature().alignment,
    "cached_product": lambda: factors.hessian_product(vectors),
    "covariance": lambda: gradient_covariance(
        network.example_gradients(theta)
    ).leading_eigenpairs(2).values,
    "subset": lambda: network.subset(slice(0, 40)).gradient(theta),
    "lanczos": lanczos_values,
    "ensemble": ensemble,
}
"""

_FORK = """
import os
import signal
import warnings

warnings.simplefilter("ignore")  # Python says that threads and forks do not go together
for name, compute in QUANTITIES.items():
    expected = np.asarray(compute())
    child = os.fork()
    if child == 0:
        signal.alarm(100)
        same = np.array_equal(np.asarray(compute()), expected)
        os._exit(0 if same else 1)
    _, status = os.waitpid(child, 0)
    print(name, status)
"""

_POOL = """
import concurrent.futures
import multiprocessing
import signal
import warnings


def in_child(name):
    signal.alarm(100)
    return np.asarray(QUANTITIES[name]())


warnings.simplefilter("ignore")
for name, compute in QUANTITIES.items():
    expected = np.asarray(compute())
    context = multiprocessing.get_context("fork")
    with concurrent.futures.ProcessPoolExecutor(1, context) as pool:
        try:
            same = np.array_equal(pool.submit(in_child, name).result(), expected)
        except concurrent.futures.BrokenExecutor:
            same = False
    print(name, int(not same))
"""


def _statuses(script):
    done = subprocess.run(
        [sys.executable, "-c", _QUANTITIES + script],
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [line.split() for line in done.stdout.splitlines()]
    assert len(lines) >= 10, done.stderr
    return {name: int(status) for name, status in lines}


@pytest.mark.parametrize("script", [_FORK, _POOL], ids=["os.fork", "multiprocessing"])
def test_a_forked_process_computes_what_its_parent_computes(script):
    statuses = _statuses(script)
    assert statuses == dict.fromkeys(statuses, 0)
