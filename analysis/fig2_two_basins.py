"""Figure 2: the compared dynamics on a two-dimensional loss with a sharp and a flat minimum."""

import sys

import numpy as np
from matplotlib.figure import Figure as Canvas
from scipy import stats

from analysis import claims, figure_command, figure_style
from analysis.figure import Figure
from aniso.langevin import two_basin_dynamics
from aniso.problems import (
    two_basin_data,
    two_basin_problem,
)

DYNAMICS = list(two_basin_dynamics.FIGURE_DYNAMICS)
ALIGNED = ("gld_leading", "gld_hessian", "gld_first_eigenvector")
UNALIGNED = ("gd", "gld_constant", "gld_diagonal")
_NUM_STORED = 200
_SHOWN_FROM = 0.05

SCALES = {
    "small": {"num_seeds": 1, "num_runs": 100, "num_steps": 500},
    "medium": {"num_seeds": 5, "num_runs": 10_000, "num_steps": 500},
    "paper": {"num_seeds": 1, "num_runs": 100, "num_steps": 500},
}
COSTS = {
    "small": "2 s, one data set, 100 runs",
    "medium": "10 s, five data sets, 10,000 runs each",
    "paper": "2 s, one data set, 100 runs",
}


def make_units(parameters):
    """Return one unit for each data set and dynamics."""
    return [
        {"seed": seed, "dynamics": name, **parameters}
        for seed in range(parameters["num_seeds"])
        for name in DYNAMICS
    ]


def data_of(seed):
    """Return the hundred data of a seed, (100, 2)."""
    return two_basin_data(np.random.default_rng([2, seed]))


def compute_unit(unit, folder, foundation):  # noqa: ARG001 (seconds: nothing to resume)
    """Count the successes of all runs; store paths and Tr(H Sigma) of some."""
    data, name = data_of(unit["seed"]), unit["dynamics"]
    runs = two_basin_dynamics.simulate_two_basin(
        name, data, unit["num_runs"], unit["seed"], num_steps=unit["num_steps"], num_threads=1
    )
    stored = two_basin_dynamics.simulate_two_basin(
        name,
        data,
        min(_NUM_STORED, unit["num_runs"]),
        unit["seed"],
        num_steps=unit["num_steps"],
        store_paths=True,
        num_threads=1,
    )
    # a run that succeeds where such runs are not rare, to show the way out
    succeeds = (stored.ends < -0.5).all(axis=1)
    shown = int(np.argmax(succeeds)) if succeeds.mean() > _SHOWN_FROM else 0
    return {
        "successes": np.int64(runs.successes),
        "path": stored.paths[shown].astype(np.float32),
        "alignment": stored.alignments.mean(axis=0).astype(np.float32),
        "initial_alignment": stored.alignments[:, 0].mean(),
    }


def collect(parameters, units, values):
    """Return arrays by seed and dynamics."""
    del units
    shape = parameters["num_seeds"], len(DYNAMICS)
    names = ("successes", "path", "alignment", "initial_alignment")
    arrays = {name: np.stack([value[name] for value in values]) for name in names}
    return {name: array.reshape(shape + array.shape[1:]) for name, array in arrays.items()}


def _rates(parameters, arrays):
    """Return the success rate of each dynamics over all runs, and its standard error."""
    count = parameters["num_runs"] * parameters["num_seeds"]
    rates = arrays["successes"].sum(axis=0) / count
    # add one success and one failure: an error bar for rates of 0 and 1 too
    padded = (arrays["successes"].sum(axis=0) + 1) / (count + 2)
    sampling = padded * (1 - padded) / (count + 2)
    by_seed = arrays["successes"] / parameters["num_runs"]
    if len(by_seed) == 1:  # rates on the one data set
        return rates, np.sqrt(sampling)
    between = np.array([claims.over_seeds(values)[1] for values in by_seed.T])
    return rates, np.maximum(np.sqrt(sampling), between)


def judge(parameters, arrays):
    """Judge the caption's claims."""
    rates, errors = _rates(parameters, arrays)
    place = {name: number for number, name in enumerate(DYNAMICS)}
    found = []
    for name in ALIGNED:
        rival = max(UNALIGNED, key=lambda other: rates[place[other]])
        here, there = place[name], place[rival]
        found.append(
            claims.judged(
                f"{name} escapes more often",
                f"{figure_style.LABELS[name]} reaches the flat minimum more often than GD, GLD "
                "const and GLD diag",
                rates[here] - rates[there],
                np.hypot(errors[here], errors[there]),
                f"{rates[here]:.3f} ± {errors[here]:.3f} against {rates[there]:.3f} ± "
                f"{errors[there]:.3f} of {figure_style.LABELS[rival]}",
            )
        )
    successes = int(arrays["successes"][:, place["gd"]].sum())
    count = parameters["num_runs"] * parameters["num_seeds"]
    bound = stats.beta.ppf(0.975, successes + 1, count - successes) if successes < count else 1.0
    found.append(
        claims.judged(
            "gd stays",
            "GD never escapes",
            1.0 if successes == 0 else -1.0,
            0.0,
            f"{successes} of {count:,} runs, rate below {bound:.2g} with 97.5 % confidence",
        )
    )
    start = arrays["initial_alignment"]
    aligned, others = (start[:, [place[n] for n in names]] for names in (ALIGNED, UNALIGNED))
    gap, error = claims.over_seeds(aligned.min(axis=1) - others.max(axis=1))
    found.append(
        claims.judged(
            "alignment tells who escapes",
            "Tr(H Sigma) at the sharp minimum is larger for each of GLD leading, GLD Hessian and "
            "GLD 1st eigenvector than for each of GD, GLD const and GLD diag",
            gap,
            error,
            f"least {aligned.min(axis=1).mean():.3f} against largest "
            f"{others.max(axis=1).mean():.3f}",
        )
    )
    means = start.mean(axis=0)
    found.append(
        claims.described(
            "order among the aligned",
            "Tr(H Sigma) at the start and success rate of the three that escape",
            "; ".join(
                f"{figure_style.LABELS[name]} {means[place[name]]:.3f}, {rates[place[name]]:.3f}"
                for name in ALIGNED
            ),
        )
    )
    return found


def draw(parameters, arrays):
    """Draw trajectories on contours, success rates, and Tr(H Sigma) along the runs."""
    canvas = Canvas(figsize=(7.2, 3.4))
    grid = canvas.add_gridspec(2, 5, width_ratios=(1, 1, 1, 0.02, 1.35))
    objective = two_basin_problem(data_of(0))
    ticks = np.linspace(-2.1, 2.1, 121)
    points = np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2)
    heights = np.array([objective.loss(point) for point in points]).reshape(121, 121)
    first = None
    for number, name in enumerate(DYNAMICS):
        axes = canvas.add_subplot(grid[number // 3, number % 3], sharex=first, sharey=first)
        first = first or axes
        levels = np.geomspace(0.1, 900, 22)
        axes.contour(ticks, ticks, heights, levels, colors="0.75", linewidths=0.4)
        path = arrays["path"][0, number]
        axes.plot(*path.T, lw=0.5, alpha=0.9, color=figure_style.COLOURS[name])
        axes.plot(*path[0], "o", ms=4, mfc="white", mec="black", mew=0.8)
        axes.plot(*path[-1], "o", ms=4, color="black")
        axes.set_title(figure_style.LABELS[name])
        axes.set(aspect="equal", xticks=(-1, 1), yticks=(-1, 1), xlim=(-2.1, 2.1))
        axes.set(ylim=(-2.1, 2.1), xlabel="$w_1$", ylabel="$w_2$")
        axes.label_outer()
    _draw_rates(canvas.add_subplot(grid[0, 4]), parameters, arrays)
    _draw_alignment(canvas.add_subplot(grid[1, 4]), arrays)
    canvas.supxlabel(
        "Paths: the first run that reached the flat minimum where more than one in twenty do, else "
        "the first run. Bars: ± two standard errors.",
        fontsize=6.5,
        color="0.3",
    )
    return canvas


def _draw_rates(axes, parameters, arrays):
    rates, errors = _rates(parameters, arrays)
    order = np.arange(len(DYNAMICS))[::-1]
    colours = [figure_style.COLOURS[name] for name in DYNAMICS]
    axes.barh(order, rates, xerr=2 * errors, color=colours, error_kw={"lw": 0.8, "capsize": 2})
    axes.set_yticks(order, [figure_style.LABELS[name] for name in DYNAMICS])
    for place, rate, error in zip(order, rates, errors, strict=True):
        axes.text(min(rate + 2 * error, 1) + 0.03, place, f"{rate:.2f}", va="center", fontsize=7)
    axes.set(xlim=(0, max(0.1, min(1.15, 1.4 * rates.max()))), xlabel="success rate")
    axes.set_xticks([tick for tick in axes.get_xticks() if tick < 1.3 * rates.max()])
    axes.set_title("reached the flat minimum", loc="right")


def _draw_alignment(axes, arrays):
    means = arrays["alignment"].mean(axis=0)
    for number, name in enumerate(DYNAMICS):
        if name != "gd":
            style = "--" if name == "gld_diagonal" else "-"
            axes.plot(means[number], style, color=figure_style.COLOURS[name])
    axes.set(xlabel="iteration", ylabel=r"mean $\mathrm{Tr}(H_t\Sigma_t)$")
    axes.set_ylim(bottom=0)
    axes.set_title("alignment, mean over runs")


FIGURE = Figure(
    name="fig2_two_basins",
    title="Two-dimensional toy with a sharp and a flat minimum",
    claim="Noise aligned with the curvature escapes the sharp minimum, other noise does not",
    revision=1,
    scales=SCALES,
    limits={"num_steps": 10**5},  # of which every unit stores 200 paths
    costs=COSTS,
    make_units=make_units,
    compute_unit=compute_unit,
    collect=collect,
    judge=judge,
    draw=draw,
    bands="error bars of the success rates are two standard errors over data sets and runs",
)

if __name__ == "__main__":
    sys.exit(figure_command.main(FIGURE))
