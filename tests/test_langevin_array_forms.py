"""Arrays of any strides, byte order and real type give the numbers of plain ones."""

import numba
import numpy as np
import pytest

from aniso import langevin
from aniso.langevin import drifts, example_chains, example_sets, noises, regions


def forms(plain):
    """The same small whole numbers in every form that NumPy knows."""
    plain = np.array(plain, dtype=float)
    wide = np.full(tuple(2 * length for length in plain.shape), np.nan)
    every_other = tuple(slice(None, None, 2) for _ in plain.shape)
    backwards = tuple(slice(None, None, -1) for _ in plain.shape)
    wide[every_other] = plain
    locked = plain.copy()
    locked.flags.writeable = False
    return [
        plain.tolist(),
        wide[every_other],
        plain[backwards].copy()[backwards],
        locked,
        np.asfortranarray(plain),
        *(plain.astype(kind) for kind in (">f8", "f4", "f2", "i8", "i1", np.longdouble)),
    ]


@numba.njit
def pull(theta, parameters, out):
    for lane in range(theta.shape[1]):
        out[0, lane] = parameters[1] - parameters[0] * theta[0, lane]


@numba.njit
def height(theta, parameters, out):
    for lane in range(theta.shape[1]):
        out[lane] = parameters[0] * theta[0, lane]


@numba.njit
def height_in_single_precision(theta, parameters, out):
    for lane in range(theta.shape[1]):
        out[lane] = np.float32(parameters[0]) * np.float32(theta[0, lane])


@numba.njit
def spread(theta, parameters, out):
    for lane in range(theta.shape[1]):
        out[0, lane] = parameters[0] * theta[0, lane]
        out[1, lane] = parameters[0]


@numba.njit
def below(theta, parameters, out):
    for lane in range(theta.shape[1]):
        out[0, lane] = parameters[0] - theta[0, lane]
        out[1, lane] = 1.0


@numba.njit
def towards(theta, index, parameters, out):
    for lane in range(theta.shape[1]):
        out[0, lane] = theta[0, lane] - parameters[index[lane]]


def numbers_of(drift, noise=None, start=None, region=None):
    """What simulations make of a problem, in one row."""
    size = drift.dimension
    noise = noises.diagonal(np.ones(size)) if noise is None else noise
    problem = langevin.LangevinProblem(drift, noise, np.full(size, 0.5) if start is None else start)
    ensemble = langevin.simulate_ensemble(problem, "euler_maruyama", 0.01, [1, 2], 3, 1)
    paths = langevin.simulate_paths(problem, "euler_maruyama", 0.01, [2], 3, 1, substeps=2)
    found = [ensemble.mean.ravel(), paths.ravel(), [loss.value for loss in ensemble.loss or ()]]
    if noise.factor is not None:
        region = regions.ball(np.zeros(size), 3.0) if region is None else region
        exits = langevin.simulate_exits(problem, region, 0.01, 0.1, 3, 1)
        found += [exits.times, exits.points.ravel()]
    return np.concatenate(found)


def chain_of(examples, start=(0.0, 1.0)):
    size = examples.dimension
    return example_chains.simulate_sgd(
        examples, 0.01, 1, "with_replacement", np.array(start)[:size], [3], 4, seed=1
    ).mean.ravel()


LINE, PLANE = drifts.of_quadratic([[1.0]]), drifts.of_quadratic(np.eye(2))
MATRIX = [[2, 1], [1, 3]]


def without_hessian(hessian):
    known = drifts.of_quadratic(hessian)
    return drifts.Drift(2, known.function, np.asarray(hessian).ravel(), known.potential)


CASES = {
    "polynomial": ([0, 1, -2, 0, 1], lambda a: numbers_of(drifts.of_polynomial(a))),
    "quadratic": (MATRIX, lambda a: numbers_of(drifts.of_quadratic(a))),
    "a drift made by hand": (MATRIX, lambda a: numbers_of(without_hessian(a))),
    "table": ([4, 1, 0, 1, 4], lambda a: numbers_of(drifts.of_table([-2, -1, 0, 1, 2], a))),
    "grid": ([-2, -1, 0, 1, 2], lambda a: numbers_of(drifts.of_table(a, [4, 1, 0, 1, 4]))),
    "two basins": (MATRIX, lambda a: numbers_of(drifts.of_two_basin(a))),
    "drift": (
        [1, 2],
        lambda a: numbers_of(drifts.of_function(pull, 1, parameters=a, potential=height)),
    ),
    "potential in single precision": (
        [1, 2],
        lambda a: numbers_of(
            drifts.of_function(pull, 1, parameters=a, potential=height_in_single_precision)
        ),
    ),
    "constant": (MATRIX, lambda a: numbers_of(PLANE, noises.constant(a))),
    "low rank": (MATRIX, lambda a: numbers_of(PLANE, noises.low_rank(a))),
    "diagonal": ([1, 2], lambda a: numbers_of(PLANE, noises.diagonal(a))),
    "proportional": ([1, 2], lambda a: numbers_of(PLANE, noises.proportional(a))),
    "amplitude": (
        [1, 2],
        lambda a: numbers_of(LINE, noises.state_dependent(spread, 1, parameters=a)),
    ),
    "start": ([1, 0], lambda a: numbers_of(PLANE, start=a)),
    "ball": ([1, 0], lambda a: numbers_of(PLANE, region=regions.ball(a, 2.0))),
    "half-space": ([1, 2], lambda a: numbers_of(PLANE, region=regions.half_space(a, 2.0))),
    "sublevel set": (MATRIX, lambda a: numbers_of(PLANE, region=regions.sublevel_set(a, 4.0))),
    "region": (
        [2, 1],
        lambda a: numbers_of(LINE, region=regions.custom(below, 1, parameters=a)),
    ),
    "inputs": (MATRIX, lambda a: chain_of(example_sets.least_squares(a, [1.0, 2.0]))),
    "targets": ([1, 2], lambda a: chain_of(example_sets.least_squares(np.eye(2), a))),
    "centres": (MATRIX, lambda a: chain_of(example_sets.shifted_quadratics(np.eye(2), a))),
    "data": (MATRIX, lambda a: chain_of(example_sets.two_basin_toy(a))),
    "gradient": (
        [1, 2, 3],
        lambda a: chain_of(example_sets.custom(towards, 3, 1, parameters=a)),
    ),
    "start of a chain": (
        [1, 2],
        lambda a: chain_of(example_sets.least_squares(np.eye(2), [1.0, 2.0]), a),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_arrays_of_any_form_give_the_same_numbers(name):
    plain, compute = CASES[name]
    expected = compute(np.array(plain, dtype=float))
    for form in forms(plain):
        # whole numbers are the same in every precision, and so is all that follows
        np.testing.assert_array_equal(compute(form), expected)


def test_a_problem_keeps_the_numbers_it_was_made_from():
    coefficients, start = np.array([0.0, 0.0, 0.5]), np.array([1.0])
    drift = drifts.of_polynomial(coefficients)
    problem = langevin.LangevinProblem(drift, noises.diagonal([0.0]), start)
    noise = noises.proportional(start)
    coefficients[2], start[0] = 5.0, 7.0
    paths = langevin.simulate_paths(problem, "euler_maruyama", 0.5, [1], 1, seed=1)
    # x - h x, by hand
    assert paths[0, 0, 0] == 0.5
    assert noise.parameters[0] == 1.0
