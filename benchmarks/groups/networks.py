"""Derivatives of the convolutional network of the paper's Figure 3, and of dense networks."""

from benchmarks.processes import Implementation
from benchmarks.race import Case, Group

_FOLDER = "benchmarks.implementations"


def _peer(module, function):
    return Implementation(f"{_FOLDER}.{module}", function)


def _ours(function, environment=None):
    return Implementation(
        f"{_FOLDER}.aniso_networks", function, environment=environment or {}, is_peer=False
    )


_PEERS = {
    "PyTorch": _peer("torch_networks", "eager"),
    "torch.func": _peer("torch_networks", "functional"),
    "BackPACK": _peer("torch_networks", "backpack"),
    "curvlinops": _peer("torch_networks", "curvlinops"),
    "JAX": _peer("jax_networks", "compiled"),
}
_LABELS = {
    "gradient": "gradient",
    "gradient_100": "gradient, batch of 100",
    "per_example_gradients": "per-example gradients",
    "hessian_product_moving": "Hv, moving θ",
    "hessian_product_block8": "Hv in a block of 8, moving θ, per vector",
    "hessian_product_fixed": "Hv, fixed θ",
    "hessian_product_fixed8": "Hv in a block of 8, fixed θ, per vector",
    "hessian_product_fixed32": "Hv in a block of 32, fixed θ, per vector",
    "hessian_product_fixed128": "Hv in a block of 128, fixed θ, per vector",
    "linearisation": "linearisation at θ",
    "hessian_trace": "Tr H, from θ",
    "alignment": "Tr(HΣ), exact, from θ",
    "covariance_product": "Σv",
    "covariance_eigenpairs_20": "20 leading eigenpairs of Σ",
    "dense_hessian": "dense H, from θ",
    "leading_eigenpairs_400": "400 leading eigenpairs of H, from θ",
}
_PER = {
    "hessian_product_block8": 8,
    "hessian_product_fixed8": 8,
    "hessian_product_fixed32": 32,
    "hessian_product_fixed128": 128,
}
# a peer without a block of this size takes its vectors by its fastest way
_BY_ONE = ("hessian_product_moving", "hessian_product_fixed")
_INSTEAD = {
    "hessian_product_block8": ("hessian_product_moving",),
    "hessian_product_fixed": ("hessian_product_moving",),
    "hessian_product_fixed8": (*_BY_ONE, "hessian_product_block8"),
    "hessian_product_fixed32": (*_BY_ONE, "hessian_product_block8", "hessian_product_fixed8"),
    "hessian_product_fixed128": (*_BY_ONE, "hessian_product_block8", "hessian_product_fixed8"),
}
_HEADLINE = (
    "gradient",
    "gradient_100",
    "per_example_gradients",
    "hessian_product_moving",
    "hessian_product_block8",
    "hessian_product_fixed32",
    "linearisation",
    "dense_hessian",
    "alignment",
    "leading_eigenpairs_400",
)
# for a quick run: quantities that take seconds, and peers that are never the fastest
_HEAVY = (
    "dense_hessian",
    "leading_eigenpairs_400",
    "hessian_product_fixed128",
    "hessian_product_fixed8",
    "hessian_trace",
    "covariance_product",
    "covariance_eigenpairs_20",
    "autograd",
    "curvlinops",
)
_NAMES = {
    "convolutional": "convolutional network",
    "784-128-64-10": "784–128–64–10",
    "2-512-1": "2–512–1",
}


def _cases(*sizes):
    def cases(quick):
        return [
            Case(
                f"{_NAMES[model]}, N = {count:,}",
                {"model": model, "num_examples": count, "dtype": dtype},
                dtype,
                in_headline=quick or count == counts[-1],
            )
            for model, counts in sizes
            for count in (counts[:1] if quick else counts)
            for dtype in (("float64",) if quick else ("float64", "float32"))
        ]

    return cases


CONVOLUTIONAL = Group(
    name="convolutional",
    title="Convolutional network",
    about="The network of Figure 3 of the paper: two convolutions, two dense layers, D = 11,330, "
    "random images. PyTorch and JAX tiled have aniso's tiling of the convolution written for them.",
    implementations={
        # its chunks stay small; a dense H is better mapped, with huge pages
        "aniso": _ours("engine", {"MALLOC_MMAP_THRESHOLD_": str(2**25)}),
        **_PEERS,
        "PyTorch tiled": _peer("torch_networks", "tiled"),
        "JAX tiled": _peer("jax_networks", "tiled"),
        "autograd": _ours("autograd"),
    },
    cases=_cases(("convolutional", (300, 1200))),
    labels=_LABELS,
    per=_PER,
    instead=_INSTEAD,
    headline=_HEADLINE,
    heavy=(*_HEAVY, "gradient_100", "hessian_product_fixed", "hessian_product_block8", "JAX"),
)
DENSE = Group(
    name="dense",
    title="Dense networks",
    about="A perceptron, D = 109,386, with softmax cross-entropy, and the network of one hidden "
    "layer of Figure 4, D = 1,536, with its clipped squared loss.",
    implementations={
        "aniso": _ours("engine"),
        **_PEERS,
        "PyTorch by hand": _peer("torch_by_hand", "by_hand"),
        "autograd": _ours("autograd"),
    },
    cases=_cases(("784-128-64-10", (300, 1200)), ("2-512-1", (1200,))),
    labels=_LABELS,
    per=_PER,
    instead=_INSTEAD,
    headline=_HEADLINE,
    heavy=(*_HEAVY, "alignment", "hessian_product_fixed"),
)
