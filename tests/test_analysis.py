"""Figures: small scales from command to picture, claims that hold and fail, the written pages."""

import errno
import io
import json
import os
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from figure_cases import ONE_SEED, ROOT, run
from rich.console import Console

import aniso
from analysis import __main__ as listing
from analysis import (
    claims,
    fashion_mnist,
    fig2_two_basins,
    fig3_fashion_mnist,
    fig4_one_hidden_layer,
    figure_computation,
    index,
    step_progress,
)
from aniso.runs import array_files, run_directory

pytestmark = pytest.mark.needs_jit


@pytest.mark.parametrize("name", listing.FIGURES)
def test_a_figure_leaves_pictures_data_and_provenance(drawn, name):
    stem = drawn / "figures" / f"{name}_small"
    assert stem.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    assert stem.with_suffix(".pdf").read_bytes().startswith(b"%PDF")
    data = drawn / "figures" / "data" / f"{name}_small.npz"
    text = data.with_suffix(".json").read_text()
    description = json.loads(text, parse_constant=pytest.fail)
    expected = json.loads(json.dumps(listing.FIGURES[name].scales["small"]))
    assert description["parameters"] == expected
    assert description["revision"] == listing.FIGURES[name].revision
    assert description["environment"]["packages"]["numpy"] == np.__version__
    assert {claim["verdict"] for claim in description["claims"]} <= set(claims.Verdict)
    arrays, _ = array_files.load_arrays(data)
    assert arrays
    assert all(np.asarray(array).dtype.kind in "fibU" for array in arrays.values())


def test_the_picture_is_made_of_the_stored_data_alone(drawn, monkeypatch, capsys):
    def computed(*_):
        raise AssertionError("computed anew")

    monkeypatch.setattr(figure_computation, "compute", computed)
    picture = drawn / "figures" / "fig2_two_basins_small.png"
    before = picture.read_bytes()
    picture.unlink()
    assert run("fig2_two_basins", drawn, "--plot-only") == 0
    assert picture.read_bytes() == before
    assert "[holds] GD never escapes" in capsys.readouterr().out


def test_data_of_other_parameters_are_not_drawn(drawn, capsys):
    with pytest.raises(SystemExit) as ended:
        run("fig2_two_basins", drawn, "--plot-only", "--seeds", "7")
    assert ended.value.code == 2
    assert "holds no data of these parameters" in capsys.readouterr().err


def test_a_figure_of_finished_runs_takes_them_up(drawn, monkeypatch):
    def walked(*_, **__):
        raise AssertionError("a finished run was walked again")

    monkeypatch.setattr(fashion_mnist.descent, "simulate_descent", walked)
    data = drawn / "figures" / "data" / "fig3_fashion_mnist_small.npz"
    before = array_files.load_arrays(data)[0]
    assert run("fig3_fashion_mnist", drawn, "--fresh") == 0
    after = array_files.load_arrays(data)[0]
    for name, array in before.items():
        assert np.array_equal(after[name], array, equal_nan=True)


def test_numbers_do_not_depend_on_the_executor(drawn, tmp_path):
    name = "fig4_one_hidden_layer"
    assert run(name, tmp_path, executor="processes:2") == 0
    first, second = (
        array_files.load_arrays(folder / "figures" / "data" / f"{name}_small.npz")[0]
        for folder in (drawn, tmp_path)
    )
    for key, array in first.items():
        assert np.array_equal(second[key], array), key


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--scale", "huge"], "invalid choice: 'huge'"),
        (["--seeds", "0"], "--seeds=0"),
        (["--plot-only"], "holds no data"),
        (["--plot-only", "--fresh"], "give one of them"),
        (["--data-dir", ""], "--data-dir: '' is no path"),
        (["--runs", ""], "--runs: '' is no path"),
    ],
)
def test_wrong_arguments_end_with_status_two(tmp_path, capsys, arguments, message):
    with pytest.raises(SystemExit) as ended:
        run("fig2_two_basins", tmp_path, *arguments)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []  # nothing was done, and no empty folder is left


@pytest.mark.parametrize("option", ["--output", "--runs"])
def test_folders_that_cannot_be_made_are_refused_before_the_work(tmp_path, capsys, option):
    (tmp_path / "taken").touch()
    with pytest.raises(SystemExit) as ended:
        run("fig2_two_basins", tmp_path, option, str(tmp_path / "taken"))
    assert ended.value.code == 2
    assert f"{option}='{tmp_path}/taken" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "scale"),
    [
        ("fig3_fashion_mnist", "paper"),
        ("fig1_generalization", "medium"),
        ("fig6_sharpness", "medium"),
    ],
)
def test_missing_images_are_refused_before_the_work(tmp_path, monkeypatch, capsys, name, scale):
    monkeypatch.setenv("ANISO_DATA", str(tmp_path))
    with pytest.raises(SystemExit) as ended:
        run(name, tmp_path, "--scale", scale)
    assert ended.value.code == 2
    assert "ANISO_DATA" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_a_device_without_space_is_told_and_the_run_goes_on_later(tmp_path, monkeypatch, capsys):
    save = run_directory.RunDirectory.save_result
    full = []

    def refuse(self, *arguments):
        if self.folder.parent.name != "foundations" and len(full) < 2:
            full.append(self.folder)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        save(self, *arguments)

    monkeypatch.setattr(run_directory.RunDirectory, "save_result", refuse)
    monkeypatch.setitem(fig3_fashion_mnist.SCALES, "small", ONE_SEED)
    name = "fig3_fashion_mnist"
    assert run(name, tmp_path) == 1
    told = capsys.readouterr().err
    assert "unit seed=0, dynamics=gld_hessian failed: OSError: [Errno 28]" in told
    assert "7 of 9 units are done and kept" in told
    assert run(name, tmp_path) == 0


def test_a_diverging_dynamics_stops_no_other(tmp_path, monkeypatch):
    monkeypatch.setattr(
        fig3_fashion_mnist,
        "settings_of",
        lambda unit: fashion_mnist.descent.as_stated(
            unit["dynamics"],
            learning_rate=1e9 if unit["dynamics"] == "sgd" else 0.07,
            num_steps=unit["num_steps"],
            batch_size=unit["batch_size"],
            standard_deviation=unit["standard_deviation"],
        ),
    )
    monkeypatch.setattr(fig3_fashion_mnist, "DYNAMICS", ("gd", "gld_dynamic", "sgd"))
    monkeypatch.setattr(fig3_fashion_mnist, "ANISOTROPIC", ("sgd",))
    monkeypatch.setitem(fig3_fashion_mnist.SCALES, "small", ONE_SEED)
    assert run("fig3_fashion_mnist", tmp_path) == 0
    arrays, _ = array_files.load_arrays(
        tmp_path / "figures" / "data" / "fig3_fashion_mnist_small.npz"
    )
    assert arrays["diverged"].tolist() == [[False, False, True]]
    assert np.isfinite(arrays["loss"][0, :2]).all()
    assert np.isnan(arrays["loss"][0, 2, -1])
    (stored,) = (
        description
        for path in (tmp_path / "runs").glob("fig3*/*/unit-*/result.npz")
        if "loss"
        in (description := json.loads(array_files.load_arrays(path)[1]))["details"]["message"]
    )
    assert "step" in stored["details"]["message"]


def test_an_unknown_executor_is_refused_before_the_work(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        run("fig2_two_basins", tmp_path, executor="slurm")
    assert ended.value.code == 2
    assert "executor='slurm'" in capsys.readouterr().err


def test_a_failing_unit_is_told_and_the_others_are_done(tmp_path, capsys):
    done = []

    def compute(unit, *_):
        if unit["dynamics"] == "gld_diagonal":
            raise RuntimeError("no luck")
        done.append(unit["dynamics"])

    assert run(replace(fig2_two_basins.FIGURE, compute_unit=compute), tmp_path) == 1
    assert "RuntimeError: no luck" in capsys.readouterr().err
    assert len(done) == len(fig2_two_basins.DYNAMICS) - 1
    assert not list(tmp_path.glob("figures/*.png"))


def test_data_of_another_revision_are_drawn_with_a_notice(drawn, monkeypatch, capsys):
    figure = fig2_two_basins.FIGURE
    assert run(figure, drawn) == 0
    assert "were made by" not in capsys.readouterr().out
    assert run(replace(figure, revision=2), drawn) == 0
    notice = capsys.readouterr().out
    assert "made by revision 1 of the figure with aniso" in notice
    assert "these are revision 2" in notice
    assert "--fresh" in notice
    monkeypatch.setattr(aniso, "__version__", "99.0")
    assert run(figure, drawn) == 0
    assert "these are revision 1 and aniso 99.0" in capsys.readouterr().out


def test_runs_of_another_revision_or_version_are_never_taken_up(tmp_path, monkeypatch):
    asked = []

    def compute(_, folder, __):
        asked.append(folder)
        raise RuntimeError("enough")

    first = replace(fig4_one_hidden_layer.FIGURE, compute_unit=compute)
    for figure in (first, first, replace(first, revision=2)):
        assert run(figure, tmp_path) == 1
    monkeypatch.setattr(aniso, "__version__", "99.0")
    assert run(first, tmp_path) == 1
    one, again, raised, other = np.split(np.array(asked), 4)
    assert (one == again).all()
    assert not set(one) & {*raised, *other}
    assert not set(raised) & set(other)


def test_committed_data_are_of_the_present_revision():
    for path in (ROOT / "figures" / "data").glob("*.json"):
        description = json.loads(path.read_text())
        assert description["revision"] == listing.FIGURES[description["figure"]].revision


def test_steps_are_counted_from_what_units_write(tmp_path):
    folders = [tmp_path / name for name in ("running", "waiting", "ended", "damaged")]
    for folder, text in (("running", '{"step": 30, "num_steps": 100}'), ("damaged", "{")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "progress.json").write_text(text)
    count = step_progress.StepCount(folders, [100, 100, 50, 10])
    assert (count.done(), count.total) == (30, 260)
    count.finish(str(tmp_path / "ended"))
    assert count.done() == 80


@pytest.mark.parametrize("terminal", [True, False])
def test_the_bar_shows_steps_on_a_terminal_and_nothing_elsewhere(tmp_path, terminal, monkeypatch):
    monkeypatch.setattr(step_progress, "_SECONDS_BETWEEN_LOOKS", 0.01)
    written = io.StringIO()
    console = Console(file=written, force_terminal=terminal, width=120)
    with step_progress.shown("fig", [tmp_path], [4000], console):
        for step in (1000, 2500):
            (tmp_path / "progress.json").write_text(json.dumps({"step": step}))
            time.sleep(0.15)
    assert ("2,500/4,000 steps" in written.getvalue()) == terminal
    assert ("steps/s" in written.getvalue()) == terminal
    assert bool(written.getvalue()) == terminal


def test_interruption_has_its_own_status(tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(figure_computation, "compute", interrupted)
    assert run("fig2_two_basins", tmp_path) == 130


@pytest.mark.parametrize("more", [[], ["--plot-only"]])
@pytest.mark.parametrize("name", ["prepare", "draw"])
def test_an_interruption_outside_the_computation_has_it_too(
    tmp_path, monkeypatch, capsys, name, more
):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setenv("ANISO_DATA", str(tmp_path))  # so that the figure prepares itself
    data = tmp_path / "figures" / "data" / "fig2_two_basins_small.npz"
    data.parent.mkdir(parents=True)
    for ending in (".npz", ".json"):
        stored = ROOT / "figures" / "data" / f"fig2_two_basins_medium{ending}"
        data.with_suffix(ending).write_bytes(stored.read_bytes())
    own = fig2_two_basins.FIGURE
    scales = {"small": own.scales["medium"]}
    figure = replace(own, scales=scales, **{name: interrupted})
    assert run(figure, tmp_path, *more) == 130
    again = "draws again" if more else "continues from the checkpoints"
    assert f"interrupted; the same command {again}" in capsys.readouterr().err


def test_an_interruption_of_the_pages_has_it_too(tmp_path, monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(index, "stored_figures", interrupted)
    assert index.main(["--output", str(tmp_path)]) == 130
    assert "interrupted" in capsys.readouterr().err


def test_the_list_names_every_figure_with_cost_and_claim():
    done = subprocess.run(
        [sys.executable, "-m", "analysis"], capture_output=True, text=True, cwd=ROOT, check=True
    )
    for name in listing.FIGURES:
        figure = listing.FIGURES[name]
        assert f"python -m analysis.{name}" in done.stdout
        assert figure.claim in done.stdout
        assert figure.costs.keys() == figure.scales.keys()
        assert all(cost in done.stdout for cost in figure.costs.values())
    modules = {path.stem for path in (ROOT / "analysis").glob("fig[0-9]*.py")}
    assert modules == set(listing.FIGURES) - {"alignment_and_exit", "vgg_tuning"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["analysis"],
        ["analysis.fig2_two_basins", "--help"],
        ["analysis.index", "--help"],
        ["analysis.alignment_and_exit", "--help"],
    ],
)
def test_the_help_names_the_folders_of_the_repository(tmp_path, arguments):
    (tmp_path / "figures").mkdir()
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "1000"},
        check=True,
    )
    assert str(ROOT / "figures") in done.stdout
    if "index" not in arguments[0]:
        assert str(ROOT / "runs") in done.stdout


def test_figures_go_beside_the_scripts_from_any_folder(tmp_path):
    repository, elsewhere = tmp_path / "repository", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (repository / "analysis").mkdir(parents=True)
    for path in (ROOT / "analysis").glob("*.py"):
        (repository / "analysis" / path.name).write_bytes(path.read_bytes())
    subprocess.run(
        [sys.executable, "-m", "analysis.fig2_two_basins", "--executor", "serial"],
        cwd=elsewhere,
        env=os.environ | {"PYTHONPATH": f"{repository}{os.pathsep}{ROOT}"},
        check=True,
    )
    assert list(elsewhere.iterdir()) == []
    assert (repository / "figures" / "fig2_two_basins_small.png").exists()
    assert (repository / "figures" / "data" / "fig2_two_basins_small.npz").exists()
    assert (repository / "runs").is_dir()
