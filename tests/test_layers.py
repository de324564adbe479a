"""The storeys of the house: imports go down only, and the heavy packages stay where they belong.

A new module is one entry in STOREYS; a package is entered as ``name name.*``.
"""

import ast
import fnmatch
import graphlib
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

STOREYS = {
    "ground": """
        array_files array_functions backend checks cost downloads estimates file_locks files
        image_files image_transformations memory official_files placed_operators
        published_images places provenance taylor_checks threads centred_squares executors
        interruptions local_processes parameter_differences run_store array_hints
        noise_conventions operands kernel_cache cores memory_limits sent_results
    """,
    "problems": """
        broadcasting datasets derivative_plans example_rows link_functions losses model_objective
        models models.* networks networks.* objective problem_checks tracing
    """,
    "matrices": """
        alignment_estimators commutators covariance_operators curvature eigenbasis exact_traces
        lanczos negative_curvature network_noise spectral_density exponential_sums
        gradient_noise indicators linear_chains noise_conventions non_equilibrium
        noise_structures operands ornstein_uhlenbeck output_curvature spectra subspaces
        covariance_arrays eigen_pairs
        trace_estimators
    """,
    "motion": """
        descent descent.* escape escape.* langevin langevin.* training
    """,
    "claims": """
        evidence_plots propositions propositions.* report verify_propositions
    """,
}
# The matrix storey works from arrays and operators alone; curvature takes an objective.
MAY_KNOW_PROBLEMS = ["curvature"]
# Packages that only the named modules import.
CONFINED = {
    "matplotlib": ["evidence_plots"],
    "numba": ["kernel_cache", "langevin.*", "escape.*", "networks.pooled_convolution_kernel"],
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


def imported_names(name, tree, modules):
    """Full dotted name of everything that a module imports, on whatever line."""
    package = ["aniso", *filter(None, name.split("."))]
    is_package = name == "" or any(other.startswith(f"{name}.") for other in modules)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + is_package] if node.level else []
            source = ".".join([*base, *filter(None, [node.module])])
            yield from (f"{source}.{alias.name}" for alias in node.names)


def internal_imports(name, tree, modules):
    """Modules of aniso that a module loads, the packages around them included."""
    loaded = set()
    for full in imported_names(name, tree, modules):
        parts = full.split(".")
        if parts[0] != "aniso":
            continue
        for end in range(1, len(parts)):
            target = ".".join(parts[1 : end + 1])
            inside = name == target or name.startswith(f"{target}.")
            if target in modules and not inside:
                loaded.add(target)
    return loaded


def storey(name):
    """Number of the storey that the table gives to a module, the ground being 0; None if none."""
    for number, patterns in enumerate(STOREYS.values()):
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns.split()):
            return number
    return None


def unlisted(modules):
    return [f"{name} is in no storey" for name in modules if name and storey(name) is None]


def upward_imports(modules):
    names = list(STOREYS)
    for name, tree in modules.items():
        for target in internal_imports(name, tree, modules):
            here, there = storey(name), storey(target)
            if name and None not in (here, there) and there > here:
                yield f"{name} ({names[here]}) imports {target} ({names[there]})"


def cycles(modules):
    graph = {name: internal_imports(name, tree, modules) for name, tree in modules.items() if name}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        yield " imports ".join(reversed(error.args[1]))


def matrices_that_know_problems(modules):
    matrices, problems = (list(STOREYS).index(name) for name in ("matrices", "problems"))
    for name, tree in modules.items():
        if storey(name) == matrices and name not in MAY_KNOW_PROBLEMS:
            for target in internal_imports(name, tree, modules):
                if storey(target) == problems:
                    yield f"{name} imports {target}"


def escaped_packages(modules):
    """Imports of a confined package elsewhere, and of what nobody may import."""
    for name, tree in modules.items():
        for full in imported_names(name, tree, modules):
            package = full.split(".")[0]
            homes = CONFINED.get(package)
            if package in ("analysis", "tests", "benchmarks"):
                yield f"{name} imports {package}"
            elif homes is not None and not any(fnmatch.fnmatchcase(name, home) for home in homes):
                yield f"{name} imports {package}, which belongs to {', '.join(homes)}"


def undeclared_packages(modules, declared):
    """Imports of packages that pyproject.toml does not name."""
    for name, tree in modules.items():
        for full in imported_names(name, tree, modules):
            package = full.split(".")[0]
            if package not in declared | sys.stdlib_module_names | {"aniso"}:
                yield f"{name} imports {package}"


def forbidden_names(modules):
    return [name for name in modules if FORBIDDEN_NAMES & set(name.split("."))]


def shared_names(modules):
    """Public functions and classes that bear the name of a module."""
    last_names = {name.split(".")[-1] for name in modules}
    definitions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    for name, tree in modules.items():
        for node in tree.body:
            if isinstance(node, definitions) and node.name in last_names:
                yield f"{name} defines {node.name}, which is a module"


@pytest.fixture(scope="module")
def modules():
    return read_modules(ROOT / "aniso")


@pytest.mark.parametrize(
    "offences",
    [
        unlisted,
        upward_imports,
        cycles,
        matrices_that_know_problems,
        escaped_packages,
        forbidden_names,
        shared_names,
    ],
)
def test_the_house_stands(modules, offences):
    assert list(offences(modules)) == []


def test_what_is_imported_is_declared(modules):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {
        requirement.split(">")[0].strip().replace("-", "_")
        for requirement in project["dependencies"]
    }
    assert list(undeclared_packages(modules, declared)) == []
    assert list(undeclared_packages(modules, declared - {"numpy"})) != []


@pytest.mark.parametrize(
    ("offences", "sources", "message"),
    [
        (unlisted, {"sorcery": ""}, "sorcery is in no storey"),
        (unlisted, {"models": "", "losses.squared": ""}, "losses.squared is in no storey"),
        (
            upward_imports,
            {"losses": "from aniso import spectra", "spectra": ""},
            "losses (problems) imports spectra (matrices)",
        ),
        (
            upward_imports,
            {"checks": "def late():\n    import aniso.langevin.streams", "langevin.streams": ""},
            "checks (ground) imports langevin.streams (motion)",
        ),
        (
            upward_imports,
            {"models": "", "models.layers": "from .. import report", "report": ""},
            "models.layers (problems) imports report (claims)",
        ),
        (
            cycles,
            {"spectra": "from aniso import operands", "operands": "from aniso.spectra import x"},
            "spectra imports operands imports spectra",
        ),
        (
            cycles,
            {
                "models": "from aniso.models import quadratic",
                "models.quadratic": "from aniso import objective",
                "objective": "from aniso.models.layers import size",
                "models.layers": "",
            },
            "objective",
        ),
        (
            matrices_that_know_problems,
            {"spectra": "from aniso.losses import SquaredLoss", "losses": ""},
            "spectra imports losses",
        ),
        (escaped_packages, {"report": "from matplotlib import pyplot"}, "evidence_plots"),
        (escaped_packages, {"spectra": "import numba"}, "spectra imports numba"),
        (escaped_packages, {"report": "from analysis import figures"}, "imports analysis"),
        (forbidden_names, {"models.utils": ""}, "models.utils"),
        (
            shared_names,
            {"curvature": "", "spectra": "def curvature(): ..."},
            "spectra defines curvature, which is a module",
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
        "models": ast.parse("from aniso.models.layers import size"),
        "models.layers": ast.parse("from aniso import checks"),
        "checks": ast.parse("import numpy"),
        "evidence_plots": ast.parse("import matplotlib.pyplot"),
        "langevin": ast.parse("from .streams import draw"),
        "langevin.streams": ast.parse("from numba import njit\ndef streams_of(): ..."),
        "curvature": ast.parse("from aniso.models import layers"),
    }
    for offences in (
        unlisted,
        upward_imports,
        cycles,
        matrices_that_know_problems,
        escaped_packages,
        shared_names,
    ):
        assert list(offences(planted)) == []
