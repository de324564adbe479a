"""Type hints: every public name has them, and stubs agree with faces.

The type checker itself runs in the gate, see tests/typed_programs.
"""

import functools
import importlib
import inspect
import re
import runpy
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import every_module
import numpy as np
import pytest

import aniso

ROOT = Path(__file__).parents[1]
FACES = ("", *(name for name in aniso.__all__ if inspect.ismodule(getattr(aniso, name))))
BARE = {"Callable", "Mapping", "Sequence", "dict", "list", "set", "tuple"}
write_stubs = runpy.run_path(str(ROOT / "scripts" / "write_stubs.py"))


def public(face):
    """Pairs (name, object) of what a face exports, and of members that its docstring names."""
    for name in face.__all__:
        try:
            yield f"{face.__name__}.{name}", getattr(face, name)
        except ModuleNotFoundError as error:
            if error.name not in every_module.OPTIONAL:
                raise
    for name in re.findall(r"(?<![`:])`([A-Za-z_]\w*\.[\w.]*)`(?!`)", face.__doc__):
        yield f"{face.__name__}.{name}", functools.reduce(getattr, name.split("."), face)


def functions_of(kind):
    """Pairs (name, function) of the public methods and properties that a class has of aniso."""
    for owner in kind.__mro__:
        for name, value in vars(owner).items():
            if name.startswith("_") and name not in ("__init__", "__call__"):
                continue
            if isinstance(value, (staticmethod, classmethod)):
                value = value.__func__
            elif isinstance(value, property):
                value = value.fget
            elif isinstance(value, functools.cached_property):
                value = value.func
            # generated ones, as of a dataclass, have no file
            if inspect.isfunction(value) and value.__code__.co_filename != "<string>":
                yield f"{owner.__name__}.{name}", value


def unhinted(function):
    """Names of the parameters without hint, and "return"."""
    hints = function.__annotations__
    missing = [
        name
        for name in inspect.signature(function).parameters
        if name not in ("self", "cls") and name not in hints
    ]
    return missing + ["return"] * ("return" not in hints)


def is_ours(value):
    return (getattr(value, "__module__", None) or "").split(".")[0] in ("aniso", __name__)


def offences(found):
    """Sentences on missing and on incomplete hints of (name, object) pairs."""
    for name, value in found:
        if inspect.ismodule(value) or not is_ours(value):
            continue
        if not inspect.isclass(value):
            value = inspect.unwrap(value)
            if inspect.isfunction(value):
                yield from (f"{name}: {missing} has no hint" for missing in unhinted(value))
            continue
        for method, function in functions_of(value):
            if is_ours(function):
                yield from (f"{method}: {missing} has no hint" for missing in unhinted(function))
        for owner in filter(is_ours, value.__mro__):
            for field, hint in vars(owner).get("__annotations__", {}).items():
                text = hint if isinstance(hint, str) else getattr(hint, "__name__", str(hint))
                if BARE & set(text.split(" | ")):
                    yield f"{owner.__name__}.{field}: {text} says nothing of its entries"


@pytest.mark.parametrize("folder", FACES)
def test_every_public_name_has_complete_hints(folder):
    face = importlib.import_module(f"aniso.{folder}".rstrip("."))
    assert sorted(set(offences(public(face)))) == []


def test_a_missing_hint_is_found():
    def typed(theta: float, *, count: int = 1) -> float:
        return theta * count

    def forgotten(theta: float, count=1):
        return theta * count

    @dataclass
    class Record:
        values: np.ndarray
        table: dict
        name: "str | None" = None

        @property
        def size(self):
            return len(self.values)

        def scaled(self, factor) -> "Record":
            return Record(factor * self.values, {})

    assert list(offences([("typed", typed)])) == []
    assert list(offences([("forgotten", forgotten)])) == [
        "forgotten: count has no hint",
        "forgotten: return has no hint",
    ]
    assert sorted(offences([("Record", Record)])) == [
        "Record.scaled: factor has no hint",
        "Record.size: return has no hint",
        "Record.table: dict says nothing of its entries",
    ]


def test_stubs_are_what_the_faces_say():
    faces = write_stubs["faces"]()
    assert len(faces) > 10
    for face in faces:
        written = face.with_suffix(".pyi").read_text(encoding="utf-8")
        expected = write_stubs["stub"](face.read_text(encoding="utf-8"))
        assert written == expected, "run python scripts/write_stubs.py"
        package = ".".join(face.parent.relative_to(ROOT).parts)
        own = importlib.import_module(package).__all__
        assert [name for name in own if not re.search(rf"\b{name}\b", written)] == []


def test_a_name_that_the_face_lacks_leaves_the_stub():
    source = (ROOT / "aniso" / "escape" / "__init__.py").read_text(encoding="utf-8")
    stub = write_stubs["stub"]
    assert " import kramers_time" in stub(source)
    assert " import kramers_time" not in stub(source.replace('"kramers_time"', '"other"'))


def test_importing_the_types_is_left_to_the_checker():
    code = "import sys, aniso; aniso.alignment; sys.exit('aniso.typing' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
