"""Estimates of the ratios of alignment where H has products alone, with their errors."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from aniso import checks
from aniso.estimates import Estimate
from aniso.matrices import _trace_sources, deflated_traces, exact_traces, indicators, operands
from aniso.matrices._deflation import PILOT_PAIRS
from aniso.matrices._probe_plan import RELATIVE_ERROR, Plan

if TYPE_CHECKING:
    from aniso.matrices._pairs import EigenPairs
    from aniso.typing import Matrix


def estimate_trace_ratio(
    hessian: Matrix,
    covariance: Matrix,
    rng: np.random.Generator,
    *,
    relative_error: float = RELATIVE_ERROR,
    max_products: int = operands.MAX_PRODUCTS,
) -> Estimate:
    """Estimate ``D Tr(H Sigma) / (Tr H Tr Sigma)`` by deflation of both traces of H.

    Parameters
    ----------
    hessian : array_like (D, D) or LinearOperator
        Symmetric.
    covariance : array_like (D, D), LinearOperator or GradientCovariance
        Symmetric positive semi-definite.
    rng : numpy.random.Generator
        Source of the random signs.
    relative_error : float
        Standard error over \\|value\\| to reach, above 0.
    max_products : int
        Largest number of products of H for each trace; also of the covariance, for its own.

    Returns
    -------
    Estimate
        Its error is to first order in those of Tr(H Sigma) and of Tr H, which are independent.

    Raises
    ------
    InputError
        If an argument breaks its rule, or Tr H or Tr Sigma is zero to rounding.
    NotConverged
        If a trace misses its error; `partial` holds the estimate of the trace.
    AllocationRefused
        If the directions do not fit.

    Notes
    -----
    ``Tr H`` is exact for an array and for an operator that knows its diagonal. Otherwise it is
    :func:`aniso.matrices.trace_deflated` with the leading directions of Sigma.

    Examples
    --------
    >>> hessian, covariance = [[3.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 0.0]]
    >>> print(estimate_trace_ratio(hessian, covariance, np.random.default_rng(0)))
    1.5 ± 0
    """
    hessian, covariance = _checked(hessian, covariance, rng)
    relative_error = checks.number("relative_error", relative_error, low=0, strict=True)
    noise = exact_traces.nonzero_trace("covariance", covariance, max_products=max_products)
    known = _knows_trace(hessian)
    target = relative_error if known else relative_error / math.sqrt(2)
    curved = _hessian_trace(hessian, covariance, rng, target, max_products)
    plan = Plan(target, None, None, max_products)
    aligned = deflated_traces.of_source(hessian, covariance, rng, plan)
    value = hessian.shape[0] * aligned.value / (curved.value * noise)
    errors = [part.standard_error / part.value for part in (aligned, curved) if part.value]
    num_samples = aligned.num_samples if known else min(aligned.num_samples, curved.num_samples)
    return Estimate(value, abs(value) * math.hypot(*errors), num_samples)


def estimate_projection_coefficient(
    hessian: Matrix,
    covariance: Matrix,
    rng: np.random.Generator,
    *,
    leading: EigenPairs | None = None,
    relative_error: float = RELATIVE_ERROR,
    max_products: int = operands.MAX_PRODUCTS,
) -> Estimate:
    """Estimate ``u^T Sigma u Tr H / (lambda Tr Sigma)``, (lambda, u) leading in H.

    Parameters
    ----------
    hessian, covariance, rng, relative_error, max_products
        As for :func:`estimate_trace_ratio`.
    leading : EigenPairs, optional
        Leading eigenpair of H; the first is used. Computed if not given.

    Returns
    -------
    Estimate
        Its error is that of Tr H; 0 where the trace of H is known.

    Raises
    ------
    InputError
        As :func:`aniso.matrices.projection_coefficient`.
    NotConverged
        If the leading eigenpair is not found, or Tr H misses its error.
    AllocationRefused
        If the directions do not fit.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> hessian = [[3.0, 0.0], [0.0, 1.0]]
    >>> print(estimate_projection_coefficient(hessian, np.eye(2), rng))  # 1 * 4 / (3 * 2)
    0.666667 ± 0
    """
    hessian, covariance = _checked(hessian, covariance, rng)
    relative_error = checks.number("relative_error", relative_error, low=0, strict=True)
    trace = _hessian_trace(hessian, covariance, rng, relative_error, max_products)
    unit = indicators.projection_per_trace(
        hessian, covariance, leading=leading, max_products=max_products
    )
    return Estimate(trace.value, trace.standard_error, trace.num_samples).scaled(unit)


def _checked(hessian, covariance, rng):
    checks.generator("rng", rng)
    hessian = operands.symmetric("hessian", hessian)
    return hessian, operands.covariance("covariance", covariance, size=hessian.shape[0])


def _knows_trace(hessian):
    return operands.is_dense(hessian) or exact_traces.states(hessian, "trace")


def _hessian_trace(hessian, covariance, rng, relative_error, max_products):
    if _knows_trace(hessian):
        return Estimate(exact_traces.nonzero_trace("hessian", hessian), 0.0, hessian.shape[0])
    source = _trace_sources.source_of(covariance)
    weights, values = source.basis(min(PILOT_PAIRS, source.rank))
    vectors = source.lift(weights)[:, values > 1e-12 * values[0]]
    found = deflated_traces.trace_deflated(
        hessian,
        rng,
        directions=np.linalg.qr(vectors)[0],
        relative_error=relative_error,
        max_products=max_products,
    )
    if found.value == 0:
        raise checks.InputError(
            "the trace of hessian is 0; expected a non-zero trace: a ratio to it has no meaning"
        )
    return found
