"""What all tests share: one thread of linear algebra, no window, a seed that may be changed."""

import importlib.util
import os
import shutil

# Before NumPy loads: small matrices gain nothing from threads, and counts stay reproducible.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
os.environ.setdefault("MPLBACKEND", "agg")
# JAX would take three quarters of a graphics processor's memory, several processes share it
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

import filelock  # noqa: E402
import hypothesis  # noqa: E402
import pytest  # noqa: E402
import seeds  # noqa: E402

collect_ignore_glob = ["typed_programs/*"]  # for a type checker alone

# No deadline: the first call of a kernel compiles it. Where the variable CI is set Hypothesis would
# draw the same examples whatever the seed.
hypothesis.settings.register_profile(
    "aniso", deadline=None, derandomize=False, database=None, print_blob=True
)
hypothesis.settings.load_profile("aniso")


def pytest_addoption(parser):
    parser.addoption(
        "--seed", type=int, default=0, help="seed of all random tests; any seed must pass"
    )


def pytest_configure(config):
    seeds.set_seed(config.getoption("--seed"))
    if config.getoption("--hypothesis-seed", None) is None:
        hypothesis.core.global_force_seed = config.getoption("--seed")


def pytest_report_header(config):
    return f"random tests: --seed {config.getoption('--seed')}"


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    report = (yield).get_result()
    if report.failed:
        seed = item.config.getoption("--seed")
        command = f"python -m pytest '{item.nodeid}' --seed {seed}"
        report.sections.append(("to repeat it", command))


def pytest_collection_modifyitems(items):
    _skip_examples_of_absent_frameworks(items)
    if os.environ.get("NUMBA_DISABLE_JIT", "0") == "0":
        return
    skip = pytest.mark.skip(reason="too slow where NUMBA_DISABLE_JIT leaves kernels uncompiled")
    for item in items:
        if "needs_jit" in item.keywords or item.path.suffix == ".md":
            item.add_marker(skip)


def _skip_examples_of_absent_frameworks(items):
    """Skip doctests of modules that load a framework at their first use, where it lacks."""
    absent = [name for name in ("torch", "jax") if importlib.util.find_spec(name) is None]
    for item in items:
        if not isinstance(item, pytest.DoctestItem) or item.path.suffix != ".py":
            continue
        for name in absent:
            if f">>> import {name}" in item.dtest.docstring:
                item.add_marker(pytest.mark.skip(reason=f"{name} is not installed"))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    seeds.begin(item.nodeid)


@pytest.fixture
def rng(request):
    """Generator of its own for each test, from --seed and the test's name."""
    return seeds.generator(request.node.nodeid)


@pytest.fixture(scope="session")
def drawn(tmp_path_factory):
    """A folder of this process in which every figure has been made at scale small.

    The processes of one run of the tests share the work: the first one makes them.
    """
    import figure_cases

    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "small_figures"
    with filelock.FileLock(f"{shared}.lock"):
        if not shared.exists():
            made = tmp_path_factory.mktemp("made")
            figure_cases.every_small_figure(made)
            os.rename(made, shared)
    return shutil.copytree(shared, base / "figures")
