"""What needs an optional package says by which extra it is installed."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from aniso import _extras

ROOT = Path(__file__).parents[1]
PROGRAMS = {
    "frameworks.from_torch(None, None, ([1.0], [1.0]))": "torch",
    "frameworks.TorchProblem": "torch",
    "frameworks.TorchNetwork": "torch",
    "frameworks.sharded(problem)": "torch",
    "frameworks.from_jax(None, {}, ([1.0], [1.0]))": "jax",
    "frameworks.JaxProblem": "jax",
    "diagnostics.lightning_callback(monitor)": "lightning",
    "diagnostics.trainer_callback(monitor)": "transformers",
    "found.to_dataframe()": "tables",
    "found.to_xarray()": "tables",
    "executors.require_reachable('dask://127.0.0.1:1')": "dask",
    "executors.require_reachable('mpi')": "mpi",
    "command.load('needy_model:problem')": "torch",
}
RUN = """
import json, sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        package = name.partition(".")[0]
        if package in {packages}:
            raise ModuleNotFoundError(f"No module named {{package!r}}", name=package)
sys.meta_path.insert(0, Absent())
import numpy as np
import aniso
from aniso import diagnostics, frameworks
from aniso.diagnostics import command
from aniso.runs import executors
problem = aniso.quadratic_problem(np.eye(2), np.zeros(2), np.array([[1.0, 0.0], [-1.0, 0.0]]))
settings = dict(batch_size=1, replacement=True)
monitor = diagnostics.Monitor("monitor", problem, steps=1, seed=0, **settings)
found = diagnostics.measure(
    problem, np.ones(2), quantities=["loss"], rng=np.random.default_rng(0), **settings
)
told = {{}}
for program in {programs}:
    try:
        exec(program)
    except Exception as error:
        told[program] = str(error)
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What each program says in a process without optional packages."""
    folder = tmp_path_factory.mktemp("bare")
    (folder / "needy_model.py").write_text("import torch\n")
    code = RUN.format(packages=list(_extras.EXTRAS), programs=list(PROGRAMS))
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_extra_is_named(told, program):
    assert f"'aniso[{PROGRAMS[program]}]'" in told.get(program, "no error")


def test_every_extra_exists_and_brings_its_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for package, extra in _extras.EXTRAS.items():
        brought = project["optional-dependencies"][extra]
        assert any(re.match(rf"{package}\b", requirement) for requirement in brought), package


def test_an_error_of_another_package_stays_as_it_is():
    error = ModuleNotFoundError("No module named 'colours'", name="colours")
    assert _extras.absent("a picture", error) is error


def test_examples_of_the_gallery_name_the_extra_of_what_they_import():
    pages = sorted((ROOT / "docs" / "gallery").glob("plot_*.py"))
    assert any("import torch" in page.read_text(encoding="utf-8") for page in pages)
    for page in pages:
        text = page.read_text(encoding="utf-8")
        for package in re.findall(r"^(?:import|from) (\w+)", text, re.MULTILINE):
            if package in _extras.EXTRAS:
                assert f"'aniso[{_extras.EXTRAS[package]}]'" in text, page.name
