"""A checkpoint is resumed only by the experiment that wrote it."""

import functools
import importlib
import os
import subprocess
import sys
import types

import numba
import numpy as np
import pytest
import seeds

from aniso import checks, langevin
from aniso.langevin import (
    drifts,
    example_chains,
    example_sets,
    experiment_identity,
    noises,
    regions,
)

LIBRARY = """
import math
import numba
import numpy as np
from types import SimpleNamespace

rate = {rate}
table = np.array([1.0, {table}])
settings = SimpleNamespace(pull={pull})
unused = {unused}

@numba.njit
def inner(x):
    return {inner}

@numba.njit
def force(x):
    return -math.sin(inner(x))

def drift_by_value(theta, parameters, out, factor={default}):
    for lane in range(theta.shape[1]):
        out[0, lane] = -factor * theta[0, lane]

class Model:
    scale = {scale}

    def __init__(self):
        self.strength = {strength}

    def factor(self):
        return {method} * self.scale

    def drift(self, theta, parameters, out):
        out[0] = -self.strength * self.factor() * theta[0]

    def __call__(self, theta, parameters, out):
        self.drift(theta, parameters, out)
"""
GIVEN = {
    "rate": "1.0",
    "table": "2.0",
    "pull": "3.0",
    "unused": "4.0",
    "inner": "x + 1.0",
    "default": "5.0",
    "scale": "6.0",
    "strength": "7.0",
    "method": "8.0",
}


@pytest.fixture
def library(tmp_path, monkeypatch):
    """``library(rate="2.0")`` makes a module that differs in this, and gives it anew."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def made(**changes):
        (tmp_path / "users_library.py").write_text(LIBRARY.format(**GIVEN | changes))
        importlib.invalidate_caches()
        for name in ("users_library", "users_library_alias"):
            sys.modules.pop(name, None)
        return importlib.import_module("users_library")

    return made


def by_module_number(lib):
    def drift(theta, parameters, out):  # noqa: ARG001
        for lane in range(theta.shape[1]):
            out[0, lane] = -lib.rate * theta[0, lane]

    return numba.njit(drift)


def by_module_array(lib):
    def drift(theta, parameters, out):  # noqa: ARG001
        for lane in range(theta.shape[1]):
            out[0, lane] = -lib.table[1] * theta[0, lane]

    return numba.njit(drift)


def by_module_object(lib):
    def drift(theta, parameters, out):  # noqa: ARG001
        out[0] = -lib.settings.pull * theta[0]

    return drift


def by_module_function(lib):
    def drift(theta, parameters, out):  # noqa: ARG001
        for lane in range(theta.shape[1]):
            out[0, lane] = lib.force(theta[0, lane])

    return numba.njit(drift)


def by_inner_function(lib):
    def drift(theta, parameters, out):  # noqa: ARG001
        def pulled(x):
            return -lib.rate * x

        for lane in range(theta.shape[1]):
            out[0, lane] = pulled(theta[0, lane])

    return numba.njit(drift)


def by_a_module_that_a_function_gives(lib):
    def chosen():
        return lib

    def drift(theta, parameters, out):  # noqa: ARG001
        out[0] = -chosen().rate * theta[0]

    return drift


def by_containers(lib):
    numbers = {"rates": [(lib.table, lib.rate)]}

    def drift(theta, parameters, out):  # noqa: ARG001
        out[0] = -numbers["rates"][0][0][1] * theta[0]

    return drift


def by_default(lib):
    return numba.njit(lib.drift_by_value)


def by_partial(lib):
    return functools.partial(lib.drift_by_value, factor=lib.rate)


def by_method(lib):
    return lib.Model().drift


def by_call(lib):
    return lib.Model()


def by_attribute_of_a_function(lib):
    def drift(theta, parameters, out):  # noqa: ARG001
        out[0] = -drift.rate * theta[0]

    drift.rate = lib.rate
    return drift


CASES = [
    (by_attribute_of_a_function, "rate"),
    (by_module_number, "rate"),
    (by_module_array, "table"),
    (by_module_object, "pull"),
    (by_module_function, "inner"),
    (by_inner_function, "rate"),
    (by_a_module_that_a_function_gives, "rate"),
    (by_containers, "table"),
    (by_default, "default"),
    (by_partial, "rate"),
    (by_method, "strength"),
    (by_method, "scale"),
    (by_method, "method"),
    (by_call, "strength"),
    (by_call, "method"),
]


@pytest.mark.parametrize(("make", "changed"), CASES)
@pytest.mark.filterwarnings("ignore:the drift is not compiled")
def test_what_a_drift_reaches_is_part_of_the_experiment(make, changed, library, tmp_path):
    checkpoint = tmp_path / "run.npz"

    def run(lib):
        drift = drifts.of_function(make(lib), 1)
        own = langevin.LangevinProblem(drift, noises.diagonal([0.0]), [1.0])
        return langevin.simulate_paths(
            own, "euler_maruyama", 0.01, [1], 2, 1, checkpoint=checkpoint
        )

    first = run(library())
    # what the drift does not reach may change
    np.testing.assert_array_equal(run(library(unused="0.5")), first)
    other = library(**{changed: GIVEN[changed] + " + 0.5"})
    with pytest.raises(checks.InputError, match="belongs to another experiment"):
        run(other)
    checkpoint.unlink()
    assert (run(other) != first).any()


def test_every_function_of_an_experiment_counts(library, tmp_path):
    a, b = library(), library(rate="2.0")

    def reach(lib, name, arguments):
        local = {"lib": lib}
        exec(f"def {name}({arguments}):\n    out[...] = lib.rate", local)
        return numba.njit(local[name])

    def amplitude(lib):
        noise = noises.state_dependent(reach_amplitude(lib), 1)
        own = langevin.LangevinProblem(drifts.of_quadratic([[1.0]]), noise, [1.0])
        langevin.simulate_paths(own, "euler_maruyama", 0.1, [1], 2, 1, checkpoint=tmp_path / "a")

    def reach_amplitude(lib):
        def constant(theta, parameters, out):  # noqa: ARG001
            out[0] = lib.rate
            out[1] = 0.0

        return numba.njit(constant)

    def potential(lib):
        drift = drifts.of_function(
            numba.njit(zero), 1, potential=reach(lib, "potential", "theta, parameters, out")
        )
        own = langevin.LangevinProblem(drift, noises.diagonal([1.0]), [1.0])
        langevin.simulate_ensemble(own, "euler_maruyama", 0.1, [1], 2, 1, checkpoint=tmp_path / "p")

    def region(lib):
        own = langevin.LangevinProblem(drifts.of_quadratic([[1.0]]), noises.diagonal([0.0]), [1.0])
        flat = regions.custom(reach_region(lib), 1)
        langevin.simulate_exits(own, flat, 0.1, 0.2, 2, 1, checkpoint=tmp_path / "r")

    def reach_region(lib):
        def far(theta, parameters, out):  # noqa: ARG001
            out[0] = lib.rate
            out[1] = 0.0

        return numba.njit(far)

    def gradient(lib):
        examples = example_sets.custom(reach(lib, "g", "theta, index, parameters, out"), 2, 1)
        example_chains.simulate_sgd(
            examples, 0.1, 1, "with_replacement", [0.0], [1], 2, 1, checkpoint=tmp_path / "g"
        )

    for run in (amplitude, potential, region, gradient):
        run(a)
        run(a)
        with pytest.raises(checks.InputError, match="belongs to another experiment"):
            run(b)


def zero(theta, parameters, out):  # noqa: ARG001
    out[...] = 0.0


def test_the_number_of_examples_counts(tmp_path):
    @numba.njit
    def gradient(theta, index, parameters, out):  # noqa: ARG001
        for lane in range(theta.shape[1]):
            out[0, lane] = index[lane]

    def run(num_examples):
        examples = example_sets.custom(gradient, num_examples, 1)
        return example_chains.simulate_sgd(
            examples, 0.1, 1, "with_replacement", [0.0], [1], 9, 1, checkpoint=tmp_path / "run.npz"
        )

    run(3)
    with pytest.raises(checks.InputError, match="belongs to another experiment"):
        run(4)


def looked_up(theta, parameters, out):  # noqa: ARG001
    out[0] = -globals()["RATE"] * theta[0]


def imported(theta, parameters, out):  # noqa: ARG001
    import math

    out[0] = -math.pi * theta[0]


GENERATOR = seeds.generator(0)


def of_an_object_of_c(theta, parameters, out):  # noqa: ARG001
    out[0] = -float(GENERATOR is not None) * theta[0]


RATE = 1.0
LAZY = types.ModuleType("lazy")
LAZY.__getattr__ = lambda name: {"rate": RATE}[name] if name == "rate" else missing(name)


def missing(name):
    raise AttributeError(name)


def of_a_lazy_module(theta, parameters, out):  # noqa: ARG001
    out[0] = -LAZY.rate * theta[0]


def of_the_environment(theta, parameters, out):  # noqa: ARG001
    out[0] = -float(os.environ.get("RATE", "1")) * theta[0]


def of_a_file(theta, parameters, out):  # noqa: ARG001
    out[0] = -np.loadtxt(RATES) * theta[0]


RATES = ["1.0"]


@pytest.mark.parametrize(
    "drift",
    [looked_up, imported, of_an_object_of_c, of_a_lazy_module, of_the_environment, of_a_file],
)
@pytest.mark.filterwarnings("ignore:the drift is not compiled")
def test_what_can_not_be_identified_is_refused_before_the_run(drift, tmp_path):
    own = langevin.LangevinProblem(drifts.of_function(drift, 1), noises.diagonal([0.0]), [1.0])
    arguments = (own, "euler_maruyama", 0.1, [1], 2, 1)
    with pytest.raises(checks.InputError, match="can't be identified for the checkpoint"):
        langevin.simulate_paths(*arguments, checkpoint=tmp_path / "run.npz")
    assert not (tmp_path / "run.npz").exists()
    assert langevin.simulate_paths(*arguments).shape == (2, 1, 1)


def test_long_tuples_and_sets_count_to_their_last_entry():
    numbers = np.arange(2000.0)
    others = numbers.copy()
    others[1000] = 0.5  # in the middle, which NumPy does not print

    def function_of(values):
        return lambda: values

    prints = [
        experiment_identity.fingerprint(function_of(values))
        for values in ((numbers, 1), (others, 1), {1, 2}, {1, 3}, [1, 2], (1, 2), {"a": 1})
    ]
    assert len(set(prints)) == len(prints)


ELSEWHERE = """
import sys
sys.path[:0] = [sys.argv[1], sys.argv[2]]
import users_library
import test_langevin_experiment_identity as here
from aniso.langevin import experiment_identity
makes = (here.by_module_function, here.by_method, here.by_call, here.by_partial, here.by_containers)
print(*(experiment_identity.fingerprint(make(users_library), {"b", "a", "c"}) for make in makes))
"""


def test_fingerprints_are_the_same_in_every_process(library, tmp_path, request):
    library()
    found = {
        subprocess.run(
            [sys.executable, "-c", ELSEWHERE, str(tmp_path), str(request.path.parent)],
            capture_output=True,
            text=True,
            check=True,
            env=None,
        ).stdout
        for _ in range(2)
    }
    assert len(found) == 1
