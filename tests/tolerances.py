"""The three kinds of error a test can meet, each with its own check; they are never mixed.

Rounding is bounded by the arithmetic, discretisation by its rate, sampling by its standard error.
"""

import math
import statistics

import numpy as np

Z_LIMIT = 4.0
"""A true statement exceeds it once in 16,000 checks, whatever the seed."""


def rounding_tolerance(num_terms, scale, *, factor=8.0, dtype=np.float64):
    """The bound ``factor num_terms eps scale`` on the rounding error of a sum of `num_terms` terms.

    `scale` is the size of what is added, for matrices a norm, not that of the result, which
    cancellation may leave much smaller. `factor` covers the few operations behind each term.
    """
    return factor * num_terms * float(np.finfo(dtype).eps) * float(scale)


def assert_equal_up_to_rounding(
    actual, expected, *, num_terms, scale=None, factor=8.0, dtype=np.float64
):
    """Every entry agrees within :func:`rounding_tolerance`.

    `scale` is the largest magnitude of `expected` if not given. Shapes must agree: nothing is
    broadcast, so a scalar never passes for an array.
    """
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape, f"shape {actual.shape}, expected {expected.shape}"
    if scale is None:
        scale = np.abs(expected).max(initial=0.0)
    tolerance = rounding_tolerance(num_terms, scale, factor=factor, dtype=dtype)
    error = np.abs(actual - expected).max(initial=0.0)
    assert error <= tolerance, (
        f"rounding: largest error {error:.3g}, allowed {tolerance:.3g} = "
        f"{factor:g} * {num_terms} * eps * {float(scale):.3g}"
    )


def assert_order(step_sizes, errors, order, *, tolerance):
    """The errors fall like ``step_size ** order``: fitted slope within `tolerance` of `order`.

    `errors` are free of sampling error, or it is far below them; the reason for `tolerance` is the
    next term of the expansion over the given range of steps.
    """
    steps = np.log(np.asarray(step_sizes, dtype=float))
    sizes = np.asarray(errors, dtype=float)
    assert steps.size >= 3, "discretisation: a slope needs at least three step sizes"
    assert (sizes > 0).all(), f"discretisation: errors {sizes} leave nothing to fit"
    slope = float(np.polyfit(steps, np.log(sizes), 1)[0])
    assert abs(slope - order) <= tolerance, (
        f"discretisation: slope {slope:.3f}, expected {order} ± {tolerance:g}; errors {sizes}"
    )


def z_limit(num_checks=1):
    """Limit on |z| such that `num_checks` true statements together fail as rarely as one at 4.

    Bonferroni: each may fail with probability ``P(|z| > 4) / num_checks``.
    """
    if num_checks == 1:
        return Z_LIMIT
    tail = math.erfc(Z_LIMIT / math.sqrt(2)) / 2 / num_checks
    return -statistics.NormalDist().inv_cdf(tail)


def assert_within_sampling_error(
    values, reference, standard_errors=None, *, discretisation_error=0.0
):
    """Each value lies within :func:`z_limit` standard errors of the truth.

    `values` is an Estimate, a sequence of them, or numbers with their `standard_errors`. The number
    of samples is fixed beforehand, and large enough (100 or more) for a normal z.
    `discretisation_error` bounds a known bias of the method, where its own exact moments are not at
    hand.
    """
    if standard_errors is None:
        estimates = list(values) if isinstance(values, (list, tuple)) else [values]
        standard_errors = [estimate.standard_error for estimate in estimates]
        values = [estimate.value for estimate in estimates]
    values, standard_errors = np.atleast_1d(values), np.atleast_1d(standard_errors)
    assert values.shape == standard_errors.shape, "sampling: one standard error for each value"
    assert np.isfinite(standard_errors).all(), f"sampling: no error bar in {standard_errors}"
    reference = np.broadcast_to(reference, values.shape)
    excess = np.maximum(np.abs(values - reference) - discretisation_error, 0.0)
    limit = z_limit(values.size) * standard_errors
    worst = np.unravel_index(np.argmax(excess - limit), values.shape)
    assert (excess <= limit).all(), (
        f"sampling: {values[worst]:.6g} ± {standard_errors[worst]:.2g} against "
        f"{reference[worst]:.6g}, |z| limit {z_limit(values.size):.2f} over {values.size} values"
    )
