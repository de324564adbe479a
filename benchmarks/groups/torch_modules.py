"""Modules of PyTorch as problems of aniso."""

from benchmarks.processes import Implementation
from benchmarks.race import Case, Group

_MODULE = "benchmarks.implementations.torch_modules"
_MODELS = {"convolutional": "convolutional network", "normalised": "perceptron with layer norm"}


def _cases(quick):
    count = 300 if quick else 1200
    return [
        Case(
            f"{name}, N = {count:,}",
            {"model": model, "num_examples": count, "dtype": dtype},
            dtype,
        )
        for model, name in _MODELS.items()
        for dtype in (("float32",) if quick else ("float64", "float32"))
    ]


TORCH = Group(
    name="torch",
    title="PyTorch modules through from_torch",
    about="The convolutional network is a sequence that runs on aniso's engine. The perceptron "
    "784–128–64–10 with GELU and a layer normalisation stays in PyTorch. The same quantities are "
    "written directly in torch.func, with chunks of 100, of 400 and of all examples.",
    implementations={
        "aniso": Implementation(_MODULE, "by_aniso"),
        "PyTorch": Implementation(_MODULE, "eager"),
        **{
            f"torch.func, chunks of {chunk or 'N'}": Implementation(
                _MODULE, "direct", {"chunk": chunk}
            )
            for chunk in (100, 400, None)
        },
        "curvlinops": Implementation(_MODULE, "curvlinops"),
    },
    cases=_cases,
    labels={
        "gradient": "gradient",
        "hessian_product": "Hv",
        "hessian_product_block16": "Hv in a block of 16, per vector",
        "per_example_gradients": "per-example gradients",
        "covariance_product": "Σv",
    },
    per={"hessian_product_block16": 16},
    instead={"hessian_product_block16": ("hessian_product",)},
    heavy=("torch.func, chunks of 100", "torch.func, chunks of N", "curvlinops"),
    headline=("gradient", "hessian_product", "hessian_product_block16", "per_example_gradients"),
)
