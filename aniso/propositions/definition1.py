"""Definition 1, escaping efficiency: closed forms against each other, recursion and simulation."""

import math

import autograd.numpy as anp
import numpy as np
from scipy import integrate, linalg

from aniso import estimates, indicators, langevin, noise_structures, ornstein_uhlenbeck
from aniso.propositions import falsification, trained_networks
from aniso.propositions.check import Task, compare

SOURCE = "Zhu et al. 2019, Definition 1 and eq. (6)"
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
        Task("closed forms", lambda: _closed_forms(settings)),
        Task("short and long times", lambda: _slope_and_plateau(settings)),
        Task("simulation", lambda: _simulation(settings)),
        Task("simulation, FashionMNIST", lambda: _real_simulation(settings)),
        Task("falsification", lambda: _falsification(settings)),
    ]


def _problem(rng, eigenvalues):
    """Symmetric H of the given spectrum in a random basis, and a generic Sigma."""
    size = len(eigenvalues)
    basis, _ = np.linalg.qr(rng.standard_normal((size, size)))
    hessian = (basis * eigenvalues) @ basis.T
    factor = rng.standard_normal((size, size))
    return (hessian + hessian.T) / 2, factor @ factor.T / size


def _closed_forms(settings):
    rng = settings.rng("definition1/closed forms")
    eigenvalues = np.array([3.0, 1.0, 0.5, 0.1, 0.0, 0.0, -0.2, -0.7])
    hessian, covariance = _problem(rng, eigenvalues)
    size = len(eigenvalues)
    setting = f"D = {size}, spectrum from -0.7 to 3 with zeros"
    times = np.geomspace(0.01, 4.0, settings.pick(5, 9, 33))
    closed = ornstein_uhlenbeck.escaping_efficiency(hessian, covariance, times)
    growth = math.exp(2 * 3.0 * times[-1])
    rounding = size * np.finfo(float).eps * growth * np.trace(covariance)

    exponential = np.array([_by_matrix_exponential(hessian, covariance, t) for t in times])
    found = [
        _equality(
            "closed form, SDE",
            closed,
            exponential,
            rounding,
            "E[L_t] - L_0 = Tr((I - exp(-2Ht)) Σ) / 4 for every symmetric H",
            setting + "; against a block matrix exponential",
            "rounding of the exponential, D ε exp(2 |λ| t) Tr Σ",
        )
    ]
    balance = np.array([_by_energy_balance(hessian, covariance, t) for t in times])
    found.append(
        _equality(
            "energy balance",
            closed,
            balance,
            1e-10 * np.abs(closed).max(),
            "E[L_t] - L_0 = -∫E|∇L|^2 ds + ∫Tr(HΣ)/2 ds",
            setting + "; integrals by adaptive quadrature",
            "relative tolerance 1e-10 asked of the quadrature",
        )
    )
    learning_rate, num_steps = 0.1, settings.pick(20, 60, 400)
    recursion, state = [], np.zeros_like(hessian)
    contraction = np.eye(size) - learning_rate * hessian
    for _ in range(num_steps):
        state = contraction @ state @ contraction + learning_rate**2 * covariance
        recursion.append(np.sum(hessian * state) / 2)
    chain = np.array(
        [
            ornstein_uhlenbeck.chain_escaping_efficiency(hessian, covariance, learning_rate, step)
            for step in range(1, num_steps + 1)
        ]
    )
    recursion = np.array(recursion)
    found.append(
        _equality(
            "closed form, chain",
            chain,
            recursion,
            8 * num_steps * size * np.finfo(float).eps * np.abs(recursion).max(),
            "k steps of SGD with constant noise: C_ij = η² Σ_ij (1-(q_i q_j)^k)/(1-q_i q_j)",
            setting + f"; against {num_steps} steps of the recursion",
            "rounding of k products of D x D matrices, 8 k D ε",
        )
    )
    definite, covariance = _problem(rng, np.geomspace(0.05, 4.0, size))
    stationary = ornstein_uhlenbeck.stationary_covariance(definite, covariance)
    residual = definite @ stationary + stationary @ definite - covariance
    found.append(
        _equality(
            "Lyapunov equation",
            np.linalg.norm(residual),
            0.0,
            8 * size * np.finfo(float).eps * np.linalg.norm(covariance) * 4.0 / 0.05,
            "the stationary covariance solves H C + C H = Σ",
            f"D = {size}, spectrum from 0.05 to 4",
            "rounding, 8 D ε times the condition number of H",
        )
    )
    return found


def _equality(name, measured, expected, tolerance, claim, setting, reason):
    """Check of the entry in which two arrays differ most."""
    measured, expected = np.atleast_1d(measured), np.atleast_1d(expected)
    worst = int(np.argmax(np.abs(measured - expected)))
    return compare(
        name,
        measured[worst],
        "==",
        expected[worst],
        claim=claim,
        setting=setting,
        tolerance=tolerance,
        tolerance_reason=reason,
        source=SOURCE,
    )


def _by_matrix_exponential(hessian, covariance, time):
    """Tr(H C_t)/2 with C_t from the exponential of [[H, Sigma], [0, -H]] t (Van Loan 1978)."""
    size = len(hessian)
    block = np.block([[hessian, covariance], [np.zeros_like(hessian), -hessian]])
    exponential = linalg.expm(block * time)
    state = exponential[size:, size:].T @ exponential[:size, size:]
    return float(np.sum(hessian * state) / 2)


def _by_energy_balance(hessian, covariance, time):
    def dissipation(s):
        state = ornstein_uhlenbeck.covariance_at(hessian, covariance, s)
        return float(np.sum((hessian @ hessian) * state))

    lost, _ = integrate.quad(dissipation, 0, time, epsabs=0, epsrel=1e-12)
    return 0.5 * time * indicators.alignment(hessian, covariance) - lost


def _slope_and_plateau(settings):
    rng = settings.rng("definition1/slope and plateau")
    eigenvalues = np.geomspace(0.02, 5.0, 12)
    hessian, covariance = _problem(rng, eigenvalues)
    setting = "D = 12, spectrum from 0.02 to 5"
    rate = indicators.escape_rate(hessian, covariance)
    times = np.geomspace(1e-4, 1e-2, 9)
    remainder = rate * times - ornstein_uhlenbeck.escaping_efficiency(hessian, covariance, times)
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
            source=SOURCE,
            series={"times": times, "remainder": remainder},
        )
    ]
    steps = 2.0 ** -np.arange(4, 9)
    continuous = ornstein_uhlenbeck.escaping_efficiency(hessian, covariance, [1.0])[0]
    errors = [
        abs(
            ornstein_uhlenbeck.chain_escaping_efficiency(
                hessian, covariance / step, step, round(1 / step)
            )
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
            source="theory: weak order 1 of Euler-Maruyama",
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
        ornstein_uhlenbeck.escaping_efficiency(hessian, value, [long_time])[0]
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
            source=SOURCE,
            finding="Tr(HΣ) is a short-time indicator: at equal trace the initial slopes of "
            f"optimal and isotropic noise differ {slopes['optimal'] / slopes['isotropic']:.3g}-fold"
            ", the plateaus agree.",
            series={"times": times}
            | {
                name: ornstein_uhlenbeck.escaping_efficiency(hessian, value, times)
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
                source=SOURCE,
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
            source=SOURCE,
        )
    )
    return found


def _simulation(settings):
    rng = settings.rng("definition1/simulation")
    eigenvalues = np.array([8.0, 3.0, 1.0, 0.4, 0.1, 0.0, -0.05, -0.1])
    hessian, covariance = _problem(rng, eigenvalues)
    learning_rate, num_steps = 0.2, 40
    num_paths = settings.pick(4_000, 20_000, 200_000)
    steps = np.array([1, 2, 5, 10, 20, num_steps])
    seed = settings.stream_seed("definition1/simulation paths")
    run = langevin.simulate_linear_chain(hessian, covariance, learning_rate, steps, num_paths, seed)
    setting = f"D = 8, ηλ₁ = 1.6, {num_paths:,} paths of {num_steps} steps"
    found = [_against_chain(run, hessian, covariance, learning_rate, setting)]
    continuous = ornstein_uhlenbeck.escaping_efficiency(
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
    expected = [
        ornstein_uhlenbeck.chain_escaping_efficiency(hessian, covariance, learning_rate, int(step))
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
        source=SOURCE,
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
    (final,) = trained_networks.snapshots(problem, (trained_networks.NUM_EPOCHS,))
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
                source=SOURCE,
            )
        )
    return found
