"""``python -m aniso.diagnose``: as a process on a user's file, with files, refusals and Ctrl-C."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from aniso import checks, diagnostics
from aniso.diagnostics import command

ROOT = Path(__file__).parents[1]
MODULE = """
import time
import numpy as np
from aniso import networks
from aniso.problems import losses

def network():
    rng = np.random.default_rng(0)
    stack = networks.multilayer_perceptron((3, 4, 2), "tanh")
    inputs, targets = rng.standard_normal((9, 3)), rng.integers(0, 2, 9)
    problem = networks.Network(stack, losses.SoftmaxCrossEntropy(), inputs, targets)
    return problem, stack.initial_parameters(rng)

def geometry():
    problem, theta = network()
    return problem.at(theta)

def number():
    return 3

def without_theta():
    return network()[0]

constant = 3

def endless():
    problem, theta = network()
    def work(theta):
        print("at work", flush=True)
        for _ in range(600):  # a signal just before a long sleep would wait for its end
            time.sleep(0.1)
    problem.losses = work
    return problem, theta
"""
BATCHES = ["--batch-size", "3", "--no-replacement"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "own_model.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.modules.pop("own_model", None)


def run(folder, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "aniso.diagnose", *arguments],
        capture_output=True,
        cwd=folder,
        encoding="utf-8",
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"},
        check=False,
    )


def test_the_command_measures_prints_and_writes(folder):
    arguments = ["--learning-rate", "0.1", "--json", "found.json", "--seed", "4"]
    done = run(folder, "own_model:network", *BATCHES, *arguments)
    assert done.stderr == ""
    assert done.returncode == 0
    assert "wrote found.json" in done.stdout
    found = diagnostics.Diagnosis.from_json((folder / "found.json").read_text("utf-8"))
    assert len(found) == len(diagnostics.registry.chosen("standard"))
    assert found.settings["batch_size"] == 3
    assert found.settings["learning_rate"] == 0.1
    assert sorted(path.name for path in folder.glob("*.json")) == ["found.json"]


def test_the_same_seed_writes_the_same_numbers(folder, capsys):
    kept = []
    for seed in ("1", "1", "2"):
        arguments = ["--quantities", "batch_sharpness", "--seed", seed, "--json", "one.json"]
        assert command.main(["own_model:geometry", *BATCHES, *arguments]) == 0
        data = json.loads((folder / "one.json").read_text("utf-8"))
        kept.append(data["readings"])
    assert kept[0] == kept[1] != kept[2]
    assert "batch_sharpness" in json.dumps(kept)
    assert capsys.readouterr().out.count("wrote one.json") == 3


def test_a_plan_is_written_as_json(folder, capsys):
    arguments = ["own_model:network", "--plan", "--quantities", "loss", "--json", "cost.json"]
    assert command.main(arguments) == 0
    assert "wrote cost.json" in capsys.readouterr().out
    found = json.loads((folder / "cost.json").read_text("utf-8"))
    assert set(found["seconds"]) == set(found["num_bytes"])
    assert "loss" in found["seconds"]
    total = found["repetitions"] * sum(found["seconds"].values())
    assert found["total_seconds"] == pytest.approx(total)
    assert found["peak_bytes"] == max(found["num_bytes"].values())
    with pytest.raises(SystemExit):
        command.main([*arguments[:-2], "--html", "cost.html"])
    assert "a cost has no page" in capsys.readouterr().err


def test_a_page_is_written_on_request(folder, capsys, monkeypatch):
    def to_html(found, path):
        Path(path).write_text(f"{len(found)} readings")

    monkeypatch.setattr(diagnostics.Diagnosis, "to_html", to_html, raising=False)
    arguments = ["--quantities", "first_order", "--html", "page.html"]
    assert command.main(["own_model:network", *BATCHES, *arguments]) == 0
    assert (folder / "page.html").read_text() == "6 readings"
    assert "wrote page.html" in capsys.readouterr().out


@pytest.mark.usefixtures("folder")
def test_a_plan_measures_nothing(capsys, monkeypatch):
    monkeypatch.setattr(command, "measure", lambda *_, **__: pytest.fail("measured"))
    assert command.main(["own_model:network", "--plan", "--quantities", "all"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("<Plan: ")
    assert "trace_ratio" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["own_model"], "'own_model' has no module and function; expected module:function"),
        (["absent:problem", *BATCHES], "module 'absent' of 'absent:problem' is not found"),
        (["own_model:absent", *BATCHES], "module 'own_model' has no 'absent'"),
        (["own_model:constant", *BATCHES], "has int, not a function, 'constant'"),
        (["own_model:number", *BATCHES], "own_model:number returned a int; expected a problem"),
        (["own_model:without_theta", *BATCHES], "a Network has no initial_theta"),
        (["own_model:network", "--no-replacement"], "--batch-size is missing"),
        (["own_model:network", "--batch-size", "3"], "--replacement or --no-replacement is"),
        (["own_model:network", *BATCHES, "--seed", "-1"], "--seed=-1; expected an integer >= 0"),
        (["own_model:network", *BATCHES, "--json", "no/file"], "--json='no/file' can't be written"),
        (["own_model:network", *BATCHES, "--quantities", "nice"], "invalid choice: 'nice'"),
        (["own_model:network", *BATCHES, "--relative-error", "0"], "relative_error=0.0"),
    ],
)
def test_wrong_arguments_are_named(folder, capsys, arguments, message):
    if ":" not in arguments[0]:
        arguments = [*arguments, *BATCHES]
    with pytest.raises(SystemExit) as ended:
        command.main(arguments)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err
    assert [path.name for path in folder.glob("*.json")] == []


def test_errors_of_the_users_own_code_are_raised(folder):
    (folder / "broken_model.py").write_text("import no_such_package\n")
    with pytest.raises(ModuleNotFoundError, match="no_such_package"):
        command.load("broken_model:problem")
    (folder / "failing_model.py").write_text("def problem():\n    return 1 / 0\n")
    with pytest.raises(ZeroDivisionError):
        command.load("failing_model:problem")
    with pytest.raises(checks.InputError, match="module 'no_such"):
        command.load("no_such.model:problem")


def test_ctrl_c_ends_within_a_second_and_writes_nothing(folder):
    # where the suite runs in the background, Ctrl-C is ignored from birth
    script = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from aniso.diagnostics import command; command.program()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, "own_model:endless", *BATCHES, "--json", "found.json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    ) as process:
        assert process.stdout.readline() == b"at work\n"
        start = time.monotonic()
        process.send_signal(signal.SIGINT)
        try:
            _, errors = process.communicate(timeout=30)
        finally:
            process.kill()
    assert time.monotonic() - start < 20  # a second where the machine is idle; the work takes 60
    assert process.returncode == 130
    assert errors == b"interrupted: nothing was written\n"
    assert list(folder.glob("*.json")) == []


def test_ctrl_c_while_the_results_are_written_has_its_status(folder, monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "_write", interrupted)
    assert command.main(["own_model:network", *BATCHES, "--plan"]) == 130
    assert "interrupted: the results are not all written" in capsys.readouterr().err
    assert list(folder.glob("*.json")) == []
