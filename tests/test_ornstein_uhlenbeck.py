"""Closed forms of Definition 1 against integration, recursion and the stationary equations."""

from fractions import Fraction

import numpy as np
import pytest
from reference_matrices import (
    chain_covariance_by_recursion,
    diffusion_covariance_by_integration,
    diffusion_covariance_by_van_loan,
    random_positive,
    symmetrised,
    with_spectrum,
)
from scipy.sparse.linalg import aslinearoperator
from tolerances import assert_equal_up_to_rounding, assert_order

from aniso import checks
from aniso.closed_forms import _exponential_sums
from aniso.closed_forms import diffusion as ou
from aniso.matrices import noise as gradient_noise

# the closed forms are exact at every time, whatever a loss does there
pytestmark = pytest.mark.filterwarnings("ignore::aniso.closed_forms.diffusion.BeyondQuadraticModel")

SPECTRA = {
    "positive": [5.0, 2.0, 1.0, 0.3],
    "singular": [5.0, 1.0, 0.0, 0.0],
    "indefinite": [3.0, 1.0, -0.5, -1.0],  # 1 and -1 sum to zero
    "nearly flat": [3.0, 1e-9, -1e-13, 1e-300],
}


@pytest.fixture(params=list(SPECTRA))
def hessian(request, rng):
    return symmetrised(with_spectrum(rng, SPECTRA[request.param]))


@pytest.fixture
def covariance(rng):
    return random_positive(rng, 4)


@pytest.fixture
def positive(rng):
    return symmetrised(with_spectrum(rng, SPECTRA["positive"]))


def matrix_rounding(actual, expected, scale=None):
    # Rotations into and out of the eigenbasis: four products of 4 x 4, and exponents up to 10.
    scale = np.linalg.norm(expected) if scale is None else scale
    assert_equal_up_to_rounding(actual, expected, num_terms=40, scale=scale)


@pytest.mark.parametrize("time", [0.0, 1e-6, 0.3, 1.0])
def test_diffusion_covariance_is_van_loans(hessian, covariance, time):
    expected = diffusion_covariance_by_van_loan(hessian, covariance, time)
    # expm and the product behind it see exp(+5 t) times the result.
    scale = np.linalg.norm(expected) * np.exp(2 * 5 * time)
    matrix_rounding(ou.covariance_at(hessian, covariance, time), expected, scale)
    if time > 0.1:
        with pytest.raises(AssertionError, match="rounding"):
            matrix_rounding(ou.covariance_at(1.05 * hessian, covariance, time), expected, scale)


def test_diffusion_covariance_solves_its_equation(hessian, covariance):
    expected = diffusion_covariance_by_integration(hessian, covariance, 1.5)
    # The integrator's own tolerance is 1e-11 a step, over some fifty steps.
    np.testing.assert_allclose(ou.covariance_at(hessian, covariance, 1.5), expected, atol=1e-9)


def test_efficiency_is_half_the_trace_of_hessian_and_covariance(hessian, covariance):
    times = np.array([[0.0, 1e-4], [0.5, 2.0]])
    made = ou.escaping_efficiency(hessian, covariance, times)
    assert made.shape == (2, 2)
    for time, value in zip(times.ravel(), made.ravel(), strict=True):
        expected = 0.5 * np.trace(hessian @ ou.covariance_at(hessian, covariance, time))
        scale = np.linalg.norm(hessian) * np.linalg.norm(
            ou.covariance_at(hessian, covariance, time)
        )
        assert_equal_up_to_rounding(value, expected, num_terms=40, scale=scale)


def test_escape_is_downhill_where_the_curvature_is_negative():
    made = ou.escaping_efficiency([[-1.0]], [[4.0]], [1.0, 5.0])
    np.testing.assert_allclose(made, 1 - np.exp([2.0, 10.0]), rtol=1e-14)


@pytest.mark.filterwarnings("error")
def test_the_time_of_the_quadratic_model_is_where_noise_can_no_longer_gain(rng):
    values, covariance = np.array([3.0, 1.0, 0.0, -0.02, -0.5]), random_positive(rng, 5)
    basis = np.linalg.qr(rng.standard_normal((5, 5)))[0]
    hessian = symmetrised(basis @ np.diag(values) @ basis.T)
    until = ou.quadratic_model_time(hessian, covariance)
    # the loss along negative curvature, from the defining integral of the covariance
    projector = basis[:, 3:] @ basis[:, 3:].T
    there = diffusion_covariance_by_van_loan(hessian, covariance, until)
    fall = -0.5 * np.trace(projector @ hessian @ projector @ there)
    # expm and the product behind it see exp(2 |H| t) times the result, t about 2
    assert fall == pytest.approx(np.trace(covariance) / 4, rel=1e-8)
    # no warning up to there; from there on the efficiency is negative
    assert ou.escaping_efficiency(hessian, covariance, 0.999 * until).shape == ()
    with pytest.warns(ou.BeyondQuadraticModel, match=r"eigenvalue -0\.5: beyond times=") as caught:
        late = ou.escaping_efficiency(hessian, covariance, [0.1, until * 1.001, 300.0])
    assert (late[1:] < 0).all()
    assert caught[0].filename == __file__
    assert f"{until:.4g}" in str(caught[0].message)
    # the same in every basis, unit of time and strength of the noise
    other = np.linalg.qr(rng.standard_normal((5, 5)))[0]
    rotated = symmetrised(other @ hessian @ other.T), symmetrised(other @ covariance @ other.T)
    assert ou.quadratic_model_time(*rotated) == pytest.approx(until, rel=1e-10)
    assert ou.quadratic_model_time(3 * hessian, 7 * covariance) == pytest.approx(until / 3)
    with pytest.warns(ou.BeyondQuadraticModel):
        ou.escaping_efficiency_of_spectrum([-1.0], [4.0], 5.0)


@pytest.mark.filterwarnings("error")
def test_the_chain_has_its_own_steps_of_the_quadratic_model(rng):
    values, covariance, rate = np.array([3.0, 0.0, -0.3, -0.5]), random_positive(rng, 4), 0.2
    hessian = np.diag(values)
    until = ou.chain_quadratic_model_steps(hessian, covariance, rate)

    def fall(num_steps):
        chain = chain_covariance_by_recursion(hessian, covariance, rate, num_steps)
        return -0.5 * values[2:] @ np.diag(chain)[2:]

    rises = np.maximum(values, 0.0)
    ceiling = rate / 4 * np.sum(np.diag(covariance) / (1 - rate * rises / 2))
    assert fall(int(until)) <= ceiling <= fall(int(until) + 1)
    ou.chain_escaping_efficiency(hessian, covariance, rate, int(until))
    with pytest.warns(ou.BeyondQuadraticModel, match="num_steps goes up to 2000"):
        ou.chain_escaping_efficiency(hessian, covariance, rate, [1, 2000])
    # small steps: the diffusion's time
    small = ou.chain_quadratic_model_steps(hessian, covariance / 1e-4, 1e-4)
    assert 1e-4 * small == pytest.approx(ou.quadratic_model_time(hessian, covariance), rel=1e-3)


@pytest.mark.filterwarnings("error")
def test_large_steps_let_noise_raise_the_loss_further():
    hessian, covariance = np.diag([1.9, -0.05]), np.diag([1.0, 0.2])
    until = ou.chain_quadratic_model_steps(hessian, covariance, 1.0)
    ou.chain_escaping_efficiency(hessian, covariance, 1.0, int(until))
    with pytest.warns(ou.BeyondQuadraticModel):
        late = ou.chain_escaping_efficiency(hessian, covariance, 1.0, int(until) + 1)
    assert late < 0
    # an unstable step raises the loss without limit
    assert ou.chain_quadratic_model_steps(hessian, covariance, 1.1) == np.inf


@pytest.mark.filterwarnings("error")
def test_no_time_ends_the_model_of_a_minimum(positive, covariance):
    assert ou.quadratic_model_time(positive, covariance) == np.inf
    assert ou.chain_quadratic_model_steps(positive, covariance, 0.1) == np.inf
    # negative by rounding alone, or without noise
    singular = np.full((3, 3), 1 / 3)
    assert ou.quadratic_model_time(singular, np.eye(3)) == np.inf
    assert ou.quadratic_model_time(np.diag([1.0, -1.0]), np.diag([1.0, 0.0])) == np.inf
    assert ou.escaping_efficiency(np.diag([1.0, -1.0]), np.diag([1.0, 0.0]), 300.0) == 0.25


def test_initial_slope_is_half_the_alignment(hessian, covariance):
    slope = 0.5 * np.trace(hessian @ covariance)
    second = np.linalg.norm(hessian @ hessian) * np.linalg.norm(covariance)
    for time in (1e-4, 1e-6):
        made = ou.escaping_efficiency(hessian, covariance, time) / time
        # The next term of the series, -(t/2) Tr(H^2 Sigma), and its own successors.
        assert abs(made - slope) <= time * second
    assert abs(made - 1.05 * slope) > time * second


def test_stationary_covariance_solves_lyapunov(positive, covariance):
    made = ou.stationary_covariance(positive, covariance)
    # The condition of the equation is |H| / (2 lambda_min) = 10.
    scale = 10 * np.linalg.norm(covariance)
    matrix_rounding(positive @ made + made @ positive, covariance, scale)
    with pytest.raises(AssertionError, match="rounding"):
        matrix_rounding(1.05 * positive @ made + made @ positive, covariance, scale)
    matrix_rounding(ou.covariance_at(positive, covariance, 1e3), made)


def test_plateau_of_the_diffusion_knows_only_the_trace(positive, covariance):
    plateau = ou.stationary_escaping_efficiency(positive, covariance)
    assert_equal_up_to_rounding(plateau, np.trace(covariance) / 4, num_terms=40)
    late = ou.escaping_efficiency(positive, covariance, 1e3)
    assert_equal_up_to_rounding(late, plateau, num_terms=40)


@pytest.mark.parametrize("learning_rate", [0.05, 0.3, 0.399])
@pytest.mark.parametrize("num_steps", [0, 1, 2, 7, 40])
def test_chain_covariance_is_its_recursion(hessian, covariance, learning_rate, num_steps):
    expected = chain_covariance_by_recursion(hessian, covariance, learning_rate, num_steps)
    made = ou.chain_covariance_at(hessian, covariance, learning_rate, num_steps)
    # The recursion makes 40 rounded steps.
    scale = 40 * np.linalg.norm(expected)
    matrix_rounding(made, expected, scale)
    value = ou.chain_escaping_efficiency(hessian, covariance, learning_rate, num_steps)
    loss_scale = scale * np.linalg.norm(hessian)
    assert_equal_up_to_rounding(
        value, 0.5 * np.trace(hessian @ expected), num_terms=40, scale=loss_scale
    )
    if num_steps > 1:
        wrong = ou.chain_covariance_at(1.05 * hessian, covariance, learning_rate, num_steps)
        with pytest.raises(AssertionError, match="rounding"):
            matrix_rounding(wrong, expected, scale)


def test_chain_beyond_stability_and_at_one_step_to_the_minimum(covariance):
    hessian = np.diag([10.0, 5.0, 4.0, 2.0])  # q = -1, 0, 0.2, 0.6 at 0.2; -2 .. at 0.3
    for learning_rate in (0.2, 0.3):
        expected = chain_covariance_by_recursion(hessian, covariance, learning_rate, 9)
        matrix_rounding(ou.chain_covariance_at(hessian, covariance, learning_rate, 9), expected)


def test_chain_stationary_covariance_is_the_fixed_point(positive, covariance):
    learning_rate = 0.3
    made = ou.chain_stationary_covariance(positive, covariance, learning_rate)
    step = np.eye(4) - learning_rate * positive
    scale = 10 * np.linalg.norm(made)
    matrix_rounding(step @ made @ step + learning_rate**2 * covariance, made, scale)
    matrix_rounding(ou.chain_covariance_at(positive, covariance, learning_rate, 10**6), made, scale)
    plateau = ou.chain_stationary_escaping_efficiency(positive, covariance, learning_rate)
    expected = 0.5 * np.trace(positive @ made)
    assert_equal_up_to_rounding(plateau, expected, num_terms=400)
    # Not the plateau of the diffusion: the step is finite.
    diffusion = ou.stationary_escaping_efficiency(positive, learning_rate * covariance)
    assert plateau > 1.02 * diffusion


def test_chain_converges_to_the_diffusion_at_order_one(hessian, covariance):
    time = 1.0
    steps = np.array([2.0**-k for k in range(6, 11)])
    errors = []
    for learning_rate in steps:
        chain = ou.chain_covariance_at(
            hessian, covariance, learning_rate, round(time / learning_rate)
        )
        diffusion = ou.covariance_at(hessian, learning_rate * covariance, time)
        errors.append(np.linalg.norm(chain - diffusion) / np.linalg.norm(diffusion))
    # The next term is eta lambda relative to the first: at most 5/64.
    assert_order(steps, errors, 1, tolerance=0.08)


def test_spectrum_alone_gives_the_same(hessian, covariance):
    values, vectors = np.linalg.eigh(hessian)
    variances = np.diag(vectors.T @ covariance @ vectors)
    times, steps = np.linspace(0, 2, 5), np.arange(5)
    np.testing.assert_allclose(
        ou.escaping_efficiency_of_spectrum(values, variances, times),
        ou.escaping_efficiency(hessian, covariance, times),
        rtol=1e-10,
        atol=1e-14,
    )
    np.testing.assert_allclose(
        ou.chain_escaping_efficiency_of_spectrum(values, variances, 0.1, steps),
        ou.chain_escaping_efficiency(hessian, covariance, 0.1, steps),
        rtol=1e-10,
        atol=1e-14,
    )


def test_rotation_changes_no_efficiency(hessian, covariance, rng):
    basis = np.linalg.qr(rng.standard_normal((4, 4)))[0]
    rotated = [symmetrised(basis @ matrix @ basis.T) for matrix in (hessian, covariance)]
    scale = np.linalg.norm(hessian) * np.linalg.norm(covariance) * np.exp(2)
    for function, argument in [
        (ou.escaping_efficiency, (1.0,)),
        (ou.chain_escaping_efficiency, (0.1, 10)),
    ]:
        assert_equal_up_to_rounding(
            function(*rotated, *argument),
            function(hessian, covariance, *argument),
            num_terms=40,
            scale=scale,
        )


def test_factored_covariances_are_accepted_in_their_convention_only(positive, rng):
    one = gradient_noise.gradient_covariance(rng.standard_normal((6, 4)))
    batch = gradient_noise.minibatch_covariance(one, 2, replacement=True)
    diffusion = gradient_noise.diffusion_covariance(batch, 0.1)
    continuous = [
        lambda noise: ou.escaping_efficiency(positive, noise, 1.0),
        lambda noise: ou.covariance_at(positive, noise, 1.0),
    ]
    discrete = [
        lambda noise: ou.chain_escaping_efficiency(positive, noise, 0.1, 3),
        lambda noise: ou.chain_covariance_at(positive, noise, 0.1, 3),
    ]
    for functions, right, wrong in [
        (continuous, diffusion, batch),
        (discrete, batch, diffusion),
        (discrete, batch, one),
    ]:
        for function in functions:
            np.testing.assert_allclose(function(right), function(right.to_dense()), atol=1e-13)
            with pytest.raises(checks.InputError, match="covariance is the"):
                function(wrong)


def test_refusals_name_the_reason(positive, covariance):
    with pytest.raises(checks.InputError, match="not finite"):
        ou.stationary_escaping_efficiency(positive, aslinearoperator(np.full((4, 4), np.nan)))
    with pytest.raises(checks.InputError, match="no stationary distribution"):
        ou.stationary_covariance(np.diag([1.0, 0.0]), np.eye(2))
    with pytest.raises(checks.InputError, match="no stationary distribution"):
        ou.chain_stationary_escaping_efficiency(np.diag([1.0, -1.0]), np.eye(2), 0.1)
    with pytest.raises(checks.InputError, match="expected less than 2"):
        ou.chain_stationary_covariance(positive, covariance, 0.41)
    with pytest.raises(checks.InputError, match="range of floats"):
        ou.covariance_at(-np.eye(2), np.eye(2), 400.0)
    with pytest.raises(checks.InputError, match="range of floats"):
        ou.chain_escaping_efficiency([[3.0]], [[1.0]], 1.0, 1000)
    with pytest.raises(checks.InputError, match="time=-1"):
        ou.covariance_at(positive, covariance, -1.0)
    with pytest.raises(checks.InputError, match="times has the entry -1"):
        ou.escaping_efficiency(positive, covariance, [1.0, -1.0])
    with pytest.raises(checks.InputError, match="fractional"):
        ou.chain_escaping_efficiency(positive, covariance, 0.1, [1.5])
    with pytest.raises(checks.InputError, match="noise_variances has the entry"):
        ou.escaping_efficiency_of_spectrum([1.0], [-1.0], 1.0)
    with pytest.raises(checks.InputError, match="positive semi-definite"):
        ou.covariance_at(np.eye(2), [[1.0, 2.0], [2.0, 1.0]], 1.0)
    with pytest.raises(checks.InputError, match="positive semi-definite"):
        ou.escaping_efficiency([[1.0, 1.0], [1.0, 1.0]], [[1.0, 2.0], [2.0, 1.0]], 1.0)


def test_sums_are_accurate_for_every_rate():
    for deficit in (0.0, 1e-18, -1e-12, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5, -0.75):
        for count in (0, 1, 2, 11):
            ratio = 1 - Fraction(deficit)
            exact = float(sum((ratio**power for power in range(count)), Fraction(0)))
            made = float(_exponential_sums.geometric_sum(np.array(deficit), count))
            # Relative to the sum of magnitudes: alternating terms cancel.
            size = float(sum((abs(ratio) ** power for power in range(count)), Fraction(0)))
            assert abs(made - exact) <= 40 * np.finfo(float).eps * size
    for rate in (0.0, 5e-324, 1e-12, -1e-9, 1.0, 50.0, 1e6):
        made = float(_exponential_sums.exponential_integral(np.array(rate), 3.0))
        series = 3.0 * (1 - rate * 1.5) if abs(rate) < 1e-8 else -np.expm1(-3 * rate) / rate
        assert abs(made - series) <= 8 * np.finfo(float).eps * series
    for rate, time in ((1e8, 1e300), (1e300, 1e300), (1.0, 1.7e308), (51.0, 1.0)):
        made = _exponential_sums.exponential_integral(np.array(rate), time)
        np.testing.assert_allclose(made, 1 / rate, rtol=1e-15)
