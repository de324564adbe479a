"""Every reading of a diagnosis against dense matrices, and what a false argument changes."""

from pathlib import Path

import autograd.numpy
import numpy as np
import pytest
import reference_stability
import seeds
from diagnosis_references import expected

from aniso import checks, diagnostics, networks, problems
from aniso.diagnostics import planning, registry
from aniso.problems import losses

ROOT = Path(__file__).parents[1]
SETTINGS = {"batch_size": 3, "replacement": False, "learning_rate": 0.05}


def small_network(rng, widths=(2, 3, 3), count=12, form=networks.Network):
    stack = networks.multilayer_perceptron(widths, "tanh")
    inputs = rng.standard_normal((count, widths[0]))
    targets = rng.integers(0, widths[-1], count)
    problem = form(stack, losses.SoftmaxCrossEntropy(), inputs, targets)
    return problem, 2 * stack.initial_parameters(rng)


def curved(theta, x, y):
    """A loss of three parameters that is no quadratic."""
    outputs = x @ theta
    return autograd.numpy.tanh(outputs) * y + (outputs - y) ** 2 / 2


def own_loss(rng):
    x, y = rng.standard_normal((9, 3)), rng.standard_normal(9)
    return problems.AutogradProblem(curved, x, y), rng.standard_normal(3)


def references(problem, theta, num_pairs, **changed):
    settings = SETTINGS | changed
    return expected(
        problem.losses(theta),
        np.asarray(problem.per_example_gradients(theta)),
        problem.hessian(theta),
        size=settings["batch_size"],
        replacement=settings["replacement"],
        rate=settings["learning_rate"],
        num_pairs=min(num_pairs, theta.size),
        parts=problem.at(theta).blocks,
    )


def measured(problem, theta, **changed):
    options = {"rng": seeds.generator(3), "num_pairs": 2} | SETTINGS | changed
    return diagnostics.measure(problem, theta, **options)


@pytest.mark.parametrize("case", [small_network, own_loss])
@pytest.mark.parametrize("replacement", [True, False])
def test_every_reading_has_its_exact_value(rng, case, replacement):
    problem, theta = case(rng)
    found = measured(problem, theta, quantities="all", replacement=replacement)
    wanted = references(problem, theta, 2, replacement=replacement)
    exact = {name: reading for name, reading in found.items() if name in wanted}
    assert set(wanted) - set(exact) == set(wanted) & set(found.refused)
    for name, reading in exact.items():
        np.testing.assert_allclose(reading.value, wanted[name], rtol=1e-8, err_msg=name)
        assert reading.standard_error == 0, name
    others = {"critical_sharpness", "batch_sharpness", "outliers", "stability_threshold"}
    assert set(found) | set(found.refused) == set(wanted) | others


def test_readings_of_sampled_batches_and_of_the_threshold(rng):
    problem, theta = small_network(rng)
    found = measured(problem, theta, quantities=["batch_sharpness", "stability_threshold"])
    singles = [problem.subset([i]) for i in range(problem.num_examples)]
    means = reference_stability.both_sharpnesses(
        np.stack([single.hessian(theta) for single in singles]),
        np.stack([single.gradient(theta) for single in singles]),
        3,
        replacement=False,
    )
    sharpness = found["batch_sharpness"]
    assert abs(sharpness.value - means[0]) < 5 * sharpness.standard_error
    jacobians, weights = problem.jacobians(theta), problem.output_hessians(theta)
    gauss_newton = np.einsum("ica,icd,idb->iab", jacobians, weights, jacobians)
    rate = found["stability_threshold"].value
    radius = [
        reference_stability.spectral_radius(gauss_newton, share * rate, 3, replacement=False)
        for share in (0.99, 1.01)
    ]
    assert radius[0] < 1 + 1e-9 < radius[1]


def test_critical_sharpness_of_a_quadratic_is_the_directional_one(rng):
    hessian, rows = np.diag([4.0, 1.0]), rng.standard_normal((6, 2))
    bowl = problems.quadratic_problem(hessian, [0.0, 0.0], rows - rows.mean(axis=0))
    found = measured(bowl, [1.0, 2.0])
    critical, along = found["critical_sharpness"], found["directional_sharpness"]
    np.testing.assert_allclose(along.value, (64 + 4) / (16 + 4), rtol=1e-12)
    assert abs(critical.value - along.value) <= critical.standard_error < 0.01


def test_estimates_of_many_parameters_agree_within_their_errors(rng):
    problem, theta = small_network(rng, (10, 16, 16, 3), 40)
    found = measured(problem, theta, num_pairs=4)
    wanted = references(problem, theta, 4)
    assert not found.refused
    assert found["alignment"].standard_error > 0
    for name, reading in found.items():
        if name in wanted:
            error = 5 * reading.standard_error + 2e-3 * abs(wanted[name])
            assert abs(reading.value - wanted[name]) <= error, name
    blocks, at = found.blocks, problem.at(theta).by_block()
    for number, name in enumerate(at.names):
        row = blocks[name]
        assert abs(row["Tr H"] - at.hessian_traces[number]) <= 5 * row["Tr H error"]
        np.testing.assert_allclose(row["Tr Sigma"], at.covariance_traces[number], rtol=1e-9)
        wrong = abs(row["Tr(H Sigma)"] - at.alignments[number])
        assert wrong <= 5 * row["Tr(H Sigma) error"] + 1e-9
    again = measured(problem, theta, num_pairs=4, quantities=["alignment", "trace_ratio"])
    assert all(again[name] == found[name] for name in again)  # whatever else is computed


OF_BATCHES = {"gradient_signal", "loss_change", "batch_sharpness", "stability_threshold"}


def test_a_wrong_batch_size_changes_the_readings_of_batches_alone(rng):
    problem, theta = small_network(rng)
    right, wrong = (measured(problem, theta, quantities="all", batch_size=size) for size in (3, 6))
    changed = {name for name in right if right[name].value != wrong[name].value}
    assert changed == OF_BATCHES
    told = {name for name in right if right[name].sentence != wrong[name].sentence}
    assert told >= OF_BATCHES
    wanted = references(problem, theta, 2, batch_size=6)
    np.testing.assert_allclose(
        right["loss_change"].value, references(problem, theta, 2)["loss_change"]
    )
    assert abs(right["loss_change"].value / wanted["loss_change"] - 1) > 1e-3


def test_sentences_hold_the_numbers(rng):
    problem, theta = small_network(rng)
    found = measured(problem, theta, quantities="all")
    for reading in found.values():
        assert "{" not in reading.sentence
        assert reading.sentence.endswith(".")
        assert f"{reading.value:.3g}"[:3] in reading.sentence, reading
    ratio = found["trace_ratio"]
    assert ratio.sentence == (
        f"The noise is {ratio.value:.4g} times as aligned with the curvature as isotropic noise of "
        "the same size."
    )


def test_the_registry_names_headings_that_exist():
    for quantity in registry.QUANTITIES.values():
        page, _, heading = quantity.source.partition(", ")
        assert quantity.tier in registry.TIERS
        lines = (ROOT / page).read_text(encoding="utf-8").splitlines()
        assert {f"## {heading}", f"### {heading}"} & set(lines), quantity.source
        assert set(planning.needs(quantity)) <= set(planning.PARTS)


def test_what_is_missing_is_refused_with_its_reason(rng):
    problem, theta = own_loss(rng)
    found = measured(problem, theta, quantities="all", learning_rate=None)
    assert "learning_rate=None" in found.refused["loss_change"]
    assert "has no" in found.refused["stability_threshold"]
    assert "AutogradModel have it" in found.refused["stability_threshold"]
    with pytest.raises(KeyError, match="loss_change was refused"):
        found["loss_change"]
    bowl = problems.quadratic_problem([[2.0]], [0.0], [[1.0], [-1.0], [0.0]])
    at_minimum = measured(bowl, [0.0], batch_size=1)
    assert "the signal of the examples is 0" in at_minimum.refused["noise_scale"]
    np.testing.assert_allclose(at_minimum["alignment"].value, 2 * 2 / 3, rtol=1e-12)


def test_a_mistake_of_the_program_is_raised(rng, monkeypatch):
    problem, theta = own_loss(rng)

    def wrong(*_):
        raise ZeroDivisionError("planted")

    for name in ("hessian_product", "hessian"):
        monkeypatch.setattr(problem, name, wrong)
    with pytest.raises(ZeroDivisionError, match="planted"):
        measured(problem, theta)
    assert len(measured(problem, theta, quantities="first_order")) == 6


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"batch_size": 13}, "batch_size=13; expected an integer with 1 <= batch_size <= N=12"),
        ({"replacement": None}, "replacement=None"),
        ({"quantities": "sharp"}, "quantities='sharp'; expected one of: standard, all"),
        ({"quantities": []}, "quantities=\\[\\]; expected 'standard'"),
        ({"relative_error": 0}, "relative_error=0"),
        ({"learning_rate": -1.0}, "learning_rate=-1.0"),
        ({"num_examples": 13}, "num_examples=13; expected an integer with 4 <= num_examples <= N"),
        ({"optimizer": "adam"}, "optimizer is of type str; expected a torch.optim"),
        ({"rng": 3}, "rng=3; expected a numpy.random.Generator"),
        ({"progress": 1}, "progress=1; expected a function"),
        ({"blocks": {"a": 3}}, "blocks"),
    ],
)
def test_wrong_arguments_are_refused_first(rng, changed, message):
    problem, theta = small_network(rng)
    with pytest.raises(checks.InputError, match=message):
        measured(problem, theta, **changed)
    with pytest.raises(checks.InputError, match="theta=None, and a Network has no initial_theta"):
        measured(problem, None)
    with pytest.raises(checks.InputError, match="problem is a geometry"):
        measured(problem.at(theta), theta)


def test_a_geometry_gives_the_same_and_json_keeps_all(rng):
    problem, theta = small_network(rng)
    told = []
    found = measured(problem.at(theta), None, progress=lambda *state: told.append(state))
    other = measured(problem, theta)
    assert {name: reading.value for name, reading in found.items()} == {
        name: reading.value for name, reading in other.items()
    }
    read = diagnostics.Diagnosis.from_json(found.to_json())
    assert read == found
    assert found.problem["loss"] == "SoftmaxCrossEntropy"
    assert told[0] == (0, len(found), "loss")
    assert told[-1] == (len(found), len(found), "")


def test_an_autograd_model_and_a_network_agree(rng):
    network, theta = small_network(rng)
    plain = problems.AutogradModel(
        network.stack, network.output_loss, network.inputs, network.targets
    )
    first, second = (measured(each, theta, quantities="all") for each in (network, plain))
    assert set(first) == set(second)
    for name in first:
        tolerance = 1e-4 if name == "critical_sharpness" else 1e-9
        np.testing.assert_allclose(
            first[name].value, second[name].value, rtol=tolerance, err_msg=name
        )


def of_quadratic(eigenvalues, names, noise=((1.0, 0.0, 0.5), (-1.0, 0.0, -0.5))):
    problem = problems.quadratic_problem(np.diag(eigenvalues), np.zeros(3), noise)
    return measured(problem, np.array([0.3, 0.1, 0.2]), quantities=names, learning_rate=0.1,
                    batch_size=1)  # fmt: skip


def test_negative_curvature_is_told_where_it_changes_what_a_number_means():
    plain = of_quadratic([3.0, 2.0, 1.0], ["leading_eigenvalue", "hessian_rank", "trace_ratio"])
    assert "negative" not in " ".join(plain[name].sentence for name in plain)
    found = of_quadratic([2.0, 1.0, -2.9], ["leading_eigenvalue", "hessian_rank", "alignment"])
    assert "down to -2.9, they grow at any learning rate" in found["leading_eigenvalue"].sentence
    assert "it counts no directions here" in found["hessian_rank"].sentence
    assert found["hessian_rank"].details["negative_share"] == pytest.approx(2.9 / 5.9)
    assert "raises the loss by" in found["alignment"].sentence
    downhill = of_quadratic(
        [1.0, 1.0, -9.0], ["alignment", "trace_ratio", "projection_coefficient"]
    )
    assert downhill["alignment"].value == pytest.approx(1.0 - 9.0 / 4)
    assert "changes the loss by -1.25" in downhill["alignment"].sentence
    assert "no measure of alignment here" in downhill["trace_ratio"].sentence
    assert "Tr H is -7." in downhill["projection_coefficient"].sentence
