"""One implementation in its own process: reads names of quantities, answers with seconds.

    python -m benchmarks.worker MODULE FUNCTION

Each line of standard input is a JSON object, and so is each line of the answer:

- ``{"open": {...}}`` calls the function with these arguments. The function returns a dict of
  quantities, each a function without arguments. The answer lists their names.
- ``{"run": name, "repeat": n, "checksum": bool}`` runs a quantity n times. The answer has the
  median of the seconds, and on request numbers by which results are compared.
- ``{"weigh": name}`` runs a quantity and answers with its peak memory.

A quantity that raises is answered by ``{"failed": message}``.
"""

import gc
import importlib
import json
import os
import statistics
import sys
import time
import tracemalloc
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

try:
    import resource
except ImportError:  # Windows
    resource = None


_CHECKED_TOGETHER = 1_000_000


@dataclass(frozen=True)
class Measured:
    """Result of a quantity that says more than that it has been computed.

    Attributes
    ----------
    seconds : float or None
        In the place of the time that the call took: of a part of it, or of another process.
    units : float
        Number of equal parts by which the time is divided.
    more : dict
        Further numbers for the record.
    value : object
        By which results of implementations are compared.
    """

    seconds: float | None = None
    units: float = 1.0
    more: dict = field(default_factory=dict)
    value: object = None


def main():
    """Serve one implementation until standard input ends."""
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints must not enter the answers
    module, function = sys.argv[1:3]
    try:
        source = importlib.import_module(module)
    except ImportError as error:
        return _answer(channel, {"missing": str(error)})
    _answer(channel, {"ready": True})
    found = {}
    for line in sys.stdin:
        request = json.loads(line)
        if "open" in request:
            found = {}  # freed first
            gc.collect()
            try:
                found = getattr(source, function)(**request["open"])
            except ImportError as error:
                _answer(channel, {"missing": str(error)})
                continue
            _answer(channel, {"quantities": list(found)})
            continue
        try:
            answer = _answered(source, found, request)
        except Exception as error:  # of one quantity; the others go on
            answer = {"failed": f"{type(error).__name__}: {error}"}
        _answer(channel, answer)
    return None


def _answered(source, found, request):
    if "weigh" in request:
        return weighed(found[request["weigh"]])
    answer, result = timed(found[request["run"]], request.get("repeat", 1))
    if request.get("checksum"):
        answer["checksum"] = checksum(source, result)
    return answer


def timed(run, repeat):
    """Return {"seconds", ...} of a quantity, and its last result.

    The seconds are those of one unit, and "elapsed" those of the whole call. Beside these medians
    there are the page faults of a run and the largest memory of the process.
    """
    elapsed, seconds, result, faults = [], [], None, page_faults()
    for _ in range(repeat):
        result = None  # freed first: a second copy would be paid for in page faults
        start = time.perf_counter()
        result = run()
        elapsed.append(time.perf_counter() - start)
        own = elapsed[-1]
        if isinstance(result, Measured):
            own = (own if result.seconds is None else result.seconds) / result.units
        seconds.append(own)
    more = {}
    if isinstance(result, Measured):
        more, result = result.more, result.value
    answer = {
        "seconds": statistics.median(seconds),
        "elapsed": statistics.median(elapsed),
        "more": more,
    }
    if resource is not None:
        answer["page_faults"] = round((page_faults() - faults) / repeat)
        # kilobytes, but bytes on macOS
        unit = 1 if sys.platform == "darwin" else 1024
        answer["peak_bytes"] = unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return answer, result


def page_faults():
    """Return the number of pages that this process has touched first; None where unknown."""
    return None if resource is None else resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def weighed(run):
    """Return the peak bytes of one run: those that Python and NumPy allocate, and resident ones."""
    gc.collect()
    status, start = Path("/proc/self/status"), None
    try:
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
        start = _kilobytes(status, "VmRSS")
    except OSError:  # Linux alone has these files
        status = None
    tracemalloc.start()
    run()
    traced = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    resident = None if status is None else 1024 * (_kilobytes(status, "VmHWM") - start)
    return {"traced_bytes": traced, "resident_bytes": resident}


def _kilobytes(status, name):
    lines = status.read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def checksum(source, result):
    """Return norm and a fixed linear functional of a result; None where there is nothing."""
    if result is None:
        return None
    convert = getattr(source, "as_array", np.asarray)
    array, square, product = np.asarray(convert(result)).ravel(), 0.0, 0.0
    # block by block: rows of a gigabyte stand in several processes at once
    for start in range(0, array.size, _CHECKED_TOGETHER):
        block = array[start : start + _CHECKED_TOGETHER].astype(np.float64)
        square += float(block @ block)
        product += float(block @ np.cos(0.7 * np.arange(start, start + block.size)))
    return [square**0.5, product]


def _answer(channel, content):
    channel.write(json.dumps(content) + "\n")
    channel.flush()


if __name__ == "__main__":
    # the class that implementations import, instead of a second one of this name
    from benchmarks import worker

    sys.exit(worker.main())
