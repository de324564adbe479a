"""Where Tr(H Sigma) predicts escape and where it does not, for six structures of noise.

On a quadratic the noise structures of Table 1 of Zhu et al. (2019) are compared at equal trace: the
short-time slope Tr(H Sigma) / 2, the loss curve with its plateau Tr Sigma / 4, and the mean exit
time from two regions, a sublevel set of the loss and a ball in parameter space. The table next
to the picture lists the pairs of structures that slope and exit time put in different orders.
"""

import itertools
import sys

import numpy as np
from matplotlib.figure import Figure as Canvas

from analysis import claims, figure_command
from analysis.figure import Figure
from analysis.figure_style import COLOURS, LABELS, MARKERS
from aniso import escape
from aniso.langevin import drifts, noises, problems, regions
from aniso.matrices import structures as noise_structures
from aniso.runs import run_directory

KEYS = (
    "sgd", "gld_dynamic", "gld_diagonal", "gld_leading", "gld_hessian", "gld_first_eigenvector",
)  # fmt: skip
STRUCTURES = tuple(LABELS[key] for key in KEYS)
REGIONS = ("sublevel set", "ball")
TIMES = np.arange(0, 41) * 0.25

# Paths leave the sublevel set early, so that `level_ratio` times as many of them are cheap there.
# Sigma is proportional to H, mixed with a generic covariance by the share noise_factor. The
# learning rate belongs to the chain; its exit is compared with the exit of the equation.
_COMMON = {
    "eigenvalues": [4.0, 1.0, 0.2],
    "noise_factor": 0.25,
    "trace": 0.6,
    "level": 0.5,
    "radius": 1.2,
    "learning_rate": 0.1,
    "num_pairs": 2,
    "level_ratio": 10,
    "horizon": 3000.0,
    "seed": 1,
}
SCALES = {
    "small": _COMMON | {"num_paths": 200, "step_size": 0.05},
    "medium": _COMMON | {"num_paths": 4000, "step_size": 0.01},
}
COSTS = {
    "small": "5 s, 200 paths",
    "medium": "2 min of one core, 4,000 paths",
}


def structures(parameters):
    """Return the Hessian, (D, D), and the covariances of the six structures, (6, D, D).

    All covariances have the same trace.
    """
    rng = np.random.default_rng(parameters["seed"])
    size = len(parameters["eigenvalues"])
    basis, _ = np.linalg.qr(rng.standard_normal((size, size)))
    hessian = (basis * parameters["eigenvalues"]) @ basis.T
    hessian = (hessian + hessian.T) / 2
    generic = rng.standard_normal((size, size))
    generic = generic @ generic.T
    share = parameters["noise_factor"]
    covariance = (1 - share) * hessian / np.trace(hessian) + share * generic / np.trace(generic)
    covariance *= parameters["trace"] / np.trace(covariance)
    pairs = min(parameters["num_pairs"], size)
    return hessian, np.array(
        [
            covariance,
            noise_structures.isotropic_equivalent(covariance),
            noise_structures.diagonal_part(covariance),
            noise_structures.leading_part(covariance, pairs),
            noise_structures.hessian_part(hessian, covariance, pairs),
            noise_structures.optimal_noise(hessian, covariance),
        ]
    )


def make_units(parameters):
    """Return one unit for each structure."""
    return [{"structure": key, **parameters} for key in KEYS]


def compute_unit(unit, folder, foundation):  # noqa: ARG001 (as every figure)
    """Return slope, plateau, curves and exit times of one structure; computed once."""
    return run_directory.stored_arrays(folder, unit, unit["seed"], lambda: _measured(unit))


def _measured(unit):
    hessian, covariances = structures(unit)
    covariance = covariances[KEYS.index(unit["structure"])]
    simulated = escape.simulate_efficiency(
        hessian,
        covariance,
        TIMES,
        step_size=0.25,
        num_paths=unit["num_paths"],
        seed=unit["seed"],
    )
    found = {
        "covariances": covariance,
        "slope": 0.5 * np.sum(hessian * covariance),
        "plateau": 0.25 * np.trace(covariance),
        "curve": escape.efficiency_by_closed_form(hessian, covariance, TIMES).values,
        "simulated": simulated.values,
        "simulated_error": [e.standard_error for e in simulated.efficiency],
    }
    found |= _exits(unit, hessian, covariance)
    return {name: np.asarray(value) for name, value in found.items()}


def _exits(unit, hessian, covariance):
    """Return exit times of the equation and the chain with errors, and the exponents, (2,).

    A mean is NaN where too few paths left before the horizon.
    """
    size = len(hessian)
    problem = problems.LangevinProblem(
        drifts.of_quadratic(hessian), noises.constant(covariance), np.zeros(size)
    )
    level, radius = unit["level"], unit["radius"]
    found = {
        "exponent": [
            escape.exit_through_level(hessian, covariance, level).value,
            escape.exit_from_ball(hessian, covariance, radius).value,
        ]
    }
    horizon, num_paths, seed = unit["horizon"], unit["num_paths"], unit["seed"]
    both = (
        (regions.sublevel_set(hessian, level), unit["level_ratio"] * num_paths),
        (regions.ball(np.zeros(size), radius), num_paths),
    )
    for name, simulate, step_size in (
        ("exit", escape.simulate_mean_exit_time, unit["step_size"]),
        ("chain", escape.simulate_mean_chain_exit_time, unit["learning_rate"]),
    ):
        means = [
            simulate(problem, region, step_size, horizon, number, seed).mean
            for region, number in both
        ]
        found[name] = [np.nan if m is None else m.value for m in means]
        found[f"{name}_error"] = [np.nan if m is None else _error(m) for m in means]
    return found


def _error(mean):
    """Error of sampling, and of the step where the mean has one."""
    return getattr(mean, "combined_error", mean.standard_error)


def collect(parameters, units, values):
    """Return arrays by structure.

    Returns
    -------
    dict of str to ndarray
        times (T,); hessian (D, D); covariances (6, D, D); slope and plateau (6,); curve, simulated
        and simulated_error (6, T); exponent, exit, exit_error, chain and chain_error (6, 2).
    """
    del units
    arrays = {name: np.stack([value[name] for value in values]) for name in values[0]}
    return {"times": TIMES, "hessian": structures(parameters)[0], **arrays}


def _pairs(arrays, region):
    """Yield (faster, slower, gap, error) of pairs that the slope orders, censored ones left out.

    The gap is the exit time of the slower structure minus the exit time of the faster one.
    """
    times, errors = arrays["exit"][:, region], arrays["exit_error"][:, region]
    for first, second in itertools.permutations(range(len(STRUCTURES)), 2):
        faster = arrays["slope"][first] > 1.01 * arrays["slope"][second]
        gap = times[second] - times[first]
        if faster and np.isfinite(gap):
            yield first, second, gap, np.hypot(errors[first], errors[second])


def judge(parameters, arrays):  # noqa: ARG001 (as every figure)
    """Hold the order of the slopes against the exit times from each region."""
    found = []
    for number, region in enumerate(REGIONS):
        statement = f"of any two structures the one of larger Tr(H Sigma) leaves the {region} first"
        # the pair with the strongest evidence against the statement decides
        pairs = sorted(_pairs(arrays, number), key=lambda pair: pair[2] / pair[3])
        if not pairs:
            found.append(claims.described(region, statement, "every exit time is censored"))
            continue
        first, second, gap, error = pairs[0]
        times = arrays["exit"][:, number]
        opposite = sum(place == number for place, *_ in reversals(arrays))
        found.append(
            claims.judged(
                region,
                statement,
                gap,
                error,
                f"{STRUCTURES[first]} after {times[first]:.4g}, {STRUCTURES[second]} after "
                f"{times[second]:.4g}, the pair that decides",
                remark=f"; {opposite} of {len(pairs)} pairs leave in the opposite order",
            )
        )
    return found


def reversals(arrays):
    """Return pairs (region, faster by slope, slower by slope) with exit times in the other order.

    A pair counts where the slopes differ by more than 1 %, and the exit times by more than four of
    their standard errors.
    """
    return [
        (number, first, second)
        for number in range(len(REGIONS))
        for first, second, gap, error in _pairs(arrays, number)
        if gap < -4 * error
    ]


def table(parameters, arrays):
    """Return the comparison as a Markdown table, with the reversed pairs below it."""
    lines = [
        f"Equal trace {parameters['trace']:g}, spectrum {tuple(parameters['eigenvalues'])}; exit "
        "times of the equation, in brackets of the chain, censored where no number stands.",
        "",
        "| noise | slope | plateau | " + " | ".join(f"{r}: exit, exponent" for r in REGIONS) + " |",
        "| --- " * (3 + len(REGIONS)) + "|",
    ]
    for i, name in enumerate(STRUCTURES):
        cells = []
        for j in range(len(REGIONS)):
            value, error = arrays["exit"][i, j], arrays["exit_error"][i, j]
            bar = f"{float(f'{error:.2g}'):g}"
            shown = "censored" if np.isnan(value) else f"{value:.4g} ± {bar}"
            chain = arrays["chain"][i, j]
            own = "censored" if np.isnan(chain) else f"{chain:.4g}"
            cells.append(f"{shown} ({own}), {arrays['exponent'][i, j]:.3g}")
        lines.append(
            f"| {name} | {arrays['slope'][i]:.4g} | {arrays['plateau'][i]:.4g} | "
            + " | ".join(cells)
            + " |"
        )
    lines.append("")
    for j, first, second in reversals(arrays):
        lines.append(
            f"- {REGIONS[j]}: {STRUCTURES[first]} has the larger slope and leaves *later* than "
            f"{STRUCTURES[second]}"
        )
    if not reversals(arrays):
        lines.append("The orders agree.")
    return "\n".join(lines) + "\n"


def rows(parameters, arrays):  # noqa: ARG001 (as every figure)
    """Return the numbers of the table, one row for each structure; "" where an exit is censored."""
    found = []
    for number, name in enumerate(STRUCTURES):
        row = {"noise": name}
        row |= {what: float(arrays[what][number]) for what in ("slope", "plateau")}
        for place, region in enumerate(REGIONS):
            for what in ("exit", "exit_error", "chain", "chain_error", "exponent"):
                value = float(arrays[what][number, place])
                row[f"{region}: {what}"] = "" if np.isnan(value) else value
        found.append(row)
    return found


def draw(parameters, arrays):  # noqa: ARG001 (as every figure)
    """Draw loss curves with their tangents and plateau, and exit times against slopes."""
    canvas = Canvas(figsize=(7.2, 2.9))
    left, *right = canvas.subplots(1, 1 + len(REGIONS))
    times, plateau = arrays["times"], arrays["plateau"][0]
    for i, (name, key) in enumerate(zip(STRUCTURES, KEYS, strict=True)):
        colour = COLOURS[key]
        left.plot(times, arrays["curve"][i], color=colour, linewidth=1.2)
        left.plot(times, arrays["slope"][i] * times, ":", color=colour, linewidth=0.8)
        for j, axes in enumerate(right):
            axes.errorbar(
                arrays["slope"][i],
                arrays["exit"][i, j],
                2 * arrays["exit_error"][i, j],
                fmt=MARKERS[key],
                color=colour,
                markersize=5,
                capsize=2,
                label=name if j == 0 else None,
            )
    left.axhline(plateau, color="0.6", linewidth=0.8)
    left.set(
        xlabel="time",
        ylabel="escaping efficiency",
        ylim=(0, 1.15 * plateau),
        title="loss curve (dotted: initial slope)",
    )
    left.annotate("plateau Tr(Σ)/4", (times[-1], plateau), ha="right", va="bottom", fontsize=7)
    pairs = len(STRUCTURES) * (len(STRUCTURES) - 1) // 2
    for j, (axes, region) in enumerate(zip(right, REGIONS, strict=True)):
        count = sum(place == j for place, *_ in reversals(arrays))
        axes.set(
            xlabel="slope Tr(HΣ)/2",
            ylabel="mean exit time",
            yscale="log",
            title=f"{region}: {count} of {pairs} orders reversed",
        )
    canvas.legend(loc="outside lower center", ncols=len(STRUCTURES))
    return canvas


FIGURE = Figure(
    name="alignment_and_exit",
    title="Quadratic: Tr(H Sigma) and the exit from two regions, at equal trace",
    claim="The structure of larger Tr(H Sigma) leaves first",
    revision=2,
    scales=SCALES,
    costs=COSTS,
    make_units=make_units,
    compute_unit=compute_unit,
    collect=collect,
    judge=judge,
    draw=draw,
    table=table,
    rows=rows,
)

if __name__ == "__main__":
    sys.exit(figure_command.main(FIGURE))
