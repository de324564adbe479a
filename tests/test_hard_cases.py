"""Inputs at the edge of the rules: answers by hand, or a refusal, and never a silent number."""

import math
import types

import autograd.numpy as anp
import numpy as np
import pytest
import scipy.stats
from reference_stability import both_sharpnesses

from aniso import checks, closed_forms, descent, matrices, networks, problems, propositions
from aniso.descent import schedules
from aniso.escape import discretisation
from aniso.estimates import Estimate
from aniso.problems import AutogradProblem, losses
from aniso.propositions import generalised_eigenvalues

LEADING = matrices.EigenPairs(np.array([1.0]), np.array([[1.0], [0.0]]), np.zeros(1), 0)


@pytest.mark.parametrize("scale", [1e-160, 1e-90, 1e90, 1e150])
def test_batch_sharpness_does_not_depend_on_the_scale_of_the_gradients(scale, rng):
    roots, gradients = rng.standard_normal((3, 2, 2)), rng.standard_normal((3, 2))
    hessians = roots + roots.transpose(0, 2, 1)
    curvatures = matrices.example_curvatures(hessians)
    expected = both_sharpnesses(hessians, gradients, 2, True)
    for name, exact in zip(("mean_of_ratios", "ratio_of_means"), expected, strict=True):
        found = getattr(closed_forms, f"batch_sharpness_{name}")(
            curvatures, scale * gradients, 2, replacement=True
        )
        assert found == pytest.approx(exact, rel=1e-9, abs=1e-9)
    with pytest.raises(checks.InputError, match="expected a number from 1e-150"):
        closed_forms.batch_sharpness_with_shared_hessian(
            np.eye(2),
            scale * gradients[0],
            matrices.minibatch_covariance(
                matrices.gradient_covariance(np.zeros((3, 2))), 2, replacement=True
            ),
        )


def test_a_batch_whose_gradient_is_zero_up_to_rounding_has_no_sharpness(rng):
    gradients = rng.standard_normal((4, 3))
    gradients -= gradients.mean(axis=0)
    assert np.abs(gradients.mean(axis=0)).max() < 1e-15
    curvatures = matrices.example_curvatures(np.tile(np.eye(3), (4, 1, 1)))
    for function in (
        closed_forms.batch_sharpness_mean_of_ratios,
        closed_forms.batch_sharpness_ratio_of_means,
    ):
        with pytest.raises(checks.InputError, match="zero"):
            function(curvatures, gradients, 4, replacement=False)
        assert function(curvatures, gradients, 3, replacement=False) == pytest.approx(1.0)


def test_a_noise_scale_of_few_samples_has_the_quantile_of_student():
    for count in (5, 20, 2000):
        scale = matrices.NoiseScale("x", Estimate(0.0, 1.0, count), Estimate(1.0, 0.0, count), 0.0)
        t = scipy.stats.t.ppf(0.975, count - 1)
        np.testing.assert_allclose(scale.interval(), (-t, t), rtol=1e-12)
    # five standard errors are enough for 20 samples, not for 5
    parts = [(Estimate(1.0, 0.1, n), Estimate(5.0, 1.0, n), 0.0) for n in (5, 20)]
    assert [matrices.NoiseScale("x", *part).is_resolved for part in parts] == [False, True]


def test_a_signal_of_zero_is_hardly_ever_resolved(rng):
    made = [matrices.simple_noise_scale(rng.standard_normal((4, 1))) for _ in range(400)]
    assert np.mean([scale.is_resolved for scale in made]) < 0.015


def test_power_laws_of_constant_and_of_extreme_numbers():
    curvatures = np.arange(1.0, 13.0)
    law = matrices.fit_power_law(curvatures, np.ones(12))
    assert (law.exponent.value, law.exponent.standard_error, law.low, law.high) == (0, 0, 0, 0)
    with pytest.raises(checks.InputError, match="equal up to a factor"):
        matrices.fit_power_law(1 + 1e-15 * curvatures, curvatures)
    for small, large in ((1e-200, 1.0), (1e-300, 1e-300), (1.0, 1e300)):
        law = matrices.fit_power_law(small * curvatures, large * curvatures**2)
        assert law.exponent.value == pytest.approx(2.0, abs=1e-12)
        assert law.exponent.standard_error < 1e-6  # the root of a rounding
    assert matrices.fit_power_law(1e-200 * curvatures, curvatures**2).prefactor == math.inf


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
def test_shares_do_not_depend_on_the_scale_of_the_gradient(scale):
    made = matrices.leading_shares([3 * scale, 4 * scale], np.eye(2), LEADING)
    np.testing.assert_allclose(made.gradient, [0.36], rtol=1e-12)


@pytest.mark.parametrize("value", ["a", None, 1j, np.ones(2), -1.0, math.nan])
def test_a_function_that_gives_no_factor_is_refused(value):
    with pytest.raises(checks.InputError, match=r"function\(0\)"):
        schedules.tabulated(lambda _: value, 3)
    with pytest.raises(checks.InputError, match="expected a function of the step"):
        schedules.tabulated(5, 3)


def test_schedules_that_are_not_compared_are_refused():
    class Rising(schedules.Cosine):
        def factor(self, step):
            return -float(step)

    for made in (schedules.Schedule(), Rising(3)):
        with pytest.raises(checks.InputError, match="expected one of aniso"):
            descent.Settings("gd", 0.1, 3, schedule=made)
        with pytest.raises(checks.InputError, match="expected one of aniso"):
            schedules.WarmUp(2, made)
    with pytest.raises(checks.InputError, match="beyond the range"):
        schedules.Steps(range(1, 400), 10.0)


def one_dimension(curve):
    return AutogradProblem(lambda theta, x, _: curve(theta[..., 0, None]) + 0 * x, [0.0], [0.0])


def test_the_error_of_a_flat_return_contains_the_rounding():
    # along -theta the loss returns at 1, where its slope and its curvature are zero
    made = problems.critical_sharpness(
        one_dimension(lambda t: 1000 - t * (-t - 1) ** 3), [0.0], [1.0]
    )
    assert made.relative_error > abs(made.learning_rate - 1) > 1e-6
    assert made.relative_error < 1e-3
    # a line through the return costs nothing beyond the bracket
    steep = problems.critical_sharpness(one_dimension(lambda t: (t + 1) ** 2), [0.0], [1.0])
    assert abs(steep.learning_rate - 2) < 2 * steep.relative_error < 2e-6
    # rounding of theta
    far = problems.critical_sharpness(one_dimension(lambda t: (t - 1e12 + 1) ** 2), [1e12], [1.0])
    assert abs(far.learning_rate - 2) / 2 <= far.relative_error
    assert far.relative_error > 1e-4


def test_a_pole_of_the_loss_and_a_tiny_update():
    # falls to minus infinity at -1/2, on a trial's grid
    made = problems.critical_sharpness(
        one_dimension(lambda t: anp.log(0.5 + t)), [0.0], [1.0], first_learning_rate=0.125
    )
    assert made.learning_rate == pytest.approx(0.5, rel=1e-6)
    bowl = one_dimension(lambda t: (t + 1) ** 2)
    made = problems.critical_sharpness(bowl, [0.0], [1e-200], first_learning_rate=1e190)
    assert made.learning_rate == pytest.approx(2e200, rel=1e-5)
    value, error = problems.directional_sharpness(bowl, [0.0], [1e-200])
    assert abs(value - 2) <= error < 1e-5


def test_less_than_one_exit_leaves_the_mean_unbounded_without_a_warning():
    finest = types.SimpleNamespace(num_censored=1, num_exits=1)
    mean = types.SimpleNamespace(value=1.0, standard_error=100.0)
    low, high = discretisation._interval(mean, finest, 0.95)
    assert 0 <= low < 1
    assert high == math.inf


@pytest.mark.parametrize("size", [150.0, 300.0, 700.0])
def test_saturated_outputs_keep_the_order_of_fisher_and_gauss_newton(size):
    # two classes, one confident right answer: F = kappa G with kappa = exp(loss) - 1 = exp(-2 size)
    loss, line = losses.SoftmaxCrossEntropy(), networks.Stack((networks.Dense(2),), (1,))
    right = networks.Network(line, loss, inputs=[[1.0]], targets=[0])
    order = propositions.fisher_gauss_newton_order(right.at([size / 2, -size / 2, 0.0, 0.0]))
    assert order.constants.highest == pytest.approx(math.exp(-size), rel=1e-9)
    for value in (order.smallest, order.mean, order.largest):
        assert value == pytest.approx(order.constants.highest, rel=1e-9)


def test_a_loss_beyond_the_range_is_refused_without_a_warning():
    wrong = networks.Network(
        networks.Stack((networks.Dense(3),), (1,)),
        losses.SoftmaxCrossEntropy(),
        inputs=[[1.0]],
        targets=[1],
    )
    with pytest.raises(checks.InputError, match="too large for a float"):
        propositions.order_constants(wrong.at([2000.0, -2000.0, 0.0, 0.0, 0.0, 0.0]))


def test_rows_of_very_different_sizes_have_a_direction():
    rows = np.diag([1.0, 1e-300])
    factor = generalised_eigenvalues.Factor(rows, np.array([1.0, 3.0]), np.array([0, 1]))
    found = factor.extremes(reached_below=True)
    assert (found.smallest, found.largest) == pytest.approx((1.0, 9.0))
    np.testing.assert_allclose(np.abs(found.direction), [0.0, 1.0], atol=1e-12)
