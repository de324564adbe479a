"""Estimators of Tr(H Sigma)."""

from benchmarks.processes import Implementation
from benchmarks.race import Case, Group

_POINTS = (
    ("convolutional", "convolutional network, step 0", 0),
    ("convolutional", "convolutional network, step 100", 100),
    ("convolutional", "convolutional network, step 400", 400),
    ("convolutional", "convolutional network, step 1,500", 1500),
    ("vgg", "VGG-11, width 1/16", 200),
    ("perceptron", "perceptron, tanh", 200),
    ("saddle", "perceptron near a saddle", 0),
)

ALIGNMENT = Group(
    name="alignment",
    title="Estimators of Tr(HΣ)",
    about="To 1 %, from a fresh geometry, on the images of the package along Adam. Rows of "
    "Hutchinson and of sampled examples follow from the error of 64 products. “Observed” is the "
    "root mean square error of eight deflated runs, and else the error of those 64 products.",
    implementations={
        "aniso": Implementation(
            "benchmarks.implementations.aniso_alignment", "estimators", is_peer=False
        )
    },
    cases=lambda quick: [
        Case(name, {"network": network, "step": step, "quick": quick})
        for network, name, step in _POINTS[: 2 if quick else None]
    ],
    labels={
        "exact": "exact",
        "deflated": "deflated",
        "hutchinson": "Hutchinson",
        "examples": "sampled examples",
    },
    columns={
        "loss": "loss",
        "products": "products",
        "core_seconds": "core seconds",
        "stated": "stated error",
        "observed": "observed error",
    },
    in_quick=False,
    warm_up=False,
    most_rounds=3,
)
