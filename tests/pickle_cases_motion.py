"""Cases of pickling: descent, motion and escape."""

import copy

import numpy as np
from pickle_objects import (
    COVARIANCE,
    TIMES,
    Case,
    bend,
    bowl,
    chain,
    descended,
    drifts_at,
    every_schedule,
    every_update,
    exit_times,
    forecast,
    measured,
    moments_of,
    problem,
    rows,
    settings,
    text,
    walk,
)

from aniso import (
    closed_forms,
    langevin,
)
from aniso.descent import batches, run_state
from aniso.descent import structures as structures_of_descent
from aniso.escape import (
    efficiency,
    kramers,
    minimum_action,
    quadrature,
    quasi_potential,
    simulation,
)
from aniso.langevin import (
    convergence,
    drifts,
    ensembles,
    example_sets,
    first_passage,
    linear_chain,
    linear_schemes,
    noises,
    regions,
    schemes,
    state_noises,
    two_basin_dynamics,
    walls,
)

MOTION = {
    "settings": Case(settings, text),
    "schedules": Case(every_schedule, text),
    "updates": Case(every_update, text),
    "measurements": Case(measured, text),
    "descent": Case(descended, lambda found: found.theta),
    "injected noise": Case(
        lambda: structures_of_descent.STRUCTURES["gld_dynamic"](
            bowl().at(np.ones(2)), settings(), np.random.default_rng(0), None
        ),
        lambda found: found.covariance.trace(),
    ),
    "batches": Case(
        lambda: batches.BatchSampler(4, 2, "epochs"),
        lambda found: copy.copy(found).draw(np.random.default_rng(0)),
    ),
    "state of descent": Case(
        lambda: run_state.RunState(
            np.ones(2), np.random.default_rng(0), settings(), measured(), 7, {}
        ),
        lambda found: found.theta,
    ),
    "problem": Case(problem, moments_of),
    "proportional noise": Case(
        lambda: langevin.LangevinProblem(
            drifts.of_quadratic([[1.0]]), noises.proportional([0.5]), [1.0]
        ),
        moments_of,
    ),
    "noise of theta between walls": Case(
        lambda: langevin.LangevinProblem(
            drifts.of_quadratic([[1.0]]),
            state_noises.diagonal(noises.no_amplitude, 1),
            [1.0],
            walls.reflecting_box([0.5], [2.0]),
        ),
        moments_of,
    ),
    "two-basin drift": Case(lambda: drifts.of_two_basin(rows()), drifts_at),
    "polynomial drift": Case(lambda: drifts.of_polynomial([0.0, 0.0, 1.0]), drifts_at),
    "interval": Case(lambda: regions.interval(-1.0, 2.0), exit_times),
    "half-space": Case(lambda: regions.half_space([1.0, 0.0], 1.0), exit_times),
    "ball": Case(lambda: regions.ball([0.0, 0.0], 1.0), exit_times),
    "sublevel set": Case(lambda: regions.sublevel_set(np.eye(2), 1.0), exit_times),
    "custom region": Case(
        lambda: regions.custom(regions.interval_margin, 1, parameters=[-1.0, 1.0, 1.0]), exit_times
    ),
    "least squares": Case(lambda: example_sets.least_squares(rows(), np.ones(7)), chain),
    "shifted quadratics": Case(lambda: example_sets.shifted_quadratics(np.eye(2), rows()), chain),
    "two-basin examples": Case(lambda: example_sets.two_basin_toy(rows()), chain),
    "scheme": Case(lambda: schemes.scheme("sra1"), text),
    "linear step": Case(
        lambda: linear_schemes.step("euler_maruyama", np.eye(1), np.eye(1), 0.1),
        lambda found: found.propagator,
    ),
    "order": Case(
        lambda: convergence.measure_convergence(walk(), "stochastic_heun"),
        lambda found: np.array(found.is_exact),
    ),
    "linear chain": Case(
        lambda: linear_chain.simulate_linear_chain([[1.0]], [[4.0]], 0.5, [0, 1], 40, seed=1), text
    ),
    "ensemble": Case(
        lambda: ensembles.simulate_ensemble(problem(), "exact", 0.5, [2], 40, seed=1),
        lambda found: found.covariance,
    ),
    "two-basin runs": Case(
        lambda: two_basin_dynamics.simulate_two_basin("gd", [[0.0, 0.0]], 2, seed=1, num_steps=3),
        lambda found: found.ends,
    ),
    "exits": Case(
        lambda: first_passage.simulate_exits(walk(), regions.interval(-1, 1), 0.1, 2.0, 20, seed=1),
        lambda found: found.times,
    ),
    "mean exit time": Case(
        lambda: simulation.simulate_mean_exit_time(
            walk(), regions.interval(-1, 1), 0.1, 5.0, 40, seed=1
        ),
        text,
    ),
    "chain and equation": Case(
        lambda: simulation.simulate_chain_and_equation(
            drifts.of_quadratic([[0.0]]),
            [[25.0]],
            0.04,
            [0.0],
            regions.interval(-1, 1),
            9.0,
            40,
            seed=5,
        ),
        text,
    ),
    "kramers": Case(lambda: kramers.kramers_time(2.0, -1.0, 0.25, 0.25), text),
    "phase covariance": Case(
        lambda: closed_forms.heavy_ball_stationary_covariance(np.eye(2), COVARIANCE, 0.1, 0.5),
        lambda found: found.to_dense(),
    ),
    "exponent": Case(
        lambda: quasi_potential.exit_from_ball(np.eye(2), COVARIANCE, 1.0), lambda e: e.point
    ),
    "minimum action": Case(
        lambda: minimum_action.minimise_action(bend, [[2.0]], [-1.0], [0.0]), lambda a: a.path
    ),
    "quadrature": Case(lambda: quadrature.mean_exit_time(bend, 0.25, -1.0, -np.inf, 0.0), text),
    "efficiency": Case(
        lambda: efficiency.efficiency_by_slope(np.eye(2), COVARIANCE, TIMES), lambda c: c.values
    ),
    "forecast": Case(forecast, text),
}
