"""New processes: imports, first calls, the verification; and matrices without a problem."""

from benchmarks.processes import Implementation
from benchmarks.race import Case, Group

_MODULE = "benchmarks.implementations.fresh_processes"


def _imports(is_peer=False, **statements):
    return Implementation(_MODULE, "imports", {"statements": statements}, is_peer=is_peer)


IMPORTS = Group(
    name="imports",
    title="Imports",
    about="In a new process, files in the cache of the system.",
    implementations={
        "aniso": _imports(
            package="import aniso",
            networks="from aniso.networks import Network",
            escape="from aniso.escape import simulate_mean_exit_time",
            diagnostics="from aniso.diagnostics import measure",
        ),
        "JAX": _imports(True, networks="import jax.numpy"),
        "PyTorch": _imports(True, networks="import torch"),
    },
    cases=lambda quick: [Case("import", {})],  # noqa: ARG005
    labels={
        "package": "aniso",
        "networks": "networks (peers: the library)",
        "escape": "simulated exits",
        "diagnostics": "diagnostics",
    },
    headline=("networks",),
    most_rounds=5,
)
FIRST_CALLS = Group(
    name="first_calls",
    title="First calls",
    about="In a new process after the imports: with no compiled kernels, and with those of an "
    "earlier process.",
    implementations={"aniso": Implementation(_MODULE, "first_calls", is_peer=False)},
    cases=lambda quick: [Case("first call", {})],  # noqa: ARG005
    labels={
        "exit_time_cold": "mean exit time, nothing compiled",
        "exit_time_warm": "mean exit time",
        "ensemble_cold": "ensemble, nothing compiled",
        "ensemble_warm": "ensemble",
        "gradient_cold": "gradient of the convolutional network, nothing compiled",
        "gradient_warm": "gradient of the convolutional network",
    },
    headline=("exit_time_cold", "ensemble_cold"),
    heavy=("gradient_cold", "gradient_warm"),
    warm_up=False,
    most_rounds=3,
)
VERIFICATION = Group(
    name="verification",
    title="Verification of the propositions",
    about="python -m aniso.verify_propositions, whole processes: first with no compiled kernels, "
    "then with them.",
    implementations={"aniso": Implementation(_MODULE, "verification", is_peer=False)},
    cases=lambda quick: [Case("verification", {})],  # noqa: ARG005
    labels={
        "quick_cold": "quick, nothing compiled",
        "quick_warm": "quick",
        "default_cold": "default, nothing compiled",
        "default_warm": "default",
    },
    headline=("quick_warm", "default_cold", "default_warm"),
    in_quick=False,
    warm_up=False,
    most_rounds=1,
)
MATRICES = Group(
    name="matrices",
    title="Two arrays",
    about="H and Σ as NumPy arrays with D rows. aniso checks that both are symmetric and Σ is "
    "positive semi-definite; the sums by hand check nothing.",
    implementations={
        "aniso": Implementation("benchmarks.implementations.aniso_matrices", "checked",
                                is_peer=False),
        "NumPy by hand": Implementation("benchmarks.implementations.plain_matrices", "by_hand",
                                        is_peer=False),
    },
    cases=lambda quick: [Case(f"D = {size:,}", {"size": size})
                         for size in ((2000,) if quick else (500, 2000))],
    labels={"trace_ratio": "trace ratio", "alignment": "Tr(HΣ)"},
    headline=("trace_ratio",),
)  # fmt: skip
