"""Stochastic ``Tr(H Sigma)`` with an error bar, where an exact one needs too many products."""

import math

import numpy as np

from aniso import checks
from aniso.estimates import Estimate
from aniso.matrices import noise as gradient_noise
from aniso.matrices import operands
from aniso.matrices.factored import DiagonalCovariance, is_factored


def alignment_hutchinson(hessian, covariance, num_probes, rng):
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
    Estimate
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
    hessian = operands.symmetric("hessian", hessian)
    dimension = hessian.shape[0]
    covariance = operands.covariance("covariance", covariance, size=dimension)
    num_probes = checks.integer("num_probes", num_probes, low=2)
    checks.generator("rng", rng)
    samples = np.empty(num_probes)
    for start, stop in operands.ranges(num_probes, dimension):
        samples[start:stop] = _probe(hessian, covariance, stop - start, rng)
    return Estimate.from_samples(operands.finite_products(samples))


def alignment_by_examples(hessian, per_example_gradients, num_sampled, rng):
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


def rademacher(rng, shape):
    """Draw independent signs -1.0 and 1.0 of equal probability."""
    return 2.0 * rng.integers(0, 2, size=shape, dtype=np.int8) - 1.0


def _probe(hessian, covariance, num_probes, rng):
    if is_factored(covariance):
        noise = covariance.combine(rademacher(rng, (num_probes, covariance.num_rows)))
        return np.einsum("ij,ji->i", noise, hessian @ noise.T)
    probes = rademacher(rng, (covariance.shape[0], num_probes))
    if isinstance(covariance, DiagonalCovariance):
        noise = np.sqrt(covariance.variances)[:, None] * probes
        return np.sum(noise * (hessian @ noise), axis=0)
    return np.sum((hessian @ probes) * (covariance @ probes), axis=0)


def _rows(covariance, indices):
    # Only rows next to each other can be asked for at once.
    breaks = np.flatnonzero(np.diff(indices) != 1) + 1
    runs = np.split(indices, breaks)
    return np.vstack([covariance.factor_rows(int(run[0]), int(run[-1]) + 1) for run in runs])
