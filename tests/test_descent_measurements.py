"""What a run records: against dense matrices, and where the loss or theta gives out."""

import inspect
import re

import numpy as np
import pytest
import seeds
from descent_cases import HESSIAN, NUM_EXAMPLES, Bare, bowl, chosen, covariance_of, network
from tolerances import assert_equal_up_to_rounding, assert_within_sampling_error

from aniso import checks, descent, networks
from aniso.descent import (
    hessian_pairs,
)
from aniso.matrices import (
    noise as gradient_noise,
)
from aniso.problems import AutogradModel, local_geometry, losses
from aniso.problems.quadratic import quadratic_problem

# ---- measurements


def test_measurements_agree_with_dense_matrices(rng):
    objective = network(rng)
    theta = rng.standard_normal(objective.num_parameters)
    quantities = ("accuracy", "gradient_norm", "noise", "curvature", "leading", "sharpness", "test")
    plan = descent.Measurements((0,), quantities, objective, radius=1e-3, num_draws=200)
    found = plan.at(objective, theta, rng)
    hessian = objective.hessian(theta)
    covariance = gradient_noise.gradient_covariance(objective.per_example_gradients(theta))
    sigma = covariance.to_dense()
    aligned = float(np.trace(hessian @ sigma))
    size = np.abs(hessian).max() * np.trace(sigma)
    assert_equal_up_to_rounding(found["alignment"], aligned, num_terms=1000, scale=size)
    isotropic = np.trace(hessian) * np.trace(sigma) / len(theta)
    assert_equal_up_to_rounding(found["isotropic_alignment"], isotropic, num_terms=1000, scale=size)
    assert found["trace_ratio"] == found["alignment"] / found["isotropic_alignment"]
    values, vectors = np.linalg.eigh(hessian)
    assert found["leading_eigenvalue"] == pytest.approx(values[-1], rel=1e-6)
    coefficient = covariance.quadratic_form(vectors[:, -1]) * np.trace(hessian)
    assert found["projection_coefficient"] == pytest.approx(
        coefficient / (values[-1] * np.trace(sigma)), rel=1e-6
    )
    outputs = objective.outputs(theta)
    assert found["accuracy"] == np.mean(outputs.argmax(axis=1) == objective.targets)
    assert found["test_accuracy"] == found["accuracy"]
    assert found["test_loss"] == found["loss"] == objective.loss(theta)
    assert found["gradient_norm"] == pytest.approx(np.linalg.norm(objective.gradient(theta)))
    assert found["layer_noise_trace"].sum() == pytest.approx(np.trace(sigma))
    # to second order, where no kink lies within the radius; a kink moves it by far less than this
    assert abs(found["expected_sharpness"]) < 10 * 1e-6 * max(1.0, np.abs(values).sum())


def test_measurements_of_an_objective_that_is_no_network(rng):
    objective, theta = bowl(rng), np.ones(4)
    plan = descent.Measurements((0,), ("noise", "curvature", "leading"))
    found = plan.at(objective, theta, rng)
    sigma = gradient_noise.gradient_covariance(objective.per_example_gradients(theta)).to_dense()
    assert_equal_up_to_rounding(
        [found["hessian_trace"], found["alignment"], found["isotropic_alignment"]],
        [6.6, np.trace(HESSIAN @ sigma), 6.6 * np.trace(sigma) / 4],
        num_terms=200,
        scale=4 * np.trace(sigma) + 10,
    )
    # alignment and trace of Sigma cancel up to their own rounding
    ratio = 4 * np.trace(HESSIAN @ sigma) / (6.6 * np.trace(sigma))
    assert_equal_up_to_rounding(found["trace_ratio"], ratio, num_terms=400)
    assert_equal_up_to_rounding(found["leading_eigenvalue"], 4.0, num_terms=50)
    expected = sigma[0, 0] * 6.6 / (4 * np.trace(sigma))
    assert_equal_up_to_rounding(found["projection_coefficient"], expected, num_terms=200)


def test_ratios_without_a_positive_denominator_are_not_numbers(rng):
    hill = quadratic_problem(-np.eye(2), np.zeros(2), rng.standard_normal((6, 2)))
    plan = descent.Measurements((0,), ("curvature", "leading"))
    found = plan.at(hill, np.zeros(2), rng)
    assert found["isotropic_alignment"] < 0
    assert np.isnan(found["trace_ratio"])
    assert np.isnan(found["projection_coefficient"])


def test_recorded_sharpness_is_that_of_the_stated_radius(rng):
    radius, num_draws = 0.3, 2000
    plan = descent.Measurements((0, 2), ("sharpness",), radius=radius, num_draws=num_draws)
    made = chosen("gd", num_steps=2)
    records = descent.simulate_descent(bowl(rng), np.ones(4), made, rng, measurements=plan).records
    found, errors = records["expected_sharpness"], records["expected_sharpness_error"]
    expected = radius**2 * np.trace(HESSIAN) / 2
    assert_within_sampling_error(found, expected, errors)
    # a pair gives nu^T H nu / 2, of variance radius^4 Tr H^2 / 2; over 1000 pairs the error bar
    # itself is known to 5 %, six times less than allowed
    deviation = radius**2 * np.sqrt(np.trace(HESSIAN @ HESSIAN) / 2)
    assert np.abs(errors / (deviation / np.sqrt(num_draws / 2)) - 1).max() < 0.3
    with pytest.raises(AssertionError, match="sampling"):
        assert_within_sampling_error(found, 1.3 * expected, errors)


def test_many_parameters_take_operators_in_the_place_of_arrays(rng, monkeypatch):
    objective, theta = bowl(rng), np.ones(4)
    plan = descent.Measurements((0,), ("curvature", "leading"))
    dense = plan.at(objective, theta, rng)
    noise = covariance_of("gld_hessian", objective, theta, rng).to_dense()
    monkeypatch.setattr(hessian_pairs, "_DENSE_REFRESH_DIMENSION", 2)
    monkeypatch.setattr(local_geometry, "DENSE_DIMENSION", 2)
    sparse = plan.at(objective, theta, rng)
    for name, value in dense.items():
        if name != "leading_residual":
            assert sparse[name] == pytest.approx(value, rel=1e-6), name
    again = covariance_of("gld_hessian", objective, theta, rng).to_dense()
    # a block of four vectors spans all four dimensions: far better than the default of 1e-2
    assert np.abs(again - noise).max() < 1e-2 * np.trace(noise)


@pytest.mark.parametrize("num_pairs", [1, 3])
@pytest.mark.parametrize("tolerance", [1e-2, 1e-7])
def test_eigenpairs_of_a_network_have_the_residuals_asked_for(
    num_pairs, tolerance, rng, monkeypatch
):
    objective = network(rng)
    theta = rng.standard_normal(objective.num_parameters)
    hessian = objective.hessian(theta)
    monkeypatch.setattr(hessian_pairs, "_DENSE_REFRESH_DIMENSION", 2)
    made = chosen("gld_hessian", eigen_tolerance=tolerance)
    pairs = hessian_pairs.hessian_eigenpairs(objective.at(theta), made, num_pairs)
    # measured in double precision, whichever the products had; twice as the iteration allows
    vectors = pairs.vectors.astype(np.float64)
    residuals = np.linalg.norm(hessian @ vectors - vectors * pairs.values, axis=0)
    assert residuals.max() <= 3 * tolerance * np.abs(hessian).sum(axis=1).max()
    again = hessian_pairs.hessian_eigenpairs(
        objective.at(theta), made, num_pairs, start=pairs.vectors
    )
    values = np.linalg.eigvalsh(hessian)[::-1]
    size = np.abs(values).max()
    # a residual r moves a Ritz value by at most r; from its own vectors no pair gets worse
    assert np.abs(again.values - pairs.values).max() <= 4 * tolerance * size
    assert pairs.values[0] == pytest.approx(values[0], abs=2 * tolerance * size)


def test_a_gradient_that_overflows_ends_the_run(rng):
    class Cliff(Bare):
        """Gradients that are not finite beyond the first step."""

        def example_gradients(self, theta):
            scale = 1.0 if theta[0] == 1.0 else np.inf
            return scale * rng.standard_normal((NUM_EXAMPLES, 2))

        def gradient(self, theta):
            return self.example_gradients(theta).mean(axis=0)

    made = chosen("gld_dynamic", num_steps=4)
    result = descent.simulate_descent(Cliff(), np.ones(2), made, rng)
    assert (result.status, result.step) == ("diverged", 1)


@pytest.mark.parametrize("quantities", [("test",), ("gradient_norm", "test")])
def test_a_refusal_that_is_no_fault_of_theta_is_no_divergence(quantities, rng):
    objective = network(rng)
    larger = networks.Network(
        networks.multilayer_perceptron((3, 6, 2)),
        losses.SoftmaxCrossEntropy(),
        objective.inputs,
        objective.targets,
    )
    plan = descent.Measurements((2, 4), quantities, larger)
    start = rng.standard_normal(objective.num_parameters)
    with pytest.raises(checks.InputError, match="theta has shape"):
        descent.simulate_descent(objective, start, chosen("gd"), rng, measurements=plan)


@pytest.mark.parametrize("refused", ["loss", "gradient"])
def test_a_theta_that_the_objective_refuses_is_a_divergence(refused, rng):
    class Fenced(Bare):
        """A bowl that refuses any theta within 1/2 of its minimum."""

        def loss(self, theta):
            self.fence("loss", theta)
            return float(theta @ theta)

        def gradient(self, theta):
            self.fence("gradient", theta)
            return 2 * theta

        def fence(self, name, theta):
            if name == refused and np.linalg.norm(theta) < 0.5:
                raise checks.InputError("theta is out of bounds")

    plan = descent.Measurements(range(7))
    result = descent.simulate_descent(Fenced(), np.ones(2), chosen("gd"), rng, measurements=plan)
    # after five steps theta is 0.8^5 of the start, 0.46 in norm
    assert (result.status, result.step) == ("diverged", 5)
    assert "step 5: theta is out of bounds; the last recorded loss" in result.message


def test_the_objective_refuses_a_bad_start_itself(rng):
    with pytest.raises(checks.InputError, match="theta"):
        descent.simulate_descent(bowl(rng), np.ones(3), chosen("gd"), rng)


@pytest.mark.parametrize("count", [3, 5])
def test_accuracy_of_rows_of_targets(count):
    inputs, stack = np.eye(5)[:count], networks.multilayer_perceptron((5, 3))
    labels = np.array([0, 1, 2, 0, 1])[:count]
    theta = np.zeros(stack.num_parameters)
    right = networks.Network(stack, losses.SquaredLoss(), inputs, np.eye(3)[labels])
    jacobian = right.jacobians(theta).reshape(3 * count, -1)
    fitted = np.linalg.lstsq(jacobian, np.eye(3)[labels].ravel(), rcond=None)
    assert descent.accuracy(right, fitted[0]) == 1.0
    moved = networks.Network(
        stack, losses.SquaredLoss(), inputs, np.eye(3)[np.append((labels[0] + 1) % 3, labels[1:])]
    )
    assert descent.accuracy(moved, fitted[0]) == (count - 1) / count
    plan = descent.Measurements((0,), ("test", "groups"), moved, groups={"clean": right})
    found = plan.at(right, fitted[0], seeds.generator())
    assert found["test_accuracy"] == (count - 1) / count
    assert found["clean_accuracy"] == 1.0
    # targets without labels, at the construction and at the start of a run
    tied = networks.Network(stack, losses.SquaredLoss(), inputs, np.ones((count, 3)))
    for call in (
        lambda: descent.accuracy(tied, theta),
        lambda: descent.Measurements((0,), ("test",), tied),
        lambda: descent.Measurements((0,), ("accuracy",)).check_run(tied, 1),
    ):
        with pytest.raises(checks.InputError, match=r"\[1.0, 1.0, 1.0\] at index 0; expected one"):
            call()


def test_accuracy_of_one_output(rng):
    from aniso.descent import accuracy

    model = networks.one_hidden_layer(1, 2)
    theta = np.array([1.0, 0.0, 0.0, 0.0])  # f = relu(x)
    inputs, targets = np.array([[0.2], [0.7], [0.9], [-1.0]]), np.array([0, 1, 0, 0])
    clipped = AutogradModel(model, losses.ClippedSquaredLoss(), inputs, targets)
    logistic = AutogradModel(model, losses.LogisticLoss(), inputs, targets)
    assert accuracy(clipped, theta) == 0.75  # 0.9 is above 1/2
    assert accuracy(logistic, theta) == 0.5  # 0.2 and 0.9 are above 0
    del rng


@pytest.mark.parametrize("antithetic", [True, False])
def test_expected_sharpness_of_a_quadratic(antithetic, rng):
    from aniso.descent.sharpness import expected_sharpness

    objective = bowl(rng)
    found = expected_sharpness(objective, np.zeros(4), 0.1, 2000, rng, antithetic=antithetic)
    assert_within_sampling_error(found, 0.01 * 6.6 / 2)
    with pytest.raises(AssertionError, match="sampling"):
        assert_within_sampling_error(found, 0.01 * 6.6)  # without the factor 1/2


def test_the_table_of_the_docstring_holds_what_each_quantity_records(rng):
    objective = network(rng)
    theta = rng.standard_normal(objective.num_parameters)
    text = inspect.cleandoc(descent.Measurements.__doc__)  # Python 3.13 removes the indentation
    table = text.split("names in the records")[1].split("Examples")[0]
    told = dict(re.findall(r'^"(\w+)" +(.*?)(?=^["=])', table, re.M | re.S))
    assert list(told) == ["loss", *descent.measurements.QUANTITIES]
    for quantity, text in told.items():
        own = {"groups": {"NAME": objective}, "origin": theta}
        plan = descent.Measurements((0,), [quantity], objective, **own)
        recorded = {"loss"} | set(plan.at(objective, theta, rng))
        words = set(re.findall(r"\w+", text.split(", for")[0]))
        assert recorded - words <= {"loss"}
        assert {word for word in words if "_" in word} - recorded <= {"Sigma_1"}


def test_groups_and_distance_by_hand(rng):
    whole = network(rng)
    theta = rng.standard_normal(whole.num_parameters)
    moved = theta + 3.0 * np.eye(len(theta))[0]
    parts = {"first": whole.subset(np.arange(4)), "last": whole.subset(np.arange(4, 12))}
    plan = descent.Measurements((0,), ("groups", "distance"), groups=parts, origin=theta)
    found = plan.at(whole, moved, rng)
    assert found["distance"] == pytest.approx(3.0)
    own = whole.losses(moved)
    assert found["first_loss"] == pytest.approx(own[:4].mean())
    assert found["last_loss"] == pytest.approx(own[4:12].mean())
    right = whole.outputs(moved).argmax(axis=1) == whole.targets
    assert found["last_accuracy"] == pytest.approx(right[4:12].mean())
