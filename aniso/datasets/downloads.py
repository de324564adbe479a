"""Verified downloads that go on where they were cut off, by pooch."""

import contextlib
import hashlib
import sys
from pathlib import Path

from aniso.runs import file_locks

_BLOCK_BYTES = 2**14
_SECONDS_OF_SILENCE = 30


class DownloadFailed(OSError):
    """A file that no mirror delivered intact; the message says what each mirror did."""


def fetch(path, num_bytes, sha256, addresses, remedy):
    """A file with a known length and checksum, downloaded unless it is there and intact.

    Parameters
    ----------
    path : Path
        Where it will be; it gets this name only after its checksum agreed, in place of a damaged
        file of this name. What has arrived of a download that was cut off waits in
        ``<name>.part``, and the next call asks for the rest.
    num_bytes : int
    sha256 : str
    addresses : sequence of str
        Tried in this order.
    remedy : str
        For the message: what to do without a connection.

    Raises
    ------
    DownloadFailed
        If no address delivered it, or the folder can't be written.

    Notes
    -----
    One download of a file at a time: a second process or thread waits, then takes what the first
    one brought, or goes on from there.
    """
    try:
        if path.is_file() and _sha256(path) == sha256:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with file_locks.held(path.with_name(f"{path.name}.lock")):
            failures = _failures(path, num_bytes, sha256, addresses)
    except OSError as error:
        failures = [f"the folder {path.parent}: {type(error).__name__}: {error}"]
    if failures is None:
        return
    damaged = ""
    if path.is_file():
        damaged = (
            f" (a damaged copy of {path.stat().st_size} bytes is at {str(path)!r}; it is not used, "
            "and replaced once a download succeeds)"
        )
    raise DownloadFailed(
        f"{path.name} could not be downloaded{damaged}; {remedy}. Tried:\n  "
        + "\n  ".join(failures)
    )


def _failures(path, num_bytes, sha256, addresses):
    """What each address did wrong; None as soon as one has delivered the file."""
    import pooch

    part = path.with_name(f"{path.name}.part")
    failures = []
    for address in addresses:
        try:
            pooch.retrieve(
                url=address,
                known_hash=f"sha256:{sha256}",
                fname=path.name,
                path=path.parent,
                downloader=_Resuming(part, path.name, num_bytes, sha256),
            )
            return None
        except OSError as error:
            kept = f" ({_length(part)} bytes are kept)" if _length(part) else ""
            failures.append(f"{address}: {type(error).__name__}: {error}{kept}")
    return failures


class _Resuming:
    """A pooch downloader that keeps what has arrived in a file `part` and asks for the rest."""

    def __init__(self, part, label, num_bytes, sha256):
        self.part, self.label = Path(part), label
        self.num_bytes, self.sha256 = num_bytes, sha256

    def __call__(self, url, output_file, _):
        held = _length(self.part)
        if held < self.num_bytes:
            self._receive(url, held)
            held = _length(self.part)
        if held < self.num_bytes:
            raise ConnectionError(f"ended after {held} of {self.num_bytes} bytes")
        found = _sha256(self.part)
        if found != self.sha256:
            self.part.unlink()
            raise OSError(
                f"what arrived has a wrong checksum and was deleted: sha256 {found[:12]}..., "
                f"expected {self.sha256[:12]}..."
            )
        self.part.replace(output_file)

    def _receive(self, url, held):
        """The bytes from `held` on, or all of them anew where the server can't serve ranges."""
        if held and self._append(url, held):
            return
        with _answer(url) as answer:
            self._refuse_another_file(answer, 0)
            anew = self.part.with_name(f"{self.part.name}.anew") if held else self.part
            try:
                self._write(answer, anew, 0)
            finally:
                if _length(anew) > held:
                    anew.replace(self.part)
                else:
                    anew.unlink(missing_ok=True)

    def _append(self, url, held):
        """Whether the server sent the bytes from `held` on, which then are in the part."""
        with _answer(url, {"Range": f"bytes={held}-"}) as answer:
            if not answer.headers.get("Content-Range", "").startswith(f"bytes {held}-"):
                return False
            self._refuse_another_file(answer, held)
            self._write(answer, self.part, held)
            return True

    def _refuse_another_file(self, answer, start):
        """Told by the head of the answer, before a byte of it is written."""
        if answer.headers.get("Content-Type", "").startswith("text/html"):
            raise ConnectionError("answered with a web page")
        stated = answer.headers.get("Content-Length", "")
        if stated.isdigit() and start + int(stated) != self.num_bytes:
            raise ConnectionError(
                f"offers a file of {start + int(stated)} bytes, expected {self.num_bytes}"
            )

    def _write(self, answer, path, start):
        length = start
        with (
            path.open("ab" if start else "wb") as stream,
            _progress_bar(self.label, start, self.num_bytes) as advance,
        ):
            for block in answer.iter_content(_BLOCK_BYTES):
                stream.write(block)
                advance(len(block))
                length += len(block)
                if length > self.num_bytes:
                    return  # the checksum will tell


@contextlib.contextmanager
def _answer(url, headers=None):
    """The head of a successful answer; its body is read by whoever wants it."""
    import requests

    # compressed in transit, a range would be one of other bytes
    headers = {"Accept-Encoding": "identity"} | (headers or {})
    with requests.get(url, headers=headers, stream=True, timeout=_SECONDS_OF_SILENCE) as answer:
        answer.raise_for_status()
        yield answer


def _length(path):
    return path.stat().st_size if path.exists() else 0


def _sha256(path):
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextlib.contextmanager
def _progress_bar(label, held, total):
    """A bar on standard error, if that is a terminal, and the function that moves it."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich import console, progress

    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.DownloadColumn(),
        progress.TransferSpeedColumn(),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*columns, console=console.Console(stderr=True)) as display:
        task = display.add_task(label, total=total, completed=held)
        yield lambda count: display.update(task, advance=count)
