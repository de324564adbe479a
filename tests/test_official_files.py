"""Files from folders and from mirrors on loopback: intact ones are served, all others refused."""

import dataclasses
import gzip
import hashlib
import http.server
import io
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pooch
import pytest

from aniso import checks
from aniso.datasets import official

CONTENTS = [
    np.random.default_rng(number).integers(256, size=50_000, dtype=np.uint8).tobytes()
    for number in range(2)
]
NAMES = ["first-idx", "second-idx"]
REQUESTS = []
RELEASED = threading.Event()


def distribution(*mirrors):
    """Two small files, offered by `mirrors`."""
    members = [
        official.OfficialFile(
            name,
            len(content),
            hashlib.sha256(content).hexdigest(),
            hashlib.sha256(gzip.compress(content, mtime=0)).hexdigest(),
        )
        for name, content in zip(NAMES, CONTENTS, strict=True)
    ]
    return official.Distribution("Small", "small", mirrors, tuple(members))


class Mirror(http.server.BaseHTTPRequestHandler):
    """Serves the files under /good/ intact and under the other folders spoilt."""

    def do_GET(self):
        REQUESTS.append(self.path)
        _, kind, name = self.path.split("/")
        if kind == "moved":
            self.send_response(302)
            self.send_header("Location", f"/good/{name}")
            self.end_headers()
            return
        if kind == "absent":
            self.send_error(404)
            return
        body = gzip.compress(CONTENTS[NAMES.index(name.removesuffix(".gz"))], mtime=0)
        self.send_response(200)
        if kind == "portal":
            body = b"<html>log in first</html>"
            self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if kind == "corrupt":
            body = bytes([body[0] ^ 1]) + body[1:]
        elif kind == "truncated":
            body = body[: len(body) // 2]
        elif kind in ("stalled", "slow"):
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
            RELEASED.wait(30)
            body = body[len(body) // 2 :]
            if kind == "stalled":
                return
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def mirror():
    """Base address of a mirror on loopback."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Mirror) as server:
        server.handle_error = lambda *_: None  # a client may hang up
        server.daemon_threads, server.block_on_close = True, False
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def cache(monkeypatch, tmp_path):
    """Empty cache of the small distribution, no folder named, no proxy on the way to loopback."""
    monkeypatch.setattr(pooch, "os_cache", lambda name: tmp_path / name)
    monkeypatch.delenv(official.FOLDER_VARIABLE, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    REQUESTS.clear()
    RELEASED.clear()
    return tmp_path / "aniso" / "small"


def names_in(cache):
    """Files of a cache but its lock."""
    return sorted(path.name for path in cache.iterdir() if path.name != ".lock")


@pytest.fixture
def folder(tmp_path):
    """Folder with one file raw and one compressed by somebody else."""
    (tmp_path / NAMES[0]).write_bytes(CONTENTS[0])
    (tmp_path / f"{NAMES[1]}.gz").write_bytes(gzip.compress(CONTENTS[1], 1, mtime=12345))
    return tmp_path


def test_download_serves_the_files_and_keeps_them(mirror, cache):
    small = distribution(f"{mirror}/good/")
    assert official.contents(small) == CONTENTS
    assert names_in(cache) == [f"{name}.gz" for name in NAMES]
    assert len(REQUESTS) == 2
    assert official.contents(small) == CONTENTS
    assert official.contents(small, download=False) == CONTENTS
    assert len(REQUESTS) == 2


@pytest.mark.parametrize("kind", ["corrupt", "absent", "truncated", "portal"])
def test_a_spoilt_mirror_is_named_and_leaves_nothing(mirror, cache, kind):
    with pytest.raises(official.DownloadFailed) as failure:
        official.contents(distribution(f"{mirror}/{kind}/"))
    message = str(failure.value)
    assert "first-idx.gz" in message
    assert f"{mirror}/{kind}/" in message
    assert "data_dir" in message
    assert "ANISO_DATA" in message
    if kind == "corrupt":
        assert "does not match the known hash" in message
    if kind == "portal":
        assert "answered with a web page; does this network ask for a login?" in message
    assert names_in(cache) == []


def test_silence_is_no_reason_to_wait_for_ever(mirror, cache, monkeypatch):
    monkeypatch.setattr(official, "_SECONDS_OF_SILENCE", 0.2)
    with pytest.raises(official.DownloadFailed, match="timed out"):
        official.contents(distribution(f"{mirror}/stalled/"))
    assert names_in(cache) == []


def test_a_cache_that_cannot_be_written_serves_what_it_has(mirror, cache, monkeypatch):
    small = distribution(f"{mirror}/good/")
    official.contents(small)

    def refused(_):
        raise PermissionError("no entry")

    monkeypatch.setattr(official.filelock, "FileLock", refused)
    assert official.contents(small) == CONTENTS
    (cache / "first-idx.gz").unlink()
    with pytest.raises(official.DownloadFailed, match=f"the folder {cache}: PermissionError"):
        official.contents(small)


@pytest.mark.usefixtures("cache")
def test_redirects_are_followed(mirror):
    assert official.contents(distribution(f"{mirror}/moved/")) == CONTENTS


def test_the_next_mirror_is_tried(mirror, cache):
    mirrors = [f"{mirror}/{kind}/" for kind in ("absent", "corrupt", "truncated", "portal", "good")]
    assert official.contents(distribution(*mirrors)) == CONTENTS
    assert len(REQUESTS) == 10
    assert len(names_in(cache)) == 2


def test_offline_says_what_to_do(cache):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    with pytest.raises(official.DownloadFailed, match="put the official files of Small into"):
        official.contents(distribution(f"http://127.0.0.1:{port}/"))
    assert names_in(cache) == []


@pytest.mark.usefixtures("cache")
def test_download_false_fetches_nothing(mirror):
    with pytest.raises(official.DownloadFailed, match="download=False"):
        official.contents(distribution(f"{mirror}/good/"), download=False)
    assert REQUESTS == []


def test_a_file_spoilt_in_the_cache_is_told_kept_and_replaced_in_time(mirror, cache):
    small = distribution(f"{mirror}/good/")
    official.contents(small)
    spoilt = cache / "second-idx.gz"
    spoilt.write_bytes(spoilt.read_bytes()[:-100])
    with pytest.raises(checks.InputError, match=r"second-idx\.gz"):
        official.contents(small, download=False)
    held = spoilt.read_bytes()
    message = f"a damaged copy of {len(held)} bytes is at '.*second-idx.gz'; it is not used"
    with pytest.raises(official.DownloadFailed, match=message):
        official.contents(distribution(f"{mirror}/absent/"))
    assert spoilt.read_bytes() == held
    assert official.contents(small) == CONTENTS


PROGRAM = """
import pathlib, sys
sys.path.insert(0, sys.argv[1])
import pooch, test_official_files
from aniso.datasets import official
pooch.os_cache = lambda name: pathlib.Path(sys.argv[2]) / name
official.contents(test_official_files.distribution(sys.argv[3]))
"""


def in_another_process(mirror, cache):
    arguments = [os.path.dirname(__file__), str(cache.parents[1]), mirror]
    child = subprocess.Popen([sys.executable, "-c", PROGRAM, *arguments], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not REQUESTS and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert REQUESTS, "the download never began"
    return child


def test_a_killed_download_leaves_no_file_under_the_final_name(mirror, cache):
    child = in_another_process(f"{mirror}/stalled/", cache)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert not (cache / "first-idx.gz").exists()
    assert official.contents(distribution(f"{mirror}/good/")) == CONTENTS


def test_a_second_download_waits_and_takes_what_the_first_one_brought(mirror, cache):
    child = in_another_process(f"{mirror}/slow/", cache)
    found = []
    small = distribution(f"{mirror}/slow/")
    threads = [
        threading.Thread(target=lambda: found.append(official.contents(small))) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    time.sleep(0.5)  # enough for a download that does not wait
    asked_meanwhile = list(REQUESTS)
    RELEASED.set()
    for thread in threads:
        thread.join()
    assert child.wait() == 0
    assert found == [CONTENTS, CONTENTS]
    assert asked_meanwhile == ["/slow/first-idx.gz"]
    assert sorted(REQUESTS) == [f"/slow/{name}.gz" for name in NAMES]


def test_a_terminal_sees_a_progress_bar(mirror, cache, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    official.contents(distribution(f"{mirror}/good/"))
    shown = sys.stderr.getvalue()
    assert "first-idx.gz" in shown
    assert "50.0/50.0 kB" in shown.replace("50.0/50.0 KB", "50.0/50.0 kB")
    assert len(names_in(cache)) == 2


def test_a_folder_may_hold_raw_and_recompressed_files(folder, monkeypatch):
    small = distribution()
    assert official.contents(small, folder) == CONTENTS
    monkeypatch.setenv(official.FOLDER_VARIABLE, str(folder))
    assert official.contents(small) == CONTENTS


def test_a_folder_may_hold_several_distributions(folder):
    inner = dataclasses.replace(distribution(), folder=folder.name)
    assert official.contents(inner, folder.parent) == CONTENTS


def test_a_folder_that_lacks_a_file_is_refused_without_a_download(folder, monkeypatch):
    (folder / NAMES[0]).unlink()
    with pytest.raises(checks.InputError, match=r"data_dir=.* has no first-idx or first-idx\.gz"):
        official.contents(distribution("http://127.0.0.1:1/"), folder)
    monkeypatch.setenv(official.FOLDER_VARIABLE, str(folder))
    with pytest.raises(checks.InputError, match="ANISO_DATA="):
        official.contents(distribution("http://127.0.0.1:1/"))


def flip_one_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def make_longer(path):
    path.write_bytes(path.read_bytes() + b"\0")


def make_shorter(path):
    path.write_bytes(path.read_bytes()[:-20])


@pytest.mark.parametrize("name", [NAMES[0], f"{NAMES[1]}.gz"])
@pytest.mark.parametrize("spoil", [flip_one_bit, make_longer, make_shorter])
def test_a_spoilt_file_in_a_folder_is_refused_by_name(folder, name, spoil):
    spoil(folder / name)
    if spoil is make_longer and name.endswith(".gz"):
        # gzip ignores zero bytes after its end: the content is the official one.
        assert official.contents(distribution(), folder) == CONTENTS
        return
    with pytest.raises(checks.InputError, match=f"{name}' is not the official file"):
        official.contents(distribution(), folder)
