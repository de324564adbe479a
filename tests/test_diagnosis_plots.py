"""Drawings of a diagnosis, read back from what was drawn."""

import math
import re

import diagnosis_cases
import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.figure import Figure

from aniso import checks
from aniso.diagnostics import Diagnosis, Reading, plots
from aniso.diagnostics._svg import as_svg


def marks(axes):
    """Heights and positions of the marks with their bars, and whether they are hollow."""
    found = {}
    for container in axes.containers:
        point, _, bars = container.lines
        (position,), (row,) = point.get_data()
        ends = bars[0].get_segments()[0][:, 0] if bars else (position, position)
        found[float(row)] = (float(position), *map(float, ends), point.get_mfc() == "none")
    return found


def rows(axes):
    labels = [label.get_text() for label in axes.get_yticklabels()]
    return dict(zip(labels, map(float, axes.get_yticks()), strict=True))


def differences(axes, diagnosis):
    """Names of readings that are not drawn where they belong."""
    drawn, heights = marks(axes), rows(axes)
    for name, reading in diagnosis.items():
        value, error = abs(reading.value), reading.standard_error
        expected = value, value - error, value + error
        place = drawn[heights[name.replace("_", " ")]]
        if not np.allclose(place[:3], expected, rtol=1e-12):
            yield name


def test_readings_lie_where_their_numbers_are():
    diagnosis = diagnosis_cases.realistic()
    axes = plots.plot_readings(diagnosis, Figure())
    assert list(differences(axes, diagnosis)) == []
    assert axes.get_xscale() == "log"
    assert axes.get_xlabel() == "value ± standard error"
    left, right = axes.get_xlim()
    assert all(left < low <= high < right for _, low, high, _ in marks(axes).values())
    heights = rows(axes)
    assert heights["trace ratio"] > heights["outliers"] + 1  # ratios stand apart
    altered = {**diagnosis, "alignment": Reading("alignment", 7.0)}
    assert list(differences(axes, Diagnosis(altered))) == ["alignment"]


def test_negative_numbers_are_hollow_and_others_are_written():
    values = {"low": -2.0, "zero": 0.0, "lost": math.nan, "far": math.inf, "huge": 1e300}
    axes = plots.plot_readings(
        Diagnosis({name: Reading(name, value) for name, value in values.items()}), Figure()
    )
    assert list(marks(axes).values()) == [(2.0, 2.0, 2.0, True)]
    written = {text.get_text() for text in axes.texts}
    assert written == {"0", "undefined", "∞", "1×10³⁰⁰"}
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["quantity", "negative"]


def test_a_bar_that_reaches_zero_ends_at_the_edge():
    axes = plots.plot_readings(Diagnosis({"a": Reading("a", 1.0, {"probes": 5.0})}), Figure())
    axes.figure.canvas.draw()
    assert 0 < axes.get_xlim()[0] < 1 < 6 < axes.get_xlim()[1]


def test_the_spectrum_has_its_density_band_outliers_and_threshold():
    diagnosis = diagnosis_cases.realistic()
    axes = plots.plot_spectrum(diagnosis, Figure())
    details = diagnosis["spectral_density"].details
    density, outliers, threshold = axes.get_lines()
    assert density.get_xdata().tolist() == details["eigenvalues"]
    assert density.get_ydata().tolist() == details["density"]
    assert sorted(outliers.get_xdata()) == sorted(diagnosis["outliers"].details["values"])
    assert list(threshold.get_xdata()) == [2 / diagnosis_cases.LEARNING_RATE] * 2
    (band,) = axes.collections
    corners = band.get_paths()[0].vertices[:, 1]
    assert corners.max() == max(details["upper"])
    assert corners.min() == min(details["lower"])
    told = [text.get_text() for text in axes.get_legend().get_texts()]
    assert told == ["density", "band", "outliers (10)", "2/η = 4"]


def test_a_threshold_far_away_is_named_and_does_not_press_the_spectrum():
    curves = {"eigenvalues": [0.0, 1.0], "density": [1.0, 0.5], "confidence": 0.95}
    curves |= {"lower": [0.9, 0.4], "upper": [1.1, 0.6]}
    reading = Reading("spectral_density", 1.0, details=curves)
    axes = plots.plot_spectrum(
        Diagnosis({"spectral_density": reading}, settings={"learning_rate": 0.01}), Figure()
    )
    assert axes.get_xlim()[1] < 2
    told = [text.get_text() for text in axes.get_legend().get_texts()]
    assert told == ["density", "95% band", "2/η = 200, beyond the right edge"]
    without = plots.plot_spectrum(Diagnosis({"spectral_density": reading}), Figure())
    assert len(without.get_lines()) == 1


def test_blocks_show_ratio_and_share_with_their_errors():
    blocks = {
        "first": {"ratio": 4.0, "ratio error": 1.0, "share": 0.5},
        "between blocks": {"share": -0.25},
    }
    axes = plots.plot_blocks(Diagnosis({}, blocks=blocks), Figure())
    drawn = [place for _, place in sorted(marks(axes).items())]
    expected = [(4, 3, 5, False), (0.5, 0.5, 0.5, False), (0.25, 0.25, 0.25, True)]
    assert drawn == [pytest.approx(each, rel=1e-12) for each in expected]
    assert list(rows(axes)) == list(blocks)
    true = diagnosis_cases.realistic()
    places = [place[0] for _, place in sorted(marks(plots.plot_blocks(true, Figure())).items())]
    columns = true.blocks.values()
    assert places == [each[name] for each in columns for name in ("ratio", "share")]


def test_of_many_blocks_the_largest_are_shown_in_order():
    blocks = {f"b{i}": {"ratio": 1.0, "share": i / 100} for i in range(1, 41)}
    axes = plots.plot_blocks(Diagnosis({}, blocks=blocks), Figure())
    assert list(rows(axes)) == [f"b{i}" for i in range(11, 41)]
    assert axes.get_title(loc="left") == "30 of 40 blocks, of the largest shares"


@pytest.mark.parametrize("method", ["plot", "plot_spectrum", "plot_blocks"])
def test_axes_of_the_caller_are_used_and_a_figure_made_without(method):
    diagnosis = diagnosis_cases.realistic()
    figure = Figure()
    axes = figure.subplots()
    before = pyplot.get_fignums()
    assert getattr(diagnosis, method)(axes) is axes
    assert axes.figure is figure
    assert pyplot.get_fignums() == before
    made = getattr(diagnosis, method)()
    assert made.figure.number not in before
    pyplot.close(made.figure)


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("plot", "no readings; expected at least one .1 quantities were refused"),
        (
            "plot_spectrum",
            "expected quantities that include it, .* quantities='spectrum'",
        ),
        ("plot_blocks", "no blocks; expected a problem with parameter blocks"),
    ],
)
def test_what_is_not_there_is_refused_with_its_remedy(method, message):
    before = pyplot.get_fignums()
    with pytest.raises(checks.InputError, match=message):
        getattr(Diagnosis({}, {"loss": "absent"}), method)()
    assert pyplot.get_fignums() == before


def test_names_are_no_formulas_and_long_ones_keep_both_ends():
    diagnosis = diagnosis_cases.hostile()
    for draw in (plots.plot_readings, plots.plot_spectrum, plots.plot_blocks):
        axes = draw(diagnosis, Figure())
        axes.figure.canvas.draw()  # a formula that is none would raise
    labels = list(rows(axes))
    assert labels[1].startswith("layer")
    assert labels[1].endswith("bbb")
    assert all(len(label.replace("\\$", "$")) <= 23 for label in labels)


def test_drawings_of_a_page_take_its_colours_and_fetch_nothing():
    diagnosis = diagnosis_cases.realistic()
    draws = {"Readings": plots.plot_readings, "Blocks": plots.plot_blocks}
    texts = [as_svg(draw, diagnosis, label) for label, draw in draws.items()]
    for text, label in zip(texts, draws, strict=True):
        assert text.startswith(f'<svg role="img" aria-label="{label}"')
        assert "http" not in text
        assert "<!--" not in text
        assert not re.search(r"#[0-9a-f]{6}\b", text)
        assert {"currentColor", "var(--blue)", "var(--red)"} <= set(
            re.findall(r"currentColor|var\(--\w+\)", text)
        )
        made, used = (set(re.findall(rule, text)) for rule in (r' id="(.+?)"', r"#([\w-]+)"))
        assert made == used
    identifiers = [set(re.findall(r' id="(m.+?)"', text)) for text in texts]
    assert all(identifiers)
    assert not identifiers[0] & identifiers[1]
    assert as_svg(plots.plot_blocks, diagnosis, "Blocks") == texts[1]
