""""""

import itertools

import numba
import numpy as np
import pytest
import reference_langevin as reference
from chain_cases import FAST, RNG, SEED, START, cubic

from aniso import checks, langevin
from aniso.langevin import (
    drifts,
    example_chains,
    example_sets,
    modified_equations,
)

INPUTS, TARGETS = RNG.standard_normal((4, 2)), RNG.standard_normal(4)


@numba.njit
def one_hot(_theta, index, _parameters, out):
    """Gradient of example i: the i-th unit vector, so that theta counts the draws."""
    for lane in range(out.shape[1]):
        for i in range(out.shape[0]):
            out[i, lane] = 1.0 if index[lane] == i else 0.0


def batches(sampling, size):
    """All equally likely batches of four examples."""
    if sampling == "with_replacement":
        return list(itertools.product(range(4), repeat=size))
    return list(itertools.combinations(range(4), size))


def exact_moments(sampling, size, rate, weights, num_steps):
    """Mean and second moment of the chain, by enumeration of all batches in every step."""
    maps = []
    for drawn in itertools.product(batches(sampling, size), repeat=len(weights)):
        a, b = np.eye(2), np.zeros(2)
        for weight, batch in zip(weights, drawn, strict=True):
            x, y = INPUTS[list(batch)], TARGETS[list(batch)]
            a -= rate * weight * x.T @ x / size
            b += rate * weight * x.T @ y / size
        maps.append((a, b))
    mean, second = START, np.outer(START, START)
    for _ in range(num_steps):
        second = np.mean(
            [
                a @ second @ a.T + np.outer(a @ mean, b) + np.outer(b, a @ mean) + np.outer(b, b)
                for a, b in maps
            ],
            axis=0,
        )
        mean = np.mean([a @ mean + b for a, b in maps], axis=0)
    return mean, second - np.outer(mean, mean)


def scores(ensemble, mean, covariance):
    return max(
        np.abs((ensemble.mean[0] - mean) / ensemble.mean_error[0]).max(),
        np.abs((ensemble.covariance[0] - covariance) / ensemble.covariance_error[0]).max(),
    )


@pytest.mark.parametrize("sampling", ["with_replacement", "without_replacement"])
def test_sgd_has_the_moments_of_all_its_batches(sampling):
    chain = example_chains.simulate_sgd(
        example_sets.least_squares(INPUTS, TARGETS),
        0.15,
        2,
        sampling,
        START,
        [6],
        100_000 if FAST else 100,
        SEED,
    )
    assert scores(chain, *exact_moments(sampling, 2, 0.15, [1.0], 6)) < 5
    if FAST:
        other = {
            "with_replacement": "without_replacement",
            "without_replacement": "with_replacement",
        }[sampling]
        assert scores(chain, *exact_moments(other, 2, 0.15, [1.0], 6)) > 5
    theta, covariance = chain.mean[0], chain.covariance[0]
    residual = INPUTS @ theta - TARGETS
    # the loss is quadratic: its sample mean follows from the sample moments
    loss = 0.5 * np.mean(residual**2) + 0.5 * np.trace(INPUTS @ covariance @ INPUTS.T) / 4
    assert chain.loss[0].value == pytest.approx(loss, rel=0.02 if not FAST else 1e-4)


def test_svag_has_the_moments_of_all_its_pairs_of_batches():
    times = 3
    root = np.sqrt(2 * times - 1)
    weights = [(1 + root) / 2, (1 - root) / 2]
    chain = example_chains.simulate_svag(
        example_sets.least_squares(INPUTS, TARGETS),
        0.3,
        1,
        "with_replacement",
        times,
        START,
        [6],
        100_000 if FAST else 100,
        SEED,
    )
    assert chain.times[0] == pytest.approx(0.6)
    assert scores(chain, *exact_moments("with_replacement", 1, 0.3 / times, weights, 6)) < 5
    if FAST:
        assert scores(chain, *exact_moments("with_replacement", 1, 0.3 / times, [1.0], 6)) > 5


def test_an_epoch_uses_every_example_once():
    examples = example_sets.custom(one_hot, 6, 6)
    chain = example_chains.simulate_sgd(
        examples, 1.0, 2, "epochs", np.zeros(6), [1, 3, 5, 6], 64, SEED
    )
    np.testing.assert_allclose(chain.mean[[1, 3]], [[-0.5] * 6, [-1.0] * 6], rtol=0, atol=1e-15)
    assert not chain.covariance[[1, 3]].any()
    assert chain.covariance[[0, 2]].any()
    assert chain.loss is None


@pytest.mark.needs_jit  # a z-score needs its thousands of paths
@pytest.mark.parametrize(
    ("sampling", "batch"), [("with_replacement", 1), ("without_replacement", 3)]
)
def test_every_example_is_drawn_equally_often(sampling, batch):
    paths, steps = (20_000, 3) if FAST else (100, 1)
    chain = example_chains.simulate_sgd(
        example_sets.custom(one_hot, 5, 5),
        1.0,
        batch,
        sampling,
        np.zeros(5),
        [steps],
        paths,
        SEED,
    )
    assert np.abs((chain.mean[0] + steps / 5) / chain.mean_error[0]).max() < 4.5
    share = 1 / 5
    variance = share * (1 - share) / batch * steps
    if sampling == "without_replacement":
        variance *= (5 - batch) / (5 - 1)
    z = (np.diag(chain.covariance[0]) - variance) / np.diag(chain.covariance_error[0])
    assert np.abs(z).max() < 4.5


def test_chains_do_not_depend_on_threads_and_resume(tmp_path):
    arguments = (
        example_sets.least_squares(INPUTS, TARGETS),
        0.1,
        2,
        "epochs",
        START,
        [3, 5],
        600,
        SEED,
    )
    runs = [
        example_chains.simulate_sgd(*arguments, **options)
        for options in (
            {"num_threads": 1},
            {"num_threads": 3},
            {"checkpoint": tmp_path / "sgd.npz"},
            {"checkpoint": tmp_path / "sgd.npz"},
        )
    ]
    for run in runs[1:]:
        np.testing.assert_array_equal(run.covariance, runs[0].covariance)


def test_the_toy_s_examples_average_to_its_drift():
    data = RNG.standard_normal((5, 2)) / 30
    examples, drift = example_sets.two_basin_toy(data), drifts.of_two_basin(data)
    for theta in ([1.0, 1.0], [0.2, -0.1], [-1.0, -1.0]):
        chain = example_chains.simulate_sgd(
            examples, 1.0, 5, "without_replacement", theta, [1], 2, SEED
        )
        np.testing.assert_allclose(
            chain.mean[0] - theta, drifts.at(drift, theta), rtol=0, atol=1e-12
        )
        gradients, _ = reference.two_basin_gradients(np.array(theta), data)
        np.testing.assert_allclose(-gradients.mean(axis=0), drifts.at(drift, theta), atol=1e-12)


def test_shifted_quadratics_have_additive_noise():
    hessian, centres = np.array([[1.0, 0.3], [0.3, 2.0]]), RNG.standard_normal((3, 2))
    chain = example_chains.simulate_sgd(
        example_sets.shifted_quadratics(hessian, centres),
        0.2,
        3,
        "without_replacement",
        START,
        [1],
        2,
        SEED,
    )
    expected = START - 0.2 * hessian @ (START - centres.mean(axis=0))
    np.testing.assert_allclose(chain.mean[0], expected, rtol=1e-13)


def test_a_chain_that_diverges_is_named():
    examples = example_sets.least_squares([[1e100]], [1.0])
    with pytest.raises(langevin.NonFiniteState, match="path 0 is not finite after step 2"):
        example_chains.simulate_sgd(examples, 1.0, 1, "with_replacement", [1.0], [9], 2, SEED)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"examples": 3}, "example_sets"),
        ({"learning_rate": 0.0}, "learning_rate=0.0"),
        ({"batch_size": 5}, "batch_size <= N=4"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"batch_size": 3, "sampling": "epochs"}, "divisor of N=4"),
        ({"sampling": "all"}, "sampling='all'"),
        ({"start": [0.0]}, "start has shape"),
        ({"num_paths": 1}, "num_paths=1"),
    ],
)
def test_bad_input_is_refused(change, message):
    arguments = {
        "examples": example_sets.least_squares(INPUTS, TARGETS),
        "learning_rate": 0.1,
        "batch_size": 2,
        "sampling": "with_replacement",
        "start": START,
        "record_steps": [1],
        "num_paths": 5,
        "seed": 1,
    }
    with pytest.raises(checks.InputError, match=message):
        example_chains.simulate_sgd(**(arguments | change))
    if "sampling" not in change:
        with pytest.raises(checks.InputError, match=message):
            example_chains.simulate_svag(**(arguments | change), num_times=2)


def test_further_bad_input_is_refused():
    examples = example_sets.least_squares(INPUTS, TARGETS)
    for call, message in (
        (lambda: example_sets.least_squares(np.zeros((0, 2)), []), "inputs is empty"),
        (lambda: example_sets.two_basin_toy(np.zeros((0, 2))), "data is empty"),
        (
            lambda: example_sets.shifted_quadratics(np.eye(2), np.zeros((0, 2))),
            "centres is empty",
        ),
        (lambda: example_sets.custom(3, 1, 1), "gradient=3"),
        (
            lambda: example_chains.simulate_svag(examples, 0.1, 2, "epochs", 2, START, [1], 5, 1),
            "batches are independent",
        ),
        (
            lambda: modified_equations.second_order(drifts.of_function(cubic, 1), [[1]], 0.1, [0]),
            "own",
        ),
        (
            lambda: modified_equations.first_order(drifts.of_quadratic([[1]]), [[1]], 0, [0]),
            "0 < learning_rate",
        ),
    ):
        with pytest.raises(checks.InputError, match=message):
            call()


@pytest.mark.skipif(not FAST, reason="without compilation everything is plain")
def test_plain_gradients_are_refused():
    with pytest.raises(checks.InputError, match="plain Python function"):
        example_sets.custom(lambda *_: None, 1, 1)
