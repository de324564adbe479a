"""The loop of descent: its noise, its steps, its records, and runs that are interrupted."""

import itertools
import json

import numpy as np
import pytest
import seeds
from place_cases import every_foreign_place
from tolerances import assert_equal_up_to_rounding, assert_within_sampling_error

from aniso import checks, descent, networks
from aniso.arrays import places, transfer
from aniso.closed_forms import diffusion
from aniso.descent import (
    batches,
    generator_states,
    hessian_pairs,
    loop,
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
from aniso.problems import AutogradModel, Problem, local_geometry, losses
from aniso.problems.quadratic import quadratic_problem
from aniso.problems.two_basin import two_basin_problem
from aniso.runs import run_directory

HESSIAN = np.diag([4.0, 2.0, 0.5, 0.1])
NUM_EXAMPLES = 12
BATCH = {"batch_size": 3, "sampling": "with_replacement"}
GAUSSIAN = sorted(structures.STRUCTURES)


def bowl(rng):
    """Quadratic whose gradient noise is anisotropic and not aligned with any axis."""
    rows = rng.standard_normal((NUM_EXAMPLES, 4)) @ np.diag([3.0, 1.0, 0.3, 0.1])
    rotation = np.linalg.qr(rng.standard_normal((4, 4)))[0]
    return quadratic_problem(HESSIAN, np.zeros(4), rows @ rotation)


def network(rng, dtype=np.float64):
    stack = networks.multilayer_perceptron((3, 5, 2))
    inputs = rng.standard_normal((NUM_EXAMPLES, 3))
    targets = rng.integers(2, size=NUM_EXAMPLES)
    return networks.Network(
        stack, losses.SoftmaxCrossEntropy(), inputs, targets, dtype=dtype, num_threads=1
    )


def chosen(dynamics, **changes):
    """Settings of a dynamics with whatever it needs."""
    needed = dict(BATCH)
    if dynamics == "gld_constant":
        needed = {"standard_deviation": 0.3}
    return descent.Settings(
        dynamics, **({"learning_rate": 0.1, "num_steps": 6, "num_pairs": 2} | needed | changes)
    )


def covariance_of(dynamics, objective, theta, rng, **changes):
    made = chosen(dynamics, **changes)
    return structures.STRUCTURES[dynamics](objective.at(theta), made, rng, None).covariance


def true_trace(objective, theta, **changes):
    made = chosen("gld_dynamic", **changes)
    covariance = gradient_noise.gradient_covariance(objective.per_example_gradients(theta))
    return gradient_noise.minibatch_covariance(
        covariance, made.batch_size, replacement=made.replacement
    ).trace()


def square_norms(covariance, rng, num_samples=4000):
    samples = covariance.sample(rng, num_samples)
    return Estimate.from_samples(np.sum(samples.astype(float) ** 2, axis=1))


class Bare(Problem):
    """A bowl of which the tests replace some members."""

    num_examples = NUM_EXAMPLES

    def losses(self, theta):
        return np.full(NUM_EXAMPLES, float(theta @ theta))

    def gradient(self, theta):
        return 2 * theta

    def example_gradients(self, theta):
        return np.tile(2 * theta, (NUM_EXAMPLES, 1))

    def hessian_product(self, theta, vectors):  # noqa: ARG002
        return 2 * vectors

    def subset(self, indices):  # noqa: ARG002
        return self


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
    sampler = batches.BatchSampler(NUM_EXAMPLES, 3, sampling)
    rows = objective.per_example_gradients(theta)
    full = rows.mean(axis=0)
    # of an epoch's batches only the first is taken: they are not independent
    noises = []
    for _ in range(6000):
        sampler.position = NUM_EXAMPLES
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


# ---- interruption


class Interrupted(Exception):
    """What a test raises in the place of Ctrl-C."""


@pytest.mark.parametrize("dynamics", descent.DYNAMICS)
def test_a_resumed_run_is_the_uninterrupted_one(dynamics, rng, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    objective = network(rng)
    start = rng.standard_normal(objective.num_parameters)
    made = chosen(
        dynamics,
        num_steps=9,
        refresh_interval=2,
        **({} if dynamics == "gld_constant" else {"sampling": "epochs"}),
    )
    plan = descent.Measurements(range(10), ("gradient_norm", "sharpness"), num_draws=2)

    def simulate(run=None, progress=None):
        return descent.simulate_descent(
            objective,
            start,
            made,
            seeds.generator(8),
            measurements=plan,
            run=run,
            progress=progress,
        )

    whole = simulate()
    stop_at = int(rng.integers(1, 9))

    def stop(step, num_steps):
        assert num_steps == 9
        if step == stop_at:
            raise Interrupted

    with (
        run_directory.RunDirectory(tmp_path, made.parameters(), seed=8) as run,
        pytest.raises(Interrupted),
    ):
        simulate(run, stop)
    with run_directory.RunDirectory(tmp_path, made.parameters(), seed=8) as run:
        resumed = simulate(run)
        again = simulate(run)
    for result in (resumed, again):
        assert np.array_equal(result.theta, whole.theta)
        for name, values in whole.records.items():
            assert np.array_equal(result.records[name], values, equal_nan=True), name


def run_until(step, folder, simulate):
    """A run in its directory, ended by an exception after `step` steps."""

    def stop(done, _):
        if done == step:
            raise Interrupted

    with run_directory.RunDirectory(folder, {}, seed=8) as run, pytest.raises(Interrupted):
        simulate(run=run, progress=stop)


@pytest.mark.parametrize("dynamics", ["gld_hessian", "gld_first_eigenvector"])
def test_eigenvectors_start_where_the_interrupted_run_left_them(
    dynamics, rng, tmp_path, monkeypatch
):
    # by Lanczos, whose vectors depend on the start within their tolerance
    monkeypatch.setattr(hessian_pairs, "_DENSE_DIMENSION", 2)
    monkeypatch.setattr(loop, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    objective = network(rng)
    start = rng.standard_normal(objective.num_parameters)
    made = chosen(dynamics, num_steps=8, refresh_interval=2)

    def simulate(**more):
        return descent.simulate_descent(objective, start, made, seeds.generator(8), **more)

    whole = simulate()
    run_until(5, tmp_path, simulate)
    with run_directory.RunDirectory(tmp_path, {}, seed=8) as run:
        assert (run.latest_checkpoint().step, whole.step) == (4, 8)
        assert np.array_equal(simulate(run=run).theta, whole.theta)


def in_directory(folder, made, objective, measurements=None):
    """A run of `made` in a directory that does not know its settings."""
    with run_directory.RunDirectory(folder, {}, seed=8) as run:
        return descent.simulate_descent(
            objective,
            np.ones(4),
            made,
            seeds.generator(8),
            measurements=measurements,
            run=run,
        )


def test_a_run_directory_of_other_settings_is_refused(rng, tmp_path):
    objective = bowl(rng)
    in_directory(tmp_path, chosen("gd", num_steps=20), objective)
    with pytest.raises(checks.InputError, match="dynamics: stored 'gd', asked for 'sgd'"):
        in_directory(tmp_path, chosen("sgd", num_steps=20), objective)
    with pytest.raises(checks.InputError, match=r"learning_rate: stored 0\.1, asked for 0\.2"):
        in_directory(tmp_path, chosen("gd", num_steps=20, learning_rate=0.2), objective)
    with pytest.raises(checks.InputError, match="num_steps=10; the run directory holds 20 steps"):
        in_directory(tmp_path, chosen("gd", num_steps=10), objective)
    more = descent.Measurements((0, 20), ("gradient_norm",))
    with pytest.raises(checks.InputError, match=r"measurements\.quantities: stored"):
        in_directory(tmp_path, chosen("gd", num_steps=20), objective, more)
    with pytest.raises(checks.InputError, match="first in step 7; expected the same steps below"):
        in_directory(
            tmp_path, chosen("gd", num_steps=20), objective, descent.Measurements((0, 7, 20))
        )
    other = quadratic_problem(np.eye(2), np.zeros(2), np.eye(2))
    with (
        run_directory.RunDirectory(tmp_path, {}, seed=8) as run,
        pytest.raises(checks.InputError, match=r"theta has shape \(2,\), the checkpoint"),
    ):
        descent.simulate_descent(other, np.ones(2), chosen("gd", num_steps=20), rng, run=run)


@pytest.mark.parametrize("dynamics", descent.DYNAMICS)
def test_an_extended_run_is_the_longer_one(dynamics, rng, tmp_path):
    objective = bowl(rng)
    ends = 10, 24
    # the fixed covariance of "gld_constant" is the same between its evaluations
    interval = 4 if dynamics == "gld_constant" else 5
    runs = [chosen(dynamics, num_steps=end, refresh_interval=interval) for end in ends]
    plans = [descent.Measurements(range(end + 1), ("sharpness",), num_draws=2) for end in ends]
    for made, plan in zip(runs, plans, strict=True):
        extended = in_directory(tmp_path / "extended", made, objective, plan)
    whole = in_directory(tmp_path / "whole", runs[1], objective, plans[1])
    assert (extended.step, len(extended.records["step"])) == (24, 25)
    assert np.array_equal(extended.theta, whole.theta)
    for name, values in whole.records.items():
        assert np.array_equal(extended.records[name], values, equal_nan=True), name


def test_a_run_that_ended_between_evaluations_of_its_covariance_is_not_extended(rng, tmp_path):
    objective = bowl(rng)
    short, long = (chosen("gld_leading", num_steps=n, refresh_interval=10) for n in (15, 30))
    in_directory(tmp_path, short, objective)
    assert in_directory(tmp_path, short, objective).step == 15
    with pytest.raises(checks.InputError, match=r"ended after 15 steps.*refresh_interval=10"):
        in_directory(tmp_path, long, objective)


@pytest.mark.parametrize("bits", [np.random.PCG64, np.random.Philox, np.random.MT19937])
def test_generators_are_restored(bits):
    rng = np.random.Generator(bits(3))
    rng.standard_normal(5)
    text = generator_states.state_text(rng)
    assert np.array_equal(generator_states.restored(text).random(4), rng.random(4))


# ---- divergence


@pytest.mark.parametrize("dynamics", ["gd", "sgd", "gld_dynamic"])
def test_a_diverging_run_stops_and_keeps_its_record(dynamics, rng):
    made = chosen(dynamics, learning_rate=100.0, num_steps=2000, divergence_loss=1e4)
    plan = descent.Measurements(range(0, 2000), ("gradient_norm",))
    result = descent.simulate_descent(bowl(rng), np.ones(4), made, rng, measurements=plan)
    assert result.status == "diverged"
    assert "at step" in result.message
    losses_seen = result.records["loss"]
    assert (losses_seen[:-1] <= 1e4).all()
    assert losses_seen[-1] > 1e4
    assert np.isnan(result.records["gradient_norm"][-1])


@pytest.mark.parametrize("dynamics", ["gd", "sgd", "gld_dynamic", "gld_constant"])
def test_overflow_between_records_is_a_divergence_too(dynamics, rng):
    made = chosen(dynamics, learning_rate=1e30, num_steps=200)
    result = descent.simulate_descent(
        bowl(rng), np.ones(4), made, rng, measurements=descent.Measurements((0,))
    )
    assert result.status == "diverged"
    assert np.isfinite(result.theta).all()
    assert "the last recorded loss" in result.message


def test_divergence_at_the_last_step_is_seen(rng):
    made = chosen("gd", learning_rate=100.0, num_steps=3, divergence_loss=100.0)
    result = descent.simulate_descent(bowl(rng), np.ones(4), made, rng)
    assert (result.status, result.step) == ("diverged", 3)


# ---- measurements


def test_measurements_agree_with_dense_matrices(rng):
    objective = network(rng)
    theta = rng.standard_normal(objective.num_parameters)
    quantities = ("accuracy", "gradient_norm", "noise", "curvature", "leading", "sharpness", "test")
    plan = descent.Measurements((0,), quantities, objective, radius=1e-3, num_draws=200)
    found = plan.at(objective, theta, rng)
    hessian = objective.hessian(theta)
    covariance = gradient_noise.gradient_covariance(objective.per_example_gradients(theta))
    sigma = covariance.to_dense()
    aligned = float(np.trace(hessian @ sigma))
    size = np.abs(hessian).max() * np.trace(sigma)
    assert_equal_up_to_rounding(found["alignment"], aligned, num_terms=1000, scale=size)
    isotropic = np.trace(hessian) * np.trace(sigma) / len(theta)
    assert_equal_up_to_rounding(found["isotropic_alignment"], isotropic, num_terms=1000, scale=size)
    assert found["trace_ratio"] == found["alignment"] / found["isotropic_alignment"]
    values, vectors = np.linalg.eigh(hessian)
    assert found["leading_eigenvalue"] == pytest.approx(values[-1], rel=1e-6)
    coefficient = covariance.quadratic_form(vectors[:, -1]) * np.trace(hessian)
    assert found["projection_coefficient"] == pytest.approx(
        coefficient / (values[-1] * np.trace(sigma)), rel=1e-6
    )
    outputs = objective.outputs(theta)
    assert found["accuracy"] == np.mean(outputs.argmax(axis=1) == objective.targets)
    assert found["test_accuracy"] == found["accuracy"]
    assert found["test_loss"] == found["loss"] == objective.loss(theta)
    assert found["gradient_norm"] == pytest.approx(np.linalg.norm(objective.gradient(theta)))
    assert found["layer_noise_trace"].sum() == pytest.approx(np.trace(sigma))
    # to second order, where no kink lies within the radius; a kink moves it by far less than this
    assert abs(found["expected_sharpness"]) < 10 * 1e-6 * max(1.0, np.abs(values).sum())


def test_measurements_of_an_objective_that_is_no_network(rng):
    objective, theta = bowl(rng), np.ones(4)
    plan = descent.Measurements((0,), ("noise", "curvature", "leading"))
    found = plan.at(objective, theta, rng)
    sigma = gradient_noise.gradient_covariance(objective.per_example_gradients(theta)).to_dense()
    assert_equal_up_to_rounding(
        [found["hessian_trace"], found["alignment"], found["isotropic_alignment"]],
        [6.6, np.trace(HESSIAN @ sigma), 6.6 * np.trace(sigma) / 4],
        num_terms=200,
        scale=4 * np.trace(sigma) + 10,
    )
    # alignment and trace of Sigma cancel up to their own rounding
    ratio = 4 * np.trace(HESSIAN @ sigma) / (6.6 * np.trace(sigma))
    assert_equal_up_to_rounding(found["trace_ratio"], ratio, num_terms=400)
    assert_equal_up_to_rounding(found["leading_eigenvalue"], 4.0, num_terms=50)
    expected = sigma[0, 0] * 6.6 / (4 * np.trace(sigma))
    assert_equal_up_to_rounding(found["projection_coefficient"], expected, num_terms=200)


def test_ratios_without_a_positive_denominator_are_not_numbers(rng):
    hill = quadratic_problem(-np.eye(2), np.zeros(2), rng.standard_normal((6, 2)))
    plan = descent.Measurements((0,), ("curvature", "leading"))
    found = plan.at(hill, np.zeros(2), rng)
    assert found["isotropic_alignment"] < 0
    assert np.isnan(found["trace_ratio"])
    assert np.isnan(found["projection_coefficient"])


def test_recorded_sharpness_is_that_of_the_stated_radius(rng):
    radius, num_draws = 0.3, 2000
    plan = descent.Measurements((0, 2), ("sharpness",), radius=radius, num_draws=num_draws)
    made = chosen("gd", num_steps=2)
    records = descent.simulate_descent(bowl(rng), np.ones(4), made, rng, measurements=plan).records
    found, errors = records["expected_sharpness"], records["expected_sharpness_error"]
    expected = radius**2 * np.trace(HESSIAN) / 2
    assert_within_sampling_error(found, expected, errors)
    # a pair gives nu^T H nu / 2, of variance radius^4 Tr H^2 / 2; over 1000 pairs the error bar
    # itself is known to 5 %, six times less than allowed
    deviation = radius**2 * np.sqrt(np.trace(HESSIAN @ HESSIAN) / 2)
    assert np.abs(errors / (deviation / np.sqrt(num_draws / 2)) - 1).max() < 0.3
    with pytest.raises(AssertionError, match="sampling"):
        assert_within_sampling_error(found, 1.3 * expected, errors)


def test_many_parameters_take_operators_in_the_place_of_arrays(rng, monkeypatch):
    objective, theta = bowl(rng), np.ones(4)
    plan = descent.Measurements((0,), ("curvature", "leading"))
    dense = plan.at(objective, theta, rng)
    noise = covariance_of("gld_hessian", objective, theta, rng).to_dense()
    monkeypatch.setattr(hessian_pairs, "_DENSE_DIMENSION", 2)
    monkeypatch.setattr(local_geometry, "DENSE_DIMENSION", 2)
    sparse = plan.at(objective, theta, rng)
    for name, value in dense.items():
        if name != "leading_residual":
            assert sparse[name] == pytest.approx(value, rel=1e-6), name
    again = covariance_of("gld_hessian", objective, theta, rng).to_dense()
    # a block of four vectors spans all four dimensions: far better than the default of 1e-2
    assert np.abs(again - noise).max() < 1e-2 * np.trace(noise)


@pytest.mark.parametrize("num_pairs", [1, 3])
@pytest.mark.parametrize("tolerance", [1e-2, 1e-7])
def test_eigenpairs_of_a_network_have_the_residuals_asked_for(
    num_pairs, tolerance, rng, monkeypatch
):
    objective = network(rng)
    theta = rng.standard_normal(objective.num_parameters)
    hessian = objective.hessian(theta)
    monkeypatch.setattr(hessian_pairs, "_DENSE_DIMENSION", 2)
    made = chosen("gld_hessian", eigen_tolerance=tolerance)
    pairs = hessian_pairs.hessian_eigenpairs(objective.at(theta), made, num_pairs)
    # measured in double precision, whichever the products had; twice as the iteration allows
    vectors = pairs.vectors.astype(np.float64)
    residuals = np.linalg.norm(hessian @ vectors - vectors * pairs.values, axis=0)
    assert residuals.max() <= 3 * tolerance * np.abs(hessian).sum(axis=1).max()
    again = hessian_pairs.hessian_eigenpairs(
        objective.at(theta), made, num_pairs, start=pairs.vectors
    )
    values = np.linalg.eigvalsh(hessian)[::-1]
    size = np.abs(values).max()
    # a residual r moves a Ritz value by at most r; from its own vectors no pair gets worse
    assert np.abs(again.values - pairs.values).max() <= 4 * tolerance * size
    assert pairs.values[0] == pytest.approx(values[0], abs=2 * tolerance * size)


def test_a_gradient_that_overflows_ends_the_run(rng):
    class Cliff(Bare):
        """Gradients that are not finite beyond the first step."""

        def example_gradients(self, theta):
            scale = 1.0 if theta[0] == 1.0 else np.inf
            return scale * rng.standard_normal((NUM_EXAMPLES, 2))

        def gradient(self, theta):
            return self.example_gradients(theta).mean(axis=0)

    made = chosen("gld_dynamic", num_steps=4)
    result = descent.simulate_descent(Cliff(), np.ones(2), made, rng)
    assert (result.status, result.step) == ("diverged", 1)


@pytest.mark.parametrize("quantities", [("test",), ("gradient_norm", "test")])
def test_a_refusal_that_is_no_fault_of_theta_is_no_divergence(quantities, rng):
    objective = network(rng)
    larger = networks.Network(
        networks.multilayer_perceptron((3, 6, 2)),
        losses.SoftmaxCrossEntropy(),
        objective.inputs,
        objective.targets,
    )
    plan = descent.Measurements((2, 4), quantities, larger)
    start = rng.standard_normal(objective.num_parameters)
    with pytest.raises(checks.InputError, match="theta has shape"):
        descent.simulate_descent(objective, start, chosen("gd"), rng, measurements=plan)


@pytest.mark.parametrize("refused", ["loss", "gradient"])
def test_a_theta_that_the_objective_refuses_is_a_divergence(refused, rng):
    class Fenced(Bare):
        """A bowl that refuses any theta within 1/2 of its minimum."""

        def loss(self, theta):
            self.fence("loss", theta)
            return float(theta @ theta)

        def gradient(self, theta):
            self.fence("gradient", theta)
            return 2 * theta

        def fence(self, name, theta):
            if name == refused and np.linalg.norm(theta) < 0.5:
                raise checks.InputError("theta is out of bounds")

    plan = descent.Measurements(range(7))
    result = descent.simulate_descent(Fenced(), np.ones(2), chosen("gd"), rng, measurements=plan)
    # after five steps theta is 0.8^5 of the start, 0.46 in norm
    assert (result.status, result.step) == ("diverged", 5)
    assert "step 5: theta is out of bounds; the last recorded loss" in result.message


def test_the_objective_refuses_a_bad_start_itself(rng):
    with pytest.raises(checks.InputError, match="theta"):
        descent.simulate_descent(bowl(rng), np.ones(3), chosen("gd"), rng)


def test_accuracy_of_one_output(rng):
    from aniso.descent.measurements import accuracy

    model = networks.one_hidden_layer(1, 2)
    theta = np.array([1.0, 0.0, 0.0, 0.0])  # f = relu(x)
    inputs, targets = np.array([[0.2], [0.7], [0.9], [-1.0]]), np.array([0, 1, 0, 0])
    clipped = AutogradModel(model, losses.ClippedSquaredLoss(), inputs, targets)
    logistic = AutogradModel(model, losses.LogisticLoss(), inputs, targets)
    assert accuracy(clipped, theta) == 0.75  # 0.9 is above 1/2
    assert accuracy(logistic, theta) == 0.5  # 0.2 and 0.9 are above 0
    del rng


@pytest.mark.parametrize("antithetic", [True, False])
def test_expected_sharpness_of_a_quadratic(antithetic, rng):
    from aniso.descent.sharpness import expected_sharpness

    objective = bowl(rng)
    found = expected_sharpness(objective, np.zeros(4), 0.1, 2000, rng, antithetic=antithetic)
    assert_within_sampling_error(found, 0.01 * 6.6 / 2)
    with pytest.raises(AssertionError, match="sampling"):
        assert_within_sampling_error(found, 0.01 * 6.6)  # without the factor 1/2


# ---- refusals


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dynamics": "adam"}, "dynamics='adam'; expected one of: gd"),
        ({"dynamics": "sgd"}, "batch_size=None"),
        ({"dynamics": "sgd", "batch_size": 3}, "sampling=None"),
        ({"dynamics": "gld_constant"}, "standard_deviation=None"),
        ({"dynamics": "gd", "learning_rate": -1.0}, "learning_rate"),
        ({"dynamics": "gd", "refresh_interval": 0}, "refresh_interval"),
        ({"dynamics": "gd", "power_iterations": 0}, "power_iterations"),
        ({"dynamics": "gd", "covariance_source": "guess"}, "covariance_source"),
        # what is given is checked, whether or not the dynamics needs it
        ({"dynamics": "gd", "batch_size": -3}, "batch_size=-3; expected an integer with 1 <="),
        ({"dynamics": "gd", "sampling": "zzz"}, "sampling='zzz'; expected one of"),
        ({"dynamics": "gd", "standard_deviation": -4.0}, "standard_deviation=-4.0; expected"),
        ({"dynamics": "gd", "rescaled": "no"}, "rescaled='no'; expected True or False"),
        ({"dynamics": "gd", "num_steps": 2.0}, "num_steps=2.0; expected an integer"),
        ({"dynamics": "gd", "num_pairs": None}, "num_pairs=None; expected an integer"),
        ({"dynamics": "gd", "injection": None}, "injection=None; expected one of"),
        ({"dynamics": "gd", "eigenvalues": "all"}, "eigenvalues='all'; expected one of"),
        ({"dynamics": "gd", "eigen_tolerance": 1}, "eigen_tolerance=1; expected a finite number"),
        ({"dynamics": "gd", "divergence_loss": 0}, "divergence_loss=0; expected a finite number"),
    ],
)
def test_settings_are_refused(arguments, message):
    with pytest.raises(checks.InputError, match=message):
        descent.Settings(**({"learning_rate": 0.1, "num_steps": 1} | arguments))


def test_wrong_arguments_are_refused(rng):
    objective = bowl(rng)
    with pytest.raises(checks.InputError, match="settings"):
        descent.simulate_descent(objective, np.ones(4), {}, rng)
    with pytest.raises(checks.InputError, match="rng"):
        descent.simulate_descent(objective, np.ones(4), chosen("gd"), 0)
    large = chosen("sgd", batch_size=13, sampling="epochs")
    with pytest.raises(checks.InputError, match="batch_size"):
        descent.simulate_descent(objective, np.ones(4), large, rng)
    few = chosen("gld_dynamic", batch_size=7, covariance_source="batches")
    with pytest.raises(checks.InputError, match="two batches"):
        descent.simulate_descent(objective, np.ones(4), few, rng)
    with pytest.raises(checks.InputError, match="test_problem"):
        descent.Measurements((0,), ("test",))
    with pytest.raises(checks.InputError, match="quantities"):
        descent.Measurements((0,), ("beauty",))
    from aniso.descent.sharpness import expected_sharpness

    with pytest.raises(checks.InputError, match="even"):
        expected_sharpness(objective, np.ones(4), 0.1, 3, rng)


def test_settings_of_numpy_are_plain_data():
    made = chosen("gd", num_steps=np.int64(3), rescaled=np.True_, learning_rate=np.float32(0.5))
    assert json.loads(json.dumps(made.parameters()))["num_steps"] == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((2.5,),), "steps=2.5; expected an integer with 0 <= steps"),
        (((-1,),), "steps=-1; expected an integer"),
        ((5,), "steps=5; expected a sequence"),
        (((5,), "sharpness"), "quantities='sharpness'; expected a sequence"),
        (((2,), ("sharpness",), None, 0.1, 3), "num_draws=3; expected an even number"),
        (((2,), ("sharpness",), None, 0.1, 0), "num_draws=0; expected an integer with 2 <="),
        (((2,), ("sharpness",), None, -0.1), "radius=-0.1; expected a finite number"),
        (((2,), ("test",), object()), "test_problem is of type object, not a problem"),
    ],
)
def test_measurements_are_refused(arguments, message):
    with pytest.raises(checks.InputError, match=message):
        descent.Measurements(*arguments)


def test_measurements_that_the_run_cannot_serve_are_refused_before_it(rng):
    begun = []
    for plan, message in [
        (descent.Measurements((0, 5)), "go up to 5; expected steps <= num_steps=3"),
        (descent.Measurements((3,), ("accuracy",)), "has no outputs"),
    ]:
        with pytest.raises(checks.InputError, match=message):
            descent.simulate_descent(
                bowl(rng),
                np.ones(4),
                chosen("gd", num_steps=3),
                rng,
                measurements=plan,
                progress=lambda *_: begun.append(1),
            )
    assert not begun


REFRESHED = "gld_leading", "gld_hessian", "gld_first_eigenvector"


@pytest.mark.parametrize("dynamics", descent.DYNAMICS)
@pytest.mark.parametrize("preset", ["as_stated", "as_published"])
def test_every_field_of_the_presets(preset, dynamics):
    given = {"learning_rate": 0.1, "num_steps": 1, "batch_size": 3, "standard_deviation": 0.2}
    stated = {
        "dynamics": dynamics,
        "sampling": "with_replacement",
        "num_pairs": 20,
        "refresh_interval": 10 if dynamics in REFRESHED else 1,
        "rescaled": True,
        "covariance_source": "examples",
        "eigenvalues": "positive",
        "injection": "every_step",
        "power_iterations": None,
        "eigen_tolerance": 1e-2,
        "divergence_loss": 1e6,
    }
    published = {
        "sampling": "epochs",
        "covariance_source": "batches",
        "eigenvalues": "magnitude",
        "power_iterations": 30,
    }
    if dynamics == "gld_leading":
        published |= {"rescaled": False, "injection": "refresh_steps"}
    expected = given | stated | (published if preset == "as_published" else {})
    make = getattr(descent, preset)
    assert make(dynamics, **given).parameters() == expected
    own = {"sampling": "without_replacement", "refresh_interval": 7, "power_iterations": 4}
    assert make(dynamics, **given, **own).parameters() == expected | own


def test_all_presets_run_on_a_toy(rng):
    objective = two_basin_problem(0.01 * rng.standard_normal((20, 2)))
    common = {"learning_rate": 0.001, "num_steps": 3, "batch_size": 2, "num_pairs": 2}
    for preset, dynamics in itertools.product(
        (descent.as_stated, descent.as_published), descent.DYNAMICS
    ):
        more = {"standard_deviation": 0.1} if dynamics == "gld_constant" else {}
        result = descent.simulate_descent(
            objective, np.ones(2), preset(dynamics, **common, **more), rng
        )
        assert result.status == "finished"


# ---- networks on another device


@every_foreign_place
@pytest.mark.parametrize("name", ["gd", "gld_diagonal", "sgd_gaussian", "sgd"])
def test_a_run_on_another_device_is_the_run_on_the_host(place, name):
    rng = seeds.generator()
    layers = networks.Convolution(2, 3), networks.Activation("relu"), networks.MaxPooling(2)
    model = networks.Stack((*layers, networks.Flatten(), networks.Dense(3)), (1, 6, 6))
    theta = 0.3 * rng.standard_normal(model.num_parameters)
    inputs, labels = rng.standard_normal((12, 1, 6, 6)), rng.integers(0, 3, 12)
    chosen = descent.as_stated(name, learning_rate=0.05, num_steps=3, batch_size=4)
    plan = {"steps": (0, 3), "quantities": ("accuracy", "test", "gradient_norm", "noise")}
    results = []
    for where in (places.NUMPY, place):
        network = networks.Network(
            model,
            losses.SoftmaxCrossEntropy(),
            inputs,
            labels,
            device=None if where.is_numpy else where,
        )
        measured = descent.Measurements(**plan, test_problem=network)
        results.append(
            descent.simulate_descent(
                network, theta, chosen, seeds.generator(7), measurements=measured
            )
        )
    host, device = results
    # the same draws; sums in another order
    np.testing.assert_allclose(device.theta, host.theta, rtol=0, atol=1e-10)
    assert device.records.keys() == host.records.keys()
    for quantity, values in host.records.items():
        np.testing.assert_allclose(device.records[quantity], values, rtol=1e-8, err_msg=quantity)


@every_foreign_place
def test_expected_sharpness_of_a_network_elsewhere_is_that_on_the_host(place):
    from aniso.descent.sharpness import expected_sharpness

    data = seeds.generator()
    model = networks.Stack(
        (networks.Dense(3), networks.Activation("tanh"), networks.Dense(1)), (2,)
    )
    inputs, targets = data.standard_normal((6, 2)), data.standard_normal((6, 1))
    theta = model.initial_parameters(data)

    def sharpness(where, theta):
        own = (transfer.to_device(array, where) for array in (inputs, targets))
        network = networks.Network(model, losses.SquaredLoss(), *own)
        return expected_sharpness(network, theta, 0.1, 20, seeds.generator(3)).value

    expected = sharpness(places.NUMPY, theta)
    # the same draws, and sums in another order
    assert sharpness(place, theta) == pytest.approx(expected, rel=1e-10, abs=1e-14)
    assert sharpness(place, transfer.to_device(theta, place)) == sharpness(place, theta)
