"""The faces of the packages: their tables name every function, and only what exists."""

import importlib
import inspect
import re
from types import SimpleNamespace

import pytest

FACES = ("closed_forms", "descent", "escape", "langevin", "matrices", "networks", "problems")
# Checks and sums that several packages share; no answer to a question of a user.
SHARED = {"check_definite", "checked_momentum", "exponential_integral", "geometric_sum"}


def named(docstring):
    """Names in single backticks, without the roles of Sphinx."""
    return set(re.findall(r"(?<![`:])`([A-Za-z_][\w.]*)`(?!`)", docstring))


def missing(face):
    """Public functions of a face that its docstring does not name."""
    functions = {name for name in face.__all__ if inspect.isfunction(getattr(face, name))}
    return functions - named(face.__doc__) - SHARED


@pytest.mark.parametrize("name", FACES)
def test_the_table_of_a_face_names_every_function_and_only_what_exists(name):
    face = importlib.import_module(f"aniso.{name}")
    assert missing(face) == set()
    for word in named(face.__doc__):
        found = face
        for part in word.split("."):
            found = getattr(found, part)


def test_a_function_without_a_line_would_be_seen():
    face = importlib.import_module("aniso.escape")
    doctored = SimpleNamespace(**{name: getattr(face, name) for name in face.__all__})
    doctored.__all__, doctored.__doc__ = face.__all__, face.__doc__.replace("`kramers_time`", "")
    assert missing(face) == set()
    assert missing(doctored) == {"kramers_time"}
