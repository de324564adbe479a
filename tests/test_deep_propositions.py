"""The checks at any depth, seen to hold and seen to fail; the search; and when the group runs."""

import dataclasses
import functools
from fractions import Fraction

import numpy as np
import pytest
from autograd import jacobian
from check_cases import idle_symbols, unexplained, unknown_sources

from aniso import checks, matrices, networks, propositions
from aniso.problems import AutogradModel, losses
from aniso.propositions import (
    command,
    deep,
    deep_search,
    deep_training,
    exact_losses,
    generalised_eigenvalues,
)
from aniso.propositions.check import Verdict
from aniso.propositions.deep_alignment import AlignmentBound, deep_alignment_bound
from aniso.propositions.fisher_order import fisher_gauss_newton_order
from aniso.propositions.settings import Settings

SETTINGS = Settings("quick", 0)
EXACT, RANDOM, HUGE = "one example, exact", "random networks", "huge losses"
IMAGES = [f"FashionMNIST network, {name}" for name in deep_training.LOSSES]
READINGS = deep_training.readings_along_training


@pytest.fixture
def small(monkeypatch):
    """Fewer random networks, and fewer images for fewer steps."""
    monkeypatch.setattr(deep, "_ACTIVATIONS", ("tanh",))
    monkeypatch.setattr(
        deep,
        "_CASES",
        [
            ("logistic", (4, 5, 6, 1), 15),
            ("squared", (4, 3, 3, 1), 50),
            ("cross-entropy", (4, 5, 6, 3), 10),
        ],
    )
    monkeypatch.setattr(deep_training, "plan", lambda *_: (8, (0, 4)))


def run(name):
    (task,) = [task for task in propositions.tasks("deep", SETTINGS) if task.name == name]
    return task.run()


def verdicts(name):
    found = {}
    for check in run(name):
        found.setdefault(check.statement.name, set()).add(str(check.verdict))
    return found


@pytest.fixture(scope="module")
def searched():
    return deep_search.searches(SETTINGS)


def scaled(function, factor):
    @functools.wraps(function)
    def wrong(*args, **kwargs):
        return factor * function(*args, **kwargs)

    return wrong


def with_readings(**changes):
    def wrong(*args):
        return tuple(dataclasses.replace(item, **changes) for item in READINGS(*args))

    return wrong


def always(value):
    return property(lambda _: value)


LOGISTIC, DIFFERENCE = losses.LogisticLoss, exact_losses.difference
FALSEHOODS = [
    (
        EXACT,
        ("least constant, exact",),
        (exact_losses, "least_constant", scaled(exact_losses.least_constant, Fraction(9, 10))),
    ),
    (
        EXACT,
        ("order of one example, exact",),
        (exact_losses, "difference", lambda case, constant: DIFFERENCE(case, constant / 2)),
    ),
    (
        EXACT,
        ("a smaller constant is refuted",),
        (exact_losses, "least_pivot", lambda _: Fraction(0)),
    ),
    (
        RANDOM,
        ("upper order", "constant of an example", "the upper constant is reached"),
        (LOGISTIC, "whitened_gradient", scaled(LOGISTIC.whitened_gradient, 0.9)),
    ),
    (
        RANDOM,
        ("lower order, one output or two classes", "the lower constant is reached"),
        (LOGISTIC, "whitened_gradient", scaled(LOGISTIC.whitened_gradient, 1.1)),
    ),
    (RANDOM, ("noise along u",), (AlignmentBound, "guaranteed", always(10.0))),
    (RANDOM, ("ceiling of the noise along u",), (AlignmentBound, "upper", always(0.1))),
    (
        RANDOM,
        ("alignment, upper bound",),
        (matrices, "alignment", scaled(matrices.alignment, 30.0)),
    ),
    (
        RANDOM,
        ("alignment, lower bound",),
        (matrices, "alignment", scaled(matrices.alignment, 1e-4)),
    ),
    (
        HUGE,
        ("reached where losses are huge",),
        (
            generalised_eigenvalues.Factor,
            "combined",
            scaled(generalised_eigenvalues.Factor.combined, 0.999),
        ),
    ),
    (
        IMAGES[0],
        ("the upper constant is reached",),
        (deep_training, "readings_along_training", with_readings(reached=3.0)),
    ),
    (
        IMAGES[1],
        ("trace ratio within its bounds", "the lower constant is reached"),
        (
            deep_training,
            "readings_along_training",
            with_readings(trace_ratio=1e9, least_loss=0.5),
        ),
    ),
    (IMAGES[1], ("noise along u",), (AlignmentBound, "guaranteed", always(10.0))),
    (IMAGES[0], ("ceiling of the noise along u",), (AlignmentBound, "upper", always(0.1))),
]


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("task", "names", "planted"),
    [
        pytest.param(*case, marks=[pytest.mark.needs_jit] if case[0] in IMAGES else [])
        for case in FALSEHOODS
    ],
)
def test_a_planted_falsehood_fails(task, names, planted, monkeypatch):
    before = verdicts(task)
    monkeypatch.setattr(*planted)
    after = verdicts(task)
    for name in names:
        assert "fails" not in before[name]
        assert "fails" in after[name]


@pytest.mark.needs_jit
@pytest.mark.usefixtures("small")
def test_every_check_has_a_planted_falsehood_a_legend_and_a_source(searched):
    planted = {name for _, names, _ in FALSEHOODS for name in names}
    found = [check for name in (EXACT, RANDOM, HUGE, *IMAGES) for check in run(name)]
    assert {check.statement.name for check in found} == planted
    assert all(check.verdict in (Verdict.HOLDS, Verdict.VACUOUS) for check in found)
    found += searched
    assert unexplained("deep", found) == []
    assert idle_symbols("deep", found) == []
    assert unknown_sources(found) == []


def test_searches_survive_and_break_the_false_claims(searched):
    assert {check.statement.name for check in searched} == {
        "upper order, worst case",
        "Fisher along u, worst case",
        "projection coefficient, worst case",
        "the search breaks a false claim",
    }
    assert [str(check.verdict) for check in searched] == ["holds"] * 8


def test_the_order_of_one_example_in_rational_arithmetic():
    third = Fraction(1, 3)
    # p = (1/3, 2/3), y = 0: r = (-2/3, 2/3), S = 2/9 [[1, -1], [-1, 1]], kappa = 2
    matrix = [[2 * third**2, -2 * third**2], [-2 * third**2, 2 * third**2]]
    case = exact_losses.OutputCase([-2 * third, 2 * third], matrix, Fraction(2))
    assert exact_losses.least_constant(case) == 2
    assert exact_losses.least_pivot(exact_losses.difference(case, Fraction(2))) == 0
    smaller = exact_losses.difference(case, 2 - Fraction(1, 10**40))
    assert exact_losses.least_pivot(smaller) < 0
    assert exact_losses.largest_loss([case]) == pytest.approx(np.log(3))
    outside = exact_losses.OutputCase([third, third], matrix, Fraction(2))
    with pytest.raises(ZeroDivisionError, match="not in the range"):
        exact_losses.least_constant(outside)


def test_the_cases_are_those_of_the_losses(rng):
    for _ in range(20):
        case = exact_losses.softmax_case(rng, 4, 3)
        hessian, gradient = (np.array(part, dtype=float) for part in (case.hessian, case.gradient))
        label = int(np.argmin(gradient))
        outputs = np.log(gradient + (np.arange(4) == label))[None]
        loss, targets = losses.SoftmaxCrossEntropy(), np.array([label])
        np.testing.assert_allclose(loss.gradient(outputs, targets)[0], gradient, atol=1e-12)
        np.testing.assert_allclose(loss.hessian(outputs, targets)[0], hessian, atol=1e-12)
        assert float(case.constant) == pytest.approx(np.expm1(loss(outputs, targets)[0]), rel=1e-6)


@dataclasses.dataclass(frozen=True)
class Outputs:
    """The small deep network as a model of its parameters, by another route."""

    network: deep_search.DeepNetwork

    @property
    def num_parameters(self):
        return self.network.num_parameters

    @property
    def num_outputs(self):
        return self.network.num_outputs

    def outputs(self, theta, inputs):
        value, start = inputs, 0
        for number, (rows, columns) in enumerate(self.network._shapes()):
            weights = theta[start : start + rows * columns].reshape(rows, columns)
            biases = theta[start + rows * columns : start + rows * (columns + 1)]
            value = value @ weights.T + biases
            start += rows * (columns + 1)
            if number < 2:
                value = self.network._activate(value)[0]
        return value


@pytest.mark.parametrize("activation", ["tanh", "relu", "gelu"])
def test_the_small_networks_are_the_ones_of_the_public_functions(activation, rng):
    network = deep_search.DeepNetwork(activation)
    x = network.starts(rng, 1)[0]
    theta, inputs = np.split(x, [network.num_parameters])
    labels = np.arange(8) % 2
    problem = AutogradModel(Outputs(network), losses.LogisticLoss(), inputs.reshape(8, 2), labels)
    outputs, rows = network.outputs_and_jacobian(x)
    np.testing.assert_allclose(outputs, problem.outputs(theta)[:, 0], rtol=1e-10)
    np.testing.assert_allclose(rows, problem.jacobians(theta)[:, 0], rtol=1e-8, atol=1e-12)
    values, bound = (
        deep_search.logistic_quantities(network, x),
        deep_alignment_bound(problem.at(theta)),
    )
    assert values["noise_coefficient"] == pytest.approx(bound.coefficient, rel=1e-6)
    assert values["gradient_share"] == pytest.approx(bound.gradient_share, rel=1e-6, abs=1e-12)
    assert values["ratio"] == pytest.approx(bound.constants.ratio)


@pytest.mark.parametrize("activation", ["tanh", "relu", "gelu"])
def test_the_margin_of_the_softmax_is_that_of_the_matrices(activation, rng):
    network = deep_search.DeepNetwork(activation, 3)
    x = network.starts(rng, 1, with_direction=True)[0]
    size = network.num_parameters
    theta, inputs, direction = x[:size], x[size:-size].reshape(8, 2), x[-size:]
    model = Outputs(network)
    _, along = network.outputs_along(x)
    slope = jacobian(lambda t: model.outputs(theta + t * direction, inputs))(0.0)
    np.testing.assert_allclose(along, slope, rtol=1e-8, atol=1e-10)
    at = AutogradModel(model, losses.SoftmaxCrossEntropy(), inputs, np.arange(8) % 3).at(theta)
    ratio = at.empirical_fisher.quadratic_form(direction) / (
        direction @ (at.gauss_newton @ direction)
    )
    highest = fisher_gauss_newton_order(at).constants.highest
    assert deep_search.softmax_margin(network, x) == pytest.approx(1 - ratio / highest, rel=1e-8)


@pytest.mark.needs_jit
def test_the_report_says_where_the_constants_are_vacuous(monkeypatch):
    monkeypatch.setattr(deep_training, "plan", lambda *_: (8, (0, 4, 30)))
    for name, words in (
        (IMAGES[0], "several outputs have no lower constant, C = 0, so that a ≤ 0 is vacuous"),
        (IMAGES[1], "vacuous where a ≤ 0"),
    ):
        (check,) = [check for check in run(name) if check.statement.name == "noise along u"]
        assert "at step 0, step 4, step 30" in check.finding
        assert "â from" in check.finding
        assert words in check.finding
        expected = Verdict.VACUOUS if name == IMAGES[0] else Verdict.HOLDS
        assert check.verdict is expected


def test_the_group_runs_where_it_is_named():
    assert "deep" in propositions.GROUPS
    assert "deep" not in command._chosen(None)
    assert command._chosen(["deep", "definition1"]) == ["definition1", "deep"]
    with pytest.raises(checks.InputError, match="name='a dozen'; expected one of"):
        deep_training.plan("a dozen", SETTINGS)


def test_an_exact_fit_has_no_coefficient(rng):
    model = networks.multilayer_perceptron((3, 4, 1), "tanh")
    inputs, theta = rng.standard_normal((5, 3)), model.initial_parameters(rng)
    outputs = networks.Network(model, losses.SquaredLoss(), inputs, np.zeros((5, 1))).outputs(theta)
    fitted = networks.Network(model, losses.SquaredLoss(), inputs, outputs)
    with pytest.raises(checks.InputError, match="every example is fitted exactly"):
        deep_alignment_bound(fitted.at(theta))
