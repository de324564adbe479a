"""Checks of exit times: simulation, quadrature, asymptotics and exponents."""

import math

import numpy as np

from aniso import escape, estimates, langevin
from aniso.escape import kramers, quadrature
from aniso.langevin import drifts, noises, regions, two_basin_dynamics
from aniso.problems import (
    two_basin_data,
)
from aniso.propositions.check import Statement, compare
from aniso.propositions.settings import Task

MAX_Z_SCORE = 4.5

_ESCAPE = "docs/theory/escape.md"
BRIDGE, SHIFT = (
    Statement(
        f"first passage, {method}",
        "the mean exit time of Brownian motion from (-1, 1) is 1",
        "2 % of discretisation, and 4.5 standard errors",
        f"{_ESCAPE}, First passage between two steps",
    )
    for method in ("bridge", "shift")
)
GRID = Statement(
    "first passage, grid",
    "planted falsehood: without correction the exit is late by O(√h)",
    "known to half a per cent, and 4.5 standard errors",
    "docs/theory/traps.md, Detection on the grid is late",
)
SIMULATED = Statement(
    "mean exit time, simulation",
    "τ = ∫ exp(φ) ∫ exp(-φ)/M, φ = ∫ L'/M",
    "4.5 standard errors, and the discretisation error that two step sizes show",
    f"{_ESCAPE}, Mean exit time by quadrature",
)
KRAMERS = Statement(
    "Kramers' formula",
    "exact over Kramers' time tends to 1 with an error of order T",
    "the next order bends the slope by a few T over the barrier",
    f"{_ESCAPE}, Kramers formula",
)
MINIMUM_ACTION = Statement(
    "exponent, minimum action",
    "V = ΔL / λ_max(H^½ P H^½), H P + P H = Σ",
    "midpoint rule from a fixed point, O(1/n) at worst there",
    f"{_ESCAPE}, Geometric minimum action",
)
COMMUTING = Statement(
    "exponent, commuting noise",
    "V = 2 ΔL / λ_max(Σ) where H and Σ commute",
    "rounding",
    f"{_ESCAPE}, Quasi-potential of a linear drift",
)
EXACT_TIME = Statement(
    "exponent, exact exit time",
    "the slope of ln τ in 1/ε tends to V",
    "the prefactor √ε moves the slope by about ε/2, below 1 %",
    f"{_ESCAPE}, Quasi-potential of a linear drift",
)
CURVATURE_NOISE = Statement(
    "exit time, noise that follows the curvature",
    "M = η|L''|/(2B): ln τ = (2BΔL/η)(s/H_a + (1-s)/|H_b|) + ln(2π/H_a); its last term",
    "asymptotic, off by a few times one over the exponent, 64",
    f"{_ESCAPE}, Noise that follows the curvature",
)
LOSS_NOISE = Statement(
    "exit time, noise that follows the loss",
    "M = ηL L''/B: the exit rate falls like (L_s/L*)^-(B/(ηL'') + 1 - n/2); minus its exponent",
    "corrections of order L*/L_s",
    f"{_ESCAPE}, Noise that follows the loss",
)
TWO_BASINS = Statement(
    "two basins, aligned noise leaves more often",
    "the least share of runs out of the sharp basin with noise along H or with the whole "
    "covariance exceeds the largest with isotropic or diagonal noise of equal size",
    "none: the ends of 99.99 % Clopper-Pearson intervals are compared",
    "docs/theory/motion.md, Loss of the two-basin toy",
)


def tasks(settings):
    """Return the tasks about exits.

    Parameters
    ----------
    settings : aniso.propositions.settings.Settings
        Scale and seed of the verification.

    Returns
    -------
    list of aniso.propositions.settings.Task
    """
    return [
        Task("Brownian exit", lambda: _brownian_exit(settings), 4.0, "langevin"),
        Task("double well", lambda: _double_well(settings), 0.2, "langevin"),
        Task("exponents", lambda: _exponents(settings), 0.5, "langevin"),
        Task("noise of the state", lambda: _noise_of_the_state(settings), 0.2, "langevin"),
        Task("two-basin toy", lambda: _two_basin(settings), 3.0, "langevin"),
    ]


def _brownian_exit(settings):
    """Check the exit of Brownian motion from (-1, 1), whose exact mean is 1."""
    problem = langevin.LangevinProblem(drifts.of_quadratic([[0.0]]), noises.diagonal([1.0]), [0.0])
    num_paths = settings.pick(5_000, 20_000, 200_000)
    late = "Planted falsehood, reproduced: without correction the exit is late."
    found = []
    for statement, method, step, expected, discretisation, finding in (
        (BRIDGE, "bridge", 0.04, 1.0, 0.02, ""),
        (SHIFT, "shift", 0.04, 1.0, 0.02, ""),
        (GRID, "grid", 0.04, 1.256, 0.005 * 1.256, late),
        (GRID, "grid", 0.01, 1.119, 0.005 * 1.119, late),
    ):
        exits = langevin.simulate_exits(
            problem,
            regions.interval(-1.0, 1.0),
            step,
            60.0,
            num_paths,
            settings.stream_seed("dynamics/brownian"),
            method=method,
        )
        mean = estimates.Estimate.from_samples(exits.times)
        error = mean.standard_error
        there = statement.at(
            f"h = {step}, {num_paths:,} paths, {method}", discretisation + MAX_Z_SCORE * error
        )
        found.append(
            compare(there, mean.value, "==", expected, standard_error=error, finding=finding)
        )
    return found


def _double_well(settings):
    """Check simulation against quadrature, and quadrature against Kramers."""
    variance, step = 0.49, 0.02
    exact = quadrature.mean_exit_time(lambda x: x - x**3, variance, -1.0, -np.inf, 0.0)
    problem = langevin.LangevinProblem(
        drifts.of_polynomial([0, 0, -0.5, 0, 0.25]), noises.diagonal([variance]), [-1.0]
    )
    num_paths = settings.pick(1_000, 4_000, 40_000)
    result = escape.simulate_mean_exit_time(
        problem,
        regions.interval(-np.inf, 0.0),
        step,
        200.0,
        num_paths,
        settings.stream_seed("dynamics/double well"),
    )
    error = result.mean.standard_error
    there = SIMULATED.at(
        f"double well, M = {variance / 2:g}, h = {step} and {step / 2}, bridge, "
        f"{num_paths:,} paths",
        MAX_Z_SCORE * error + result.mean.discretisation_error,
    )
    found = [compare(there, result.mean.value, "==", exact.value, standard_error=error)]
    temperatures = np.array([0.0025, 0.005, 0.01, 0.02])
    ratios = []
    for temperature in temperatures:
        across = quadrature.mean_exit_time(lambda x: x - x**3, 2 * temperature, -1.0, -np.inf, 1.0)
        ratios.append(across.value / kramers.kramers_time(2.0, -1.0, 0.25, 2 * temperature).value)
    slope = estimates.loglog_slope(temperatures, np.array(ratios) - 1)
    there = KRAMERS.at(f"double well, T from 0.0025 to 0.02, ratio {ratios[-1]:.4f} at 0.02", 0.1)
    series = {"temperature": temperatures, "ratio": ratios}
    found.append(compare(there, slope.value, "==", 1.0, series=series))
    return found


def _exponents(settings):  # noqa: ARG001
    """Check the quasi-potential by minimum action and against exact exit times."""
    hessian = np.array([[2.0, 0.5], [0.5, 1.0]])
    covariance = np.array([[1.0, 0.4], [0.4, 0.5]])
    level = escape.exit_through_level(hessian, covariance, 1.0)
    action = escape.minimise_action(lambda x: -x @ hessian, covariance, [0, 0], level.point)
    there = MINIMUM_ACTION.at(
        "D = 2, H and Σ that do not commute; geometric minimum action, n = 101 points",
        5e-3 * level.value,
    )
    found = [compare(there, action.action, "==", level.value)]
    commuting = escape.exit_through_level(np.diag([1.0, 3.0]), np.diag([0.5, 2.0]), 0.8)
    found.append(compare(COMMUTING.at("D = 2", 1e-12), commuting.value, "==", 2 * 0.8 / 2.0))
    noise = np.array([0.02, 0.01, 0.005])
    logs = [
        math.log(quadrature.mean_exit_time(lambda x: -2 * x, e, 0.0, -1.0, 1.0).value)
        for e in noise
    ]
    found.append(
        compare(
            EXACT_TIME.at("D = 1, L = θ², ε from 0.01 to 0.005, by quadrature", 0.01 * 2),
            (logs[-1] - logs[-2]) / (1 / noise[-1] - 1 / noise[-2]),
            "==",
            escape.exit_from_ball([[2.0]], [[1.0]], 1.0).value,
            series={"noise": noise, "log_time": logs},
        )
    )
    return found


def _noise_of_the_state(settings):  # noqa: ARG001
    """Check noise that follows the curvature, and noise that follows the loss."""
    return [_curvature_noise(), *_loss_noise()]


def _curvature_noise():
    """Check ``M = (eta / 2B) |L''|``, constant on each side of the inflection."""
    steep, flat, ratio = 2.0, 1.0, 80.0  # H_a, |H_b|, B / eta
    # L = H_a x^2 / 2 up to c, then a parabola to its top at s, value and slope continuous
    c = 0.4
    s = c + steep * c / flat
    low = 0.5 * steep * c**2
    barrier = low + 0.5 * flat * (s - c) ** 2

    def drift(x):
        return np.where(x < c, -steep * x, flat * (x - s))

    def variance(x):
        return np.where(x < c, steep, flat) / ratio

    time = quadrature.mean_exit_time(drift, variance, 0.0, -np.inf, s, breakpoints=[c]).value
    share = low / barrier
    exponent = 2 * ratio * barrier * (share / steep + (1 - share) / flat)
    return compare(
        CURVATURE_NOISE.at(f"H_a = {steep:g}, |H_b| = {flat:g}, B/η = {ratio:g}", 0.05),
        math.log(2 * time) - exponent,
        "==",
        math.log(2 * math.pi / steep),
        finding="The prefactor under Itô's reading is 2π/H_a, not the quoted 2π/|H_b|.",
    )


def _loss_noise():
    """Check ``M = eta L L'' / B``: power laws in the height of the barrier."""
    found = []
    for power in (2.0, 5.0, 10.0):
        heights = np.array([500.0, 1000.0, 2000.0])
        # L = 1 + x^2 / 2, L'' = 1: M = L / power
        times = [
            quadrature.mean_exit_time(
                lambda x: -x,
                lambda x, power=power: 2 * (1 + 0.5 * x**2) / power,
                0.0,
                -math.sqrt(2 * (height - 1)),
                math.sqrt(2 * (height - 1)),
            ).value
            for height in heights
        ]
        slope = math.log(times[-1] / times[-2]) / math.log(2.0)
        there = LOSS_NOISE.at(f"n = 1, B/(ηL'') = {power:g}, L_s/L* from 1000 to 2000", 0.01)
        found.append(compare(there, slope, "==", power + 0.5))
    return found


_NAMES = {
    "gd": "GD",
    "gld_constant": "GLD constant",
    "gld_diagonal": "GLD diagonal",
    "gld_leading": "GLD leading",
    "gld_hessian": "GLD Hessian",
    "gld_first_eigenvector": "GLD first eigenvector",
}


def _two_basin(settings):
    """Check that aligned noise leaves the sharp of two basins more often."""
    data = two_basin_data(settings.rng("dynamics/two basins"))
    num_runs = settings.pick(1_000, 10_000, 100_000)
    rates = {}
    for dynamics in two_basin_dynamics.FIGURE_DYNAMICS:
        runs = two_basin_dynamics.simulate_two_basin(
            dynamics, data, num_runs, settings.stream_seed("dynamics/two basins")
        )
        rates[dynamics] = runs.success_rate(0.9999)
    shown = ", ".join(
        f"{_NAMES[name]} {rate:.3f} ({low:.3f} to {high:.3f})"
        for name, (rate, low, high) in rates.items()
    )
    aligned = ("gld_leading", "gld_hessian", "gld_first_eigenvector")
    return [
        compare(
            TWO_BASINS.at(f"{num_runs:,} runs each, 500 steps, η = 0.005, E|ξ|² = 0.01"),
            min(rates[name][1] for name in aligned),
            ">=",
            max(rates[name][2] for name in rates if name not in aligned),
            finding=f"Success rates with 99.99 % intervals: {shown}.",
        )
    ]
