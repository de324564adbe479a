"""Checks of the motion itself: moments, orders, modified equations, sampling of examples."""

import numpy as np
import scipy.linalg

from aniso import estimates, langevin
from aniso.closed_forms import diffusion as ornstein_uhlenbeck
from aniso.langevin import (
    convergence,
    drifts,
    example_chains,
    example_sets,
    linear_schemes,
    modified_equations,
    noises,
)
from aniso.propositions.check import Task, compare

MAX_Z_SCORE = 4.5
Z_REASON = "4.5 standard errors at the worst entry"

HESSIAN = np.array([[2.0, 0.6, 0.0], [0.6, 1.0, 0.2], [0.0, 0.2, 0.5]])
COVARIANCE = np.array([[1.0, -0.4, 0.1], [-0.4, 0.8, 0.3], [0.1, 0.3, 0.6]])
SETTING = "D = 3, H and Σ that do not commute"


def tasks(settings):
    """Tasks about the motion.

    Parameters
    ----------
    settings : aniso.propositions.check.Settings

    Returns
    -------
    list of aniso.propositions.check.Task
    """
    return [
        Task("energy balance", lambda: _energy_balance(settings)),
        Task("Ornstein-Uhlenbeck paths", lambda: _ornstein_uhlenbeck_paths(settings)),
        Task("discrete chain", lambda: _discrete_chain(settings)),
        Task("entropy production", lambda: _entropy_production(settings)),
        Task("orders of schemes", lambda: _orders(settings)),
        Task("modified equations", lambda: _modified(settings)),
        Task("sampling in epochs", lambda: _sampling_in_epochs(settings)),
    ]


def _energy_balance(settings):
    """Definition 1 with noise that depends on the state: ``E L_t = L_0 exp((b^2 - 2 h) t)``."""
    curvature, spread, time, steps = 1.0, 0.8, 1.0, 64
    problem = langevin.LangevinProblem(
        drifts.of_polynomial([0.0, 0.0, curvature / 2]), noises.proportional([spread]), [1.0]
    )
    run = langevin.simulate_ensemble(
        problem,
        "milstein",
        time / steps,
        [steps],
        settings.pick(5_000, 20_000, 200_000),
        settings.stream_seed("dynamics/energy balance"),
    )
    expected = 0.5 * curvature * np.exp((spread**2 - 2 * curvature) * time)
    # E x^2 grows by ((1 - h dt)^2 + b^2 dt + b^4 dt^2 / 2) a step, exactly
    h = time / steps
    factor = (1 - curvature * h) ** 2 + spread**2 * h + 0.5 * spread**4 * h**2
    bias = abs(0.5 * curvature * factor**steps - expected)
    return [
        compare(
            "energy balance, noise of the state",
            run.loss[0].value,
            "==",
            expected,
            claim="E[L_t] - L_0 = -∫E|∇L|² ds + ∫E Tr(HΣ_s)/2 ds with Σ_s = b² θ_s²",
            setting=f"L = θ²/2, b = {spread}, t = 1, Milstein with {steps} steps",
            tolerance=MAX_Z_SCORE * run.loss[0].standard_error + bias,
            tolerance_reason="4.5 standard errors, and the scheme's own bias, known exactly",
            source="Zhu et al. 2019, Definition 1; Itô's formula",
            standard_error=run.loss[0].standard_error,
        )
    ]


def _ornstein_uhlenbeck_paths(settings):
    """Diffusion on a quadratic by simulation: covariance in time and autocovariance."""
    problem = langevin.LangevinProblem(
        drifts.of_quadratic(HESSIAN), noises.constant(COVARIANCE), np.zeros(3)
    )
    num_paths = settings.pick(5_000, 20_000, 200_000)
    steps, h = np.array([1, 4, 40]), 0.25
    paths = langevin.simulate_paths(
        problem, "exact", h, steps, num_paths, settings.stream_seed("dynamics/ou"), num_threads=1
    )
    found = []
    for record, step in enumerate(steps[:2]):
        exact = ornstein_uhlenbeck.covariance_at(HESSIAN, COVARIANCE, h * step)
        found.append(
            _worst_entry(
                "covariance in time",
                paths[:, record, :, None] * paths[:, record, None, :],
                exact,
                "C_t = ∫ exp(-Hs) Σ exp(-Hs) ds",
                f"{SETTING}, t = {h * step:g}, {num_paths:,} paths",
                "Mandt 2017; Gardiner",
            )
        )
    # from the stationary law, by starting at the covariance of step 40
    lag = scipy.linalg.expm(-HESSIAN * h * 3)
    early = ornstein_uhlenbeck.covariance_at(HESSIAN, COVARIANCE, h)
    found.append(
        _worst_entry(
            "autocovariance",
            paths[:, 1, :, None] * paths[:, 0, None, :],
            lag @ early,
            "Cov(θ_{t+τ}, θ_t) = exp(-Hτ) C_t",
            f"{SETTING}, t = {h:g}, τ = {3 * h:g}, {num_paths:,} paths",
            "Gardiner",
        )
    )
    return found


def _worst_entry(name, products, exact, claim, setting, source):
    errors = products.std(axis=0) / np.sqrt(len(products))
    scores = (products.mean(axis=0) - exact) / errors
    worst = np.unravel_index(np.abs(scores).argmax(), scores.shape)
    return compare(
        name,
        products.mean(axis=0)[worst],
        "==",
        exact[worst],
        claim=claim,
        setting=f"{setting}, entry {tuple(int(i) for i in worst)} (z = {scores[worst]:+.1f})",
        tolerance=MAX_Z_SCORE * errors[worst],
        tolerance_reason=Z_REASON,
        source=source,
        standard_error=errors[worst],
    )


def _discrete_chain(settings):  # noqa: ARG001
    """The chain of constant noise in closed form, and its stationary loss."""
    rate, count = 0.3, 37
    factor = np.linalg.cholesky(COVARIANCE)
    step = linear_schemes.LinearStep(np.eye(3) - rate * HESSIAN, rate * factor)
    _, covariance = linear_schemes.moments_at(step, np.zeros(3), np.zeros((3, 3)), count)
    values, vectors = np.linalg.eigh(HESSIAN)
    rotated, q = vectors.T @ COVARIANCE @ vectors, 1 - rate * values
    sums = values[:, None] + values[None, :] - rate * np.outer(values, values)
    closed = vectors @ (rate * rotated * (1 - np.outer(q, q) ** count) / sums) @ vectors.T
    rounding = 64 * count * np.finfo(float).eps * np.abs(closed).max()
    _, late = linear_schemes.moments_at(step, np.zeros(3), np.zeros((3, 3)), 2**14)
    loss = 0.5 * rate * np.trace(np.linalg.solve(2 * np.eye(3) - rate * HESSIAN, COVARIANCE))
    worst = np.unravel_index(np.abs(covariance - closed).argmax(), (3, 3))
    source = "Liu, Ziyin and Ueda 2021 (arXiv:2012.03636)"
    return [
        compare(
            "chain of constant noise",
            covariance[worst],
            "==",
            closed[worst],
            claim="C_ij = η S_ij (1 - (q_i q_j)^n) / (λ_i + λ_j - η λ_i λ_j)",
            setting=f"{SETTING}, η = {rate}, n = {count}",
            tolerance=rounding,
            tolerance_reason="rounding, 64 n ε",
            source=source,
        ),
        compare(
            "stationary loss of the chain",
            0.5 * np.sum(HESSIAN * late),
            "==",
            loss,
            claim="E L = (η/2) Tr((2I - ηH)^-1 S)",
            setting=f"{SETTING}, η = {rate}",
            tolerance=1e-12 * loss,
            tolerance_reason="rounding of 14 squarings",
            source=source,
        ),
    ]


def _entropy_production(settings):  # noqa: ARG001
    """The stationary current vanishes exactly where H and Sigma commute."""
    found = []
    commuting = 0.5 * HESSIAN @ HESSIAN + HESSIAN
    for name, covariance, expected in (
        ("commuting noise", commuting, True),
        ("noise that does not commute", COVARIANCE, False),
    ):
        stationary = ornstein_uhlenbeck.stationary_covariance(HESSIAN, covariance)
        diffusion = covariance / 2
        production = np.trace(
            HESSIAN @ np.linalg.solve(diffusion, HESSIAN @ stationary)
        ) - np.trace(HESSIAN)
        current = HESSIAN - diffusion @ np.linalg.inv(stationary)
        dissipated = np.trace(current.T @ np.linalg.solve(diffusion, current @ stationary))
        found.append(
            compare(
                "entropy production",
                production,
                "==",
                dissipated,
                claim="Tr(H D⁻¹ H C) - Tr H is the dissipation of the current (H - D C⁻¹)θ p",
                setting=f"D = 3, {name}",
                tolerance=1e-11,
                tolerance_reason="rounding times the condition of D",
                source="Chaudhari and Soatto 2018",
            )
        )
        found.append(
            compare(
                "equilibrium",
                production,
                "==" if expected else ">=",
                0.0 if expected else 0.01,
                claim="the entropy production is 0 if H and Σ commute, and positive otherwise",
                setting=f"D = 3, {name}",
                tolerance=1e-11 if expected else 0.0,
                tolerance_reason="rounding" if expected else "none: planted current",
                source="Chaudhari and Soatto 2018",
            )
        )
    return found


def _orders(settings):
    """Euler-Maruyama's orders, by exact moments, and by simulation for noise of the state."""
    problem = langevin.LangevinProblem(
        drifts.of_quadratic(HESSIAN), noises.constant(COVARIANCE), np.ones(3)
    )
    study = convergence.convergence_study(problem, "euler_maruyama", coarsest=64)
    found = [
        compare(
            f"{kind} order of Euler-Maruyama",
            measured.order if measured.order is not None else np.nan,
            "==",
            1.0,
            claim=f"{kind} order 1 for additive noise",
            setting=f"{SETTING}, exact moments, {study.strong.step_sizes.size} step sizes",
            tolerance=0.05,
            tolerance_reason="the next order bends the slope by about λh at the coarsest step",
            source="Kloeden and Platen",
            series={"step_sizes": measured.step_sizes, "errors": measured.errors},
        )
        for kind, measured in (("strong", study.strong), ("weak", study.weak))
    ]
    multiplicative = langevin.LangevinProblem(
        drifts.of_polynomial([0.0, 0.0, 0.25]),
        noises.proportional([0.5]),
        [1.0],
    )
    for scheme, order in (("euler_maruyama", 0.5), ("milstein", 1.0)):
        study = convergence.convergence_study(
            multiplicative,
            scheme,
            coarsest=16,
            num_levels=4,
            num_paths=settings.pick(8_000, 8_000, 80_000),
            seed=settings.stream_seed("dynamics/orders"),
            num_threads=1,
        )
        found.append(
            compare(
                "strong order, noise of the state",
                study.strong.order if study.strong.order is not None else np.nan,
                "==",
                order,
                claim=f"strong order {order:g} of {scheme} for diagonal noise",
                setting="dX = -X/2 dt + X/2 dW, coupled paths",
                tolerance=0.15,
                tolerance_reason="the next half order bends the slope by a few per cent, sampling "
                "leaves as much",
                source="Kloeden and Platen",
            )
        )
    return found


def _modified(settings):  # noqa: ARG001
    """Modified equations of SGD and SVAG, by exact moments."""
    rates = 2.0 ** -np.arange(4, 9)
    start, zero = np.ones(3), np.zeros((3, 3))
    errors = {1: [], 2: []}
    for rate in rates:
        for order, equation in (
            (1, modified_equations.first_order),
            (2, modified_equations.second_order),
        ):
            problem = equation(drifts.of_quadratic(HESSIAN), COVARIANCE, rate, start)
            factor = problem.noise.factor
            sgd = linear_schemes.step("euler_maruyama", HESSIAN, factor, rate)
            exact = linear_schemes.step("exact", problem.drift.hessian, factor, 1.0)
            mean, _ = linear_schemes.moments_at(sgd, start, zero, round(1 / rate))
            solution, _ = linear_schemes.moments_at(exact, start, zero, 1)
            errors[order].append(np.linalg.norm(mean - solution))
    source = "Li, Tai and E 2017"
    found = [
        compare(
            "order of the modified equation",
            estimates.loglog_slope(rates, errors[order]).value,
            "==",
            float(order),
            claim=f"the modified equation of order {order} is off by O(η^{order}) in the mean at "
            "a fixed time",
            setting=f"{SETTING}, t = 1, η from 1/256 to 1/16",
            tolerance=0.12,
            tolerance_reason="the next order bends the slope by about λη at the coarsest rate",
            source=source,
            series={"learning_rates": rates, "errors": errors[order]},
        )
        for order in (1, 2)
    ]
    rate, curvature = 0.05, 1.0
    chain = rate / (2 * curvature - rate * curvature**2)
    for order, expected in ((1, -0.5), (2, -1.0)):
        h = curvature + (0.5 * rate * curvature**2 if order == 2 else 0.0)
        relative = rate / (2 * h) / chain - 1
        found.append(
            compare(
                "stationary variance of the modified equation",
                relative / (rate * curvature),
                "==",
                expected,
                claim="relative error of the stationary variance: -ηλ/2 at order 1, -ηλ at order 2",
                setting=f"order {order}, ηλ = {rate * curvature:g}",
                tolerance=2 * rate * curvature,
                tolerance_reason="the next order in ηλ",
                source="derived; numerically confirmed",
                finding="The second-order equation has the worse stationary variance: order on a "
                "finite time says nothing about stationarity."
                if order == 2
                else "",
            )
        )
    found.append(_svag())
    return found


def _svag():
    """Weak order of SVAG's chain towards the first equation, in 1/l."""
    rate, start, zero = 0.25, np.ones(3), np.zeros((3, 3))
    equation = modified_equations.first_order(drifts.of_quadratic(HESSIAN), COVARIANCE, rate, start)
    exact = linear_schemes.step("exact", HESSIAN, equation.noise.factor, 1.0)
    solution = linear_schemes.moments_at(exact, start, zero, 1)
    factor = np.linalg.cholesky(COVARIANCE)
    times, errors = 2 ** np.arange(2, 8), []
    for l in times:  # noqa: E741
        root = np.sqrt(2 * l - 1)
        two = np.hstack([(1 + root) / 2 * factor, (1 - root) / 2 * factor])
        step = linear_schemes.LinearStep(np.eye(3) - rate / l * HESSIAN, rate / l * two)
        moments = linear_schemes.moments_at(step, start, zero, int(l / rate))
        errors.append(
            np.hypot(*(np.linalg.norm(a - b) for a, b in zip(moments, solution, strict=True)))
        )
    return compare(
        "SVAG tends to the equation",
        estimates.loglog_slope(1 / times, errors).value,
        "==",
        1.0,
        claim="l steps of η/l with (1 ± √(2l-1))/2 tend to the SDE with order 1 in 1/l",
        setting=f"{SETTING}, η = {rate}, l from 4 to 128",
        tolerance=0.08,
        tolerance_reason="the next order bends the slope by about λη/l at the smallest l",
        source="Li, Malladi and Arora 2021",
        series={"l": times, "errors": errors},
    )


def _sampling_in_epochs(settings):
    """Shuffled epochs cut the variance where the curvature is low."""
    rng = settings.rng("dynamics/epochs")
    num_examples, rate = 20, 0.1
    curvatures = np.array([0.01, 5.0])
    centres = rng.standard_normal((num_examples, 2)) / curvatures
    centres -= centres.mean(axis=0)
    examples = example_sets.shifted_quadratics(np.diag(curvatures), centres)
    variances = {}
    # mid-epoch, after enough epochs for the steep direction only; from the minimum both
    steps = num_examples * 40 + num_examples // 2
    for sampling in ("replacement", "epochs"):
        run = example_chains.simulate_sgd(
            examples,
            rate,
            1,
            sampling,
            np.zeros(2),
            [steps],
            settings.pick(2_000, 4_000, 40_000),
            settings.stream_seed("dynamics/epochs"),
            num_threads=1,
        )
        variances[sampling] = (
            np.diag(run.covariance[0]),
            np.diag(run.covariance_error[0]),
        )
    found = []
    for direction, (name, relation, bound) in enumerate(
        (("low curvature", "<=", 0.1), ("high curvature", ">=", 0.7))
    ):
        (epochs, error), (independent, other) = variances["epochs"], variances["replacement"]
        ratio = epochs[direction] / independent[direction]
        spread = ratio * np.hypot(
            error[direction] / epochs[direction], other[direction] / independent[direction]
        )
        found.append(
            compare(
                f"epochs, {name}",
                ratio,
                relation,
                bound,
                claim="drawing in shuffled epochs cuts the variance where λ is far below "
                "1/(η N), and leaves it where λ is above",
                setting=f"λ = {curvatures[direction]:g}, η = {rate}, N = {num_examples}, batches "
                "of 1",
                tolerance=MAX_Z_SCORE * spread,
                tolerance_reason="4.5 standard errors of the ratio",
                source="Kuhn and Rosenow 2023 (arXiv:2306.05300)",
                standard_error=spread,
            )
        )
    return found
