"""Holds the type checker's verdict on the programs of this folder against what they expect.

    python tests/typed_programs/check.py

``right.py`` must be accepted with all strictness. In ``wrong.py`` each line that ends in
``# [code]`` must be refused with this code, and no other line.
"""

import re
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent


def expected(program):
    """Return pairs (line, code) that a program marks."""
    lines = enumerate(program.read_text(encoding="utf-8").splitlines(), start=1)
    marks = ((number, re.search(r"# \[([\w-]+)\]$", line)) for number, line in lines)
    return {(number, mark[1]) for number, mark in marks if mark}


def reported(program):
    """Return pairs (line, code) of the errors that mypy reports."""
    settings = ["--config-file", str(FOLDER / "mypy.ini")]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *settings, str(program)],
        capture_output=True,
        text=True,
        cwd=FOLDER.parents[1],
    )
    found = re.findall(r":(\d+): error: .*\[([\w-]+)\]$", done.stdout, re.MULTILINE)
    if done.returncode != bool(found):
        sys.exit(done.stdout + done.stderr)
    return {(int(line), code) for line, code in found}


def main():
    """Return the exit status: 0 where every verdict is as expected."""
    status = 0
    for program in (FOLDER / "right.py", FOLDER / "wrong.py"):
        wanted, found = expected(program), reported(program)
        for line, code in sorted(found - wanted):
            print(f"{program}:{line}: refused [{code}]; expected no such error")
        for line, code in sorted(wanted - found):
            print(f"{program}:{line}: accepted; expected the error [{code}]")
        status |= found != wanted
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
