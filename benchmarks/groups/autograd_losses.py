"""Losses written with autograd.numpy."""

from benchmarks.processes import Implementation
from benchmarks.race import Case, Group

_FOLDER = "benchmarks.implementations"
_SIZES = (((10, 10, 3), 50), ((20, 20, 10), 200), ((100, 100, 10), 100))

AUTOGRAD = Group(
    name="autograd",
    title="Losses written with autograd.numpy",
    about="A tanh perceptron as a plain function, through AutogradProblem, beside autograd called "
    "example by example, the same as layers of a network, and JAX.",
    implementations={
        "aniso": Implementation(f"{_FOLDER}.autograd_losses", "problem", is_peer=False),
        "autograd loop": Implementation(f"{_FOLDER}.autograd_losses", "loop", is_peer=False),
        "layers": Implementation(f"{_FOLDER}.autograd_losses", "layers", is_peer=False),
        "JAX": Implementation(f"{_FOLDER}.jax_losses", "compiled"),
    },
    cases=lambda quick: [
        Case(
            f"{'–'.join(map(str, widths))}, N = {count}", {"widths": widths, "num_examples": count}
        )
        for widths, count in _SIZES[: 1 if quick else None]
    ],
    labels={
        "gradient": "gradient",
        "per_example_gradients": "per-example gradients",
        "hessian_products": "Hv in a block of 32, per vector",
    },
    per={"hessian_products": 32},
    headline=("gradient", "per_example_gradients", "hessian_products"),
    in_quick=False,
)
