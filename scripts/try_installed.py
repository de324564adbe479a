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

home = Path(aniso.__file__).resolve().parent
assert "site-packages" in home.parts, f"{home} is no installed package"
assert metadata.version("aniso") == aniso.__version__
assert resources.files("aniso").joinpath("py.typed").is_file()
assert resources.files("aniso.matrices").joinpath("__init__.pyi").is_file()

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
assert np.isfinite(ratio), ratio

for arguments in (["aniso"], ["aniso.verify_propositions", "--quick", "--only", "definition1"]):
    importlib.invalidate_caches()
    done = subprocess.run([sys.executable, "-m", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
print(f"aniso {aniso.__version__} on Python {sys.version.split()[0]}: trace ratio {ratio:.4g}")
