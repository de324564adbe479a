"""Figures of the evidence: drawn from what the checks carry, whole or absent."""

import json
from pathlib import Path

import numpy as np
import pytest
from check_cases import idle_symbols, unexplained, unknown_sources
from matplotlib.figure import Figure

from aniso import propositions
from aniso.propositions import document, plots, report
from aniso.propositions.check import Statement, Verdict, compare, without_comparison
from aniso.propositions.settings import Settings

STORED = Path(__file__).parents[1] / "figures" / "verification" / "verification.json"


@pytest.fixture(scope="module")
def results():
    settings = Settings("quick", 0)
    found = []
    for group in propositions.GROUPS:
        for task in propositions.tasks(group, settings):
            if task.name in ("short and long times", "simulation", "rate in D") or (
                "relu, h = 32" in task.name
            ):
                found.append(report.TaskResult(group, task.name, tuple(task.run()), 0.0))
    return found


@pytest.mark.needs_jit
def test_every_group_with_evidence_gets_its_figure(results, tmp_path):
    written = plots.draw(results, tmp_path)
    assert [path.name for path in written] == [f"{group}.png" for group in GROUPS_WITH_FIGURES]
    for path in written:
        assert path.read_bytes().startswith(b"\x89PNG")
        assert path.stat().st_size > 20_000


GROUPS_WITH_FIGURES = ("definition1", "proposition1", "proposition2", "proposition3")


def test_groups_without_evidence_are_left_out(tmp_path):
    empty = [report.TaskResult("proposition1", "a task", (), 0.0)]
    assert plots.draw(empty, tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_stored_numbers_are_drawn_anew(tmp_path, capsys):
    assert plots.main([str(STORED), str(tmp_path)]) == 0
    names = [f"{group}.png" for group in GROUPS_WITH_FIGURES]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    assert capsys.readouterr().out.splitlines() == [f"wrote {tmp_path / name}" for name in names]


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    """The figures of the stored evidence, by group, as they were before they became pictures."""
    kept = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: kept.append(figure))
    plots.draw(document.results_of(json.loads(STORED.read_text())), tmp_path)
    return dict(zip(GROUPS_WITH_FIGURES, kept, strict=True))


def test_no_legend_covers_a_panel(drawn):
    for group in ("proposition1", "proposition2", "proposition3"):
        figure = drawn[group]
        figure.draw_without_rendering()
        (legend,) = figure.legends
        below = legend.get_window_extent()
        for axis in figure.axes:
            assert group == "proposition1" or axis.get_legend() is None
            assert not below.overlaps(axis.get_window_extent())


def test_activations_are_named_as_a_reader_knows_them(drawn):
    texts = {text.get_text() for text in drawn["proposition2"].legends[0].get_texts()}
    assert {"ReLU", "leaky ReLU", "absolute value", "hard tanh"} <= texts
    assert drawn["proposition3"].legends[0].get_title().get_text().startswith("ReLU")


def proposition3_checks():
    """Width 32 with guarantees at two of three epochs, width 128 without any."""
    setting = "synthetic, clipped squared, relu, h = {}, epoch 1"
    promised = {"epoch": [0, 1, 2], "measured": [1.0, 1.1, 1.2], "bound": [0.0, 1e-3, 1e-2]}
    never = {"epoch": [0, 2], "measured": [0.9, 0.8], "bound": [-0.5, -0.1]}
    narrow, wide = (
        Statement("along training", "c", "none", "s", setting.format(width)) for width in (32, 128)
    )
    return [
        compare(narrow, 1.1, ">=", 1e-3, series=promised),
        without_comparison(wide, Verdict.VACUOUS, "r", series=never),
    ]


def test_every_epoch_of_proposition_3_is_drawn(monkeypatch, tmp_path):
    kept = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: kept.append(figure))
    results = [report.TaskResult("proposition3", "t", tuple(proposition3_checks()), 0.0)]
    plots.draw(results, tmp_path)
    first = kept[0].axes[0]
    in_data = [line for line in first.lines if line.get_transform() == first.transData]
    curves = [line.get_xydata().tolist() for line in in_data if line.get_linestyle() == "-"]
    assert curves == [[[0, 1.0], [1, 1.1], [2, 1.2]], [[0, 0.9], [2, 0.8]]]
    marked = [line.get_xdata().tolist() for line in first.lines if line not in in_data]
    assert marked == [[0], [0, 2]]
    guarantees = [line for line in in_data if line.get_linestyle() == ":"]
    known = [line.get_ydata()[np.isfinite(line.get_ydata())].tolist() for line in guarantees]
    assert known == [[1e-3, 1e-2], []]


def test_all_ratios_are_seen_where_they_coincide(drawn):
    saturated = drawn["proposition1"].axes[1]
    points = [line for line in saturated.lines if line.get_marker() not in ("None", "", None)]
    sizes = [line.get_markersize() for line in points]
    assert len(points) == 3
    assert "ceiling $D$" in {text.get_text() for text in drawn["proposition1"].legends[0].texts}
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) == 3


def test_a_file_of_another_version_is_refused(tmp_path, capsys):
    stored = json.loads(STORED.read_text()) | {"schema_version": 1}
    (tmp_path / "old.json").write_text(json.dumps(stored))
    with pytest.raises(SystemExit) as ended:
        plots.main([str(tmp_path / "old.json"), str(tmp_path)])
    assert ended.value.code == 2
    assert "schema_version=1; expected 2" in capsys.readouterr().err


@pytest.mark.parametrize(
    "group", [g for g in propositions.GROUPS if g not in propositions.ON_REQUEST]
)
def test_the_legend_of_a_group_explains_the_symbols_of_its_table(group):
    results = document.results_of(json.loads(STORED.read_text()))
    checks = [check for result in results if result.group == group for check in result.checks]
    assert unexplained(group, checks) == []
    assert idle_symbols(group, checks) == []
    assert unknown_sources(checks) == []


def test_a_symbol_without_a_meaning_and_a_source_without_a_heading_are_found():
    source = "docs/theory/propositions.md, No such heading"
    statement = Statement("a claim", "Tr(HΨ) ≥ a ζ_j, an ordinary sentence", "none", source)
    planted = [compare(statement, 2.0, ">=", 1.0)]
    assert unexplained("proposition1", planted) == ["HΨ", "ζ_j"]
    assert {"k", "h"} <= set(idle_symbols("proposition1", planted))
    assert unknown_sources(planted) == [source]
