"""Steps of SGD that a network takes together: the bits of single steps, whatever ends them."""

import numpy as np
import pytest
from descent_cases import Bare

from aniso import descent, networks
from aniso.checks import InputError
from aniso.descent.batches import BatchSampler
from aniso.descent.step_blocks import StepBlocks
from aniso.networks.plans.kernels import COMPILED
from aniso.problems import losses
from aniso.runs.run_directory import RunDirectory

COUNT, NUM_STEPS = 40, 70
GENERATORS = (np.random.PCG64, np.random.MT19937, np.random.Philox, np.random.SFC64)

only_compiled = pytest.mark.skipif(not COMPILED, reason="without kernels there are no blocks")


def hidden(rng, dtype="float64"):
    """Inputs in double precision, whatever the network's; labels."""
    inputs, labels = rng.standard_normal((COUNT, 2)), rng.integers(3, size=COUNT)
    model = networks.multilayer_perceptron((2, 7, 3), "tanh")
    return networks.Network(model, losses.SoftmaxCrossEntropy(), inputs, labels, dtype=dtype)


def clipped(rng, dtype="float64"):
    """A fixed last layer, a clipped loss, targets of one number."""
    inputs = rng.standard_normal((COUNT, 2)).astype(dtype)
    model = networks.one_hidden_layer(2, 6)
    return networks.Network(
        model, losses.ClippedSquaredLoss(), inputs, rng.integers(2, size=COUNT), dtype=dtype
    )


def dense(rng, dtype="float64"):
    """Images, two hidden layers and several outputs as targets."""
    inputs, targets = rng.standard_normal((COUNT, 1, 4, 5)), rng.standard_normal((COUNT, 2))
    model = networks.Stack(
        (
            *(networks.Flatten(), networks.Dense(17), networks.Activation("relu")),
            *(networks.Dense(9), networks.Activation("silu"), networks.Dense(2)),
        ),
        (1, 4, 5),
    )
    return networks.Network(model, losses.SquaredLoss(), inputs, targets, dtype=dtype)


def ran(network, theta, *, one_by_one=False, seed=0, run=None, generator=np.random.PCG64, **own):
    """Result and generator of a run; progress is reported after every step, so one by one."""
    rng = np.random.Generator(generator(seed))
    chosen = {"learning_rate": 0.1, "num_steps": NUM_STEPS, "batch_size": 3} | own
    result = descent.simulate_descent(
        network,
        theta,
        descent.as_stated("sgd", **chosen),
        rng,
        measurements=descent.Measurements((5, 6, 40)),
        run=run,
        progress=(lambda *_: None) if one_by_one else None,
    )
    return result, rng


def assert_same(found, expected):
    """Refuse another result, or a generator in another state."""
    (result, rng), (other, other_rng) = found, expected
    assert (result.status, result.step, result.message) == (other.status, other.step, other.message)
    assert result.theta.tobytes() == other.theta.tobytes()
    assert result.records.keys() == other.records.keys()
    for name, record in result.records.items():
        np.testing.assert_array_equal(record, other.records[name])
    assert rng.random() == other_rng.random()


@pytest.fixture
def taken(monkeypatch):
    """Numbers of steps of the blocks of all runs in the test."""
    found, original = [], networks.Network.sgd_steps

    def counted(self, *arguments):
        theta, count = original(self, *arguments)
        found.append(count)
        return theta, count

    monkeypatch.setattr(networks.Network, "sgd_steps", counted)
    return found


@only_compiled
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("make", [hidden, clipped, dense])
def test_blocks_have_the_bits_of_single_steps(make, dtype, rng, taken):
    network = make(rng, dtype)
    theta = 0.3 * rng.standard_normal(network.num_parameters)
    expected = ran(network, theta, one_by_one=True)
    assert taken == []
    assert_same(ran(network, theta), expected)
    # all but the steps that are recorded, and a single one between two records; the time decides
    # how the steps between records are shared out, and a single one may be left each time
    assert NUM_STEPS - 6 <= sum(taken) <= NUM_STEPS - 3
    # the comparison sees another order of the batches
    with pytest.raises(AssertionError):
        assert_same(ran(network, theta, seed=1), expected)


@only_compiled
@pytest.mark.parametrize("sampling", ["without_replacement", "epochs", "cyclic"])
def test_blocks_keep_every_sampling_and_a_schedule(sampling, rng):
    network = clipped(rng)
    theta = rng.standard_normal(network.num_parameters)
    own = {"sampling": sampling, "schedule": descent.schedules.Steps((20, 30), 0.5)}
    assert_same(ran(network, theta, **own), ran(network, theta, one_by_one=True, **own))


@pytest.mark.parametrize("generator", GENERATORS)
@pytest.mark.parametrize("size", [1, 3, 20])
def test_several_batches_are_those_of_single_draws(generator, size):
    for sampling in ("with_replacement", "epochs"):
        together, single = (BatchSampler(1200, size, sampling) for _ in range(2))
        first, second = (np.random.Generator(generator(3)) for _ in range(2))
        found = together.draw_several(first, 7)
        np.testing.assert_array_equal(found, [single.draw(second) for _ in range(7)])
        assert first.random() == second.random()


@only_compiled
@pytest.mark.parametrize("make", [hidden, dense])
def test_a_run_that_diverges_within_a_block_ends_as_single_steps_do(make, rng):
    network = make(rng)
    theta, own = rng.standard_normal(network.num_parameters), {"learning_rate": 1e160}
    expected = ran(network, theta, one_by_one=True, **own)
    assert expected[0].status == "diverged"
    assert_same(ran(network, theta, **own), expected)


@only_compiled
def test_a_resumed_run_has_the_bits_of_one_run(rng, tmp_path):
    network = clipped(rng)
    theta = rng.standard_normal(network.num_parameters)
    with RunDirectory(tmp_path / "run", {}, seed=0) as run:
        ran(network, theta, run=run, num_steps=45)
    with RunDirectory(tmp_path / "run", {}, seed=0) as run:
        found, _ = ran(network, theta, run=run)
    assert found.theta.tobytes() == ran(network, theta, one_by_one=True)[0].theta.tobytes()


@only_compiled
def test_a_refresh_interval_makes_no_block_of_sgd_longer(rng, tmp_path, monkeypatch):
    network = clipped(rng)
    theta = rng.standard_normal(network.num_parameters)
    looks = []
    monkeypatch.setattr(RunDirectory, "attend", lambda _, step, __: looks.append(step))
    for number, interval in enumerate((1, 10_000)):
        with RunDirectory(tmp_path / str(number), {}, seed=0) as run:
            ran(network, theta, run=run, refresh_interval=interval)
        assert len(looks) > 1, interval
        looks.clear()


@only_compiled
def test_momentum_decay_and_other_problems_go_step_by_step(rng, taken):
    network = clipped(rng)
    theta = rng.standard_normal(network.num_parameters)
    ran(network, theta, update=descent.HeavyBall(0.5))
    ran(network, theta, decay=descent.CoupledDecay(0.5))
    assert taken == []

    class Twice(networks.Network):
        def gradient(self, theta, *, out=None):
            return 2 * super().gradient(theta, out=out)

    own = Twice(network.model, network.output_loss, network.inputs, network.targets)
    assert_same(ran(own, theta), ran(own, theta, one_by_one=True))
    assert set(taken) == {0}
    bare, start = Bare(), np.ones(2)
    batches = np.zeros((4, 3), int)
    assert bare.sgd_steps(start, batches, np.ones(4)) == (start, 0)


def test_bad_arguments_are_refused(rng):
    network, batches, rates = clipped(rng), np.zeros((4, 3), int), np.ones(4)
    theta = rng.standard_normal(network.num_parameters)
    for wrong, message in [
        ((theta[1:], batches, rates), "theta"),
        ((theta, batches[0], rates), "batches has shape"),
        ((theta, batches + COUNT, rates), "indices has the entry 40"),
        ((theta, batches, rates[1:]), "learning_rates"),
        ((theta, batches, rates * np.nan), "learning_rates"),
    ]:
        with pytest.raises(InputError, match=message):
            network.sgd_steps(*wrong)
    start = theta.copy()
    network.sgd_steps(theta, batches, rates)
    np.testing.assert_array_equal(theta, start)


def test_a_block_never_passes_a_record_or_the_end(rng):
    made = descent.as_stated("sgd", learning_rate=0.1, num_steps=50, batch_size=3)
    blocks = StepBlocks(clipped(rng), made, {7, 30})
    blocks._size = 1000
    assert [blocks._count(step, 1) for step in (0, 7, 8, 30, 31, 49)] == [7, 0, 22, 0, 19, 1]
    assert [blocks._count(step, 10) for step in (0, 8, 11, 31, 45)] == [7, 22, 19, 19, 5]
