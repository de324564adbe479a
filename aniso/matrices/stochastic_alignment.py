"""The estimators of ``Tr(H Sigma)`` with an error bar, where an exact one needs too many products.

method        samples                                products for a relative error epsilon
deflated      probes beyond k directions of Sigma    k + (share of the rest / epsilon)^2
hutchinson    probes of the whole                    1 / epsilon^2
examples      quadratic forms of single examples     (relative spread / epsilon)^2
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import numpy as np

from aniso import checks
from aniso.estimates import Estimate, NotConverged
from aniso.matrices import noise as gradient_noise
from aniso.matrices import operands
from aniso.matrices._probe_plan import RELATIVE_ERROR
from aniso.matrices.deflated_traces import alignment_deflated
from aniso.matrices.factored import is_factored
from aniso.matrices.trace_estimate import TraceEstimate

if TYPE_CHECKING:
    from aniso.matrices.noise import GradientCovariance
    from aniso.typing import ArrayLike, Matrix


METHODS = ("deflated", "hutchinson", "examples")
_PILOT_EXAMPLES = 32
# planned variance over the wanted one: the spread of examples is known from the pilot alone
_MARGIN = 3.0


def estimate_alignment(
    hessian: Matrix,
    covariance: Matrix,
    rng: np.random.Generator,
    *,
    method: Literal["deflated", "hutchinson", "examples"] = "deflated",
    relative_error: float | None = None,
    num_products: int | None = None,
    max_products: int = operands.MAX_PRODUCTS,
) -> TraceEstimate:
    """Estimate the alignment ``Tr(H Sigma)`` to a relative error, or with so many products of H.

    Parameters
    ----------
    hessian : array_like (D, D) or LinearOperator
        Symmetric.
    covariance : array_like (D, D), LinearOperator or GradientCovariance
        Symmetric positive semi-definite; factored for the method "examples".
    rng : numpy.random.Generator
        Source of the random numbers.
    method : {"deflated", "hutchinson", "examples"}
        "deflated": :func:`alignment_deflated`. "hutchinson": the same without directions.
        "examples": :func:`alignment_by_examples`.
    relative_error : float, optional
        Standard error over \\|value\\| to reach, above 0; 0.01 if `num_products` is not given
        either.
    num_products : int, optional
        Products of H, at least 4, instead of a target. "deflated" takes half of them for
        directions.
    max_products : int
        Largest number of products for a target.

    Returns
    -------
    TraceEstimate
        Unbiased, of the convention of `covariance`.

    Raises
    ------
    InputError
        If an argument breaks its rule, or both `relative_error` and `num_products` are given.
    NotConverged
        If the target is not reached; `partial` holds the estimate.
    AllocationRefused
        If the directions do not fit.

    Notes
    -----
    A pilot fixes the numbers, whose samples are then drawn anew. "Alignment by deflation" in
    docs/theory/estimates.md compares the methods on networks.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> estimate_alignment([[2.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 3.0]], rng).value
    5.0
    """
    checks.one_of("method", method, METHODS)
    checks.generator("rng", rng)
    if num_products is not None:
        if relative_error is not None:
            raise checks.InputError(
                f"num_products={num_products!r} and relative_error={relative_error!r}; expected "
                "one of them, the other follows"
            )
        num_products = checks.integer("num_products", num_products, low=4)
    if method == "examples":
        return _from_examples(hessian, covariance, rng, relative_error, num_products, max_products)
    num_pairs = 0 if method == "hutchinson" else None
    num_probes = None
    if num_products is not None:
        num_pairs = 0 if method == "hutchinson" else num_products // 2
        num_probes = num_products - num_pairs
    return alignment_deflated(
        hessian,
        covariance,
        rng,
        relative_error=relative_error,
        num_pairs=num_pairs,
        num_probes=num_probes,
        max_products=max_products,
    )


def alignment_hutchinson(
    hessian: Matrix, covariance: Matrix, num_probes: int, rng: np.random.Generator
) -> TraceEstimate:
    """Estimate the alignment ``Tr(H Sigma)`` from random probes, one product of H each.

    Parameters
    ----------
    hessian : array_like (D, D) or LinearOperator
        Symmetric.
    covariance : array_like (D, D), LinearOperator or GradientCovariance
        Symmetric positive semi-definite.
    num_probes : int
        At least 2.
    rng : numpy.random.Generator
        Source of the random numbers.

    Returns
    -------
    TraceEstimate
        Unbiased, of the convention of `covariance`.

    Raises
    ------
    InputError
        If an argument breaks its rule.

    Notes
    -----
    For a factored covariance ``Sigma = A^T A`` the samples are ``eps^T H eps`` with
    ``eps = A^T xi``, xi Rademacher in R^n. Their variance is ``2 (|B|_F^2 - sum_i B_ii^2)`` with
    B = A H A^T and ``|B|_F^2 = Tr(H Sigma H Sigma)``. A Gaussian eps would have the first term
    alone.

    For another covariance the samples are ``(H z)^T (Sigma z)``, z Rademacher in R^D. Their
    variance has the same formula for the symmetric part of H Sigma. The squared norm of that part,
    ``(Tr(H Sigma H Sigma) + Tr(H^2 Sigma^2))/2``, is never smaller. So the factored form is used
    for every covariance with a factor.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> alignment_hutchinson([[2.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 3.0]], 8, rng).value
    5.0
    """
    return alignment_deflated(hessian, covariance, rng, num_pairs=0, num_probes=num_probes)


def alignment_by_examples(
    hessian: Matrix,
    per_example_gradients: ArrayLike | GradientCovariance,
    num_sampled: int,
    rng: np.random.Generator,
) -> Estimate:
    """Estimate ``Tr(H Sigma_1)`` as the mean of ``(g_i - g)^T H (g_i - g)`` of sampled examples.

    Parameters
    ----------
    hessian : array_like (D, D) or LinearOperator
        Symmetric.
    per_example_gradients : array_like (N, D) or GradientCovariance
        All N gradients: they are centred by their mean over all examples, so that the sampled
        quadratic forms have the mean Tr(H Sigma_1) exactly. Of a GradientCovariance, or another
        factored covariance, the result is Tr(H Sigma) in its own convention.
    num_sampled : int
        n, 2 <= n <= N, drawn without replacement; one product of H each.
    rng : numpy.random.Generator
        Source of the random numbers.

    Returns
    -------
    Estimate
        Unbiased; the standard error has the finite-population correction ``sqrt(1 - n/N)``, so
        that n = N is exact with standard error 0.

    Raises
    ------
    InputError
        If an argument breaks its rule.

    Notes
    -----
    The squared standard error is an unbiased estimate of the variance. Quadratic forms of examples
    are often far more spread than Hutchinson's probes; it depends on the problem.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> alignment_by_examples([[2.0]], [[0.0], [2.0], [4.0]], 3, rng)  # 2 * (4 + 0 + 4) / 3
    Estimate(value=5.333333333333333, standard_error=0.0, num_samples=3)
    """
    hessian = operands.symmetric("hessian", hessian)
    dimension = hessian.shape[0]
    covariance = per_example_gradients
    if not is_factored(covariance):
        covariance = gradient_noise.gradient_covariance(covariance)
    operands.symmetric("covariance", covariance, size=dimension)
    num_rows = covariance.num_rows
    num_sampled = checks.integer("num_sampled", num_sampled, low=2, high=num_rows, high_name="N")
    checks.generator("rng", rng)
    chosen = np.sort(rng.choice(num_rows, num_sampled, replace=False))
    samples = np.empty(num_sampled)
    largest = getattr(covariance, "rows_at_once", None)
    for start, stop in operands.ranges(num_sampled, dimension, largest):
        rows = _rows(covariance, chosen[start:stop])
        samples[start:stop] = np.einsum("ij,ji->i", rows, hessian @ rows.T)
    estimate = Estimate.from_samples(num_rows * operands.finite_products(samples))
    correction = math.sqrt(1 - num_sampled / num_rows)
    return Estimate(estimate.value, estimate.standard_error * correction, num_sampled)


def _from_examples(hessian, covariance, rng, relative_error, num_products, max_products):
    """Return the estimate from sampled examples, their number from a pilot if not given."""
    if not is_factored(covariance):
        raise checks.InputError(
            f"covariance is of type {type(covariance).__name__} and method='examples' samples the "
            "rows of its factor; expected the result of matrices.gradient_covariance, or "
            "method='deflated'"
        )
    num_rows, spent = covariance.num_rows, 0
    max_products = checks.integer("max_products", max_products, low=4)
    target = 0.0
    if num_products is None:
        target = RELATIVE_ERROR if relative_error is None else relative_error
        target = checks.number("relative_error", target, low=0, strict=True)
        spent = min(_PILOT_EXAMPLES, num_rows, max_products // 2)
        pilot = alignment_by_examples(hessian, covariance, spent, rng)
        if spent == num_rows:
            return _whole(pilot, spent)
        # s^2 (1/n - 1/N) <= (target value)^2
        missing = 1 - spent / num_rows
        spread = _MARGIN * pilot.standard_error**2 * spent / missing
        wanted = (target * pilot.value) ** 2 + spread / num_rows
        num_products = num_rows if wanted == 0 else math.ceil(min(spread / wanted, num_rows))
        num_products = max(2, min(max(num_products, _PILOT_EXAMPLES), max_products - spent))
    found = alignment_by_examples(hessian, covariance, min(num_products, num_rows), rng)
    made = _whole(found, spent + found.num_samples)
    if target and made.standard_error > target * abs(made.value):
        raise NotConverged(
            f"the estimate {Estimate.__str__(made)} of {made.num_samples} examples is above "
            f"relative_error={target:g}; raise max_products={max_products}, or use "
            "method='deflated' (the partial result is the estimate)",
            made,
        )
    return made


def _whole(estimate, num_products):
    return TraceEstimate(
        estimate.value,
        estimate.standard_error,
        estimate.num_samples,
        num_products=num_products,
    )


def _rows(covariance, indices):
    # Only rows next to each other can be asked for at once.
    breaks = np.flatnonzero(np.diff(indices) != 1) + 1
    runs = np.split(indices, breaks)
    return np.vstack([covariance.factor_rows(int(run[0]), int(run[-1]) + 1) for run in runs])
