"""Traces by deflation: few directions exactly, the rest by random probes, with their error."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from aniso import checks
from aniso.matrices import _deflation, _trace_sources, exact_traces, operands
from aniso.matrices._probe_plan import Plan

if TYPE_CHECKING:
    from aniso.matrices.trace_estimate import TraceEstimate
    from aniso.typing import ArrayLike, Matrix


def alignment_deflated(
    hessian: Matrix,
    covariance: Matrix,
    rng: np.random.Generator,
    *,
    relative_error: float | None = None,
    num_pairs: int | None = None,
    num_probes: int | None = None,
    max_products: int = operands.MAX_PRODUCTS,
) -> TraceEstimate:
    """Estimate ``Tr(H Sigma)``: k leading directions of Sigma exactly, the rest by probes.

    Parameters
    ----------
    hessian : array_like (D, D) or LinearOperator
        Symmetric.
    covariance : array_like (D, D), LinearOperator or GradientCovariance
        Symmetric positive semi-definite.
    rng : numpy.random.Generator
        Source of the random signs.
    relative_error : float, optional
        Standard error over \\|value\\| to reach, above 0; 0.01 if neither it nor both numbers are
        given. A pilot chooses the numbers that are not given, for the fewest products.
    num_pairs : int, optional
        k >= 0. At most the rank that Sigma can have is deflated. 0 is Hutchinson's estimator.
    num_probes : int, optional
        Probes of the final draw, at least 2.
    max_products : int
        Largest number of products of H for a target; without effect where both numbers are given.

    Returns
    -------
    TraceEstimate
        Unbiased, of the convention of `covariance`; ``estimate.interval()`` is Student's.

    Raises
    ------
    InputError
        If an argument breaks its rule.
    NotConverged
        If the standard error is above the target, or `max_products` is too low for it; `partial`
        holds the estimate that was reached.
    AllocationRefused
        If the directions do not fit.

    Notes
    -----
    ``Tr(H Sigma) = sum_{j <= k} y_j^T H y_j + E[e^T H e]`` with ``y_j = A^T w_j``,
    ``e = A^T (I - W W^T) z``, ``Sigma = A^T A`` and orthonormal w_j. The w_j come from subspace
    iteration with Sigma. Their accuracy affects the variance alone. The number of final probes
    is fixed before they are drawn, and the pilot's probes are not used again. Where the probes
    would need more products than the exact trace, that is computed, with the error 0.

    Cost beyond the products of H: some 8 products of Sigma with 40 vectors. Derivation and
    measurements: "Alignment by deflation" in docs/theory/estimates.md.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> rows = np.diag([3.0, 1.0, 0.0])  # a covariance of rank 2, deflated as a whole
    >>> found = alignment_deflated(np.diag([2.0, 5.0, 7.0]), rows**2, rng)
    >>> round(found.value, 12), found.standard_error  # 2 * 9 + 5 * 1
    (23.0, 0.0)
    """
    hessian = operands.symmetric("hessian", hessian, probed=False)
    covariance = operands.covariance("covariance", covariance, size=hessian.shape[0])
    plan = Plan(relative_error, num_pairs, num_probes, max_products)
    checks.generator("rng", rng)
    return of_source(hessian, covariance, rng, plan)


def of_source(hessian, covariance, rng, plan, part=None):
    """Return the estimate of ``Tr(H Sigma)`` of checked matrices, or of one part of theta.

    Parameters
    ----------
    hessian, covariance : ndarray or LinearOperator
        Checked.
    rng : numpy.random.Generator
    plan : Plan
    part : slice, optional
        Indices b of ``Tr(H_bb Sigma_bb)``; all if not given.

    Returns
    -------
    TraceEstimate
    """
    source = _trace_sources.source_of(covariance, part)
    run = _deflation.Deflation(hessian, source, plan.num_vectors, rng, "hessian")
    if part is not None:
        return plan.carried_out(run)
    product = partial(
        exact_traces.trace_of_product, hessian, covariance, max_products=plan.max_products
    )
    return plan.carried_out(run, _trace_sources.exact_products(hessian, covariance), product)


def trace_deflated(
    operator: Matrix,
    rng: np.random.Generator,
    *,
    directions: ArrayLike | None = None,
    relative_error: float | None = None,
    num_probes: int | None = None,
    max_products: int = operands.MAX_PRODUCTS,
) -> TraceEstimate:
    """Estimate ``Tr A``: the trace within given directions exactly, the rest by probes.

    Parameters
    ----------
    operator : array_like (D, D) or LinearOperator
        Symmetric.
    rng : numpy.random.Generator
        Source of the random signs.
    directions : array_like, shape (D, k), optional
        Linearly independent vectors, for instance leading eigenvectors of the gradient
        covariance. If not given, the image of eight random vectors, as in Hutch++.
    relative_error : float, optional
        Standard error over \\|value\\| to reach; 0.01 if `num_probes` is not given either.
    num_probes : int, optional
        Probes of the final draw, at least 2.
    max_products : int
        Largest number of products of the operator.

    Returns
    -------
    TraceEstimate
        Unbiased.

    Raises
    ------
    InputError
        If an argument breaks its rule.
    NotConverged
        If the standard error is above the target; `partial` holds what was reached.
    AllocationRefused
        If the directions do not fit.

    Notes
    -----
    ``Tr A = Tr(Q^T A Q) + E[(Pz)^T A (Pz)]``, P the projection off the directions. It is exact
    where these span the image of A.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> found = trace_deflated([[1.0, 0.0], [0.0, 2.0]], rng, num_probes=4)
    >>> round(found.value, 12), round(found.standard_error, 12)
    (3.0, 0.0)
    """
    operator = operands.symmetric("operator", operator, probed=False)
    dimension = operator.shape[0]
    checks.generator("rng", rng)
    spent = 0
    if directions is None:
        count = min(_deflation.PILOT_PAIRS, dimension)
        directions = np.asarray(operator @ rng.standard_normal((dimension, count)))
        operands.finite_products(directions)
        spent = count
    else:
        directions = checks.array("directions", directions, shape=(dimension, None))
    source = _trace_sources.Identity(dimension, directions)
    run = _deflation.Deflation(operator, source, directions.shape[1], rng, "operator")
    run.num_products = spent
    plan = Plan(relative_error, run.num_vectors, num_probes, max_products)
    cost = 0 if operands.is_dense(operator) else dimension
    return plan.carried_out(run, cost, lambda: exact_traces.trace(operator))
