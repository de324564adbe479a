"""Arguments of runs and their directories that are refused before any work."""

import pathlib

import numpy as np
import pytest
import seeds
from descent_cases import Bare, chosen

from aniso import checks, descent
from aniso.runs import files, run_directory


class Untouched(Bare):
    """A problem that nothing may ask for its loss."""

    def gradient(self, theta):
        pytest.fail(f"the gradient was computed at {theta}")

    losses = gradient


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"run": "folder"}, r"run='folder'; expected an open runs\.run_directory\.RunDirectory"),
        ({"measurements": "x"}, r"measurements='x'; expected descent\.Measurements, or None"),
        ({"progress": 5}, "progress=5; expected a function of step and num_steps, or None"),
    ],
)
def test_optional_arguments_of_a_run_are_checked_before_the_work(own, message):
    rng = seeds.generator("run")
    with pytest.raises(checks.InputError, match=message):
        descent.simulate_descent(Untouched(), np.ones(2), chosen("gd"), rng, **own)


def test_a_generator_without_children_is_refused(rng):
    bits = np.random.MT19937(int(rng.integers(2**31)))
    bits._legacy_seeding(int(rng.integers(2**31)))  # that of numpy.random.RandomState
    message = "rng has a bit generator that can't spawn others; expected one that is seeded by"
    with pytest.raises(checks.InputError, match=message):
        descent.simulate_descent(Untouched(), np.ones(2), chosen("gd"), np.random.Generator(bits))


@pytest.mark.parametrize("path", [None, 3, b"folder", "a\0b", pathlib.Path("a\0b")])
def test_what_is_no_path_is_refused(path):
    for require in (files.require_path, files.require_folder, files.require_writable):
        with pytest.raises(checks.InputError, match=r"^output=.*; expected a path"):
            require("output", path)
    with pytest.raises(checks.InputError, match=r"the run directory=.*; expected a path"):
        run_directory.RunDirectory(path, {}, seed=1)


@pytest.mark.parametrize("folders", [None, 3, b"folder", "a\0b", [None]])
def test_a_request_to_stop_without_paths_is_refused(folders):
    with pytest.raises(checks.InputError, match=r"folders=.*; expected a path"):
        run_directory.ask_to_stop(folders)


def test_a_request_asks_all_or_none(tmp_path):
    with pytest.raises(checks.InputError, match="folders=None; expected a path"):
        run_directory.ask_to_stop([tmp_path, None])
    assert not list(tmp_path.iterdir())
    run_directory.ask_to_stop(each for each in [tmp_path, tmp_path / "absent"])
    assert (tmp_path / "stop").exists()


@pytest.mark.parametrize("parameters", [None, [1, 2], "x"])
def test_parameters_without_names_are_refused(tmp_path, parameters):
    with pytest.raises(checks.InputError, match=r"parameters has type .*; expected a dictionary"):
        run_directory.RunDirectory(tmp_path / "run", parameters, seed=1)
    assert not (tmp_path / "run").exists()


def test_names_that_are_one_as_text_are_refused(tmp_path):
    with pytest.raises(checks.InputError, match="two names are '1' as text"):
        run_directory.RunDirectory(tmp_path, {"a": {1: 2, "1": 3}}, seed=1)
    with run_directory.RunDirectory(tmp_path, {1: 2}, seed=1):
        pass
    run_directory.RunDirectory(tmp_path, {"1": 2}, seed=1)


def test_a_computation_that_is_no_function_is_refused(tmp_path):
    with pytest.raises(checks.InputError, match=r"compute=\{\}; expected a function without"):
        run_directory.stored_arrays(tmp_path / "run", {}, 0, {})
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"step": 1.5}, r"step=1\.5; expected an integer with 0 <= step"),
        ({"step": -1}, "step=-1; expected an integer with 0 <= step"),
        ({"step": 1, "num_steps": "x"}, "num_steps='x'; expected an integer with 0 <= num_steps"),
    ],
)
def test_steps_of_a_checkpoint_are_whole_numbers(tmp_path, own, message):
    with run_directory.RunDirectory(tmp_path, {}, seed=1) as run:
        with pytest.raises(checks.InputError, match=message):
            run.save_checkpoint(arrays={"theta": np.ones(1)}, details={}, **own)
        assert run.latest_checkpoint() is None
        run.save_checkpoint(np.int64(3), {"theta": np.ones(1)}, {}, num_steps=np.int64(9))
        assert run.latest_checkpoint().step == 3
