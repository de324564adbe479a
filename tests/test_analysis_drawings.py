"""The drawings and the pages that are made of stored data."""

import csv
import json
import re

import numpy as np
import pytest
from figure_cases import ROOT, verdicts

from analysis import __main__ as listing
from analysis import (
    alignment_and_exit,
    discrepancies,
    fig3_fashion_mnist,
    figure_style,
    index,
)
from analysis.figure import SCALES
from aniso.runs import array_files

pytestmark = pytest.mark.needs_jit


# ---- the drawings


def figure_3_drawn(sharpness):
    """Figure 3 of three seeds whose curves all coincide, but for the sharpness of GLD leading."""
    parameters = fig3_fashion_mnist.SCALES["small"] | {"num_seeds": 3}
    count = len(fig3_fashion_mnist.DYNAMICS)
    arrays = {name: np.ones((3, count, 10)) for name in fig3_fashion_mnist.RECORDS}
    arrays["step"] = np.arange(10)
    place = fig3_fashion_mnist.DYNAMICS.index("gld_leading")
    arrays["expected_sharpness"][:, place] = np.array(sharpness)[:, None]
    return fig3_fashion_mnist.draw(parameters, arrays)


def test_dynamics_that_coincide_are_all_seen():
    canvas = figure_3_drawn([1.0, 1.0, 1.0])
    for axes in canvas.axes:
        lines = {line.get_label(): line for line in axes.lines}
        nested = [lines[name] for name in ("GD", "GLD const", "GLD dynamic", "GLD diag")]
        order = [axes.lines.index(line) for line in nested]
        widths = [line.get_linewidth() for line in nested]
        assert order == sorted(order)
        assert widths == sorted(widths, reverse=True)
        assert len(set(widths)) == 4
        # and no two of them have their markers at the same records
        assert len({line.get_markevery() for line in nested}) == 4


def test_a_logarithmic_axis_has_geometric_bands():
    canvas = figure_3_drawn([1e-4, 1e-2, 1e-3])
    axes = canvas.axes[2]
    number = fig3_fashion_mnist.DYNAMICS.index("gld_leading")
    band = axes.collections[number].get_datalim(axes.transData)
    # logarithms -4, -2, -3: mean -3, standard deviation 1
    assert (band.y0, band.y1) == (pytest.approx(1e-4), pytest.approx(1e-2))
    line = next(line for line in axes.lines if line.get_label() == "GLD leading")
    np.testing.assert_allclose(line.get_ydata(), 1e-3)
    assert "geometric" in canvas.legends[0].get_title().get_text()


def test_a_seed_below_zero_is_marked_on_a_logarithmic_axis():
    canvas = figure_3_drawn([1e-4, -1e-2, 1e-3])
    axes = canvas.axes[2]
    line = next(line for line in axes.lines if line.get_label() == "GLD leading")
    assert np.isnan(line.get_ydata()).all()
    marks = [line for line in axes.lines if line.get_transform() != axes.transData]
    assert [line.get_xdata().tolist() for line in marks] == [list(range(10))]
    assert marks[0].get_color() == line.get_color()
    assert "at or below 0" in canvas.legends[0].get_title().get_text()


def test_figures_name_the_dynamics_alike():
    assert set(alignment_and_exit.STRUCTURES) <= set(figure_style.LABELS.values())
    written = [
        *(ROOT / "figures").glob("*.md"),
        *(ROOT / "figures").rglob("*.json"),
        ROOT / "README.md",
    ]
    for path in written:
        assert not re.search(r"eigven\b|eigvec", path.read_text(encoding="utf-8")), path


# ---- the pages


def test_the_pages_are_written_from_the_data(drawn):
    assert index.main(["--output", str(drawn / "figures")]) == 0
    page = (drawn / "figures" / "README.md").read_text()
    for name in listing.FIGURES:
        assert f"({name}_small.png)" in page
    table = (drawn / "figures" / "DISCREPANCIES.md").read_text()
    # the small figures are drawn of the stated dynamics alone
    assert re.findall(r"\n\| ([^|]*) \|.*not computed yet", table) == [
        "Figure 3, all differences of the dynamics"
    ]
    assert "success rates 0.000" in table
    plain = json.loads((drawn / "figures" / "discrepancies.json").read_text())
    assert len(plain) == table.count("\n|") - 2  # header and rule
    assert all(text in table for row in plain for text in row.values())


def test_a_table_is_written_as_csv_too(drawn):
    stem = drawn / "figures" / "alignment_and_exit_small"
    with open(stem.with_suffix(".csv"), newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["noise"] for row in rows] == list(alignment_and_exit.STRUCTURES)
    arrays, _ = array_files.load_arrays(drawn / "figures/data/alignment_and_exit_small.npz")
    for row, slope, exits in zip(rows, arrays["slope"], arrays["exit"], strict=True):
        assert float(row["slope"]) == slope
        assert row["ball: exit"] == ("" if np.isnan(exits[1]) else repr(float(exits[1])))


def test_pages_that_can_not_be_written_are_told_without_a_traceback(tmp_path, capsys):
    assert index.main(["--output", str(tmp_path / "absent")]) == 1
    assert "expected a writable folder with room" in capsys.readouterr().err


def test_without_data_the_table_says_so(tmp_path):
    assert index.stored_figures(tmp_path) == {}
    assert "not computed yet" in discrepancies.page(discrepancies.rows({}))


def test_the_largest_scale_represents_a_figure(drawn, tmp_path):
    source = drawn / "figures" / "data" / "fig2_two_basins_small"
    target = tmp_path / "data"
    target.mkdir()
    for scale in SCALES:
        content = json.loads(source.with_suffix(".json").read_text()) | {"scale": scale}
        (target / f"fig2_two_basins_{scale}.json").write_text(json.dumps(content))
        npz = source.with_suffix(".npz").read_bytes()
        (target / f"fig2_two_basins_{scale}.npz").write_bytes(npz)
    (target / "fig2_two_basins_paper_from7.json").write_text(
        json.dumps(content | {"parameters": {"first_seed": 7}})
    )
    (target / "fig2_two_basins_paper_from7.npz").write_bytes(npz)
    found = index.stored_figures(tmp_path)["fig2_two_basins"][0]
    assert found["scale"] == "paper"
    assert "first_seed" not in found["parameters"]  # other seeds have a picture of their own


def test_a_run_that_diverged_is_told_beside_those_that_lost_the_data():
    arrays = {"accuracy": np.ones((2, len(fig3_fashion_mnist.DYNAMICS), 1))}
    told = discrepancies._ends(None, arrays)
    assert told == "every run ends above 90 % training accuracy"
    arrays["accuracy"][1, fig3_fashion_mnist.DYNAMICS.index("sgd")] = np.nan
    assert "SGD 100 %, diverged" in discrepancies._ends(None, arrays)


@pytest.mark.parametrize("name", listing.FIGURES)
def test_committed_verdicts_are_those_of_the_committed_data(name):
    for path in (ROOT / "figures" / "data").glob(f"{name}_*.json"):
        description = json.loads(path.read_text())
        arrays, _ = array_files.load_arrays(path.with_suffix(".npz"))
        found = listing.FIGURES[name].judge(description["parameters"], arrays)
        expected = {claim["name"]: claim["verdict"] for claim in description["claims"]}
        assert verdicts(found) == expected
