"""Interrupted, extended and diverging runs."""

import numpy as np
import pytest
import seeds
from descent_cases import bowl, chosen, network

from aniso import checks, descent
from aniso.descent import (
    generator_states,
    hessian_pairs,
    loop,
)
from aniso.problems.quadratic import quadratic_problem
from aniso.runs import run_directory

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
    monkeypatch.setattr(hessian_pairs, "_DENSE_REFRESH_DIMENSION", 2)
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


@pytest.mark.parametrize(
    ("dynamics", "expected"),
    [("gd", 5), ("sgd", 5), ("gld_constant", 5), ("gld_dynamic", 7), ("gld_hessian", 7)],
)
def test_only_a_kept_covariance_makes_a_request_wait(
    dynamics, expected, rng, tmp_path, monkeypatch
):
    monkeypatch.setattr(run_directory.RunDirectory, "attend", lambda _, step, __: step >= 5)
    objective, made = bowl(rng), chosen(dynamics, num_steps=30, refresh_interval=7)
    with (
        run_directory.RunDirectory(tmp_path, {}, seed=8) as run,
        pytest.raises(KeyboardInterrupt),
    ):
        descent.simulate_descent(objective, np.ones(4), made, seeds.generator(8), run=run)
    monkeypatch.undo()
    with run_directory.RunDirectory(tmp_path, {}, seed=8) as run:
        assert run.latest_checkpoint().step == expected
        resumed = descent.simulate_descent(objective, np.ones(4), made, seeds.generator(8), run=run)
    whole = descent.simulate_descent(objective, np.ones(4), made, seeds.generator(8))
    assert np.array_equal(resumed.theta, whole.theta)


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
    other = np.random.Generator(bits(4))
    generator_states.set_state(other, text)
    assert np.array_equal(other.random(4), rng.random(4))


@pytest.mark.parametrize("stop_at", [5, None])
@pytest.mark.parametrize("bits", [np.random.PCG64, np.random.MT19937])
def test_the_callers_generator_goes_on_as_after_an_uninterrupted_run(
    bits, stop_at, rng, tmp_path, monkeypatch
):
    monkeypatch.setattr(loop, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    objective, made, seed = bowl(rng), chosen("sgd", num_steps=9), int(rng.integers(2**31))

    def simulate(own, **more):
        return descent.simulate_descent(objective, np.ones(4), made, own, **more)

    whole, resumed = (np.random.Generator(bits(seed)) for _ in range(2))
    simulate(whole)
    first = np.random.Generator(bits(seed))
    if stop_at is None:
        with run_directory.RunDirectory(tmp_path, {}, seed=8) as run:
            simulate(first, run=run)
    else:
        run_until(stop_at, tmp_path, lambda **more: simulate(first, **more))
    with run_directory.RunDirectory(tmp_path, {}, seed=8) as run:
        simulate(resumed, run=run)
    assert np.array_equal(resumed.random(4), whole.random(4))
    assert np.array_equal(resumed.spawn(1)[0].random(4), whole.spawn(1)[0].random(4))
    with (
        run_directory.RunDirectory(tmp_path, {}, seed=8) as run,
        pytest.raises(checks.InputError, match="rng has the bit generator Philox, the checkpoint"),
    ):
        simulate(np.random.Generator(np.random.Philox(seed)), run=run)


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
