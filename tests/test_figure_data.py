"""Stored data of a figure: two files that belong together, damage, and where they lie."""

from dataclasses import replace

import numpy as np
import pytest

from analysis import fig2_two_basins, figure_data
from aniso.runs import array_files

FIGURE = fig2_two_basins.FIGURE
PARAMETERS = FIGURE.scales["small"]


def save(data, number, figure=FIGURE, **prepared):
    """Store one number as the data of a figure."""
    stored = {"arrays": {"number": np.array(number)}, "seconds": 0.0, "diverged": []}
    figure_data.save(figure, "small", data, PARAMETERS | prepared, stored)


IMAGES = [{"images": {"cifar10": {"digest": digest, "source": "s"}}} for digest in "ab"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (IMAGES[0], IMAGES[1]),
        ({}, {"figure": replace(FIGURE, revision=2)}),
    ],
)
def test_a_write_cut_off_between_the_two_files_mixes_nothing(
    tmp_path, monkeypatch, capsys, first, second
):
    def killed(*_):
        raise KeyboardInterrupt

    data = tmp_path / "data.npz"
    save(data, 1, **first)
    assert figure_data.load(data, PARAMETERS)["arrays"]["number"] == 1
    with monkeypatch.context() as patch:
        patch.setattr(figure_data, "_write_json", killed)
        with pytest.raises(KeyboardInterrupt):
            save(data, 2, **second)
    assert array_files.load_arrays(data)[0]["number"] == 2
    assert figure_data.load(data, PARAMETERS) is None
    assert "data.npz' and its .json are not of one computation" in capsys.readouterr().err
    save(data, 2, **second)
    assert figure_data.load(data, PARAMETERS)["arrays"]["number"] == 2


def test_data_stored_with_the_key_alone_are_accepted(tmp_path):
    data = tmp_path / "data.npz"
    save(data, 1)
    description = data.with_suffix(".json")
    text = description.read_text()
    (line,) = (line for line in text.splitlines() if '"written"' in line)
    older = text.replace(f",\n{line}", "")
    assert older != text
    description.write_text(older)
    # the arrays of a newer write do not pass for those of an older description
    assert figure_data.load(data, PARAMETERS) is None
    array_files.save_arrays(data, {"number": np.array(3)}, figure_data.key_of(PARAMETERS))
    assert figure_data.load(data, PARAMETERS)["arrays"]["number"] == 3
