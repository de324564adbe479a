"""PyTorch, JAX and the training libraries are loaded by nobody who does not ask for them."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
FRAMEWORKS = ("torch", "jax", "lightning", "transformers")
ABSENT = f"""
import importlib.abc, sys
ASKED = []
class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name in {FRAMEWORKS}:
            ASKED.append(name)
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
"""
EVERY_NAME = """
from aniso import *
import aniso.diagnostics, aniso.frameworks
print(from_torch.__name__, from_jax.__name__, from_draws.__name__, ASKED)
"""


def output(program):
    """What a program prints in a fresh process."""
    finished = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout.splitlines()


def test_all_names_of_the_front_load_no_framework():
    assert output(ABSENT + EVERY_NAME) == ["from_torch from_jax from_draws []"]
