"""Limits of batch systems and containers on the memory of a process.

Two kinds are read. A control group of Linux, of version 1 or 2, limits all its processes
together; so does every group above it. ``ulimit`` limits the address space or the data of one
process.
"""

import functools
import re
import sys
from pathlib import Path, PurePosixPath

import psutil

try:
    import resource
except ImportError:  # Windows has no such limits
    resource = None

# version 1 writes "none" as the largest number of whole pages
_NONE = 2**62


def bytes_left(root=Path("/")):
    """Return the bytes that may be taken below every limit.

    Parameters
    ----------
    root : Path
        Where ``proc`` and ``sys`` lie.

    Returns
    -------
    float
        Infinite where there is no limit.

    Notes
    -----
    Files in the cache of a group count as free, because the kernel drops them first. Which groups
    have a limit is found once in a process; a group that gets its first limit later is ignored.
    """
    found = [*_of_groups(root), *_of_process()]
    return max(0.0, min(found, default=float("inf")))


def _of_groups(root):
    for folder, names in _limited_groups(root):
        used = _number(folder / names.usage, 0.0) - _cached_files(folder, names)
        yield _limit(folder, names) - used


def _limit(folder, names):
    return min(_number(folder / name) for name in names.limits)


class _Version1:
    limits = ("memory.limit_in_bytes",)
    usage = "memory.usage_in_bytes"
    cached = ("total_inactive_file", "total_active_file")


class _Version2:
    limits = ("memory.max", "memory.high")
    usage = "memory.current"
    cached = ("inactive_file", "active_file")


@functools.cache
def _limited_groups(root):
    return [(folder, names) for folder, names in _groups(root) if _limit(folder, names) < _NONE]


def _groups(root):
    """Folders of the process's group and of those above it, each with the names of its files."""
    groups = _read(root / "proc/self/cgroup").splitlines()
    mounts = _read(root / "proc/self/mountinfo").splitlines()
    found = []
    for line in mounts:
        fields, _, rest = line.partition(" - ")
        kind, _, options = rest.partition(" ")
        if kind == "cgroup2":
            names, members = _Version2, [g for g in groups if g.startswith("0::")]
        elif kind == "cgroup" and "memory" in options.rpartition(" ")[2].split(","):
            names = _Version1
            members = [g for g in groups if "memory" in g.split(":")[1].split(",")]
        else:
            continue
        _, _, _, inside, mount, *_ = map(_unescaped, fields.split(" "))
        top = root / mount.lstrip("/")
        for member in members:
            path = PurePosixPath(member.split(":", 2)[2])
            # in a container the group's path may be that outside, of which nothing is mounted
            within = path.relative_to(inside) if path.is_relative_to(inside) else PurePosixPath()
            found += [(top / part, names) for part in (within, *within.parents)]
    return list(dict.fromkeys(found))


def _unescaped(field):
    # mountinfo writes a space as \040
    return re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), field)


def _cached_files(folder, names):
    lines = dict(line.split(" ", 1) for line in _read(folder / "memory.stat").splitlines())
    return sum(float(lines.get(name, 0)) for name in names.cached)


def _of_process():
    # macOS has the call and does not keep the limit
    if resource is None or sys.platform == "darwin":
        return
    for name, used in (("RLIMIT_AS", "vms"), ("RLIMIT_DATA", "data")):
        kind = getattr(resource, name, None)
        limit = resource.RLIM_INFINITY if kind is None else resource.getrlimit(kind)[0]
        if limit != resource.RLIM_INFINITY:
            yield limit - getattr(psutil.Process().memory_info(), used, 0)


def _number(path, default=float("inf")):
    try:
        return float(_read(path))
    except ValueError:  # "max", or no such file
        return default


def _read(path):
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
