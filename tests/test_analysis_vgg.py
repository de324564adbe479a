"""Figures 1 and 6: runs made once, claims that follow the numbers, sigma by held-out accuracy."""

import numpy as np
import pytest
from place_cases import every_foreign_place

from analysis import fig1_generalization, fig6_sharpness, figure_command, vgg
from aniso import run_store

pytestmark = pytest.mark.needs_jit
SEEDS = 3


def arrays_of(test_accuracy, sharpness):
    """What `collect` returns, with these last records for (dynamics) of one data set."""
    shape = 1, SEEDS, len(vgg.DYNAMICS), 2
    jitter = np.linspace(-1e-6, 1e-6, SEEDS)[None, :, None]
    arrays = {name: np.zeros(shape) for name in vgg.RECORDS}
    arrays["test_accuracy"][..., -1] = np.asarray(test_accuracy) + jitter
    arrays["expected_sharpness"][..., -1] = np.asarray(sharpness) + jitter
    return arrays | {"source": np.array(["the official files"]), "step": np.arange(2)}


PARAMETERS = {"datasets": ("svhn",), "num_test": 10**8}
ORDER = dict(zip(vgg.DYNAMICS, range(5), strict=True))


def verdicts(figure, arrays):
    return {c.name: str(c.verdict) for c in figure.judge(PARAMETERS, arrays)}


@pytest.mark.parametrize("figure", [fig1_generalization, fig6_sharpness])
def test_claims_follow_the_numbers(figure):
    # gd, const, dynamic, diagonal, sgd
    holds = arrays_of([0.5, 0.5, 0.5, 0.6, 0.6], [0.2, 0.2, 0.2, 0.1, 0.1])
    assert set(verdicts(figure, holds).values()) == {"holds"}
    fails = arrays_of([0.6, 0.6, 0.6, 0.5, 0.5], [0.1, 0.1, 0.1, 0.2, 0.2])
    assert set(verdicts(figure, fails).values()) == {"fails"}
    level = arrays_of([0.5] * 5, [0.1] * 5)
    assert set(verdicts(figure, level).values()) == {"not resolved"}
    lone = verdicts(figure, arrays_of([0.5, 0.5, 0.5, 0.5, 0.6], [0.2, 0.2, 0.2, 0.2, 0.1]))
    assert {name for name, verdict in lone.items() if verdict == "holds"} == {
        name for name in lone if "sgd" in name
    }


def test_a_difference_within_its_own_error_is_not_resolved():
    arrays = arrays_of([0.5, 0.5, 0.5, 0.52, 0.52], [0.2, 0.2, 0.2, 0.19, 0.19])
    arrays["expected_sharpness_error"] += 0.1
    for figure in (fig1_generalization, fig6_sharpness):
        # two hundredths of 100 images, one tenth of the error of the sharpness
        claims = figure.judge(PARAMETERS | {"num_test": 100}, arrays)
        assert {str(claim.verdict) for claim in claims} == {"not resolved"}


def test_three_seeds_get_students_factor():
    ends = np.zeros((3, 5))
    ends[:, ORDER["sgd"]] = [1.0, 2.0, 3.0]
    found = vgg.compare(ends, "sgd", "gd", 0.0)
    assert (found.first, found.second, found.difference, found.remark) == (2.0, 0.0, 2.0, "")
    # standard deviation 1 over sqrt 3, times t(2)/z = 4.3027/1.9600
    assert found.standard_error == pytest.approx(4.302653 / 1.959964 / np.sqrt(3), rel=1e-6)
    wide = vgg.compare(ends, "sgd", "gd", 9.0)
    assert wide.standard_error == pytest.approx(9 / np.sqrt(3))


@pytest.mark.parametrize("figure", [fig1_generalization, fig6_sharpness])
def test_seeds_that_diverge_are_named_and_left_out(figure):
    arrays = arrays_of([0.5, 0.5, 0.5, 0.6, 0.6], [0.2, 0.2, 0.2, 0.1, 0.1])
    for name in ("test_accuracy", "expected_sharpness", "expected_sharpness_error"):
        arrays[name][0, 0, ORDER["sgd"], -1] = np.nan
    for claim in figure.judge(PARAMETERS, arrays):
        assert claim.verdict == "holds"
        assert ("SGD diverged with 1 of 3 seeds" in claim.measured) == ("sgd" in claim.name)
    for name in ("test_accuracy", "expected_sharpness", "expected_sharpness_error"):
        arrays[name][0, 1, ORDER["sgd"], -1] = np.nan
    for claim in figure.judge(PARAMETERS, arrays):  # a single seed has no spread to go by
        assert claim.verdict == ("not resolved" if "sgd" in claim.name else "holds")


@pytest.fixture(scope="module")
def unit():
    parameters = vgg.SCALES["small"]
    (found,) = [u for u in vgg.make_units(parameters) if u["dynamics"] == "gld_constant"]
    return found | {"num_steps": 3, "num_records": 1}


def test_sigma_is_the_best_on_held_out_images(unit, tmp_path, monkeypatch):
    scores = iter([0.1, 0.3, 0.2])
    monkeypatch.setattr(vgg, "accuracy", lambda *_: next(scores))
    value = vgg.compute_unit(unit, tmp_path / "unit", None)
    assert value["validation_accuracy"].tolist() == [0.1, 0.3, 0.2]
    assert value["chosen"] == 1
    chosen, _ = run_store.load_arrays(
        next((tmp_path / "unit" / f"sigma-{int(value['chosen'])}").glob("result*.npz"))
    )
    np.testing.assert_array_equal(chosen["theta"], value["theta"])


def test_training_held_out_and_test_images_are_disjoint_and_standardised(unit):
    training, held_out, test = vgg.networks_of(unit)
    sizes = [network.num_examples for network in (training, held_out, test)]
    assert sizes == [unit["num_train"], unit["num_validation"], unit["num_test"]]
    np.testing.assert_allclose(training.inputs.mean(axis=(0, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(training.inputs.std(axis=(0, 2, 3)), 1, atol=1e-5)
    rows = [np.asarray(n.inputs).reshape(n.num_examples, -1) for n in (training, held_out)]
    assert not (rows[0][:, None] == rows[1][None]).all(axis=2).any()


def test_the_second_figure_draws_the_runs_of_the_first(tmp_path, monkeypatch):
    arguments = ["--output", str(tmp_path / "figures"), "--runs", str(tmp_path / "runs")]
    arguments += ["--executor", "serial"]
    assert figure_command.main("fig1_generalization", arguments) == 0

    def forbidden(*_, **__):
        raise AssertionError("computed again")

    monkeypatch.setattr(vgg.descent, "simulate_descent", forbidden)
    assert figure_command.main("fig6_sharpness", arguments) == 0
    first, second = (
        run_store.load_arrays(tmp_path / "figures" / "data" / f"{name}_small.npz")[0]
        for name in ("fig1_generalization", "fig6_sharpness")
    )
    np.testing.assert_array_equal(first["expected_sharpness"], second["expected_sharpness"])


@every_foreign_place
def test_runs_go_to_the_device_that_is_named(unit, place):
    training, _, _ = vgg.networks_of(unit | {"device": place})
    assert training.place == place


@pytest.mark.parametrize(
    ("name", "source", "expected"),
    [
        ("svhn", "the official files, checksums verified", "SVHN"),
        ("svhn", "svhn.npz, a file of the user's", "SVHN subset"),
        ("cifar10", "cifar10.npz, a file of the user's", "CIFAR-10"),
    ],
)
def test_a_part_of_svhn_is_called_that(name, source, expected):
    assert vgg.title(name, source) == expected
