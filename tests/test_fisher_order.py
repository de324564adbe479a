"""Fisher matrix, Gauss-Newton matrix and noise of any network: against dense matrices, by hand."""

import itertools

import numpy as np
import pytest
import scipy.linalg
from place_cases import every_foreign_place

from aniso import checks, matrices, networks, problems, propositions
from aniso.arrays import transfer
from aniso.memory import AllocationRefused
from aniso.problems import AutogradModel, losses
from aniso.propositions import generalised_eigenvalues, proposition3, trained_networks
from aniso.propositions.constants import snapshot

LOGISTIC, SQUARED = losses.LogisticLoss(), losses.SquaredLoss()
SOFTMAX, CLIPPED = losses.SoftmaxCrossEntropy(), losses.ClippedSquaredLoss(0.05)
# loss, widths, number of examples: fewer factors than parameters, and more
CASES = [
    (LOGISTIC, (3, 4, 4, 1), 9),
    (LOGISTIC, (3, 3, 3, 1), 50),
    (CLIPPED, (3, 3, 1), 60),
    (SQUARED, (3, 3, 3, 1), 50),
    (SQUARED, (3, 3, 2), 40),
    (SOFTMAX, (3, 3, 3, 2), 50),
    (SOFTMAX, (3, 4, 4, 3), 12),
    (SOFTMAX, (3, 3, 3), 40),
]


def draw(loss, widths, num_examples, rng, activation="tanh", problem=networks.Network):
    model = networks.multilayer_perceptron(widths, activation)
    inputs = rng.standard_normal((num_examples, widths[0]))
    if loss is SQUARED:
        targets = rng.standard_normal((num_examples, widths[-1]))
    else:
        targets = rng.integers(0, max(2, widths[-1]), num_examples)
    theta = model.initial_parameters(rng)
    if loss is CLIPPED:
        theta[-1] = 0.5  # the bias of the output: some examples lie within the clip
    return problem(model, loss, inputs, targets), theta


def dense(problem, theta):
    """Gradients of the examples, F, and G with its parts by example, from their definitions."""
    rows = problem.per_example_gradients(theta)
    parts = [
        jacobian.T @ curvature @ jacobian
        for jacobian, curvature in zip(
            problem.jacobians(theta), problem.output_hessians(theta), strict=True
        )
    ]
    return rows, rows.T @ rows / len(rows), sum(parts) / len(rows), parts


def least(matrix, scale):
    return np.linalg.eigvalsh(matrix)[0] / np.linalg.norm(scale, 2)


@pytest.mark.parametrize("activation", ["tanh", "gelu", "relu"])
@pytest.mark.parametrize(("loss", "widths", "count"), CASES)
def test_the_order_holds_for_dense_matrices(loss, widths, count, activation, rng):
    problem, theta = draw(loss, widths, count, rng, activation)
    order = propositions.fisher_gauss_newton_order(problem.at(theta))
    constants = order.constants
    rows, fisher, curvature, parts = dense(problem, theta)
    rounding = 64 * len(theta) * np.finfo(float).eps
    assert least(constants.highest * curvature - fisher, fisher) >= -rounding
    # a constant below the mean ratio is none
    assert least(0.9 * order.mean * curvature - fisher, fisher) < -rounding
    for row, part, constant in zip(rows, parts, constants.of_examples, strict=True):
        if part.any():
            own = np.outer(row, row)
            assert least(constant * part - own, part) >= -rounding * max(1, constant)
    assert constants.two_sided == (widths[-1] == 1 or (loss, widths[-1]) == (SOFTMAX, 2))
    if constants.two_sided:
        assert least(fisher - constants.lowest * curvature, fisher) >= -rounding
        assert least(fisher - 1.1 * order.mean * curvature, fisher) < -rounding
    slack = 1 + rounding
    ordered = [constants.lowest, order.smallest, order.mean, order.largest, constants.highest]
    assert all(low <= slack * high for low, high in itertools.pairwise(ordered))
    mean = np.sum(fisher * curvature) / np.square(curvature).sum()
    assert order.mean == pytest.approx(mean, rel=1e-10)


def root_of(matrix):
    values, vectors = np.linalg.eigh(matrix)
    return vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T


@pytest.mark.parametrize(("loss", "widths", "count"), CASES)
def test_the_extremes_are_generalised_eigenvalues(loss, widths, count, rng):
    problem, theta = draw(loss, widths, count, rng)
    order = propositions.fisher_gauss_newton_order(problem.at(theta))
    rows = problem.per_example_gradients(theta)
    # G = A^T A with A = U s V^T: the pencil of F and G is that of the rows times V / s
    roots = [
        root_of(part) @ jacobian
        for part, jacobian in zip(
            problem.output_hessians(theta), problem.jacobians(theta), strict=True
        )
    ]
    factor = np.concatenate(roots) / np.sqrt(count)
    _, values, vectors = np.linalg.svd(factor, full_matrices=False)
    kept = values > 1e-8 * values[0]
    basis = vectors[kept].T / values[kept]
    ratios = np.linalg.svd(rows @ basis / np.sqrt(count), compute_uv=False) ** 2
    smallest = ratios[-1] if count >= kept.sum() else 0
    if order.rank == kept.sum():
        # the singular values of the reference lose eight digits
        assert order.largest == pytest.approx(ratios[0], rel=1e-5)
        assert order.smallest == pytest.approx(smallest, rel=1e-3, abs=1e-6 * ratios[0])
    v = order.direction
    assert np.linalg.norm(v) == pytest.approx(1)
    along = [np.square(part @ v).sum() for part in (rows / np.sqrt(count), factor)]
    assert along[0] / along[1] == pytest.approx(order.largest, rel=1e-3)
    assert ratios[0] <= order.largest * (1 + 1e-5)


@pytest.mark.parametrize(("loss", "widths"), [(c[0], c[1]) for c in CASES if c[0] is not CLIPPED])
def test_independent_factors_reach_the_constants(loss, widths, rng):
    problem, theta = draw(loss, (*widths[:-1], 12, widths[-1]), 6, rng)
    order = propositions.fisher_gauss_newton_order(problem.at(theta))
    assert order.rank == order.num_factors
    assert order.largest == pytest.approx(order.constants.highest, rel=1e-12)
    if order.constants.two_sided:
        assert order.smallest == pytest.approx(order.constants.lowest, rel=1e-12)
    else:
        assert order.smallest == 0


def test_a_huge_loss_keeps_its_digits(rng):
    problem, theta = draw(SOFTMAX, (3, 5, 6, 3), 10, rng)
    last = list(problem.blocks.values())[-1]
    for _ in range(40):
        theta[last] *= 60 / problem.losses(theta).max()
    order = propositions.fisher_gauss_newton_order(problem.at(theta))
    expected = np.expm1(problem.losses(theta).max())
    assert expected > 1e25
    assert order.largest == pytest.approx(expected, rel=1e-11)
    # in the sum over the examples there is no digit left
    _, fisher, curvature, _ = dense(problem, theta)
    v = order.direction
    assert abs((v @ fisher @ v) / (v @ curvature @ v) / expected - 1) > 1e-3


def test_a_network_that_has_learnt_every_label_is_compared_too(rng):
    """Losses below 1e-12: the curvature of a confident prediction is no rounding."""
    problem, theta = draw(SOFTMAX, (3, 5, 6, 3), 10, rng)
    last = list(problem.blocks.values())[-1]
    theta[last] *= 200 / np.sort(np.ptp(problem.outputs(theta), axis=1))[0]
    labels = problem.outputs(theta).argmax(axis=1)
    learnt = networks.Network(problem.model, SOFTMAX, problem.inputs, labels)
    order = propositions.fisher_gauss_newton_order(learnt.at(theta))
    assert order.largest <= order.constants.highest * (1 + 1e-12)
    bound = propositions.deep_alignment_bound(learnt.at(theta))
    assert bound.lower <= bound.coefficient <= bound.upper * (1 + 1e-9)


def line(targets=((0.0,), (0.0,))):
    """f = theta x at x = 1 and 2, squared loss: g_i = 2 x (theta x - y)."""

    class Slope:
        num_parameters, num_outputs = 1, 1

        def outputs(self, theta, inputs):
            return theta[0] * inputs

    return AutogradModel(Slope(), SQUARED, [[1.0], [2.0]], targets)


def test_constants_by_hand():
    constants = propositions.order_constants(line().at([1.0]))
    # losses 1 and 4, so 2 and 8
    assert constants.of_examples.tolist() == pytest.approx([2.0, 8.0])
    assert (constants.lowest, constants.highest) == pytest.approx((2.0, 8.0))
    assert constants.ratio == pytest.approx(0.25)
    assert (constants.two_sided, constants.num_active) == (True, 2)


@pytest.mark.parametrize(("loss", "widths", "count"), CASES)
def test_constants_are_those_of_the_losses(loss, widths, count, rng):
    problem, theta = draw(loss, widths, count, rng)
    found = propositions.order_constants(problem.at(theta))
    values = problem.losses(theta)
    if loss is CLIPPED:
        active = loss.active(problem.outputs(theta))
        assert found.num_active == active.sum() > 0
        expected = np.where(active, 2 * values, 0)
    else:
        expected = 2 * values if loss is SQUARED else np.expm1(values)
        active = np.ones(count, dtype=bool)
    np.testing.assert_allclose(found.of_examples, expected, rtol=1e-12)
    assert found.lowest == (found.of_examples[active].min() if found.two_sided else 0)


def test_the_noise_along_u_by_hand():
    bound = propositions.deep_alignment_bound(line().at([1.0]))
    # g_i = 2 and 8, g = 5, Sigma = 9, G = mean of 2 x^2 = 5
    assert (bound.eigenvalue, bound.curvature_trace, bound.noise_trace) == pytest.approx((5, 5, 9))
    assert bound.coefficient == pytest.approx(1)
    assert bound.gradient_share == pytest.approx(25 / 9)
    assert bound.guaranteed == pytest.approx(0.25 - 25 / 9)
    assert bound.is_vacuous
    assert bound.lower == pytest.approx(2 * 5 / 9 - 25 / 9)
    assert bound.upper == pytest.approx(8 * 5 / 9 - 25 / 9)
    assert bound.guaranteed_ratio == pytest.approx(bound.guaranteed)
    assert bound.ratio_ceiling == pytest.approx(8 * 5 / 9)
    assert "vacuous" in repr(bound)
    # y = -1 and 8: residuals 2 and -6, so g_i = 4 and -24, g = -10, Sigma = 196
    other = propositions.deep_alignment_bound(line([[-1.0], [8.0]]).at([1.0]))
    assert other.guaranteed == pytest.approx(8 / 72 - 100 / 196)
    # residuals 1 and -1/2: g_i = 2 and -2, so that the mean gradient is 0
    still = propositions.deep_alignment_bound(line([[0.0], [2.5]]).at([1.0]))
    assert still.guaranteed == pytest.approx(0.25)
    assert not still.is_vacuous


@pytest.mark.parametrize(("loss", "widths", "count"), CASES)
@pytest.mark.parametrize("kind", [networks.Network, AutogradModel])
def test_the_bound_is_that_of_dense_matrices(kind, loss, widths, count, rng):
    problem, theta = draw(loss, widths, count, rng, problem=kind)
    bound = propositions.deep_alignment_bound(problem.at(theta))
    rows, _, curvature, _ = dense(problem, theta)
    noise = np.cov(rows.T, bias=True)
    values, vectors = np.linalg.eigh(curvature)
    scale = np.trace(curvature) / (values[-1] * np.trace(noise))
    u, mean = vectors[:, -1], rows.mean(axis=0)
    assert bound.eigenvalue == pytest.approx(values[-1])
    assert bound.coefficient == pytest.approx(u @ noise @ u * scale, rel=1e-6)
    assert bound.gradient_share == pytest.approx((u @ mean) ** 2 * scale, rel=1e-6, abs=1e-12)
    ordered = [bound.guaranteed, bound.lower, bound.coefficient, bound.upper]
    assert all(low <= high + 1e-9 for low, high in itertools.pairwise(ordered))
    ratio = matrices.trace_ratio(curvature, noise)
    assert bound.guaranteed_ratio <= ratio <= bound.ratio_ceiling * (1 + 1e-9)
    square, along = np.square(curvature).sum(), mean @ curvature @ mean
    constants, aligned = bound.constants, np.sum(curvature * noise)
    assert aligned <= (constants.highest * square - along) * (1 + 1e-9)
    assert aligned >= (constants.lowest * square - along) * (1 - 1e-9)


def test_one_hidden_layer_gives_the_constant_of_proposition3():
    case = trained_networks.TrainingCase(trained_networks.POINTS, "logistic", "relu", 16, 0)
    problem = trained_networks.training_objective(case)
    theta = trained_networks.initial_parameters(case, problem.model)
    readings = snapshot(problem, theta).readings()
    bound = propositions.deep_alignment_bound(problem.at(theta))
    promised = proposition3.guaranteed_coefficient(readings, "logistic")
    assert bound.guaranteed == pytest.approx(promised, rel=1e-9)
    assert bound.coefficient == pytest.approx(readings.projection_coefficient, rel=1e-6)
    assert bound.constants.ratio == pytest.approx(readings.weight_ratio)


@every_foreign_place
def test_a_network_on_another_device_gives_the_same_numbers(place, rng):
    problem, theta = draw(SOFTMAX, (3, 4, 3), 8, rng)
    inputs, labels = (transfer.to_device(a, place) for a in (problem.inputs, problem.targets))
    there = networks.Network(problem.model, SOFTMAX, inputs, labels)
    at, expected = there.at(transfer.to_device(theta, place)), problem.at(theta)
    order, own = (propositions.fisher_gauss_newton_order(point) for point in (at, expected))
    assert order.largest == pytest.approx(own.largest, rel=1e-10)
    bound, known = (propositions.deep_alignment_bound(point) for point in (at, expected))
    assert bound.coefficient == pytest.approx(known.coefficient, rel=1e-8)
    assert bound.guaranteed == pytest.approx(known.guaranteed, rel=1e-8)


def test_a_problem_without_outputs_is_refused_by_name():
    bowl = problems.quadratic_problem([[2.0]], [0.0], [[1.0], [-1.0]])
    for function in (
        propositions.order_constants,
        propositions.fisher_gauss_newton_order,
        propositions.deep_alignment_bound,
    ):
        with pytest.raises(problems.MissingFaculty, match=r"has no outputs\(theta\)"):
            function(bowl.at([3.0]))
        with pytest.raises(checks.InputError, match="geometry is of type ndarray; expected"):
            function(np.eye(2))


def test_a_loss_without_a_root_is_refused_by_name(rng):
    class Huber:
        def check_targets(self, targets, *_):
            return np.asarray(targets)

        def gradient(self, outputs, targets):
            return np.clip(outputs - targets, -1, 1)

        def hessian(self, outputs, targets):
            return (np.abs(outputs - targets) < 1)[..., None].astype(float)

    model = networks.multilayer_perceptron((3, 1))
    own = AutogradModel(model, Huber(), rng.standard_normal((4, 3)), np.zeros((4, 1)))
    with pytest.raises(checks.InputError, match="has no hessian_root, whitened_gradient; expected"):
        propositions.order_constants(own.at(np.zeros(4)))


def test_a_constant_beyond_floats_is_refused_with_its_example():
    model = networks.multilayer_perceptron((1, 1))
    network = networks.Network(model, LOGISTIC, [[1.0], [1000.0]], [0, 0])
    with pytest.raises(checks.InputError, match="the loss 1000 of example 1 makes its constant"):
        propositions.order_constants(network.at([1.0, 0.0]))


def test_nothing_to_compare_is_refused():
    model = networks.multilayer_perceptron((1, 1))
    dead = networks.Network(model, CLIPPED, [[1.0], [2.0]], [0, 1]).at([0.0, 5.0])
    assert propositions.order_constants(dead).num_active == 0
    for function in (propositions.fisher_gauss_newton_order, propositions.deep_alignment_bound):
        with pytest.raises(checks.InputError, match="no example has a curvature"):
            function(dead)
    equal = networks.Network(model, SQUARED, [[1.0], [1.0]], [[0.0], [0.0]]).at([1.0, 0.0])
    with pytest.raises(checks.InputError, match="gradients of all examples are equal"):
        propositions.deep_alignment_bound(equal)


def test_jacobians_that_do_not_fit_are_refused(monkeypatch, rng):
    problem, theta = draw(SOFTMAX, (3, 4, 3), 8, rng)
    at = problem.at(theta)
    monkeypatch.setattr("aniso.memory.available_bytes", lambda: 1000)
    with pytest.raises(AllocationRefused, match="the Jacobians of 8 examples and their factors"):
        propositions.fisher_gauss_newton_order(at)


def test_a_factor_with_dependent_rows(rng):
    rows = rng.standard_normal((3, 2))
    rows = np.concatenate([rows, rows[:1]])
    weights, examples = np.array([1.0, 2.0, 3.0, 4.0]), np.array([0, 1, 2, 3])
    found = generalised_eigenvalues.Factor(rows, weights, examples).extremes(reached_below=True)
    scaled = weights[:, None] * rows
    values = scipy.linalg.eigh(scaled.T @ scaled, rows.T @ rows, eigvals_only=True)
    assert found.rank == 2
    assert (found.smallest, found.largest) == pytest.approx((values[0], values[1]))
