"""The layer engine in other array libraries."""

from benchmarks.processes import Implementation
from benchmarks.race import Case, Group

_MODULE = "benchmarks.implementations.aniso_places"
_PLACES = {
    "aniso": "cpu",
    "on PyTorch, CPU": "torch cpu",
    "on PyTorch, CUDA": "torch cuda",
    "on CuPy": "cuda",
}


def _cases(quick):
    cases = [("convolutional", "convolutional network", 1200, "float64"),
             ("convolutional", "convolutional network", 1200, "float32"),
             ("vgg11", "VGG-11", 100, "float32")]  # fmt: skip
    return [
        Case(f"{name}, N = {count:,}", {"model": model, "num_examples": count, "dtype": d}, d)
        for model, name, count, d in cases[: 1 if quick else None]
    ]


PLACES = Group(
    name="places",
    title="Array libraries",
    about="The layer engine on NumPy arrays beside the same engine on arrays of other libraries "
    "and devices.",
    implementations={
        name: Implementation(_MODULE, "at", {"place": place}, is_peer=False)
        for name, place in _PLACES.items()
    },
    cases=_cases,
    labels={
        "gradient": "gradient",
        "square_norms": "square norms of per-example gradients",
        "hessian_product": "Hv, moving θ",
        "hessian_product_block8": "Hv in a block of 8, per vector",
    },
    per={"hessian_product_block8": 8},
    side_by_side=True,
    in_quick=False,
)
