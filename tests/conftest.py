"""What all tests share: one thread of linear algebra, no window, a seed that may be changed."""

import os
import zlib

# Before NumPy loads: small matrices gain nothing from threads, and counts stay reproducible.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
os.environ.setdefault("MPLBACKEND", "agg")

import hypothesis  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402

# No deadline: the first call of a kernel compiles it.
hypothesis.settings.register_profile("aniso", deadline=None)
hypothesis.settings.load_profile("aniso")


def pytest_addoption(parser):
    parser.addoption(
        "--seed", type=int, default=0, help="seed of the rng fixture; any seed must pass"
    )


def pytest_collection_modifyitems(items):
    if os.environ.get("NUMBA_DISABLE_JIT", "0") == "0":
        return
    skip = pytest.mark.skip(reason="too slow where NUMBA_DISABLE_JIT leaves kernels uncompiled")
    for item in items:
        if "needs_jit" in item.keywords or item.path.name == "README.md":
            item.add_marker(skip)


@pytest.fixture
def rng(request):
    """Generator of its own for each test, from --seed and the test's name."""
    key = zlib.crc32(request.node.nodeid.encode())
    return np.random.default_rng([request.config.getoption("--seed"), key])
