"""aniso's ensembles of paths, first passages and chains of mini-batches."""

import numba
import numpy as np

from aniso import langevin
from aniso.langevin import (
    drifts,
    example_chains,
    example_sets,
    noises,
    regions,
    two_basin_dynamics,
)
from benchmarks.implementations.ensemble_problems import (
    EXIT_STEP,
    NUM_STEPS,
    SIGMA,
    STEP,
    linear_problem,
    toy_data,
)
from benchmarks.worker import Measured


@numba.njit
def _linear(theta, parameters, out):
    size, lanes = theta.shape
    for i in range(size):
        for lane in range(lanes):
            out[i, lane] = 0.0
        for j in range(size):
            entry = parameters[i * size + j]
            for lane in range(lanes):
                out[i, lane] -= entry * theta[j, lane]


@numba.njit
def _double_well(theta, _parameters, out):
    for lane in range(theta.shape[1]):
        x = theta[0, lane]
        out[0, lane] = x - x * x * x


@numba.njit
def _robust(theta, index, parameters, out):
    for lane in range(theta.shape[1]):
        distance = theta[0, lane] - parameters[index[lane]]
        out[0, lane] = distance * np.exp(-0.5 * distance**2)


def ensembles(scale):
    """Every ensemble, with a `scale`-th of the paths; seconds of one path and step."""
    return _equations(scale) | _first_passages(scale) | _chains(scale)


def _equations(scale):
    hessian, factor, start = linear_problem()
    noise, paths, data = noises.low_rank(factor), 100_000 // scale, toy_data()
    quadratic = drifts.of_quadratic(hessian)
    general = drifts.Drift(10, quadratic.function, quadratic.parameters, quadratic.potential)
    own = drifts.of_function(_linear, 10, parameters=hessian.ravel())

    def ensemble(drift, scheme="euler_maruyama"):
        problem = langevin.LangevinProblem(drift, noise, start)

        def run():
            langevin.simulate_ensemble(problem, scheme, STEP, [NUM_STEPS], paths, 1)
            return Measured(units=paths * NUM_STEPS)

        return run

    def toy():
        two_basin_dynamics.simulate_two_basin("gld_leading", data, paths // 10, 1)
        return Measured(units=paths // 10 * 500)

    return {
        "linear": ensemble(quadratic),
        "linear_general": ensemble(general),
        "linear_own_drift": ensemble(own),
        "linear_sra1": ensemble(quadratic, "sra1"),
        "two_basin": toy,
    }


def _first_passages(scale):
    def exits(drift):
        problem = langevin.LangevinProblem(drift, noises.diagonal([SIGMA**2]), [-1.0])
        region = regions.interval(-np.inf, 0.0)

        def run():
            found = langevin.simulate_exits(problem, region, EXIT_STEP, 500.0, 10_000 // scale, 1)
            return Measured(units=found.num_steps)

        return run

    return {
        "first_passage": exits(drifts.of_polynomial([0, 0, -0.5, 0, 0.25])),
        "first_passage_own_drift": exits(drifts.of_function(_double_well, 1)),
    }


def _chains(scale):
    """Chains of SGD on examples that never leave their region: the same steps with every way."""
    rng, paths = np.random.default_rng(2), 4096 // scale
    clusters = rng.choice([-1.5, 1.5], 200) + 0.5 * rng.standard_normal(200)
    problems = {
        "1d": (
            example_sets.custom(_robust, 200, 1, parameters=clusters),
            regions.interval(-50.0, 50.0),
            [-1.4],
        ),
        "10d": (
            example_sets.least_squares(rng.standard_normal((200, 10)), rng.standard_normal(200)),
            regions.sublevel_set(np.eye(10) + 0.1, 1e6),
            np.zeros(10),
        ),
    }

    def chain(size, exits):
        examples, region, begin = problems[size]
        settings = 0.01, 4, "with_replacement", begin

        def run():
            if exits:
                found = langevin.simulate_sgd_exits(examples, region, *settings, 3.0, paths, 1)
                return Measured(units=found.num_steps)
            example_chains.simulate_sgd(examples, *settings, [300], paths, 1)
            return Measured(units=300 * paths)

        return run

    return {
        f"sgd_{'exits' if exits else 'chain'}_{size}": chain(size, exits)
        for size in problems
        for exits in (False, True)
    }
