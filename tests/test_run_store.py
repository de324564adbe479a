"""Run directories: identity, checkpoints that survive damage and kills, one process at a time."""

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import executor_units
import filelock
import numpy as np
import pytest

from aniso import checks
from aniso.runs import DirectoryInUse, array_files, files, run_directory

# for programs of their own: these tests and the sources they lie with
TESTS = Path(__file__).parent
ENVIRONMENT = os.environ | {"PYTHONPATH": f"{TESTS}:{TESTS.parent}"}
PARAMETERS = {"learning_rate": 0.1, "network": {"widths": [2, 3]}}


def opened(folder, parameters=PARAMETERS, seed=1):
    return run_directory.RunDirectory(folder, parameters, seed=seed)


def test_the_newest_checkpoint_comes_back(tmp_path):
    with opened(tmp_path) as run:
        assert run.latest_checkpoint() is None
        for step in (5, 10, 100):
            run.save_checkpoint(step, {"theta": np.full(3, step)}, {"rng": "x"}, num_steps=200)
        stored = run.latest_checkpoint()
    assert stored.step == 100
    assert stored.arrays["theta"].tolist() == [100, 100, 100]
    assert stored.details == {"rng": "x"}
    assert len(list(tmp_path.glob("checkpoint-*"))) == 2
    assert '"num_steps": 200' in (tmp_path / "progress.json").read_text()


def test_the_result_replaces_the_checkpoints_but_the_last(tmp_path):
    with opened(tmp_path) as run:
        assert run.result() is None
        for step in (5, 7):
            run.save_checkpoint(step, {"theta": np.ones(2)}, {})
        run.save_result(9, {"theta": np.zeros(2)}, {"status": "finished"})
    with opened(tmp_path) as run:
        assert run.result().details == {"status": "finished"}


def test_versions_and_seed_stand_in_the_directory(tmp_path):
    with opened(tmp_path):
        pass
    content = (tmp_path / "run.json").read_text()
    assert '"numpy"' in content
    assert '"seed": 1' in content
    with opened(tmp_path):
        pass
    assert (tmp_path / "run.json").read_text() == content


@pytest.mark.parametrize(
    ("parameters", "seed", "line"),
    [
        ({"learning_rate": 0.2, "network": {"widths": [2, 3]}}, 1, "stored 0.1, asked for 0.2"),
        ({"learning_rate": 0.1, "network": {"widths": [2, 4]}}, 1, "network.widths: stored"),
        ({"learning_rate": 0.1}, 1, r"network.widths: stored \[2, 3\], not asked for"),
        (PARAMETERS | {"more": 1}, 1, "more: not stored, asked for 1"),
        (PARAMETERS, 2, "seed: stored 1, asked for 2"),
    ],
)
def test_a_foreign_directory_is_refused_with_the_difference(tmp_path, parameters, seed, line):
    with opened(tmp_path) as run:
        run.save_checkpoint(5, {"theta": np.ones(2)}, {})
    with pytest.raises(checks.InputError, match=line):
        opened(tmp_path, parameters, seed)


def test_an_unreadable_description_is_refused(tmp_path):
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(checks.InputError, match="can't be read"):
        opened(tmp_path)


def test_two_processes_never_share_a_directory(tmp_path, monkeypatch):
    monkeypatch.setattr(run_directory, "_SECONDS_TO_WAIT", 0.2)
    with (
        opened(tmp_path),
        pytest.warns(DirectoryInUse, match=r"waiting for it, 0\.2 s at most"),
        pytest.raises(checks.InputError, match="another process"),
    ):
        opened(tmp_path).__enter__()
    with opened(tmp_path):
        pass


def test_a_directory_is_waited_for(tmp_path):
    first = opened(tmp_path)
    first.__enter__()
    threading.Timer(0.3, first.__exit__).start()
    with pytest.warns(DirectoryInUse), opened(tmp_path) as run:
        run.save_checkpoint(5, {"theta": np.ones(2)}, {})


def test_without_locks_the_file_system_is_named(tmp_path, monkeypatch):
    def unsupported(*_, **__):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(filelock.FileLock, "acquire", unsupported)
    with pytest.raises(checks.InputError, match="can't be locked: No locks available; choose"):
        opened(tmp_path).__enter__()


def test_a_run_hears_the_request_to_stop_and_tells_its_progress(tmp_path, monkeypatch):
    with opened(tmp_path) as run:
        run_directory.ask_to_stop([tmp_path, tmp_path / "absent"])
        assert not run.attend(3, 10)  # within a second of the opening
        monkeypatch.setattr(run_directory, "_SECONDS_BETWEEN_LOOKS", 0.0)
        assert run.attend(4, 10)
        assert json.loads((tmp_path / "progress.json").read_text())["step"] == 4
    for folder in (tmp_path, str(tmp_path)):  # one directory alone
        with opened(tmp_path) as run:
            assert not run.attend(5, 10)
            run_directory.ask_to_stop(folder)
            assert run.attend(6, 10)
    assert not (tmp_path / "absent").exists()


def test_a_directory_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(checks.InputError, match="can't be made"):
        opened(tmp_path / "file" / "run")


def damage_truncate(content, rng):
    return content[: int(rng.integers(len(content)))]


def damage_overwrite(content, rng):
    # in the middle of the data, as a disk would
    start = int(rng.integers(60, len(content) // 2))
    return (
        content[:start] + bytes(rng.integers(256, size=64, dtype=np.uint8)) + content[start + 64 :]
    )


@pytest.mark.parametrize("damage", [damage_truncate, damage_overwrite])
def test_a_damaged_checkpoint_is_named_and_the_one_before_used(tmp_path, rng, damage):
    with opened(tmp_path) as run:
        for step in (5, 10):
            run.save_checkpoint(step, {"theta": rng.standard_normal(500)}, {})
        newest = tmp_path / "checkpoint-000000010.npz"
        newest.write_bytes(damage(newest.read_bytes(), rng))
        with pytest.warns(
            run_directory.DamagedFile, match=r"checkpoint-000000010\.npz' is damaged"
        ):
            stored = run.latest_checkpoint()
    assert stored.step == 5


def test_no_changed_byte_of_a_checkpoint_goes_unnoticed(tmp_path, rng):
    with opened(tmp_path) as run:
        for step in (5, 10):
            run.save_checkpoint(step, {"theta": np.ones(2)}, {})
        newest = tmp_path / "checkpoint-000000010.npz"
        whole = newest.read_bytes()
        for position in range(len(whole)):
            changed = bytearray(whole)
            changed[position] ^= int(rng.integers(1, 256))
            newest.write_bytes(changed)
            with pytest.warns(
                run_directory.DamagedFile, match=r"checkpoint-000000010\.npz' is damag"
            ):
                assert run.latest_checkpoint().step == 5, position
        newest.write_bytes(whole)
        assert run.latest_checkpoint().step == 10


def test_a_damaged_result_is_computed_again_from_the_last_checkpoint(tmp_path):
    with opened(tmp_path) as run:
        run.save_checkpoint(5, {"theta": np.ones(2)}, {})
        run.save_checkpoint(9, {"theta": np.zeros(2)}, {})
        run.save_result(9, {"theta": np.zeros(2)}, {})
        (tmp_path / "result.npz").write_bytes(b"not an archive")
        with pytest.warns(run_directory.DamagedFile, match="goes on from the state before it"):
            assert run.result() is None
        assert run.latest_checkpoint().step == 9


def test_files_of_other_names_are_no_checkpoints(tmp_path):
    with opened(tmp_path) as run:
        run.save_checkpoint(5, {"theta": np.ones(2)}, {})
        for name in ("checkpoint-abc.npz", "checkpoint-7.npz.old", "checkpoint-9 (copy).npz"):
            (tmp_path / name).touch()
        assert run.latest_checkpoint().step == 5


def test_damaged_arrays_and_those_without_a_checksum_are_refused(tmp_path):
    path = tmp_path / "arrays.npz"
    array_files.save_arrays(path, {"found": np.arange(3)}, "text")
    arrays, text = array_files.load_arrays(path)
    assert (arrays["found"].tolist(), text) == ([0, 1, 2], "text")
    with np.load(path) as stored:
        np.savez_compressed(tmp_path / "plain.npz", **stored)
    with pytest.raises(checks.InputError, match=r"plain\.npz' is damaged .*; remove it"):
        array_files.load_arrays(tmp_path / "plain.npz")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(checks.InputError, match=r"arrays\.npz' is damaged .*; remove it"):
        array_files.load_arrays(path)
    with pytest.raises(FileNotFoundError):
        array_files.load_arrays(tmp_path / "absent.npz")


def test_without_space_the_last_checkpoint_stays_whole(tmp_path, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with opened(tmp_path) as run:
        run.save_checkpoint(5, {"theta": np.ones(2)}, {})
        monkeypatch.setattr(files.os, "fsync", full)
        with pytest.raises(OSError, match=r"No space left.*checkpoint-000000010\.npz"):
            run.save_checkpoint(10, {"theta": np.ones(2)}, {})
        monkeypatch.undo()
        assert run.latest_checkpoint().step == 5
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_writes_a_checkpoint_and_resumes_to_the_same_bits(tmp_path, number):
    whole = executor_units.descend((tmp_path / "whole", 7, None))
    folder = tmp_path / "stopped"
    program = (
        # a shell may have started the tests with SIGINT ignored
        "import executor_units, signal, sys; from aniso.runs import interruptions\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "with interruptions.handled():\n"
        f"    executor_units.descend_until_stopped(({str(folder)!r}, 7, None))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
    )
    executor_units.wait_for(Path(f"{folder}.begun").exists)
    process.send_signal(number)
    assert b"KeyboardInterrupt" in process.communicate(timeout=120)[1]
    with opened(folder, *identity_of(folder)) as run:
        assert 0 < run.latest_checkpoint().step < executor_units.NUM_STEPS
    resumed = executor_units.descend((folder, 7, None))
    for key, expected in whole.items():
        assert np.array_equal(resumed[key], expected, equal_nan=True), key


def identity_of(folder):
    content = json.loads((folder / "run.json").read_text())
    return content["parameters"], content["seed"]


def test_a_computation_without_steps_is_done_once(tmp_path):
    calls = []

    def compute():
        calls.append(1)
        return {"found": np.arange(3)}

    for _ in range(2):
        arrays = run_directory.stored_arrays(tmp_path, PARAMETERS, 1, compute)
        assert arrays["found"].tolist() == [0, 1, 2]
    assert len(calls) == 1
    with pytest.raises(checks.InputError, match="belongs to other parameters"):
        run_directory.stored_arrays(tmp_path, PARAMETERS, 2, compute)


def test_a_run_killed_at_any_moment_resumes_to_the_same_bits(tmp_path, rng):
    whole = executor_units.descend((tmp_path / "whole", 7, None))
    program = (
        "import executor_units, sys; print('ready', flush=True)\n"
        f"executor_units.descend_until_killed(({str(tmp_path / 'killed')!r}, 7, None))\n"
    )
    for _ in range(2):
        process = subprocess.Popen(
            [sys.executable, "-c", program],
            stdout=subprocess.PIPE,
            env=ENVIRONMENT,
        )
        process.stdout.readline()
        time.sleep(rng.uniform(0.0, 0.3))
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        process.stdout.close()
    resumed = executor_units.descend((tmp_path / "killed", 7, None))
    for key, expected in whole.items():
        assert np.array_equal(resumed[key], expected, equal_nan=True), key


@pytest.mark.parametrize("value", [len, np.ones(2), object()])
def test_parameters_that_are_no_plain_data_are_refused(value, tmp_path):
    with pytest.raises(checks.InputError, match="expected plain data"):
        opened(tmp_path, {"value": value})
