"""Ensembles of paths and first passages."""

from benchmarks.processes import Implementation
from benchmarks.race import Case, Group

_FOLDER = "benchmarks.implementations"

ENSEMBLES = Group(
    name="ensembles",
    title="Ensembles of paths",
    about="Time of one path and one step on all cores, streams of random numbers independent of "
    "threads and blocks. The C program is the same kernel written by hand: a limit in reach.",
    implementations={
        "aniso": Implementation(f"{_FOLDER}.aniso_ensembles", "ensembles", is_peer=False),
        "C": Implementation(f"{_FOLDER}.compiled_ensembles", "reference", is_peer=False),
        "JAX scan": Implementation(f"{_FOLDER}.jax_ensembles", "scan"),
        "diffrax": Implementation(f"{_FOLDER}.jax_ensembles", "diffrax"),
        "PyTorch loop": Implementation(f"{_FOLDER}.torch_ensembles", "loop"),
        "torchsde": Implementation(f"{_FOLDER}.torch_ensembles", "torchsde"),
    },
    cases=lambda quick: [Case("a path and step", {"scale": 10 if quick else 1})],
    labels={
        "linear": "10-dimensional Ornstein–Uhlenbeck, 10⁵ paths × 500 steps",
        "linear_general": "Ornstein–Uhlenbeck, drift as a function of the package",
        "linear_own_drift": "Ornstein–Uhlenbeck, a user's compiled drift",
        "linear_sra1": "Ornstein–Uhlenbeck, scheme SRA1",
        "two_basin": "two-basin toy, 10⁴ runs × 500 steps × 100 data",
        "first_passage": "first passage with bridge test, double well",
        "first_passage_own_drift": "first passage, a user's compiled drift",
        "sgd_chain_1d": "chain of SGD, 1 dimension, a user's gradient",
        "sgd_exits_1d": "exits of this chain, 1 dimension",
        "sgd_chain_10d": "chain of SGD, least squares, 10 dimensions",
        "sgd_exits_10d": "exits of this chain, 10 dimensions",
    },
    heavy=(
        "linear_general",
        "linear_sra1",
        "first_passage_own_drift",
        "sgd_chain_1d",
        "sgd_exits_1d",
        "sgd_chain_10d",
        "sgd_exits_10d",
    ),
    headline=("linear", "linear_own_drift", "two_basin", "first_passage"),
)
