"""Exits with momentum: the chain on examples against the equation with mass."""

import numpy as np
import pytest
import seeds
from tolerances import Z_LIMIT

from aniso import escape, langevin
from aniso.langevin import drifts, example_sets, noises, regions

SEED = seeds.integer("underdamped_exits")


@pytest.mark.needs_jit
def test_the_chain_with_momentum_leaves_as_the_equation_with_mass():
    # L = theta^2 / 2 and gradients theta -+ 1; friction and frequency in units of a step are h
    h, num_paths = 0.1, 4000
    rate, momentum, bound = h**2, 1 - h, 2.2 * np.sqrt(h / 2)
    chain = escape.simulate_sgd_mean_exit_time(
        example_sets.shifted_quadratics([[1.0]], [[-1.0], [1.0]]),
        regions.interval(-bound, bound),
        *(rate, 1, "with_replacement", [0.0], 1e4 * h, num_paths, SEED),
        momentum=momentum,
    )
    well = drifts.of_quadratic([[1.0]])
    with_mass = escape.simulate_mean_exit_time(
        langevin.heavy_ball_equation(well, [[1.0]], rate, momentum, [0.0]),
        # the strip |theta| < bound, whatever the velocity
        regions.sublevel_set(np.diag([1.0, 0.0]), bound**2 / 2),
        *(rate / 4, 1e4 * h, num_paths, SEED),
    )
    assert chain.num_censored == with_mass.num_censored == 0
    error = np.hypot(chain.mean.standard_error, with_mass.mean.standard_error)
    # the chain is late by about 3 % at h = 0.1, and by half of it at h / 2
    allowed = Z_LIMIT * error + 0.06 * chain.mean.value
    assert abs(chain.mean.value - with_mass.mean.value) < allowed
    # planted falsehood: without mass, at the effective learning rate; too early by a factor of 5
    effective = noises.diagonal([rate / (1 - momentum)])
    flat = escape.simulate_mean_exit_time(
        langevin.LangevinProblem(well, effective, [0.0]),
        regions.interval(-bound, bound),
        *(0.02, 1e3, num_paths, SEED),
    )
    assert chain.mean.value / (flat.mean.value * (1 - momentum)) == pytest.approx(5.5, rel=0.1)
