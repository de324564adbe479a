"""The programs of the gallery at small sizes; their whole runs are part of building the site."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib import pyplot

GALLERY = Path(__file__).parents[1] / "docs" / "gallery"
SMALLER = {
    "plot_batch_normalisation": [("(10, 20, 40, 80, 160)", "(10, 20, 40)"), (", 200)", ", 20)")],
    "plot_batch_size": [
        ("[:400]", "[:60]"),
        ("(400, ", "(60, "),
        ("(5, 200)", "(5, 20)"),
        ("range(201)", "range(21)"),
    ],
    "plot_double_well": [("[0.4, 0.5, 0.6, 0.8, 1.0]", "[0.8, 1.0]"), ("2000, seed", "100, seed")],
    "plot_edge_of_stability": [("range(1501)", "range(101)"), ("record[1500]", "record[100]")],
    "plot_layers": [
        ("[:200", "[:40"),
        ("(0, 30, 150)", "(0, 3, 6)"),
        ("range(151)", "range(7)"),
        ("tables[150]", "tables[6]"),
    ],
    "plot_propositions_on_a_network": [("range(121)", "range(31)")],
    "plot_where_alignment_misleads": [("4000.0, 400", "4000.0, 40")],
}


def small(name):
    """The program with smaller sizes; each of them occurs."""
    source = (GALLERY / f"{name}.py").read_text(encoding="utf-8")
    for old, new in SMALLER[name]:
        assert old in source, (name, old)
        source = source.replace(old, new)
    return source


def test_every_program_has_small_sizes():
    assert sorted(path.stem for path in GALLERY.glob("*.py")) == sorted(SMALLER)


@pytest.mark.needs_jit
@pytest.mark.filterwarnings("ignore:`torch.jit.script")  # of PyTorch itself
@pytest.mark.parametrize("name", sorted(SMALLER))
def test_a_program_runs_and_draws(name):
    source = small(name)
    if "import torch" in source:
        pytest.importorskip("torch", reason="PyTorch is not installed")
    pyplot.close("all")
    names = {"__name__": name}
    exec(compile(source, f"{name}.py", "exec"), names)
    drawn = [pyplot.figure(number) for number in pyplot.get_fignums()]
    drawn += [np.ravel(names["axes"])[0].figure] if name == "plot_edge_of_stability" else []
    assert any(axes.has_data() for figure in drawn for axes in figure.axes)
    pyplot.close("all")
