"""Verdicts, margins and streams of the checks."""

import math

import numpy as np
import pytest

from aniso import checks, propositions
from aniso.propositions.check import Settings, Verdict, compare, without_comparison

FACTS = {
    "claim": "a claim",
    "setting": "a setting",
    "tolerance_reason": "a reason",
    "source": "a source",
}


@pytest.mark.parametrize(
    ("measured", "relation", "bound", "tolerance", "verdict", "margin"),
    [
        (2.0, ">=", 1.0, 0.0, "holds", 1.0),
        (1.0, ">=", 1.0, 0.0, "holds", 0.0),
        (0.9, ">=", 1.0, 0.05, "fails", -0.1),
        (0.9, ">=", 1.0, 0.11, "holds", -0.1),
        (1.0, "<=", 2.0, 0.0, "holds", 1.0),
        (2.0, "<=", 1.0, 0.5, "fails", -1.0),
        (1.0, "==", 1.5, 0.4, "fails", -0.5),
        (1.0, "==", 1.5, 0.6, "holds", -0.5),
        (math.inf, ">=", 1.0, 0.0, "fails", math.inf),
        (math.nan, "==", 1.0, 10.0, "fails", math.nan),
        (1.0, "<=", math.inf, 0.0, "fails", math.inf),
    ],
)
def test_the_verdict_follows_from_the_numbers(
    measured, relation, bound, tolerance, verdict, margin
):
    check = compare("name", measured, relation, bound, tolerance=tolerance, **FACTS)
    assert check.verdict == verdict
    np.testing.assert_allclose(check.margin, margin, atol=1e-15)


def test_relative_margin_of_an_equality_is_in_units_of_its_tolerance():
    check = compare("name", 1.0, "==", 1.3, tolerance=0.6, **FACTS)
    assert check.relative_margin == pytest.approx(0.5)
    exact = compare("name", 1.0, "==", 1.0, tolerance=0.0, **FACTS)
    assert exact.relative_margin == 0


def test_an_unknown_relation_or_a_negative_tolerance_is_refused():
    with pytest.raises(checks.InputError, match="relation='>'; expected one of: >=, <=, =="):
        compare("name", 1.0, ">", 0.0, tolerance=0.0, **FACTS)
    with pytest.raises(checks.InputError, match="tolerance"):
        compare("name", 1.0, ">=", 0.0, tolerance=-1.0, **FACTS)


def test_a_check_without_comparison_is_never_a_pass():
    facts = {name: FACTS[name] for name in ("claim", "setting", "source")}
    check = without_comparison("name", Verdict.VACUOUS, "0 against 0", **facts)
    assert check.verdict == "vacuous"
    assert math.isnan(check.measured)
    with pytest.raises(checks.InputError, match="expected VACUOUS or NOT_APPLICABLE"):
        without_comparison("name", Verdict.HOLDS, "no", **facts)


def test_streams_depend_on_seed_and_name_alone():
    first, again = Settings(seed=3).rng("a").random(4), Settings("full", 3).rng("a").random(4)
    assert (first == again).all()
    assert (first != Settings(seed=3).rng("b").random(4)).all()
    assert (first != Settings(seed=4).rng("a").random(4)).all()
    assert Settings(seed=3).stream_seed("a") != Settings(seed=3).stream_seed("b")


def test_settings_refuse_unknown_scales_and_negative_seeds():
    with pytest.raises(checks.InputError, match="scale='tiny'; expected one of: quick"):
        Settings("tiny")
    with pytest.raises(checks.InputError, match="seed=-1"):
        Settings(seed=-1)


def test_an_unknown_group_is_refused():
    with pytest.raises(checks.InputError, match="group='proposition9'; expected one of"):
        propositions.tasks("proposition9", Settings())
