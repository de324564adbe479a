"""Users' functions are tried before a run; what a trial can't see stops the run."""

import types

import numba
import numpy as np
import pytest
from function_cases import compiled_only, problem, right

from aniso import checks, escape, langevin
from aniso.langevin import (
    drifts,
    example_chains,
    example_sets,
    noises,
    regions,
)


def rebinds(theta, parameters, out):
    out = -parameters[0] * theta  # noqa: F841


def accumulates(theta, parameters, out):
    for lane in range(theta.shape[1]):
        out[0, lane] += -parameters[0] * theta[0, lane]


def raises(theta, parameters, out):  # noqa: ARG001
    raise ValueError("no such thing")


def reads_what_is_not_there(theta, parameters, out):
    for lane in range(theta.shape[1]):
        out[0, lane] = -parameters[3] * theta[0, lane]


@numba.njit
def fourth(parameters):
    return parameters[3]


def lets_another_read_what_is_not_there(theta, parameters, out):
    for lane in range(theta.shape[1]):
        out[0, lane] = -fourth(parameters) * theta[0, lane]


library = types.ModuleType("library")
library.fourth = fourth


def lets_a_library_read_what_is_not_there(theta, parameters, out):
    for lane in range(theta.shape[1]):
        out[0, lane] = -library.fourth(parameters) * theta[0, lane]


def leaves_out_a_side(theta, parameters, out):
    for lane in range(theta.shape[1]):
        if theta[0, lane] > 0:
            out[0, lane] = -parameters[0] * theta[0, lane]


def is_random(theta, parameters, out):
    for lane in range(theta.shape[1]):
        out[0, lane] = -parameters[0] * theta[0, lane] + np.random.normal()  # noqa: NPY002


def mixes_paths(theta, parameters, out):
    for lane in range(theta.shape[1]):
        out[0, lane] = -parameters[0] * theta[0, 0]


def changes_theta(theta, parameters, out):
    for lane in range(theta.shape[1]):
        theta[0, lane] *= -parameters[0]
        out[0, lane] = theta[0, lane]


def is_nowhere_finite(theta, parameters, out):
    for lane in range(theta.shape[1]):
        out[0, lane] = -parameters[0] / (theta[0, lane] - theta[0, lane])


# a region of these tests adds 1 to what is not written
UNWRITTEN = "(does not write|adds to what) (row 0 of )?out"
WRONG = [
    (rebinds, UNWRITTEN),
    (accumulates, "adds to what (row 0 of )?out held"),
    (raises, "raises ValueError: no such thing"),
    (reads_what_is_not_there, "raises IndexError: index 3 is out of bounds"),
    (lets_another_read_what_is_not_there, "raises IndexError: index 3 is out of bounds"),
    (lets_a_library_read_what_is_not_there, "raises IndexError: index 3 is out of bounds"),
    (leaves_out_a_side, UNWRITTEN),
    (is_random, "without random numbers"),
    (mixes_paths, "column l of out to depend on column l of theta"),
    (changes_theta, "changes theta or parameters"),
    (is_nowhere_finite, "gives .* at the start"),
]


def ids(case):
    return getattr(case, "__name__", "")


RIGHT = problem()


@pytest.mark.parametrize(("function", "message"), WRONG, ids=ids)
def test_a_wrong_drift_is_refused_by_every_simulation(function, message):
    wrong, region = problem(function), regions.interval(-1.0, 1.0)
    calls = [
        lambda: escape.simulate_mean_exit_time(wrong, region, 0.1, 9.0, 3, seed=1),
        lambda: langevin.simulate_exits(wrong, region, 0.1, 9.0, 3, seed=1),
        lambda: langevin.simulate_ensemble(wrong, "euler_maruyama", 0.1, [3], 3, seed=1),
        lambda: langevin.simulate_paths(wrong, "sra1", 0.1, [3], 3, seed=1),
    ]
    for call in calls:
        with pytest.raises(checks.InputError, match=f"drift .*{message}"):
            call()


@compiled_only
@pytest.mark.parametrize(("function", "message"), WRONG, ids=ids)
def test_a_wrong_plain_drift_is_refused(function, message):
    own = drifts.of_function(function, 1, parameters=[3.0])
    wrong = langevin.LangevinProblem(own, noises.diagonal([1.0]), [0.0])
    with pytest.raises(checks.InputError, match=message):
        langevin.simulate_paths(wrong, "euler_maruyama", 0.1, [3], 3, seed=1)


def amplitude_of(function):
    """An amplitude whose first row is the given function."""
    source = numba.njit(function)

    @numba.njit
    def amplitude(theta, parameters, out):
        source(theta, parameters, out[:1])
        for lane in range(theta.shape[1]):
            out[1, lane] = -parameters[0]

    return amplitude


@pytest.mark.parametrize(("function", "message"), WRONG, ids=ids)
def test_a_wrong_amplitude_is_refused(function, message):
    noise = noises.state_dependent(amplitude_of(function), 1, parameters=[3.0])
    wrong = langevin.LangevinProblem(drifts.of_quadratic([[1.0]]), noise, [0.0])
    for scheme in ("euler_maruyama", "milstein"):
        with pytest.raises(checks.InputError, match=message):
            langevin.simulate_paths(wrong, scheme, 0.1, [3], 3, seed=1)


def region_of(function):
    """A region whose margin is 1 plus the given function of theta."""
    source = numba.njit(function)

    @numba.njit
    def region(theta, parameters, out):
        source(theta, parameters, out[:1])
        for lane in range(theta.shape[1]):
            out[0, lane] += 1.0
            out[1, lane] = 9.0

    return regions.custom(region, 1, parameters=[3.0])


@pytest.mark.parametrize(("function", "message"), WRONG, ids=ids)
def test_a_wrong_region_is_refused(function, message):
    wrong = region_of(function)
    for method in ("grid", "bridge", "shift"):
        with pytest.raises(checks.InputError, match=message):
            langevin.simulate_exits(RIGHT, wrong, 0.1, 9.0, 3, 1, method=method)


def test_a_right_region_is_not_refused():
    for method in ("grid", "bridge", "shift"):
        exits = langevin.simulate_exits(RIGHT, region_of(right), 1e-3, 0.1, 3, 1, method=method)
        assert exits.num_steps > 0


def potential_of(function):
    source = numba.njit(function)

    @numba.njit
    def potential(theta, parameters, out):
        source(theta, parameters, out.reshape((1, out.shape[0])))

    return potential


@pytest.mark.parametrize(("function", "message"), WRONG[:-1], ids=ids)
def test_a_wrong_potential_is_refused(function, message):
    with pytest.raises(checks.InputError, match=message):
        langevin.simulate_ensemble(
            problem(potential=potential_of(function)), "euler_maruyama", 0.1, [3], 3, seed=1
        )


@pytest.mark.parametrize(("function", "message"), WRONG, ids=ids)
def test_a_wrong_gradient_of_examples_is_refused(function, message):
    source = numba.njit(function)

    @numba.njit
    def gradient(theta, index, parameters, out):  # noqa: ARG001
        source(theta, parameters, out)

    examples = example_sets.custom(gradient, 5, 1, parameters=[3.0])
    with pytest.raises(checks.InputError, match=message):
        example_chains.simulate_sgd(examples, 0.1, 1, "with_replacement", [0.0], [3], 4, seed=1)


def test_the_last_example_is_tried_too():
    @numba.njit
    def gradient(theta, index, parameters, out):
        for lane in range(theta.shape[1]):
            out[0, lane] = theta[0, lane] - parameters[index[lane]]

    examples = example_sets.custom(gradient, 6, 1, parameters=np.ones(5))
    with pytest.raises(checks.InputError, match="index 5 is out of bounds"):
        example_chains.simulate_sgd(examples, 0.1, 1, "with_replacement", [0.0], [3], 4, seed=1)
