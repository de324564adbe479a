"""Compiled functions on disk: never older than their sources, and not needed."""

import ast
import inspect
import os
import shutil
import subprocess
import sys
import types
from pathlib import Path

import every_module
import numba
import numpy as np
import pytest

import aniso
from aniso.arrays import kernel_cache

pytestmark = pytest.mark.needs_jit

SOURCES = {
    "__init__": "",
    "constants": "STEP = 1\n",
    "inner": """
from aniso.arrays.kernel_cache import njit
from kept.constants import STEP
@njit(error_model="numpy")
def add(x):
    return x + STEP
""",
    "outer": """
import numpy as np
from numba import types
from aniso.arrays import kernel_cache
from kept.inner import add
@kernel_cache.njit()
def twice(x):
    return add(add(x))
def written(x, out):
    out[0] = add(add(x))
array = types.Array(types.float64, 1, "C")
callback = kernel_cache.cfunc(types.void(types.float64, array), written)
@kernel_cache.njit()
def called(function, x):
    out = np.zeros(1)
    function(x, out)
    return out[0]
""",
}
RUN = """
from kept import outer
values = outer.twice(0), int(outer.called(outer.callback, 0.0))
print(*values, sum(outer.twice.stats.cache_hits.values()))
"""


@pytest.fixture
def package(tmp_path):
    folder = tmp_path / "kept"
    folder.mkdir()
    for name, source in SOURCES.items():
        (folder / f"{name}.py").write_text(source)
    return folder


def run(folder, code=RUN, **environment):
    """What a new process prints, and its warnings."""
    path = os.pathsep.join([str(folder.parent), *sys.path])
    found = subprocess.run(
        [sys.executable, "-W", "default", "-B", "-c", code],
        env=os.environ | {"PYTHONPATH": path} | environment,
        cwd=folder.parent,
        check=False,
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0, found.stderr
    return found.stdout.split(), found.stderr


def test_a_change_in_another_file_is_noticed(package):
    assert run(package)[0] == ["2", "2", "0"]
    assert run(package)[0] == ["2", "2", "1"]  # from disk
    (package / "constants.py").write_text("STEP = 5\n")
    assert run(package)[0] == ["10", "10", "0"]
    inner = SOURCES["inner"].replace("x + STEP", "x - STEP")
    (package / "inner.py").write_text(inner)
    assert run(package)[0] == ["-10", "-10", "0"]
    assert run(package)[0] == ["-10", "-10", "1"]


LONG = """
import sys
sys.stderr.isatty = lambda: True
from kept import inner
print(inner.add(1))
"""


def test_a_long_compilation_is_announced_on_a_terminal(package):
    inner = SOURCES["inner"].replace("njit(error_model", "njit(seconds=3, error_model")
    (package / "inner.py").write_text(inner)
    quiet = LONG.replace("sys.stderr.isatty", "sys.stdin.isatty")
    assert run(package, quiet) == (["2"], "")
    (package / "constants.py").write_text("STEP = 5\n")
    assert run(package, LONG) == (["6"], "kept.inner.add: compiling once, about 3 s\n")
    assert run(package, LONG) == (["6"], "")  # from disk
    short = inner.replace("seconds=3", "seconds=1")
    (package / "inner.py").write_text(short)
    assert run(package, LONG) == (["6"], "")


INNER = """
from kept import inner, outer
from_kernel, from_python = outer.twice(0), inner.add(0)
print(from_kernel, from_python, sum(outer.twice.stats.cache_hits.values()))
"""


def test_an_inner_function_serves_compiled_functions_and_python(package):
    inner = SOURCES["inner"].replace("njit(error_model", "njit(inner=True, error_model")
    (package / "inner.py").write_text(inner)
    assert run(package, INNER)[0] == ["2", "1", "0"]
    assert run(package, INNER)[0] == ["2", "1", "1"]
    (package / "constants.py").write_text("STEP = 5\n")
    assert run(package, INNER)[0] == ["10", "5", "0"]


NOWHERE = {"HOME": "/dev/null", "XDG_CACHE_HOME": "/dev/null/cache", "NUMBA_CACHE_DIR": ""}


def test_without_a_folder_that_can_be_written_functions_are_compiled_after_one_warning(package):
    (package / "__pycache__").write_text("a file where numba wants a folder")
    for _ in range(2):
        printed, warned = run(package, **NOWHERE)
        assert printed == ["2", "2", "0"]
        assert warned.count("compiled functions are not kept") == 1
        assert "set NUMBA_CACHE_DIR" in warned
    # the remedy works
    elsewhere = {"NUMBA_CACHE_DIR": str(package.parent / "elsewhere")}
    assert run(package, **NOWHERE | elsewhere) == (["2", "2", "0"], "")
    assert run(package, **NOWHERE | elsewhere) == (["2", "2", "1"], "")


def test_the_package_runs_from_a_folder_and_a_home_that_cannot_be_written(tmp_path):
    copy = tmp_path / "aniso"
    shutil.copytree(
        Path(aniso.__file__).parent,
        copy,
        ignore=shutil.ignore_patterns("__pycache__", "*.gz", "data"),
    )
    for folder in (copy / "langevin", copy / "networks"):
        (folder / "__pycache__").write_text("")
    printed, warned = run(
        copy,
        "import aniso, numba; from aniso import networks\n"
        "from aniso.networks.fast import pooled_kernel\n"
        "from aniso.langevin._kernels import streams\n"
        "from aniso.langevin import functions, drift_functions\n"
        "functions.pointer(drift_functions.no_drift, functions.PANEL_FUNCTION)\n"
        "print(aniso.__file__, len(streams.normals(1, 2, 3)))",
        **NOWHERE,
    )
    assert printed == [str(copy / "__init__.py"), "3"]
    assert warned.count("compiled functions are not kept") == 1


def test_broken_files_are_replaced(package):
    run(package)
    for name in (package / "__pycache__").glob("*.nb?"):
        name.write_bytes(name.read_bytes()[:40])
    assert run(package)[0] == ["2", "2", "0"]
    assert run(package)[0] == ["2", "2", "1"]


def test_a_full_disk_costs_a_warning(package):
    full = (
        "from numba.core import caching\n"
        "def full(*_): raise OSError('no space left')\n"
        "caching.IndexDataCacheFile.save = full\n"
    )
    printed, warned = run(package, full + RUN)
    assert printed == ["2", "2", "0"]
    assert warned.count("no space left") == 1


def compiled_functions():
    """Every compiled function of the package, with the module that defines it."""
    for module in every_module.modules(aniso):
        for value in vars(module).values():
            source = getattr(value, "py_func", None)
            if isinstance(source, types.FunctionType) and source.__module__ == module.__name__:
                yield value, module


def test_compiled_functions_take_what_they_use_from_their_own_folder():
    number, wrong = 0, []
    for function, module in compiled_functions():
        number += 1
        folder = kernel_cache.home(Path(module.__file__))
        own = f"aniso.{folder.name}"
        assert isinstance(function._cache, kernel_cache._Cache), function
        imported = {
            alias.asname or alias.name: node.module
            for node in ast.walk(ast.parse(inspect.getsource(module)))
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        for name in function.py_func.__code__.co_names:
            value = vars(module).get(name)
            if isinstance(value, types.ModuleType):
                origin = value.__name__
            elif hasattr(value, "py_func"):
                origin = value.py_func.__module__
            else:
                origin = imported.get(name, module.__name__)
            if origin.split(".")[0] == "aniso" and not f"{origin}.".startswith(f"{own}."):
                wrong.append((function, name, origin))
    assert number > 50
    assert not wrong


BITS = """
import numpy as np
from aniso import langevin
from aniso.langevin import drifts, noises
hessian = np.array([[1.0, 0.2, 0.1], [0.2, 0.7, 0.3], [0.1, 0.3, 0.9]])
problem = langevin.LangevinProblem(
    drifts.of_quadratic(hessian), noises.constant(hessian), [0.1, 0.2, 0.3])
found = langevin.simulate_ensemble(problem, "exact", 0.05, [0, 7, 50], 300, 7)
print(*(value.hex() for value in np.concatenate([found.mean, found.covariance], None).tolist()))
"""


def test_the_process_that_compiles_rounds_as_those_that_load(package):
    folder = {"NUMBA_CACHE_DIR": str(package.parent / "cache")}
    compiled, loaded = (run(package, BITS, **folder)[0] for _ in range(2))
    assert compiled == loaded
    assert np.isfinite([float.fromhex(value) for value in loaded]).all()
    assert not numba.config.DISABLE_JIT


def test_a_closure_is_not_kept(package):
    # what its cells hold cannot be compared between processes, and its files would gather
    (package / "closed.py").write_text("""
from aniso.arrays.kernel_cache import njit
from kept.inner import add
def made(function):
    @njit()
    def closed(x):
        return function(x)
    return closed
""")
    code = "from kept.closed import made, add\nprint(made(add)(1))"
    assert run(package, code) == (["2"], "")
    kept = [path.name for path in package.rglob("*.nbi")]
    assert [name for name in kept if name.startswith("inner.")]
    assert not [name for name in kept if name.startswith("closed.")]
