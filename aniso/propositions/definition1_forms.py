"""Closed forms of escaping efficiency against independent routes to the same number."""

import contextlib
import math
import warnings

import numpy as np
from scipy import integrate, linalg

from aniso.closed_forms import diffusion
from aniso.matrices import indicators
from aniso.propositions.check import Statement, compare

SDE = Statement(
    "closed form, SDE",
    "E[L_t] - L_0 = Tr((I - exp(-2Ht)) Σ) / 4 for every symmetric H",
    "rounding of the exponential, D ε exp(2 |λ| t) Tr Σ",
    "docs/theory/motion.md, Diffusion on a quadratic",
)
BALANCE = Statement(
    "energy balance",
    "E[L_t] - L_0 = -∫ E|∇L|² ds + ∫ Tr(HΣ)/2 ds",
    "the quadrature is asked for 1e-10, relative",
    "docs/theory/motion.md, Definition 1",
)
CHAIN = Statement(
    "closed form, chain",
    "k steps of SGD with constant noise: C_ij = η² Σ_ij (1 - (q_i q_j)^k)/(1 - q_i q_j)",
    "rounding of k products of D×D matrices, 8 k D ε",
    "docs/theory/motion.md, Chain on a quadratic",
)
LYAPUNOV = Statement(
    "Lyapunov equation",
    "the stationary covariance solves H C + C H = Σ",
    "rounding, 8 D ε times the condition number of H",
    "docs/theory/motion.md, Stationary diffusion",
)


def random_problem(rng, eigenvalues):
    """Return a symmetric H of the given spectrum in a random basis, and a generic Sigma.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of the random numbers.
    eigenvalues : ndarray, shape (D,)
        Spectrum of H.

    Returns
    -------
    hessian, covariance : ndarray, shape (D, D)
    """
    size = len(eigenvalues)
    basis, _ = np.linalg.qr(rng.standard_normal((size, size)))
    hessian = (basis * eigenvalues) @ basis.T
    factor = rng.standard_normal((size, size))
    return (hessian + hessian.T) / 2, factor @ factor.T / size


@contextlib.contextmanager
def at_any_time():
    """Ignore the warning about times beyond the quadratic model: the loss here is quadratic."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", diffusion.BeyondQuadraticModel)
        yield


def closed_form_checks(settings):
    """Return the checks of the closed forms of the SDE and of the chain.

    Parameters
    ----------
    settings : aniso.propositions.settings.Settings
        Scale and seed of the verification.

    Returns
    -------
    list of aniso.propositions.check.Check
    """
    rng = settings.rng("definition1/closed forms")
    eigenvalues = np.array([3.0, 1.0, 0.5, 0.1, 0.0, 0.0, -0.2, -0.7])
    hessian, covariance = random_problem(rng, eigenvalues)
    size = len(eigenvalues)
    setting = f"D = {size}, spectrum from -0.7 to 3 with zeros"
    times = np.geomspace(0.01, 4.0, settings.pick(5, 9, 33))
    with at_any_time():
        closed = diffusion.escaping_efficiency(hessian, covariance, times)
    growth = math.exp(2 * 3.0 * times[-1])
    rounding = size * np.finfo(float).eps * growth * np.trace(covariance)

    exponential = np.array([_by_matrix_exponential(hessian, covariance, t) for t in times])
    balance = np.array([_by_energy_balance(hessian, covariance, t) for t in times])
    found = [
        _equality(
            SDE.at(setting + "; against a block matrix exponential", rounding), closed, exponential
        ),
        _equality(
            BALANCE.at(
                setting + "; integrals by adaptive quadrature", 1e-10 * np.abs(closed).max()
            ),
            closed,
            balance,
        ),
    ]
    learning_rate, num_steps = 0.1, settings.pick(20, 60, 400)
    recursion, state = [], np.zeros_like(hessian)
    contraction = np.eye(size) - learning_rate * hessian
    for _ in range(num_steps):
        state = contraction @ state @ contraction + learning_rate**2 * covariance
        recursion.append(np.sum(hessian * state) / 2)
    with at_any_time():
        chain = np.array(
            [
                diffusion.chain_escaping_efficiency(hessian, covariance, learning_rate, step)
                for step in range(1, num_steps + 1)
            ]
        )
    recursion = np.array(recursion)
    rounding = 8 * num_steps * size * np.finfo(float).eps * np.abs(recursion).max()
    against = f"{setting}; against {num_steps} steps of the recursion"
    found.append(_equality(CHAIN.at(against, rounding), chain, recursion))
    definite, covariance = random_problem(rng, np.geomspace(0.05, 4.0, size))
    stationary = diffusion.stationary_covariance(definite, covariance)
    residual = definite @ stationary + stationary @ definite - covariance
    rounding = 8 * size * np.finfo(float).eps * np.linalg.norm(covariance) * 4.0 / 0.05
    lyapunov = LYAPUNOV.at(f"D = {size}, spectrum from 0.05 to 4", rounding)
    found.append(_equality(lyapunov, np.linalg.norm(residual), 0.0))
    return found


def _equality(statement, measured, expected):
    """Check the entry in which two arrays differ most."""
    measured, expected = np.atleast_1d(measured), np.atleast_1d(expected)
    worst = int(np.argmax(np.abs(measured - expected)))
    return compare(statement, measured[worst], "==", expected[worst])


def _by_matrix_exponential(hessian, covariance, time):
    """Tr(H C_t)/2 with C_t from the exponential of [[H, Sigma], [0, -H]] t (Van Loan 1978)."""
    size = len(hessian)
    block = np.block([[hessian, covariance], [np.zeros_like(hessian), -hessian]])
    exponential = linalg.expm(block * time)
    state = exponential[size:, size:].T @ exponential[:size, size:]
    return float(np.sum(hessian * state) / 2)


def _by_energy_balance(hessian, covariance, time):
    def dissipation(s):
        state = diffusion.covariance_at(hessian, covariance, s)
        return float(np.sum((hessian @ hessian) * state))

    lost, _ = integrate.quad(dissipation, 0, time, epsabs=0, epsrel=1e-12)
    return 0.5 * time * indicators.alignment(hessian, covariance) - lost
