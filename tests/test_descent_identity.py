"""A run of descent is resumed only from its own start, with its own loss and its own data."""

import types

import autograd.numpy as anp
import numpy as np
import pytest
import seeds

from aniso import checks, descent, networks
from aniso.descent import start_witness
from aniso.problems import losses
from aniso.problems.autograd_problem import AutogradProblem
from aniso.runs import run_directory

SETTINGS = descent.Settings("gd", learning_rate=0.1, num_steps=3)
library = types.SimpleNamespace(rate=1.0)


def loss(theta, inputs, _targets):
    """A loss that reaches a number outside."""
    return library.rate * anp.sum((theta - inputs) ** 2, axis=1)


def run_in(folder, objective, start, **options):
    with run_directory.RunDirectory(folder, {}, seed=1) as run:
        return descent.simulate_descent(
            objective, start, SETTINGS, seeds.generator(1), run=run, **options
        )


def softmax_regression(inputs, targets, dtype=np.float64):
    stack = networks.Stack((networks.Dense(3),), (2,))
    return networks.Network(stack, losses.SoftmaxCrossEntropy(), inputs, targets, dtype=dtype)


def test_another_loss_or_start_is_refused(rng, tmp_path, monkeypatch):
    inputs, start = rng.standard_normal((5, 2)), rng.standard_normal(2)
    objective = AutogradProblem(loss, inputs, np.zeros(5))
    first = run_in(tmp_path, objective, start)
    np.testing.assert_array_equal(run_in(tmp_path, objective, start).theta, first.theta)
    moved = start + np.array([0.0, 1e-9])
    with pytest.raises(checks.InputError, match="hash of the theta of the start"):
        run_in(tmp_path, objective, moved)
    with pytest.raises(checks.InputError, match="number of examples of the start"):
        run_in(tmp_path, AutogradProblem(loss, inputs[:4], np.zeros(4)), start)
    monkeypatch.setattr(library, "rate", 1.001)
    with pytest.raises(checks.InputError, match="loss or gradient at the start"):
        run_in(tmp_path, objective, start)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_other_data_are_refused_even_where_the_loss_is_the_same(rng, tmp_path, dtype):
    # at zero weights the loss of every data set is log 3, and with as many examples of each
    # class a shift of the inputs leaves the gradient too
    inputs, start = rng.standard_normal((6, 2)), np.zeros(9)
    targets = np.array([0, 1, 2, 0, 1, 2])
    own = softmax_regression(inputs, targets, dtype)
    run_in(tmp_path, own, start)
    run_in(tmp_path, own, start)
    for other in (
        softmax_regression(inputs, targets[[1, 0, 2, 3, 4, 5]], dtype),
        softmax_regression(inputs + 0.1, targets, dtype),
    ):
        with pytest.raises(checks.InputError, match="loss or gradient at the start"):
            run_in(tmp_path, other, start)


def test_rounding_is_no_other_objective(rng):
    # another order of summation, at a minimum, where the gradient is all rounding
    inputs = rng.standard_normal((200, 2)).astype(np.float32)
    targets, order = rng.integers(3, size=200), rng.permutation(200)
    own = softmax_regression(inputs, targets, np.float32)
    found = descent.simulate_descent(own, np.zeros(9), descent.Settings("gd", 0.5, 2000), rng).theta
    other = softmax_regression(inputs[order], targets[order], np.float32)
    first, second = (start_witness.witness(objective, found) for objective in (own, other))
    assert start_witness.differences(first, second) == []


def test_other_test_data_are_refused(rng, tmp_path):
    inputs, targets = rng.standard_normal((6, 2)), np.array([0, 1, 2, 0, 1, 2])
    own, start = softmax_regression(inputs, targets), rng.standard_normal(9)

    def simulate(held_out):
        plan = descent.Measurements((0, 3), ("test",), test_problem=held_out)
        return run_in(tmp_path, own, start, measurements=plan)

    simulate(softmax_regression(inputs + 1.0, targets))
    simulate(softmax_regression(inputs + 1.0, targets))
    with pytest.raises(checks.InputError, match="test_problem: loss or gradient"):
        simulate(softmax_regression(inputs + 2.0, targets))


def test_other_groups_or_another_origin_are_refused(rng, tmp_path):
    inputs, targets = rng.standard_normal((6, 2)), np.array([0, 1, 2, 0, 1, 2])
    own, start = softmax_regression(inputs, targets), rng.standard_normal(9)

    def simulate(shift, origin):
        groups = {"all": softmax_regression(inputs + shift, targets)}
        plan = descent.Measurements((0, 3), ("groups", "distance"), groups=groups, origin=origin)
        return run_in(tmp_path, own, start, measurements=plan)

    simulate(1.0, start)
    simulate(1.0, start)
    with pytest.raises(checks.InputError, match="group all: loss or gradient"):
        simulate(2.0, start)
    with pytest.raises(checks.InputError, match="origin"):
        simulate(1.0, start + 1.0)


def test_a_start_from_which_the_run_diverges_at_once_is_known_again(tmp_path):
    def steep(theta, inputs, _targets):
        return anp.exp(theta[0] * inputs[:, 0])

    objective, start = AutogradProblem(steep, np.ones((2, 1)), np.zeros(2)), np.array([1000.0])

    def attempt():
        try:
            return run_in(tmp_path, objective, start).status
        except checks.InputError as error:
            return str(error)

    assert attempt() == attempt()
