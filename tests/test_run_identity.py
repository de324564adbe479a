"""Identity of a run directory: parameters that differ are told apart, equal ones known again."""

import re

import numpy as np
import pytest
import seeds
from descent_cases import bowl, chosen

from aniso import checks, descent
from aniso.runs import parameter_differences, run_directory


@pytest.mark.parametrize(
    ("first", "second", "line"),
    [
        ({"seed": 1}, {"seed": 2}, "seed: stored 1, asked for 2"),
        ({"a": {"b": 1}}, {"a.b": 1}, r"'a\.b': not stored, asked for 1"),
        ({"decay": {}}, {}, "decay: stored {}, not asked for"),
        ({}, {"decay": {}}, "decay: not stored, asked for {}"),
        (
            {"parameters": {"x": 1}, "x": 3},
            {"parameters": {"x": 2}, "x": 3},
            r"parameters\.x: stored 1, asked for 2",
        ),
        ({"a": True}, {"a": 1}, "a: stored True, asked for 1"),
        ({"a": [{"b": False}]}, {"a": [{"b": 0}]}, r"a: stored \[\{'b': False\}\], asked for"),
        ({"a": None}, {}, "a: stored None, not asked for"),
        ({"a": float("nan")}, {"a": 1.5}, "a: stored nan, asked for 1.5"),
        ({"a": 2**64}, {"a": 2**64 + 1}, "a: stored 18446744073709551616, asked for"),
    ],
)
def test_parameters_of_any_shape_are_told_apart(tmp_path, first, second, line):
    run_directory.stored_arrays(tmp_path, first, 0, lambda: {"found": np.ones(1)})
    with pytest.raises(checks.InputError, match=f"\n  {line}"):
        run_directory.stored_arrays(tmp_path, second, 0, dict)


@pytest.mark.parametrize(
    ("stored", "asked"),
    [
        ({"a": float("nan"), "b": [float("inf")]},) * 2,
        ({"a": 1}, {"a": 1.0}),
        ({"a": [1, {"b": 2, "c": 3}]}, {"a": (1.0, {"c": 3, "b": 2})}),
        ({}, {}),
    ],
)
def test_the_same_parameters_are_known_again(tmp_path, stored, asked):
    for parameters in (stored, asked):
        found = run_directory.stored_arrays(tmp_path, parameters, 0, lambda: {"found": np.ones(1)})
        assert found["found"].tolist() == [1]


def test_only_what_differs_is_shown():
    stored, asked = {"parameters": {}, "seed": 1}, {"parameters": {"a": {"b": 1}}, "seed": 1}
    assert list(parameter_differences(stored, asked)) == ["a.b: not stored, asked for 1"]
    assert list(parameter_differences(asked, stored)) == ["a.b: stored 1, not asked for"]


USES = {
    "save_checkpoint": lambda run: run.save_checkpoint(1, {"theta": np.ones(1)}, {}),
    "save_result": lambda run: run.save_result(1, {"theta": np.ones(1)}, {}),
    "attend": lambda run: run.attend(1, 2),
    "latest_checkpoint": lambda run: run.latest_checkpoint(),
    "result": lambda run: run.result(),
    "simulate_descent": lambda run: descent.simulate_descent(
        bowl(seeds.generator("bowl")), np.ones(4), chosen("gd"), seeds.generator("run"), run=run
    ),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_a_directory_that_is_not_open_is_not_used(tmp_path, use):
    run = run_directory.RunDirectory(tmp_path, {}, seed=1)
    message = "is not open; expected calls within `with RunDirectory"
    with pytest.raises(checks.InputError, match=message):
        use(run)
    with run:
        use(run)
    with pytest.raises(checks.InputError, match=message):
        use(run)


def test_a_directory_opens_again(tmp_path):
    run = run_directory.RunDirectory(tmp_path, {}, seed=1)
    for step in (1, 2):
        with run:
            run.save_checkpoint(step, {"theta": np.ones(1)}, {})
    with run:
        assert run.latest_checkpoint().step == 2


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        "5",
        '"a"',
        "null",
        "{}",
        '{"parameters": {}, "seed": 0}',
        '{"parameters": null, "seed": 0, "environments": []}',
        '{"parameters": {}, "seed": 0, "environments": 5}',
    ],
)
def test_a_description_of_another_shape_is_refused(tmp_path, content):
    (tmp_path / "run.json").write_text(content)
    message = r"run\.json' does not describe a run; expected an object with parameters, seed, env"
    with pytest.raises(checks.InputError, match=message):
        run_directory.RunDirectory(tmp_path, {}, seed=0)
    assert (tmp_path / "run.json").read_text() == content


def test_a_description_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "run.json").write_bytes(b"\xff")
    with pytest.raises(checks.InputError, match=r"run\.json' can't be read .*; remove the directo"):
        run_directory.RunDirectory(tmp_path, {}, seed=0)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("run.json", "can't be read (Is a directory); remove the directory"),
        *(
            (name, "is a folder; expected a file of the run; remove the folder, or choose")
            for name in ("progress.json", "stop", "result.npz")
        ),
        ("lock", "can't be locked: Is a directory"),
    ],
)
def test_a_folder_in_the_place_of_a_file_is_refused_before_the_work(tmp_path, name, message):
    (tmp_path / name).mkdir()
    with pytest.raises(checks.InputError, match=re.escape(message)):
        run_directory.stored_arrays(tmp_path, {}, 0, pytest.fail)


def test_a_folder_in_the_place_of_a_checkpoint_is_refused(tmp_path):
    (tmp_path / "checkpoint-000000005.npz").mkdir()
    with (
        run_directory.RunDirectory(tmp_path, {}, seed=1) as run,
        pytest.raises(checks.InputError, match=r"checkpoint-000000005\.npz' is a folder; expected"),
    ):
        USES["simulate_descent"](run)


def test_a_checkpoint_without_theta_is_no_run_of_descent(tmp_path):
    with run_directory.RunDirectory(tmp_path, {}, seed=1) as run:
        run.save_checkpoint(1, {"x": np.ones(1)}, {})
        with pytest.raises(checks.InputError, match=r"has no theta, but \['x'\]; expected one of"):
            USES["simulate_descent"](run)


@pytest.mark.parametrize("details", [{"a": np.ones(1)}, {"a": len}, {(1, 2): 3}])
def test_details_that_are_no_plain_data_are_refused(tmp_path, details):
    with run_directory.RunDirectory(tmp_path, {}, seed=1) as run:
        for save in (run.save_checkpoint, run.save_result):
            with pytest.raises(checks.InputError, match=r"details of .*\.npz can't be stored"):
                save(1, {"x": np.ones(1)}, details)
        assert (run.result(), run.latest_checkpoint()) == (None, None)
