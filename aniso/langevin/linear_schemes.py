"""Linear drift and constant noise: a scheme is ``x <- A x + B z``, and its moments are exact.

``dX = -H X dt + F dW``. Let z be standard normal. A step maps the mean m to ``A m`` and the
covariance C to ``A C A^T + B B^T``. So the bias and the order of a scheme need no simulation.
"""

from dataclasses import dataclass

import numpy as np
import scipy.linalg

from aniso import _arguments, checks
from aniso.closed_forms import diffusion, exponential_integral
from aniso.langevin import covariance_factor, schemes


@dataclass(frozen=True)
class LinearStep:
    """One step ``x <- propagator x + factor z`` of a scheme.

    Attributes
    ----------
    propagator : numpy.ndarray, shape (D, D)
        A.
    factor : numpy.ndarray, shape (D, n)
        B; a step uses n standard normals.
    """

    propagator: np.ndarray
    factor: np.ndarray


def step(scheme, hessian, factor, step_size):
    """Return the matrices of one step of a scheme on ``dX = -H X dt + F dW``.

    Parameters
    ----------
    scheme : str
        A name in :data:`aniso.langevin.schemes.SCHEMES`.
    hessian : numpy.ndarray, shape (D, D)
        H, symmetric.
    factor : numpy.ndarray, shape (D, r)
        F.
    step_size : float
        Time h of a step.

    Returns
    -------
    LinearStep

    Raises
    ------
    InputError
        If an argument breaks its rule.

    Examples
    --------
    >>> euler = step("euler_maruyama", np.array([[2.0]]), np.array([[1.0]]), 0.25)
    >>> euler.propagator.tolist(), euler.factor.tolist()
    ([[0.5]], [[0.5]])
    """
    name = schemes.scheme(scheme).name
    hessian, factor, step_size = _checked(hessian, factor, "step_size", step_size)
    h, identity = step_size, np.eye(len(hessian))
    if name in ("euler_maruyama", "milstein"):
        return LinearStep(identity - h * hessian, np.sqrt(h) * factor)
    if name == "exact":
        covariance = diffusion.covariance_at(hessian, factor @ factor.T, h)
        return LinearStep(scipy.linalg.expm(-h * hessian), covariance_factor.full(covariance))
    quadratic = identity - h * hessian + 0.5 * h**2 * hessian @ hessian
    midpoint = np.sqrt(h) * (factor - 0.5 * h * hessian @ factor)
    if name == "stochastic_heun":
        return LinearStep(quadratic, midpoint)
    area = -(h**1.5) / (2 * np.sqrt(3)) * hessian @ factor
    return LinearStep(quadratic, np.hstack([midpoint, area]))


def moments_at(linear_step, mean, covariance, num_steps):
    """Return mean and covariance after `num_steps` steps, by repeated squaring.

    Parameters
    ----------
    linear_step : LinearStep
        One step.
    mean : array_like, shape (D,)
        Mean before the first step.
    covariance : array_like, shape (D, D)
        Covariance before the first step.
    num_steps : int
        At least 0.

    Returns
    -------
    mean : numpy.ndarray, shape (D,)
    covariance : numpy.ndarray, shape (D, D)

    Raises
    ------
    InputError
        If an argument breaks its rule, or an unstable chain overflows.

    Examples
    --------
    >>> half = LinearStep(np.array([[0.5]]), np.array([[1.0]]))
    >>> mean, covariance = moments_at(half, np.array([8.0]), np.array([[0.0]]), 3)
    >>> mean.tolist(), covariance.tolist()
    ([1.0], [[1.3125]])
    """
    _arguments.require_instance(
        "linear_step", linear_step, LinearStep, "step(scheme, hessian, factor, step_size)"
    )
    size = len(linear_step.propagator)
    mean = checks.array("mean", mean, shape=(size,))
    covariance = checks.covariance_matrix("covariance", covariance, size=size)
    num_steps = checks.integer("num_steps", num_steps, low=0)
    power, gained = linear_step.propagator, linear_step.factor @ linear_step.factor.T
    left = num_steps
    with np.errstate(over="ignore", invalid="ignore"):
        while left:
            if left % 2:
                mean, covariance = power @ mean, power @ covariance @ power.T + gained
            gained = gained + power @ gained @ power.T
            power = power @ power
            left //= 2
    _require_finite(mean, covariance, num_steps, "a smaller step size or fewer steps")
    return mean, covariance


def strong_error(scheme, hessian, factor, start, time, num_steps):
    """``sqrt(E |X_n - X(T)|^2)`` of a scheme against the exact solution, same Wiener process.

    Parameters
    ----------
    scheme : str
        A name in :data:`aniso.langevin.schemes.SCHEMES`.
    hessian : array_like, shape (D, D)
        H, symmetric.
    factor : array_like, shape (D, r)
        F.
    start : array_like, shape (D,)
        X at time 0.
    time : float
        T.
    num_steps : int
        n, at least 1; the step size is T / n.

    Returns
    -------
    float
        0 with scheme "exact".

    Raises
    ------
    InputError
        If an argument breaks its rule, or an unstable chain overflows.

    Notes
    -----
    The pair (scheme, solution) is one linear chain. In one step the solution gains
    ``int e^{-H(h-s)} F dW_s``, whose covariance with dW and with J is known in closed form.

    Examples
    --------
    Without drift every scheme is exact.

    >>> zero = np.array([[0.0]])
    >>> strong_error("sra1", zero, np.array([[1.0]]), np.array([1.0]), 1.0, 4)
    0.0
    """
    hessian, factor, time = _checked(hessian, factor, "time", time)
    start = checks.array("start", start, shape=(len(hessian),))
    num_steps = checks.integer("num_steps", num_steps, low=1)
    if schemes.scheme(scheme).name == "exact":
        return 0.0
    h = time / num_steps
    numerical = step(scheme, hessian, factor, h)
    exact = step("exact", hessian, factor, h)
    gained = diffusion.covariance_at(hessian, factor @ factor.T, h)
    rank = factor.shape[1]
    eigenvalues, vectors = np.linalg.eigh(hessian)
    first = exponential_integral(eigenvalues, h)  # int_0^h e^{-lambda u} du
    with_wiener = vectors @ ((first / np.sqrt(h))[:, None] * (vectors.T @ factor))
    coupled = [with_wiener]
    if numerical.factor.shape[1] > rank:
        # J = int (h - s) dW_s / h and dV = sqrt 3 (2 J - dW)
        second = _first_moment_of_exp(eigenvalues, h)
        weights = (2 * second / h - first) * np.sqrt(3.0 / h)
        coupled.append(vectors @ (weights[:, None] * (vectors.T @ factor)))
    cross = np.hstack(coupled)  # covariance of the solution's gain with the normals z
    difference = numerical.factor @ numerical.factor.T
    mixed = numerical.factor @ cross.T
    noise = np.block([[difference, mixed], [mixed.T, gained]])
    zero = np.zeros_like(hessian)
    pair = np.block([[numerical.propagator, zero], [zero, exact.propagator]])
    # change to (error, solution), so that small errors aren't differences of large numbers
    change = np.block([[np.eye(len(hessian)), -np.eye(len(hessian))], [zero, np.eye(len(hessian))]])
    back = np.block([[np.eye(len(hessian)), np.eye(len(hessian))], [zero, np.eye(len(hessian))]])
    pair, noise = change @ pair @ back, change @ noise @ change.T
    mean, covariance = np.concatenate([np.zeros_like(start), start]), np.zeros_like(noise)
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(num_steps):
            mean, covariance = pair @ mean, pair @ covariance @ pair.T + noise
    _require_finite(mean, covariance, num_steps, "more steps or a shorter time")
    size = len(hessian)
    return float(np.sqrt(max(mean[:size] @ mean[:size] + np.trace(covariance[:size, :size]), 0.0)))


def _require_finite(mean, covariance, num_steps, remedy):
    if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
        raise checks.InputError(
            "the moments grew past the largest floating-point number within "
            f"num_steps={num_steps}: the chain is unstable; expected {remedy}"
        )


def _checked(hessian, factor, name, time):
    hessian = checks.symmetric_matrix("hessian", hessian)
    factor = checks.array("factor", factor, shape=(len(hessian), None))
    return hessian, factor, checks.number(name, time, low=0, strict=True)


def _first_moment_of_exp(rate, time):
    """``int_0^time u e^{-rate u} du``, continued to rate = 0."""
    scaled = rate * time
    small = np.abs(scaled) < 1e-2
    safe = np.where(small, 1.0, scaled)
    direct = (-np.expm1(-scaled) - scaled * np.exp(-scaled)) / safe**2
    series = sum((-scaled) ** k / (np.prod(np.arange(1.0, k + 1)) * (k + 2)) for k in range(8))
    return time**2 * np.where(small, series, direct)
