"""Where Tr(H Sigma) is right about escaping and where it is not, for six structures of noise.

    python -m analysis.alignment_and_exit [--quick] [--output FOLDER]

On a quadratic the noise structures of Table 1 of Zhu et al. (2019) are compared at equal trace: the
short-time slope Tr(H Sigma) / 2, the loss curve with its plateau Tr Sigma / 4, and the mean exit
time from two regions, a sublevel set of the loss and a ball in parameter space. Pairs of structures
which the slope and the exit time put in different orders are marked. Writes the data as .npz and
.json, a table as .md and a drawing as .png; stored data are used again only if their parameters
agree.
"""

import argparse
import hashlib
import itertools
import json
import sys
from dataclasses import asdict, dataclass

import numpy as np

from analysis import folders
from aniso import checks, escape
from aniso.langevin import drifts, noises, problems, regions
from aniso.matrices import structures as noise_structures
from aniso.runs import files

STRUCTURES = (
    "SGD", "GLD dynamic", "GLD diag", "GLD leading", "GLD Hessian", "GLD 1st eigenvector",
)  # fmt: skip
REGIONS = ("sublevel set", "ball")


@dataclass(frozen=True)
class Parameters:
    """Everything that the results depend on.

    Attributes
    ----------
    eigenvalues : tuple of float
        Spectrum of H.
    noise_factor : float
        Sigma is a power of H, mixed with a generic covariance by this share.
    trace : float
        Tr Sigma of every structure.
    level, radius : float
        Of the sublevel set and the ball.
    learning_rate : float
        Of the chain whose own exit is reported beside that of the equation.
    num_pairs : int
        k of "leading" and "Hessian".
    num_paths, horizon, step_size, seed
        Of the simulations.
    """

    eigenvalues: tuple = (4.0, 1.0, 0.2)
    noise_factor: float = 0.25
    trace: float = 0.6
    level: float = 0.5
    radius: float = 1.2
    learning_rate: float = 0.1
    num_pairs: int = 2
    num_paths: int = 4000
    horizon: float = 3000.0
    step_size: float = 0.01
    seed: int = 1


def structures(parameters):
    """Hessian and the covariances of the six structures, all of one trace, (D, D) and (6, D, D)."""
    rng = np.random.default_rng(parameters.seed)
    size = len(parameters.eigenvalues)
    basis, _ = np.linalg.qr(rng.standard_normal((size, size)))
    hessian = (basis * parameters.eigenvalues) @ basis.T
    hessian = (hessian + hessian.T) / 2
    generic = rng.standard_normal((size, size))
    generic = generic @ generic.T
    share = parameters.noise_factor
    covariance = (1 - share) * hessian / np.trace(hessian) + share * generic / np.trace(generic)
    covariance *= parameters.trace / np.trace(covariance)
    pairs = min(parameters.num_pairs, size)
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


def compute(parameters):
    """Slopes, curves, plateaus, exit times and exponents, as named arrays.

    Returns
    -------
    dict of str to numpy.ndarray
        times (T,), curve and simulated (6, T), slope and plateau (6,), and for each of the two
        regions exponent, exit, exit_error, chain and chain_error (6, 2), nan where the mean exit
        time is censored; fractions_left (6, 2).
    """
    hessian, covariances = structures(parameters)
    size = len(hessian)
    times = np.arange(0, 41) * 0.25
    result = {"times": times, "hessian": hessian, "covariances": covariances}
    names = ("slope", "plateau", "curve", "simulated", "simulated_error")
    collected = {name: [] for name in names}
    exits = np.full((5, len(covariances), len(REGIONS)), np.nan)
    drift = drifts.of_quadratic(hessian)
    for i, covariance in enumerate(covariances):
        simulated = escape.by_simulation(
            hessian, covariance, times, step_size=0.25, num_paths=parameters.num_paths,
            seed=parameters.seed,
        )  # fmt: skip
        collected["slope"].append(0.5 * np.sum(hessian * covariance))
        collected["plateau"].append(0.25 * np.trace(covariance))
        collected["curve"].append(escape.by_closed_form(hessian, covariance, times).values)
        collected["simulated"].append(simulated.values)
        collected["simulated_error"].append([e.standard_error for e in simulated.efficiency])
        places = (
            (
                regions.sublevel_set(hessian, parameters.level),
                escape.exit_through_level(hessian, covariance, parameters.level).value,
            ),
            (
                regions.ball(np.zeros(size), parameters.radius),
                escape.exit_from_ball(hessian, covariance, parameters.radius).value,
            ),
        )
        for j, (region, exponent) in enumerate(places):
            problem = problems.LangevinProblem(drift, noises.constant(covariance), np.zeros(size))
            arguments = (parameters.horizon, parameters.num_paths, parameters.seed)
            equation = escape.simulate_mean_exit_time(
                problem, region, parameters.step_size, *arguments
            )
            chain = escape.simulate_mean_exit_time(
                problem, region, parameters.learning_rate, *arguments, method="grid"
            )
            exits[0, i, j] = exponent
            for row, found in ((1, equation), (3, chain)):
                if found.mean is not None:
                    exits[row, i, j] = found.mean.value
                    exits[row + 1, i, j] = found.mean.standard_error
    result |= {name: np.array(values) for name, values in collected.items()}
    for name, values in zip(
        ("exponent", "exit", "exit_error", "chain", "chain_error"), exits, strict=True
    ):
        result[name] = values
    return result


def reversals(arrays):
    """Pairs (region, faster by slope, slower by slope) whose exit times say the opposite.

    A pair counts where the slopes differ by more than 1 %, and the exit times by more than four of
    their standard errors.
    """
    found = []
    for j in range(len(REGIONS)):
        for first, second in itertools.permutations(range(len(STRUCTURES)), 2):
            faster = arrays["slope"][first] > 1.01 * arrays["slope"][second]
            later = arrays["exit"][first, j] - arrays["exit"][second, j]
            error = np.hypot(arrays["exit_error"][first, j], arrays["exit_error"][second, j])
            if faster and later > 4 * error:
                found.append((j, first, second))
    return found


def table(parameters, arrays):
    """The comparison as a Markdown table, with the reversed pairs below it."""
    lines = [
        f"Equal trace {parameters.trace:g}, spectrum {parameters.eigenvalues}; exit times of the "
        "equation, in brackets of the chain, censored where no number stands.",
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


def plot(arrays, path):
    """Loss curves with their tangents and plateau, and exit times against slopes."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from analysis.figure_style import COLOURS, MARKERS, STYLE

    keys = (
        "sgd", "gld_dynamic", "gld_diagonal", "gld_leading", "gld_hessian", "gld_first_eigenvector",
    )  # fmt: skip
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(1, 1 + len(REGIONS), figsize=(7.2, 2.9), layout="constrained")
        times, plateau = arrays["times"], arrays["plateau"][0]
        for i, (name, key) in enumerate(zip(STRUCTURES, keys, strict=True)):
            colour = COLOURS[key]
            axes[0].plot(times, arrays["curve"][i], color=colour, linewidth=1.2)
            axes[0].plot(times, arrays["slope"][i] * times, ":", color=colour, linewidth=0.8)
            for j, axis in enumerate(axes[1:]):
                axis.errorbar(
                    arrays["slope"][i], arrays["exit"][i, j], 2 * arrays["exit_error"][i, j],
                    fmt=MARKERS[key], color=colour, markersize=5, capsize=2,
                    label=name if j == 0 else None,
                )  # fmt: skip
        axes[0].axhline(plateau, color="0.6", linewidth=0.8)
        axes[0].set(
            xlabel="time",
            ylabel="escaping efficiency",
            ylim=(0, 1.15 * plateau),
            title="loss curve (dotted: initial slope)",
        )
        axes[0].annotate(
            "plateau Tr(Σ)/4", (times[-1], plateau), ha="right", va="bottom", fontsize=7
        )
        counts = [
            sum(region == j for region, _, _ in reversals(arrays)) for j in range(len(REGIONS))
        ]
        pairs = len(STRUCTURES) * (len(STRUCTURES) - 1) // 2
        for axis, region, count in zip(axes[1:], REGIONS, counts, strict=True):
            axis.set(
                xlabel="slope Tr(HΣ)/2",
                ylabel="mean exit time",
                yscale="log",
                title=f"{region}: {count} of {pairs} orders reversed",
            )
        figure.legend(loc="outside lower center", ncols=len(STRUCTURES))
        with files.atomic_writer(path, "wb") as stream:
            figure.savefig(stream, format="png", dpi=220)
        plt.close(figure)


def stored(parameters, folder):
    """The arrays of these parameters: from the folder if they are there, else computed and kept."""
    described = asdict(parameters)
    key = hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()
    data, description = folder / "alignment_and_exit.npz", folder / "alignment_and_exit.json"
    if data.exists() and description.exists():
        found = json.loads(description.read_text(encoding="utf-8"))
        if found.get("key") == key:
            with np.load(data, allow_pickle=False) as arrays:
                return dict(arrays)
    arrays = compute(parameters)
    with files.atomic_writer(data, "wb") as stream:
        np.savez(stream, **arrays)
    with files.atomic_writer(description) as stream:
        json.dump({"key": key, "parameters": described, "structures": STRUCTURES}, stream, indent=1)
    return arrays


def main(arguments=None):
    """Compute or load, print the table, draw."""
    parser = argparse.ArgumentParser(description=__doc__ and __doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="200 paths and a coarser step")
    folders.add_output(parser, "the picture, the table and their data")
    options = parser.parse_args(arguments)
    if not options.output.is_dir():
        raise checks.InputError(
            f"output={str(options.output)!r} is no folder; expected an existing one"
        )
    files.require_writable("output", options.output / "alignment_and_exit.npz")
    parameters = Parameters(num_paths=200, step_size=0.05) if options.quick else Parameters()
    try:
        arrays = stored(parameters, options.output)
        text = table(parameters, arrays)
        with files.atomic_writer(options.output / "alignment_and_exit.md") as stream:
            stream.write(text)
        plot(arrays, options.output / "alignment_and_exit.png")
    except OSError as error:
        print(f"{error}; make room there, then run the same command", file=sys.stderr)
        return 1
    print(text, end="")
    for ending in ("png", "md", "npz"):
        print(f"wrote {options.output / 'alignment_and_exit'}.{ending}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
