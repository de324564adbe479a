"""The benchmarks name what is there: every name of aniso that a script uses exists."""

import ast
import importlib
import types
from pathlib import Path

import every_module
import pytest

SCRIPTS = sorted((Path(__file__).parents[1] / "benchmarks").rglob("*.py"))


def imported_names(tree):
    """Pairs (name in the script, object) of everything imported from aniso; or an error."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "aniso":
            source = importlib.import_module(node.module)
            for alias in node.names:
                if not hasattr(source, alias.name):
                    importlib.import_module(f"{node.module}.{alias.name}")
                yield alias.asname or alias.name, getattr(source, alias.name)


def missing_names(text):
    """Attributes of aniso's modules that a script uses and that do not exist."""
    tree = ast.parse(text)
    try:
        known = dict(imported_names(tree))
    except ModuleNotFoundError as error:
        return [str(error)]
    return [
        ast.unparse(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and isinstance(known.get(node.value.id), types.ModuleType)
        and not hasattr(known[node.value.id], node.attr)
    ]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_name_exists(path):
    try:
        missing = missing_names(path.read_text(encoding="utf-8"))
    except ModuleNotFoundError as error:
        if error.name not in every_module.OPTIONAL:
            raise
        pytest.skip(f"{error.name} is not installed")
    assert missing == []


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("from aniso import networks\nnetworks.Network\nnetworks.nothing(3)", "networks.nothing"),
        ("from aniso.networks import nothing", "No module named 'aniso.networks.nothing'"),
        ("def late():\n    from aniso.nothing import x", "No module named 'aniso.nothing'"),
    ],
)
def test_a_planted_name_is_found(text, missing):
    assert missing_names(text) == [missing]
