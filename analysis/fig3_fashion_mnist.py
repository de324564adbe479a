"""Figure 3: all dynamics from theta*_GD on FashionMNIST: accuracies and expected sharpness.

The task of the small scale was chosen because it shows the effect: its verdicts are no independent
evidence.
"""

import sys

import numpy as np
from matplotlib.figure import Figure as Canvas

from analysis import claims, decisions, effect_plot, fashion_mnist, figure_command, figure_style
from analysis.figure import Figure, seeds_of
from aniso import descent

DYNAMICS = (
    "gd",
    "gld_constant",
    "gld_dynamic",
    "gld_diagonal",
    "gld_leading",
    "gld_hessian",
    "gld_first_eigenvector",
    "sgd_gaussian",
    "sgd",
)
ANISOTROPIC = ("gld_leading", "gld_hessian", "gld_first_eigenvector", "sgd_gaussian", "sgd")
RECORDS = (
    "accuracy",
    "test_accuracy",
    "loss",
    "expected_sharpness",
    "expected_sharpness_error",
    "gradient_norm",
    "noise_trace",
    "noise_square_norm",
    "test_loss",
)
# recorded in a study: what may explain the outcome
EXPLAINING = (
    "clean_loss",
    "clean_accuracy",
    "random_loss",
    "random_accuracy",
    "distance",
    "leading_eigenvalue",
    "leading_residual",
    "projection_coefficient",
    "hessian_trace",
    "example_noise_trace",
    "estimated_alignment",
    "estimated_alignment_error",
)

BANDS = (
    "lines are means over seeds and bands reach from the smallest to the largest seed, in c "
    "geometric means and standard deviations"
)

_COMMON = {
    "gd_learning_rate": 0.1,
    "learning_rate": 0.07,
    "batch_size": 20,
    "standard_deviation": 1e-3,
    "radius": 0.01,
}
_STUDY = _COMMON | {
    "first_seed": 100,
    "num_test": 10000,
    "gd_steps": 3000,
    "num_records": 16,
    "num_draws": 200,
    "num_pairs": 20,
    "margins": {"sharpness": 1.5, "accuracy": 0.01},
}
SCALES = {
    # a perceptron on images pooled to 7x7 and strong noise, chosen because it shows the effect
    "small": _COMMON
    | {"num_seeds": 4, "num_train": 120, "num_test": 1000, "gd_steps": 600, "num_steps": 250}
    | {"gd_learning_rate": 0.3, "learning_rate": 0.3, "batch_size": 15}
    | {"perceptron": {"pooling": 4, "hidden": 16}, "standard_deviation": 0.03}
    | {"num_records": 5, "num_draws": 50, "num_pairs": 20},
    "medium": _COMMON
    | {"num_seeds": 3, "num_train": 300, "num_test": 2000, "gd_steps": 3000, "num_steps": 4000}
    | {"num_records": 10, "num_draws": 200, "num_pairs": 20},
    # designed before the first run, see docs/study.md
    "study_n300": _STUDY | {"num_seeds": 10, "num_train": 300, "num_steps": 4000},
    "study_n300_many": _STUDY
    | {"num_seeds": 30, "first_seed": 200, "num_train": 300, "num_steps": 4000, "num_records": 4},
    "study": _STUDY | {"num_seeds": 6, "num_train": 1200, "num_steps": 8000, "num_records": 8},
    "paper": _COMMON
    | {"num_seeds": 1, "num_train": 1200, "num_test": 10000, "gd_steps": 3000, "num_steps": 16000}
    | {"num_records": 20, "num_draws": 1000, "num_pairs": 20},
}
COSTS = {
    "small": "15 s, four seeds, a perceptron of 970 parameters, 120 images, 250 iterations",
    "medium": "1 h of one core (30 min on two), three seeds, 300 images, 4,000 iterations",
    "study_n300": "3 h of one core (1.5 h on two), ten seeds, 300 images, 4,000 iterations, "
    "official test images",
    "study_n300_many": "8 h of one core (4 h on two), thirty seeds, 300 images, 4,000 "
    "iterations, official test images",
    "study": "8 h of one core (4 h on two), six seeds, 1,200 images, 8,000 iterations, "
    "official test images",
    "paper": "5 h of one core a seed (2.5 h on two), 16,000 iterations, official test images",
}


def make_units(parameters):
    """Return one unit for each seed and dynamics, the slow ones first."""
    order = sorted(DYNAMICS, key=lambda name: name not in ("gld_hessian", "gld_first_eigenvector"))
    return [
        {"seed": seed, "dynamics": name, **parameters}
        for seed in seeds_of(parameters)
        for name in order
    ]


def prepare(parameters):
    """Refuse, before hours of work, test images that are not available.

    Raises
    ------
    InputError
        If they are neither in the package nor in the cache.
    """
    fashion_mnist.require_test_images(parameters["num_test"])
    return {}


def settings_of(unit):
    """Return the settings of a unit, stated by the paper or used in its scripts."""
    more = {"num_pairs": unit["num_pairs"]}
    if unit["dynamics"] == "gld_constant":
        more["standard_deviation"] = unit["standard_deviation"]
    preset = getattr(descent, unit.get("preset", "as_stated"))
    return preset(
        unit["dynamics"],
        learning_rate=unit["learning_rate"],
        num_steps=unit["num_steps"],
        batch_size=unit["batch_size"],
        **more,
    )


def compute_unit(unit, folder, foundation):
    """Run one dynamics from theta*_GD with its records."""
    task = fashion_mnist.task_of(unit)
    network = fashion_mnist.training_network(unit["num_train"], unit["seed"], **task)
    quantities, more = ("accuracy", "test", "gradient_norm", "noise", "sharpness"), {}
    if "margins" in unit:
        quantities += ("groups", "distance", "leading", "alignment")
        more = {"groups": fashion_mnist.label_groups(network), "origin": foundation["theta"]}
    measurements = descent.Measurements(
        np.linspace(0, unit["num_steps"], unit["num_records"] + 1).astype(int),
        quantities,
        fashion_mnist.held_out_network(unit["num_test"], **task),
        radius=unit["radius"],
        num_draws=unit["num_draws"],
        **more,
    )
    return fashion_mnist.stored_run(
        folder, network, foundation["theta"], settings_of(unit), unit["seed"], measurements
    )


def collect(parameters, units, values):
    """Return records by seed, dynamics and iteration; NaN after a divergence."""
    count = parameters["num_records"] + 1
    shape = parameters["num_seeds"], len(DYNAMICS), count
    records = RECORDS + EXPLAINING * ("margins" in parameters)
    arrays = {name: np.full(shape, np.nan) for name in records}
    arrays["diverged"] = np.zeros(shape[:2], dtype=bool)
    arrays["step"] = np.linspace(0, parameters["num_steps"], count).astype(int)
    for unit, value in zip(units, values, strict=True):
        place = unit["seed"] - seeds_of(parameters)[0], DYNAMICS.index(unit["dynamics"])
        arrays["diverged"][place] = value["diverged"]
        for name in records:
            arrays[name][place][: len(value[name])] = value[name]
    return arrays


def _difference(arrays, name, upper, lower, own_error):
    """Return the mean difference of the last records over seeds, and its error bar."""
    ends = arrays[name][:, :, -1]
    differences = ends[:, DYNAMICS.index(upper)] - ends[:, DYNAMICS.index(lower)]
    return claims.over_seeds(differences, own_error)


def judge(parameters, arrays):
    """Judge the caption's claims, at the last iteration."""
    if "margins" in parameters:
        beside = claims.described("noise beside GLD dynamic", _BESIDE, _noise_ratios(arrays))
        noise = claims.described("noise norm", _NOISE_NORM, _noise_norms(arrays))
        return [*_decided(parameters, arrays), beside, noise]
    found, labels = [], figure_style.LABELS
    errors = arrays["expected_sharpness_error"][:, :, -1]
    for name in ANISOTROPIC:
        own = np.hypot(errors[:, DYNAMICS.index(name)], errors[:, DYNAMICS.index("gld_dynamic")])
        gap, error = _difference(
            arrays, "expected_sharpness", "gld_dynamic", name, float(own.mean())
        )
        ends = arrays["expected_sharpness"][:, :, -1].mean(axis=0)
        fitted = arrays["accuracy"][:, DYNAMICS.index(name), -1].min()
        lost = f"; one run ends at {fitted:.2f} training accuracy"
        remark = lost if fitted < claims.LEARNT else ""
        found.append(
            claims.judged(
                f"{name} flatter",
                f"{labels[name]} ends at lower expected sharpness than GLD dynamic, whose noise "
                "has the same trace at the same point",
                gap,
                error,
                f"{ends[DYNAMICS.index(name)]:.4g} against "
                f"{ends[DYNAMICS.index('gld_dynamic')]:.4g}",
                remark=remark,
            )
        )
    for name in ANISOTROPIC:
        ends = arrays["test_accuracy"][:, :, -1].mean(axis=0)
        rate = ends[DYNAMICS.index("gld_dynamic")]
        # as if the two networks erred independently: too wide rather than too narrow
        own = np.sqrt(2 * rate * (1 - rate) / parameters["num_test"])
        gap, error = _difference(arrays, "test_accuracy", name, "gld_dynamic", own)
        found.append(
            claims.judged(
                f"{name} generalises better",
                f"{labels[name]} ends at higher test accuracy than GLD dynamic",
                gap,
                error,
                f"{ends[DYNAMICS.index(name)]:.4f} against {rate:.4f}",
            )
        )
    found.append(
        claims.described(
            "noise norm",
            _NOISE_NORM,
            _noise_norms(arrays),
        )
    )
    return found


_BESIDE = (
    "Tr Sigma along a run over that of GLD dynamic at the same iteration and seed: median over "
    "seeds of the largest ratio, and the largest of all"
)
_NOISE_NORM = "squared norm of the noise that was injected at the records, in units of Tr Sigma"


def _decided(parameters, arrays):
    designed = decisions.designed_seeds(parameters, SCALES)
    return decisions.decide(_effects(parameters, arrays), designed)


def _effects(parameters, arrays):
    """Return the claims of the study with their effects by seed, see ``docs/study.md``."""
    margins, labels = parameters["margins"], figure_style.LABELS
    effects = []
    for ratio in (True, False):
        ends = arrays["expected_sharpness" if ratio else "test_accuracy"][..., -1]
        for name in ANISOTROPIC:
            places = [DYNAMICS.index(each) for each in (name, "gld_dynamic")]
            short, statement = (
                (
                    "flatter",
                    "lower expected sharpness than GLD dynamic, whose noise has the same trace at "
                    "the same point",
                )
                if ratio
                else ("generalises better", "higher test accuracy than GLD dynamic")
            )
            effects.append(
                decisions.comparison(
                    f"{name} {short}",
                    f"{labels[name]} ends at {statement}",
                    (labels[name], labels["gld_dynamic"]),
                    ends[:, places].T,
                    arrays["accuracy"][:, places, -1].T,
                    margins["sharpness" if ratio else "accuracy"],
                    ratio=ratio,
                )
            )
    return effects


def _noise_ratios(arrays):
    """Return how far the traces of two runs are apart once they stand at different places."""
    trace = arrays["noise_trace"]
    told = []
    for name in ANISOTROPIC:
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios = trace[:, DYNAMICS.index(name)] / trace[:, DYNAMICS.index("gld_dynamic")]
        largest = np.where(np.isfinite(ratios), ratios, 0.0).max(axis=1)
        told.append(f"{figure_style.LABELS[name]} {np.median(largest):.2g} and {largest.max():.2g}")
    return ", ".join(told)


def _noise_norms(arrays):
    """Return the mean over seeds and records of each dynamics with noise, as text."""
    ratios = arrays["noise_square_norm"] / np.where(
        arrays["noise_trace"] > 0, arrays["noise_trace"], np.nan
    )
    told = []
    for number, name in enumerate(DYNAMICS):
        known = ratios[:, number][np.isfinite(ratios[:, number])]
        if known.size > 1:
            error = known.std(ddof=1) / np.sqrt(known.size)
            told.append(f"{figure_style.LABELS[name]} {known.mean():.2f} ± {error:.1g}")
    return ", ".join(told)


def draw(parameters, arrays):
    """Draw training accuracy, test accuracy and expected sharpness by iteration.

    A study has its paired effects below.
    """
    study = "margins" in parameters
    canvas = Canvas(figsize=(7.2, 2.9 + 2.0 * study))
    parts = canvas.subfigures(1 + study, 1, squeeze=False)[:, 0]
    panels = list(parts[0].subplots(1, 3))
    names = ("accuracy", "test_accuracy", "expected_sharpness")
    titles = ("train accuracy (%)", "test accuracy (%)", "expected sharpness")
    for axes, name, title in zip(panels, names, titles, strict=True):
        sharpness = name == "expected_sharpness"
        curves = arrays[name] if sharpness else 100 * arrays[name]
        figure_style.plot_dynamics(axes, arrays["step"], curves, DYNAMICS, logarithmic=sharpness)
        axes.set(xlabel=r"iteration after $\theta^*_{GD}$", ylabel=title)
    panels[2].set_yscale("log")
    handles, labels = panels[0].get_legend_handles_labels()
    if study:
        panels += list(parts[1].subplots(1, 2))
        found = [claim.verdict for claim in _decided(parameters, arrays)]
        _draw_effects(panels[3:], _effects(parameters, arrays), found)
        rows = (handles, labels), effect_plot.legend_entries(found)
        handles, labels = figure_style.in_rows(5, *rows)
    for letter, axes in zip("abcde", panels, strict=False):
        figure_style.panel_letter(axes, letter)
    legend = canvas.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=5,
        title=_note(arrays) + f"\n{effect_plot.NOTE}" * study,
        title_fontsize=7,
    )
    legend.get_title().set_multialignment("center")
    return canvas


def _draw_effects(panels, effects, found):
    half = len(ANISOTROPIC)
    rows = [effect.labels[0] for effect in effects[:half]]
    effect_plot.draw(panels[0], effects[:half], found[:half], rows)
    effect_plot.draw(panels[1], effects[half:], found[half:], [])
    panels[0].set(
        ylabel="against GLD dynamic", xlabel="sharpness of GLD dynamic / sharpness of the row"
    )
    panels[1].set(xlabel="test accuracy, row minus GLD dynamic (% points)")


def _note(arrays):
    lost = "\ntriangles: a seed at or below 0 has no place in c"
    some = (arrays["expected_sharpness"] <= 0).any()
    return figure_style.seeds_note(len(arrays["accuracy"]), BANDS) + lost * bool(some)


FIGURE = Figure(
    name="fig3_fashion_mnist",
    title="FashionMNIST: all dynamics from theta*_GD",
    claim="At equal trace at the same point anisotropic noise ends at lower expected sharpness and "
    "higher test accuracy",
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
    prepare=prepare,
    steps_of=fashion_mnist.steps_of,
    takes_preset=True,
    takes_device=True,
    bands=BANDS,
)

if __name__ == "__main__":
    sys.exit(figure_command.main(FIGURE))
