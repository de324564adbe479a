"""Reflecting walls in ensembles and exits."""

import numba
import numpy as np
import pytest
import reference_exit_chain
import reference_langevin as reference
import scipy.integrate
import seeds

from aniso import checks, escape, estimates, langevin
from aniso.escape import quadrature
from aniso.langevin import drifts, noises, regions, walls

FAST = not numba.config.DISABLE_JIT
SEED = seeds.integer("walls")
OU = drifts.of_quadratic([[1.0]])


def mirrored(low, high, start=0.0, drift=OU, variance=0.5):
    return langevin.LangevinProblem(
        drift, noises.diagonal([variance]), [start], walls.reflecting_box([low], [high])
    )


def test_quadrature_with_a_reflecting_end():
    # (1 / 2) s^2 T'' + f T' = -1 with T'(0) = 0 and T(1) = 0
    f, s2, x = -0.7, 0.4, 0.3
    exact = (1 - x) / f - s2 / (2 * f * f) * (np.exp(-2 * f * x / s2) - np.exp(-2 * f / s2))
    found = quadrature.mean_exit_time(lambda y: 0 * y + f, s2, x, 0.0, 1.0, reflecting="low")
    assert found.value == pytest.approx(exact, rel=1e-10)
    turned = quadrature.mean_exit_time(lambda y: 0 * y - f, s2, -x, -1.0, 0.0, reflecting="high")
    assert turned.value == pytest.approx(exact, rel=1e-10)
    for ends, reflecting, message in (
        ((0.0, np.inf), "low", "two finite ends"),
        ((-np.inf, 1.0), "low", "two finite ends"),
        ((0.0, 1.0), "left", "reflecting='left'"),
    ):
        with pytest.raises(checks.InputError, match=message):
            quadrature.mean_exit_time(lambda y: -y, s2, 0.5, *ends, reflecting=reflecting)


def test_paths_are_those_of_the_reference():
    low, high = np.array([-0.1, -np.inf]), np.array([0.2, 0.15])
    factor, h = np.array([[1.5, 0.0], [0.4, 0.6]]), 0.1
    problem = langevin.LangevinProblem(
        drifts.of_quadratic(np.diag([1.0, 2.0])),
        noises.low_rank(factor),
        [0.1, 0.0],
        walls.reflecting_box(low, high),
    )
    found = langevin.simulate_paths(problem, "euler_maruyama", h, range(13), 4, SEED)
    folds = 0
    for path in range(4):
        theta = problem.start
        for step in range(12):
            z = reference.step_normals(SEED, path, step, 2)
            theta = theta - h * np.array([1.0, 2.0]) * theta + np.sqrt(h) * factor @ z
            for i in range(2):
                # one wall after the other, until the state is inside
                while not low[i] <= theta[i] <= high[i]:
                    theta[i] = 2 * (low[i] if theta[i] < low[i] else high[i]) - theta[i]
                    folds += 1
            np.testing.assert_allclose(found[path, step + 1], theta, atol=1e-12)
    assert folds > 20


def test_brownian_motion_in_a_box_becomes_uniform():
    # exact for every step, also for steps longer than the box
    box = walls.reflecting_box([0.0, -1.0], [1.0, 2.0])
    problem = langevin.LangevinProblem(
        drifts.of_quadratic(np.zeros((2, 2))), noises.constant([[4.0, 1.0], [1.0, 1.0]]),
        [0.9, 0.0], box,
    )  # fmt: skip
    found = langevin.simulate_ensemble(
        problem, "euler_maruyama", 0.5, [60], 20_000 if FAST else 64, SEED
    )
    expected = np.diag([1 / 12, 9 / 12])
    assert (np.abs(found.mean[0] - [0.5, 0.5]) < 5 * found.mean_error[0]).all()
    assert (np.abs(found.covariance[0] - expected) < 5 * found.covariance_error[0]).all()


@pytest.mark.needs_jit
def test_the_stationary_density_is_gibbs_in_the_box():
    low, high, variance = -0.3, 0.8, 0.5

    def density(x):
        return np.exp(-(x**2) / variance)

    def moment(k, a, b):
        return scipy.integrate.quad(lambda x: x**k * density(x), a, b)[0]

    def moments(a, b):
        mean = moment(1, a, b) / moment(0, a, b)
        return np.array([mean, moment(2, a, b) / moment(0, a, b) - mean**2])

    runs = []
    for h in (0.05, 0.025):
        ensemble = langevin.simulate_ensemble(
            mirrored(low, high), "euler_maruyama", h, [round(5 / h)], 40_000, SEED
        )
        runs.append(np.array([ensemble.mean[0, 0], ensemble.covariance[0, 0, 0]]))
        errors = np.array([ensemble.mean_error[0, 0], ensemble.covariance_error[0, 0, 0]])
    found, exact = 2 * runs[1] - runs[0], moments(low, high)
    allowed = 4.5 * np.sqrt(5) * errors
    assert (np.abs(found - exact) < allowed).all()
    # planted falsehoods: no walls, and a box that is wider by a tenth
    for wrong in (moments(-9.0, 9.0), moments(low - 0.05, high + 0.06)):
        assert (np.abs(found - wrong) > allowed).any()


@pytest.mark.needs_jit
def test_exits_with_one_reflecting_end():
    low, high, variance, step = -0.4, 0.9, 0.3, 0.05
    problem = mirrored(low, np.inf, start=-0.2, variance=variance)
    region = regions.interval(-np.inf, high)
    exits = langevin.simulate_exits(problem, region, step, 1e4, 8000, SEED)
    chain = reference_exit_chain.mean_exit_time(
        lambda x: -x, variance, -0.2, low, high, step, "bridge", wall=low
    )
    assert abs(estimates.Estimate.from_samples(exits.times).z_score(chain)) < 4.5
    exact = quadrature.mean_exit_time(lambda x: -x, variance, -0.2, low, high, reflecting="low")
    mean = escape.simulate_mean_exit_time(problem, region, step, 1e4, 8000, SEED).mean
    assert abs(mean.value - exact.value) < 4.5 * mean.standard_error + mean.discretisation_error
    # planted falsehood: a natural boundary instead of the wall
    wrong = quadrature.mean_exit_time(lambda x: -x, variance, -0.2, -np.inf, high).value
    assert abs(mean.value - wrong) > 4.5 * mean.standard_error + mean.discretisation_error


def test_the_mirrored_chain_has_order_one():
    low, high, variance = -0.4, 0.9, 0.3
    exact = quadrature.mean_exit_time(lambda x: -x, variance, -0.2, low, high, reflecting="low")
    means = [
        reference_exit_chain.mean_exit_time(
            lambda x: -x, variance, -0.2, low, high, h, "bridge", wall=low
        )
        for h in (0.04, 0.02, 0.01)
    ]
    errors = np.array(means) - exact.value
    ratios = errors[:-1] / errors[1:]
    assert ((ratios > 1.8) & (ratios < 2.2)).all()


def test_walls_refuse():
    for call, message in (
        (lambda: walls.reflecting_box([1.0], [0.0]), "low < high"),
        (lambda: walls.reflecting_box([0.0, 0.0], [1.0]), "as many ends"),
        (lambda: walls.reflecting_box([-np.inf], [np.inf]), "whole space"),
        (lambda: walls.reflecting_box([np.nan], [1.0]), "holds NaN"),
        (lambda: walls.reflecting_box(0.0, 1.0), r"shape \(\)"),
        (lambda: mirrored(0.0, 1.0, start=2.0), r"start\[0\]=2; expected .* from 0 to 1"),
        (
            lambda: langevin.LangevinProblem(OU, noises.diagonal([1.0]), [0.0], 3),
            "walls=3; expected None or walls.reflecting_box",
        ),
        (
            lambda: langevin.simulate_ensemble(
                mirrored(-1.0, 1.0), "stochastic_heun", 0.1, [1], 4, SEED
            ),
            "knows no walls",
        ),
        (
            lambda: langevin.simulate_ensemble(mirrored(-1.0, 1.0), "exact", 0.1, [1], 4, SEED),
            "no walls; expected",
        ),
    ):
        with pytest.raises(checks.InputError, match=message):
            call()
    assert not mirrored(-1.0, 1.0).is_linear
