"""Limits of batch systems count: control groups of both versions, and ``ulimit``."""

import subprocess
import sys
from pathlib import Path

import pytest

from aniso import _memory_limits, memory

GB = 10**9
NONE_1 = 9223372036854771712
TREES = {
    # version: line of cgroup, line of mountinfo, folder, limit, usage, cached, no limit
    "v1": (
        "5:cpu,memory:/batch/job 7\n1:name=systemd:/\n",
        "35 31 0:31 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
        "36 31 0:32 / /sys/fs/cgroup/cpuset rw,relatime shared:3 - cgroup cgroup rw,cpuset\n",
        "sys/fs/cgroup/memory",
        "memory.limit_in_bytes",
        "memory.usage_in_bytes",
        "total_inactive_file",
        NONE_1,
    ),
    "v2": (
        "0::/batch/job 7\n",
        "29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n",
        "sys/fs/cgroup",
        "memory.max",
        "memory.current",
        "inactive_file",
        "max",
    ),
}


class Tree:
    """Files of a kernel with control groups."""

    def __init__(self, root, version):
        groups, mounts, folder, self.limit, self.usage, self.cached, self.none = TREES[version]
        self.root, self.top = root, root / folder
        self.write("proc/self/cgroup", groups)
        self.write("proc/self/mountinfo", mounts)

    def write(self, path, text):
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)

    def group(self, path, limit, usage, cached=0):
        folder = self.top.relative_to(self.root) / path
        self.write(folder / self.limit, f"{self.none if limit is None else limit}\n")
        self.write(folder / self.usage, f"{usage}\n")
        self.write(folder / "memory.stat", f"anon 5\n{self.cached} {cached}\nother 3\n")


@pytest.fixture(params=TREES)
def tree(request, tmp_path):
    return Tree(tmp_path, request.param)


@pytest.fixture(autouse=True)
def without_limits_of_this_process(monkeypatch):
    monkeypatch.setattr(_memory_limits, "_of_process", lambda: ())


def test_the_limit_of_the_group_counts_less_what_it_uses(tree):
    tree.group("batch/job 7", 4 * GB, 1 * GB)
    assert _memory_limits.bytes_left(tree.root) == 3 * GB


def test_files_in_the_cache_are_free(tree):
    tree.group("batch/job 7", 4 * GB, 3 * GB, cached=2 * GB)
    assert _memory_limits.bytes_left(tree.root) == 3 * GB


def test_a_tighter_limit_of_a_group_above_counts(tree):
    tree.group("batch/job 7", 4 * GB, 1 * GB)
    tree.group("batch", 6 * GB, 5 * GB)
    tree.group("", None, 50 * GB)
    assert _memory_limits.bytes_left(tree.root) == 1 * GB


def test_a_group_without_limit_has_none(tree):
    tree.group("batch/job 7", None, 1 * GB)
    assert _memory_limits.bytes_left(tree.root) == float("inf")


def test_a_group_that_is_over_its_limit_has_nothing_left(tree):
    tree.group("batch/job 7", 1 * GB, 2 * GB)
    assert _memory_limits.bytes_left(tree.root) == 0


def test_in_a_container_the_mounted_folder_is_the_group(tree):
    """There the path is one of the outside, or begins at the folder that is mounted."""
    tree.group("", 2 * GB, 1 * GB)
    assert _memory_limits.bytes_left(tree.root) == 1 * GB
    mounts = tree.root / "proc/self/mountinfo"
    mounts.write_text(mounts.read_text().replace(" / /sys", " /batch/job\\0407 /sys"))
    _memory_limits._limited_groups.cache_clear()
    tree.group("batch/job 7", GB // 2, 0)  # no group of ours
    assert _memory_limits.bytes_left(tree.root) == 1 * GB


def test_the_limit_that_slows_down_counts_too(tmp_path):
    tree = Tree(tmp_path, "v2")
    tree.group("batch/job 7", 4 * GB, 1 * GB)
    tree.write("sys/fs/cgroup/batch/job 7/memory.high", f"{2 * GB}\n")
    assert _memory_limits.bytes_left(tree.root) == 1 * GB


def test_without_control_groups_there_is_no_limit(tmp_path):
    assert _memory_limits.bytes_left(tmp_path) == float("inf")


def test_the_limits_reach_the_refusal(monkeypatch):
    monkeypatch.setattr(_memory_limits, "bytes_left", lambda: 1000.0)
    assert memory.available_bytes() == 1000
    with pytest.raises(memory.AllocationRefused, match="901 B, more than the budget of 900 B"):
        memory.require(901, "an array", "use less")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not keep these limits")
@pytest.mark.parametrize("name", ["RLIMIT_AS", "RLIMIT_DATA"])
def test_what_ulimit_forbids_is_refused_and_what_it_leaves_can_be_had(name):
    program = f"""
import resource, numpy as np, psutil
from aniso import memory
used = psutil.Process().memory_info()
used = used.vms if {name!r} == "RLIMIT_AS" else used.data
try:
    resource.setrlimit(resource.{name}, (used + 10**9, used + 10**9))
except (ValueError, OSError):
    print("no such limit here")
    raise SystemExit
assert resource.getrlimit(resource.{name})[0] == used + 10**9
left = memory.available_bytes()
assert 5 * 10**8 < left <= 10**9, left
try:
    memory.require(10**9, "an array", "use less")
except memory.AllocationRefused:
    print("refused")
kept = np.ones(int(0.8 * left) // 8)
memory.require(int(0.05 * left), "an array", "use less")
try:
    memory.require(int(0.3 * left), "an array", "use less")
except memory.AllocationRefused:
    print("refused")
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[1],
    )
    assert done.returncode == 0, done.stderr
    if "no such limit" in done.stdout:
        pytest.skip(done.stdout.strip())
    assert done.stdout.split() == ["refused"] * 2
