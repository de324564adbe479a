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


def distribution(*mirrors):
    """Two small files, offered by `mirrors`."""
    members = [
        official.OfficialFile(
            name,
            len(content),
            hashlib.sha256(content).hexdigest(),
            hashlib.sha256(gzip.compress(content, mtime=0)).hexdigest(),
            len(gzip.compress(content, mtime=0)),
        )
        for name, content in zip(NAMES, CONTENTS, strict=True)
    ]
    return official.Distribution("Small", "small", mirrors, tuple(members))


class Mirror(http.server.BaseHTTPRequestHandler):
    """Serves the files under /good/ intact and under the other folders spoilt."""

    def do_GET(self):
        wanted = self.headers.get("Range")
        REQUESTS.append(self.path if wanted is None else f"{self.path} {wanted}")
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
        if wanted is not None and kind != "whole":
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            stated = f"bytes {start}-{len(body) - 1}/{len(body)}"
            body = body[start:]
            self.send_response(206)
            self.send_header("Content-Range", stated)
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if kind == "corrupt":
            body = bytes([body[0] ^ 1]) + body[1:]
        elif kind == "truncated":
            body = body[: len(body) // 2]
        elif kind == "stalled":
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
            time.sleep(30)
            return
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def mirror():
    """Base address of a mirror on loopback."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Mirror) as server:
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
    return tmp_path / "aniso" / "small"


@pytest.fixture
def folder(tmp_path):
    """Folder with one file raw and one compressed by somebody else."""
    (tmp_path / NAMES[0]).write_bytes(CONTENTS[0])
    (tmp_path / f"{NAMES[1]}.gz").write_bytes(gzip.compress(CONTENTS[1], 1, mtime=12345))
    return tmp_path


def test_download_serves_the_files_and_keeps_them(mirror, cache):
    small = distribution(f"{mirror}/good/")
    assert official.contents(small) == CONTENTS
    assert sorted(path.name for path in cache.iterdir()) == [f"{name}.gz" for name in NAMES]
    assert len(REQUESTS) == 2
    assert official.contents(small) == CONTENTS
    assert official.contents(small, download=False) == CONTENTS
    assert len(REQUESTS) == 2


@pytest.mark.parametrize("kind", ["corrupt", "absent"])
def test_a_spoilt_mirror_is_named_and_leaves_nothing(mirror, cache, kind):
    with pytest.raises(official.DownloadFailed) as failure:
        official.contents(distribution(f"{mirror}/{kind}/"))
    message = str(failure.value)
    assert "first-idx.gz" in message
    assert f"{mirror}/{kind}/" in message
    assert "data_dir" in message
    assert "ANISO_DATA" in message
    if kind == "corrupt":
        assert "wrong checksum" in message
    assert list(cache.iterdir()) == []


def test_a_download_that_was_cut_off_goes_on_where_it_ended(mirror, cache):
    with pytest.raises(official.DownloadFailed, match=r"first-idx\.gz.* bytes are kept"):
        official.contents(distribution(f"{mirror}/truncated/"))
    (part,) = cache.iterdir()
    held = part.stat().st_size
    assert part.name == "first-idx.gz.part"
    assert 0 < held < len(gzip.compress(CONTENTS[0]))
    REQUESTS.clear()
    assert official.contents(distribution(f"{mirror}/good/")) == CONTENTS
    assert [f"/good/first-idx.gz bytes={held}-", "/good/second-idx.gz"] == REQUESTS
    assert sorted(path.name for path in cache.iterdir()) == [f"{name}.gz" for name in NAMES]


def test_a_mirror_that_knows_no_ranges_sends_the_file_anew(mirror, cache):
    with pytest.raises(official.DownloadFailed):
        official.contents(distribution(f"{mirror}/truncated/"))
    assert official.contents(distribution(f"{mirror}/whole/")) == CONTENTS
    assert len(list(cache.iterdir())) == 2


def test_a_part_that_is_not_the_beginning_is_told_by_the_checksum(mirror, cache):
    cache.mkdir(parents=True)
    (cache / "first-idx.gz.part").write_bytes(b"something else")
    with pytest.raises(official.DownloadFailed, match="wrong checksum"):
        official.contents(distribution(f"{mirror}/good/"))
    assert list(cache.iterdir()) == []
    (cache / "first-idx.gz.part").write_bytes(gzip.compress(CONTENTS[0], mtime=0))
    assert official.contents(distribution(f"{mirror}/good/")) == CONTENTS  # all is there


@pytest.mark.usefixtures("cache")
def test_redirects_are_followed(mirror):
    assert official.contents(distribution(f"{mirror}/moved/")) == CONTENTS


def test_the_next_mirror_is_tried(mirror, cache):
    mirrors = [f"{mirror}/{kind}/" for kind in ("absent", "corrupt", "truncated", "good")]
    assert official.contents(distribution(*mirrors)) == CONTENTS
    assert len(REQUESTS) == 8
    assert len(list(cache.iterdir())) == 2


def test_offline_says_what_to_do(cache):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    with pytest.raises(official.DownloadFailed, match="put the official files of Small into"):
        official.contents(distribution(f"http://127.0.0.1:{port}/"))
    assert not cache.exists() or list(cache.iterdir()) == []


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


def test_a_killed_download_leaves_no_file_under_the_final_name(mirror, cache):
    program = """
import pathlib, sys
sys.path.insert(0, sys.argv[1])
import pooch, test_official_files
from aniso.datasets import official
pooch.os_cache = lambda name: pathlib.Path(sys.argv[2]) / name
official.contents(test_official_files.distribution(sys.argv[3]))
"""
    arguments = [os.path.dirname(__file__), str(cache.parents[1]), f"{mirror}/stalled/"]
    child = subprocess.Popen([sys.executable, "-c", program, *arguments], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not any(cache.glob("*")) and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert any(cache.glob("*")), "the download never began"
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert not (cache / "first-idx.gz").exists()
    assert official.contents(distribution(f"{mirror}/good/")) == CONTENTS


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
    assert len(list(cache.iterdir())) == 2


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
