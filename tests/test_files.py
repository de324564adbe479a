"""A file is whole or absent, also after an exception and after a kill in the middle of writing."""

import contextlib
import os
import signal
import socket
import stat
import subprocess
import sys
import threading

import pytest

from aniso import checks
from aniso.runs import files


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
from aniso.runs import files
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


links = pytest.mark.skipif(os.name != "posix", reason="links and devices are a matter of POSIX")


@links
@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("relative", [True, False])
def test_a_symbolic_link_is_written_through(tmp_path, there, relative):
    target, link, chain = tmp_path / "elsewhere" / "target", tmp_path / "link", tmp_path / "chain"
    target.parent.mkdir()
    if there:
        target.write_text("old")
    link.symlink_to(target.relative_to(tmp_path) if relative else target)
    chain.symlink_to(link)
    files.require_writable("output", chain)
    with files.atomic_writer(chain) as stream:
        stream.write("new")
        assert target.exists() == there
    assert target.read_text() == "new"
    assert link.is_symlink()
    assert chain.is_symlink()
    assert os.listdir(target.parent) == ["target"]


@links
def test_a_link_into_a_folder_that_is_not_there_is_refused(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "absent" / "file")
    with pytest.raises(checks.InputError, match=r"link' can't be written: No such file"):
        files.require_writable("output", tmp_path / "link")


@links
def test_a_link_to_itself_is_an_error_that_names_it(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "link")
    with pytest.raises(OSError, match="loop of symbolic links"), _written(tmp_path / "link"):
        pass
    with pytest.raises(checks.InputError, match="loop of symbolic links"):
        files.require_writable("output", tmp_path / "link")
    assert (tmp_path / "link").is_symlink()


@links
@pytest.mark.parametrize(("mode", "content"), [("w", "θ"), ("wb", b"\x00\xff")])
def test_a_named_pipe_is_written_to_and_stays(tmp_path, mode, content):
    pipe, got = tmp_path / "pipe", []
    os.mkfifo(pipe)
    assert files.require_writable("output", pipe, devices=True) == pipe
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()), daemon=True)
    reader.start()
    with files.atomic_writer(pipe, mode) as stream:
        stream.write(content)
        stream.seek(0)  # what draws goes back in its file
    reader.join()
    assert got == [content if isinstance(content, bytes) else content.encode("utf-8")]
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert os.listdir(tmp_path) == ["pipe"]


@links
def test_a_character_device_is_written_to_and_stays(tmp_path):
    """The end of a terminal, which a mistake can't replace."""
    ours, theirs = os.openpty()
    try:
        device = os.ttyname(theirs)
        (tmp_path / "link").symlink_to(device)
        for path in (device, tmp_path / "link"):
            files.require_writable("output", path, devices=True)
            with files.atomic_writer(path) as stream:
                stream.write("told")
            assert os.read(ours, 100) == b"told"
            assert stat.S_ISCHR(os.stat(path).st_mode)
    finally:
        os.close(ours)
        os.close(theirs)
    assert os.listdir(tmp_path) == ["link"]


@links
def test_a_pipe_is_no_place_for_what_is_read_again(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path, kind in ((tmp_path / "pipe", "named pipe"), (os.devnull, "character device")):
        with pytest.raises(checks.InputError, match=f"is a {kind}; expected the name of a file"):
            files.require_writable("checkpoint", path)


@links
def test_a_socket_is_refused_and_stays(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the names of sockets are short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        with pytest.raises(checks.InputError, match="is a socket; expected the name of a file, a"):
            files.require_writable("output", "socket", devices=True)
        with pytest.raises(OSError, match="it is a socket"), _written("socket"):
            pass
        assert stat.S_ISSOCK(os.stat("socket").st_mode)


@links
def test_standard_output_takes_a_file_between_what_is_printed(tmp_path):
    program = (
        "from aniso.runs import files\n"
        "print('before')\n"
        "with files.atomic_writer('/dev/stdout') as stream: stream.write('between\\n')\n"
        "print('after')\n"
    )
    expected = "before\nbetween\nafter\n"
    run = [sys.executable, "-c", program]
    assert subprocess.run(run, stdout=subprocess.PIPE, text=True, check=True).stdout == expected
    with (tmp_path / "out").open("w") as stream:
        subprocess.run(run, stdout=stream, check=True)
    assert (tmp_path / "out").read_text() == expected


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no full device")
def test_a_full_device_is_an_error_that_names_it(tmp_path):
    (tmp_path / "full").symlink_to("/dev/full")
    with (
        pytest.raises(OSError, match=r"No space left on device.*full"),
        _written(tmp_path / "full"),
    ):
        pass


@contextlib.contextmanager
def _written(path):
    with files.atomic_writer(path) as stream:
        stream.write("x")
        yield


@pytest.mark.skipif(os.name != "posix", reason="limits of files are a matter of POSIX")
def test_a_full_disk_is_an_error_that_names_the_file_and_leaves_the_old_one(tmp_path):
    """A limit of the length of files stands for the disk."""
    (tmp_path / "result").write_text("old")
    program = (
        "import resource, signal, sys; from aniso.runs import files\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        "try:\n"
        "    with files.atomic_writer(sys.argv[1]) as stream: stream.write('x' * 10**5)\n"
        "except OSError as error: print(error.filename)\n"
    )
    path = str(tmp_path / "result")
    done = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True)
    assert done.stdout == f"{path}\n", done.stderr
    assert (tmp_path / "result").read_text() == "old"
    assert os.listdir(tmp_path) == ["result"]
