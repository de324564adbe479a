"""AutogradProblem on functions that broadcast and functions that do not, and what it refuses."""

import autograd.numpy as anp
import numpy as np
import pytest
import seeds
from autograd import grad
from autograd import hessian as autograd_hessian
from autograd_cases import SIZE, draw, matrix_loss
from tolerances import assert_equal_up_to_rounding

from aniso.problems import _broadcasting, _plans
from aniso.problems.autograd_problem import AutogradProblem


def broadcasting_loss(theta, x, y):
    inner = anp.sum(x * theta[..., None, :], axis=-1)
    return anp.log(1 + anp.exp(inner)) - y * inner


def indexed_loss(theta, x, y):
    inner = sum(theta[j] * x[:, j] for j in range(SIZE))
    return anp.log(1 + anp.exp(inner)) - y * inner


def looping_loss(theta, x, y):
    inner = anp.array([anp.dot(row, theta) for row in x])
    return anp.log(1 + anp.exp(inner)) - y * inner


LOSSES = [broadcasting_loss, matrix_loss, indexed_loss, looping_loss]
every_loss = pytest.mark.parametrize("loss", LOSSES)


def equal(actual, expected):
    # sums of at most ten terms of size one, each a handful of operations
    assert_equal_up_to_rounding(actual, expected, num_terms=50, scale=10.0)


@every_loss
def test_derivatives_equal_example_by_example_differentiation(loss, rng):
    objective, theta = draw(loss, rng)

    def single(point, i):
        return loss(point, objective.inputs[i : i + 1], objective.targets[i : i + 1])[0]

    examples = range(objective.num_examples)
    rows = np.stack([grad(single)(theta, i) for i in examples])
    hessian = sum(autograd_hessian(single)(theta, i) for i in examples) / len(examples)
    equal(objective.losses(theta), np.array([single(theta, i) for i in examples]))
    equal(objective.per_example_gradients(theta), rows)
    equal(objective.gradient(theta), rows.mean(axis=0))
    equal(objective.hessian(theta), hessian)
    vectors = rng.standard_normal((SIZE, 3))
    equal(objective.hessian_product(theta, vectors), hessian @ vectors)
    equal(objective.hessian_product(theta, vectors[:, 1]), hessian @ vectors[:, 1])
    assert objective.hessian_product(theta, np.ones((SIZE, 1))).shape == (SIZE, 1)
    assert objective.hessian_product(theta, np.ones((SIZE, 0))).shape == (SIZE, 0)
    equal(objective.subset([4, 0]).losses(theta), objective.losses(theta)[[4, 0]])
    objective.check(theta, rng).raise_if_wrong()


def test_blocks_by_name_stay_with_a_subset(rng):
    blocks = {"first": slice(0, 1), "rest": slice(1, 3)}
    loss = lambda theta, x, y: (anp.dot(x, theta) - y) ** 2  # noqa: E731
    problem = AutogradProblem(loss, rng.normal(size=(9, 3)), np.ones(9), blocks=blocks)
    blocks.clear()
    for one in (problem, problem.subset([1, 2, 5])):
        table = one.at(np.ones(3)).by_block()
        assert table.names == ("first", "rest")
        assert table.sizes.tolist() == [1, 2]


def test_the_plan_says_who_broadcasts(rng):
    rows_and_products = [("broadcast", "broadcast"), ("trace", "loop"), ("trace", "loop")]
    for loss, methods in zip(LOSSES, [*rows_and_products, ("loop", "loop")], strict=True):
        objective, theta = draw(loss, rng)
        plans = objective.plan(theta, 2)
        rows, products = plans["per_example_gradients"], plans["hessian_product"]
        assert (rows.method, products.method) == methods
        assert rows.num_passes == (9 if rows.method == "loop" else 1)
        assert products.num_passes == (2 if products.method == "loop" else 1)
    assert "one pass" in str(draw(broadcasting_loss, rng)[0].plan(theta)["per_example_gradients"])
    assert "loop of 9 backward passes" in str(plans["per_example_gradients"])


@pytest.mark.parametrize(
    ("limit", "value"),
    [
        ("ROW_PASS_ENTRIES", 12),
        ("TRACE_PASS_ENTRIES", 12),
        ("BLOCK_PASS_ENTRIES", 80),
        ("BLOCK_COLUMN_ENTRIES", 1),
    ],
)
def test_results_do_not_depend_on_the_passes(limit, value, rng, monkeypatch):
    objective, theta = draw(
        matrix_loss if limit == "TRACE_PASS_ENTRIES" else broadcasting_loss, rng
    )
    names = ("per_example_gradients", "hessian")
    before = [getattr(objective, name)(theta) for name in names]
    monkeypatch.setattr(_plans, limit, value)
    assert max(plan.num_passes for plan in objective.plan(theta).values()) > 1
    for name, expected in zip(names, before, strict=True):
        equal(getattr(objective, name)(theta), expected)


def test_a_plan_of_many_passes_says_how_many_at_a_time():
    plan = _plans.plan_rows(1000, 2**10, 2**10, True)
    assert str(plan).startswith("per_example_gradients: 8 passes of 125 at a time")
    assert _plans.plan_rows(10, 2**17, 2**17, True).method == "loop"
    large = _plans.plan_rows(10, 2**17, 2**17, True, lambda: True)
    assert (large.method, large.num_passes, large.chunk) == ("trace", 5, 2)
    assert "too large" in _plans.plan_products(10, 2**12, 2**12, True).reason


def stochastic_probe(theta, x, y):
    return (anp.sum(x * theta[..., None, :], axis=-1) - y) ** 2 * seeds.generator().random()


def ignores_theta(theta, x, y):  # noqa: ARG001
    return 0.0 * x[..., 0] + y


def same_for_every_theta(theta, x, y):
    inner = anp.sum(x * anp.reshape(theta, (-1,))[-SIZE:], axis=-1)
    return (inner - y) ** 2


def prints_nothing_but_fails(theta, x, y):
    if theta.ndim > 1:
        raise RuntimeError("not made for this")
    return (anp.dot(x, theta) - y) ** 2


def never_finite(theta, x, y):
    return anp.log(-theta[..., 0, None]) + 0 * x[..., 0] + y


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (broadcasting_loss, True),
        (matrix_loss, False),
        (indexed_loss, False),
        (looping_loss, False),
        (stochastic_probe, False),
        (same_for_every_theta, False),
        (prints_nothing_but_fails, False),
        (never_finite, False),
        (ignores_theta, False),  # its value has no leading axis
    ],
)
@pytest.mark.parametrize("num_examples", [1, 2, 3, 8])
def test_the_probe(loss, expected, num_examples, rng):
    inputs = rng.standard_normal((num_examples, SIZE))
    theta = np.ones(SIZE)
    assert _broadcasting.broadcasts(loss, theta, inputs, np.ones(num_examples)) == expected


def test_one_parameter_and_one_example():
    objective = AutogradProblem(lambda theta, x, y: (theta * x - y) ** 2, [2.0], [1.0])
    assert objective.loss([1.0]) == 1.0
    assert objective.gradient([1.0]).tolist() == [4.0]
    assert objective.hessian([1.0]).tolist() == [[8.0]]
    assert objective.per_example_gradients([1.0]).tolist() == [[4.0]]


def test_losses_linear_or_constant_in_theta_have_zero_hessians(rng):
    inputs = rng.standard_normal((3, SIZE))
    linear = AutogradProblem(lambda theta, x, y: anp.dot(x, theta) - y, inputs, np.ones(3))
    assert not linear.hessian(np.ones(SIZE)).any()
    constant = AutogradProblem(ignores_theta, inputs, np.ones(3))
    assert not constant.gradient(np.ones(SIZE)).any()
    assert not constant.hessian(np.ones(SIZE)).any()
    assert not constant.per_example_gradients(np.ones(SIZE)).any()
    constant.check(np.ones(SIZE), rng).raise_if_wrong()


def test_a_long_loop_warns_once_with_passes_and_seconds(monkeypatch, rng):
    monkeypatch.setattr(_plans, "LONG_LOOP", 5)
    objective, theta = draw(looping_loss, rng)
    expected = r"loop of 9 .*; about [\d.e-]+ s; to be fast, .* anp\.dot\(inputs, theta"
    with pytest.warns(_plans.LongLoopWarning, match=expected):
        objective.per_example_gradients(theta)
    objective.per_example_gradients(theta)  # a second warning would be an error
    for loss in (broadcasting_loss, matrix_loss, indexed_loss):
        fast, _ = draw(loss, rng)
        fast.per_example_gradients(theta)
    slow, _ = draw(matrix_loss, rng)
    with pytest.warns(_plans.LongLoopWarning, match="loop of 9 .* fewer vectors"):
        slow.hessian_product(theta, np.ones((SIZE, 9)))


def test_the_first_pass_of_a_loop_does_not_decide_the_predicted_seconds(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(_plans.time, "perf_counter", lambda: now[0])
    plan = _plans.Plan("per_example_gradients", "loop", 2000, 1, "no other way")

    def loop():
        for number, _ in enumerate(plan.timed_chunks(2000, True)):
            now[0] += 0.045 if number == 0 else 0.001

    with pytest.warns(_plans.LongLoopWarning, match="about 2 s") as caught:
        loop()
    assert len(caught) == 1


def test_forms_that_the_documents_show_are_fast(rng):
    inputs, labels = rng.standard_normal((50, SIZE)), rng.integers(0, 2, 50)
    forms = [
        lambda theta, x, y: anp.logaddexp(0.0, (1 - 2 * y) * anp.dot(x, theta)),  # the README's
        lambda theta, x, y: (anp.dot(x, theta[:-1]) + theta[-1] - y) ** 2,  # the warning's
        lambda theta, x, y: (theta[0] * x[:, 0] - y) ** 2,
    ]
    for loss in forms:
        size = SIZE + 1 if loss is forms[1] else SIZE
        plan = AutogradProblem(loss, inputs, labels).plan(np.ones(size))["per_example_gradients"]
        assert plan.num_passes == 1


def test_a_loss_that_takes_another_way_at_another_theta_stays_right(rng):
    def loss(theta, x, y):
        return matrix_loss(theta, x, y) if theta[0] > 0 else looping_loss(theta, x, y)

    objective, theta = draw(loss, rng)
    for first in (1.0, -1.0):
        theta[0] = first
        assert objective.plan(theta)["per_example_gradients"].method == "trace"
        expected = AutogradProblem(looping_loss, objective.inputs, objective.targets)
        equal(objective.per_example_gradients(theta), expected.per_example_gradients(theta))
