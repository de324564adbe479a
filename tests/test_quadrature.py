"""Mean exit times by quadrature against finite differences: values, and bounds that hold."""

import numpy as np
import pytest
import reference_exit_times
import scipy.integrate
import seeds

from aniso import checks, estimates
from aniso.escape import quadrature


def kinked(x):
    return np.where(x < 0, -3.0 * x, -0.5 * x)


WELLS = {
    # drift, variance, low, high, smallest of the largest mean times
    "parabola, one end near": (lambda x: -x, 0.05, -0.3, 3.0, 10.0),
    "parabola, weak noise": (lambda x: -x, 0.034, -1.0, 1.3, 1e12),
    "double well": (lambda x: x - x**3, 0.06, -1.9, 1.7, 1e9),
    "tilted double well": (lambda x: x - x**3 - 0.2, 0.25, -2.0, 1.8, 1e3),
    "noise of the state": (lambda x: -x, lambda x: 0.1 * (1 + 0.5 * np.sin(3 * x)), -1.0, 2.5, 1e3),
    "kink": (kinked, 0.03, -0.4, 2.0, 1e5),
    "top of a hill": (lambda x: 4 * x, 0.05, -1.0, 2.0, 0.1),
    "uphill to one end": (lambda x: np.full_like(x, -5.0), 0.5, -1.0, 1.0, 0.1),
}


@pytest.fixture(scope="module", params=WELLS)
def well(request):
    drift, variance, low, high, longest = WELLS[request.param]
    x, times, errors = reference_exit_times.mean_exit_times(drift, variance, low, high, 1500)
    assert times.max() > longest
    inside = seeds.generator(request.param).permutation(np.arange(1, len(x) - 1))[:25]
    # the first and the last points, from which one end is at hand
    return drift, variance, low, high, x, times, errors, [1, *inside, len(x) - 2]


def test_each_start_between_two_absorbing_ends(well):
    drift, variance, low, high, x, times, errors, starts = well
    for i in starts:
        result = quadrature.mean_exit_time(drift, variance, x[i], low, high)
        # the extrapolation over h has an error of its own; it is known at each point
        allowed = result.error + 4 * errors[i]
        assert abs(result.value - times[i]) <= allowed, x[i]
        assert errors[i] < 1e-5 * times[i]
        assert 0 < result.error < 1e-6 * result.value


@pytest.mark.parametrize("num_panels", [8, 13, 40])
@pytest.mark.parametrize("tolerance", [0.9, 1e-2])
def test_the_error_bound_holds_on_few_panels(well, num_panels, tolerance):
    drift, variance, low, high, x, times, errors, starts = well
    for i in starts:
        try:
            result = quadrature.mean_exit_time(
                drift, variance, x[i], low, high, num_panels=num_panels, tolerance=tolerance
            )
        except estimates.NotConverged as error:
            result = error.partial
        assert abs(result.value - times[i]) <= result.error + 4 * errors[i], x[i]


def test_the_error_bound_holds_at_jumps_that_nobody_named(rng):
    for _ in range(25):
        jumps = np.sort(rng.uniform(-1.0, 1.0, 4))
        levels, spreads = rng.uniform(0.3, 2.0, 5), rng.uniform(0.2, 1.0, 5)
        levels *= rng.choice([-1, 1], 5)
        arguments = (
            lambda x, jumps=jumps, levels=levels: levels[np.searchsorted(jumps, x)],
            lambda x, jumps=jumps, spreads=spreads: spreads[np.searchsorted(jumps, x)],
            float(rng.uniform(-0.9, 0.9)),
            -1.0,
            1.0,
        )
        exact = exit_time_of_constant_pieces(jumps, levels, spreads, arguments[2])
        for num_panels in (20, 200):
            result = quadrature.mean_exit_time(*arguments, num_panels=num_panels)
            # 1e-11: rounding of the linear system, whose condition is below 1e5
            assert abs(result.value - exact) <= result.error + 1e-11 * exact
            named = quadrature.mean_exit_time(*arguments, breakpoints=jumps, num_panels=num_panels)
            assert abs(named.value - exact) <= named.error + 1e-11 * exact


def exit_time_of_constant_pieces(jumps, levels, spreads, start):
    """``s^2 T'' / 2 + f T' = -1`` on (-1, 1), T and T' continuous, T = 0 at the ends.

    On each piece ``T = c + d e^{-k (x - m)} - x / f`` with ``k = 2 f / s^2`` and m the middle of
    the piece: a linear system.
    """
    edges = np.concatenate([[-1.0], jumps, [1.0]])
    middles = (edges[1:] + edges[:-1]) / 2
    rates = 2 * levels / spreads
    pieces = len(levels)
    matrix, right = np.zeros((2 * pieces, 2 * pieces)), np.zeros(2 * pieces)

    def terms(piece, x):
        growth = np.exp(-rates[piece] * (x - middles[piece]))
        return np.array([1.0, growth]), np.array([0.0, -rates[piece] * growth])

    matrix[0, :2], right[0] = terms(0, -1.0)[0], -1.0 / levels[0]
    matrix[1, -2:], right[1] = terms(pieces - 1, 1.0)[0], 1.0 / levels[-1]
    for i, x in enumerate(jumps):
        for row, (before, after) in enumerate(zip(terms(i, x), terms(i + 1, x), strict=True)):
            matrix[2 + 2 * i + row, 2 * i : 2 * i + 2] = before
            matrix[2 + 2 * i + row, 2 * i + 2 : 2 * i + 4] = -after
        slopes = 1 / levels[i] - 1 / levels[i + 1]
        right[2 + 2 * i : 4 + 2 * i] = x * slopes, slopes
    solution = np.linalg.solve(matrix, right)
    piece = int(np.searchsorted(jumps, start))
    homogeneous = terms(piece, start)[0] @ solution[2 * piece : 2 * piece + 2]
    return float(homogeneous) - start / levels[piece]


def test_the_error_bound_holds_at_a_natural_boundary():
    # e^{-phi} = (1 + x^2)^{-2}: the loss rises like a logarithm, and the inner integral is known
    def integrand(y):
        return (1 + y**2) ** 2 * (y / (1 + y**2) + np.arctan(y) + np.pi / 2)

    for start in (-3.0, 0.0, 0.9):
        exact, rough = scipy.integrate.quad(integrand, start, 1.0, epsabs=0, epsrel=1e-12)
        result = quadrature.mean_exit_time(lambda x: -2 * x / (1 + x**2), 1.0, start, -np.inf, 1.0)
        assert abs(result.value - exact) <= result.error + rough
    # a high wall far away is no natural boundary, but nearly
    drift, variance, _, high, _ = WELLS["double well"]
    x, times, errors = reference_exit_times.mean_exit_times(drift, variance, -2.6, high, 1500)
    for i in range(100, 1500, 100):
        result = quadrature.mean_exit_time(drift, variance, x[i], -np.inf, high)
        assert abs(result.value - times[i]) <= result.error + 4 * errors[i]


def test_a_far_end_high_above_the_near_one_changes_nothing():
    # e^9000 between the two barriers: beyond the range of floats
    for start in (-0.29, 0.0, 1.5, 2.9):
        both = quadrature.mean_exit_time(lambda x: -x, 0.001, start, -0.3, 3.0)
        near = quadrature.mean_exit_time(lambda x: -x, 0.001, start, -0.3, np.inf)
        assert both.value == pytest.approx(near.value, rel=1e-9)
        assert both.value > 1e30


def test_a_time_beyond_the_range_of_floats_is_refused():
    with pytest.raises(checks.InputError, match=r"mean exit time is exp\(3996"):
        quadrature.mean_exit_time(lambda x: -x, 0.001, 0.0, -2.0, 2.1)
    with pytest.raises(checks.InputError, match="tolerance=0"):
        quadrature.mean_exit_time(lambda x: -x, 1.0, 0.0, -2.0, 2.0, tolerance=0)


def test_a_drift_of_one_number_counts_everywhere_and_other_shapes_are_refused():
    # Brownian motion from (-1, 1): 1 - x^2
    found = quadrature.mean_exit_time(lambda x: 0.0, lambda x: 1.0, 0.5, -1.0, 1.0)  # noqa: ARG005
    assert abs(found.value - 0.75) <= found.error
    with pytest.raises(checks.InputError, match="one number for each entry of x"):
        quadrature.mean_exit_time(lambda x: x[:, None], 1.0, 0.5, -1.0, 1.0)
