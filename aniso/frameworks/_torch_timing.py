"""Timings of PyTorch calls, by which one of several ways is chosen."""

import time

import torch

_MARGIN = 0.85  # of a timing: what is not faster by this factor may be noise


def clearly_fastest(speeds):
    """Return the key of the first entry, or of the fastest where that is clearly faster."""
    first, fastest = next(iter(speeds)), min(speeds, key=speeds.get)
    return fastest if speeds[fastest] < _MARGIN * speeds[first] else first


def seconds(call, device):
    """Least seconds of three calls, after one that warms up."""
    call()
    found = []
    for _ in range(3):
        begin = _now(device)
        call()
        found.append(_now(device) - begin)
    return min(found)


def _now(device):
    if device.type != "cpu":
        getattr(torch, device.type).synchronize()
    return time.perf_counter()
