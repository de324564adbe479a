"""Moments of the motion: simulated, exact, and in equilibrium or not."""

import numpy as np
import scipy.linalg

from aniso import langevin
from aniso.closed_forms import diffusion
from aniso.langevin import drifts, example_chains, example_sets, linear_schemes, noises
from aniso.propositions.check import Statement, compare
from aniso.propositions.settings import Task

MAX_Z_SCORE = 4.5

HESSIAN = np.array([[2.0, 0.6, 0.0], [0.6, 1.0, 0.2], [0.0, 0.2, 0.5]])
COVARIANCE = np.array([[1.0, -0.4, 0.1], [-0.4, 0.8, 0.3], [0.1, 0.3, 0.6]])
SETTING = "D = 3, H and Σ that do not commute"

_MOTION = "docs/theory/motion.md"
_WORST_ENTRY = "4.5 standard errors at the worst entry"
ENERGY = Statement(
    "energy balance, state-dependent noise",
    "E[L_t] - L_0 = -∫ E|∇L|² ds + ∫ E Tr(HΣ_s)/2 ds with Σ_s = b² θ_s²",
    "4.5 standard errors, and the scheme's own bias, known exactly",
    f"{_MOTION}, Definition 1",
)
IN_TIME = Statement(
    "covariance in time",
    "C_t = ∫ exp(-Hs) Σ exp(-Hs) ds over 0 ≤ s ≤ t",
    _WORST_ENTRY,
    f"{_MOTION}, Diffusion on a quadratic",
)
AUTOCOVARIANCE = Statement(
    "autocovariance",
    "Cov(θ_{t+τ}, θ_t) = exp(-Hτ) C_t",
    _WORST_ENTRY,
    f"{_MOTION}, Diffusion on a quadratic",
)
CHAIN = Statement(
    "covariance after n steps of SGD",
    "constant noise, in the eigenbasis of H: C_ij = η S_ij (1 - (q_i q_j)^n) / "
    "(λ_i + λ_j - η λ_i λ_j), the worst entry",
    "rounding, 64 n ε",
    f"{_MOTION}, Chain on a quadratic",
)
STATIONARY_LOSS = Statement(
    "stationary loss of SGD",
    "constant noise: E L = (η/2) Tr((2I - ηH)⁻¹ S)",
    "rounding of 14 squarings",
    f"{_MOTION}, Stationary chain",
)
PRODUCTION = Statement(
    "entropy production",
    "Tr(H M⁻¹ H C) - Tr H is the dissipation of the stationary current (H - M C⁻¹)θ p",
    "rounding times the condition number of M",
    f"{_MOTION}, Entropy production",
)
EQUILIBRIUM = Statement(
    "equilibrium",
    "the entropy production is 0 if H and Σ commute",
    "rounding",
    f"{_MOTION}, Entropy production",
)
NO_EQUILIBRIUM = Statement(
    "no equilibrium",
    "the entropy production is positive if H and Σ do not commute",
    "the bound is far above rounding",
    f"{_MOTION}, Entropy production",
)
LOW_CURVATURE = Statement(
    "shuffled epochs, low curvature",
    "variance with shuffled epochs over variance with independent batches, far below λ = 1/(ηN): "
    "small",
    "4.5 standard errors of the ratio",
    f"{_MOTION}, Sampling in epochs",
)
HIGH_CURVATURE = Statement(
    "shuffled epochs, high curvature",
    "variance with shuffled epochs over variance with independent batches, above λ = 1/(ηN): "
    "near 1",
    "4.5 standard errors of the ratio",
    f"{_MOTION}, Sampling in epochs",
)


def tasks(settings):
    """Return the tasks about moments of the motion.

    Parameters
    ----------
    settings : aniso.propositions.settings.Settings
        Scale and seed of the verification.

    Returns
    -------
    list of aniso.propositions.settings.Task
    """
    return [
        Task("energy balance", lambda: _energy_balance(settings), 4.0, "langevin"),
        Task(
            "Ornstein-Uhlenbeck paths", lambda: _ornstein_uhlenbeck_paths(settings), 0.2, "langevin"
        ),
        Task("discrete chain", lambda: _discrete_chain(settings), 0.2, "langevin"),
        Task("entropy production", lambda: _entropy_production(settings), 0.2, "langevin"),
        Task("sampling in epochs", lambda: _sampling_in_epochs(settings), 2.5, "langevin"),
    ]


def _energy_balance(settings):
    """Check Definition 1 with noise b θ: ``E L_t = L_0 exp((b^2 - 2 h) t)``."""
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
    loss = run.loss[0]
    statement = ENERGY.at(
        f"L = θ²/2, b = {spread}, t = 1, Milstein with {steps} steps",
        MAX_Z_SCORE * loss.standard_error + bias,
    )
    error = loss.standard_error
    return [compare(statement, loss.value, "==", expected, standard_error=error)]


def _ornstein_uhlenbeck_paths(settings):
    """Check covariance and autocovariance of simulated diffusions on a quadratic."""
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
        products = paths[:, record, :, None] * paths[:, record, None, :]
        exact = diffusion.covariance_at(HESSIAN, COVARIANCE, h * step)
        setting = f"{SETTING}, t = {h * step:g}, {num_paths:,} paths"
        found.append(_worst_entry(IN_TIME, products, exact, setting))
    # from the stationary law, by starting at the covariance of step 40
    lag = scipy.linalg.expm(-HESSIAN * h * 3)
    early = diffusion.covariance_at(HESSIAN, COVARIANCE, h)
    products = paths[:, 1, :, None] * paths[:, 0, None, :]
    setting = f"{SETTING}, t = {h:g}, τ = {3 * h:g}, {num_paths:,} paths"
    found.append(_worst_entry(AUTOCOVARIANCE, products, lag @ early, setting))
    return found


def _worst_entry(statement, products, exact, setting):
    """Check the entry of a mean matrix that deviates most, in units of its standard error."""
    errors = products.std(axis=0) / np.sqrt(len(products))
    scores = (products.mean(axis=0) - exact) / errors
    worst = np.unravel_index(np.abs(scores).argmax(), scores.shape)
    entry = f"entry {tuple(int(i) for i in worst)} (z = {scores[worst]:+.1f})"
    return compare(
        statement.at(f"{setting}, {entry}", MAX_Z_SCORE * errors[worst]),
        products.mean(axis=0)[worst],
        "==",
        exact[worst],
        standard_error=errors[worst],
    )


def _discrete_chain(settings):  # noqa: ARG001
    """Check the covariance of SGD with constant noise, and its stationary loss."""
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
    return [
        compare(
            CHAIN.at(f"{SETTING}, η = {rate}, n = {count}", rounding),
            covariance[worst],
            "==",
            closed[worst],
        ),
        compare(
            STATIONARY_LOSS.at(f"{SETTING}, η = {rate}", 1e-12 * loss),
            0.5 * np.sum(HESSIAN * late),
            "==",
            loss,
        ),
    ]


def _entropy_production(settings):  # noqa: ARG001
    """Check that the stationary current vanishes exactly where H and Sigma commute."""
    found = []
    commuting = 0.5 * HESSIAN @ HESSIAN + HESSIAN
    for statement, covariance, relation, bound in (
        (EQUILIBRIUM.at("D = 3, commuting noise", 1e-11), commuting, "==", 0.0),
        (NO_EQUILIBRIUM.at("D = 3, noise that does not commute"), COVARIANCE, ">=", 0.01),
    ):
        stationary = diffusion.stationary_covariance(HESSIAN, covariance)
        half = covariance / 2
        production = np.trace(HESSIAN @ np.linalg.solve(half, HESSIAN @ stationary)) - np.trace(
            HESSIAN
        )
        current = HESSIAN - half @ np.linalg.inv(stationary)
        dissipated = np.trace(current.T @ np.linalg.solve(half, current @ stationary))
        balance = PRODUCTION.at(statement.setting, 1e-11)
        found.append(compare(balance, production, "==", dissipated))
        found.append(compare(statement, production, relation, bound))
    return found


def _sampling_in_epochs(settings):
    """Check that shuffled epochs cut the variance where the curvature is low, and only there."""
    rng = settings.rng("dynamics/epochs")
    num_examples, rate = 20, 0.1
    curvatures = np.array([0.01, 5.0])
    centres = rng.standard_normal((num_examples, 2)) / curvatures
    centres -= centres.mean(axis=0)
    examples = example_sets.shifted_quadratics(np.diag(curvatures), centres)
    variances = {}
    # mid-epoch, after enough epochs for the steep direction only; from the minimum both
    steps = num_examples * 40 + num_examples // 2
    for sampling in ("with_replacement", "epochs"):
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
    for direction, (statement, relation, bound) in enumerate(
        ((LOW_CURVATURE, "<=", 0.1), (HIGH_CURVATURE, ">=", 0.7))
    ):
        (epochs, error), (independent, other) = variances["epochs"], variances["with_replacement"]
        ratio = epochs[direction] / independent[direction]
        spread = ratio * np.hypot(
            error[direction] / epochs[direction], other[direction] / independent[direction]
        )
        there = statement.at(
            f"λ = {curvatures[direction]:g}, η = {rate}, N = {num_examples}, batches of 1",
            MAX_Z_SCORE * spread,
        )
        found.append(compare(there, ratio, relation, bound, standard_error=spread))
    return found
