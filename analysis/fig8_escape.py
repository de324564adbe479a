"""Figure 8: escape from theta*_GD of the FashionMNIST network, by the structure of the noise.

All structures have the trace of SGD's covariance. A run leaves when the training loss passes a
level. The measured first passages stand beside the slope of the loss, ``eta^2 Tr(H Sigma) / 2`` a
step, and beside the forecast of the quadratic model for SGD.
"""

import itertools
import sys

import numpy as np
from matplotlib.figure import Figure as Canvas
from scipy import stats

from analysis import claims, fashion_mnist, figure_command, figure_style
from analysis.figure import Figure, seeds_of
from analysis.figure_style import COLOURS, LABELS, MARKERS
from aniso import checks, descent, escape, matrices
from aniso.descent.structures import STRUCTURES
from aniso.runs import run_directory

DYNAMICS = (
    "gld_dynamic",
    "gld_diagonal",
    "gld_leading",
    "gld_hessian",
    "gld_first_eigenvector",
    "sgd_gaussian",
    "sgd",
)
# runs of a unit: they share a geometry, and a checkpoint each
_PER_UNIT = 10
# a smaller ratio of two alignments is not tested
_LARGER = 1.25

_COMMON = {
    "gd_learning_rate": 0.1,
    "learning_rate": 0.07,
    "batch_size": 20,
    "num_pairs": 20,
    "level_factor": 100.0,
}
SCALES = {
    "small": _COMMON
    | {"num_seeds": 1, "num_runs": 10, "num_train": 120, "gd_steps": 600, "num_steps": 60}
    | {"gd_learning_rate": 0.3, "learning_rate": 0.2, "batch_size": 15, "level_factor": 3.0}
    | {"perceptron": {"pooling": 4, "hidden": 16}, "forecast_steps": [5, 20], "num_paths": 100},
    "medium": _COMMON
    | {"num_seeds": 3, "num_runs": 10, "num_train": 300, "gd_steps": 3000, "num_steps": 300}
    | {"forecast_steps": [10, 30, 100], "num_paths": 1000},
}
COSTS = {
    "small": "20 s, ten runs, a perceptron of 970 parameters, 120 images, 60 iterations",
    "medium": "42 min of one core (21 min on two), three starts, ten runs each, 300 images, 300 "
    "iterations",
}


def make_units(parameters):
    """Return units of ten runs for each seed and dynamics, and one forecast for each seed."""
    if parameters["num_runs"] % _PER_UNIT:
        raise checks.InputError(
            f"num_runs={parameters['num_runs']}; expected a multiple of {_PER_UNIT}"
        )
    shared = {name: value for name, value in parameters.items() if name != "num_seeds"}
    units = [
        {"seed": seed, "part": "runs", "dynamics": name, "first_run": first, **shared}
        for seed in seeds_of(parameters)
        for name in DYNAMICS
        for first in range(0, parameters["num_runs"], _PER_UNIT)
    ]
    forecasts = [{"seed": seed, "part": "forecast", **shared} for seed in seeds_of(parameters)]
    return units + forecasts


def compute_unit(unit, folder, foundation):
    """Return the first passages of ten runs, or slopes and forecast at theta*_GD; once."""
    work = _first_passages if unit["part"] == "runs" else _at_the_start
    return run_directory.stored_arrays(
        folder, unit, unit["seed"], lambda: work(unit, foundation["theta"])
    )


def _network(unit):
    return fashion_mnist.training_network(
        unit["num_train"], unit["seed"], np.float64, perceptron=unit.get("perceptron")
    )


def _settings(unit, name, num_steps, divergence_loss):
    return descent.as_stated(
        name,
        learning_rate=unit["learning_rate"],
        num_steps=num_steps,
        batch_size=unit["batch_size"],
        num_pairs=unit["num_pairs"],
        divergence_loss=divergence_loss,
    )


def _level(unit, network, theta):
    return unit["level_factor"] * network.loss(theta)


def _first_passages(unit, theta):
    """Return the step of the first passage of each run, 0 where there was none, and the level.

    A run is stopped at the first recorded loss above its level.
    """
    network = _network(unit)
    level = _level(unit, network, theta)
    settings = _settings(unit, unit["dynamics"], unit["num_steps"], level)
    plan = descent.Measurements(range(1, unit["num_steps"] + 1))
    steps = np.zeros(_PER_UNIT, dtype=int)
    for number in range(_PER_UNIT):
        rng = np.random.default_rng([8, unit["seed"], unit["first_run"] + number])
        result = descent.simulate_descent(network, theta, settings, rng, measurements=plan)
        if result.status == "diverged":
            steps[number] = result.step
    return {"passage": steps, "level": np.array(level)}


def _at_the_start(unit, theta):
    """Return slope and trace of every structure at theta*_GD, and the forecast for SGD."""
    network = _network(unit)
    at, rng = network.at(theta), np.random.default_rng([9, unit["seed"]])
    found = {"slope": [], "trace": []}
    for name in DYNAMICS:
        settings = _settings(unit, name, 1, 1e300)
        structure = "sgd_gaussian" if name == "sgd" else name
        covariance = STRUCTURES[structure](at, settings, rng, None).covariance
        alignment = matrices.alignment(at.hessian, covariance)
        found["slope"].append(unit["learning_rate"] ** 2 * float(alignment) / 2)
        found["trace"].append(float(covariance.trace()))
    batch = matrices.minibatch_covariance(at.noise, unit["batch_size"], replacement=True)
    found["forecast"], found["forecast_error"] = _forecast(unit, at, batch, rng)
    return {name: np.array(values) for name, values in found.items()}


def _forecast(unit, at, batch, rng):
    """Return the forecast probability of leaving within each number of steps, and its error.

    NaN from where the quadratic model is no longer meaningful.
    """
    wanted = unit["forecast_steps"]
    probability, error = np.full(len(wanted), np.nan), np.full(len(wanted), np.nan)
    try:
        found = escape.forecast(
            at,
            batch,
            unit["learning_rate"],
            wanted[-1],
            rng,
            level=unit["level_factor"] * at.loss,
            num_paths=unit["num_paths"],
        )
    except checks.InputError as refusal:
        print(f"no forecast for seed {unit['seed']}: {refusal}", file=sys.stderr)
        return probability, error
    motion = found.chain if found.examples is None else found.examples
    known = np.array(wanted) <= found.valid_until
    for target, name in ((probability, "value"), (error, "standard_error")):
        # the forecast thins out the steps of a long horizon
        own = [getattr(estimate, name) for estimate in motion.probability]
        target[known] = np.interp(wanted, found.steps, own)[known]
    return probability, error


def collect(parameters, units, values):
    """Return passages (seeds, dynamics, runs), and slopes, traces and forecasts by seed."""
    seeds, num_runs = seeds_of(parameters), parameters["num_runs"]
    arrays = {"passage": np.zeros((len(seeds), len(DYNAMICS), num_runs), dtype=int)}
    for name, count in (
        ("slope", len(DYNAMICS)),
        ("trace", len(DYNAMICS)),
        ("forecast", len(parameters["forecast_steps"])),
        ("forecast_error", len(parameters["forecast_steps"])),
    ):
        arrays[name] = np.full((len(seeds), count), np.nan)
    for unit, value in zip(units, values, strict=True):
        seed = unit["seed"] - seeds[0]
        if unit["part"] == "forecast":
            for name in ("slope", "trace", "forecast", "forecast_error"):
                arrays[name][seed] = value[name]
        else:
            runs = slice(unit["first_run"], unit["first_run"] + _PER_UNIT)
            arrays["passage"][seed, DYNAMICS.index(unit["dynamics"]), runs] = value["passage"]
    return arrays


def left_by(arrays, step):
    """Return the share of runs that have left by a step, with its error, (seeds, dynamics)."""
    passage = arrays["passage"]
    left = ((passage > 0) & (passage <= step)).mean(axis=-1)
    return left, np.sqrt(left * (1 - left) / passage.shape[-1])


def mean_steps(arrays, horizon):
    """Return the mean step of the passage, cut off at the horizon, with its error over all runs.

    Returns
    -------
    mean, error : ndarray, shape (dynamics,)
        The error is that of the means of the seeds, or of the runs where there is one seed; widened
        as by :func:`analysis.claims.over_seeds`.
    """
    steps = _cut_off(arrays, horizon)
    rows = steps.mean(axis=-1) if len(steps) > 1 else steps[0].T
    return tuple(np.array([claims.over_seeds(column) for column in rows.T]).T)


def _cut_off(arrays, horizon):
    return np.where(arrays["passage"] > 0, arrays["passage"], horizon).astype(float)


def gap_of(steps, first, second):
    """Return the mean of `second` less that of `first` at given starts, and its error over runs.

    Parameters
    ----------
    steps : ndarray, shape (seeds, dynamics, runs)
        Two runs of each at least.
    first, second : int
        Numbers of two dynamics.

    Returns
    -------
    gap, error : float

    Examples
    --------
    >>> gap_of(np.array([[[1.0, 3.0], [5.0, 5.0]]]), 0, 1)
    (3.0, 1.0)
    """
    pair = steps[:, [first, second]]
    gap = np.diff(pair.mean(axis=(0, 2)))[0]
    error = np.sqrt(pair.var(axis=-1, ddof=1).sum() / pair.shape[-1]) / len(pair)
    return float(gap), float(error)


def judge(parameters, arrays):
    """Hold the order of the slopes against the passages, and the forecast against SGD."""
    horizon = parameters["num_steps"]
    mean, error = mean_steps(arrays, horizon)
    slope, steps = arrays["slope"].mean(axis=0), _cut_off(arrays, horizon)
    pairs = []
    for first, second in itertools.permutations(range(len(DYNAMICS)), 2):
        if slope[first] > _LARGER * slope[second]:
            gap, bar = gap_of(steps, first, second)
            pairs.append((gap, max(bar, 1e-9), first, second))
    # the pair with the strongest evidence against the statement decides, of many: Bonferroni's bar
    gap, bar, first, second = min(pairs, key=lambda pair: pair[0] / pair[1])
    widened = stats.norm.isf(0.025 / len(pairs)) / stats.norm.isf(0.025)
    found = [
        claims.judged(
            "order",
            "at these starts, of any two structures whose Tr(H Sigma) differ by a quarter or more, "
            "the one of larger Tr(H Sigma) passes the level first",
            gap,
            widened * bar,
            f"{LABELS[DYNAMICS[first]]} after {mean[first]:.4g} iterations, "
            f"{LABELS[DYNAMICS[second]]} after {mean[second]:.4g}, the pair that decides, cut off "
            f"at {horizon}",
            remark=f"; the error is that of the runs, widened for {len(pairs)} pairs, of which "
            f"{sum(p[0] < -2 * widened * p[1] for p in pairs)} pass in the opposite order",
        )
    ]
    aligned = [DYNAMICS.index(n) for n in ("gld_leading", "gld_hessian", "sgd_gaussian", "sgd")]
    others = [DYNAMICS.index(n) for n in ("gld_dynamic", "gld_diagonal")]
    last, early = max(aligned, key=lambda i: mean[i]), min(others, key=lambda i: mean[i])
    found.append(
        claims.judged(
            "aligned noise leaves first",
            "GLD leading, GLD Hessian, Gaussian SGD and SGD pass the level before GLD dynamic and "
            "GLD diag",
            mean[early] - mean[last],
            max(np.hypot(error[early], error[last]), 1e-9),
            f"{LABELS[DYNAMICS[last]]} after {mean[last]:.4g}, {LABELS[DYNAMICS[early]]} after "
            f"{mean[early]:.4g} iterations",
        )
    )
    found.append(claims.described("forecast", "forecast of SGD's exits", _told(parameters, arrays)))
    traces = arrays["trace"] / arrays["trace"][:, :1]
    found.append(
        claims.described(
            "equal trace",
            "trace of the structures over that of GLD dynamic",
            f"{traces.min():.4f} to {traces.max():.4f}",
        )
    )
    return found


def _told(parameters, arrays):
    told = []
    for place, step in enumerate(parameters["forecast_steps"]):
        known = arrays["forecast"][:, place]
        left, bar = left_by(arrays, step)
        measured = left[:, DYNAMICS.index("sgd")]
        for seed in np.flatnonzero(np.isfinite(known)):
            told.append(
                f"within {step} iterations {known[seed]:.3f} ± "
                f"{arrays['forecast_error'][seed, place]:.1g} (measured {measured[seed]:.3f} ± "
                f"{bar[seed, DYNAMICS.index('sgd')]:.1g})"
            )
    return ", ".join(told) or "refused: the quadratic model is not meaningful there"


def draw(parameters, arrays):
    """Draw shares of runs that left against iterations, and mean passages against slopes."""
    canvas = Canvas(figsize=(7.2, 3.1))
    left, right = canvas.subplots(1, 2)
    horizon = parameters["num_steps"]
    steps = np.arange(horizon + 1)
    mean, error = mean_steps(arrays, horizon)
    slope = arrays["slope"].mean(axis=0)
    for number, name in enumerate(DYNAMICS):
        passage = arrays["passage"][:, number].ravel()
        share = [((passage > 0) & (passage <= step)).mean() for step in steps]
        left.step(steps, share, where="post", color=COLOURS[name], lw=1.3, label=LABELS[name])
        look = {"color": COLOURS[name], "marker": MARKERS[name], "ms": 5}
        if not passage.any():  # above the frame: no run has left
            right.plot(slope[number], 1.06 * horizon, **look)
            continue
        bar = 2 * error[number]
        ends = [[bar], [min(bar, horizon - mean[number])]]
        right.errorbar(slope[number], mean[number], ends, capsize=2, **look)
    right.axhline(horizon, color="0.6", lw=0.8, ls="--", zorder=0)
    still = ~(arrays["passage"] > 0).any(axis=(0, 2))
    if still.any():
        right.annotate("no run has left", (slope[still].min(), 1.1 * horizon), fontsize=7)
    for place, step in enumerate(parameters["forecast_steps"]):
        value, bar = arrays["forecast"][:, place], arrays["forecast_error"][:, place]
        if np.isfinite(value).any():
            left.errorbar(
                step,
                np.nanmean(value),
                2 * np.nanmean(bar),
                fmt="o",
                mfc="white",
                color=COLOURS["sgd"],
                ms=5,
                capsize=2,
                label=None
                if left.get_legend_handles_labels()[1][-1] == "forecast of SGD"
                else ("forecast of SGD"),
            )
    left.set(
        xlabel=r"iteration after $\theta^*_{GD}$",
        ylabel="share of the runs that have left",
        ylim=(-0.02, 1.02),
    )
    right.set(
        xscale="log",
        ylim=(0, 1.2 * horizon),
        xlabel=r"slope $\eta^2\,$Tr$(H\Sigma)/2$ an iteration",
        ylabel=f"mean first passage, cut off at {horizon}",
    )
    for letter, axes in zip("ab", (left, right), strict=True):
        figure_style.panel_letter(axes, letter)
    handles, labels = left.get_legend_handles_labels()
    factor = parameters["level_factor"]
    canvas.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=4,
        title=rf"a run leaves when its training loss passes {factor:g} $L(\theta^*_{{GD}})$; bars: "
        "two standard errors",
        title_fontsize=7,
    )
    return canvas


FIGURE = Figure(
    name="fig8_escape",
    title="FashionMNIST: first passage of the loss from theta*_GD, at equal trace",
    claim="The structure of larger Tr(H Sigma) passes the level first",
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
