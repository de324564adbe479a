"""Each framework works without the other: an import of the other is blocked in a new process."""

import subprocess
import sys

import pytest

BLOCK = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {name!r}:
            raise ModuleNotFoundError(f"No module named {name!r}", name={name!r})

sys.meta_path.insert(0, Blocked())
import numpy as np
from aniso import frameworks
"""
WITH_JAX = """
def loss(params, x, y):
    return ((params["w"] * x - y) ** 2).mean()

data = np.array([1.0, 2.0]), np.array([1.0, 0.0])
problem = frameworks.from_jax(loss, {"w": 1.0}, data)
print(problem.gradient([1.0]), problem.hessian([1.0]), problem.at([1.0]).noise.trace())
"""
WITH_TORCH = """
import torch

model = torch.nn.Linear(1, 1, bias=False)
data = np.array([[1.0], [2.0]], np.float32), np.array([[1.0], [0.0]], np.float32)
problem = frameworks.from_torch(model, torch.nn.MSELoss(), data, engine="torch")
print(problem.gradient([1.0]), problem.hessian([1.0]), problem.at([1.0]).noise.trace())
"""


def output_of(blocked, program):
    code = BLOCK.format(name=blocked) + program
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("installed", "blocked", "program"),
    [("jax", "torch", WITH_JAX), ("torch", "jax", WITH_TORCH)],
    ids=["jax", "torch"],
)
def test_a_framework_works_without_the_other(installed, blocked, program):
    """For (w x - y)^2 at w = 1, x = 1 and 2, y = 1 and 0: g = 0 and 8, H = 5, variance 16."""
    pytest.importorskip(installed)
    assert output_of(blocked, program) == "[4.] [[5.]] 16.0\n"
