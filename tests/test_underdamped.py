"""Momentum on a quadratic: closed forms against recursions and equations, chains against both."""

import numba
import numpy as np
import pytest
import scipy.linalg
import seeds
from reference_matrices import (
    chain_covariance_by_recursion,
    diffusion_covariance_by_van_loan,
    random_positive,
    symmetrised,
    with_spectrum,
)
from tolerances import assert_equal_up_to_rounding, assert_order, z_limit

from aniso import checks, closed_forms, langevin
from aniso.closed_forms import diffusion
from aniso.langevin import drifts, example_chains, example_sets, noises, regions, underdamped

FAST = not numba.config.DISABLE_JIT
SEED = seeds.integer("underdamped")
RATE, MOMENTUM, MASS, FRICTION = 0.3, 0.7, 0.4, 0.6


@pytest.fixture
def hessian(rng):
    return symmetrised(with_spectrum(rng, [3.0, 1.0, 0.2]))


@pytest.fixture
def covariance(rng):
    return random_positive(rng, 3)


def heavy_ball_map(hessian, covariance, rate, momentum):
    """Map of (theta, v) in a step, and the covariance it gains, v = -m."""
    one = np.eye(len(hessian))
    step = np.block([[one - rate * hessian, rate * momentum * one], [-hessian, momentum * one]])
    noise = np.kron([[rate**2, rate], [rate, 1.0]], covariance)
    return step, noise


def equation(hessian, covariance, mass, friction):
    """Matrix A and noise Q of ``dz = A z dt + Q^{1/2} dW``, z = (theta, v)."""
    one, zero = np.eye(len(hessian)), np.zeros_like(hessian)
    drift = np.block([[zero, one], [-hessian / mass, -friction / mass * one]])
    return drift, scipy.linalg.block_diag(zero, covariance / mass**2)


def after(step, noise, num_steps):
    """Exact covariance after a number of steps from a fixed start, one step after the other."""
    result = np.zeros_like(noise)
    for _ in range(num_steps):
        result = step @ result @ step.T + noise
    return result


@pytest.mark.parametrize("momentum", [0.0, 0.3, 0.97])
def test_the_stationary_chain_is_the_fixed_point_of_its_step(hessian, covariance, momentum):
    step, noise = heavy_ball_map(hessian, covariance, RATE, momentum)
    found = closed_forms.heavy_ball_stationary_covariance(hessian, covariance, RATE, momentum)
    expected = scipy.linalg.solve_discrete_lyapunov(step, noise)
    # the solver inverts I - A (x) A, whose condition is about 1 / (1 - beta)^2
    np.testing.assert_allclose(found.to_dense(), expected, rtol=1e-9, atol=1e-11)
    moved = step @ found.to_dense() @ step.T + noise
    assert_equal_up_to_rounding(moved, found.to_dense(), num_terms=100)
    # planted falsehood: the formula of commuting matrices, entry by entry
    values, vectors = np.linalg.eigh(hessian)
    rotated = vectors.T @ covariance @ vectors
    commuting = RATE * rotated * (1 + momentum) / (1 - momentum)
    mean = (values[:, None] + values) / 2
    wrong = vectors @ (commuting / (mean * (2 * (1 + momentum) - RATE * mean))) @ vectors.T
    assert np.abs(wrong - found.position).max() > 0.003 * np.abs(found.position).max()


@pytest.mark.parametrize("num_steps", [0, 1, 2, 7, 64, 101])
@pytest.mark.parametrize("spectrum", [[3.0, 1.0, 0.2], [2.0, 0.0, -0.3]])
def test_the_chain_at_any_step_is_its_recursion(rng, covariance, num_steps, spectrum):
    hessian = symmetrised(with_spectrum(rng, spectrum))
    found = closed_forms.heavy_ball_covariance_at(hessian, covariance, RATE, MOMENTUM, num_steps)
    expected = after(*heavy_ball_map(hessian, covariance, RATE, MOMENTUM), num_steps)
    assert_equal_up_to_rounding(found.to_dense(), expected, num_terms=400)


def test_without_momentum_it_is_the_chain_of_sgd(hessian, covariance):
    found = closed_forms.heavy_ball_covariance_at(hessian, covariance, RATE, 0.0, 9)
    expected = chain_covariance_by_recursion(hessian, covariance, RATE, 9)
    assert_equal_up_to_rounding(found.position, expected, num_terms=100)
    found = closed_forms.heavy_ball_stationary_covariance(hessian, covariance, RATE, 0.0)
    expected = diffusion.chain_stationary_covariance(hessian, covariance, RATE)
    assert_equal_up_to_rounding(found.position, expected, num_terms=100)


def test_many_steps_reach_the_stationary_chain(hessian, covariance):
    arguments = (hessian, covariance, RATE, MOMENTUM)
    late = closed_forms.heavy_ball_covariance_at(*arguments, 10**6)
    stationary = closed_forms.heavy_ball_stationary_covariance(*arguments)
    np.testing.assert_allclose(late.to_dense(), stationary.to_dense(), rtol=1e-9, atol=1e-12)


def test_the_stationary_equation_solves_lyapunov(hessian, covariance):
    drift, noise = equation(hessian, covariance, MASS, FRICTION)
    arguments = (hessian, covariance, MASS, FRICTION)
    found = closed_forms.underdamped_stationary_covariance(*arguments).to_dense()
    assert_equal_up_to_rounding(drift @ found + found @ drift.T, -noise, num_terms=300)
    late = closed_forms.underdamped_covariance_at(*arguments, 300.0)
    np.testing.assert_allclose(late.to_dense(), found, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("time", [0.0, 0.2, 1.7])
def test_the_equation_at_any_time_is_van_loans(rng, covariance, time):
    hessian = symmetrised(with_spectrum(rng, [2.0, 0.0, -0.4]))
    drift, noise = equation(hessian, covariance, MASS, FRICTION)
    found = closed_forms.underdamped_covariance_at(hessian, covariance, MASS, FRICTION, time)
    # Van Loan's form for a drift that is not symmetric
    block = np.block([[-drift, noise], [np.zeros_like(drift), drift.T]])
    exponential = scipy.linalg.expm(time * block)
    expected = exponential[6:, 6:].T @ exponential[:6, 6:]
    assert_equal_up_to_rounding(found.to_dense(), expected, num_terms=2000)


@pytest.mark.parametrize(("mass", "friction", "time"), [(1e-8, 1.0, 1e6), (1e-6, 1.0, 1e8)])
def test_friction_much_faster_than_the_motion_leaves_the_stationary_state(mass, friction, time):
    found = closed_forms.underdamped_covariance_at([[1.0]], [[2.0]], mass, friction, time)
    np.testing.assert_allclose(found.position, 1.0, rtol=1e-12)
    np.testing.assert_allclose(found.velocity * mass, 1.0, rtol=1e-12)
    # and of slower motion the diffusion at its time, up to the order of the mass
    hessian, covariance = np.diag([1.0, 1e-6, 0.0, -1e-7]), np.full((4, 4), 2.0)
    found = closed_forms.underdamped_covariance_at(hessian, covariance, mass, friction, time)
    limit = diffusion.covariance_at(hessian, covariance, time)
    np.testing.assert_allclose(found.position, limit, rtol=10 * mass)


@pytest.mark.parametrize(
    "spectrum",
    [
        [1.0, 3.0, 0.2],
        [1.0, 0.0, -1e-3],
        [2500.0, 1.0, 0.0],  # one direction oscillates
        [1688.0, 1687.0, 2249.0],  # about where both ways meet, and near critical friction
    ],
)
def test_late_moments_are_those_of_all_times(spectrum, rng, monkeypatch):
    hessian, noise = symmetrised(with_spectrum(rng, spectrum)), random_positive(rng, 3)
    mass, friction = 1e-3, 3.0
    options = hessian, noise, mass, friction, 1.1e4 * mass / friction
    found = closed_forms.underdamped_covariance_at(*options)
    monkeypatch.setattr(closed_forms.underdamped, "_LATE", np.inf)
    expected = closed_forms.underdamped_covariance_at(*options)
    assert (found.position != expected.position).any()
    for block in ("position", "velocity"):
        np.testing.assert_allclose(
            getattr(found, block),
            getattr(expected, block),
            atol=1e-9 * np.abs(getattr(expected, block)).max(),
        )
    size = np.sqrt(np.abs(expected.position).max() * np.abs(expected.velocity).max())
    np.testing.assert_allclose(found.cross, expected.cross, atol=1e-9 * size)


def test_late_motion_along_negative_curvature_is_refused_where_it_overflows():
    with pytest.raises(checks.InputError, match="expected a shorter time"):
        closed_forms.underdamped_covariance_at(-np.eye(1), np.eye(1), 1e-6, 1.0, 1e3)


def test_without_mass_it_is_the_diffusion(hessian, covariance):
    masses = 0.01 / 2 ** np.arange(4)
    for at in (None, 0.8):
        if at is None:
            limit = diffusion.stationary_covariance(hessian, covariance)
        else:
            limit = diffusion_covariance_by_van_loan(hessian, covariance, at)
        errors = [
            np.linalg.norm(
                (
                    closed_forms.underdamped_stationary_covariance(hessian, covariance, mass, 1.0)
                    if at is None
                    else closed_forms.underdamped_covariance_at(hessian, covariance, mass, 1.0, at)
                ).position
                - limit
            )
            for mass in masses
        ]
        assert_order(masses, errors, 1, tolerance=0.1)


def test_the_chain_tends_to_its_equation(hessian, covariance):
    def relative(found, limit):
        return np.linalg.norm(found.position - limit.position) / np.linalg.norm(limit.position)

    # eta = h^2 and 1 - beta = 0.8 h, at the fixed multiple k h of the time of the well
    steps, errors, stationary, losses = 0.04 / 2 ** np.arange(4), [], [], []
    for h in steps:
        rate, momentum = h**2, 1 - 0.8 * h
        chain = closed_forms.heavy_ball_covariance_at(
            hessian, covariance / rate, rate, momentum, round(0.64 / h)
        )
        limit = closed_forms.underdamped_covariance_at(
            hessian, covariance, rate, 1 - momentum, 0.64 * h
        )
        errors.append(relative(chain, limit))
        chain = closed_forms.heavy_ball_stationary_covariance(
            hessian, covariance / rate, rate, momentum
        )
        limit = closed_forms.underdamped_stationary_covariance(
            hessian, covariance, rate, 1 - momentum
        )
        stationary.append(relative(chain, limit))
        of_chain, of_limit = (np.sum(hessian * found.position) for found in (chain, limit))
        losses.append(abs(of_chain / of_limit - 1))
    assert_order(steps, errors, 1, tolerance=0.15)
    assert_order(steps, stationary, 1, tolerance=0.15)
    # variances along eigenvectors, and with them the loss, have order 2
    assert_order(steps, losses, 2, tolerance=0.15)


def test_euler_maruyama_of_the_problem_has_order_one(hessian, covariance):
    # moments of the scheme on the problem's own drift and noise: no sampling
    problem = underdamped.underdamped_problem(
        drifts.of_quadratic(hessian), noises.constant(covariance), MASS, FRICTION, np.zeros(3)
    )
    matrix = np.array([drifts.at(problem.drift, unit) for unit in np.eye(6)]).T
    np.testing.assert_allclose(matrix, equation(hessian, covariance, MASS, FRICTION)[0], atol=1e-14)
    limit = closed_forms.underdamped_covariance_at(hessian, covariance, MASS, FRICTION, 1.0)
    counts = 16 * 2 ** np.arange(4)
    errors = [
        np.linalg.norm(
            after(np.eye(6) + matrix / count, problem.noise.covariance / count, count)
            - limit.to_dense()
        )
        for count in counts
    ]
    assert_order(1 / counts, errors, 1, tolerance=0.15)


@pytest.mark.needs_jit
def test_simulated_momentum_has_the_closed_form(rng):
    hessian, centres = np.array([[1.0, 0.6], [0.6, 2.0]]), rng.standard_normal((5, 2))
    centres -= centres.mean(axis=0)
    # without replacement the batches of two of five have 3/8 of the covariance of one
    covariance = hessian @ (centres.T @ centres / 5) @ hessian * 3 / 8
    chain = example_chains.simulate_sgd(
        example_sets.shifted_quadratics(hessian, centres),
        *(0.2, 2, "without_replacement", [0.0, 0.0], [12], 100_000, SEED),
        momentum=MOMENTUM,
    )
    expected = closed_forms.heavy_ball_covariance_at(hessian, covariance, 0.2, MOMENTUM, 12)
    z = np.abs(chain.covariance[0] - expected.position) / chain.covariance_error[0]
    assert z.max() < z_limit(3)


@pytest.mark.needs_jit
def test_the_simulated_equation_has_the_moments_of_its_scheme():
    hessian, covariance = np.array([[1.0, 0.6], [0.6, 2.0]]), np.array([[1.0, -0.3], [-0.3, 0.5]])
    problem = underdamped.heavy_ball_equation(
        drifts.of_quadratic(hessian), covariance, RATE, MOMENTUM, [0.0, 0.0]
    )
    drift, noise = equation(hessian, RATE * covariance, RATE, 1 - MOMENTUM)
    ensemble = langevin.simulate_ensemble(problem, "euler_maruyama", 0.05, [0, 30], 60_000, SEED)
    expected = after(np.eye(4) + 0.05 * drift, 0.05 * noise, 30)
    error = ensemble.covariance_error[1]
    assert (np.abs(ensemble.covariance[1] - expected) < z_limit(10) * error).all()
    # its potential is the loss of theta
    loss = 0.5 * np.trace(hessian @ ensemble.covariance[1][:2, :2])
    assert ensemble.loss[1].value == pytest.approx(loss, rel=1e-3)


@numba.njit
def quartic(theta, parameters, out):
    for lane in range(theta.shape[1]):
        out[0, lane] = parameters[0] * theta[0, lane] - theta[0, lane] ** 3


def test_a_drift_of_ones_own_moves_with_mass():
    # without noise: one step of the scheme by hand
    problem = underdamped.underdamped_problem(
        drifts.of_function(quartic, 1, parameters=[2.0]),
        noises.diagonal([0.0]),
        0.5,
        0.1,
        [1.0],
        velocity=[3.0],
    )
    found = langevin.simulate_paths(problem, "euler_maruyama", 0.1, [0, 1, 2], 1, 1)[0]
    x, v, expected = 1.0, 3.0, [(1.0, 3.0)]
    for _ in range(2):
        x, v = x + 0.1 * v, v + 0.1 * (2 * x - x**3 - 0.1 * v) / 0.5
        expected.append((x, v))
    np.testing.assert_allclose(found, expected, rtol=1e-13)
    exits = langevin.simulate_exits(problem, regions.half_space([1.0, 0.0], 1.55), 0.1, 5.0, 3, 1)
    np.testing.assert_allclose(exits.times, 0.2, rtol=0.2)


def test_momentum_is_refused_where_there_is_none():
    one = ([[1.0]], [[1.0]])
    state = noises.proportional([0.5])
    for call, message in (
        (
            lambda: closed_forms.heavy_ball_stationary_covariance([[2.0]], [[1.0]], 1.5, 0.5),
            r"is 3; expected less than 2 \(1 \+ momentum\) = 3, for instance learning_rate=0.75",
        ),
        (lambda: closed_forms.heavy_ball_stationary_covariance(*one, 0.1, 1.0), "momentum=1.0"),
        (lambda: closed_forms.heavy_ball_covariance_at(*one, 0.1, -0.1, 3), "momentum=-0.1"),
        (lambda: closed_forms.heavy_ball_covariance_at(*one, 9.0, 0.1, 4000), "num_steps=4000"),
        (
            lambda: closed_forms.heavy_ball_stationary_covariance([[0.0]], [[1.0]], 0.1, 0.5),
            "positive definite",
        ),
        (lambda: closed_forms.underdamped_stationary_covariance(*one, 0.0, 1.0), "mass=0.0"),
        (lambda: closed_forms.underdamped_stationary_covariance(*one, 1.0, 0.0), "friction=0.0"),
        (lambda: closed_forms.underdamped_covariance_at(*one, 1.0, 1.0, -1.0), "time=-1.0"),
        (
            lambda: closed_forms.underdamped_covariance_at([[-1.0]], [[1.0]], 1.0, 1.0, 1e4),
            "time=10000.0: the motion along negative curvature",
        ),
        (
            lambda: underdamped.underdamped_problem(
                drifts.of_quadratic([[1.0]]), state, 1.0, 1.0, [0.0]
            ),
            "noise depends on theta",
        ),
        (
            lambda: underdamped.underdamped_problem(
                drifts.of_quadratic([[1.0]]), noises.diagonal([1.0]), 1.0, -1.0, [0.0]
            ),
            "friction=-1.0",
        ),
    ):
        with pytest.raises(checks.InputError, match=message):
            call()
