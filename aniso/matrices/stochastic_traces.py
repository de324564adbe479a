"""Stochastic traces of a symmetric operator, with error bars: Hutchinson, Hutch++, XTrace.

    estimator     products m for a relative error epsilon     standard error from
    Hutchinson    1 / epsilon^2                               the probes
    Hutch++       1 / epsilon, far fewer for fast decay       the probes of the deflated part
    XTrace        as Hutch++, smaller constant                leave-one-out estimates

The estimators of the alignment Tr(H Sigma) are in :mod:`aniso.matrices.stochastic_alignment`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import scipy.linalg

from aniso import checks, memory
from aniso.estimates import Estimate
from aniso.matrices import exact_traces, operands

if TYPE_CHECKING:
    from aniso.typing import Matrix


def hutchinson(operator: Matrix, num_products: int, rng: np.random.Generator) -> Estimate:
    """Estimate ``Tr A`` by Hutchinson's mean of ``z^T A z`` over Rademacher vectors z.

    Parameters
    ----------
    operator : array_like (D, D) or LinearOperator
        Symmetric.
    num_products : int
        m >= 2, products with a vector, one a probe.
    rng : numpy.random.Generator
        Source of the random numbers.

    Returns
    -------
    Estimate
        Unbiased; the standard error comes from the m independent probes.

    Raises
    ------
    InputError
        If an argument breaks its rule.
    AllocationRefused
        If 8 m bytes would not fit.

    Notes
    -----
    Variance of one probe: ``2 (|A|_F^2 - sum_i A_ii^2)``, so exact for a diagonal matrix.
    Source: Hutchinson 1990.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> hutchinson([[1.0, 0.0], [0.0, 2.0]], 4, rng)
    Estimate(value=3.0, standard_error=0.0, num_samples=4)
    """
    operator, num_products = _arguments(operator, num_products, rng, 2)
    dimension = operator.shape[0]
    memory.require(8 * num_products, "the samples", "lower num_products")
    samples = np.empty(num_products)
    for start, stop in operands.ranges(num_products, dimension):
        probes = rademacher(rng, (dimension, stop - start))
        products = _symmetric_products(operator, probes)
        samples[start:stop] = np.sum(probes * products, axis=0)
    return Estimate.from_samples(samples)


def hutch_plus_plus(operator: Matrix, num_products: int, rng: np.random.Generator) -> Estimate:
    """Estimate ``Tr A`` by Hutch++, ``Tr(Q^T A Q) + mean of g^T (I - QQ^T) A (I - QQ^T) g``.

    Q spans the image of m/3 random vectors, which contains the leading eigenvectors approximately.
    The trace within it is exact; Hutchinson's probes estimate the rest.

    Parameters
    ----------
    operator : array_like (D, D) or LinearOperator
        Symmetric.
    num_products : int
        m >= 6: m/3 each for the sketch, its exact trace, and the probes of the rest. D or more give
        the exact trace by D products.
    rng : numpy.random.Generator
        Source of the random numbers.

    Returns
    -------
    Estimate
        Unbiased; the standard error comes from the probes of the rest, given Q. Exact to rounding
        for a rank of at most m/3.

    Raises
    ------
    InputError
        If an argument breaks its rule.

    Notes
    -----
    Memory 16 D m/3 bytes. Source: Meyer, Musco, Musco & Woodruff 2021, algorithm 1.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> hutch_plus_plus([[1.0, 5.0], [5.0, 2.0]], 6, rng)  # six products suffice for D = 2
    Estimate(value=3.0, standard_error=0.0, num_samples=2)
    """
    operator, num_products = _arguments(operator, num_products, rng, 6)
    dimension = operator.shape[0]
    if num_products >= dimension:
        return _exact(operator)
    rank = num_products // 3
    memory.require(3 * 8 * rank * dimension, "the sketch of Hutch++", "lower num_products")
    image = _symmetric_products(operator, rademacher(rng, (dimension, rank)))
    basis = np.linalg.qr(image)[0]
    leading = float(np.sum(basis * (operator @ basis)))
    samples = np.empty(num_products - 2 * rank)
    for start, stop in operands.ranges(samples.size, dimension):
        probes = rademacher(rng, (dimension, stop - start))
        probes = probes - basis @ (basis.T @ probes)
        samples[start:stop] = np.sum(probes * (operator @ probes), axis=0)
    rest = Estimate.from_samples(operands.finite_products(samples))
    return Estimate(leading + rest.value, rest.standard_error, rest.num_samples)


def xtrace(operator: Matrix, num_products: int, rng: np.random.Generator) -> Estimate:
    """Estimate ``Tr A`` by XTrace, the mean of n = m/2 leave-one-out Hutch++ estimates.

    Estimate i uses the basis of all test vectors except the i-th, which probes the rest.

    Parameters
    ----------
    operator : array_like (D, D) or LinearOperator
        Symmetric.
    num_products : int
        m >= 4: n products for the basis, n for the trace within it. D or more give the exact trace
        by D products.
    rng : numpy.random.Generator
        Source of the random numbers.

    Returns
    -------
    Estimate
        Unbiased, and exact to rounding for a rank below n. The standard error treats the n
        leave-one-out estimates as independent. They share their vectors, so it is too small: 0.65
        to 0.95 of the true spread on the matrices measured, lowest where n is a large part of D.
        Use Hutch++ if a correct error bar matters more than a small one.

    Raises
    ------
    InputError
        If an argument breaks its rule.

    Notes
    -----
    Test vectors are uniform on the sphere. The probe of the rest is normalised within the rest. One
    QR decomposition Y = QR of the D x n image is enough for all n estimates: the basis without
    vector i is ``Q (I - s_i s_i^T)``, with s_i the normalised column i of ``R^{-T}``. For symmetric
    A, ``Q^T A Omega = R``. Cost beyond the products: 6 D n^2 flops. Source: Epperly, Tropp & Webber
    2024, section 2 and the supplement.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> xtrace([[1.0, 5.0], [5.0, 2.0]], 4, rng)
    Estimate(value=3.0, standard_error=0.0, num_samples=2)
    """
    operator, num_products = _arguments(operator, num_products, rng, 4)
    dimension = operator.shape[0]
    if num_products >= dimension:
        return _exact(operator)
    num_vectors = num_products // 2
    memory.require(5 * 8 * num_vectors * dimension, "the sketch of XTrace", "lower num_products")
    vectors = rng.standard_normal((dimension, num_vectors))
    vectors *= math.sqrt(dimension) / np.linalg.norm(vectors, axis=0)
    basis, triangle = np.linalg.qr(_symmetric_products(operator, vectors))
    if not triangle.any():
        return Estimate(0.0, 0.0, num_vectors)
    inner = operands.finite_products(basis.T @ (operator @ basis))
    left_out = _left_out_directions(triangle)
    # Coefficients in Q of each test vector, and of its projection on its own basis.
    weights = basis.T @ vectors
    projected = weights - left_out * np.sum(left_out * weights, axis=0)
    within = np.trace(inner) - np.sum(left_out * (inner @ left_out), axis=0)
    rest = np.sum(triangle * (weights - 2 * projected), axis=0)
    rest += np.sum(projected * (inner @ projected), axis=0)
    rest *= (dimension - num_vectors + 1) / (dimension - np.sum(projected**2, axis=0))
    return Estimate.from_samples(within + rest)


def rademacher(rng, shape):
    """Draw independent signs -1.0 and 1.0 of equal probability."""
    return 2.0 * rng.integers(0, 2, size=shape, dtype=np.int8) - 1.0


def _left_out_directions(triangle):
    # A vanishing pivot means that the image has the full rank already: any direction that is
    # orthogonal to the other columns is enough, and a tiny pivot gives one.
    triangle = triangle.copy()
    pivots = np.einsum("ii->i", triangle)
    floor = np.finfo(np.float64).eps * np.abs(triangle).max()
    pivots[np.abs(pivots) < floor] = floor
    identity = np.eye(len(triangle))
    inverse = scipy.linalg.solve_triangular(triangle, identity, trans="T", lower=False)
    return inverse / np.linalg.norm(inverse, axis=0)


def _exact(operator):
    operands.symmetric("operator", operator)
    return Estimate(exact_traces.trace(operator), 0.0, operator.shape[0])


def _symmetric_products(operator, vectors):
    # the estimator's own random vectors probe the symmetry
    products = operator @ vectors
    if not operands.is_dense(operator):
        operands.require_symmetric_forms("operator", operator, vectors, products)
    return products


def _arguments(operator, num_products, rng, fewest):
    operator = operands.symmetric("operator", operator, probed=False)
    num_products = checks.integer("num_products", num_products, low=fewest)
    checks.generator("rng", rng)
    return operator, num_products
