"""Definition 1, escaping efficiency: closed forms against each other, recursion and simulation."""

import autograd.numpy as anp
import numpy as np

from aniso import estimates
from aniso.closed_forms import diffusion
from aniso.matrices import indicators
from aniso.matrices import structures as noise_structures
from aniso.propositions import definition1_forms, falsification, symbols
from aniso.propositions import definition1_simulation as simulations
from aniso.propositions.check import Statement, compare
from aniso.propositions.settings import Task

TITLE = (
    "Definition 1, escaping efficiency: closed forms against each other, recursion and simulation"
)

LEGEND = (
    symbols.shared("E", "L")
    | {
        "t": "time",
        "L_t, L_0": "mean loss at time t or after t steps, and at the start",
    }
    | symbols.shared("D", "H", "λ₁", "u₁", "Σ", "Tr")
    | {
        "Σ_iso": "isotropic noise of trace Tr Σ",
        "λ": "the eigenvalue of H of largest size",
        "λ_min": "the smallest eigenvalue",
        "C": "covariance of θ",
        "q_i": "1 - ηλ_i",
        "k": "number of steps",
        "m": "batch size",
        "z": "deviation in standard errors",
        "h": "hidden units",
        "SDE": "dθ = -∇L dt + Σ^½ dW",
    }
    | symbols.shared("SGD", "η", "ε", "FashionMNIST 0/6 at 14×14")
)

_MOTION = "docs/theory/motion.md"
SLOPE = Statement(
    "slope at zero",
    "E[L_t] - L_0 = (t/2) Tr(HΣ) + O(t²): the remainder falls with order 2",
    "the next order bends the slope by at most 2 λ t",
    f"{_MOTION}, Definition 1",
)
CHAIN_TO_SDE = Statement(
    "chain to SDE",
    "at fixed kη the losses of k steps of SGD tend to those of the SDE with order 1 in η",
    "the next order bends the slope by at most λη",
    f"{_MOTION}, Weak order of the chain",
)
PLATEAU = Statement(
    "plateau",
    "E[L_t] - L_0 → Tr(Σ)/4 for every noise structure, whatever its alignment",
    "rounding, 8 D ε Tr Σ; exp(-2 λ_min t) = exp(-40) is less",
    f"{_MOTION}, Diffusion on a quadratic",
)
CEILING = Statement(
    "ceiling of the slope",
    "Tr(HΣ) ≤ λ₁ Tr Σ",
    "rounding, 8 D ε λ₁ Tr Σ",
    "docs/theory/noise.md, Largest alignment",
)
OPTIMAL = Statement(
    "optimal noise",
    "Σ = Tr(Σ) u₁ u₁ᵀ reaches Tr(HΣ)/Tr(H Σ_iso) = λ₁ D / Tr H",
    "rounding of an eigendecomposition, 64 D ε",
    "docs/theory/noise.md, Largest alignment",
)
BELOW_TANGENT = Statement(
    "never above the tangent",
    "E[L_t] - L_0 ≤ (t/2) Tr(HΣ) for every symmetric H and every t",
    "rounding, 64 D ε in units of Tr Σ",
    f"{_MOTION}, Diffusion on a quadratic",
)
BELOW_PLATEAU = Statement(
    "never above the plateau",
    "E[L_t] - L_0 ≤ Tr(Σ)/4 for every symmetric H and every t",
    "rounding, 64 D ε in units of Tr Σ",
    f"{_MOTION}, Diffusion on a quadratic",
)


def tasks(settings):
    """Return the tasks of Definition 1.

    Parameters
    ----------
    settings : aniso.propositions.settings.Settings
        Scale and seed of the verification.

    Returns
    -------
    list of aniso.propositions.settings.Task
    """
    return [
        Task("closed forms", lambda: definition1_forms.closed_form_checks(settings)),
        Task("short and long times", lambda: _slope_and_plateau(settings)),
        Task("simulation", lambda: simulations.simulation_checks(settings), 2.5, "langevin"),
        Task(
            "simulation, FashionMNIST",
            lambda: simulations.real_simulation_checks(settings),
            0.4,
            "langevin",
            simulations.real_simulation_needs(settings),
        ),
        Task("falsification", lambda: _falsification(settings), 0.6),
    ]


def _slope_and_plateau(settings):
    rng = settings.rng("definition1/slope and plateau")
    eigenvalues = np.geomspace(0.02, 5.0, 12)
    hessian, covariance = definition1_forms.random_problem(rng, eigenvalues)
    setting = "D = 12, spectrum from 0.02 to 5"
    rate = indicators.escape_rate(hessian, covariance)
    times = np.geomspace(1e-4, 1e-2, 9)
    remainder = rate * times - diffusion.escaping_efficiency(hessian, covariance, times)
    order = estimates.loglog_slope(times, remainder)
    found = [
        compare(
            SLOPE.at(f"{setting}, t from 1e-4 to 1e-2", 2 * eigenvalues[-1] * times[-1]),
            order.value,
            "==",
            2.0,
            series={"times": times, "remainder": remainder},
        )
    ]
    steps = 2.0 ** -np.arange(4, 9)
    continuous = diffusion.escaping_efficiency(hessian, covariance, [1.0])[0]
    errors = [
        abs(
            diffusion.chain_escaping_efficiency(hessian, covariance / step, step, round(1 / step))
            - continuous
        )
        for step in steps
    ]
    order = estimates.loglog_slope(steps, errors)
    found.append(
        compare(
            CHAIN_TO_SDE.at(f"{setting}, η from 1/256 to 1/16, t = 1", eigenvalues[-1] * steps[0]),
            order.value,
            "==",
            1.0,
            series={"learning_rates": steps, "errors": errors},
        )
    )
    found.extend(_structures_side_by_side(hessian, covariance, eigenvalues, setting))
    return found


def _structures_side_by_side(hessian, covariance, eigenvalues, setting):
    """Check slope, curve and plateau of several structures at one trace."""
    trace = float(np.trace(covariance))
    structures = {
        "isotropic": np.eye(len(hessian)) * (trace / len(hessian)),
        "generic": covariance,
        "along H": hessian * (trace / np.trace(hessian)),
        "optimal": noise_structures.optimal_noise(hessian, covariance),
    }
    slopes = {name: indicators.escape_rate(hessian, value) for name, value in structures.items()}
    long_time = 20 / eigenvalues[0]
    plateaus = [
        diffusion.escaping_efficiency(hessian, value, [long_time])[0]
        for value in structures.values()
    ]
    worst = max(plateaus, key=lambda value: abs(value - trace / 4))
    rounding = 8 * len(hessian) * np.finfo(float).eps * trace
    times = np.geomspace(1e-3, long_time, 60)
    curves = {
        name: diffusion.escaping_efficiency(hessian, value, times)
        for name, value in structures.items()
    }
    found = [
        compare(
            PLATEAU.at(f"{setting}, four structures of one trace", rounding),
            worst,
            "==",
            trace / 4,
            finding="Tr(HΣ) is a short-time indicator: at equal trace the initial slopes of "
            f"optimal and isotropic noise differ {slopes['optimal'] / slopes['isotropic']:.3g}-fold"
            ", the plateaus agree.",
            series={"times": times} | curves,
        )
    ]
    ceiling = 0.5 * eigenvalues[-1] * trace
    for name, value in slopes.items():
        statement = CEILING.at(f"{setting}, {name} noise", rounding * eigenvalues[-1])
        found.append(compare(statement, value, "<=", ceiling))
    gain = indicators.trace_ratio(hessian, structures["optimal"])
    expected = eigenvalues[-1] * len(hessian) / eigenvalues.sum()
    rounding = 64 * len(hessian) * np.finfo(float).eps * expected
    found.append(compare(OPTIMAL.at(setting, rounding), gain, "==", expected))
    return found


def _falsification(settings):
    size = 4
    rng = settings.rng("definition1/falsification")
    starts = rng.standard_normal((settings.pick(4, 12, 60), 2 * size + 1))

    def sides(x):
        # Only diag(Sigma) in the eigenbasis of H enters, so this is general up to rotation.
        eigenvalues, noise, time = 2 * x[:size], anp.exp(x[size:-1]), anp.exp(x[-1])
        trace = anp.sum(noise)
        curve = -anp.sum(anp.expm1(-2 * eigenvalues * time) * noise) / 4
        slope = anp.sum(eigenvalues * noise) / 2
        return curve / trace, time * slope / trace

    def below_tangent(x):
        curve, tangent = sides(x)
        return tangent - curve

    def below_plateau(x):
        curve, _ = sides(x)
        return 0.25 - curve

    setting = f"D = {size}, any spectrum, noise and time; {len(starts)} starts"
    found = []
    for statement, margin, false_margin, false_claim in (
        (
            BELOW_TANGENT,
            below_tangent,
            lambda x: 0.9 * sides(x)[1] - sides(x)[0],
            "the same with 0.9 t/2",
        ),
        (
            BELOW_PLATEAU,
            below_plateau,
            lambda x: 0.2 - sides(x)[0],
            "the same with 0.2 in place of 1/4",
        ),
    ):
        worst = falsification.search(margin, starts)
        planted = falsification.search(false_margin, starts, target=-1e-6)
        rounding = 64 * size * np.finfo(float).eps
        found += falsification.verdicts(
            statement.at(setting, rounding), false_claim, worst, planted
        )
    return found
