"""Definition 1, escaping efficiency: closed forms against each other, recursion and simulation."""

import autograd.numpy as anp
import numpy as np

from aniso import estimates, langevin
from aniso.closed_forms import diffusion
from aniso.matrices import indicators
from aniso.matrices import structures as noise_structures
from aniso.propositions import definition1_forms, falsification, trained_networks
from aniso.propositions.check import Task, compare
from aniso.propositions.constants import snapshot

TITLE = (
    "Definition 1, escaping efficiency: closed forms against each other, recursion and simulation"
)

MAX_Z_SCORE = 4.0


def tasks(settings):
    """Tasks of Definition 1.

    Parameters
    ----------
    settings : aniso.propositions.check.Settings

    Returns
    -------
    list of aniso.propositions.check.Task
    """
    return [
        Task("closed forms", lambda: definition1_forms.closed_form_checks(settings)),
        Task("short and long times", lambda: _slope_and_plateau(settings)),
        Task("simulation", lambda: _simulation(settings)),
        Task("simulation, FashionMNIST", lambda: _real_simulation(settings)),
        Task("falsification", lambda: _falsification(settings)),
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
            "slope at zero",
            order.value,
            "==",
            2.0,
            claim="E[L_t] - L_0 = (t/2) Tr(HΣ) + O(t^2): the remainder falls with order 2",
            setting=setting + ", t from 1e-4 to 1e-2",
            tolerance=2 * eigenvalues[-1] * times[-1],
            tolerance_reason="the next order bends the slope by at most 2 λ t",
            source=definition1_forms.SOURCE,
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
            "chain to SDE",
            order.value,
            "==",
            1.0,
            claim="at fixed kη the chain tends to the SDE with order 1 in η",
            setting=setting + ", η from 1/256 to 1/16, t = 1",
            tolerance=eigenvalues[-1] * steps[0],
            tolerance_reason="the next order bends the slope by at most λη",
            source="weak order 1 of Euler-Maruyama, docs/theory/motion.md",
            series={"learning_rates": steps, "errors": errors},
        )
    )
    found.extend(_structures_side_by_side(hessian, covariance, eigenvalues, setting))
    return found


def _structures_side_by_side(hessian, covariance, eigenvalues, setting):
    """Slope, curve and plateau of several structures at one trace."""
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
    found = [
        compare(
            "plateau",
            worst,
            "==",
            trace / 4,
            claim="E[L_t] - L_0 → Tr(Σ)/4 for every noise structure, whatever its alignment",
            setting=setting + ", four structures of one trace",
            tolerance=rounding,
            tolerance_reason="rounding, 8 D ε Tr Σ; exp(-2 λ_min t) = exp(-40) is less",
            source=definition1_forms.SOURCE,
            finding="Tr(HΣ) is a short-time indicator: at equal trace the initial slopes of "
            f"optimal and isotropic noise differ {slopes['optimal'] / slopes['isotropic']:.3g}-fold"
            ", the plateaus agree.",
            series={"times": times}
            | {
                name: diffusion.escaping_efficiency(hessian, value, times)
                for name, value in structures.items()
            },
        )
    ]
    ceiling = 0.5 * eigenvalues[-1] * trace
    for name, value in slopes.items():
        found.append(
            compare(
                "ceiling of the slope",
                value,
                "<=",
                ceiling,
                claim="Tr(HΣ) ≤ λ₁ Tr Σ",
                setting=f"{setting}, {name} noise",
                tolerance=rounding * eigenvalues[-1],
                tolerance_reason="rounding, 8 D ε λ₁ Tr Σ",
                source=definition1_forms.SOURCE,
            )
        )
    gain = indicators.trace_ratio(hessian, structures["optimal"])
    expected = eigenvalues[-1] * len(hessian) / eigenvalues.sum()
    found.append(
        compare(
            "optimal noise",
            gain,
            "==",
            expected,
            claim="Σ* = Tr(Σ) u₁ u₁ᵀ reaches Tr(HΣ*)/Tr(H Σ_iso) = λ₁ D / Tr H",
            setting=setting,
            tolerance=64 * len(hessian) * np.finfo(float).eps * expected,
            tolerance_reason="rounding of an eigendecomposition, 64 D ε",
            source=definition1_forms.SOURCE,
        )
    )
    return found


def _simulation(settings):
    rng = settings.rng("definition1/simulation")
    eigenvalues = np.array([8.0, 3.0, 1.0, 0.4, 0.1, 0.0, -0.05, -0.1])
    hessian, covariance = definition1_forms.random_problem(rng, eigenvalues)
    learning_rate, num_steps = 0.2, 40
    num_paths = settings.pick(4_000, 20_000, 200_000)
    steps = np.array([1, 2, 5, 10, 20, num_steps])
    seed = settings.stream_seed("definition1/simulation paths")
    run = langevin.simulate_linear_chain(hessian, covariance, learning_rate, steps, num_paths, seed)
    setting = f"D = 8, ηλ₁ = 1.6, {num_paths:,} paths of {num_steps} steps"
    found = [_against_chain(run, hessian, covariance, learning_rate, setting)]
    with definition1_forms.at_any_time():
        continuous = diffusion.escaping_efficiency(
            hessian, learning_rate * covariance, learning_rate * steps
        )
    scores = [abs(loss.z_score(c)) for loss, c in zip(run.loss, continuous, strict=True)]
    found.append(
        compare(
            "power of the simulation",
            max(scores),
            ">=",
            MAX_Z_SCORE,
            claim="at a coarse step the simulated chain is told apart from the SDE's closed form",
            setting=setting,
            tolerance=0.0,
            tolerance_reason="none: a planted falsehood must be rejected",
            source="planted falsehood",
        )
    )
    return found


def _against_chain(run, hessian, covariance, learning_rate, setting):
    """Check of the simulated mean loss against the discrete closed form, worst recorded step."""
    with definition1_forms.at_any_time():
        expected = [
            diffusion.chain_escaping_efficiency(hessian, covariance, learning_rate, int(step))
            for step in run.steps
        ]
    scores = [loss.z_score(value) for loss, value in zip(run.loss, expected, strict=True)]
    worst = int(np.argmax(np.abs(scores)))
    loss = run.loss[worst]
    return compare(
        "simulated chain",
        loss.value,
        "==",
        expected[worst],
        claim="the simulated mean loss is the discrete closed form at every recorded step",
        setting=f"{setting}, step {int(run.steps[worst])} (z = {scores[worst]:+.1f})",
        tolerance=MAX_Z_SCORE * loss.standard_error,
        tolerance_reason=f"{MAX_Z_SCORE:g} standard errors at the worst of {len(scores)} steps",
        source=definition1_forms.SOURCE,
        standard_error=loss.standard_error,
        series={
            "steps": run.steps,
            "simulated": [item.value for item in run.loss],
            "standard_error": [item.standard_error for item in run.loss],
            "closed_form": expected,
        },
    )


def _real_simulation(settings):
    """SGD on the quadratic model of a network trained on real images."""
    problem = trained_networks.Problem(
        trained_networks.IMAGES, "clipped squared", "relu", 32, settings.seed
    )
    theta = trained_networks.trained_parameters(problem)
    final = snapshot(trained_networks.training_objective(problem), theta)
    eigenvalue, _ = final.leading_eigenpair
    learning_rate, batch_size = 0.5 / eigenvalue, 20
    covariance = final.gradient_covariance / batch_size
    num_paths = settings.pick(500, 2_000, 20_000)
    run = langevin.simulate_linear_chain(
        final.hessian,
        covariance,
        learning_rate,
        np.array([1, 3, 10, 30, 100]),
        num_paths,
        settings.stream_seed("definition1/FashionMNIST paths"),
    )
    setting = (
        f"{problem}, H and Σ of rank {len(final.hessian)}, m = {batch_size}, {num_paths:,} paths"
    )
    return [_against_chain(run, final.hessian, covariance, learning_rate, setting)]


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

    found = []
    for name, margin, false_margin, claim, false_claim in (
        (
            "never above the tangent",
            below_tangent,
            lambda x: 0.9 * sides(x)[1] - sides(x)[0],
            "E[L_t] - L_0 ≤ (t/2) Tr(HΣ) for every symmetric H and every t",
            "the same with 0.9 t/2",
        ),
        (
            "never above the plateau",
            below_plateau,
            lambda x: 0.2 - sides(x)[0],
            "E[L_t] - L_0 ≤ Tr(Σ)/4 for every symmetric H and every t",
            "the same with 0.2 in place of 1/4",
        ),
    ):
        worst = falsification.search(margin, starts)
        found.extend(
            falsification.verdicts(
                name,
                worst,
                falsification.search(false_margin, starts, target=-1e-6),
                claim=claim,
                false_claim=false_claim,
                setting=f"D = {size}, any spectrum, noise and time; {len(starts)} starts",
                tolerance=64 * size * np.finfo(float).eps,
                tolerance_reason="rounding, 64 D ε in units of Tr Σ",
                source=definition1_forms.SOURCE,
            )
        )
    return found
