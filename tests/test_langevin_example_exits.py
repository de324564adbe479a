"""First exits of mini-batch chains: exact laws by enumeration, and path by path."""

import itertools

import numba
import numpy as np
import pytest
import reference_example_chains as reference
import seeds
from tolerances import z_limit

from aniso import checks, langevin
from aniso.langevin import (
    example_chains,
    example_sets,
    function_trials,
    functions,
    region_margins,
    regions,
)

FAST = not numba.config.DISABLE_JIT
SEED = seeds.integer("langevin_example_exits")
RNG = seeds.generator("langevin_example_exits")
INPUTS, TARGETS = RNG.standard_normal((6, 2)), RNG.standard_normal(6)
SIGNS = np.array([1.0, 1.0, -1.0, -1.0])
NUM_PATHS = 100_000


@numba.njit
def given(_theta, index, parameters, out):
    """Gradient of example i: the i-th parameter, wherever theta is."""
    for lane in range(out.shape[1]):
        out[0, lane] = parameters[index[lane]]


def walk(sampling, batch_size, horizon, momentum=0.0, values=SIGNS, width=2.0):
    examples = example_sets.custom(given, len(values), 1, parameters=values)
    return langevin.simulate_sgd_exits(
        examples,
        regions.interval(-width, width),
        1.0,
        batch_size,
        sampling,
        [0.0],
        horizon,
        NUM_PATHS,
        SEED,
        momentum=momentum,
    )


def all_moves(sampling):
    """Mean gradients of all equally likely pairs of examples, or of the two pairs of an epoch."""
    if sampling == "with_replacement":
        return [(sum(pair) / 2,) for pair in itertools.product(SIGNS, repeat=2)]
    if sampling == "without_replacement":
        return [(sum(pair) / 2,) for pair in itertools.combinations(SIGNS, 2)]
    return [(sum(p[:2]) / 2, sum(p[2:]) / 2) for p in itertools.permutations(SIGNS)]


def worst_score(exits, shares):
    """Largest distance of the shares of exits after each step to their law, in standard errors."""
    steps = np.where(exits.exited, np.rint(exits.times / exits.step_size), 0).astype(int)
    counted = np.bincount(steps, minlength=len(shares)) / len(steps)
    errors = np.sqrt(shares * (1 - shares) / len(steps))
    if counted[shares == 0].any():
        return np.inf
    return float(np.max(np.abs(counted - shares)[shares > 0] / errors[shares > 0]))


@pytest.mark.needs_jit
@pytest.mark.parametrize("sampling", ["with_replacement", "without_replacement", "epochs"])
def test_exits_have_the_law_of_all_their_batches(sampling):
    exits = walk(sampling, 2, 12.0, width=1.0)
    laws = {
        name: reference.exit_shares(all_moves(name), lambda x: abs(x) < 1, 12)
        for name in ("with_replacement", "without_replacement", "epochs")
    }
    assert worst_score(exits, laws.pop(sampling)) < z_limit(13)
    # planted falsehoods: the law of another sampling, and a boundary that belongs to the inside
    closed = reference.exit_shares(all_moves(sampling), lambda x: abs(x) <= 1, 12)
    for law in (*laws.values(), closed):
        assert worst_score(exits, law) > z_limit(13)


@pytest.mark.needs_jit
def test_epochs_never_leave_where_single_batches_do():
    # an epoch of +1, +1, -1, -1 comes back, and reaches 1 in between
    assert not walk("epochs", 2, 40.0).exited.any()
    assert walk("without_replacement", 2, 40.0).exited.mean() > 0.9


@pytest.mark.needs_jit
@pytest.mark.parametrize(
    ("sampling", "mean"), [("with_replacement", 8.0), ("without_replacement", 12.0)]
)
def test_the_mean_exit_time_of_a_symmetric_walk_is_the_square_over_the_variance(sampling, mean):
    # steps of variance 1/2 with replacement, 1/3 without
    exits = walk(sampling, 2, 400.0)
    assert exits.exited.all()
    error = exits.times.std() / np.sqrt(NUM_PATHS)
    assert abs(exits.times.mean() - mean) < z_limit() * error
    np.testing.assert_array_equal(np.abs(exits.points), 2.0)
    assert exits.num_steps == exits.times.sum()


@pytest.mark.needs_jit
def test_momentum_has_the_law_of_all_sequences():
    values, num_steps = np.array([1.0, -1.0]), 8
    moves = [(1.0,), (-1.0,)]
    exits = walk("with_replacement", 1, float(num_steps), 0.5, values, 2.75)
    law = reference.exit_shares(moves, lambda x: abs(x) < 2.75, num_steps, 0.5)
    assert worst_score(exits, law) < z_limit(num_steps + 1)
    assert law[0] > 0.01
    # planted falsehoods: 1 - beta multiplies the gradient, or there is no momentum
    for wrong in ([(0.5,), (-0.5,)], 0.5), (moves, 0.0):
        other = reference.exit_shares(wrong[0], lambda x: abs(x) < 2.75, num_steps, wrong[1])
        assert worst_score(exits, other) > z_limit(num_steps + 1)


@pytest.mark.parametrize("sampling", ["with_replacement", "without_replacement", "epochs"])
@pytest.mark.parametrize("momentum", [0.0, 0.6])
def test_chains_leave_when_the_reference_does(sampling, momentum):
    # more chains than lanes, so that lanes are taken again
    num_paths, num_steps, start = (80, 25, [0.1, 0.0]) if FAST else (66, 5, [0.1, 0.0])
    exits = langevin.simulate_sgd_exits(
        example_sets.least_squares(INPUTS, TARGETS),
        regions.half_space([1.0, -0.5], 0.3),
        0.15,
        2,
        sampling,
        start,
        0.15 * num_steps,
        num_paths,
        SEED,
        momentum=momentum,
        num_threads=1,
    )
    for path in range(num_paths):
        states = reference.chain(
            lambda theta: (INPUTS @ theta - TARGETS)[:, None] * INPUTS,
            lambda step, path=path: reference.batch(SEED, path, step, 6, 2, sampling),
            0.15,
            momentum,
            start,
            num_steps,
        )
        outside = np.flatnonzero(states @ [1.0, -0.5] >= 0.3)
        step = outside[0] if len(outside) else num_steps
        assert exits.exited[path] == bool(len(outside))
        assert exits.times[path] == pytest.approx(0.15 * step)
        np.testing.assert_allclose(exits.points[path], states[step], atol=1e-12)


@pytest.mark.parametrize("momentum", [0.0, 0.6])
def test_chains_are_those_of_the_ensemble(momentum):
    settings = (0.05, 2, "epochs", [0.5, -1.0])
    examples = example_sets.least_squares(INPUTS, TARGETS)
    exits = langevin.simulate_sgd_exits(
        examples, regions.ball([0.0, 0.0], 1e3), *settings, 0.05 * 7, 70, SEED, momentum=momentum
    )
    chain = example_chains.simulate_sgd(examples, *settings, [7], 70, SEED, momentum=momentum)
    assert not exits.exited.any()
    assert exits.num_steps == 70 * 7
    np.testing.assert_allclose(exits.points.mean(axis=0), chain.mean[0], rtol=0, atol=1e-13)
    np.testing.assert_allclose(np.cov(exits.points.T), chain.covariance[0], rtol=0, atol=1e-13)


def test_bits_do_not_depend_on_threads_or_resumption(tmp_path):
    arguments = (
        example_sets.custom(given, 4, 1, parameters=SIGNS),
        regions.interval(-0.4, 0.4),
        *(0.5, 2, "epochs", [0.0], 3.0),
    )
    num_paths = 5000 if FAST else 130
    one = langevin.simulate_sgd_exits(*arguments, num_paths, SEED, momentum=0.3, num_threads=1)
    assert 0 < one.exited.mean() < 1
    for options in ({"num_threads": 3}, {"checkpoint": tmp_path / "exits.npz"}):
        other = langevin.simulate_sgd_exits(*arguments, num_paths, SEED, momentum=0.3, **options)
        np.testing.assert_array_equal(one.times, other.times)
        np.testing.assert_array_equal(one.points, other.points)
    fewer = langevin.simulate_sgd_exits(*arguments, 70, SEED, momentum=0.3)
    np.testing.assert_array_equal(one.times[:70], fewer.times)
    with pytest.raises(checks.InputError, match="another experiment"):
        langevin.simulate_sgd_exits(
            *arguments, num_paths, SEED, momentum=0.4, checkpoint=tmp_path / "exits.npz"
        )


@pytest.mark.parametrize(
    "region",
    [
        regions.ball([0.3, -0.2], 1.3),
        regions.half_space([1.0, 2.0], 0.7),
        regions.sublevel_set([[2.0, 0.5], [0.5, 1.0]], 1.1),
    ],
    ids=["ball", "half-space", "level"],
)
def test_the_margin_alone_is_the_margin_of_the_region(region, rng):
    points = rng.standard_normal((70, 2))
    _, parameters = region_margins.margin_function(region)
    signature = functions.PANEL_FUNCTION
    found = function_trials.evaluate(
        region_margins.quadratic_margin_alone, signature, points, parameters, 2
    )
    expected = function_trials.evaluate(region.function, signature, points, parameters, 2)
    np.testing.assert_allclose(found[0], expected[0], rtol=0, atol=1e-14)


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_a_state_that_is_not_finite_is_no_exit(value):
    @numba.njit
    def breaks(theta, _index, parameters, out):
        for lane in range(theta.shape[1]):
            broken = np.inf if parameters[0] > 0 else np.nan
            out[0, lane] = broken if theta[0, lane] > 0.7 else -1.0

    examples = example_sets.custom(breaks, 1, 1, parameters=[value == np.inf])
    with pytest.raises(langevin.NonFiniteState, match="path 0 is not finite after step 5"):
        langevin.simulate_sgd_exits(
            examples, regions.interval(-9, 9), 0.2, 1, "with_replacement", [0.0], 9.0, 3, SEED
        )


@pytest.mark.skipif(not FAST, reason="without compilation everything is plain")
def test_a_margin_that_is_not_a_number_is_no_exit():
    @numba.njit
    def strip(theta, _parameters, out):
        for lane in range(theta.shape[1]):
            out[0, lane] = 1.0 if theta[0, lane] < 0.7 else np.nan
            out[1, lane] = 0.0

    examples = example_sets.custom(given, 1, 1, parameters=[-1.0])
    with pytest.raises(langevin.NonFiniteState, match="path 0 is not finite after step 4"):
        langevin.simulate_sgd_exits(
            examples, regions.custom(strip, 1), 0.2, 1, "with_replacement", [0.0], 9.0, 3, SEED
        )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"examples": 3}, "example_sets"),
        ({"region": 3}, "region is 3"),
        ({"region": regions.interval(-1, 1)}, "in 2 dimensions"),
        ({"region": regions.ball([9.0, 9.0], 1.0)}, r"start=\[0.0, 0.0\] has margin -80.5"),
        ({"region": regions.half_space([1.0, 0.0], 0.0)}, "has margin 0"),
        ({"learning_rate": 0.0}, "learning_rate=0.0"),
        ({"batch_size": 7}, "batch_size <= N=6"),
        ({"batch_size": 4, "sampling": "epochs"}, "divisor of N=6"),
        ({"sampling": "all"}, "sampling='all'"),
        ({"start": [0.0]}, "start has shape"),
        ({"horizon": 0.01}, "horizon=0.01, learning_rate=0.1; expected learning_rate <= horizon"),
        ({"horizon": 1e30}, "at most 2\\^40 steps"),
        ({"num_paths": 0}, "num_paths=0"),
        ({"momentum": 1.0}, "momentum=1.0; expected a number with 0 <= momentum < 1"),
        ({"momentum": -0.1}, "momentum=-0.1"),
    ],
)
def test_bad_input_is_refused(change, message):
    arguments = {
        "examples": example_sets.least_squares(INPUTS, TARGETS),
        "region": regions.ball([0.0, 0.0], 1.0),
        "learning_rate": 0.1,
        "batch_size": 2,
        "sampling": "with_replacement",
        "start": [0.0, 0.0],
        "horizon": 1.0,
        "num_paths": 5,
        "seed": 1,
    }
    with pytest.raises(checks.InputError, match=message):
        langevin.simulate_sgd_exits(**(arguments | change))
