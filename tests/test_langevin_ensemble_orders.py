"""Built-in drifts, orders of the schemes, and what an ensemble refuses."""

import numba
import numpy as np
import pytest
import reference_langevin as reference
import seeds
from ensemble_cases import FAST, SCHEMES, SEED, cubic, geometric_amplitude, linear_problem

from aniso import checks, langevin, memory
from aniso.langevin import (
    convergence,
    drifts,
    ensembles,
    linear_schemes,
    noises,
    schemes,
)
from aniso.langevin._kernels import records


def test_built_in_drifts_are_minus_the_gradient_of_their_potentials():
    grid = np.linspace(-2.0, 2.0, 41)
    data = seeds.generator(1).standard_normal((5, 2)) / 50
    for drift in (
        drifts.of_quadratic([[2.0, 0.5], [0.5, 1.0]]),
        drifts.of_two_basin(data),
        drifts.of_table(grid, np.cos(2 * grid)),
        drifts.of_polynomial([0.3, -1.0, 0.5, 0.2, 0.25]),
    ):
        source = getattr(drift.potential, "py_func", drift.potential)

        def potential(theta, drift=drift, source=source):
            out = np.zeros(64)
            source(np.repeat(theta[:, None], 64, axis=1), drift.parameters, out)
            return out[0]

        rng = np.random.default_rng(SEED)
        for _ in range(5):
            theta = rng.uniform(-1.5, 1.5, drift.dimension)
            got = drifts.at(drift, theta)
            for i in range(drift.dimension):
                shift = np.zeros(drift.dimension)
                shift[i] = 1e-6
                slope = (potential(theta + shift) - potential(theta - shift)) / 2e-6
                # central difference; 4e-4 allows for a kink of one datum within 1e-6
                assert got[i] == pytest.approx(-slope, rel=1e-5, abs=1e-5)


def test_a_tabulated_potential_is_close_to_what_it_tabulates_and_linear_outside():
    grid = np.linspace(-2.0, 2.0, 201)
    drift = drifts.of_table(grid, grid**4 / 4 - grid**2 / 2)
    for x in (-1.3, 0.01, 1.99):
        # the derivative of a cubic spline is off by O(spacing^3)
        assert drifts.at(drift, [x])[0] == pytest.approx(x - x**3, abs=1e-4)
    assert drifts.at(drift, [5.0])[0] == pytest.approx(2 - 8, abs=1e-3)


def test_the_two_basin_drift_is_the_gradient_of_the_toy():
    from aniso.problems import two_basin

    data = two_basin.two_basin_data(seeds.generator(3), 20)
    objective, drift = two_basin.two_basin_problem(data), drifts.of_two_basin(data)
    for theta in ([1.0, 1.0], [-0.9, -1.2], [0.3, 0.2]):
        np.testing.assert_allclose(
            drifts.at(drift, theta), -objective.gradient(np.array(theta)), rtol=1e-12, atol=1e-12
        )


@pytest.mark.parametrize("scheme", SCHEMES)
def test_orders_on_a_linear_problem_by_exact_moments(scheme):
    problem = linear_problem(2, 2)
    hessian, factor = problem.drift.hessian, problem.noise.factor
    promised = schemes.scheme(scheme)
    exact = linear_schemes.moments_at(
        linear_schemes.step("exact", hessian, factor, 1.0), problem.start, np.zeros((2, 2)), 1
    )
    weak, strong = [], []
    for n in (64, 128):
        step = linear_schemes.step(scheme, hessian, factor, 1 / n)
        mean, covariance = linear_schemes.moments_at(step, problem.start, np.zeros((2, 2)), n)
        weak.append(np.abs(mean - exact[0]).max() + np.abs(covariance - exact[1]).max())
        strong.append(linear_schemes.strong_error(scheme, hessian, factor, problem.start, 1.0, n))
    if scheme == "exact":
        assert max(weak) < 1e-13
        return
    # halving the step: what the next order adds is below 3 % at n = 64
    assert np.log2(weak[0] / weak[1]) == pytest.approx(promised.weak_order, abs=0.06)
    # without a second derivative of the drift SRA1's leading strong error is absent
    strong_order = 2.0 if scheme == "sra1" else promised.strong_order
    assert np.log2(strong[0] / strong[1]) == pytest.approx(strong_order, abs=0.06)


def geometric_step(scheme, a, b, step_size):
    """Coefficients c of ``x <- (c_0 + c_1 z + c_2 z^2) x``, one step of dx = a x dt + b x dW."""
    problem = langevin.LangevinProblem(drifts.of_quadratic([[-a]]), noises.proportional([b]), [1.0])
    ends = langevin.simulate_paths(problem, scheme, step_size, [1], 20, SEED)[:, 0, 0]
    normals = np.array([reference.step_normals(SEED, path, 0, 1)[0] for path in range(20)])
    powers = np.vander(normals, 3, increasing=True)
    found = np.linalg.lstsq(powers, ends, rcond=None)[0]
    np.testing.assert_allclose(powers @ found, ends, rtol=0, atol=1e-13)
    return found


@pytest.mark.parametrize("scheme", SCHEMES)
def test_weak_orders_on_diagonal_noise_by_exact_moments(scheme):
    promised = schemes.scheme(scheme).weak_order_diagonal
    if promised is None:
        # such noise is refused, see test_schemes_refuse_noise_they_are_not_meant_for
        assert schemes.scheme(scheme).strong_order_diagonal is None
        return
    a, b = 0.3, 0.5
    errors = []
    for n in (256, 512):
        c = geometric_step(scheme, a, b, 1 / n)
        # E z^2 = 1 and E z^4 = 3
        first = c[0] + c[2]
        second = c[0] ** 2 + c[1] ** 2 + 2 * c[0] * c[2] + 3 * c[2] ** 2
        # the solution from 1 has E x = e^a and E x^2 = e^{2 a + b^2} at time 1
        errors.append([abs(first**n - np.exp(a)), abs(second**n - np.exp(2 * a + b**2))])
    orders = np.log2(np.divide(*errors))
    # halving the step: what the next order adds is below 3 % at n = 256
    assert orders.min() == pytest.approx(promised, abs=0.06)


def test_strong_error_is_that_of_paths():
    problem = linear_problem(2, 2)
    hessian, factor = problem.drift.hessian, problem.noise.factor
    fine, coarse, paths = 256 if FAST else 32, 4, 2000 if FAST else 30
    general = linear_problem(2, 2, general=True)
    for scheme in ("euler_maruyama", "sra1"):
        ends = [
            langevin.simulate_paths(general, scheme, 1 / n, [n], paths, SEED, substeps=fine // n)[
                :, 0
            ]
            for n in (coarse, fine)
        ]
        squares = np.sum((ends[0] - ends[1]) ** 2, axis=1)
        predicted = linear_schemes.strong_error(scheme, hessian, factor, problem.start, 1.0, coarse)
        # five sampling errors, and the fine path's own error of 1/64 or less
        tolerance = 5 * squares.std() / np.sqrt(paths) + 0.1 * predicted**2
        assert abs(squares.mean() - predicted**2) < tolerance


def test_moments_by_squaring_are_moments_by_stepping():
    step = linear_schemes.step("sra1", np.diag([1.0, -0.5]), np.eye(2), 0.1)
    mean, covariance = np.ones(2), np.eye(2)
    for _ in range(13):
        mean = step.propagator @ mean
        covariance = step.propagator @ covariance @ step.propagator.T
        covariance += step.factor @ step.factor.T
    got = linear_schemes.moments_at(step, np.ones(2), np.eye(2), 13)
    np.testing.assert_allclose(got[0], mean, rtol=1e-13)
    np.testing.assert_allclose(got[1], covariance, rtol=1e-13, atol=1e-15)


def test_the_solution_has_its_law_with_any_number_of_substeps():
    # dx = -3/2 x dt + dW from 2: mean 2 e^{-3/2} and variance (1 - e^{-3}) / 3 at time 1
    problem = langevin.LangevinProblem(
        drifts.of_quadratic([[1.5]]), noises.constant([[1.0]]), [2.0]
    )
    paths = 20_000 if FAST else 200
    ends = langevin.simulate_paths(problem, "exact", 0.5, [2], paths, SEED, substeps=2)[:, 0, 0]
    variance = (1 - np.exp(-3.0)) / 3
    assert abs(ends.mean() - 2 * np.exp(-1.5)) < 5 * np.sqrt(variance / paths)
    assert abs(ends.var(ddof=1) - variance) < 5 * variance * np.sqrt(2 / (paths - 1))


def test_substeps_of_the_solution_are_its_fine_steps():
    coarse, fine = (
        langevin.simulate_paths(linear_problem(), "exact", h, steps, 3, SEED, substeps=substeps)
        for h, steps, substeps in ((0.5, [0, 1, 3], 4), (0.125, [0, 4, 12], 1))
    )
    np.testing.assert_array_equal(coarse, fine)


@pytest.mark.parametrize("substeps", [1, 3])
def test_a_solution_that_overflows_names_the_step_that_was_asked_for(substeps):
    # e^{800} is too large and e^{700} is not: the eighth step of time 1 overflows
    growing = langevin.LangevinProblem(
        drifts.of_quadratic([[-100.0]]), noises.constant([[0.0]]), [1.0]
    )
    with pytest.raises(langevin.NonFiniteState, match="path 0 is not finite after step 8"):
        langevin.simulate_paths(growing, "exact", 1.0, [9], 2, SEED, substeps=substeps)


def test_the_general_kernel_refuses_a_scheme_that_it_has_no_step_for():
    exact = schemes.scheme("exact")
    cell = ensembles._general_cell(linear_problem(), exact, 0.1, np.array([1]), np.uint64(1), 1)
    arrays = {"position": np.zeros(3, np.int64), "panel": np.zeros((3, 64))}
    with pytest.raises(ValueError, match="no step in this kernel"):
        cell(0, 1, 1, arrays, records.zero_sums(np.zeros((1, 3))))


@pytest.mark.parametrize("factor", [[[1.0]], [[-1.0]], [[3.0, -4.0]]])
def test_the_solution_has_no_strong_error(factor):
    assert linear_schemes.strong_error("exact", [[1.5]], factor, [1.0], 1.0, 8) == 0.0


def test_moments_that_overflow_are_refused():
    # Euler's step 1 - h H is -2, and 2^1024 is too large
    step = linear_schemes.step("euler_maruyama", [[3.0]], [[1.0]], 1.0)
    mean, covariance = linear_schemes.moments_at(step, [1.0], [[0.0]], 500)
    # 1 + 4 + ... + 4^499
    assert mean.item() == 2.0**500
    assert covariance.item() == pytest.approx(4.0**500 / 3, rel=1e-12)
    for start in ([0.0], [1.0]):
        with pytest.raises(checks.InputError, match=r"num_steps=5000.*a smaller step"):
            linear_schemes.moments_at(step, start, [[0.0]], 5000)
    with pytest.raises(checks.InputError, match=r"num_steps=5000.*more steps"):
        linear_schemes.strong_error("euler_maruyama", [[3.0]], [[1.0]], [1.0], 5000.0, 5000)
    problem = langevin.LangevinProblem(drifts.of_quadratic([[3.0]]), noises.diagonal([1.0]), [1.0])
    with pytest.raises(checks.InputError, match="num_steps=5000"):
        convergence.measure_convergence(problem, "euler_maruyama", time=5000.0, coarsest=5000)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p: langevin.simulate_ensemble(p, "euler", 0.1, [1], 5, 1), "scheme='euler'"),
        (lambda p: langevin.simulate_ensemble(p, "exact", 0.0, [1], 5, 1), "step_size=0.0"),
        (lambda p: langevin.simulate_ensemble(p, "exact", -1, [1], 5, 1), "step_size=-1"),
        (lambda p: langevin.simulate_ensemble(p, "exact", 0.1, [1], 1, 1), "num_paths=1"),
        (lambda _: langevin.simulate_ensemble(3, "exact", 0.1, [1], 2, 1), "LangevinProblem"),
        (lambda p: langevin.simulate_paths(p, "exact", 0.1, [1], 2, 1, substeps=0), "substeps=0"),
        (lambda p: langevin.LangevinProblem(p.drift, p.noise, [0.0]), "start has shape"),
        (lambda p: langevin.LangevinProblem(p.drift, noises.diagonal([1]), [0.0]), "dimension 3"),
        (lambda p: langevin.LangevinProblem("x", p.noise, [0.0]), "expected a drift"),
        (lambda _: noises.constant(-np.eye(2)), "not positive semi-definite"),
        (lambda _: noises.diagonal([-1.0]), "none of them negative"),
        (lambda _: noises.low_rank(np.zeros((0, 2))), r"\(D, r\)"),
        (lambda _: noises.state_dependent(None, 1), "amplitude=None"),
        (lambda _: drifts.of_function(3, 1), "function=3"),
        (lambda _: drifts.of_function(cubic, 1, potential=4), "potential=4"),
        (lambda _: drifts.of_two_basin(np.zeros((0, 2))), "data is empty"),
        (lambda _: drifts.of_table([0, 1, 3, 4], [0] * 4), "not evenly spaced"),
        (lambda _: drifts.of_table([0, 1, 1], [0] * 3), "has to increase"),
        (lambda _: drifts.of_polynomial([]), "coefficients is empty"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(checks.InputError, match=message):
        call(linear_problem())


def test_schemes_refuse_noise_they_are_not_meant_for():
    @numba.njit
    def mixes(theta, _parameters, out):
        for lane in range(theta.shape[1]):
            out[0, lane] = theta[1, lane]
            out[1, lane] = 1.0
            out[2, lane] = 0.0
            out[3, lane] = 0.0

    @numba.njit
    def wrong_derivative(theta, _parameters, out):
        for lane in range(theta.shape[1]):
            out[0, lane] = theta[0, lane] ** 2
            out[1, lane] = theta[0, lane]

    def run(noise, scheme, size=1):
        drift = drifts.of_quadratic(np.eye(size))
        problem = langevin.LangevinProblem(drift, noise, np.ones(size))
        return langevin.simulate_paths(problem, scheme, 0.1, [1], 2, SEED)

    state = noises.state_dependent(geometric_amplitude, 1, parameters=[1.0])
    with pytest.raises(checks.InputError, match="is meant for constant noise"):
        run(state, "sra1")
    with pytest.raises(checks.InputError, match="needs a quadratic loss with constant noise"):
        run(state, "exact")
    with pytest.raises(checks.InputError, match="depend on theta_i alone"):
        run(noises.state_dependent(mixes, 2), "euler_maruyama", 2)
    wrong = noises.state_dependent(wrong_derivative, 1)
    with pytest.raises(checks.InputError, match="central difference"):
        run(wrong, "milstein")
    assert run(wrong, "euler_maruyama").shape == (2, 1, 1)  # does not use the derivative


def test_too_large_results_are_refused_before_they_are_made():
    with pytest.raises(memory.AllocationRefused, match="store no paths"):
        langevin.simulate_paths(linear_problem(), "exact", 0.1, range(10**5), 10**9, 1)
