"""Stored data of a figure: two files that belong together, damage, and where they lie."""

import json
from dataclasses import replace

import numpy as np
import pytest
from figure_cases import run

from analysis import fig2_two_basins, figure_data, index
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


DAMAGED = ["", "[]", "3", '{"figure": 3', '{"scale": "study_n300"}', '{"parameters": []}']
EMPTY = '{"figure": "f", "scale": "study_n300", "parameters": {}, "key": ""}'


@pytest.mark.parametrize("text", [*DAMAGED, EMPTY])
def test_a_damaged_description_beside_a_study_is_refused_by_name(tmp_path, capsys, text):
    damaged = tmp_path / "figures" / "data" / "fig3_fashion_mnist_study_n300_from7.json"
    damaged.parent.mkdir(parents=True)
    damaged.write_text(text)
    with pytest.raises(SystemExit) as ended:
        run("fig3_fashion_mnist", tmp_path, "--scale", "study_n300", "--plot-only")
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert f"{str(damaged)!r} is no description of stored data" in told
    assert "restore it, or remove it" in told


@pytest.mark.parametrize("text", DAMAGED)
@pytest.mark.parametrize("name", ["fig2_two_basins_small", "fig3_fashion_mnist_study_as_published"])
def test_damage_is_refused_by_the_pages(tmp_path, capsys, name, text):
    data = tmp_path / "data"
    data.mkdir()
    save(data / f"{name}.npz", 1)
    (data / f"{name}.json").write_text(text)
    with pytest.raises(SystemExit) as ended:
        index.main(["--output", str(tmp_path)])
    assert ended.value.code == 2
    assert f"{name}.json' is no description of stored data" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [data]


def test_the_pages_refuse_data_without_verdicts_and_mixed_data(tmp_path, capsys):
    data = tmp_path / "data" / "fig2_two_basins_small.npz"
    data.parent.mkdir()
    save(data, 1)
    with pytest.raises(SystemExit):
        index.main(["--output", str(tmp_path)])
    told = capsys.readouterr().err
    assert "has no verdicts" in told
    assert "python -m analysis.fig2_two_basins --scale small --plot-only" in told
    description = data.with_suffix(".json")
    description.write_text(json.dumps(json.loads(description.read_text()) | {"claims": []}))
    assert index.stored_figures(tmp_path)["fig2_two_basins"][1] == {"number": 1}
    array_files.save_arrays(data, {"number": np.array(2)}, "another computation")
    with pytest.raises(SystemExit):
        index.main(["--output", str(tmp_path)])
    assert "are not of one computation" in capsys.readouterr().err


def test_other_files_in_the_folder_are_passed_over(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "my_study.json").write_text("[]")
    assert index.studies(tmp_path) == []
    assert index.stored_figures(tmp_path) == {}
