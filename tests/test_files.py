"""A file is whole or absent, also after an exception and after a kill in the middle of writing."""

import os
import signal
import stat
import subprocess
import sys

import pytest

from aniso import checks, files


@pytest.mark.parametrize(("mode", "content"), [("w", "θ, Σ\n"), ("wb", b"\x00\xff")])
def test_contents_appear_when_the_block_has_succeeded(tmp_path, mode, content):
    path = tmp_path / "result"
    with files.atomic_writer(path, mode) as stream:
        stream.write(content)
        assert not path.exists()
    written = path.read_bytes()
    assert written == (content if isinstance(content, bytes) else content.encode("utf-8"))
    assert os.listdir(tmp_path) == ["result"]


def test_an_existing_file_is_replaced(tmp_path):
    path = tmp_path / "result"
    path.write_text("old and longer")
    with files.atomic_writer(str(path)) as stream:
        stream.write("new")
        assert path.read_text() == "old and longer"
    assert path.read_text() == "new"


def write_half(path, error):
    with files.atomic_writer(path) as stream:
        stream.write("half of the new")
        stream.flush()
        raise error


def write_where_a_folder_appears(path):
    with files.atomic_writer(path):
        path.mkdir()


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_exception_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "result"
    path.write_text("old")
    with pytest.raises(error):
        write_half(path, error)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["result"]


def test_an_exception_leaves_no_file_where_none_was(tmp_path):
    with pytest.raises(RuntimeError):
        write_half(tmp_path / "result", RuntimeError)
    assert os.listdir(tmp_path) == []


def test_a_rename_that_fails_leaves_nothing(tmp_path):
    path = tmp_path / "result"
    with pytest.raises(OSError, match="result"):
        write_where_a_folder_appears(path)
    assert os.listdir(tmp_path) == ["result"]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this platform has no SIGKILL")
def test_a_kill_in_the_middle_leaves_the_old_file_whole(tmp_path):
    path = tmp_path / "result"
    path.write_text("old")
    program = """
import os, signal, sys
from aniso import files
with files.atomic_writer(sys.argv[1]) as stream:
    stream.write("new" * 100_000)
    stream.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""
    finished = subprocess.run([sys.executable, "-c", program, str(path)], check=False)
    assert finished.returncode == -signal.SIGKILL
    assert path.read_text() == "old"
    with files.atomic_writer(path) as stream:
        stream.write("new")
    assert path.read_text() == "new"


@pytest.mark.skipif(os.name != "posix", reason="modes and umask are a matter of POSIX")
@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_the_file_has_the_mode_of_any_new_file(tmp_path, mask):
    previous = os.umask(mask)
    try:
        with files.atomic_writer(tmp_path / "result") as stream:
            stream.write("x")
        assert os.umask(mask) == mask
    finally:
        os.umask(previous)
    assert stat.S_IMODE((tmp_path / "result").stat().st_mode) == 0o666 & ~mask


def test_require_writable_returns_the_path_and_leaves_nothing(tmp_path):
    path = tmp_path / "result.npz"
    assert files.require_writable("output", str(path)) == path
    assert os.listdir(tmp_path) == []


def test_require_writable_keeps_an_existing_file(tmp_path):
    path = tmp_path / "result.npz"
    path.write_text("old")
    files.require_writable("output", path)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["result.npz"]


def test_require_writable_refuses_a_folder(tmp_path):
    with pytest.raises(checks.InputError, match="is a folder; expected the name of a file"):
        files.require_writable("output", tmp_path)


def test_require_writable_refuses_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(checks.InputError, match=r"output=.* can't be written: No such file"):
        files.require_writable("output", tmp_path / "absent" / "result.npz")


def test_require_writable_refuses_a_file_as_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(checks.InputError, match="can't be written"):
        files.require_writable("output", tmp_path / "file" / "result.npz")


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may write anywhere"
)
def test_require_writable_refuses_a_read_only_folder(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(checks.InputError, match="Permission denied"):
            files.require_writable("output", tmp_path / "result.npz")
    finally:
        tmp_path.chmod(0o700)
