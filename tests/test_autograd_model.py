"""A model by autograd and the fast network against references that loop over examples and units."""

from dataclasses import dataclass

import autograd.numpy as anp
import numpy as np
import problem_cases
import pytest
import reference_problems as reference
from problem_cases import Architecture
from tolerances import assert_equal_up_to_rounding

from aniso import checks, memory, networks
from aniso.networks import Network
from aniso.problems import AutogradModel, _plans
from aniso.problems.losses import (
    ClippedSquaredLoss,
    LogisticLoss,
    SoftmaxCrossEntropy,
    SquaredLoss,
)

every_case = pytest.mark.parametrize("case", problem_cases.CASES, ids=problem_cases.IDS)
linear_case = pytest.mark.parametrize(
    "case", problem_cases.LINEAR_CASES, ids=problem_cases.LINEAR_IDS
)
every_form = pytest.mark.parametrize("form", [AutogradModel, Network])


def functions_of(architecture, problem):
    return reference.example_losses(
        architecture, type(problem.output_loss).__name__, problem.inputs, problem.targets
    )


def equal(actual, expected, problem, scale=0.0):
    # sums over units, layers and examples; entries may cancel, so no scale below 1
    scale = max(1.0, scale, np.abs(expected).max())
    num_terms = problem.num_parameters + problem.num_examples
    assert_equal_up_to_rounding(actual, expected, num_terms=num_terms, scale=scale)


@every_form
@every_case
def test_losses_and_outputs_equal_the_loops(case, form, rng):
    problem, theta = case.problem_and_theta(rng, form)
    outputs = [reference.model_output(case.architecture, theta, x) for x in problem.inputs]
    losses = np.array([f(theta) for f in functions_of(case.architecture, problem)])
    equal(problem.outputs(theta), np.array(outputs), problem)
    equal(problem.losses(theta), losses, problem)
    equal(problem.loss(theta), losses.mean(), problem)


@every_form
@every_case
def test_first_derivatives_equal_the_loops(case, form, rng):
    problem, theta = case.problem_and_theta(rng, form)
    rows = reference.per_example_gradients(functions_of(case.architecture, problem), theta)
    equal(problem.per_example_gradients(theta), rows, problem)
    equal(problem.gradient(theta), rows.mean(axis=0), problem)
    value, gradient = problem.loss_and_gradient(theta)
    equal(value, problem.loss(theta), problem)
    equal(gradient, rows.mean(axis=0), problem)


@every_form
@every_case
def test_jacobians_equal_the_loops_and_give_the_gradients(case, form, rng):
    problem, theta = case.problem_and_theta(rng, form)
    jacobians = problem.jacobians(theta)
    expected = [reference.jacobian(case.architecture, theta, x) for x in problem.inputs]
    equal(jacobians, np.stack(expected), problem)
    rows = np.einsum("nc,ncd->nd", problem.output_gradients(theta), jacobians)
    equal(rows, problem.per_example_gradients(theta), problem)


@every_form
@every_case
def test_the_hessian_equals_the_loops_and_its_products(case, form, rng):
    problem, theta = case.problem_and_theta(rng, form)
    expected = reference.mean_hessian(functions_of(case.architecture, problem), theta)
    hessian = problem.at(theta).hessian.to_dense()
    equal(hessian, expected, problem)
    vectors = rng.standard_normal((theta.size, 3))
    products = problem.hessian_product(theta, vectors)
    equal(products, expected @ vectors, problem)
    equal(problem.hessian_product(theta, vectors[:, 0]), products[:, 0], problem)
    with pytest.raises(AssertionError, match="rounding"):
        equal(hessian + 1e-6 * np.eye(theta.size), expected, problem)


@every_form
@linear_case
def test_the_hessian_of_a_linear_model_is_the_gauss_newton_matrix(case, form, rng):
    problem, theta = case.problem_and_theta(rng, form)
    jacobians, curvatures = problem.jacobians(theta), problem.output_hessians(theta)
    expected = (
        sum(j.T @ s @ j for j, s in zip(jacobians, curvatures, strict=True)) / problem.num_examples
    )
    at = problem.at(theta)
    equal(at.hessian.to_dense(), expected, problem)
    equal(at.gauss_newton.to_dense(), expected, problem)


@every_form
def test_a_multilayer_hessian_is_not_the_gauss_newton_matrix(form, rng):
    # planted falsehood: a Hessian that leaves out its second term must be seen by the check
    class ClaimsToBeLinear(form):
        def hessian_product(self, theta, vectors):
            jacobians, curvatures = self.jacobians(theta), self.output_hessians(theta)
            matrix = np.einsum("nad,nab,nbe->de", jacobians, curvatures, jacobians)
            return matrix @ vectors / self.num_examples

    stack = Architecture((2, 3, 2), "tanh").stack
    inputs, labels = rng.standard_normal((6, 2)), rng.integers(0, 2, 6)
    problem = ClaimsToBeLinear(stack, SoftmaxCrossEntropy(), inputs, labels)
    if form is AutogradModel:
        problem.subset = lambda _: problem
    report = problem.check(stack.initial_parameters(rng), rng)
    assert any("hessian_product" in message for message in report.wrong)


@every_form
@every_case
def test_the_check_finds_nothing_wrong(case, form, rng):
    problem, theta = case.problem_and_theta(rng, form)
    problem.check(theta, rng).raise_if_wrong()


@pytest.mark.parametrize("entries", [1, 40])
def test_results_do_not_depend_on_the_passes(entries, rng, monkeypatch):
    problem, theta = problem_cases.CASES[0].problem_and_theta(rng)
    names = ("losses", "gradient", "example_gradients", "jacobians", "hessian")
    before = [getattr(problem, name)(theta) for name in names]
    monkeypatch.setattr(_plans, "ROW_PASS_ENTRIES", entries)
    monkeypatch.setattr(_plans, "TRACE_PASS_ENTRIES", entries)
    monkeypatch.setattr(_plans, "BLOCK_PASS_ENTRIES", entries)
    for name, expected in zip(names, before, strict=True):
        equal(getattr(problem, name)(theta), expected, problem)


@every_form
def test_without_active_examples_the_hessian_is_zero(form, rng):
    stack = networks.one_hidden_layer(2, 4)
    problem = form(stack, ClippedSquaredLoss(), rng.standard_normal((5, 2)), [0] * 5)
    theta = np.zeros(stack.num_parameters)
    theta[-4:] = [9.0, 9.0, 1.0, 1.0]  # every output is 16
    at = problem.at(theta)
    assert not at.hessian.to_dense().any()
    assert not at.gauss_newton.to_dense().any()
    assert not at.gradient.any()
    assert not problem.hessian_product(theta, np.ones(theta.size)).any()


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
    stack = Architecture((3, 2)).stack
    problem = AutogradModel(stack, SaddleLoss(), rng.standard_normal((5, 3)), np.zeros((5, 2)))
    theta = stack.initial_parameters(rng)
    jacobians = problem.jacobians(theta)
    expected = np.einsum("ncd,c,nce->de", jacobians, [2.0, -2.0], jacobians) / 5
    equal(problem.hessian(theta), expected, problem)
    equal(problem.at(theta).gauss_newton.to_dense(), expected, problem)
    assert np.linalg.eigvalsh(expected)[0] < 0
    problem.check(theta, rng).raise_if_wrong()


@every_form
@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "abs", "hard_tanh"])
def test_on_a_kink_the_derivatives_are_those_of_autograd(activation, form):
    # pre-activations exactly 0, 1 and -1 at x = 1: weights 0, biases on the kinks
    architecture = Architecture((1, 3), activation, signed=True)
    theta = np.array([0.0, 0.0, 0.0, 0.0, 1.0, -1.0])
    problem = form(architecture.stack, LogisticLoss(), np.array([[1.0]]), [1])
    functions = functions_of(architecture, problem)
    rows = reference.per_example_gradients(functions, theta)
    equal(problem.per_example_gradients(theta), rows, problem)
    expected = reference.mean_hessian(functions, theta)
    equal(problem.at(theta).hessian.to_dense(), expected, problem)


def test_a_subset_keeps_the_order(rng):
    problem, theta = problem_cases.CASES[0].problem_and_theta(rng)
    part = problem.subset([3, 1])
    assert part.num_examples == 2
    equal(part.losses(theta), problem.losses(theta)[[3, 1]], problem)
    for wrong in ([], [7], [-1], [0.5], [[0]]):
        with pytest.raises(checks.InputError, match="indices"):
            problem.subset(wrong)


HIDDEN = networks.one_hidden_layer(2, 2)


class TwoOutputs:
    """A model that states one output and has two."""

    num_parameters, num_outputs = 2, 1

    def outputs(self, theta, inputs):
        return anp.stack([theta[0] * inputs[:, 0], theta[1] * inputs[:, 0]], axis=-1)


@pytest.mark.parametrize(
    ("stack", "loss", "inputs", "targets", "message"),
    [
        (HIDDEN, LogisticLoss(), np.ones((3, 4)), [0, 1, 1], r"expected \(any, 2\)"),
        (TwoOutputs(), LogisticLoss(), 1.0, [0, 1, 1], r"inputs has shape \(\); expected \(N, ..."),
        (HIDDEN, LogisticLoss(), np.ones((3, 2)), [0, 1], "targets has shape"),
        (HIDDEN, LogisticLoss(), np.ones((3, 2)), [0, 2, 1], "the label 2"),
        (HIDDEN, LogisticLoss(), np.ones((0, 2)), [], "N=0"),
        (HIDDEN, LogisticLoss(), [[np.nan, 0.0]], [0], "non-finite"),
        (HIDDEN, SquaredLoss(), [[1.0, 0.0]], [np.inf], "non-finite"),
        (HIDDEN, SoftmaxCrossEntropy(), [[1.0, 0.0]], [0], "num_outputs=1"),
        (Architecture((2, 3)).stack, LogisticLoss(), [[1.0, 0.0]], [0], "num_outputs=3"),
        (Architecture((2, 3)).stack, SoftmaxCrossEntropy(), [[1.0, 0.0]], [3], "the label 3"),
    ],
)
def test_wrong_data_are_refused(stack, loss, inputs, targets, message):
    with pytest.raises(checks.InputError, match=message):
        AutogradModel(stack, loss, inputs, targets)


def test_outputs_of_another_shape_than_stated_are_refused():
    problem = AutogradModel(TwoOutputs(), LogisticLoss(), np.ones((3, 2)), [0, 1, 1])
    with pytest.raises(checks.InputError, match=r"outputs have shape \(3, 2\).*\(N, C\)=\(3, 1\)"):
        problem.outputs([1.0, 2.0])


def test_an_object_that_is_no_model_or_no_loss_is_refused():
    for model in ("relu", type(HIDDEN), None):
        with pytest.raises(checks.InputError, match="expected an object with outputs, num_param"):
            AutogradModel(model, LogisticLoss(), np.ones((1, 2)), [1])
    for loss in ("logistic", LogisticLoss, None):
        with pytest.raises(checks.InputError, match="expected an object with gradient"):
            AutogradModel(HIDDEN, loss, np.ones((1, 2)), [1])


@pytest.mark.parametrize("theta", [np.ones(5), np.ones((6, 1)), [np.nan] * 6, ["a"] * 6])
def test_a_wrong_theta_is_refused(theta):
    problem = AutogradModel(HIDDEN, LogisticLoss(), np.ones((3, 2)), [0, 1, 1])
    for name in ("losses", "gradient", "example_gradients", "jacobians", "hessian", "at"):
        with pytest.raises(checks.InputError, match="theta"):
            getattr(problem, name)(theta)
    with pytest.raises(checks.InputError, match="vectors"):
        problem.hessian_product(np.ones(6), np.ones(5))


def test_an_overflow_is_refused(rng):
    stack = Architecture((1, 1, 1)).stack
    problem = AutogradModel(stack, SquaredLoss(), rng.standard_normal((2, 1)), [0.0, 1.0])
    with np.errstate(over="ignore"), pytest.raises(checks.InputError, match="finite numbers"):
        problem.gradient([0.0, 1e150, 1e150, 0.0])


def test_results_that_do_not_fit_are_refused_before_they_are_made(monkeypatch):
    stack = networks.one_hidden_layer(2, 20)
    problem = AutogradModel(stack, LogisticLoss(), np.ones((30, 2)), [1] * 30)
    theta = np.zeros(60)
    monkeypatch.setattr(memory, "available_bytes", lambda: 1000)
    for name, words in (
        ("hessian", "dense Hessian, 60 × 60 needs 28.80 kB.*hessian_product"),
        ("per_example_gradients", "30 × 60 needs 14.40 kB.*subset"),
        ("jacobians", "Jacobians.*30 × 60 needs 14.40 kB"),
    ):
        with pytest.raises(memory.AllocationRefused, match=words):
            getattr(problem, name)(theta)
    with pytest.raises(memory.AllocationRefused, match="subset"):
        problem.at(theta).gauss_newton  # noqa: B018


class CentredHiddenLayer:
    """The pre-activations are centred over the batch, as batch normalisation does."""

    num_parameters, num_outputs = 16, 1

    def outputs(self, theta, inputs):
        hidden = anp.dot(inputs, anp.reshape(theta[:12], (4, 3)).T) + theta[12:]
        hidden = hidden - anp.mean(hidden, axis=0)
        return anp.dot(anp.maximum(hidden, 0.0), np.array([1.0, 1.0, -1.0, -1.0]))[:, None]


def test_a_model_that_couples_its_batch_has_no_gradients_of_single_examples(rng):
    inputs, labels = rng.standard_normal((9, 3)), rng.integers(0, 2, 9)
    problem = AutogradModel(CentredHiddenLayer(), LogisticLoss(), inputs, labels)
    with pytest.raises(checks.InteractingExamples, match="mini-batches"):
        problem.example_gradients(rng.standard_normal(16))


def test_blocks_by_name_come_from_the_model_or_the_caller_and_stay_with_a_subset():
    class Line:
        num_parameters, num_outputs, blocks = 2, 1, {"all": slice(0, 2)}

        def outputs(self, theta, inputs):
            return theta[0] * inputs + theta[1]

    data = SquaredLoss(), [[1.0], [2.0]], [1.0, 0.0]
    blocks = {"slope": slice(0, 1), "offset": slice(1, 2)}
    for given, expected in ((None, ("all",)), (blocks, ("slope", "offset"))):
        problem = AutogradModel(Line(), *data, blocks=given)
        for one in (problem, problem.subset([0, 1])):
            assert one.at(np.ones(2)).by_block().names == expected
