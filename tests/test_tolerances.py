"""Each check of tolerances passes a true statement and has been seen to fail a false one."""

import math

import numpy as np
import pytest
from tolerances import (
    assert_equal_up_to_rounding,
    assert_order,
    assert_within_sampling_error,
    z_limit,
)

from aniso import estimates


def test_rounding_allows_the_error_of_a_sum_and_no_more():
    terms = np.full(1000, 0.1)
    one_by_one = float(np.cumsum(terms)[-1])
    assert one_by_one != 100.0
    assert_equal_up_to_rounding(one_by_one, 100.0, num_terms=1000)
    with pytest.raises(AssertionError, match="rounding"):
        assert_equal_up_to_rounding(100.0 * (1 + 1e-9), 100.0, num_terms=1000)


def test_rounding_is_relative_to_the_scale_so_that_a_small_wrong_number_fails():
    with pytest.raises(AssertionError, match="rounding"):
        assert_equal_up_to_rounding(2e-20, 1e-20, num_terms=10)


def test_rounding_broadcasts_nothing():
    with pytest.raises(AssertionError, match="shape"):
        assert_equal_up_to_rounding(np.ones(3), 1.0, num_terms=3)


def test_order_fits_the_rate():
    steps = np.array([0.1, 0.05, 0.025])
    assert_order(steps, 3 * steps**2 + steps**3, 2, tolerance=0.1)
    with pytest.raises(AssertionError, match="slope 1"):
        assert_order(steps, steps, 2, tolerance=0.1)
    with pytest.raises(AssertionError, match="three"):
        assert_order(steps[:2], steps[:2], 1, tolerance=0.1)
    with pytest.raises(AssertionError, match="nothing to fit"):
        assert_order(steps, 0 * steps, 1, tolerance=0.1)


def test_sampling_accepts_the_mean_and_rejects_a_wrong_one(rng):
    estimate = estimates.Estimate.from_samples(rng.normal(2.0, 1.0, size=10_000))
    assert_within_sampling_error(estimate, 2.0)
    with pytest.raises(AssertionError, match="sampling"):
        assert_within_sampling_error(estimate, 2.1)


def test_sampling_demands_an_error_bar():
    with pytest.raises(AssertionError, match="no error bar"):
        assert_within_sampling_error(estimates.Estimate.from_samples([1.0]), 1.0)


def test_sampling_subtracts_a_known_bias_only():
    biased = estimates.Estimate(1.05, 0.001, 1000)
    assert_within_sampling_error(biased, 1.0, discretisation_error=0.05)
    with pytest.raises(AssertionError, match="sampling"):
        assert_within_sampling_error(biased, 1.0, discretisation_error=0.04)


def test_many_checks_together_fail_as_rarely_as_one():
    def tail(z):
        return math.erfc(z / math.sqrt(2))

    assert z_limit() == 4.0
    # The inverse normal distribution of the standard library is good to nine digits.
    assert 100 * tail(z_limit(100)) == pytest.approx(tail(4.0), rel=1e-8)


def test_sampling_finds_the_one_wrong_value_among_many(rng):
    values, errors = rng.standard_normal(500), np.ones(500)
    assert_within_sampling_error(values, 0.0, errors)
    values[77] = 7.0
    with pytest.raises(AssertionError, match="7 ± 1"):
        assert_within_sampling_error(values, 0.0, errors)
