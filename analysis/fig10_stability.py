"""Figure 10: the learning rate at which SGD leaves theta*_GD, against thresholds of stability.

The exact threshold of the linearised motion is a number of theta*_GD alone: above it the second
moment of the distance grows. For each start it stands beside the learning rate at which half of the
runs of SGD leave: their training loss passes a level. So does the threshold along the leading
eigenvector, which takes seconds, and 2/lambda_1, the threshold of the full batch.
"""

import sys

import numpy as np
from matplotlib.figure import Figure as Canvas
from scipy import optimize

from analysis import claims, fashion_mnist, figure_command, figure_style
from analysis.figure import Figure, seeds_of
from aniso import checks, closed_forms, descent, matrices
from aniso.runs import run_directory

THRESHOLDS = ("exact", "along", "full_batch")
_NAMES = {"exact": "exact", "along": "along the leading eigenvector", "full_batch": "2/lambda_1"}
_LABELS = {
    "exact": r"exact threshold $\eta^*$",
    "along": "along the leading eigenvector",
    "full_batch": r"$2/\lambda_1$, full batch",
}
_COLOURS = {
    "exact": figure_style.BLUE,
    "along": figure_style.ORANGE,
    "full_batch": figure_style.GREY,
}
_MARKERS = {"exact": "o", "along": "s", "full_batch": "^"}
# residual of the eigenpair behind the exact threshold; the error of the value is of second order
_TOLERANCE = 1e-3

_COMMON = {"gd_learning_rate": 0.1, "batch_size": 20, "level_factor": 100.0, "check_interval": 10}
SCALES = {
    "small": _COMMON
    | {"num_seeds": 3, "num_runs": 4, "num_train": 120, "gd_steps": 600, "num_steps": 150}
    | {"gd_learning_rate": 0.3, "batch_size": 15, "level_factor": 3.0, "check_interval": 5}
    | {"perceptron": {"pooling": 4, "hidden": 16}, "learning_rates": [0.05, 0.08, 0.12, 0.18, 0.3]},
    # the starts of Figure 3 with 300 images
    "medium": _COMMON
    | {"num_seeds": 10, "first_seed": 100, "num_runs": 8, "num_train": 300, "gd_steps": 3000}
    | {"num_steps": 2000, "learning_rates": [0.02, 0.03, 0.045, 0.07, 0.1, 0.15, 0.22, 0.33]},
}
COSTS = {
    "small": "10 s, three starts, four runs each, a perceptron of 970 parameters, 120 images",
    "medium": "36 min of one core (18 min on two), ten starts, eight runs each at eight learning "
    "rates, 300 images, 2,000 iterations",
}


def make_units(parameters):
    """Return units of runs for each seed and learning rate, and one of thresholds a seed."""
    rates = parameters["learning_rates"]
    if len(rates) < 2:
        raise checks.InputError(f"learning_rates={rates!r}; expected two or more")
    left_out = ("num_seeds", "first_seed", "learning_rates")
    shared = {name: parameters[name] for name in parameters if name not in left_out}
    # a small learning rate takes all steps
    runs = [
        {"seed": seed, "part": "runs", "learning_rate": rate, **shared}
        for rate in rates
        for seed in seeds_of(parameters)
    ]
    return [{"seed": seed, "part": "thresholds", **shared} for seed in seeds_of(parameters)] + runs


def compute_unit(unit, folder, foundation):
    """Return the first passages of the runs, or the thresholds at theta*_GD; once."""
    work = _runs if unit["part"] == "runs" else _thresholds
    return run_directory.stored_arrays(
        folder, unit, unit["seed"], lambda: work(unit, foundation["theta"])
    )


def _runs(unit, theta):
    """Return the step of the first check above the level for each run, 0 where there was none."""
    network = fashion_mnist.training_network(
        unit["num_train"], unit["seed"], **fashion_mnist.task_of(unit)
    )
    settings = descent.as_stated(
        "sgd",
        learning_rate=unit["learning_rate"],
        num_steps=unit["num_steps"],
        batch_size=unit["batch_size"],
        divergence_loss=unit["level_factor"] * network.loss(theta),
    )
    plan = descent.Measurements(range(0, unit["num_steps"] + 1, unit["check_interval"]))
    passage = np.zeros(unit["num_runs"], dtype=int)
    for number in range(unit["num_runs"]):
        # the batches are the same for every learning rate
        rng = np.random.default_rng([10, unit["seed"], number])
        result = descent.simulate_descent(network, theta, settings, rng, measurements=plan)
        if result.status == "diverged":
            passage[number] = max(result.step, 1)
    return {"passage": passage}


def _thresholds(unit, theta):
    network = fashion_mnist.training_network(
        unit["num_train"], unit["seed"], np.float64, **fashion_mnist.task_of(unit)
    )
    at = network.at(np.asarray(theta, np.float64))
    curvatures, batch = at.example_curvatures, unit["batch_size"]
    exact = closed_forms.stability_threshold(
        curvatures, batch, replacement=True, tolerance=_TOLERANCE
    )
    leading = matrices.leading_eigenpairs(at.gauss_newton, 1).vectors[:, 0]
    along = closed_forms.directional_threshold(curvatures, leading, batch, replacement=True)
    return {
        "exact": np.array(exact.learning_rate),
        "along": np.array(along),
        "full_batch": np.array(exact.full_batch),
    }


def collect(parameters, units, values):
    """Return passages (seeds, learning rates, runs) and the thresholds (seeds,)."""
    seeds, rates = seeds_of(parameters), list(parameters["learning_rates"])
    arrays = {name: np.full(len(seeds), np.nan) for name in THRESHOLDS}
    arrays["passage"] = np.zeros((len(seeds), len(rates), parameters["num_runs"]), dtype=int)
    for unit, value in zip(units, values, strict=True):
        seed = unit["seed"] - seeds[0]
        if unit["part"] == "runs":
            arrays["passage"][seed, rates.index(unit["learning_rate"])] = value["passage"]
        else:
            for name in THRESHOLDS:
                arrays[name][seed] = value[name]
    return arrays


def critical_rates(learning_rates, left, num_runs):
    """Return the logarithm of the learning rate at which half of the runs leave, with its error.

    By the method of Spearman and Karber: the mean of the distribution whose cumulative function is
    the share that has left, with its steps halfway between two learning rates.

    Parameters
    ----------
    learning_rates : array_like, shape (rates,)
        In increasing order.
    left : array_like, shape (seeds, rates)
        Shares of the runs that have left.
    num_runs : int
        Runs of each share.

    Returns
    -------
    logarithm, error : ndarray, shape (seeds,)
        NaN where the shares do not rise from 0 to 1. The error is that of finitely many runs, as if
        those of two learning rates were independent.

    Examples
    --------
    >>> logarithm, error = critical_rates([1.0, 4.0], [[0.0, 1.0], [0.5, 1.0]], 10)
    >>> np.exp(logarithm), error
    (array([ 2., nan]), array([ 0., nan]))
    """
    steps, left = np.log(learning_rates), np.asarray(left, dtype=float)
    # a share that falls is sampling: the means of the shares in question take their place
    left = np.array([_rising(row) for row in left])
    whole = (left[:, 0] == 0) & (left[:, -1] == 1)
    middle = (steps[1:] + steps[:-1]) / 2
    logarithm = (np.diff(left, axis=1) * middle).sum(axis=1)
    weights = (steps[2:] - steps[:-2]) / 2
    inner = left[:, 1:-1]
    error = np.sqrt((weights**2 * inner * (1 - inner) / max(num_runs - 1, 1)).sum(axis=1))
    return np.where(whole, logarithm, np.nan), np.where(whole, error, np.nan)


def _rising(shares):
    """Return the rising sequence that is nearest to the shares in squares."""
    return optimize.isotonic_regression(shares).x


def _known(parameters, arrays):
    return critical_rates(parameters["learning_rates"], _left(arrays), parameters["num_runs"])


def _left(arrays):
    return (arrays["passage"] > 0).mean(axis=-1)


def judge(parameters, arrays):
    """Hold the critical learning rates of the starts against their thresholds."""
    critical, _ = _known(parameters, arrays)
    kept = np.isfinite(critical)
    count, critical = int(kept.sum()), critical[kept]
    logs = {name: np.log(arrays[name][kept]) for name in THRESHOLDS}
    missing = f"; {len(kept) - count} starts without a critical rate in the grid are left out"
    remark = missing * (count < len(kept))
    if count < 3:
        few = "fewer than three starts have a critical rate in the grid: nothing to compare"
        return [claims.described("critical rate", "learning rate at which half leave", few)]

    def slope(rows):
        return np.polyfit(logs["exact"][rows], critical[rows], 1)[0]

    def gain(rows):
        spreads = [
            np.std(critical[rows] - logs[name][rows], ddof=1) for name in ("full_batch", "exact")
        ]
        return spreads[0] - spreads[1]

    rises, closer = (claims.jackknife(function, count) for function in (slope, gain))
    widened = claims.widening(count)
    spread = {name: np.std(critical - logs[name], ddof=1) for name in THRESHOLDS}
    told = [
        f"{_NAMES[name]}: {np.exp(mean):.3g} times it, standard deviation between starts a factor "
        f"of {np.exp(spread[name]):.3g}"
        for name, mean in ((n, (critical - logs[n]).mean()) for n in THRESHOLDS)
    ]
    return [
        claims.judged(
            "critical rate rises with the threshold",
            "SGD leaves starts of a larger exact threshold at larger learning rates",
            rises[0],
            widened * rises[1],
            "slope of the logarithm of the critical learning rate over that of the threshold",
            remark=remark,
        ),
        claims.judged(
            "exact is closer than full batch",
            "the critical learning rate is closer to a multiple of the exact threshold than of "
            "2/lambda_1",
            closer[0],
            widened * closer[1],
            f"standard deviation between starts {spread['full_batch']:.3g} against "
            f"{spread['exact']:.3g}, in logarithms",
            remark=remark,
        ),
        claims.described(
            "critical rate",
            "learning rate at which half of the runs leave, in units of each threshold",
            "; ".join(told),
        ),
    ]


def draw(parameters, arrays):
    """Draw critical learning rates over thresholds, and shares that left over eta/eta*."""
    canvas = Canvas(figsize=(7.2, 3.3))
    left, right = canvas.subplots(1, 2)
    critical, error = _known(parameters, arrays)
    rates = np.array(parameters["learning_rates"])
    for name in THRESHOLDS:
        left.errorbar(
            arrays[name],
            np.exp(critical),
            np.exp(critical) * np.array([-np.expm1(-2 * error), np.expm1(2 * error)]),
            fmt=_MARKERS[name],
            color=_COLOURS[name],
            ms=4.5,
            elinewidth=0.8,
            label=_LABELS[name],
        )
    for name in ("full_batch", "exact"):
        style = {"color": _COLOURS[name], "marker": _MARKERS[name], "ms": 3, "lw": 0.8}
        for threshold, own in zip(arrays[name], _left(arrays), strict=True):
            right.semilogx(rates / threshold, own, alpha=0.7, **style)
    ends = np.array([rates[0], arrays["full_batch"].max()])
    left.loglog(ends, ends, "--", color="0.6", lw=0.8, zorder=0, label="equal")
    left.set(xlabel="threshold", ylabel="learning rate at which half leave")
    right.axvline(1, color="0.6", ls="--", lw=0.8, zorder=0)
    right.set(xlabel="learning rate over threshold", ylabel="share of runs that leave")
    for axis in (left.xaxis, left.yaxis, right.xaxis):
        figure_style.plain_logarithm(axis, (1, 2, 5))
    for letter, axes in zip("ab", (left, right), strict=True):
        figure_style.panel_letter(axes, letter)
    factor, steps = parameters["level_factor"], rates[1:] / rates[:-1]
    legend = canvas.legend(
        *left.get_legend_handles_labels(),
        loc="outside lower center",
        ncols=4,
        title=rf"a run leaves when its training loss passes {factor:g} $L(\theta^*_{{GD}})$ within "
        f"{parameters['num_steps']:,} iterations; lines: starts;\n"
        "bars: two standard errors of the runs alone, neighbouring learning rates differ by a "
        f"factor of {steps.min():.2g} to {steps.max():.2g}",
        title_fontsize=7,
    )
    legend.get_title().set_multialignment("center")
    return canvas


FIGURE = Figure(
    name="fig10_stability",
    title="FashionMNIST: where SGD leaves theta*_GD, against thresholds of stability",
    claim="SGD leaves starts of a larger exact threshold at larger learning rates",
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
)

if __name__ == "__main__":
    sys.exit(figure_command.main(FIGURE))
