"""The package as a whole: fast to import, documented throughout, free of machine paths."""

import ast
import fnmatch
import importlib.util
import inspect
import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import aniso

ROOT = Path(__file__).parents[1]
IMPORT_SECONDS = 0.3
HEAVY = {"autograd", "matplotlib", "numba", "scipy"}
# A function of at most this many statements may describe its parameters in its first line.
TRIVIAL_STATEMENTS = 10

MEASURE = """
import json, sys, time
begin = time.perf_counter()
{statement}
seconds = time.perf_counter() - begin
print(json.dumps([seconds, sorted({{name.split(".")[0] for name in sys.modules}})]))
"""


def fresh_import(statement):
    """Seconds that a statement takes in a fresh process, start-up excluded, and what it loads."""
    finished = subprocess.run(
        [sys.executable, "-c", MEASURE.format(statement=statement)],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    )
    seconds, loaded = json.loads(finished.stdout)
    return seconds, set(loaded)


def test_import_is_fast_and_loads_nothing_heavy():
    # The shortest of a few: other processes can only make it longer.
    measured = [fresh_import("import aniso") for _ in range(3)]
    assert min(seconds for seconds, _ in measured) < IMPORT_SECONDS
    for _, loaded in measured:
        assert "aniso" in loaded
        assert loaded & HEAVY == set()


def test_the_wheel_holds_no_package_but_aniso():
    configured = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = configured["tool"]["setuptools"]["packages"]["find"]["include"]
    folders = {path.parent.relative_to(ROOT) for path in ROOT.glob("*/**/*.py")}
    names = {".".join(folder.parts) for folder in folders}
    taken = {name for name in names if any(fnmatch.fnmatchcase(name, p) for p in patterns)}
    assert {"aniso", "aniso.networks"} <= taken
    assert {name.split(".")[0] for name in taken} == {"aniso"}


def test_a_heavy_import_would_be_seen():
    _, loaded = fresh_import("import aniso, scipy.linalg")
    assert loaded & HEAVY == {"scipy"}


def test_the_front_shows_names_and_packages_and_each_has_a_line():
    packages = {path.parent.name for path in (ROOT / "aniso").glob("*/__init__.py")}
    assert set(dir(aniso)) == {*aniso.__all__, "__version__"}
    assert packages < set(aniso.__all__)
    names = set(aniso.__all__) - packages
    assert 35 <= len(names) <= 55
    for name in names:
        assert getattr(aniso, name).__module__.startswith("aniso.")
        assert getattr(aniso, name).__name__ == name
    lines, mentions = aniso.__doc__.split("Conventions\n---")[0], set()
    for line in lines.splitlines():
        mentions |= {word.strip(" ,") for word in line[:27].split()}
    assert names - mentions == set()
    assert all(f":mod:`~aniso.{name}`" in lines for name in packages)
    assert "curvatures" not in mentions  # a name without a line would be seen


def test_modules_that_no_face_shows_can_be_imported():
    assert importlib.import_module("aniso.checks").InputError is aniso.InputError


def test_an_unknown_attribute_is_an_attribute_error():
    with pytest.raises(AttributeError, match="No aniso attribute curvatures"):
        _ = aniso.curvatures


def section(docstring, title):
    """Text of a numpydoc section, "" if it is absent."""
    match = re.search(
        rf"^{title}\n-{{{len(title)}}}\n(.*?)(?=^\S[^\n]*\n---|\Z)", docstring, re.M | re.S
    )
    return match.group(1) if match else ""


def documented_names(text):
    """Names at the head of the entries of a section: ``x, y : float``."""
    heads = re.findall(r"^(\S[^:\n]*?)(?:\s*:.*)?$", text, re.M)
    return [name.strip().lstrip("*") for head in heads for name in head.split(",")]


def parameter_names(function):
    arguments = function.args
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    names = [argument.arg for argument in named]
    names += [extra.arg for extra in (arguments.vararg, arguments.kwarg) if extra]
    return [name for name in names if name not in ("self", "cls")]


def is_method(function):
    """Whether a function is a method, whose interface its class documents."""
    first = [argument.arg for argument in function.args.args[:1]]
    return first in (["self"], ["cls"])


def is_kernel(function):
    """Whether numba compiles a function: no door, and raw arrays described in its module."""
    return any(ast.unparse(decorator).startswith("njit") for decorator in function.decorator_list)


def gives_something(function):
    return any(isinstance(node, ast.Return) and node.value for node in ast.walk(function))


def docstring_faults(node, docstring):
    """What is wrong with the documentation of one public function, class or module."""
    if not docstring:
        yield "has no docstring"
        return
    if docstring.splitlines()[0][-1] not in ".:?":
        yield "has a first line without a period"
    if isinstance(node, (ast.Module, ast.ClassDef)):
        return
    names = parameter_names(node)
    described = documented_names(section(docstring, "Parameters"))
    if described:
        if sorted(described) != sorted(names):
            yield f"documents the parameters {described}, takes {names}"
        shown = any(section(docstring, title) for title in ("Returns", "Yields", "Examples"))
        if gives_something(node) and not (shown or is_method(node)):
            yield "documents parameters but neither what it returns nor an example"
    elif names and not (is_method(node) or is_kernel(node) or section(docstring, "Examples")):
        statements = sum(isinstance(inner, ast.stmt) for inner in ast.walk(node)) - 2
        if statements > TRIVIAL_STATEMENTS:
            yield f"has {statements} statements and neither Parameters nor Examples"


def public_definitions(tree):
    """Public functions, classes and methods of a module, with their names."""
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            yield node.name, node
            if isinstance(node, ast.ClassDef):
                for inner in node.body:
                    if isinstance(inner, ast.FunctionDef) and not inner.name.startswith("_"):
                        yield f"{node.name}.{inner.name}", inner


def documentation_faults(name, tree):
    for fault in docstring_faults(tree, ast.get_docstring(tree)):
        yield f"{name} {fault}"
    for definition, node in public_definitions(tree):
        for fault in docstring_faults(node, ast.get_docstring(node)):
            yield f"{name}: {definition} {fault}"


def test_everything_public_is_documented():
    faults = [
        fault
        for path in sorted((ROOT / "aniso").rglob("*.py"))
        for fault in documentation_faults(
            str(path.relative_to(ROOT)), ast.parse(path.read_text(encoding="utf-8"))
        )
    ]
    assert faults == []


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("x = 1", "has no docstring"),
        ('"""No period"""', "has a first line without a period"),
        ('"""A."""\ndef f(x): ...', "m: f has no docstring"),
        ('"""A."""\nclass C:\n    """C."""\n    def f(self): ...', "m: C.f has no docstring"),
        ('"""A."""\nclass C: ...', "m: C has no docstring"),
        (
            '''
            """A."""
            def f(x, y):
                """The sum.

                Parameters
                ----------
                x, z : float
                    Numbers.
                """
            ''',
            "documents the parameters ['x', 'z'], takes ['x', 'y']",
        ),
        (
            '''
            """A."""
            def f(x):
                """The number.

                Parameters
                ----------
                x : float
                    A number.
                """
                return x
            ''',
            "documents parameters but neither what it returns nor an example",
        ),
        (
            '"""A."""\ndef f(x):\n    """The number."""' + "\n    x = x + 1" * 11,
            "has 11 statements and neither Parameters nor Examples",
        ),
    ],
)
def test_a_fault_in_a_docstring_is_found(source, message):
    found = list(documentation_faults("m", ast.parse(inspect.cleandoc(source))))
    assert len(found) == 1
    assert message in found[0]


def machine_paths(text):
    """Absolute paths that exist on somebody's machine only."""
    folders = "home|root|tmp|work|Users|mnt|opt"
    return re.findall(rf"(?<![\w.:/\-}}])/(?:{folders})/[\w.\-]+|\.\./shared\b|\b[A-Z]:\\\w+", text)


def test_no_text_names_a_path_of_a_machine():
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("the list of tracked files needs git and a clone")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    found = {}
    for name in filter(None, listed.stdout.decode().split("\0")):
        path = ROOT / name
        if path == Path(__file__) or not path.is_file():
            continue
        try:
            paths = machine_paths(path.read_text(encoding="utf-8"))
        except UnicodeDecodeError:
            continue
        if paths:
            found[name] = paths
    assert found == {}


@pytest.mark.parametrize(
    "text", ["cd /home/me/aniso", "see '/tmp/out.npz'", "(/work/data)", r"C:\Users", "../shared/x"]
)
def test_a_path_of_a_machine_is_found(text):
    assert machine_paths(text) != []


@pytest.mark.parametrize(
    "text",
    ["https://example.org/home/page", "tests/tmp/x", "a ratio of work/time", "#!/usr/bin/env"],
)
def test_other_slashes_are_no_path_of_a_machine(text):
    assert machine_paths(text) == []
