"""Steps of SGD against compiled loops, and of every dynamics in gradients."""

from benchmarks.processes import Implementation
from benchmarks.race import Case, Group

_FOLDER = "benchmarks.implementations"
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def _cases(quick):
    sizes = [
        ("2-32-1", "2–32–1", (20, 100)),
        ("784-128-64-10", "784–128–64–10", (20, 100)),
        ("convolutional", "convolutional network", (20,)),
    ]
    return [
        Case(
            f"{name}, m = {size}", {"model": model, "batch_size": size, "dtype": dtype}, dtype
        )
        for model, name, batches in sizes
        for size in batches[: 1 if quick else None]
        for dtype in (("float64",) if quick else ("float64", "float32"))
    ]  # fmt: skip


STEPS = Group(
    name="steps",
    title="Steps of SGD",
    about="Draw, gather, gradient and update, a mean over a run; all take the same batches of size "
    "m of N = 1,200 examples. The scan of JAX is one compiled program for the whole run.",
    implementations={
        "aniso": Implementation(f"{_FOLDER}.aniso_steps", "sgd", is_peer=False),
        "PyTorch": Implementation(f"{_FOLDER}.torch_steps", "sgd"),
        "JAX loop": Implementation(f"{_FOLDER}.jax_steps", "sgd", {"scan": False}),
        "JAX scan": Implementation(f"{_FOLDER}.jax_steps", "sgd", {"scan": True}),
    },
    cases=_cases,
    labels={"step": "step"},
    headline=("step",),
)
DYNAMICS = Group(
    name="dynamics",
    title="Steps of the compared dynamics",
    about="The convolutional network on N = 1,200 images, m = 20, k = 20, one thread, in units of "
    "the full-batch gradient; a step of SGD in units of the gradient of its batch. The noise comes "
    "from the exact covariance at this θ; eigenpairs of the Hessian are refreshed every 10 steps.",
    implementations={
        "aniso": Implementation(
            f"{_FOLDER}.aniso_steps", "dynamics", environment=_ONE_THREAD, is_peer=False
        )
    },
    cases=lambda quick: [
        Case("convolutional network", {"dtype": dtype, "num_steps": 10 if quick else 20}, dtype)
        for dtype in (("float32",) if quick else ("float64", "float32"))
    ],
    labels={
        "gd": "GD",
        "sgd": "SGD",
        "sgd_gaussian": "Gaussian SGD",
        "gld_constant": "GLD constant",
        "gld_dynamic": "GLD dynamic",
        "gld_diagonal": "GLD diag",
        "gld_leading": "GLD leading",
        "gld_hessian": "GLD Hessian",
        "gld_first_eigenvector": "GLD 1st eigenvector",
        "expected_sharpness": "expected sharpness, a draw",
    },
    headline=("gld_dynamic", "sgd_gaussian", "gld_leading", "gld_hessian", "gld_first_eigenvector"),
    columns={"gradients": "gradients"},
    in_quick=False,
    most_rounds=3,
)
