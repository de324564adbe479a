"""ModelObjective against references that loop over examples and units."""

from dataclasses import dataclass

import autograd.numpy as anp
import numpy as np
import problem_cases
import pytest
import reference_problems as reference
from tolerances import assert_equal_up_to_rounding

from aniso import checks, memory
from aniso.problems import model_objective
from aniso.problems.losses import (
    ClippedSquaredLoss,
    LogisticLoss,
    SoftmaxCrossEntropy,
    SquaredLoss,
)
from aniso.problems.model_objective import ModelObjective
from aniso.problems.multilayer_perceptron import MultilayerPerceptron
from aniso.problems.one_hidden_layer import OneHiddenLayer

every_case = pytest.mark.parametrize("case", problem_cases.CASES, ids=problem_cases.IDS)
linear_case = pytest.mark.parametrize(
    "case", problem_cases.LINEAR_CASES, ids=problem_cases.LINEAR_IDS
)


def functions_of(objective):
    return reference.example_losses(
        objective.model,
        type(objective.output_loss).__name__,
        objective.inputs,
        objective.targets,
    )


def equal(actual, expected, objective, scale=0.0):
    # sums over units, layers and examples; entries may cancel, so no scale below 1
    scale = max(1.0, scale, np.abs(expected).max())
    num_terms = objective.num_parameters + objective.num_examples
    assert_equal_up_to_rounding(actual, expected, num_terms=num_terms, scale=scale)


@every_case
def test_losses_and_outputs_equal_the_loops(case, rng):
    objective, theta = case.objective_and_theta(rng)
    outputs = [reference.model_output(case.model, theta, x) for x in objective.inputs]
    losses = np.array([function(theta) for function in functions_of(objective)])
    equal(objective.outputs(theta), np.array(outputs), objective)
    equal(objective.losses(theta), losses, objective)
    equal(objective.loss(theta), losses.mean(), objective)


@every_case
def test_first_derivatives_equal_the_loops(case, rng):
    objective, theta = case.objective_and_theta(rng)
    rows = reference.per_example_gradients(functions_of(objective), theta)
    equal(objective.per_example_gradients(theta), rows, objective)
    equal(objective.gradient(theta), rows.mean(axis=0), objective)
    value, gradient = objective.loss_and_gradient(theta)
    equal(value, objective.loss(theta), objective)
    equal(gradient, rows.mean(axis=0), objective)


@every_case
def test_jacobians_equal_the_loops_and_give_the_gradients(case, rng):
    objective, theta = case.objective_and_theta(rng)
    jacobians = objective.jacobians(theta)
    expected = [reference.jacobian(case.model, theta, x) for x in objective.inputs]
    equal(jacobians, np.stack(expected), objective)
    rows = np.einsum("nc,ncd->nd", objective.output_gradients(theta), jacobians)
    equal(rows, objective.per_example_gradients(theta), objective)


@every_case
def test_the_hessian_equals_the_loops_and_its_products(case, rng):
    objective, theta = case.objective_and_theta(rng)
    expected = reference.mean_hessian(functions_of(objective), theta)
    hessian = objective.hessian(theta)
    equal(hessian, expected, objective)
    assert np.array_equal(hessian, hessian.T)
    vectors = rng.standard_normal((theta.size, 3))
    products = objective.hessian_product(theta, vectors)
    equal(products, expected @ vectors, objective)
    equal(objective.hessian_product(theta, vectors[:, 0]), products[:, 0], objective)
    with pytest.raises(AssertionError, match="rounding"):
        equal(hessian + 1e-6 * np.eye(theta.size), expected, objective)


@linear_case
def test_the_hessian_of_a_linear_model_is_the_gauss_newton_matrix(case, rng):
    objective, theta = case.objective_and_theta(rng)
    jacobians, curvatures = objective.jacobians(theta), objective.output_hessians(theta)
    expected = (
        sum(j.T @ s @ j for j, s in zip(jacobians, curvatures, strict=True))
        / objective.num_examples
    )
    equal(objective.hessian(theta), expected, objective)


def test_a_multilayer_hessian_is_not_the_gauss_newton_matrix(rng):
    # planted falsehood: a model that wrongly claims to be linear must be seen by the check
    @dataclass(frozen=True)
    class ClaimsToBeLinear(MultilayerPerceptron):
        linear_almost_everywhere = True

    model = ClaimsToBeLinear((2, 3, 2), "tanh")
    inputs, labels = rng.standard_normal((6, 2)), rng.integers(0, 2, 6)
    objective = ModelObjective(model, SoftmaxCrossEntropy(), inputs, labels)
    report = objective.check(model.initial_parameters(rng), rng)
    assert any("hessian_product" in message for message in report.wrong)


@every_case
def test_the_check_finds_nothing_wrong(case, rng):
    objective, theta = case.objective_and_theta(rng)
    objective.check(theta, rng).raise_if_wrong()


@pytest.mark.parametrize("entries", [1, 40])
def test_results_do_not_depend_on_the_passes(entries, rng, monkeypatch):
    case = problem_cases.CASES[0]
    objective, theta = case.objective_and_theta(rng)
    names = ("losses", "gradient", "per_example_gradients", "jacobians", "hessian")
    before = [getattr(objective, name)(theta) for name in names]
    monkeypatch.setattr(model_objective, "PASS_ENTRIES", entries)
    monkeypatch.setattr(model_objective, "JACOBIAN_ENTRIES", entries)
    for name, expected in zip(names, before, strict=True):
        equal(getattr(objective, name)(theta), expected, objective)


def test_without_active_examples_the_hessian_is_zero(rng):
    model = OneHiddenLayer(2, 4)
    objective = ModelObjective(model, ClippedSquaredLoss(), rng.standard_normal((5, 2)), [0] * 5)
    theta = np.zeros(model.num_parameters)
    theta[-4:] = [9.0, 9.0, 1.0, 1.0]  # every output is 16
    assert not objective.hessian(theta).any()
    assert not objective.gradient(theta).any()
    assert not objective.hessian_product(theta, np.ones(theta.size)).any()


@dataclass(frozen=True)
class SaddleLoss(SquaredLoss):
    """f_0^2 - f_1^2: an output Hessian that is indefinite."""

    def __call__(self, outputs, targets):  # noqa: ARG002
        return outputs[..., 0] ** 2 - outputs[..., 1] ** 2

    def gradient(self, outputs, targets):  # noqa: ARG002
        return 2 * outputs * np.array([1.0, -1.0])

    def fisher_information(self, outputs):
        return np.tile(np.diag([2.0, -2.0]), (len(outputs), 1, 1))


def test_an_indefinite_output_hessian_is_exact_too(rng):
    model = MultilayerPerceptron((3, 2))
    objective = ModelObjective(model, SaddleLoss(), rng.standard_normal((5, 3)), np.zeros((5, 2)))
    theta = model.initial_parameters(rng)
    jacobians = objective.jacobians(theta)
    expected = np.einsum("ncd,c,nce->de", jacobians, [2.0, -2.0], jacobians) / 5
    equal(objective.hessian(theta), expected, objective)
    assert np.linalg.eigvalsh(expected)[0] < 0
    objective.check(theta, rng).raise_if_wrong()


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "abs", "hard_tanh"])
def test_on_a_kink_the_derivatives_are_those_of_autograd(activation):
    # pre-activations exactly 0, 1 and -1 at x = 1: weights 0, biases on the kinks
    model = OneHiddenLayer(1, 3, activation)
    theta = np.array([0.0, 0.0, 0.0, 0.0, 1.0, -1.0])
    objective = ModelObjective(model, LogisticLoss(), [[1.0]], [1])
    functions = functions_of(objective)
    equal(
        objective.per_example_gradients(theta),
        reference.per_example_gradients(functions, theta),
        objective,
    )
    equal(objective.hessian(theta), reference.mean_hessian(functions, theta), objective)


def test_a_subset_keeps_the_order(rng):
    objective, theta = problem_cases.CASES[0].objective_and_theta(rng)
    part = objective.subset([3, 1])
    assert part.num_examples == 2
    equal(part.losses(theta), objective.losses(theta)[[3, 1]], objective)
    for wrong in ([], [7], [-1], [0.5], [[0]]):
        with pytest.raises(checks.InputError, match="indices"):
            objective.subset(wrong)


@pytest.mark.parametrize(
    ("model", "loss", "inputs", "targets", "message"),
    [
        (OneHiddenLayer(2, 2), LogisticLoss(), np.ones((3, 4)), [0, 1, 1], r"expected \(any, 2\)"),
        (OneHiddenLayer(2, 2), LogisticLoss(), np.ones((3, 2)), [0, 1], "targets has shape"),
        (OneHiddenLayer(2, 2), LogisticLoss(), np.ones((3, 2)), [0, 2, 1], "the label 2"),
        (OneHiddenLayer(2, 2), LogisticLoss(), np.ones((0, 2)), [], "N=0"),
        (OneHiddenLayer(2, 2), LogisticLoss(), [[np.nan, 0.0]], [0], "non-finite"),
        (OneHiddenLayer(2, 2), SquaredLoss(), [[1.0, 0.0]], [np.inf], "non-finite"),
        (OneHiddenLayer(2, 2), SoftmaxCrossEntropy(), [[1.0, 0.0]], [0], "num_outputs=1"),
        (MultilayerPerceptron((2, 3)), LogisticLoss(), [[1.0, 0.0]], [0], "num_outputs=3"),
        (MultilayerPerceptron((2, 3)), SoftmaxCrossEntropy(), [[1.0, 0.0]], [3], "the label 3"),
    ],
)
def test_wrong_data_are_refused(model, loss, inputs, targets, message):
    with pytest.raises(checks.InputError, match=message):
        ModelObjective(model, loss, inputs, targets)


def test_what_is_no_model_or_no_loss_is_refused():
    for model in ("relu", OneHiddenLayer, None):
        with pytest.raises(checks.InputError, match="expected an object with num_inputs"):
            ModelObjective(model, LogisticLoss(), np.ones((1, 2)), [1])
    for loss in ("logistic", LogisticLoss, None):
        with pytest.raises(checks.InputError, match="expected an object with gradient"):
            ModelObjective(OneHiddenLayer(2, 2), loss, np.ones((1, 2)), [1])


@pytest.mark.parametrize("theta", [np.ones(5), np.ones((6, 1)), [np.nan] * 6, ["a"] * 6])
def test_a_wrong_theta_is_refused(theta):
    objective = ModelObjective(OneHiddenLayer(2, 2), LogisticLoss(), np.ones((3, 2)), [0, 1, 1])
    for name in ("losses", "gradient", "per_example_gradients", "jacobians", "hessian"):
        with pytest.raises(checks.InputError, match="theta"):
            getattr(objective, name)(theta)
    with pytest.raises(checks.InputError, match="vectors"):
        objective.hessian_product(np.ones(6), np.ones(5))


def test_an_overflow_is_refused(rng):
    model = MultilayerPerceptron((1, 1, 1))
    objective = ModelObjective(model, SquaredLoss(), rng.standard_normal((2, 1)), [0.0, 1.0])
    with np.errstate(over="ignore"), pytest.raises(checks.InputError, match="loss is not finite"):
        objective.gradient([0.0, 1e150, 1e150, 0.0])


def test_what_does_not_fit_is_refused_before_it_is_made(monkeypatch):
    objective = ModelObjective(OneHiddenLayer(2, 20), LogisticLoss(), np.ones((30, 2)), [1] * 30)
    theta = np.zeros(60)
    monkeypatch.setattr(memory, "available_bytes", lambda: 1000)
    for name, words in (
        ("hessian", "dense Hessian, 60 × 60 needs 28.80 kB.*hessian_product"),
        ("per_example_gradients", "30 × 60 needs 14.40 kB.*subset"),
        ("jacobians", "Jacobians.*30 × 60 needs 14.40 kB"),
    ):
        with pytest.raises(memory.AllocationRefused, match=words):
            getattr(objective, name)(theta)


class CentredHiddenLayer(OneHiddenLayer):
    """The pre-activations are centred over the batch, as batch normalisation does."""

    def layered_outputs(self, theta, inputs, perturbations=None):
        weights, biases = theta[: -self.num_hidden], theta[-self.num_hidden :]
        weights = anp.reshape(weights, (self.num_hidden, self.num_inputs))
        hidden = anp.dot(inputs, weights.T) + biases
        if perturbations is not None:
            hidden = hidden + perturbations[0]
        hidden = hidden - anp.mean(hidden, axis=0)
        outputs = anp.dot(anp.maximum(hidden, 0.0), self.output_weights)
        return outputs[:, None], (inputs,)


def test_a_model_that_couples_its_batch_has_no_gradients_of_single_examples(rng):
    inputs, labels = rng.standard_normal((9, 3)), rng.integers(0, 2, 9)
    objective = ModelObjective(CentredHiddenLayer(3, 4), LogisticLoss(), inputs, labels)
    with pytest.raises(checks.InteractingExamples, match="mini-batches"):
        objective.per_example_gradients(rng.standard_normal(16))
