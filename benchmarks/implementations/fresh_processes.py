"""Costs of a new process: imports, the first call with no compiled kernels, the verification."""

import os
import subprocess
import sys
import tempfile
import time

from benchmarks.worker import Measured

_TIMED = """
import time
{before}
start = time.perf_counter()
{code}
print(time.perf_counter() - start)
"""
_WELL = """
import numpy as np
from aniso import escape, langevin
from aniso.langevin import drifts, noises, regions
well = langevin.LangevinProblem(
    drifts.of_polynomial([0.0, 0.0, -0.5, 0.0, 0.25]), noises.constant([[0.25]]), [-1.0]
)
escape.simulate_mean_exit_time, langevin.simulate_ensemble
"""
_FIRST_CALLS = {
    "exit_time": (
        _WELL,
        "escape.simulate_mean_exit_time(well, regions.interval(-9, 0), 0.01, 400.0, 5000, seed=1)",
    ),
    "ensemble": (
        _WELL,
        "langevin.simulate_ensemble(well, 'euler_maruyama', 0.01, [100], 5000, 1)",
    ),
    "gradient": (
        """
import numpy as np
from aniso import networks
from aniso.problems import losses
rng = np.random.default_rng(0)
network = networks.Network(
    networks.fashion_mnist_network(), losses.SoftmaxCrossEntropy(),
    rng.random((100, 1, 28, 28)), rng.integers(0, 10, 100),
)
theta = network.model.initial_parameters(rng)
""",
        "network.gradient(theta)",
    ),
}


def _seconds(before, code, environment=None):
    """Return the seconds of code in a new process, after other code."""
    program = _TIMED.format(before=before, code=code)
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        check=True,
        text=True,
        env=os.environ | (environment or {}),
    )
    return float(done.stdout.split()[-1])


def imports(statements):
    """Imports by name of the quantity, in a new process each."""
    found = {}
    for name, statement in statements.items():
        module = statement.removeprefix("import ").split(".")[0].split()[0]
        if statement.startswith("import "):
            __import__(module)  # absent peers say so; it is in the file cache from here on

        def run(statement=statement):
            return Measured(seconds=_seconds("", statement))

        found[name] = run
    return found


def first_calls():
    """First calls of a process: with no compiled kernels, and with those of the process before."""
    found, kept = {}, {}
    for name, (before, code) in _FIRST_CALLS.items():

        def cold(name=name, before=before, code=code):
            kept[name] = tempfile.TemporaryDirectory()
            return _first_call(before, code, kept[name].name)

        def warm(name=name, before=before, code=code, cold=cold):
            if name not in kept:
                cold()
            return _first_call(before, code, kept[name].name)

        found |= {f"{name}_cold": cold, f"{name}_warm": warm}
    return found


def _first_call(before, code, folder):
    return Measured(seconds=_seconds(before, code, {"NUMBA_CACHE_DIR": folder}))


def verification():
    """The verification of the propositions, with no compiled kernels and with them."""
    kept = tempfile.TemporaryDirectory()

    def verify(*options, folder=None):
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "aniso.verify_propositions", *options],
            capture_output=True,
            env=os.environ | {"NUMBA_CACHE_DIR": folder or kept.name},
            check=False,
        )
        seconds = time.perf_counter() - start
        return Measured(seconds=seconds, more={"exit_status": done.returncode})

    def cold(*options):
        with tempfile.TemporaryDirectory() as folder:
            return verify(*options, folder=folder)

    return {
        "quick_cold": lambda: cold("--quick"),
        "default_cold": verify,  # fills the folder that is kept
        "default_warm": verify,
        "quick_warm": lambda: verify("--quick"),
    }
