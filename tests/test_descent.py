"""The loop of descent: its noise, its steps, its records, and runs that are interrupted."""

import numpy as np
import pytest
import seeds
from descent_cases import BATCH, HESSIAN, NUM_EXAMPLES, Bare, bowl, chosen, covariance_of, network
from tolerances import assert_equal_up_to_rounding, assert_within_sampling_error

from aniso import descent
from aniso.closed_forms import diffusion
from aniso.descent import (
    batches,
    settings,
    structures,
)
from aniso.estimates import Estimate
from aniso.matrices import (
    convention,
)
from aniso.matrices import (
    noise as gradient_noise,
)
from aniso.matrices import (
    structures as noise_structures,
)
from aniso.problems.quadratic import quadratic_problem

GAUSSIAN = sorted(structures.STRUCTURES)


def true_trace(objective, theta, **changes):
    made = chosen("gld_dynamic", **changes)
    covariance = gradient_noise.gradient_covariance(objective.per_example_gradients(theta))
    return gradient_noise.minibatch_covariance(
        covariance, made.batch_size, replacement=made.replacement
    ).trace()


def square_norms(covariance, rng, num_samples=4000):
    samples = covariance.sample(rng, num_samples)
    return Estimate.from_samples(np.sum(samples.astype(float) ** 2, axis=1))


# ---- the noise


@pytest.mark.parametrize("make", [bowl, network])
@pytest.mark.parametrize("dynamics", sorted(structures.NEEDS_COVARIANCE))
@pytest.mark.parametrize("sampling", ["with_replacement", "without_replacement"])
def test_every_structure_injects_the_trace_of_sigma(make, dynamics, sampling, rng):
    objective = make(rng)
    theta = rng.standard_normal(objective.num_parameters)
    covariance = covariance_of(dynamics, objective, theta, rng, sampling=sampling)
    expected = true_trace(objective, theta, sampling=sampling)
    # the trace is a sum of D variances; eigenvectors are normalised however well they are found
    assert_equal_up_to_rounding(covariance.trace(), expected, num_terms=400)
    assert_within_sampling_error(square_norms(covariance, rng), expected)


@pytest.mark.parametrize("dynamics", GAUSSIAN)
def test_a_wrong_scaling_of_the_noise_is_caught(dynamics, rng):
    objective, theta = bowl(rng), np.ones(4)
    covariance = covariance_of(dynamics, objective, theta, rng)
    # one example's noise instead of the batch's: variance wrong by m = 3
    wrong = square_norms(covariance, rng).scaled(BATCH["batch_size"])
    with pytest.raises(AssertionError, match="sampling"):
        assert_within_sampling_error(wrong, covariance.trace())


def test_each_structure_is_what_its_name_says(rng):
    objective, theta = bowl(rng), np.ones(4)
    sigma = covariance_of("sgd_gaussian", objective, theta, rng).to_dense()
    first = np.zeros((4, 4))
    first[0, 0] = np.trace(sigma)
    expected = {
        "gld_constant": 0.09 * np.eye(4),
        "gld_dynamic": noise_structures.isotropic_equivalent(sigma),
        "gld_diagonal": noise_structures.diagonal_part(sigma),
        "gld_leading": noise_structures.leading_part(sigma, 2),
        "gld_hessian": noise_structures.hessian_part(HESSIAN, sigma, 2),
        "gld_first_eigenvector": first,
        "sgd_gaussian": sigma,
    }
    assert expected.keys() == structures.STRUCTURES.keys()
    for dynamics, matrix in expected.items():
        found = covariance_of(dynamics, objective, theta, rng).to_dense()
        assert_equal_up_to_rounding(found, matrix, num_terms=100, scale=np.trace(sigma))


def test_samples_have_the_covariance_of_their_structure(rng):
    objective, theta = bowl(rng), np.ones(4)
    for dynamics in GAUSSIAN:
        covariance = covariance_of(dynamics, objective, theta, rng)
        samples = covariance.sample(rng, 4000)
        direction = rng.standard_normal(4)
        forms = Estimate.from_samples((samples @ direction) ** 2)
        assert_within_sampling_error(forms, covariance.quadratic_form(direction))


def test_truncated_structures_keep_less_than_the_trace(rng):
    objective, theta = bowl(rng), np.ones(4)
    sigma = covariance_of("sgd_gaussian", objective, theta, rng).to_dense()
    truncated = covariance_of("gld_leading", objective, theta, rng, rescaled=False)
    kept = np.sort(np.linalg.eigvalsh(sigma))[-2:].sum()
    assert_equal_up_to_rounding(truncated.trace(), kept, num_terms=100)
    plain = covariance_of("gld_hessian", objective, theta, rng, rescaled=False)
    assert_equal_up_to_rounding(plain.trace(), 6.0, num_terms=100)


def test_batches_of_an_epoch_estimate_the_covariance_up_to_a_known_factor(rng):
    # disjoint batches of a finite population: E = Sigma_1 / m * N / (N - 1), between the two
    # conventions: more than with replacement
    objective, theta = bowl(rng), np.ones(4)
    traces = [
        covariance_of("sgd_gaussian", objective, theta, rng, covariance_source="batches").trace()
        for _ in range(3000)
    ]
    expected = true_trace(objective, theta) * NUM_EXAMPLES / (NUM_EXAMPLES - 1)
    assert_within_sampling_error(Estimate.from_samples(traces), expected)
    with pytest.raises(AssertionError, match="sampling"):
        assert_within_sampling_error(
            Estimate.from_samples(traces),
            true_trace(objective, theta, sampling="without_replacement"),
        )


def test_the_batches_of_a_network_are_those_of_its_gradients(rng):
    objective = network(rng)
    theta = rng.standard_normal(objective.num_parameters)

    class Plain(Bare):
        """The same gradients as an array, not as factors."""

        def example_gradients(self, theta):
            return objective.per_example_gradients(theta)

    found = [
        covariance_of(
            "sgd_gaussian", o, theta, seeds.generator(3), covariance_source="batches"
        ).trace()
        for o in (objective, Plain())
    ]
    assert_equal_up_to_rounding(found[0], found[1], num_terms=500)


def test_the_magnitude_variant_gives_noise_to_negative_curvature(rng):
    saddle = quadratic_problem(np.diag([1.0, -3.0]), np.zeros(2), rng.standard_normal((6, 2)))
    positive = covariance_of("gld_hessian", saddle, np.zeros(2), rng).to_dense()
    magnitude = covariance_of(
        "gld_hessian", saddle, np.zeros(2), rng, eigenvalues="magnitude"
    ).to_dense()
    assert positive[1, 1] == 0
    assert_equal_up_to_rounding(magnitude[1, 1], 3 * magnitude[0, 0], num_terms=100)


def test_without_positive_curvature_the_hessian_noise_is_isotropic(rng):
    hill = quadratic_problem(-np.eye(2), np.zeros(2), rng.standard_normal((6, 2)))
    covariance = covariance_of("gld_hessian", hill, np.zeros(2), rng)
    assert covariance.trace() == pytest.approx(true_trace(hill, np.zeros(2)))
    assert covariance.diagonal()[0] == covariance.diagonal()[1]


def test_power_iterations_find_the_leading_eigenvector(rng):
    objective = bowl(rng)
    covariance = covariance_of(
        "gld_first_eigenvector", objective, np.ones(4), rng, power_iterations=60
    )
    # the ratio of the two leading eigenvalues is 1/2: after 60 iterations 2^-60 is left
    assert_equal_up_to_rounding(
        covariance.quadratic_form(np.eye(4)[0]), covariance.trace(), num_terms=100
    )


def test_power_iterations_on_a_flat_loss_keep_the_magnitude(rng):
    plane = quadratic_problem(np.zeros((3, 3)), np.zeros(3), rng.standard_normal((6, 3)))
    covariance = covariance_of(
        "gld_first_eigenvector", plane, np.zeros(3), rng, power_iterations=30
    )
    expected = true_trace(plane, np.zeros(3))
    assert_equal_up_to_rounding(covariance.trace(), expected, num_terms=50)
    assert_equal_up_to_rounding(np.trace(covariance.to_dense()), expected, num_terms=50)


# ---- mini-batches


@pytest.mark.parametrize("sampling", settings.SAMPLINGS)
def test_minibatch_gradients_have_the_stated_mean_and_variance(sampling, rng):
    objective, theta = bowl(rng), np.ones(4)
    rows = objective.per_example_gradients(theta)
    full = rows.mean(axis=0)
    # of an epoch's batches only the first is taken: they are not independent
    noises = []
    for _ in range(6000):
        sampler = batches.BatchSampler(NUM_EXAMPLES, 3, sampling)
        noises.append(rows[sampler.draw(rng)].mean(axis=0) - full)
    noises = np.array(noises)
    for coordinate in range(4):
        assert_within_sampling_error(Estimate.from_samples(noises[:, coordinate]), 0.0)
    scale = convention.minibatch_scale(NUM_EXAMPLES, 3, replacement=sampling == "with_replacement")
    trace = scale * np.sum((rows - full) ** 2) / NUM_EXAMPLES
    norms = Estimate.from_samples(np.sum(noises**2, axis=1))
    assert_within_sampling_error(norms, trace)
    with pytest.raises(AssertionError, match="sampling"):
        assert_within_sampling_error(norms, trace * 1.3)  # the convention of another batch


def test_an_epoch_takes_every_example_once(rng):
    sampler = batches.BatchSampler(7, 2, "epochs")
    for _ in range(3):
        epoch = np.concatenate([sampler.draw(rng) for _ in range(3)])
        assert len(set(epoch.tolist())) == 6


def test_recorded_noise_of_sgd_is_that_of_its_batch(rng):
    objective = bowl(rng)
    plan = descent.Measurements(range(400))
    result = descent.simulate_descent(
        objective,
        np.zeros(4),
        chosen("sgd", learning_rate=0.0, num_steps=400),
        rng,
        measurements=plan,
    )
    norms = Estimate.from_samples(result.records["noise_square_norm"])
    assert_within_sampling_error(norms, true_trace(objective, np.zeros(4)))
    assert_equal_up_to_rounding(
        result.records["noise_trace"],
        np.full(400, true_trace(objective, np.zeros(4))),
        num_terms=50,
    )


# ---- the steps


def test_gradient_descent_is_the_loop_by_hand(rng):
    objective = network(rng)
    start = rng.standard_normal(objective.num_parameters)
    result = descent.simulate_descent(objective, start, chosen("gd"), rng)
    theta = start.copy()
    for _ in range(6):
        theta = theta - 0.1 * objective.gradient(theta)
    assert np.array_equal(result.theta, theta)
    assert result.records["loss"][-1] == objective.loss(theta)
    assert (result.status, result.step) == ("finished", 6)


@pytest.mark.parametrize("dynamics", ["gld_dynamic", "gld_leading", "sgd_gaussian", "sgd"])
def test_the_chain_has_its_exact_second_moment(dynamics, rng):
    objective, num_steps, rate = bowl(rng), 5, 0.2
    made = chosen(dynamics, num_steps=num_steps, learning_rate=rate)
    if dynamics == "sgd":
        matrix = covariance_of("sgd_gaussian", objective, np.zeros(4), rng).to_dense()
    else:
        matrix = covariance_of(dynamics, objective, np.zeros(4), rng).to_dense()
    expected = diffusion.chain_escaping_efficiency(HESSIAN, matrix, rate, num_steps)
    rises = [
        objective.loss(descent.simulate_descent(objective, np.zeros(4), made, rng).theta)
        for _ in range(400)
    ]
    found = Estimate.from_samples(rises)
    assert_within_sampling_error(found, float(expected))
    with pytest.raises(AssertionError, match="sampling"):
        assert_within_sampling_error(found, 2.0 * float(expected))  # variance for deviation


@pytest.mark.parametrize("dynamics", sorted(structures.NEEDS_COVARIANCE))
def test_noise_of_equal_magnitude_has_it_along_the_run(dynamics, rng):
    objective = network(rng)
    start = rng.standard_normal(objective.num_parameters)
    interval, num_steps = 3, 600
    plan = descent.Measurements(range(num_steps), ("noise",))

    def recorded(**more):
        made = chosen(dynamics, num_steps=num_steps, refresh_interval=interval, **more)
        return descent.simulate_descent(objective, start, made, rng, measurements=plan).records

    records = recorded()
    # Sigma_t has the trace of one example's noise over m, wherever it is evaluated
    traces = records["example_noise_trace"][::interval] / BATCH["batch_size"]
    assert traces.max() > 1.1 * traces.min()
    expected = np.repeat(traces, interval)
    np.testing.assert_allclose(records["noise_trace"], expected, rtol=1e-10)  # rounding
    ratios = Estimate.from_samples(records["noise_square_norm"] / expected)
    assert_within_sampling_error(ratios, 1.0)
    with pytest.raises(AssertionError, match="sampling"):
        assert_within_sampling_error(ratios, 1.7)
    if dynamics in ("gld_leading", "gld_hessian"):
        truncated = recorded(rescaled=False)["noise_trace"] / expected
        assert np.abs(truncated - 1).max() > 1e-3


def test_the_covariance_is_kept_between_refreshes(rng, monkeypatch):
    evaluated = []

    def counted(at, *arguments):
        evaluated.append(at.theta.copy())
        return structures.whole(at, *arguments)

    monkeypatch.setitem(structures.STRUCTURES, "sgd_gaussian", counted)
    made = chosen("sgd_gaussian", refresh_interval=4, num_steps=9)
    descent.simulate_descent(bowl(rng), np.ones(4), made, rng)
    assert len(evaluated) == 3


def test_noise_on_refresh_steps_only_is_silent_in_between(rng):
    made = chosen("gld_leading", refresh_interval=3, injection="refresh_steps")
    plan = descent.Measurements(range(6))
    records = descent.simulate_descent(bowl(rng), np.ones(4), made, rng, measurements=plan).records
    silent = records["noise_square_norm"] == 0
    assert silent.tolist() == [False, True, True, False, True, True]


def test_recording_changes_no_iterate(rng):
    objective = network(rng)
    start = rng.standard_normal(objective.num_parameters)
    plans = [
        None,
        descent.Measurements(range(7), ("sharpness", "curvature", "leading"), num_draws=4),
    ]
    ends = [
        descent.simulate_descent(
            objective,
            start,
            chosen("gld_hessian", refresh_interval=2),
            seeds.generator(5),
            measurements=plan,
        ).theta
        for plan in plans
    ]
    assert np.array_equal(*ends)
