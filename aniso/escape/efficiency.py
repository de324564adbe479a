"""Escaping efficiency ``E[L(theta_t)] - L(theta_0)`` by its slope, closed form and simulation.

The three functions take the same arguments and return the same type. The slope
``t Tr(H Sigma) / 2`` is right for short times only. The plateau ``Tr Sigma / 4`` does not depend on
the alignment at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from aniso import checks, estimates
from aniso.closed_forms import diffusion
from aniso.langevin import drifts, ensembles, noises, problems
from aniso.matrices import operands

if TYPE_CHECKING:
    from aniso.estimates import Estimate
    from aniso.typing import Array, ArrayLike, Matrix


@dataclass(frozen=True)
class EfficiencyCurve:
    """Escaping efficiency at chosen times.

    Attributes
    ----------
    times : numpy.ndarray, shape (T,)
        Times t.
    efficiency : tuple of estimates.Estimate, length T
        Exact numbers have the standard error 0 and no samples.
    meaningful_until : float
        Time beyond which the efficiency is negative, because the loss has fallen along negative
        curvature by more than noise can raise it; inf where H has no negative eigenvalue. Beyond
        it the curve does not describe a loss with terms of higher order. See
        :func:`aniso.closed_forms.diffusion.quadratic_model_time`.
    """

    times: np.ndarray
    efficiency: tuple[Estimate, ...]
    meaningful_until: float

    def __repr__(self):
        lines = [
            f"EfficiencyCurve: E[L_t] - L_0 at {len(self.times)} times, meaningful until "
            f"{self.meaningful_until:.4g}"
        ]
        shown = range(len(self.times))
        if len(shown) > 6:
            shown = [*shown[:3], None, *shown[-3:]]
        lines += [
            "  ..." if i is None else f"  t = {self.times[i]:.6g}: {self.efficiency[i]}"
            for i in shown
        ]
        return "\n".join(lines)

    @property
    def values(self) -> Array:
        """The efficiencies as an array, shape (T,)."""
        return np.array([estimate.value for estimate in self.efficiency])


def efficiency_by_slope(
    hessian: ArrayLike, diffusion_covariance: Matrix, times: ArrayLike
) -> EfficiencyCurve:
    """Compute the efficiency to first order in t, ``(t / 2) Tr(H Sigma)``.

    Parameters
    ----------
    hessian : array_like, shape (D, D)
        H, symmetric.
    diffusion_covariance : array_like, shape (D, D), or any other covariance
        Sigma of ``d theta = -H theta dt + Sigma^{1/2} dW``.
    times : array_like, shape (T,)
        Not negative.

    Returns
    -------
    EfficiencyCurve

    Examples
    --------
    >>> efficiency_by_slope([[2.0]], [[3.0]], [0.0, 0.5])
    EfficiencyCurve: E[L_t] - L_0 at 2 times, meaningful until inf
      t = 0: 0 ± 0
      t = 0.5: 1.5 ± 0
    """
    hessian, covariance, times = _checked(hessian, diffusion_covariance, times)
    return _exact(hessian, covariance, times, 0.5 * times * np.sum(hessian * covariance))


def efficiency_by_closed_form(
    hessian: Matrix, diffusion_covariance: Matrix, times: ArrayLike
) -> EfficiencyCurve:
    """Compute the exact efficiency, ``Tr((I - e^{-2 H t}) Sigma) / 4``.

    Parameters
    ----------
    hessian, diffusion_covariance, times
        As in :func:`efficiency_by_slope`.

    Returns
    -------
    EfficiencyCurve

    Examples
    --------
    >>> round(float(efficiency_by_closed_form([[2.0]], [[3.0]], [50.0]).values[0]), 12)
    0.75
    """
    hessian, covariance, times = _checked(hessian, diffusion_covariance, times)
    values = diffusion.escaping_efficiency(hessian, covariance, times)
    return _exact(hessian, covariance, times, values)


def simulate_efficiency(
    hessian: Matrix,
    diffusion_covariance: Matrix,
    times: ArrayLike,
    *,
    step_size: float,
    num_paths: int,
    seed: int,
    scheme: str = "exact",
    num_threads: int | None = None,
) -> EfficiencyCurve:
    """Simulate the efficiency, the mean of ``theta_t^T H theta_t / 2`` over paths from theta = 0.

    Parameters
    ----------
    hessian, diffusion_covariance, times
        As in :func:`efficiency_by_slope`; the times have to increase and be multiples of the step
        size.
    step_size : float
        Time h of one step.
    num_paths, seed, num_threads
        As in :func:`aniso.langevin.simulate_ensemble`.
    scheme : str
        "exact" has no discretisation error. "euler_maruyama" with a step of the size of the
        learning rate is the chain of SGD.

    Returns
    -------
    EfficiencyCurve

    Raises
    ------
    InputError
        If a time is no multiple of the step size.

    Examples
    --------
    >>> curve = simulate_efficiency([[2.0]], [[3.0]], [9.0], step_size=3.0, num_paths=4000, seed=1)
    >>> abs(curve.efficiency[0].z_score(0.75)) < 5
    True
    """
    hessian, covariance, times = _checked(hessian, diffusion_covariance, times)
    step_size = checks.number("step_size", step_size, low=0, strict=True)
    steps = np.rint(times / step_size)
    if np.abs(steps * step_size - times).max(initial=0.0) > 1e-9 * max(times.max(initial=0.0), 1.0):
        raise checks.InputError(f"times are no multiples of step_size={step_size!r}")
    problem = problems.LangevinProblem(
        drifts.of_quadratic(hessian), noises.constant(covariance), np.zeros(len(hessian))
    )
    ensemble = ensembles.simulate_ensemble(
        problem, scheme, step_size, steps, num_paths, seed, num_threads=num_threads
    )
    until = diffusion.quadratic_model_time(hessian, covariance)
    return EfficiencyCurve(times, ensemble.loss, until)


def _checked(hessian, covariance, times):
    hessian = checks.symmetric_matrix("hessian", hessian)
    covariance = operands.dense_covariance(
        "diffusion_covariance", covariance, "diffusion", size=len(hessian)
    )
    times = checks.held(checks.array("times", times, shape=(None,)))
    if times.size == 0 or times.min() < 0:
        raise checks.InputError("times has to hold at least one time, none of them negative")
    return hessian, covariance, times


def _exact(hessian, covariance, times, values):
    return EfficiencyCurve(
        times,
        tuple(estimates.Estimate(float(value), 0.0, 0) for value in values),
        diffusion.quadratic_model_time(hessian, covariance),
    )
