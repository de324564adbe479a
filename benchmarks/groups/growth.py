"""Time and memory over the sizes of a problem, and what the documentation says they do."""

from benchmarks.growth import Law
from benchmarks.processes import Implementation
from benchmarks.race import Case, Group

_MODULE = "benchmarks.implementations.aniso_growth"
_AXES = {
    "over_examples": ("examples N", (150, 300, 600, 1200, 2400), (100, 200, 400)),
    "alignment": ("examples N of Tr(HΣ)", (300, 600, 1200, 2400, 4800), (200, 400, 800, 1600)),
    "over_images": ("images N, streamed", (250, 500, 1000, 2000), ()),
    "over_parameters": ("parameters D", (64, 128, 256, 512, 1024), (64, 128, 256)),
    "matrices_over_parameters": (
        "parameters D of D × D matrices", (500, 1000, 2000, 4000), (250, 500, 1000)
    ),
    "over_vectors": ("vectors K", (8, 16, 32, 64, 128), (8, 16, 32)),
    "over_paths": ("paths", (16384, 32768, 65536, 131072, 262144), (16384, 32768, 65536)),
}  # fmt: skip


def _law(function, quantity, time=None, memory=None):
    documented = {"seconds": time, "traced_bytes": memory}
    return Law(_AXES[function][0], quantity, {k: v for k, v in documented.items() if v})


LAWS = [
    _law("over_examples", "gradient", (1, "N · cost of one example")),
    _law("over_examples", "per_example_gradients", (1, "N D"), (1, "8 N D bytes")),
    _law("over_examples", "hessian_product", (1, "N · cost of one tangent")),
    _law("alignment", "exact", (2, "N² pairs of gradients"), (1, "factors of N examples")),
    _law("alignment", "deflated", (1, "N · some twenty products"), (1, "factors of N examples")),
    _law("over_images", "streamed_variances", (1, "N · cost of one example"), (0, "budget")),
    _law("over_parameters", "gradient", (1, "N D"), (1, "8 D bytes")),
    _law("over_parameters", "per_example_gradients", (1, "N D"), (1, "8 N D bytes")),
    _law("over_parameters", "hessian_product", (1, "N D"), (1, "8 D bytes")),
    _law("matrices_over_parameters", "trace_ratio", (2, "D²"), None),
    _law("matrices_over_parameters", "dense_hessian", (2, "N D²"), (2, "8 D² bytes")),
    _law("over_vectors", "hessian_product_fixed", (1, "N D K"), (1, "8 D K bytes")),
    _law("over_paths", "ensemble", (1, "paths · steps"), (0, "no paths are kept")),
]


def _cases(quick):
    chosen = {over: few if quick else sizes for over, (_, sizes, few) in _AXES.items()}
    return [
        Case(_AXES[over][0], {"over": over, "sizes": sizes})
        for over, sizes in chosen.items()
        if sizes
    ]


GROWTH = Group(
    name="growth",
    title="Growth of time and memory",
    about="Exponents are fitted to the largest sizes, at most five, with standard errors from the "
    "residuals. Memory is the peak of what Python and NumPy allocate during a call, results "
    "included.",
    implementations={"aniso": Implementation(_MODULE, "costs", is_peer=False)},
    cases=_cases,
    labels={
        "gradient": "gradient",
        "per_example_gradients": "per-example grad.",
        "exact": "Tr(HΣ), exact",
        "deflated": "Tr(HΣ), deflated, to 1 %",
        "streamed_variances": "Tr Σ, diag Σ",
        "hessian_product": "Hv, moving θ",
        "trace_ratio": "trace ratio",
        "dense_hessian": "dense H",
        "hessian_product_fixed": "HV, fixed θ",
        "ensemble": "ensemble",
    },
    is_growth=True,
    most_rounds=5,
)
