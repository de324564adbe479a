"""Noise whose factor or covariance depends on all of theta, in ensembles and exits."""

import numba
import numpy as np
import pytest
import reference_exit_chain
import reference_langevin as reference
import seeds

from aniso import checks, escape, estimates, langevin
from aniso.escape import discretisation, quadrature
from aniso.langevin import drifts, noises, regions, state_noises, walls

FAST = not numba.config.DISABLE_JIT
SEED = seeds.integer("state_noises")
HESSIAN = np.array([[1.0, 0.3], [0.3, 0.5]])
FLAT = drifts.of_quadratic(np.zeros((2, 2)))


@numba.njit
def growing(theta, parameters, out):
    """Sigma = [[1 + x^2 + y^2, a x y], [a x y, 0.5 + y^2]]."""
    for lane in range(theta.shape[1]):
        x, y = theta[0, lane], theta[1, lane]
        out[0, lane] = 1.0 + x * x + y * y
        out[1, lane] = parameters[0] * x * y
        out[2, lane] = out[1, lane]
        out[3, lane] = 0.5 + y * y


def growing_at(theta, a):
    x, y = theta
    return np.array([[1 + x * x + y * y, a * x * y], [a * x * y, 0.5 + y * y]])


@numba.njit
def growing_factor(theta, _parameters, out):
    """[[sqrt(0.5 + y^2), 0.7 x, 0], [0.1 y, 0, 0.4]], rank 3."""
    for lane in range(theta.shape[1]):
        x, y = theta[0, lane], theta[1, lane]
        out[0, lane], out[1, lane], out[2, lane] = (0.5 + y * y) ** 0.5, 0.7 * x, 0.0
        out[3, lane], out[4, lane], out[5, lane] = 0.1 * y, 0.0, 0.4


@numba.njit
def crossed(theta, _parameters, out):
    """Standard deviations that depend on the other component."""
    for lane in range(theta.shape[1]):
        out[0, lane] = 0.5 + theta[1, lane] ** 2
        out[1, lane] = abs(theta[0, lane])


def factors_at(kind, theta):
    x, y = theta
    if kind == "covariance":
        return np.linalg.cholesky(growing_at(theta, 0.8))
    if kind == "factor":
        return np.array([[np.sqrt(0.5 + y * y), 0.7 * x, 0.0], [0.1 * y, 0.0, 0.4]])
    return np.diag([0.5 + y**2, abs(x)])


NOISES = {
    "covariance": state_noises.covariance(growing, 2, parameters=[0.8]),
    "factor": state_noises.factor(growing_factor, 2, 3),
    "diagonal": state_noises.diagonal(crossed, 2),
}


@pytest.mark.parametrize("kind", NOISES)
def test_paths_are_those_of_the_reference(kind):
    start, h = np.array([0.4, -0.3]), 0.1
    problem = langevin.LangevinProblem(drifts.of_quadratic(HESSIAN), NOISES[kind], start)
    found = langevin.simulate_paths(problem, "euler_maruyama", h, range(9), 3, SEED)
    exits = langevin.simulate_exits(
        problem, regions.half_space([1.0, 1.0], 0.6), h, 0.8, 3, SEED, method="grid"
    )
    for path in range(3):
        theta = left = start
        step_of_exit = 0
        for step in range(8):
            rank = factors_at(kind, theta).shape[1]
            z = reference.step_normals(SEED, path, step, rank)
            theta = theta - h * HESSIAN @ theta + np.sqrt(h) * factors_at(kind, theta) @ z
            np.testing.assert_allclose(found[path, step + 1], theta, rtol=1e-10)
            # exits take the normals of two steps from consecutive blocks
            if not step_of_exit:
                first = 2 * rank * (step // 2) + rank * (step % 2)
                z = [
                    reference.normal_pair(SEED, path, j // 2)[j % 2]
                    for j in range(first, first + rank)
                ]
                left = left - h * HESSIAN @ left + np.sqrt(h) * factors_at(kind, left) @ z
                step_of_exit = step + 1 if left.sum() >= 0.6 else 0
        assert exits.exited[path] == (step_of_exit > 0)
        np.testing.assert_allclose(exits.points[path], left, rtol=1e-10)


def test_second_moments_of_a_linear_equation_are_exact():
    # E[x x^T] of the chain is a recursion: Sigma is linear in x x^T
    h, num_steps, a = 0.05, 20, 0.8
    start = np.array([0.5, 0.2])
    problem = langevin.LangevinProblem(
        drifts.of_quadratic(2 * HESSIAN), NOISES["covariance"], start
    )
    found = langevin.simulate_ensemble(
        problem, "euler_maruyama", h, [num_steps], 20_000 if FAST else 128, SEED
    )

    def moments(with_state):
        mean, second = start, np.outer(start, start)
        for _ in range(num_steps):
            m = second if with_state else np.outer(mean, mean)
            sigma = np.array([[1 + m[0, 0] + m[1, 1], a * m[0, 1]], [a * m[0, 1], 0.5 + m[1, 1]]])
            step = np.eye(2) - 2 * h * HESSIAN
            mean, second = step @ mean, step @ second @ step.T + h * sigma
        return second - np.outer(mean, mean)

    error = np.abs(found.covariance[0] - moments(True)) / found.covariance_error[0]
    assert error.max() < 5
    if FAST:
        # planted falsehood: Sigma at the mean of the paths
        wrong = np.abs(found.covariance[0] - moments(False)) / found.covariance_error[0]
        assert wrong.max() > 5


def test_a_singular_covariance_has_the_factor_of_its_vector():
    @numba.njit
    def outer(theta, _parameters, out):
        for lane in range(theta.shape[1]):
            v = (1.0 + theta[1, lane] ** 2, 0.3 * theta[0, lane], -0.7)
            for i in range(3):
                for j in range(3):
                    out[3 * i + j, lane] = v[i] * v[j]

    @numba.njit
    def columns(theta, _parameters, out):
        for lane in range(theta.shape[1]):
            for row in range(9):
                out[row, lane] = 0.0
            out[0, lane] = 1.0 + theta[1, lane] ** 2
            out[3, lane] = 0.3 * theta[0, lane]
            out[6, lane] = -0.7

    def paths(noise):
        problem = langevin.LangevinProblem(drifts.of_quadratic(np.eye(3)), noise, np.ones(3))
        return langevin.simulate_paths(problem, "euler_maruyama", 0.05, [0, 5, 20], 5, SEED)

    first = paths(state_noises.covariance(outer, 3))
    np.testing.assert_allclose(first, paths(state_noises.factor(columns, 3, 3)), rtol=1e-9)
    assert np.isfinite(first).all()


@numba.njit
def correlated(theta, parameters, out):
    """Sigma = [[1, x], [x, 1]] times a number: no covariance where |x| > 1."""
    for lane in range(theta.shape[1]):
        out[0, lane] = out[3, lane] = parameters[0]
        out[1, lane] = out[2, lane] = parameters[0] * theta[0, lane]


@numba.njit
def skew(theta, _parameters, out):
    for lane in range(theta.shape[1]):
        out[0, lane] = out[3, lane] = 2.0
        out[1, lane], out[2, lane] = 0.5, 0.5 * (1.0 + theta[0, lane])


def pushed(start):
    @numba.njit
    def right(theta, _parameters, out):
        for lane in range(theta.shape[1]):
            out[0, lane], out[1, lane] = 0.97, 0.0

    noise = state_noises.covariance(correlated, 2, parameters=[1e-8])
    return langevin.LangevinProblem(drifts.of_function(right, 2), noise, start)


def test_a_matrix_that_is_no_covariance_is_refused_with_its_point():
    pattern = r"'correlated' has the eigenvalues \[-6.*e-10, 2.*\] at theta=\[1\.06.*path 0 after"
    with pytest.raises(checks.InputError, match=pattern + " step 11"):
        langevin.simulate_ensemble(pushed([0.0, 0.0]), "euler_maruyama", 0.1, [99], 70, SEED)
    with pytest.raises(checks.InputError, match=pattern + " step 11"):
        langevin.simulate_exits(
            pushed([0.0, 0.0]), regions.ball([0, 0], 5.0), 0.1, 9.0, 3, SEED, method="grid"
        )
    # a path that has left before is no reason to refuse
    exits = langevin.simulate_exits(
        pushed([0.0, 0.0]), regions.half_space([1, 0], 0.85), 0.1, 9.0, 3, SEED, method="grid"
    )
    assert exits.exited.all()
    with pytest.raises(checks.InputError, match=r"theta=\[2\.0, 0\.0\] \(the start\)"):
        langevin.simulate_ensemble(pushed([2.0, 0.0]), "euler_maruyama", 0.1, [9], 70, SEED)
    problem = langevin.LangevinProblem(FLAT, state_noises.covariance(skew, 2), [0.0, 0.0])
    with pytest.raises(checks.InputError, match=r"row 0, column 1 .* expected a symmetric matrix"):
        langevin.simulate_ensemble(problem, "euler_maruyama", 0.1, [9], 70, SEED)


def test_what_is_not_meant_is_refused():
    problem = langevin.LangevinProblem(FLAT, NOISES["diagonal"], [0.1, 0.1])
    for scheme in ("milstein", "stochastic_heun", "sra1", "exact"):
        with pytest.raises(checks.InputError, match=r"expected .*'euler_maruyama'"):
            langevin.simulate_ensemble(problem, scheme, 0.1, [9], 70, SEED)
    for call, message in (
        (lambda: state_noises.diagonal(3, 1), "function=3"),
        (lambda: state_noises.factor(crossed, 2, 0), "rank=0"),
        (lambda: state_noises.covariance(crossed, 0), "dimension=0"),
    ):
        with pytest.raises(checks.InputError, match=message):
            call()
    # a built-in region has one covariance: the bridge would be wrong
    with pytest.raises(checks.InputError, match=r"varies across the boundary.* take method='grid'"):
        langevin.simulate_exits(problem, regions.ball([0, 0], 1.0), 0.1, 9.0, 3, SEED)


# exits on the line ----------------------------------------------------------------------------


@numba.njit
def slope(theta, _parameters, out):
    for lane in range(theta.shape[1]):
        out[0, lane] = 0.3 * (1.0 + 0.5 * np.sin(3.0 * theta[0, lane]))


@numba.njit
def below_one(theta, _parameters, out):
    """theta < 1, with the variance of `slope` across the boundary."""
    for lane in range(theta.shape[1]):
        out[0, lane] = 1.0 - theta[0, lane]
        out[1, lane] = 0.3 * (1.0 + 0.5 * np.sin(3.0 * theta[0, lane]))


def variance(x):
    return 0.3 * (1 + 0.5 * np.sin(3 * x))


WELL = langevin.LangevinProblem(
    drifts.of_quadratic([[1.0]]), state_noises.covariance(slope, 1), [0.0]
)
EXACT = quadrature.mean_exit_time(lambda x: -x, variance, 0.0, -np.inf, 1.0).value


@pytest.mark.parametrize("method", ["bridge", "grid"])
def test_the_order_is_kept_where_the_variance_changes(method):
    number = len(discretisation.extrapolation_weights(method))
    for step in (0.08, 0.04, 0.02):
        means = [
            reference_exit_chain.mean_exit_time(
                lambda x: -x, variance, 0.0, -3.0, 1.0, step / 2**k, method
            )
            for k in range(number)
        ]
        rest = abs(discretisation.extrapolation_weights(method) @ means - EXACT)
        assert rest < 0.3 * abs(means[-1] - EXACT)


@pytest.mark.needs_jit
@pytest.mark.parametrize("method", ["bridge", "grid"])
def test_exits_under_noise_of_the_state(method):
    region = regions.half_space([1.0], 1.0)
    if method == "bridge":
        region = regions.custom(below_one, 1)
    exits = langevin.simulate_exits(WELL, region, 0.08, 1e4, 8000, SEED, method=method)
    chain = reference_exit_chain.mean_exit_time(
        lambda x: -x, variance, 0.0, -3.0, 1.0, 0.08, method
    )
    assert abs(estimates.Estimate.from_samples(exits.times).z_score(chain)) < 4.5
    mean = escape.simulate_mean_exit_time(WELL, region, 0.08, 1e4, 4000, SEED, method=method).mean
    assert abs(mean.value - EXACT) < 4.5 * mean.standard_error + mean.discretisation_error
    # planted falsehood: the variance at the start, everywhere
    wrong = quadrature.mean_exit_time(lambda x: -x, 0.3, 0.0, -np.inf, 1.0).value
    assert abs(mean.value - wrong) > 4.5 * mean.standard_error + mean.discretisation_error


@pytest.mark.needs_jit
def test_the_bridge_is_valid_where_the_noise_across_the_boundary_is_constant():
    @numba.njit
    def tangential(theta, _parameters, out):
        for lane in range(theta.shape[1]):
            out[0, lane], out[3, lane] = 1.0, 1.0 + theta[0, lane] ** 2 + theta[1, lane] ** 2
            out[1, lane] = out[2, lane] = theta[1, lane]

    problem = langevin.LangevinProblem(
        FLAT,
        state_noises.covariance(tangential, 2),
        [0.5, 0.0],
        walls.reflecting_box([0.0, -np.inf], [np.inf, np.inf]),
    )
    # the first coordinate is Brownian motion, mirrored at 0: 1 - 0.5^2
    found = escape.simulate_mean_exit_time(
        problem, regions.half_space([1.0, 0.0], 1.0), 0.02, 50.0, 8000, SEED
    )
    mean = found.mean
    assert abs(mean.value - 0.75) < 4.5 * mean.standard_error + mean.discretisation_error
    assert mean.discretisation_error < 0.02


def test_noise_of_the_own_component_is_let_in():
    problem = langevin.LangevinProblem(
        drifts.of_quadratic([[1.0]]), noises.proportional([0.4]), [1.0]
    )

    @numba.njit
    def deviation(theta, parameters, out):
        for lane in range(theta.shape[1]):
            out[0, lane] = parameters[0] * theta[0, lane]

    other = langevin.LangevinProblem(
        problem.drift, state_noises.diagonal(deviation, 1, parameters=[0.4]), [1.0]
    )
    region = regions.interval(0.5, 2.0)
    one, two = (
        langevin.simulate_exits(p, region, 0.05, 5.0, 70, SEED, method="grid")
        for p in (problem, other)
    )
    np.testing.assert_array_equal(one.times, two.times)
    np.testing.assert_array_equal(
        langevin.simulate_paths(problem, "euler_maruyama", 0.1, [5], 3, SEED),
        langevin.simulate_paths(other, "euler_maruyama", 0.1, [5], 3, SEED),
    )
