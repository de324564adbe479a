"""Figure 5: spectrum at theta*_GD, projection coefficient and Tr(H Sigma) along SGD."""

import sys

import numpy as np
from matplotlib.figure import Figure as Canvas

from analysis import claims, fashion_mnist, figure_command, figure_style
from analysis.figure import Figure
from aniso import descent
from aniso.descent import batch_noise, hessian_pairs
from aniso.matrices import convention, eigenpairs, noise
from aniso.runs import run_directory

_LEADING = 20
_EPOCHS = 30
RECORDS = (
    "loss",
    "alignment",
    "isotropic_alignment",
    "hessian_trace",
    "leading_eigenvalue",
    "projection_coefficient",
)
LAYERS = ("layer_alignment", "layer_isotropic_alignment")
VARIANTS = (
    "noise_trace",
    "noise_trace_of_batches",
    "kept_share",
    "power_cosine",
    "num_negative",
    "gradient_square_norm",
)

_COMMON = {"gd_learning_rate": 0.1, "learning_rate": 0.07, "batch_size": 20}
SCALES = {
    "small": _COMMON
    | {"num_seeds": 1, "num_train": 60, "gd_steps": 30, "num_steps": 20}
    | {"num_records": 2, "num_eigenvalues": 40},
    "medium": _COMMON
    | {"num_seeds": 3, "num_train": 1200, "gd_steps": 3000, "num_steps": 16000}
    | {"num_records": 16, "num_eigenvalues": 400},
    "paper": _COMMON
    | {"num_seeds": 1, "num_train": 1200, "gd_steps": 3000, "num_steps": 16000}
    | {"num_records": 32, "num_eigenvalues": 400},
}
COSTS = {
    "small": "10 s, 60 images, 20 iterations",
    "medium": "25 min of one core (15 min on two), three seeds, 16,000 iterations, 400 eigenvalues",
    "paper": "11 min of one core a seed, twice as many records",
}


def make_units(parameters):
    """Return three units for each seed: SGD, the spectrum, and the published variants."""
    return [
        {"seed": seed, "part": part, **parameters}
        for seed in range(parameters["num_seeds"])
        for part in ("sgd", "spectrum", "variants")
    ]


def compute_unit(unit, folder, foundation):
    """Record a run of SGD, or compute the quantities at theta*_GD."""
    if unit["part"] != "sgd":
        compute = _spectrum if unit["part"] == "spectrum" else _variants
        return run_directory.stored_arrays(
            folder, unit, unit["seed"], lambda: compute(unit, foundation["theta"])
        )
    network = fashion_mnist.training_network(unit["num_train"], unit["seed"])
    steps = np.linspace(0, unit["num_steps"], unit["num_records"] + 1).astype(int)
    settings = descent.as_stated(
        "sgd",
        learning_rate=unit["learning_rate"],
        num_steps=unit["num_steps"],
        batch_size=unit["batch_size"],
    )
    measurements = descent.Measurements(steps, ("accuracy", "curvature", "leading"))
    return fashion_mnist.stored_run(
        folder, network, foundation["theta"], settings, unit["seed"], measurements
    )


def _spectrum(unit, theta):
    network = fashion_mnist.training_network(unit["num_train"], unit["seed"], dtype=np.float64)
    pairs = eigenpairs.leading_eigenpairs(
        network.at(theta).hessian,
        unit["num_eigenvalues"],
        method="block",
        tolerance=1e-7,
    )
    return {"values": pairs.values, "residuals": pairs.residuals}


def _variants(unit, theta):
    """Measure at theta*_GD the differences of the published scripts."""
    network = fashion_mnist.training_network(unit["num_train"], unit["seed"], dtype=np.float64)
    rng = np.random.default_rng([6, unit["seed"]])
    settings = descent.as_published(
        "gld_leading",
        learning_rate=unit["learning_rate"],
        num_steps=0,
        batch_size=unit["batch_size"],
    )
    at = network.at(theta)
    total = noise.minibatch_covariance(at.noise, unit["batch_size"], replacement=True).trace()
    from_batches = [batch_noise.batch_covariance(at, settings, rng).trace() for _ in range(_EPOCHS)]
    kept = at.noise.leading_eigenpairs(_LEADING).values.sum()
    leading = eigenpairs.leading_eigenpairs(at.hessian, 1, tolerance=1e-7, block_size=8)
    largest = eigenpairs.leading_eigenpairs(
        at.hessian, _LEADING, which="magnitude", tolerance=1e-5, block_size=_LEADING
    )
    return {
        "noise_trace": np.array(total),
        "noise_trace_of_batches": np.array(from_batches),
        "kept_share": np.array(kept / at.noise.trace()),
        "power_cosine": np.abs(leading.vectors[:, 0] @ hessian_pairs.power_iteration(at, 30)),
        "num_negative": np.array((largest.values < 0).sum()),
        "gradient_square_norm": np.array(float(at.gradient @ at.gradient)),
    }


def collect(parameters, units, values):
    """Return the spectrum by seed, and records by seed and iteration."""
    runs = [value for unit, value in zip(units, values, strict=True) if unit["part"] == "sgd"]
    spectra = [v for unit, v in zip(units, values, strict=True) if unit["part"] == "spectrum"]
    variants = [v for unit, v in zip(units, values, strict=True) if unit["part"] == "variants"]
    count = parameters["num_records"] + 1
    arrays = {
        "step": np.linspace(0, parameters["num_steps"], count).astype(int),
        "eigenvalues": np.stack([value["values"] for value in spectra]),
        "residuals": np.stack([value["residuals"] for value in spectra]),
        "num_parameters": np.array(runs[0]["theta"].size),
        "diverged": np.array([bool(run["diverged"]) for run in runs]),
    }
    arrays |= {name: np.stack([value[name] for value in variants]) for name in VARIANTS}
    for name in RECORDS + LAYERS:
        shape = len(runs), count, *runs[0][name].shape[1:]
        arrays[name] = np.full(shape, np.nan)
        for number, run in enumerate(runs):
            arrays[name][number, : len(run[name])] = run[name]
    return arrays


def _isotropic_coefficient(arrays):
    """Return the projection coefficient of isotropic noise, ``Tr H / (lambda_1 D)``."""
    return arrays["hessian_trace"] / arrays["leading_eigenvalue"] / arrays["num_parameters"]


def conditioning(arrays):
    """Return measures of how fast the spectrum falls, a dictionary of arrays (seeds,).

    "following" is the magnitude of the 21st eigenvalue. "exponent" is the largest d with
    ``lambda_i <= lambda_1 D^(-d)`` for all i > 20. "count" is the number of computed eigenvalues
    above ``lambda_1 D^(-1/2)``. "share" is the sum of the first 20, divided by Tr H.
    """
    dimension, values = float(arrays["num_parameters"]), arrays["eigenvalues"]
    following = np.abs(values[:, min(_LEADING, values.shape[1] - 1)])
    return {
        "following": following,
        "exponent": np.log(values[:, 0] / following) / np.log(dimension),
        "count": (values > values[:, :1] / np.sqrt(dimension)).sum(axis=1),
        "share": values[:, :_LEADING].sum(axis=1) / arrays["hessian_trace"][:, 0],
    }


def conditioning_text(arrays):
    """Return the measured exponent with its error bar over seeds, as text."""
    found, first = conditioning(arrays), arrays["eigenvalues"][:, 0]
    exponent, error = claims.over_seeds(found["exponent"])
    bar = f" ± {error:.2g}" if len(first) > 1 else ""
    return (
        f"lambda_1 = {first.mean():.3g}, lambda_21 = {found['following'].mean():.3g}, D = "
        f"{int(arrays['num_parameters'])}: d = {exponent:.2f}{bar}, mean over {len(first)} "
        f"seed{'s' if len(first) > 1 else ''}"
    )


def judge(parameters, arrays):  # noqa: ARG001 (as every figure)
    """Judge the caption's claims."""
    found = conditioning(arrays)
    exponent, error = claims.over_seeds(found["exponent"])
    total = arrays["eigenvalues"].shape[1]
    counts = " to ".join(map(str, sorted({found["count"].min(), found["count"].max()})))
    coefficient = arrays["projection_coefficient"]
    relative = coefficient / _isotropic_coefficient(arrays)
    ratio = arrays["alignment"] / arrays["isotropic_alignment"]
    return [
        claims.judged(
            "ill-conditioned",
            "lambda_i <= lambda_1 D^(-d) for i > k = 20 with a d > 1/2, the condition of "
            "Proposition 1 with the number of pairs that the dynamics use",
            exponent - 0.5,
            error,
            conditioning_text(arrays),
        ),
        claims.described(
            "spectrum",
            "how concentrated the spectrum is (chosen after the data were seen)",
            f"{counts} of the {total} eigenvalues computed exceed lambda_1 D^(-1/2); the first 20 "
            f"sum to {found['share'].mean():.2f} Tr H",
        ),
        claims.judged(
            "projection",
            "the noise along the sharpest direction is above its isotropic share at every record",
            np.nanmin(relative) - 1,
            0.0,
            f"coefficient between {np.nanmin(coefficient):.2f} and "
            f"{np.nanmax(coefficient):.2f}, {claims.beside(np.nanmin(relative), 1)} times the "
            "isotropic one at least",
        ),
        claims.described(
            "coefficient",
            "the projection coefficient, which Proposition 1 turns into its bound",
            f"least {np.nanmin(coefficient):.2f}, median {np.nanmedian(coefficient):.2f}",
        ),
        claims.judged(
            "anisotropic",
            "Tr(H Sigma) exceeds Tr(H Sigma_bar) at every record along SGD",
            np.nanmin(ratio) - 1,
            0.0,
            f"ratio between {claims.beside(np.nanmin(ratio), 1)} and {np.nanmax(ratio):.0f}",
        ),
    ]


def draw(parameters, arrays):
    """Draw the spectrum, the projection coefficient and both traces."""
    canvas = Canvas(figsize=(7.2, 2.5))
    left, middle, right = canvas.subplots(1, 3)
    for values in arrays["eigenvalues"]:
        index = np.arange(1, len(values) + 1)
        left.loglog(index, np.maximum(values, 1e-12), ".-", ms=3, lw=0.7, color=figure_style.BLUE)
    threshold = arrays["eigenvalues"][:, 0].mean() / np.sqrt(arrays["num_parameters"])
    left.axhline(threshold, color="0.5", lw=0.8, ls="--")
    left.text(1, threshold * 0.85, r"$\lambda_1 D^{-1/2}$", va="top", fontsize=7, color="0.4")
    left.set(xlabel="index $i$", ylabel=r"eigenvalue $\lambda_i$ of $H$ at $\theta^*_{GD}$")
    _bands(middle, arrays["step"], arrays["projection_coefficient"], figure_style.RED, "-", "SGD")
    _bands(
        middle, arrays["step"], _isotropic_coefficient(arrays), figure_style.GREY, ":", "isotropic"
    )
    middle.set(yscale="log", xlabel="iteration of SGD", ylabel=r"projection coefficient $\hat a$")
    scale = convention.minibatch_scale(
        parameters["num_train"], parameters["batch_size"], replacement=True
    )
    for name, style, label in (
        ("alignment", "-", r"$\mathrm{Tr}(H_t\Sigma_t)$"),
        ("isotropic_alignment", ":", r"$\mathrm{Tr}(H_t\bar\Sigma_t)$"),
    ):
        _bands(right, arrays["step"], scale * arrays[name], figure_style.BLACK, style, label)
    right.set(yscale="log", xlabel="iteration of SGD", ylabel="trace")
    middle.legend(loc="center right", bbox_to_anchor=(1, 0.42))
    low, high = right.get_ylim()
    right.set_ylim(low, high * (high / low) ** 0.25)  # room for the legend
    right.legend(loc="upper right", ncols=2)
    note = figure_style.seeds_note(len(arrays["eigenvalues"]), figure_style.GEOMETRIC)
    if note:
        canvas.supxlabel(note, fontsize=7, color="0.3")
    for letter, axes in zip("abc", (left, middle, right), strict=True):
        figure_style.panel_letter(axes, letter)
    return canvas


def _bands(axes, steps, curves, colour, style, label):
    figure_style.plot_seeds(
        axes, steps, curves, logarithmic=True, ls=style, color=colour, label=label
    )


FIGURE = Figure(
    name="fig5_curvature",
    title="FashionMNIST: Hessian spectrum, projection coefficient, alignment along SGD",
    claim="The Hessian is ill-conditioned and the noise of SGD lies along its sharp directions",
    revision=1,
    scales=SCALES,
    costs=COSTS,
    make_units=make_units,
    compute_unit=compute_unit,
    collect=collect,
    judge=judge,
    draw=draw,
    limits=fashion_mnist.LIMITS,
    foundation=fashion_mnist.GD_MINIMUM,
    steps_of=fashion_mnist.steps_of,
    bands=figure_style.GEOMETRIC,
)

if __name__ == "__main__":
    sys.exit(figure_command.main(FIGURE))
