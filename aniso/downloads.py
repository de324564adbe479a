"""Verified downloads that go on where they were cut off, by pooch."""

import contextlib
import sys
from pathlib import Path

_BLOCK_BYTES = 2**14
_SECONDS_OF_SILENCE = 30


class DownloadFailed(OSError):
    """A file that no mirror delivered intact; the message says what each mirror did."""


def fetch(path, sha256, addresses, remedy):
    """A file with a known checksum, downloaded unless it is there and intact.

    Parameters
    ----------
    path : Path
        Where it will be; it gets this name only after its checksum agreed. What has arrived of a
        download that was cut off waits in ``<name>.part``, and the next call asks for the rest.
    sha256 : str
    addresses : sequence of str
        Tried in this order.
    remedy : str
        For the message: what to do without a connection.

    Raises
    ------
    DownloadFailed
    """
    import pooch

    failures = []
    for address in addresses:
        part = path.with_name(path.name + ".part")
        try:
            pooch.retrieve(
                url=address,
                known_hash=f"sha256:{sha256}",
                fname=path.name,
                path=path.parent,
                downloader=_Resuming(part, path.name),
            )
            return
        except OSError as error:
            kept = f" ({part.stat().st_size} bytes are kept)" if part.exists() else ""
            failures.append(f"{address}: {type(error).__name__}: {error}{kept}")
        except ValueError:
            failures.append(f"{address}: what arrived has a wrong checksum and was deleted")
    raise DownloadFailed(
        f"{path.name} could not be downloaded; {remedy}. Tried:\n  " + "\n  ".join(failures)
    )


class _Resuming:
    """A pooch downloader that keeps what has arrived in a file `part` and asks for the rest."""

    def __init__(self, part, label):
        self.part, self.label = Path(part), label

    def __call__(self, url, output_file, _):
        import requests

        held = self.part.stat().st_size if self.part.exists() else 0
        headers = {"Range": f"bytes={held}-"} if held else {}
        # compressed in transit, a range would be one of other bytes
        headers["Accept-Encoding"] = "identity"
        with requests.get(url, headers=headers, stream=True, timeout=_SECONDS_OF_SILENCE) as answer:
            if held and answer.status_code == requests.codes.requested_range_not_satisfiable:
                self._finish(output_file)  # all of it was there; the checksum will tell
                return
            answer.raise_for_status()
            goes_on = held and answer.status_code == requests.codes.partial_content
            held = held if goes_on else 0
            total = answer.headers.get("Content-Length")
            total = None if total is None else held + int(total)
            with (
                self.part.open("ab" if goes_on else "wb") as stream,
                _progress_bar(self.label, held, total) as advance,
            ):
                for block in answer.iter_content(_BLOCK_BYTES):
                    stream.write(block)
                    advance(len(block))
        if total is not None and self.part.stat().st_size < total:
            raise ConnectionError(f"ended after {self.part.stat().st_size} of {total} bytes")
        self._finish(output_file)

    def _finish(self, output_file):
        self.part.replace(output_file)


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
