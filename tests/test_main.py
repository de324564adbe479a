"""``python -m aniso``: a short overview that names every package and only what exists."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

from aniso import __main__ as overview

ROOT = Path(__file__).parents[1]


def test_the_overview_is_short_and_is_what_the_command_prints():
    done = subprocess.run(
        [sys.executable, "-m", "aniso"],
        capture_output=True,
        cwd=ROOT,
        encoding="utf-8",
        env=os.environ | {"PYTHONIOENCODING": "utf-8"},
        check=True,
    )
    assert done.stderr == ""
    assert done.stdout == overview.OVERVIEW
    lines = done.stdout.splitlines()
    assert len(lines) <= 28
    assert max(map(len, lines)) <= 80


def test_the_overview_names_every_package():
    packages = {path.parent.name for path in (ROOT / "aniso").glob("*/*.py")}
    listed = re.findall(r"^  aniso\.(\w+) ", overview.OVERVIEW, re.MULTILINE)
    assert len(listed) == len(set(listed))
    assert set(listed) == packages


def test_the_commands_of_the_overview_exist():
    commands = re.findall(r"python -m ([\w.]+)", overview.OVERVIEW)
    assert len(commands) == 3
    for name in commands:
        assert importlib.util.find_spec(name) is not None
