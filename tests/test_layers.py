"""The folders of the house: imports go down only, and across folders through a face.

A new folder is one entry in FOLDERS; a module needs none.
"""

import ast
import fnmatch
import graphlib
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# A folder may import the folders of the lines above its own; those of one line ignore each other
# unless ALSO says otherwise. "" are the files at the top.
FOLDERS = """
    typing _array_hints _blas_threads _checked_arrays _cores _extras _memory_limits _arguments \
    checks estimates memory threads
    arrays runs
    datasets matrices
    closed_forms problems
    networks langevin
    escape descent frameworks
    propositions diagnostics
    __main__ diagnose verify_propositions
"""
# Packages that only the named modules import.
CONFINED = {
    "jax": ["frameworks.*"],
    "jinja2": ["diagnostics.page"],
    "lightning": ["diagnostics._lightning"],
    "transformers": ["diagnostics._transformers"],
    "torch": ["frameworks.*"],
    "matplotlib": [
        "diagnostics._marks",
        "diagnostics._svg",
        "diagnostics.plots",
        "diagnostics.plots_of_runs",
        "propositions.plots",
    ],
    "numba": [
        "arrays.kernel_cache",
        "langevin.*",
        "networks.fast.pooled_kernel",
        "networks.plans.*",
    ],
    "llvmlite": ["networks.plans.bound_calls", "networks.plans.row_kernels"],
    "pandas": ["diagnostics.frames"],
    "xarray": ["diagnostics.*"],
}
FORBIDDEN_NAMES = {"utils", "helpers", "misc", "common"}


def module_name(path, folder):
    """Dotted name of the module at `path`, relative to `folder`; "" for its __init__."""
    parts = path.relative_to(folder).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def read_modules(folder):
    """Syntax tree of every module of the package in `folder`, by name within the package."""
    return {
        module_name(path, folder): ast.parse(path.read_text(encoding="utf-8"))
        for path in sorted(folder.rglob("*.py"))
    }


def running(tree):
    """Nodes of a module but those under ``if TYPE_CHECKING:``, which are read for hints alone."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            waiting += node.orelse
        else:
            waiting += ast.iter_child_nodes(node)


def imports(name, tree, modules):
    """Pairs (module, name) of everything that a module imports, on whatever line."""
    package = ["aniso", *filter(None, name.split("."))]
    is_package = name == "" or any(other.startswith(f"{name}.") for other in modules)
    for node in running(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + is_package] if node.level else []
            source = ".".join([*base, *filter(None, [node.module])])
            yield from ((source, alias.name) for alias in node.names)


def inner_imports(name, tree, modules):
    """Pairs (module within aniso, name) of what a module imports of the package."""
    for source, imported in imports(name, tree, modules):
        top, _, rest = source.partition(".")
        if top == "aniso":
            joined = f"{rest}.{imported}".strip(".")
            yield (joined, None) if joined in modules else (rest, imported)


def folder(name):
    return name.split(".")[0]


def level(name):
    """Line of the table on which the folder of a module stands; None if on none."""
    for number, line in enumerate(FOLDERS.strip().splitlines()):
        if folder(name) in line.split():
            return number
    return None


def unlisted(modules):
    return sorted(
        f"{folder(name)} is in no line of the table"
        for name in {folder(name): None for name in modules if name}
        if level(name) is None
    )


def upward_imports(modules):
    for name, tree in modules.items():
        for target, _ in inner_imports(name, tree, modules):
            here, there = level(name), level(target)
            if not name or not target or folder(name) == folder(target) or None in (here, there):
                continue
            if there > here or (there == here and here > 0):
                yield f"{name} imports {target}"


def past_the_face(modules):
    """Imports across folders from a module instead of the folder, or of a private name."""
    for name, tree in modules.items():
        for source, imported in imports(name, tree, modules):
            parts = [*source.split("."), *filter(None, [imported])]
            if parts[0] != "aniso" or len(parts) < 3 or parts[1] == folder(name):
                continue
            if len(parts) > 3 or parts[2].startswith("_"):
                yield f"{name} imports {'.'.join(parts)} past the face of {parts[1]}"


def cycles(modules):
    graph = {
        name: {
            target
            for target, _ in inner_imports(name, tree, modules)
            if target and target != name and not name.startswith(f"{target}.")
        }
        for name, tree in modules.items()
        if name
    }
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        yield " imports ".join(reversed(error.args[1]))


def escaped_packages(modules):
    """Imports of a confined package elsewhere, and of what nobody may import."""
    for name, tree in modules.items():
        for source, _ in imports(name, tree, modules):
            package = source.split(".")[0]
            homes = CONFINED.get(package)
            if package in ("analysis", "tests", "benchmarks"):
                yield f"{name} imports {package}"
            elif homes is not None and not any(fnmatch.fnmatchcase(name, home) for home in homes):
                yield f"{name} imports {package}, which belongs to {', '.join(homes)}"


def undeclared_packages(modules, declared):
    """Imports of packages that pyproject.toml does not name."""
    for name, tree in modules.items():
        for source, _ in imports(name, tree, modules):
            package = source.split(".")[0]
            if package not in declared | sys.stdlib_module_names | {"aniso"}:
                yield f"{name} imports {package}"


def forbidden_names(modules):
    return [name for name in modules if FORBIDDEN_NAMES & set(name.split("."))]


def shared_names(modules):
    """Public functions and classes that bear the name of a module of the same folder."""
    names = {(folder(name), name.split(".")[-1]) for name in modules if "." in name}
    definitions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    for name, tree in modules.items():
        for node in tree.body:
            if isinstance(node, definitions) and (folder(name), node.name) in names:
                yield f"{name} defines {node.name}, which is a module"


@pytest.fixture(scope="module")
def modules():
    return read_modules(ROOT / "aniso")


RULES = [
    unlisted,
    upward_imports,
    past_the_face,
    cycles,
    escaped_packages,
    forbidden_names,
    shared_names,
]


@pytest.mark.parametrize("offences", RULES)
def test_the_house_stands(modules, offences):
    assert list(offences(modules)) == []


def test_what_is_imported_is_declared(modules):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {
        requirement.split(">")[0].strip().replace("-", "_")
        for requirement in project["dependencies"]
    }
    # in the extra "test-all"; frameworks and some modules of diagnostics alone import them
    optional = {"torch", "jax", "lightning", "pandas", "transformers", "xarray"}
    assert list(undeclared_packages(modules, declared | optional)) == []
    assert list(undeclared_packages(modules, declared - {"numpy"})) != []


@pytest.mark.parametrize(
    ("offences", "sources", "message"),
    [
        (unlisted, {"sorcery": ""}, "sorcery is in no line"),
        (unlisted, {"models": "", "models.squared": ""}, "models is in no line"),
        (
            upward_imports,
            {"matrices.noise": "from aniso.problems import losses", "problems.losses": ""},
            "matrices.noise imports problems.losses",
        ),
        (
            upward_imports,
            {"checks": "def late():\n    import aniso.langevin.streams", "langevin.streams": ""},
            "checks imports langevin.streams",
        ),
        (
            upward_imports,
            {"problems": "", "problems.toys": "from .. import escape", "escape": ""},
            "problems.toys imports escape",
        ),
        (
            upward_imports,
            {"langevin.noises": "from aniso import networks", "networks": ""},
            "langevin.noises imports networks",
        ),
        (
            upward_imports,
            {"checks": "if not TYPE_CHECKING:\n    import aniso.escape", "escape": ""},
            "checks imports escape",
        ),
        (
            past_the_face,
            {"escape.kramers": "from aniso.langevin.drifts import linear", "langevin.drifts": ""},
            "escape.kramers imports aniso.langevin.drifts.linear past the face of langevin",
        ),
        (
            past_the_face,
            {"escape.kramers": "from aniso.langevin import _kernels", "langevin._kernels": ""},
            "escape.kramers imports aniso.langevin._kernels past the face of langevin",
        ),
        (
            cycles,
            {
                "matrices.a": "from aniso.matrices import b",
                "matrices.b": "from aniso.matrices.a import x",
            },
            "matrices.a imports matrices.b imports matrices.a",
        ),
        (escaped_packages, {"runs.files": "from matplotlib import pyplot"}, "propositions.plots"),
        (escaped_packages, {"matrices.noise": "import numba"}, "matrices.noise imports numba"),
        (escaped_packages, {"runs.files": "from analysis import figures"}, "imports analysis"),
        (forbidden_names, {"problems.utils": ""}, "problems.utils"),
        (
            shared_names,
            {"matrices.curvature": "", "matrices.noise": "def curvature(): ..."},
            "matrices.noise defines curvature, which is a module",
        ),
    ],
)
def test_a_breach_is_found(offences, sources, message):
    planted = {name: ast.parse(source) for name, source in sources.items()}
    found = list(offences(planted))
    assert len(found) == 1
    assert message in found[0]


def test_what_is_allowed_is_not_called_a_breach():
    planted = {
        "": ast.parse("import importlib"),
        "problems": ast.parse("from aniso.problems.losses import size"),
        "problems.geometry": ast.parse("if TYPE_CHECKING:\n    from aniso.escape import forecast"),
        "problems.losses": ast.parse("from aniso import checks"),
        "checks": ast.parse("import numpy"),
        "propositions.plots": ast.parse("import matplotlib.pyplot"),
        "langevin": ast.parse("from .streams import draw"),
        "langevin.streams": ast.parse("from numba import njit\ndef streams_of(): ..."),
        "escape.kramers": ast.parse("from aniso.langevin import streams, simulate\n"),
    }
    for offences in RULES:
        assert list(offences(planted)) == []
