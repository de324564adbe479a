"""A diagnosis in a terminal: rounded numbers, whole sentences at every width."""

import html
import math

import diagnosis_cases
import pytest
from rich.cells import cell_len

from aniso.diagnostics import Diagnosis, Reading, table
from aniso.diagnostics._rounding import rounded


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (12.97316, 0.0, "12.9732"),
        (12.97316, 0.46, "12.97 ± 0.46"),
        (1584.96, 0.0996, "1584.96 ± 0.10"),
        (123456.0, 3400.0, "123500 ± 3400"),
        (0.1, 25.0, "0 ± 25"),
        (-0.0004, 0.1, "0.00 ± 0.10"),
        (999999.7, 0.0, "1×10⁶"),
        (0.00012, 0.0, "0.00012"),
        (-1e-5, 1e-6, "(-1.00 ± 0.10)×10⁻⁵"),
        (1e-310, 1e-311, "(1.00 ± 0.10)×10⁻³¹⁰"),
        (1.7e308, 1.7e308, "(1.7 ± 1.7)×10³⁰⁸"),
        (1584.96, 1e-9, "1584.96 ± 1×10⁻⁹"),
        (1.048857467e-4, 3.04e-10, "0.00010488575 ± 3×10⁻¹⁰"),
        (1.2345678e19, 1.3e13, "1.2345678×10¹⁹ ± 1.3×10¹³"),
        (-0.0, 0.0, "0"),
        (2.0, math.inf, "2 ± ∞"),
        (2.0, math.nan, "2 ± unknown"),
        (math.nan, 1.0, "undefined"),
        (-math.inf, 0.0, "-∞"),
    ],
)
def test_numbers_are_rounded_to_two_digits_of_their_error(value, error, text):
    assert rounded(value, error) == text


def read(text):
    """Value and error of a rounded text, by a way of its own."""
    plain = text.translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")).replace("×10", "e")
    if plain.startswith("("):
        pair, power = plain[1:].split(")")
        return [float(part + power) for part in pair.split(" ± ")]
    return [float(part) for part in plain.split(" ± ")]


def test_what_is_shown_is_the_number_within_its_digits(rng):
    for exponent, ratio in zip(rng.uniform(-40, 40, 300), rng.uniform(-6, 2, 300), strict=True):
        value = rng.choice([-1, 1]) * 10**exponent
        error = abs(value) * 10**ratio
        shown = read(rounded(value, error))
        assert abs(shown[0] - value) <= 0.051 * error
        assert abs(shown[1] - error) <= 0.051 * error
        assert read(rounded(value)) == pytest.approx([value], rel=6e-6)
    assert abs(read(rounded(10.4, 1.0))[0] - 10.6) > 0.051  # another number is noticed


WIDTHS = (100, 80, 60, 40)


def lines_of(diagnosis, columns):
    lines = table.as_text(diagnosis, columns).split("\n")
    assert max(cell_len(line) for line in lines) <= columns
    return lines


def words_of(lines):
    return " ".join(" ".join(lines).split())


@pytest.mark.parametrize("columns", WIDTHS)
def test_every_word_of_a_diagnosis_is_whole_at_every_width(columns):
    diagnosis = diagnosis_cases.realistic()
    lines = lines_of(diagnosis, columns)
    assert "…" not in "".join(lines)
    told = words_of(lines)
    for name, reading in diagnosis.items():
        (row,) = [line for line in lines if line.startswith(f"{name} ")]
        assert rounded(reading.value, reading.standard_error) in row
        assert " ".join(reading.sentence.split()) in told
        if columns != 80:  # where a formula is folded beside the value
            assert reading.formula in told
    for name, reason in diagnosis.refused.items():
        assert f"{name} {reason}" in told
    assert "N = 400, D = 499, batches of 10 without replacement, η = 0.5" in told


def test_a_formula_that_is_folded_is_whole():
    formula = "E[g_Bᵀ H_B g_B / |g_B|²] + Tr(H Σ₁) / (Tr H Tr Σ₁)"
    made = Diagnosis({"q": Reading("q" * 26, 1.5, {"probes": 0.00001234}, formula, sentence="S.")})
    lines = lines_of(made, 80)
    end = next(number for number, line in enumerate(lines) if line == "    S.")
    begin = lines[3].index("E[g_B")
    assert " ".join(line[begin:] for line in lines[3:end]) == formula
    assert end > 4


def test_many_readings_and_reasons_are_all_there():
    words = "Noise and gradient are equally large at a batch of many examples, and so on."
    each = {f"q{i}": Reading(f"q{i}", 2.5, formula="Tr H", sentence=words) for i in range(60)}
    refused = {f"r{i}": "no " * 50 for i in range(90)}
    told = words_of(lines_of(Diagnosis(each, refused), 70))
    assert told.count(words) == 60
    assert told.count("no " * 49) == 90
    assert words_of(lines_of(Diagnosis({}, {"r": "because"}), 40)).endswith("refused r because")
    assert len(lines_of(Diagnosis({}), 40)) == 1


@pytest.mark.parametrize(("terminal", "columns"), [("72", 72), ("300", 100), ("10", 40)])
def test_the_text_is_as_wide_as_the_terminal(terminal, columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", terminal)
    made = diagnosis_cases.realistic()
    assert repr(made) == table.as_text(made, columns)


@pytest.mark.parametrize("columns", WIDTHS)
def test_markup_control_letters_and_wide_names_do_no_harm(columns):
    lines_of(diagnosis_cases.hostile(), columns)
    name = "[red]x[/red]\n\x1b[31m\t中文" * 3
    made = Diagnosis({name: Reading(name, 1.0, sentence="[b]s")}, {"a\nb": "c\nd"})
    text = "\n".join(lines_of(made, columns))
    assert "[red]x[/red]" in text
    assert "[b]s" in text
    assert "\x1b" not in text
    assert "\na b\n    c d" in text


def test_a_subset_of_the_examples_and_long_times_are_said():
    problem = {"num_examples": 200, "used_examples": 50}
    words = table.headline(Diagnosis({}, problem=problem, seconds=7325.0))
    assert words == "n = 50 of N = 200; 0 readings in 2 h 2 min"


def test_a_notebook_gets_an_escaped_table():
    text = diagnosis_cases.hostile()._repr_html_()
    assert diagnosis_cases.ATTACK not in text
    assert "<script" not in text
    assert "&lt;script&gt;alert(1)" in text
    assert "−2.5×10<sup>−9</sup>" in text
    plain = html.unescape(diagnosis_cases.realistic()._repr_html_())
    for name, reading in diagnosis_cases.realistic().items():
        assert name in plain
        assert reading.formula in plain
    assert "refused: H has 37 negative eigenvalues" in plain


def test_in_a_notebook_the_text_is_returned_and_nothing_is_displayed(monkeypatch, capsys):
    diagnosis = diagnosis_cases.bare()
    plain = table.as_text(diagnosis, 80)
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    assert table.as_text(diagnosis, 80) == plain
    assert "loss" in plain
    assert capsys.readouterr().out == ""
