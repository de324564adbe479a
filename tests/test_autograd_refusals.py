"""Losses, data and parameters that an autograd problem refuses."""

import autograd.numpy as anp
import numpy as np
import pytest
from autograd.extend import defvjp, primitive
from autograd_cases import SIZE, draw, matrix_loss

from aniso import checks, memory
from aniso.problems.autograd_problem import AutogradProblem


def centred_logits(theta, x, y):
    inner = anp.dot(x, theta)
    return anp.logaddexp(0.0, (1 - 2 * y) * (inner - anp.mean(inner)))


def batch_normalised(theta, x, y):
    inner = anp.sum(x * theta[..., None, :], axis=-1)
    spread = anp.sqrt(1e-3 + anp.var(inner, axis=-1, keepdims=True))
    return (inner / spread - y) ** 2


def centred_inputs(theta, x, y):
    return (anp.dot(x - np.mean(x, axis=0), theta) - y) ** 2


def divided_by_the_number(theta, x, y):
    return (anp.dot(x, theta) - y) ** 2 / len(x)


def neighbours(theta, x, y):
    """Two of all examples interact, and only by a product."""
    inner = anp.dot(x, theta)
    one = np.zeros(len(x))
    one[len(x) // 2] = 1.0
    return (inner - y) ** 2 + one * inner * inner[0]


def far_neighbours(theta, x, y):
    """Two of the last examples interact."""
    inner = anp.dot(x, theta)
    one = np.zeros(len(x))
    one[-1] = len(x) > 6
    return (inner - y) ** 2 + one * inner * inner[-2 % len(x)]


def centred_large_batches(theta, x, y):
    return (anp.dot(x - (np.mean(x, axis=0) if len(x) > 6 else 0.0), theta) - y) ** 2


@pytest.mark.parametrize("num_examples", [9, 40])
@pytest.mark.parametrize(
    "loss",
    [
        *(centred_logits, batch_normalised, centred_inputs, divided_by_the_number),
        *(neighbours, far_neighbours, centred_large_batches),
    ],
)
def test_examples_that_interact_have_no_gradients_of_their_own(loss, num_examples, rng):
    objective, theta = draw(loss, rng, num_examples)
    with pytest.raises(checks.InteractingExamples, match="mini-batches"):
        objective.per_example_gradients(theta)
    report = objective.check(theta, rng)
    assert not report.right
    assert "mini-batches" in str(report)
    # the mean loss has a gradient and a Hessian
    step = 1e-6 * rng.standard_normal(SIZE)
    change = objective.loss(theta + step) - objective.loss(theta - step)
    # central difference: an error of the order of the rounding over the step, and of its square
    assert abs(change - 2 * objective.gradient(theta) @ step) < 1e-8
    assert objective.hessian(theta).shape == (SIZE, SIZE)


def test_examples_that_interact_at_a_later_theta_are_refused_beside_their_gradient(rng):
    def loss(theta, x, y):
        inner = anp.dot(x, theta)
        return (inner - (anp.mean(inner) if theta[0] > 1 else 0.0) - y) ** 2

    objective, theta = draw(loss, rng)
    theta[0] = 0.5
    objective.per_example_gradients(theta)
    theta[0] = 1.5
    objective.gradient(theta)
    with pytest.raises(checks.InteractingExamples):
        objective.per_example_gradients(theta)
    theta[0] = 0.5
    assert objective.subset([0]).per_example_gradients(theta).shape == (1, SIZE)


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (lambda theta, x, y: anp.mean(anp.dot(x, theta) - y), r"shape \(\); expected \(N,\)"),
        (lambda theta, x, y: anp.dot(x, theta)[:, None] - y, r"shape \(9, 9\)"),
        (lambda theta, x, y: anp.log(anp.dot(x, theta) * 0 - 1) * y, "loss returned nan"),
        (lambda theta, x, y: (anp.dot(x, theta) - y) * (1 + 0j), "loss returned dtype complex128"),
        (lambda theta, x, y: np.array(["a"] * 9), "loss returned dtype <U1"),  # noqa: ARG005
        (lambda theta, x, y: [theta[0]] * 9, "loss returned a list"),  # noqa: ARG005
    ],
)
def test_a_wrong_result_of_the_loss_is_refused(loss, message, rng):
    objective, theta = draw(loss, rng)
    objective = AutogradProblem(loss, objective.inputs, np.ones(9))
    for name in ("losses", "gradient", "hessian"):
        with np.errstate(invalid="ignore"), pytest.raises(checks.InputError, match=message):
            getattr(objective, name)(theta)


def test_a_loss_that_autograd_cannot_follow_is_refused_with_the_remedy(rng):
    objective, theta = draw(lambda theta, x, y: np.exp(-y * (x @ np.asarray(theta))), rng)
    assert objective.loss(theta) > 0
    for name in ("gradient", "per_example_gradients", "hessian"):
        with pytest.raises(checks.InputError, match=r"written with autograd\.numpy"):
            getattr(objective, name)(theta)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.float16])
def test_targets_of_narrow_types_mean_what_they_say(dtype, rng):
    objective, theta = draw(lambda theta, x, y: anp.dot(x, theta) * (1 - 2 * y), rng)
    narrow = AutogradProblem(objective._loss, objective.inputs, objective.targets.astype(dtype))
    assert narrow.targets.dtype in (np.int64, np.float64)
    np.testing.assert_array_equal(narrow.losses(theta), objective.losses(theta))


def test_a_hessian_that_is_not_symmetric_is_refused(rng):
    @primitive
    def first_entry_squared(theta):
        return theta[0] ** 2

    # the derivative is not a gradient: its own derivative has no symmetry
    wrong = np.array([0.0, 1.0])
    defvjp(first_entry_squared, lambda ans, theta: lambda g: g * theta[0] * wrong)  # noqa: ARG005
    objective = AutogradProblem(
        lambda theta, x, y: first_entry_squared(theta) * x + y, [1.0], [0.0]
    )
    with pytest.raises(checks.InputError, match="not symmetric"):
        objective.hessian([1.0, 2.0])
    assert not objective.check([1.0, 2.0], rng).right


def test_a_gradient_that_is_not_finite_is_refused():
    objective = AutogradProblem(
        lambda theta, x, y: anp.sqrt(theta[0] * x) - y, [1.0, 2.0], [0.0, 0.0]
    )
    with np.errstate(divide="ignore"), pytest.raises(checks.InputError, match="not finite"):
        objective.gradient([0.0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((3, [1.0], [1.0]), "loss=3; expected a function"),
        ((matrix_loss, [1.0, 2.0], [1.0]), "same number N"),
        ((matrix_loss, 1.0, 2.0), "same number N"),
        ((matrix_loss, np.ones((0, 2)), np.ones(0)), "N=0"),
        ((matrix_loss, [np.nan], [1.0]), "inputs has a non-finite"),
        ((matrix_loss, [1.0], [np.inf]), "targets has a non-finite"),
        ((matrix_loss, ["a"], [1.0]), "inputs has dtype"),
    ],
)
def test_wrong_data_are_refused(arguments, message):
    with pytest.raises(checks.InputError, match=message):
        AutogradProblem(*arguments)


def test_wrong_parameters_and_vectors_are_refused(rng):
    objective, theta = draw(matrix_loss, rng)
    for wrong in ([np.nan] * SIZE, theta[:, None], 1.0, []):
        for name in ("losses", "gradient", "hessian", "plan"):
            with pytest.raises(checks.InputError, match="theta"):
                getattr(objective, name)(wrong)
    for wrong in (np.ones(SIZE + 1), np.ones((SIZE, 1, 1)), [np.inf] * SIZE):
        with pytest.raises(checks.InputError, match="vectors"):
            objective.hessian_product(theta, wrong)
    known = AutogradProblem(matrix_loss, objective.inputs, objective.targets, num_parameters=SIZE)
    with pytest.raises(checks.InputError, match=r"theta has shape \(5,\); expected \(4\)"):
        known.loss(np.ones(5))
    with pytest.raises(checks.InputError, match="num_parameters=0"):
        AutogradProblem(matrix_loss, objective.inputs, objective.targets, num_parameters=0)
    for wrong in (0, -1, 1.5):
        with pytest.raises(checks.InputError, match="num_vectors"):
            objective.plan(theta, wrong)


def test_what_does_not_fit_is_refused_before_it_is_made(rng, monkeypatch):
    objective, theta = draw(matrix_loss, rng)
    monkeypatch.setattr(memory, "available_bytes", lambda: 100)
    with pytest.raises(memory.AllocationRefused, match="dense Hessian, 4 × 4 needs 128 B"):
        objective.hessian(theta)
    with pytest.raises(memory.AllocationRefused, match=r"9 × 4 needs 288 B.*subset"):
        objective.per_example_gradients(theta)
