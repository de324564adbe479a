"""A diagnosis in a terminal: rounded numbers, one screen, nothing lost without a word."""

import html
import math

import diagnosis_cases
import pytest

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


def lines_of(diagnosis):
    lines = repr(diagnosis).split("\n")
    assert max(map(len, lines)) <= table.COLUMNS
    assert len(lines) <= table.LINES
    return lines


def test_the_table_has_every_reading_and_every_reason():
    diagnosis = diagnosis_cases.realistic()
    lines = lines_of(diagnosis)
    for name, reading in diagnosis.items():
        (row,) = [line for line in lines if line.startswith(f"{name} ")]
        assert rounded(reading.value, reading.standard_error) in row
        assert reading.formula[:18] in row
    told = " ".join(" ".join(lines).split())
    for name, reason in diagnosis.refused.items():
        assert f"{name}: {reason}" in told
    assert "N = 400, D = 499, batches of 10 without replacement, η = 0.5" in told


def test_sentences_stay_as_long_as_there_is_room():
    words = "Noise and gradient are equally large at a batch of many examples, and so on."
    shown = {}
    for count in (8, 19, 30):
        each = {f"q{i}": Reading(f"q{i}", 2.5, {"probes": 0.5}, "Tr H", sentence=words) for i in
                range(count)}  # fmt: skip
        lines = lines_of(Diagnosis(each))
        assert sum("2.50 ± 0.50" in line for line in lines) == count
        assert sum("Tr H" in line for line in lines) == count
        shown[count] = " ".join(" ".join(lines).split()).count("Noise and gradient")
    assert shown == {8: 8, 19: 19, 30: 0}


@pytest.mark.parametrize(
    ("num_readings", "num_refused"), [(0, 0), (30, 3), (38, 3), (60, 0), (60, 20), (3, 80), (0, 90)]
)
def test_whatever_its_size_it_is_one_screen_and_what_is_left_out_is_counted(
    num_readings, num_refused
):
    readings = {
        f"q{i}": Reading(f"q{i}", 1.0, formula="f", sentence="word " * (i % 40))
        for i in range(num_readings)
    }
    refused = {f"r{i}": "no " * 50 for i in range(num_refused)}
    lines = lines_of(Diagnosis(readings, refused))
    told = {"readings": 0, "refused": 0}
    if lines[-1].startswith("..."):
        words = lines[-1].split()
        told = {kind: int(words[words.index(kind) - 2]) for kind in told if kind in words}
    shown_readings = sum(line.startswith("q") for line in lines if not line.startswith("quantity"))
    shown_refused = sum(line.startswith("  r") for line in lines)
    assert shown_readings + told.get("readings", 0) == num_readings
    assert shown_refused + told.get("refused", 0) == num_refused


def test_markup_control_letters_and_wide_names_do_no_harm():
    lines_of(diagnosis_cases.hostile())
    name = "[red]x[/red]\n\x1b[31m\t中文" * 3
    text = "\n".join(
        lines_of(Diagnosis({name: Reading(name, 1.0, sentence="[b]s")}, {"a\nb": "c"}))
    )
    assert "[red]x[/red]" in text
    assert "[b]s" in text
    assert "\x1b" not in text
    assert "  a b: c" in text


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
