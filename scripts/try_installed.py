"""Uses an installed aniso away from its repository: data, every package, commands, types.

    python try_installed.py

The working directory must not be the repository, and aniso must come from ``site-packages``.
"""

import contextlib
import importlib
import subprocess
import sys
from importlib import metadata, resources
from pathlib import Path

import numpy as np

import aniso


def require(holds, told):
    """End with a message if something does not hold."""
    if not holds:
        sys.exit(told)


home = Path(aniso.__file__).resolve().parent
require("site-packages" in home.parts, f"{home} is no installed package")
version = metadata.version("aniso")
require(version == aniso.__version__, f"version {aniso.__version__} is installed as {version}")
for folder, name in (("aniso", "py.typed"), ("aniso.matrices", "__init__.pyi")):
    require(resources.files(folder).joinpath(name).is_file(), f"{folder} has no {name}")

for name in aniso.__all__:
    value = getattr(aniso, name)
    for inner in getattr(value, "__all__", ()):
        with contextlib.suppress(*[ModuleNotFoundError] * (name == "frameworks")):
            getattr(value, inner)  # PyTorch and JAX are in extras of their own

images = aniso.fashion_mnist()
stack = aniso.multilayer_perceptron((784, 5, 10))
pixels = images.train_images[:50].reshape(50, 784) / 255
network = aniso.Network(stack, aniso.SoftmaxCrossEntropy(), pixels, images.train_labels[:50])
at = network.at(stack.initial_parameters(np.random.default_rng(0)))
ratio = aniso.trace_ratio(at.hessian, at.noise)
require(np.isfinite(ratio), f"the trace ratio is {ratio}")

for arguments in (["aniso"], ["aniso.verify_propositions", "--quick", "--only", "definition1"]):
    importlib.invalidate_caches()
    done = subprocess.run([sys.executable, "-m", *arguments], capture_output=True, text=True)
    require(done.returncode == 0, done.stdout + done.stderr)
print(f"aniso {aniso.__version__} on Python {sys.version.split()[0]}: trace ratio {ratio:.4g}")
