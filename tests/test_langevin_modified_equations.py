"""Modified equations of SGD, and orders by simulation."""

import numba
import numpy as np
import pytest
from chain_cases import FAST, RNG, SEED, START, cubic
from tolerances import assert_within_sampling_error

from aniso import checks, langevin
from aniso.langevin import (
    convergence,
    drifts,
    linear_schemes,
    modified_equations,
    noises,
)


@numba.njit
def geometric_drift(theta, parameters, out):
    for lane in range(theta.shape[1]):
        out[0, lane] = parameters[0] * theta[0, lane]


@numba.njit
def geometric_amplitude(theta, parameters, out):
    for lane in range(theta.shape[1]):
        out[0, lane] = parameters[0] * theta[0, lane]
        out[1, lane] = parameters[0]


# modified equations ---------------------------------------------------------------------------


def moment_errors(order, rates, time=1.0):
    """Distance of the moments of a modified equation from those of SGD's chain, exactly."""
    hessian, covariance = np.array([[2.0, 0.5], [0.5, 1.0]]), np.array([[1.0, 0.3], [0.3, 2.0]])
    equation = {1: modified_equations.first_order, 2: modified_equations.second_order}[order]
    errors = []
    for rate in rates:
        steps = round(time / rate)
        chain = equation(drifts.of_quadratic(hessian), covariance / rate, rate, START)
        sgd = linear_schemes.step("euler_maruyama", hessian, chain.noise.factor, rate)
        exact = linear_schemes.step("exact", chain.drift.hessian, chain.noise.factor, time)
        zero = np.zeros((2, 2))
        mean, second = linear_schemes.moments_at(sgd, START, zero, steps)
        m, c = linear_schemes.moments_at(exact, START, zero, 1)
        errors.append((np.abs(mean - m).max(), np.abs(second - c).max()))
    return np.array(errors)


def test_modified_equations_have_their_orders_in_the_mean():
    rates = [1 / 64, 1 / 128]
    for order in (1, 2):
        errors = moment_errors(order, rates)[:, 0]
        # what the next order adds is about the rate itself
        assert np.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.06)


def test_the_second_equation_has_the_worse_stationary_variance():
    rate, curvature = 0.1, 1.0
    chain = rate * 1.0 / (2 * curvature - rate * curvature**2)
    first, second = (
        equation(drifts.of_quadratic([[curvature]]), [[1.0]], rate, [0.0])
        for equation in (modified_equations.first_order, modified_equations.second_order)
    )
    stationary = [
        problem.noise.covariance[0, 0] / (2 * problem.drift.hessian[0, 0])
        for problem in (first, second)
    ]
    errors = np.array(stationary) / chain - 1
    np.testing.assert_allclose(errors, [-rate / 2, -rate], rtol=0.1)


def test_modified_drifts_are_gradients_of_the_modified_loss():
    grid = np.linspace(-2.0, 2.0, 81)
    data = RNG.standard_normal((5, 2)) / 30
    rate = 0.01
    cases = [
        (drifts.of_quadratic([[2.0, 0.3], [0.3, 1.0]]), [0.4, -0.7]),
        (drifts.of_table(grid, np.cos(grid)), [0.31]),
        (drifts.of_two_basin(data), [0.95, 1.02]),
        (drifts.of_two_basin(data), [-0.7, -1.2]),
    ]
    for drift, theta in cases:
        modified = modified_equations.modified_drift(drift, rate)
        theta, width = np.array(theta), 1e-5
        expected = drifts.at(drift, theta)
        for i in range(drift.dimension):
            shift = np.zeros(drift.dimension)
            shift[i] = width
            right, left = drifts.at(drift, theta + shift), drifts.at(drift, theta - shift)
            expected[i] -= 0.25 * rate * (right @ right - left @ left) / (2 * width)
        # central differences, and for the table its own spline
        np.testing.assert_allclose(drifts.at(modified, theta), expected, rtol=1e-5, atol=1e-6)


# convergence ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scheme", "strong", "weak"),
    [("euler_maruyama", 1, 1), ("stochastic_heun", 1, 2), ("milstein", 1, 1), ("sra1", 2, 2)],
)
def test_orders_on_a_linear_problem(scheme, strong, weak):
    problem = langevin.LangevinProblem(
        drifts.of_quadratic([[1.0, 0.2], [0.2, 0.5]]), noises.low_rank([[1.0], [0.3]]), START
    )
    study = convergence.measure_convergence(problem, scheme, coarsest=32)
    assert study.is_exact
    for measured, promised in ((study.strong, strong), (study.weak, weak)):
        assert measured.verdict == "resolved"
        assert measured.order == pytest.approx(promised, abs=0.06)  # next order, 1/100
        assert measured.interval[0] <= measured.order <= measured.interval[1]


@pytest.mark.skipif(not FAST, reason="needs many paths")
@pytest.mark.parametrize(
    ("drift", "noise", "scheme", "strong"),
    [
        (drifts.of_function(cubic, 1), noises.diagonal([0.5]), "euler_maruyama", 1.0),
        (drifts.of_function(cubic, 1), noises.diagonal([0.5]), "sra1", 1.5),
        ("geometric", "geometric", "euler_maruyama", 0.5),
        ("geometric", "geometric", "milstein", 1.0),
        ("geometric", "geometric", "stochastic_heun", 1.0),
    ],
)
def test_strong_orders_by_simulation(drift, noise, scheme, strong):
    if drift == "geometric":
        drift = drifts.of_function(geometric_drift, 1, parameters=[-0.5])
        noise = noises.state_dependent(geometric_amplitude, 1, parameters=[0.4])
    problem = langevin.LangevinProblem(drift, noise, [1.2])
    study = convergence.measure_convergence(problem, scheme, coarsest=16, seed=SEED)
    assert not study.is_exact
    assert study.strong.verdict == "resolved"
    # the ladder bends by the next half order, and 20 000 paths leave 0.03
    assert study.strong.order == pytest.approx(strong, abs=0.2)


def test_what_cannot_be_resolved_is_called_so():
    problem = langevin.LangevinProblem(drifts.of_function(cubic, 1), noises.diagonal([0.5]), [1.2])
    study = convergence.measure_convergence(
        problem, "sra1", coarsest=16 if FAST else 1, num_levels=3, num_paths=100, seed=SEED
    )
    assert study.weak.order is None
    assert study.weak.verdict.startswith("unresolved")
    flat = langevin.LangevinProblem(
        drifts.of_quadratic(np.zeros((1, 1))), noises.diagonal([1.0]), [0.0]
    )
    study = convergence.measure_convergence(flat, "euler_maruyama")
    assert "rounding level" in study.strong.verdict
    for change, message in (
        ({"scheme": "exact", "problem": flat}, "has no order"),
        ({"num_levels": 2}, "num_levels=2"),
        ({"time": 0.0}, "time=0.0"),
        ({"problem": 1}, "LangevinProblem"),
    ):
        with pytest.raises(checks.InputError, match=message):
            convergence.measure_convergence(
                **({"problem": problem, "scheme": "euler_maruyama"} | change)
            )


@numba.njit
def stiffening(theta, _parameters, out):
    for i in range(theta.shape[0]):
        for lane in range(theta.shape[1]):
            out[i, lane] = -theta[i, lane] - theta[i, lane] ** 3


def test_sampling_noise_in_many_moments_is_no_weak_error():
    # 1640 moments of 500 paths: the noise alone is 40 of its errors long, and falls with order 1
    size, paths = (40, 500) if FAST else (3, 100)
    problem = langevin.LangevinProblem(
        drifts.of_function(stiffening, size), noises.diagonal(np.ones(size)), np.full(size, 0.5)
    )
    study = convergence.measure_convergence(
        problem, "stochastic_heun", num_paths=paths, num_levels=4, seed=SEED
    )
    assert study.weak.verdict.startswith("unresolved: an error does not stand out")


def test_the_length_of_a_mean_is_free_of_sampling_bias(rng):
    # 50 coordinates, 100 samples: the mean square of 0.02 * 5 ones is 0.5 and of the noise 0.5
    found = np.array(
        [
            convergence._length_of_mean(np.full(50, 0.1) + rng.standard_normal((100, 50)))
            for _ in range(400)
        ]
    )
    squares = found[:, 0] ** 2
    assert_within_sampling_error(squares.mean(), 0.5, squares.std() / 20)
    # the error is no smaller than the spread, of which Tr C^2 = (Tr C)^2 / 50 is a part
    assert 0.9 * found[:, 0].std() < found[:, 1].mean() < 5 * found[:, 0].std()
    # one coordinate, by hand: mean 3 and variance of the mean 1 leave 9 - 1
    assert convergence._length_of_mean(np.array([[2.0], [4.0]]))[0] == np.sqrt(8.0)


@pytest.mark.parametrize("unit", [2.0**-40, 2.0**20])
def test_orders_are_resolved_in_every_unit(unit):
    def study(unit, drift):
        noise = noises.diagonal([0.01 * unit**2])
        problem = langevin.LangevinProblem(drift, noise, [unit])
        return convergence.measure_convergence(
            problem, "euler_maruyama", num_paths=4000 if FAST else 100, num_levels=3, seed=SEED
        )

    for drift in (drifts.of_quadratic([[1.0]]), drifts.of_function(linear_drift, 1)):
        small, one = study(unit, drift), study(1.0, drift)
        for order in (small.strong, small.weak, one.strong, one.weak):
            assert order.verdict == "resolved" or not FAST
        np.testing.assert_allclose(small.strong.errors / unit, one.strong.errors, rtol=1e-9)


@numba.njit
def linear_drift(theta, _parameters, out):
    for lane in range(theta.shape[1]):
        out[0, lane] = -theta[0, lane]
