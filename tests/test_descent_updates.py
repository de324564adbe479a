"""Momentum, Adam, weight decay and schedules in the loop of descent, against loops by hand."""

import math

import numpy as np
import pytest
import seeds
from descent_cases import HESSIAN, NUM_EXAMPLES, Bare, bowl, chosen, network

from aniso import checks, descent
from aniso.descent import batches, loop, schedules
from aniso.runs import run_directory

RATE, NUM_STEPS, START = 0.1, 12, np.array([1.0, -2.0, 0.5, 3.0])
UPDATES = {
    "momentum": {"update": descent.HeavyBall(0.9)},
    "nesterov": {"update": descent.HeavyBall(0.7, nesterov=True)},
    "momentum, L2": {"update": descent.HeavyBall(0.9), "decay": descent.CoupledDecay(0.3)},
    "plain, L2": {"decay": descent.CoupledDecay(0.3)},
    "plain, decoupled": {"decay": descent.DecoupledDecay(0.3)},
    "adam": {"update": descent.Adam()},
    "adam, L2": {"update": descent.Adam((0.8, 0.99), 1e-3), "decay": descent.CoupledDecay(0.3)},
    "adamw": {"update": descent.Adam((0.8, 0.99)), "decay": descent.DecoupledDecay(0.3)},
}


def by_hand(name, rates, theta):
    """The iterate after len(rates) steps on the diagonal bowl, one coordinate after the other."""
    end = []
    for curvature, x in zip(np.diag(HESSIAN).tolist(), theta.tolist(), strict=True):
        m = v = 0.0
        for t, rate in enumerate(rates, start=1):
            g = curvature * x
            if name.endswith("L2"):
                g += 0.3 * x
            if name in ("adamw", "plain, decoupled"):
                x -= rate * 0.3 * x
            if name.startswith("momentum"):
                m = 0.9 * m + g
                x -= rate * m
            elif name == "nesterov":
                m = 0.7 * m + g
                x -= rate * (g + 0.7 * m)
            elif name.startswith("plain"):
                x -= rate * g
            else:
                b, c, floor = {
                    "adam": (0.9, 0.999, 1e-8),
                    "adam, L2": (0.8, 0.99, 1e-3),
                    "adamw": (0.8, 0.99, 1e-8),
                }[name]
                m, v = b * m + (1 - b) * g, c * v + (1 - c) * g * g
                x -= rate * (m / (1 - b**t)) / (math.sqrt(v / (1 - c**t)) + floor)
        end.append(x)
    return np.array(end)


def end_of(objective, **changes):
    made = chosen("gd", num_steps=NUM_STEPS, learning_rate=RATE, **changes)
    return descent.simulate_descent(objective, START, made, seeds.generator(1)).theta


@pytest.mark.parametrize("name", UPDATES)
def test_an_update_is_the_loop_by_hand(name, rng):
    found = end_of(bowl(rng), **UPDATES[name])
    # a dozen operations a step; errors are carried along 12 steps
    expected = by_hand(name, [RATE] * NUM_STEPS, START)
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-13)


def test_other_conventions_are_seen(rng):
    objective = bowl(rng)
    expected = by_hand("momentum", [RATE] * NUM_STEPS, START)
    damped = end_of(objective, update=descent.HeavyBall(0.9), schedule=schedules.Steps((1,), 0.1))
    assert np.abs(damped - expected).max() > 1e-3
    adamw = by_hand("adamw", [RATE] * NUM_STEPS, START)
    coupled = end_of(objective, update=descent.Adam((0.8, 0.99)), decay=descent.CoupledDecay(0.3))
    assert np.abs(coupled - adamw).max() > 1e-3


SCHEDULES = {
    "steps": (schedules.Steps((3, 5), 0.5), lambda t: 0.5 ** ((t >= 3) + (t >= 5))),
    "cosine": (
        schedules.Cosine(8, 0.25),
        lambda t: 0.25 + 0.375 * (1 + math.cos(math.pi * min(t, 8) / 8)),
    ),
    "warm-up": (schedules.WarmUp(4), lambda t: min((t + 1) / 4, 1.0)),
    "warm-up, then steps": (
        schedules.WarmUp(4, schedules.Steps((2,), 0.1)),
        lambda t: min((t + 1) / 4, 1.0) * (0.1 if t >= 6 else 1.0),
    ),
    "function": (schedules.tabulated(lambda t: 1 / (1 + t), NUM_STEPS), lambda t: 1 / (1 + t)),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_multiplies_the_learning_rate(name, rng):
    schedule, factor = SCHEDULES[name]
    rates = [RATE * factor(t) for t in range(NUM_STEPS)]
    found = end_of(bowl(rng), schedule=schedule, **UPDATES["momentum"])
    np.testing.assert_allclose(found, by_hand("momentum", rates, START), rtol=1e-11, atol=1e-13)
    late = [RATE * factor(t + 1) for t in range(NUM_STEPS)]
    assert np.abs(found - by_hand("momentum", late, START)).max() > 1e-4


# ---- the same as PyTorch


def by_torch(torch, make, schedule=None):
    """Iterate after the steps of an optimiser of PyTorch, on the same bowl in double precision."""
    theta = torch.tensor(START, requires_grad=True)
    hessian = torch.tensor(HESSIAN)
    optimiser = make(torch.optim, [theta])
    scheduler = schedule and schedule(torch.optim.lr_scheduler, optimiser)
    for _ in range(NUM_STEPS):
        optimiser.zero_grad()
        (theta @ hessian @ theta / 2).backward()
        optimiser.step()
        if scheduler:
            scheduler.step()
    return theta.detach().numpy()


OPTIMISERS = {
    "momentum": lambda o, p: o.SGD(p, RATE, momentum=0.9),
    "nesterov": lambda o, p: o.SGD(p, RATE, momentum=0.7, nesterov=True),
    "momentum, L2": lambda o, p: o.SGD(p, RATE, momentum=0.9, weight_decay=0.3),
    "adam": lambda o, p: o.Adam(p, RATE),
    "adam, L2": lambda o, p: o.Adam(p, RATE, (0.8, 0.99), 1e-3, weight_decay=0.3),
    "adamw": lambda o, p: o.AdamW(p, RATE, (0.8, 0.99), weight_decay=0.3),
}


@pytest.mark.parametrize("name", OPTIMISERS)
def test_an_update_is_that_of_pytorch(name, rng):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    expected = by_torch(torch, OPTIMISERS[name])
    found = end_of(bowl(rng), **UPDATES[name])
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("schedule", "peer"),
    [
        (schedules.Steps((3, 5), 0.5), lambda s, o: s.MultiStepLR(o, [3, 5], 0.5)),
        (schedules.Cosine(NUM_STEPS), lambda s, o: s.CosineAnnealingLR(o, NUM_STEPS)),
        (schedules.WarmUp(4), lambda s, o: s.LinearLR(o, 0.25, total_iters=3)),
    ],
    ids=["steps", "cosine", "warm-up"],
)
def test_a_schedule_is_that_of_pytorch(schedule, peer, rng):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    expected = by_torch(torch, OPTIMISERS["momentum"], peer)
    found = end_of(bowl(rng), schedule=schedule, **UPDATES["momentum"])
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


# ---- noise, interruptions, identity


def test_momentum_takes_part_in_the_noise_of_batches(rng):
    objective, start = bowl(rng), np.ones(4)
    made = chosen("sgd", update=descent.HeavyBall(0.9), decay=descent.CoupledDecay(0.1))
    found = descent.simulate_descent(objective, start, made, seeds.generator(3)).theta
    draws, theta, memory = seeds.generator(3), start, np.zeros(4)
    rows = objective.inputs
    for _ in range(made.num_steps):
        batch = draws.integers(NUM_EXAMPLES, size=3)
        memory = 0.9 * memory + HESSIAN @ theta - rows[batch].mean(axis=0) + 0.1 * theta
        theta = theta - 0.1 * memory
    np.testing.assert_allclose(found, theta, rtol=1e-11, atol=1e-12)


class Killed(Exception):
    """Ends a run without a last checkpoint, as a kill would."""


@pytest.mark.parametrize("dynamics", ["gd", "gld_diagonal", "sgd"])
@pytest.mark.parametrize("name", ["nesterov", "momentum, L2", "adamw"])
def test_a_killed_run_is_resumed_to_the_same_bits(dynamics, name, rng, tmp_path, monkeypatch):
    objective = network(rng)
    start = rng.standard_normal(objective.num_parameters)
    made = chosen(
        dynamics,
        num_steps=11,
        sampling="cyclic",
        batch_size=5,
        schedule=schedules.WarmUp(3, schedules.Cosine(6)),
        **UPDATES[name],
    )
    stop_at = int(rng.integers(2, 11))

    def simulate(run=None, progress=None):
        return descent.simulate_descent(
            objective, start, made, seeds.generator(8), run=run, progress=progress
        )

    def stop(step, _):
        # the last two steps are lost: no checkpoint is written for them
        monkeypatch.setattr(loop, "SECONDS_BETWEEN_CHECKPOINTS", 0.0 if step < 3 else 1e9)
        if step == stop_at:
            raise Killed

    monkeypatch.setattr(loop, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    with (
        run_directory.RunDirectory(tmp_path, made.parameters(), seed=8) as run,
        pytest.raises(Killed),
    ):
        simulate(run, stop)
    with run_directory.RunDirectory(tmp_path, made.parameters(), seed=8) as run:
        assert 0 < run.latest_checkpoint().step < stop_at
        resumed = simulate(run)
    assert np.array_equal(resumed.theta, simulate().theta)


def in_directory(folder, objective, **changes):
    with run_directory.RunDirectory(folder, {}, seed=8) as run:
        made = chosen("gd", **changes)
        return descent.simulate_descent(objective, START, made, seeds.generator(8), run=run)


def test_a_run_is_known_by_its_update_decay_and_schedule(rng, tmp_path):
    objective = bowl(rng)
    given = {**UPDATES["momentum, L2"], "schedule": schedules.tabulated(lambda t: 1 / (t + 1), 9)}
    in_directory(tmp_path, objective, **given)
    in_directory(tmp_path, objective, **given)
    for other, message in [
        ({"update": descent.HeavyBall(0.8)}, r"update\.momentum: stored 0\.9, asked for 0\.8"),
        ({"update": descent.Adam()}, r"update\.kind: stored 'HeavyBall', asked for 'Adam'"),
        ({"update": None}, r"update\.kind: stored 'HeavyBall', not asked for"),
        ({"decay": descent.DecoupledDecay(0.3)}, r"decay\.kind: stored 'CoupledDecay'"),
        ({"schedule": schedules.tabulated(lambda t: 2 / (t + 1), 9)}, r"schedule\.sha256"),
        ({"schedule": schedules.Cosine(9)}, r"schedule\.kind: stored 'Tabulated'"),
    ]:
        with pytest.raises(checks.InputError, match=message):
            in_directory(tmp_path, objective, **(given | other))
    assert in_directory(tmp_path, objective, **given, num_steps=9).step == 9


def test_settings_without_the_new_parts_are_identified_as_before():
    assert not {"update", "decay", "schedule"} & set(chosen("gd").parameters())


@pytest.mark.parametrize("size", [2, 3, 7])
def test_cyclic_batches_go_round_one_order(size, rng):
    sampler = batches.BatchSampler(7, size, "cyclic")
    drawn = np.concatenate([sampler.draw(rng) for _ in range(7)])
    assert len(set(drawn[:7].tolist())) == 7
    assert np.array_equal(drawn, np.tile(drawn[:7], size))
    again = batches.BatchSampler(7, size, "cyclic")
    others = np.array([again.draw(rng) for _ in range(7)]).ravel()[:7]
    assert sorted(others.tolist()) == list(range(7))


# ---- divergence and refusals


class Steep(Bare):
    def gradient(self, theta):
        return np.full_like(theta, 1e200)


def test_a_square_beyond_the_largest_number_is_a_divergence(rng):
    made = chosen("gd", update=descent.Adam())
    result = descent.simulate_descent(Steep(), np.ones(4), made, rng)
    assert (result.status, result.step) == ("diverged", 0)
    assert "square is not finite after step 1" in result.message


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: chosen("gd", update="adam"), "update='adam'; expected None, descent.HeavyBall"),
        (lambda: chosen("gd", update=0.9), "update=0.9; expected None"),
        (lambda: chosen("gd", decay=1e-4), "decay=0.0001; expected None, descent.CoupledDecay"),
        (lambda: chosen("gd", schedule=math.exp), "schedules.tabulated"),
        (lambda: descent.HeavyBall(1.0), "momentum=1.0; expected"),
        (lambda: descent.HeavyBall(0.9, nesterov=1), "nesterov=1; expected True or False"),
        (lambda: descent.Adam((0.9, 1.0)), "decay_rates=1.0"),
        (lambda: descent.Adam(0.9), "decay_rates=0.9; expected two numbers"),
        (lambda: descent.CoupledDecay(-1.0), "rate=-1.0"),
        (lambda: schedules.Steps((5, 3)), r"steps=\(5, 3\); expected increasing"),
        (lambda: schedules.Steps(5), "steps=5; expected a sequence"),
        (lambda: schedules.Steps((2,), 0.0), "factor_at_step=0.0"),
        (lambda: schedules.Cosine(0), "num_steps=0"),
        (lambda: schedules.Cosine(3, 2.0), "last=2.0"),
        (lambda: schedules.WarmUp(3, 0.5), "then=0.5; expected one of"),
        (lambda: schedules.Tabulated((1.0, -1.0)), "none of them negative"),
        (lambda: schedules.Tabulated((math.nan,)), "factors has a non-finite entry"),
        (
            lambda: chosen(
                "gd", num_steps=5, schedule=schedules.WarmUp(2, schedules.Tabulated((1,)))
            ),
            "num_steps=3; the schedule has a factor for 1 steps",
        ),
    ],
)
def test_wrong_parts_of_settings_are_refused(make, message):
    with pytest.raises(checks.InputError, match=message):
        make()
