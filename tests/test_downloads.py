"""Downloads from servers on loopback that break every rule: what good bytes came is kept."""

import contextlib
import gzip
import hashlib
import http.server
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import seeds

from aniso.datasets import downloads
from aniso.runs import file_locks

# one byte value out of four, so that compression shows
CONTENT = seeds.generator(5).integers(4, size=100_000, dtype=np.uint8).tobytes()
SUM = hashlib.sha256(CONTENT).hexdigest()
HELD = 40_000
BLOCK = 2**14  # a block that a connection cut through is not kept


class Server(http.server.BaseHTTPRequestHandler):
    """Answers as the first part of the path says; `asked` holds each path and range."""

    asked: list
    released: threading.Event

    def do_GET(self):
        wanted = self.headers.get("Range")
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
        kind = self.path.split("/")[1]
        self.asked.append((kind, start))
        getattr(self, kind)(start)

    def answer(self, status, body, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        self.wfile.write(body)

    def rest(self, start, shown=None, body=None):
        """A correct answer, but for what is said to be its start or is sent as its body."""
        shown = start if shown is None else shown
        stated = f"bytes {shown}-{len(CONTENT) - 1}/{len(CONTENT)}"
        length = len(CONTENT) - start
        body = CONTENT[start:] if body is None else body
        headers = {"Content_Range": stated} if start else {}
        self.answer(206 if start else 200, body, Content_Length=length, **headers)

    good = rest

    def cut(self, start):
        self.rest(start, body=CONTENT[start : start + 2 * BLOCK])

    def silent(self, start):
        self.rest(start, body=b"")
        self.released.wait(60)

    def slow(self, start):
        self.rest(start, body=CONTENT[start : start + 30_000])
        self.released.wait(60)
        self.wfile.write(CONTENT[start + 30_000 :])

    def whole(self, _):
        self.rest(0)

    def whole_cut_early(self, _):
        self.rest(0, body=CONTENT[: HELD // 2])

    def whole_cut_late(self, _):
        self.rest(0, body=CONTENT[: 4 * BLOCK])

    def portal(self, _):
        self.answer(200, b"<html>log in first</html>" * 4000, Content_Type="text/html; x")

    def other(self, _):
        self.answer(200, b"another file", Content_Length=12)

    def shifted(self, start):
        """A range of other bytes than were asked for, told by its head."""
        if start:
            self.rest(start, shown=start - 7, body=CONTENT[start - 7 : -7])
        else:
            self.whole(0)

    def endless(self, _):
        self.send_response(200)
        self.end_headers()
        with contextlib.suppress(OSError):
            for _ in range(300):
                self.wfile.write(CONTENT)
            self.asked.append(("all of it", 0))

    def without_length(self, start):
        """Half, and nothing in the head that tells that there is more."""
        headers = {"Content_Range": f"bytes {start}-{len(CONTENT) - 1}/*"} if start else {}
        half = CONTENT[start : (start + len(CONTENT)) // 2]
        self.answer(206 if start else 200, half, **headers)

    def compressing(self, start):
        """Sends gzip to whoever does not ask for the bytes as they are."""
        if self.headers.get("Accept-Encoding") == "identity":
            self.rest(start)
            return
        body = gzip.compress(CONTENT)[start:]
        headers = {"Content_Range": f"bytes {start}-"} if start else {}
        headers |= {"Content_Encoding": "gzip", "Content_Length": len(body)}
        self.answer(206 if start else 200, body, **headers)

    def spoilt(self, start):
        self.rest(start, body=bytes(len(CONTENT) - start))

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    """Base address, with the requests that arrive and the event that ends all waiting."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    kind = type("Own", (Server,), {"asked": [], "released": threading.Event()})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), kind) as running:
        running.daemon_threads, running.block_on_close = True, False
        running.handle_error = lambda *_: None  # a client that has heard enough hangs up
        threading.Thread(target=running.serve_forever, args=(0.05,), daemon=True).start()
        kind.base = f"http://127.0.0.1:{running.server_port}"
        yield kind
        kind.released.set()
        running.shutdown()


def fetch(server, path, *kinds):
    addresses = [f"{server.base}/{kind}/file" for kind in kinds]
    downloads.fetch(path, len(CONTENT), SUM, addresses, "bring it yourself")


def failure(server, path, *kinds):
    with pytest.raises(downloads.DownloadFailed) as failed:
        fetch(server, path, *kinds)
    return str(failed.value)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "folder" / "file"


@pytest.fixture
def part(path):
    """The first bytes of the file, from a download that was cut off."""
    path.parent.mkdir()
    part = path.with_name("file.part")
    part.write_bytes(CONTENT[:HELD])
    return part


def assert_complete(path):
    assert path.read_bytes() == CONTENT
    assert [entry.name for entry in path.parent.iterdir()] == ["file"]


# ---- two at once

PROGRAM = """
import pathlib, sys
from aniso.datasets import downloads
address, path, length, checksum = sys.argv[1:]
downloads.fetch(pathlib.Path(path), int(length), checksum, [address], "")
"""


def in_another_process(server, path, kind):
    arguments = [f"{server.base}/{kind}/file", str(path), str(len(CONTENT)), SUM]
    child = subprocess.Popen([sys.executable, "-c", PROGRAM, *arguments], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not server.asked and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert server.asked, "the download never began"
    return child


def test_a_second_download_waits_and_takes_what_the_first_one_brought(server, path):
    child = in_another_process(server, path, "slow")
    errors = []

    def also():
        try:
            fetch(server, path, "good")
        except OSError as error:
            errors.append(error)

    threads = [threading.Thread(target=also) for _ in range(2)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)  # more than a download from loopback takes
    asked_meanwhile = list(server.asked)
    server.released.set()
    for thread in threads:
        thread.join()
    assert child.wait() == 0
    assert errors == []
    assert asked_meanwhile == server.asked == [("slow", 0)]
    assert_complete(path)


def test_a_killed_download_locks_nobody_out_and_its_bytes_count(server, path):
    child = in_another_process(server, path, "slow")
    part = path.with_name("file.part")
    deadline = time.monotonic() + 60
    while not (part.exists() and part.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.wait()
    held = part.stat().st_size
    fetch(server, path, "good")
    assert held > 0
    assert server.asked == [("slow", 0), ("good", held)]
    assert path.read_bytes() == CONTENT


def test_a_folder_that_cannot_be_written_serves_what_it_has(server, path, monkeypatch):
    fetch(server, path, "good")

    def refused(_):
        raise PermissionError

    monkeypatch.setattr(file_locks, "held", refused)
    fetch(server, path, "good")
    assert len(server.asked) == 1
    blocked = path / "inner" / "file"  # below a file
    message = failure(server, blocked, "good")
    assert "bring it yourself" in message
    assert f"the folder {blocked.parent}: " in message


# ---- what is kept of a part


def test_a_part_is_completed(server, path, part):
    assert part.exists()
    fetch(server, path, "good")
    assert server.asked == [("good", HELD)]
    assert_complete(path)


def test_a_part_that_is_complete_is_asked_for_no_more(server, path, part):
    part.write_bytes(CONTENT)
    fetch(server, path, "good")
    assert server.asked == []
    assert_complete(path)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("portal", "answered with a web page"),
        ("other", "offers a file of 12 bytes, expected 100000"),
        ("whole_cut_early", ""),
    ],
)
def test_what_is_no_better_than_the_part_leaves_it_alone(server, path, part, kind, message):
    found = failure(server, path, kind)
    assert message in found
    assert f"({HELD} bytes are kept)" in found
    assert part.read_bytes() == CONTENT[:HELD]
    assert list(path.parent.iterdir()) == [part]
    fetch(server, path, "good")
    assert_complete(path)


def test_a_longer_beginning_takes_the_place_of_the_part(server, path, part):
    assert f"({4 * BLOCK} bytes are kept)" in failure(server, path, "whole_cut_late")
    assert part.read_bytes() == CONTENT[: 4 * BLOCK]
    assert list(path.parent.iterdir()) == [part]


@pytest.mark.parametrize("kind", ["whole", "shifted"])
def test_a_server_without_the_right_range_is_asked_for_the_whole(server, path, part, kind):
    assert part.exists()
    fetch(server, path, kind)
    assert server.asked == [(kind, HELD), (kind, 0)]
    assert_complete(path)


@pytest.mark.parametrize("start", [0, HELD])
def test_fewer_bytes_than_there_are_is_no_wrong_checksum(server, path, part, start):
    if not start:
        part.unlink()
    arrived = (start + len(CONTENT)) // 2
    message = failure(server, path, "without_length")
    assert f"ended after {arrived} of 100000 bytes ({arrived} bytes are kept)" in message
    assert "checksum" not in message
    assert part.read_bytes() == CONTENT[:arrived]
    fetch(server, path, "good")
    assert server.asked[-1] == ("good", arrived)
    assert_complete(path)


def test_nothing_is_kept_of_silence(server, path, monkeypatch):
    monkeypatch.setattr(downloads, "_SECONDS_OF_SILENCE", 0.2)
    message = failure(server, path, "silent")
    assert "kept" not in message
    assert list(path.parent.iterdir()) == []


def test_what_never_ends_is_left(server, path):
    assert "wrong checksum" in failure(server, path, "endless")
    assert server.asked == [("endless", 0)]
    assert list(path.parent.iterdir()) == []


# ---- checksums


@pytest.mark.parametrize("start", [0, HELD])
def test_a_wrong_checksum_is_told_beside_the_right_one(server, path, part, start):
    if not start:
        part.unlink()
    wrong = hashlib.sha256(CONTENT[:start] + bytes(len(CONTENT) - start)).hexdigest()
    message = failure(server, path, "spoilt")
    assert f"sha256 {wrong[:12]}..., expected {SUM[:12]}..." in message
    assert "deleted" in message
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("start", [0, HELD])
def test_the_bytes_are_asked_for_as_they_are(server, path, part, start):
    if not start:
        part.unlink()
    fetch(server, path, "compressing")
    assert server.asked == [("compressing", start)]
    assert_complete(path)


def test_each_server_goes_on_from_the_one_before(server, path):
    fetch(server, path, "cut", "portal", "without_length", "good")
    held, more = 2 * BLOCK, (2 * BLOCK + len(CONTENT)) // 2
    portal = [("portal", held), ("portal", 0)]
    assert server.asked == [("cut", 0), *portal, ("without_length", held), ("good", more)]
    assert_complete(path)


def test_a_damaged_file_is_told_until_it_is_replaced(server, path):
    path.parent.mkdir()
    path.write_bytes(b"damaged")
    message = failure(server, path, "other")
    assert f"a damaged copy of 7 bytes is at '{path}'" in message
    assert os.listdir(path.parent) == ["file"]
    fetch(server, path, "good")
    assert_complete(path)
