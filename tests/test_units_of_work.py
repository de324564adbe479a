"""What is told of units of a figure that failed."""

import errno
import os

from analysis import units_of_work
from aniso import checks


def fill(work):
    """A unit that finds its disk full."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), f"{work[2]}/checkpoint-000000005.npz")


def refuse(work):
    """A unit that refuses one of its arguments."""
    if work[1]["seed"] == 2:
        raise checks.InputError("seed=2; expected another")
    return work[1]["seed"]


def told(function, tmp_path, capsys):
    work = [("fig", {"seed": seed}, str(tmp_path / f"unit-{seed}")) for seed in (1, 2)]
    assert units_of_work.values("fig", function, work, "serial") is None
    return capsys.readouterr().err


def test_a_full_disk_is_named_with_its_remedy(tmp_path, capsys):
    found = told(fill, tmp_path, capsys)
    assert f"{tmp_path}/unit-2/checkpoint-000000005.npz" in found
    assert f"the disk of {tmp_path}/unit-1 is full: free space there" in found


def test_the_same_command_is_no_remedy_for_an_error_that_comes_again(tmp_path, capsys):
    found = told(refuse, tmp_path, capsys)
    assert "unit seed=2 failed: InputError: seed=2; expected another" in found
    assert "1 of 2 units are done and kept; without the causes" in found
    assert "full" not in found
    assert "takes them up" not in found
