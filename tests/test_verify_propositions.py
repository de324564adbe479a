"""The command, as a user meets it: arguments, exit status, files, and the same numbers again."""

import json
import multiprocessing
import os
import re
import signal
import stat
import subprocess
import sys
import threading

import jsonschema
import pytest
from rich.console import Console
from test_report import SCHEMA

from aniso import propositions, threads
from aniso.propositions import command, running, trained_networks
from aniso.propositions.check import Statement, compare
from aniso.propositions.settings import Settings, Task

COMMAND = [sys.executable, "-m", "aniso.verify_propositions"]


def call(*arguments, environment=None):
    return subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env=os.environ | (environment or {}),
    )


def numbers(path):
    """Everything that must be reproduced: all but times."""
    data = json.loads(path.read_text())
    jsonschema.validate(data, SCHEMA)
    return [(task["group"], task["name"], task["error"], task["checks"]) for task in data["tasks"]]


def one_check(measured):
    return compare(Statement("planted", "c", "r", "o", "s"), measured, ">=", 1.0)


@pytest.fixture
def planned(monkeypatch):
    """Replace the groups' tasks by tasks of the test's own."""

    def plan(*runs):
        monkeypatch.setattr(
            propositions,
            "tasks",
            lambda group, _: [Task(f"{group} {i}", run) for i, run in enumerate(runs)],
        )
        # a second process would not know of the test's tasks
        monkeypatch.setattr(threads, "available_cores", lambda: 1)

    return plan


@pytest.mark.needs_jit
def test_the_command_prints_its_table_writes_its_files_and_succeeds(tmp_path):
    path, folder = tmp_path / "result.json", tmp_path / "plots"
    done = call(
        "--quick", "--only", "definition1", "proposition1", "--json", str(path), "--plot",
        str(folder),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    shown, written = done.stdout.splitlines()[:-3], done.stdout.splitlines()[-3:]
    assert "VERIFIED" in shown[-1]
    assert max(map(len, shown)) <= 100
    figures = [folder / f"{group}.png" for group in ("definition1", "proposition1")]
    assert written == [f"wrote {name}" for name in (path, *figures)]
    data = json.loads(path.read_text())
    jsonschema.validate(data, SCHEMA)
    assert data["verdict"] == "holds"
    assert {task["group"] for task in data["tasks"]} == {"definition1", "proposition1"}
    assert sorted(p.name for p in folder.iterdir()) == ["definition1.png", "proposition1.png"]


@pytest.mark.needs_jit
def test_the_same_seed_gives_the_same_numbers_whatever_else_runs(tmp_path):
    alone, together, other = (tmp_path / name for name in ("a.json", "b.json", "c.json"))
    quick = ["--quick", "--json"]
    assert command.main([*quick, str(alone), "--only", "definition1"]) == 0
    both = ["--only", "proposition1", "definition1"]
    assert command.main([*quick, str(together), *both]) == 0
    assert command.main([*quick, str(other), "--only", "definition1", "--seed", "1"]) == 0
    first = numbers(alone)
    assert first == [task for task in numbers(together) if task[0] == "definition1"]
    assert first != numbers(other)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "proposition7"], "invalid choice: 'proposition7'"),
        (["--quick", "--full"], "not allowed with"),
        (["--seed", "-1"], "seed=-1; expected an integer with 0 <= seed"),
        (["--seed", "x"], "invalid int value: 'x'"),
        (["--json", "no/such/folder/file.json"], "can't be written"),
        (["--nonsense"], "unrecognized arguments"),
    ],
)
def test_wrong_arguments_end_with_status_two_before_any_work(arguments, message, planned, capsys):
    planned(lambda: pytest.fail("work was done"))
    with pytest.raises(SystemExit) as ended:
        command.main(arguments)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_groups_on_request_run_only_where_they_are_named(planned, capsys):
    planned(lambda: [one_check(2.0)])
    title = propositions.title("stability")
    assert command.main([]) == 0
    shown = capsys.readouterr().out
    assert propositions.title("curvature") in shown
    assert title not in shown
    assert command.main(["--only", "stability"]) == 0
    assert title in capsys.readouterr().out


def test_outputs_that_cannot_be_written_are_refused_before_any_work(tmp_path, planned, capsys):
    planned(lambda: pytest.fail("work was done"))
    (tmp_path / "file").write_text("kept")
    for arguments in (
        ["--json", str(tmp_path)],
        ["--plot", str(tmp_path / "file")],
        ["--plot", str(tmp_path / "file" / "below")],
    ):
        with pytest.raises(SystemExit) as ended:
            command.main(arguments)
        assert ended.value.code == 2
        assert "expected" in capsys.readouterr().err
    assert (tmp_path / "file").read_text() == "kept"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


posix = pytest.mark.skipif(os.name != "posix", reason="links and devices are a matter of POSIX")


@posix
def test_the_json_goes_through_a_link_and_into_a_pipe(tmp_path, planned, capsys):
    planned(lambda: [one_check(2.0)])
    link, target = tmp_path / "link", tmp_path / "elsewhere.json"
    target.write_text("old")
    link.symlink_to(target)
    pipe, got = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_text()), daemon=True)
    reader.start()
    for path in (link, pipe):
        assert command.main(["--only", "proposition1", "--json", str(path)]) == 0
    reader.join()
    assert link.is_symlink()
    assert stat.S_ISFIFO(os.stat(pipe).st_mode)
    for text in (target.read_text(), *got):
        assert json.loads(text)["verdict"] == "holds"
    assert capsys.readouterr().err == ""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no full device")
def test_a_full_disk_is_told_without_a_traceback(tmp_path, planned, capsys):
    planned(lambda: [one_check(2.0)])
    path = tmp_path / "full"
    path.symlink_to("/dev/full")
    assert command.main(["--only", "proposition1", "--json", str(path)]) == 1
    told = capsys.readouterr()
    assert "VERIFIED" in told.out  # the table has been printed
    assert f"can't be written to {str(path)!r}: No space left on device" in told.err


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no full device")
@pytest.mark.needs_jit
def test_a_full_standard_output_is_told_without_a_traceback():
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*COMMAND, "--quick", "--only", "proposition1"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert "can't be written to standard output: No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


def test_a_failing_check_gives_status_one_and_is_recorded(tmp_path, planned, capsys):
    planned(lambda: [one_check(0.5)])
    path = tmp_path / "result.json"
    assert command.main(["--only", "proposition1", "--json", str(path)]) == 1
    assert "NOT VERIFIED" in capsys.readouterr().out
    assert json.loads(path.read_text())["verdict"] == "fails"


def test_a_task_that_breaks_off_is_reported_and_the_others_still_run(planned, capsys):
    def broken():
        raise ZeroDivisionError("planted")

    planned(broken, lambda: [one_check(2.0)])
    assert command.main(["--only", "proposition1"]) == 1
    shown = capsys.readouterr().out
    assert "ZeroDivisionError: planted" in shown
    assert "1 holds, 1 task broke off" in shown


def test_an_interrupt_writes_nothing(tmp_path, planned, capsys):
    def interrupted():
        raise KeyboardInterrupt

    planned(interrupted)
    path = tmp_path / "result.json"
    path.write_text("kept")
    assert command.main(["--json", str(path)]) == 130
    assert path.read_text() == "kept"
    assert [p.name for p in tmp_path.iterdir()] == ["result.json"]
    assert "interrupted" in capsys.readouterr().err


def test_a_signal_in_the_middle_leaves_no_partial_file(tmp_path):
    script = """
import signal, sys, time
from aniso import propositions, threads
from aniso.propositions import command, running, trained_networks
from aniso.propositions.settings import Task

def work():
    print("at work", flush=True)
    for _ in range(600):  # a signal just before a long sleep would wait for its end
        time.sleep(0.1)

# Where the suite runs in the background, Ctrl-C is ignored from birth.
signal.signal(signal.SIGINT, signal.default_int_handler)
propositions.tasks = lambda group, settings: [Task(group, work)]
sys.exit(command.main(["--json", sys.argv[1]]))
"""
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "result.json")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout.readline() == b"at work\n"
        process.send_signal(signal.SIGINT)
        try:
            _, errors = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == 130
    assert b"interrupted: nothing was written" in errors
    assert list(tmp_path.iterdir()) == []


def test_the_json_may_lie_in_the_folder_of_the_figures(tmp_path, planned, capsys):
    planned(lambda: [one_check(2.0)])
    folder = tmp_path / "new"
    for path, status in ((folder / "result.json", 0), (folder, 2)):
        arguments = ["--only", "proposition2", "--plot", str(folder), "--json", str(path)]
        try:
            ended = command.main(arguments)
        except SystemExit as error:
            ended = error.code
        assert ended == status
    assert [path.name for path in folder.iterdir()] == ["result.json"]
    assert "is a folder" in capsys.readouterr().err


@pytest.mark.parametrize("groups", [["curvature"], ["dynamics", "curvature"]])
def test_groups_without_figures_are_refused_a_folder_for_them(tmp_path, planned, capsys, groups):
    planned(lambda: pytest.fail("worked"))
    with pytest.raises(SystemExit) as ended:
        command.main(["--only", *groups, "--plot", str(tmp_path / "new")])
    assert ended.value.code == 2
    message = capsys.readouterr().err
    assert f"--plot has no figure of {', '.join(groups)}; leave it out" in message
    assert "one: definition1, proposition1, proposition2, proposition3" in message
    assert list(tmp_path.iterdir()) == []


def test_no_empty_folder_is_left(tmp_path, planned, capsys):
    planned(lambda: [one_check(2.0)])  # no series: nothing to draw
    (tmp_path / "old").mkdir()
    for folder in (tmp_path / "new" / "deep", tmp_path / "old"):
        assert command.main(["--only", "proposition2", "--plot", str(folder)]) == 0
        assert "no figure: no task left data to draw" in capsys.readouterr().out
    missing = ["--json", str(tmp_path / "absent" / "file.json")]
    with pytest.raises(SystemExit):
        command.main(["--plot", str(tmp_path / "new"), *missing])
    assert [path.name for path in tmp_path.iterdir()] == ["old"]


@pytest.mark.parametrize("name", ["_show", "_require_figures"])
def test_an_interrupt_outside_the_checks_has_its_status(
    tmp_path, planned, monkeypatch, capsys, name
):
    def interrupted(*_):
        raise KeyboardInterrupt

    planned(lambda: [one_check(2.0)])
    monkeypatch.setattr(command, name, interrupted)
    folder = tmp_path / "new"
    assert command.main(["--only", "proposition1", "--plot", str(folder)]) == 130
    assert "interrupted: the results are not all written" in capsys.readouterr().err
    assert not folder.exists()


def test_an_interrupt_leaves_no_empty_folder(tmp_path, planned):
    def interrupted():
        raise KeyboardInterrupt

    planned(interrupted)
    folder = tmp_path / "new"
    assert command.main(["--only", "proposition1", "--plot", str(folder)]) == 130
    assert not folder.exists()


def test_the_table_fits_a_narrow_terminal(planned, capsys, monkeypatch):
    planned(lambda: [one_check(2.0)])
    monkeypatch.setenv("FORCE_COLOR", "1")  # a terminal, to rich
    for columns, width in ((80, 80), (200, 100)):
        monkeypatch.setenv("COLUMNS", str(columns))
        command.main(["--only", "proposition2"])
        printed = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
        assert max(map(len, printed.splitlines())) == width


def test_a_stream_without_greek_letters_gets_the_table_all_the_same():
    done = call("--quick", "--only", "proposition1", environment={"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0, done.stderr
    assert "VERIFIED" in done.stdout


def test_progress_is_shown_on_a_terminal_and_nowhere_else(planned):
    import io

    planned(lambda: [one_check(2.0)])
    for terminal in (True, False):
        stream = io.StringIO()
        console = Console(file=stream, force_terminal=terminal, width=100)
        results = command.run(["proposition1"], Settings("quick"), console)
        assert [result.name for result in results] == ["proposition1 0"]
        assert ("proposition1" in stream.getvalue()) is terminal


@pytest.mark.needs_jit
def test_more_processes_give_the_same_numbers_in_the_same_order():
    settings, groups = Settings("quick"), ["definition1", "proposition1"]
    runs = []
    for count in (1, 3):
        trained_networks.training.values.clear()
        runs.append(command.run(groups, settings, Console(stderr=True), num_processes=count))
    one, three = ([(r.group, r.name, r.checks) for r in results] for results in runs)
    assert [(group, name) for group, name, _ in one] == [(group, name) for group, name, _ in three]
    assert repr(one) == repr(three)
    assert multiprocessing.active_children() == []


def test_an_interruption_ends_the_other_processes_at_once(monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(running, "_run_unit", interrupted)
    groups = ["proposition1", "dynamics"]
    with pytest.raises(KeyboardInterrupt):
        command.run(groups, Settings("full"), Console(stderr=True), num_processes=2)
    assert multiprocessing.active_children() == []
