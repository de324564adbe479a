"""The table, the verdict and the JSON document of a verification."""

import io
import json
import math
import re
from importlib import resources

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from aniso import checks
from aniso.propositions import document, report
from aniso.propositions.check import Statement, Verdict, compare, without_comparison
from aniso.propositions.settings import Settings
from aniso.runs import provenance

SCHEMA = json.loads(
    (resources.files("aniso.propositions") / "verification.schema.json").read_text()
)


def check(name, measured, relation=">=", bound=1.0, setting="a setting", **more):
    reason, tolerance = more.pop("reason", "a reason"), more.pop("tolerance", 0.0)
    source = "docs/theory/page.md, A heading"
    statement = Statement(name, "what is claimed", reason, source, setting, tolerance)
    return compare(statement, measured, relation, bound, **more)


def vacuous(name="empty"):
    return without_comparison(Statement(name, "c", "r", "o"), Verdict.VACUOUS, "0 against 0")


def results(*checks, error=""):
    return [report.TaskResult("a group", "a task", tuple(checks), 0.5, error)]


def text(renderable):
    console = Console(file=io.StringIO(), width=report.TABLE_WIDTH)
    console.print(renderable)
    return console.file.getvalue()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (results(check("a", 2.0)), True),
        (results(check("a", 2.0), vacuous()), True),
        (results(check("a", 0.5), check("b", 2.0)), False),
        (results(check("a", 2.0), error="ValueError: broken"), False),
        (results(vacuous()), False),
        (results(), False),
    ],
)
def test_a_run_passes_only_on_evidence(given, expected):
    assert report.passed(given) is expected
    line = report.verdict_line(given, 1.0).plain
    assert line.startswith("VERIFIED:" if expected else "NOT VERIFIED:")


def test_the_verdict_line_counts_every_outcome():
    line = report.verdict_line(
        results(check("a", 2.0), check("b", 0.5), vacuous(), error="ValueError: broken"), 12.34
    ).plain
    assert line == ("NOT VERIFIED: 3 checks, 1 holds, 1 fails, 1 vacuous, 1 task broke off, 12.3 s")


def test_the_table_shows_the_tightest_setting_and_how_many_agree():
    drawn = text(
        report.table(
            "title",
            results(
                check("a claim", 5.0, setting="loose"),
                check("a claim", 1.01, setting="tight", standard_error=0.02),
                check("another", 0.5, setting="broken"),
                check("another", 1.5, setting="sound"),
            ),
            {},
        )
    )
    assert "tight" in drawn
    assert "loose" not in drawn
    assert "1.01" in drawn
    assert "± 0.02" in drawn
    assert "≥ 1" in drawn
    assert "holds 2/2" in drawn
    assert "broken" in drawn
    assert "fails 1/2" in drawn


def row(given):
    """Table of one check: each line split at runs of two spaces."""
    lines = text(report.table("title", results(given), {})).splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(" a claim"))
    return [re.split(r"\s{2,}", line.strip()) for line in lines[start:] if line.strip()]


@pytest.mark.parametrize(
    ("given", "theory", "tolerance"),
    [
        (check("a claim", 0.8566, "==", 0.8, tolerance=0.0912), "= 0.8", "± 0.091"),
        (check("a claim", -5e-17, ">=", 0.0, tolerance=1.42e-12), "≥ 0", "− 1.4e-12"),
        (check("a claim", 31.491, "<=", 31.488, tolerance=0.02), "≤ 31.49", "+ 0.02"),
    ],
)
def test_the_table_shows_the_tolerance_and_its_reason(given, theory, tolerance):
    first, second, third, last = row(given)
    assert first[:2] == ["a claim", "a setting"]
    assert first[3:] == [theory, "holds 1/1"]
    assert second == ["what is claimed", tolerance]
    assert third == ["tolerance: a reason"]
    assert last == ["see page.md, A heading"]


@pytest.mark.parametrize(
    ("reason", "shown"),
    [
        ("none", "no tolerance"),
        ("none: a planted error", "no tolerance: a planted error"),
        ("the bound is rounding", "no tolerance: the bound is rounding"),
    ],
)
def test_where_there_is_no_tolerance_the_table_says_so(reason, shown):
    given = check("a claim", 2.0, reason=reason)
    assert row(given)[-2] == [shown]
    assert not any("−" in word for line in row(given) for word in line)


NUMBERS = st.floats(-1e12, 1e12) | st.floats(-1.001, 1.001).map(lambda x: round(x, 4))


@given(
    NUMBERS,
    NUMBERS,
    st.sampled_from([">=", "<=", "=="]),
    st.floats(0, 1e6),
    st.sampled_from([0.0, 1e-15, -1e-15, 1e-6, -1e-6]),
)
def test_the_verdict_follows_from_the_numbers_that_are_printed(a, b, relation, tolerance, nudge):
    # half of the cases lie at the edge of the tolerance, where printed digits decide
    edge = {">=": b - tolerance, "<=": b + tolerance, "==": b + tolerance}[relation]
    for measured in (a, edge * (1 + nudge)):
        drawn = row(check("a claim", measured, relation, b, tolerance=tolerance))
        words = [word for line in drawn for word in line]
        shown = float(words[2])
        bound = float(words[3][2:])
        signed = [w for line in drawn[1:] for w in line if w[:2] in ("− ", "+ ", "± ")]
        allowed = float(signed[0][2:]) if signed else 0.0
        excess = {">=": bound - shown, "<=": shown - bound, "==": abs(shown - bound)}[relation]
        assert (excess <= allowed) is words[4].startswith("holds")


def test_the_table_fits_its_width_whatever_the_texts():
    long = "a very long setting with manyverylongwordswithoutanyspace" * 4
    given = results(check("name " * 20, 2.0, setting=long))
    drawn = text(report.table("title " * 30, given, {"x": long}))
    assert max(map(len, drawn.splitlines())) <= report.TABLE_WIDTH


def test_a_broken_task_stands_in_the_table_with_its_error():
    drawn = text(report.table("title", results(error="ValueError: [bold]not markup[/bold]"), {}))
    assert "ValueError" in drawn
    assert "[bold]" in drawn
    assert "broke off" in drawn


def test_a_setting_with_brackets_is_printed_as_it_is():
    given = results(check("name", 2.0, setting="x in [0, 1] [red]"))
    drawn = text(report.table("title", given, {"[blue]": "a colour"}))
    assert "[red]" in drawn
    assert "[blue]: a colour" in drawn


def test_the_legend_stands_below_the_rows():
    legend = {"D": "number of parameters", "η": "learning rate"}
    drawn = text(report.table("title", results(check("a claim", 2.0)), legend))
    expected = "Symbols. D: number of parameters; η: learning rate; see: pages of docs/theory"
    assert expected in drawn[drawn.index("what is claimed") :]


def test_findings_are_told_once():
    noted = [check("a", 2.0, finding="noted"), check("a", 3.0, finding="noted"), vacuous()]
    assert report.findings(results(*noted)) == ["a: noted (2 settings)", "empty: 0 against 0"]


def test_the_document_obeys_its_schema_and_is_strict_json():
    given = results(check("a", math.nan, series={"x": [1.0, math.inf]}), check("b", 2.0), vacuous())
    data = document.as_document(given, Settings("quick", 3), provenance.environment(), 1.5)
    stream = io.StringIO()
    document.write_document(stream, data)
    loaded = json.loads(stream.getvalue(), parse_constant=pytest.fail)
    jsonschema.validate(loaded, SCHEMA)
    first = loaded["tasks"][0]["checks"][0]
    assert first["measured"] is None
    assert first["series"] == {"x": [1.0, None]}
    assert loaded["verdict"] == "fails"
    assert loaded["counts"] == {"holds": 1, "fails": 1, "vacuous": 1, "not applicable": 0}
    assert loaded["seed"] == 3


def test_results_come_back_from_their_document():
    series = {"x": [1.0, math.inf], "y": []}
    given = results(check("a", math.nan, series=series), check("b", 2.0, standard_error=0.5))
    given += [report.TaskResult("another", "t", (vacuous(),), 0.25, "ValueError: broken")]
    data = document.as_document(given, Settings("quick", 3), provenance.environment(), 1.5)
    back = document.results_of(json.loads(json.dumps(data, allow_nan=False)))
    again = document.as_document(back, Settings("quick", 3), provenance.environment(), 1.5)
    assert again == data
    assert [type(check.verdict) for result in back for check in result.checks] == [Verdict] * 3


@pytest.mark.parametrize(("name", "value"), [("schema_version", 1), ("schema", "another")])
def test_a_document_of_another_kind_is_refused(name, value):
    data = document.as_document(results(), Settings(), provenance.environment(), 1.5)
    with pytest.raises(checks.InputError, match=f"{name}={value!r}; expected"):
        document.results_of(data | {name: value})


def test_the_schema_refuses_what_it_does_not_describe():
    data = document.as_document(results(), Settings(), provenance.environment(), 1.5)
    jsonschema.validate(data, SCHEMA)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(data | {"extra": 1}, SCHEMA)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(data | {"schema_version": 1}, SCHEMA)


def test_a_package_that_is_not_installed_is_left_out(monkeypatch):
    monkeypatch.setattr(provenance, "_PACKAGES", ("numpy", "no-such-package"))
    assert set(provenance.environment()["packages"]) == {"aniso", "numpy"}
