"""The checks of stability: each holds, and each fails on a planted falsehood."""

import dataclasses

import numpy as np
import pytest
import seeds
from check_cases import idle_symbols, unexplained, unknown_sources
from reference_stability import spectral_radius

from aniso import closed_forms
from aniso.propositions import stability
from aniso.propositions.check import Verdict
from aniso.propositions.settings import Settings

QUICK = Settings("quick", seeds.integer("stability_claims"))


def found_of(name):
    (task,) = (task for task in stability.tasks(QUICK) if task.name == name)
    return task.run()


def failures(name):
    return {check.statement.name for check in found_of(name) if check.verdict is Verdict.FAILS}


def test_every_check_holds_and_explains_itself():
    found = [check for task in stability.tasks(QUICK) for check in task.run()]
    assert [check for check in found if check.verdict is not Verdict.HOLDS] == []
    assert unexplained("stability", found) == []
    assert idle_symbols("stability", found) == []
    assert unknown_sources(found) == []


def with_threshold(monkeypatch, changed):
    """Replace the threshold by that of changed arguments, or a changed result."""
    original = closed_forms.stability_threshold

    def wrong(curvatures, batch_size, **options):
        return changed(original, curvatures, batch_size, **options)

    monkeypatch.setattr(closed_forms, "stability_threshold", wrong)


def of_the_other_sampling(original, curvatures, batch_size, *, replacement, **options):
    return original(curvatures, batch_size, replacement=not replacement, **options)


def without_noise(original, curvatures, batch_size, *, replacement, **options):
    del batch_size, replacement
    count = curvatures.num_examples
    return original(curvatures, count, replacement=False, **options)


def scaled(factor):
    def wrong(original, *arguments, **options):
        made = original(*arguments, **options)
        return dataclasses.replace(made, learning_rate=factor * made.learning_rate)

    return wrong


@pytest.mark.parametrize(
    ("task", "changed", "names"),
    [
        ("all batches", of_the_other_sampling, {"edge", "below the edge", "above the edge"}),
        ("all batches", without_noise, {"edge", "below the edge"}),
        ("momentum", scaled(1 + 1e-6), {"edge with momentum"}),
        ("images", of_the_other_sampling, {"edge on images"}),
        ("batch sharpness", without_noise, {"batch sharpness, mean of ratios"}),
        ("batch sharpness", scaled(0.9), {"threshold in one dimension"}),
        ("falsification", scaled(1.1), {"bound along u"}),
    ],
)
def test_a_wrong_threshold_is_seen(task, changed, names, monkeypatch):
    with_threshold(monkeypatch, changed)
    assert names <= failures(task)


def test_a_wrong_iteration_is_seen(monkeypatch):
    def wrong(original, curvatures, batch_size, *, method, **options):
        made = original(curvatures, batch_size, method=method, **options)
        factor = 1 + 1e-9 if method == "iterative" else 1.0
        return dataclasses.replace(made, learning_rate=factor * made.learning_rate)

    with_threshold(monkeypatch, wrong)
    assert "dense and iterative" in failures("span of factors")


def test_a_batch_sharpness_at_the_limit_is_seen(monkeypatch):
    monkeypatch.setattr(
        closed_forms,
        "batch_sharpness_ratio_of_means",
        closed_forms.batch_sharpness_mean_of_ratios,
    )
    assert failures("batch sharpness") == {"batch sharpness, ratio of means"}


def test_the_limit_of_another_optimiser_is_seen(monkeypatch):
    original = closed_forms.sharpness_limit
    monkeypatch.setattr(
        closed_forms,
        "sharpness_limit",
        lambda rate, *, momentum, form: original(rate, momentum=momentum),  # noqa: ARG005
    )
    assert failures("optimisers") == {"limit of an optimiser"}


def test_a_search_that_finds_nothing_false_is_seen(monkeypatch):
    monkeypatch.setattr(stability, "_false_bound", lambda along, momentum: np.inf)  # noqa: ARG005
    assert failures("falsification") == {"the search breaks a false claim"}


@pytest.mark.parametrize("momentum", [0.0, 0.7])
def test_the_enumeration_of_the_checks_is_that_of_the_reference(momentum, rng):
    root = rng.standard_normal((3, 2, 2))
    hessians = root + root.transpose(0, 2, 1)
    for size, replacement in ((2, True), (2, False)):
        options = (hessians, 0.3, size, replacement, momentum)
        assert stability.spectral_radius(*options) == pytest.approx(spectral_radius(*options))
