"""Verdicts, margins and streams of the checks."""

import math

import numpy as np
import pytest

from aniso import checks, propositions
from aniso.propositions.check import Statement, Verdict, compare, without_comparison
from aniso.propositions.settings import Settings

STATEMENT = Statement("name", "a claim", "a reason", "a source")


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
    check = compare(STATEMENT.at("a setting", tolerance), measured, relation, bound)
    assert check.verdict == verdict
    np.testing.assert_allclose(check.margin, margin, atol=1e-15)


def test_relative_margin_of_an_equality_is_in_units_of_its_tolerance():
    check = compare(STATEMENT.at("a setting", 0.6), 1.0, "==", 1.3)
    assert check.relative_margin == pytest.approx(0.5)
    exact = compare(STATEMENT, 1.0, "==", 1.0)
    assert exact.relative_margin == 0


def test_an_unknown_relation_or_a_negative_tolerance_is_refused():
    with pytest.raises(checks.InputError, match="relation='>'; expected one of: >=, <=, =="):
        compare(STATEMENT, 1.0, ">", 0.0)
    for wrong in (-1.0, math.nan, math.inf):
        with pytest.raises(checks.InputError, match=r"tolerance=.*; expected a finite number"):
            STATEMENT.at("a setting", wrong)


def test_a_statement_keeps_its_words_in_another_setting():
    moved = STATEMENT.at("elsewhere", 0.5)
    assert (moved.setting, moved.tolerance) == ("elsewhere", 0.5)
    assert moved.at("") == STATEMENT
    assert (STATEMENT.setting, STATEMENT.tolerance) == ("", 0.0)


def test_a_check_without_comparison_is_never_a_pass():
    check = without_comparison(STATEMENT.at("a setting", 0.1), Verdict.VACUOUS, "0 against 0")
    assert check.verdict == "vacuous"
    assert math.isnan(check.measured)
    assert check.statement.tolerance == 0
    assert check.finding == "0 against 0"
    with pytest.raises(checks.InputError, match="expected VACUOUS or NOT_APPLICABLE"):
        without_comparison(STATEMENT, Verdict.HOLDS, "no")


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
