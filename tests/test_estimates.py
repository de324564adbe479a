"""Estimates carry the error bar of their samples; slopes are those of least squares."""

import dataclasses
import math

import numpy as np
import pytest
from tolerances import assert_equal_up_to_rounding, assert_within_sampling_error

from aniso import checks, estimates
from aniso.estimates import Estimate


def test_mean_and_standard_error_by_hand():
    estimate = Estimate.from_samples([1, 2, 3, 6])
    # Mean 3, squared deviations 4 + 1 + 0 + 9 = 14, variance 14/3, of the mean 14/12.
    assert estimate.value == 3.0
    assert_equal_up_to_rounding(estimate.standard_error, math.sqrt(14 / 12), num_terms=4)
    assert estimate.num_samples == 4


@pytest.mark.parametrize("exponent", [-1000, -600, -100, 100, 600, 1000])
def test_the_error_keeps_its_digits_in_every_unit(exponent, rng):
    unit = 2.0**exponent
    for samples in (np.array([1.0, 2.0, 3.0]), rng.standard_normal(20) + 0.5):
        one = Estimate.from_samples(samples)
        assert Estimate.from_samples(unit * samples) == one.scaled(unit)
        one, time = estimates.correlated_mean(np.tile(samples, 5))
        assert estimates.correlated_mean(unit * np.tile(samples, 5)) == (one.scaled(unit), time)
    assert Estimate.from_samples(np.full(3, 1e308)).value == 1e308
    smallest = Estimate.from_samples([0.0, 5e-324 * 2**10])
    assert smallest.value == smallest.standard_error == 5e-324 * 2**9


def test_one_sample_leaves_the_error_unknown():
    assert Estimate.from_samples([5.0]) == Estimate(5.0, math.inf, 1)


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        ([], "at least one sample"),
        ([1.0, math.nan], "non-finite entry nan"),
        ([[1.0, 2.0]], "shape"),
        (3.0, "shape"),
    ],
)
def test_samples_are_refused(samples, message):
    with pytest.raises(checks.InputError, match=message):
        Estimate.from_samples(samples)


def test_an_estimate_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Estimate(1.0, 0.1, 10).value = 2.0


def test_the_error_bar_covers_the_truth_and_not_a_falsehood(rng):
    estimate = Estimate.from_samples(rng.exponential(2.0, size=20_000))
    assert_within_sampling_error(estimate, 2.0)
    with pytest.raises(AssertionError, match="sampling"):
        assert_within_sampling_error(estimate, 2.0 * 1.05)


def test_the_standard_error_is_the_deviation_of_the_mean(rng):
    repeats = [Estimate.from_samples(rng.standard_normal(100)) for _ in range(1000)]
    spread = np.std([repeat.value for repeat in repeats], ddof=1)
    # A standard deviation from n samples has the relative standard deviation 1/sqrt(2n).
    errors = Estimate(spread, spread / math.sqrt(2000), 1000)
    assert_within_sampling_error(errors, 0.1)


def test_z_score():
    assert Estimate(2.0, 0.5, 10).z_score(4.0) == -4.0
    assert Estimate(2.0, 0.0, 10).z_score(2.0) == 0.0
    assert Estimate(2.0, 0.0, 10).z_score(1.0) == math.inf
    assert Estimate(2.0, 0.0, 10).z_score(3.0) == -math.inf
    assert Estimate(2.0, math.inf, 1).z_score(1.0) == 0.0


def test_scaling_keeps_the_error_bar_positive():
    assert Estimate(2.0, 0.5, 10).scaled(-3) == Estimate(-6.0, 1.5, 10)


def test_nothing_of_an_unknown_quantity_is_exactly_zero():
    assert estimates.Estimate(1.0, math.inf, 1).scaled(0.0) == estimates.Estimate(0.0, 0.0, 1)
    found = estimates.ExtrapolatedEstimate(1.0, math.inf, 1, math.inf).scaled(0.0)
    assert (found.standard_error, found.discretisation_error) == (0.0, 0.0)


def test_the_interval_of_an_extrapolated_estimate_holds_both_errors():
    sampled = estimates.Estimate(2.0, 0.5, 2).interval()
    both = estimates.ExtrapolatedEstimate(2.0, 0.5, 2, 0.25).interval()
    assert both == (sampled[0] - 0.25, sampled[1] + 0.25)


def test_a_constant_series_is_exact():
    mean, time = estimates.correlated_mean([0.1] * 1001)  # the mean of these numbers is rounded
    assert (mean, time) == (estimates.Estimate(0.1, 0.0, 1001), 1.0)


def test_text_shows_value_and_error():
    assert str(Estimate(1234.5678, 0.0123, 5)) == "1234.57 ± 0.012"


def test_not_converged_carries_what_was_reached():
    with pytest.raises(estimates.NotConverged, match="after 3 steps") as caught:
        raise estimates.NotConverged("no convergence after 3 steps", [1.0, 2.0])
    assert caught.value.partial == [1.0, 2.0]
    assert isinstance(caught.value, RuntimeError)


def test_slope_of_a_power_law_is_its_exponent(rng):
    x = np.sort(rng.uniform(0.01, 100.0, size=20))
    slope = estimates.loglog_slope(x, 3.0 * x**-1.5)
    # 20 terms in each of the sums; logarithms of up to 10.
    assert_equal_up_to_rounding(slope.value, -1.5, num_terms=20, scale=10.0)
    assert slope.standard_error <= 1e-14
    assert slope.num_samples == 20


def test_slope_by_hand_with_its_error():
    # In logarithms the points (-1, 0), (0, 1), (1, 0): slope 0, residuals -1/3, 2/3, -1/3,
    # so a variance of 2/3 over one degree of freedom, and 2 in the denominator.
    slope = estimates.loglog_slope(np.exp([-1, 0, 1]), np.exp([0, 1, 0]))
    assert_equal_up_to_rounding(slope.value, 0.0, num_terms=3, scale=1.0)
    assert_equal_up_to_rounding(slope.standard_error, math.sqrt(1 / 3), num_terms=3)


def test_the_error_of_a_slope_covers_the_exponent_and_not_another(rng):
    x = np.geomspace(0.1, 10.0, 200)
    slope = estimates.loglog_slope(x, x**2 * np.exp(0.3 * rng.standard_normal(200)))
    assert_within_sampling_error(slope, 2.0)
    with pytest.raises(AssertionError, match="sampling"):
        assert_within_sampling_error(slope, 2.5)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ([1, 2], [1, 2], "three positive points"),
        ([1, 2, 0], [1, 2, 3], "three positive points"),
        ([1, 2, 3], [1, -2, 3], "three positive points"),
        ([2, 2, 2], [1, 2, 3], "single value"),
        ([0.1] * 10, range(1, 11), "single value"),  # the mean of the logarithms is rounded
        ([7.0, 7.0, np.nextafter(7, 8)], [1, 2, 3], "single value"),
        ([1, 2, 3], [1, 2], "shape"),
    ],
)
def test_slope_refuses(x, y, message):
    with pytest.raises(checks.InputError, match=message):
        estimates.loglog_slope(x, y)
