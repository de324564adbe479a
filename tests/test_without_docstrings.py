"""``python -OO`` drops docstrings and asserts: nothing depends on them."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from aniso import propositions

ROOT = Path(__file__).parents[1]
SOURCES = sorted(
    path for name in ("aniso", "analysis", "scripts") for path in (ROOT / name).rglob("*.py")
)


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-OO", *arguments],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )


@pytest.mark.needs_jit
def test_the_propositions_are_verified_and_titled():
    done = run("-m", "aniso.verify_propositions", "--quick", "--only", "proposition1")
    assert done.returncode == 0, done.stderr
    assert propositions.title("proposition1") in " ".join(done.stdout.split())


def test_every_group_has_a_title_and_every_command_its_help():
    program = """
import contextlib, functools, io, sys
from aniso import propositions
for group in propositions.GROUPS:
    print(propositions.title(group))
from analysis import __main__, figure_command, index
from aniso.propositions import command
mains = [command.main, index.main]
mains += [functools.partial(figure_command.main, f) for f in __main__.FIGURES.values()]
for main in mains:
    with contextlib.redirect_stdout(io.StringIO()) as told:
        try:
            main(["--help"])
        except SystemExit as end:
            assert end.code == 0
    if "usage" not in told.getvalue():
        sys.exit(f"{main} has no help")
"""
    done = run("-c", program)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [propositions.title(group) for group in propositions.GROUPS]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_source_asserts_or_takes_a_docstring_apart(path):
    found = [
        node.lineno
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Assert)
        or (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Attribute)
            and node.value.attr == "__doc__"
        )
    ]
    assert found == []
