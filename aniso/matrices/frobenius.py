"""Alignment of curvature and noise in the Frobenius inner product."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from aniso import checks
from aniso.estimates import Estimate
from aniso.matrices import exact_traces, operands
from aniso.matrices.stochastic_traces import rademacher

if TYPE_CHECKING:
    from aniso.typing import Matrix


@dataclass(frozen=True, repr=False)
class FrobeniusAlignment:
    """The angle between H and Sigma in the Frobenius inner product, and the best multiple of H.

    Attributes
    ----------
    alignment : float
        ``Tr(H Sigma)``.
    hessian_norm, covariance_norm : float
        ``|H|_F`` and ``|Sigma|_F``.

    Examples
    --------
    >>> FrobeniusAlignment(4.0, 2.0, 2.5)
    <FrobeniusAlignment: cosine 0.8, Sigma = 1 H + 60 % of |Sigma|>
    """

    alignment: float
    hessian_norm: float
    covariance_norm: float

    @property
    def cosine(self) -> float:
        """``Tr(H Sigma) / (|H|_F |Sigma|_F)``, 1 where Sigma is a positive multiple of H."""
        cosine = self.alignment / self.hessian_norm / self.covariance_norm
        return min(1.0, max(-1.0, cosine))

    @property
    def coefficient(self) -> float:
        """``Tr(H Sigma) / |H|_F^2``, the number c for which ``|Sigma - c H|_F`` is least."""
        return self.alignment / self.hessian_norm**2

    @property
    def residual(self) -> float:
        """``|Sigma - c H|_F / |Sigma|_F = sqrt(1 - cosine^2)``, c the best coefficient."""
        return math.sqrt(max(0.0, (1 - self.cosine) * (1 + self.cosine)))

    def loss_scaled(self, loss: float) -> float:
        """``mu = Tr(H Sigma) / (2 L |H|_F^2)``, the coefficient in units of twice the loss.

        Parameters
        ----------
        loss : float
            L > 0, the mean of the squared residuals over 2.

        Raises
        ------
        InputError
            If the loss is not positive.

        Examples
        --------
        >>> FrobeniusAlignment(4.0, 2.0, 2.5).loss_scaled(0.25)
        2.0
        """
        return self.coefficient / (2 * checks.number("loss", loss, low=0, strict=True))

    def __repr__(self):
        return (
            f"<FrobeniusAlignment: cosine {self.cosine:.4g}, Sigma = {self.coefficient:.4g} H + "
            f"{100 * self.residual:.3g} % of |Sigma|>"
        )


def frobenius_norm(matrix: Matrix, *, max_products: int = operands.MAX_PRODUCTS) -> float:
    """Frobenius norm ``|A|_F = sqrt(Tr(A A))`` of a symmetric matrix.

    Parameters
    ----------
    matrix : array_like (D, D) or LinearOperator
        Symmetric.
    max_products : int
        Largest number of products of an operator of unknown structure.

    Returns
    -------
    float

    Raises
    ------
    InputError
        If the matrix breaks its rule, or more than `max_products` products would be needed.

    Notes
    -----
    D products of an operator, n of a covariance of n factor rows, none of an array.

    Examples
    --------
    >>> frobenius_norm([[3.0, 0.0], [0.0, 4.0]])
    5.0
    """
    return _norm(operands.symmetric("matrix", matrix), max_products)


def frobenius_alignment(
    hessian: Matrix, covariance: Matrix, *, max_products: int = operands.MAX_PRODUCTS
) -> FrobeniusAlignment:
    """Cosine ``Tr(H Sigma) / (|H|_F |Sigma|_F)`` and the best multiple of H to describe Sigma.

    Parameters
    ----------
    hessian : array_like (D, D) or LinearOperator
        Symmetric; a Hessian, a Gauss-Newton or a Fisher matrix.
    covariance : array_like (D, D), LinearOperator or GradientCovariance
        Symmetric positive semi-definite.
    max_products : int
        Largest number of products of an operator of unknown structure.

    Returns
    -------
    FrobeniusAlignment

    Raises
    ------
    InputError
        If a matrix breaks its rule or is zero, or more than `max_products` products would be
        needed.

    Notes
    -----
    With the Gauss-Newton matrix of the squared loss ``|f - y|^2 / 2``, `loss_scaled` is the
    alignment mu of Wu, Wang & Su 2022. Formulas: docs/theory/noise.md.

    Examples
    --------
    >>> found = frobenius_alignment([[2.0, 0.0], [0.0, 0.0]], [[3.0, 0.0], [0.0, 4.0]])
    >>> found.cosine, found.coefficient  # 6 / (2 * 5) and 6 / 4
    (0.6, 1.5)
    """
    hessian = operands.symmetric("hessian", hessian)
    covariance = operands.covariance("covariance", covariance, size=hessian.shape[0])
    norms = {}
    for name, matrix in (("hessian", hessian), ("covariance", covariance)):
        norms[name] = _norm(matrix, max_products)
        trace = 1.0
        if name == "covariance":
            trace = exact_traces.significant_trace(matrix, max_products=max_products)
        _require_size(name, norms[name] if trace else 0.0)
    aligned = exact_traces.trace_of_product(hessian, covariance, max_products=max_products)
    return FrobeniusAlignment(aligned, norms["hessian"], norms["covariance"])


def cosine_alignment_hutchinson(
    hessian: Matrix, covariance: Matrix, num_probes: int, rng: np.random.Generator
) -> Estimate:
    """Estimate the cosine ``Tr(H Sigma) / (|H|_F |Sigma|_F)`` from random probes.

    Parameters
    ----------
    hessian : array_like (D, D) or LinearOperator
        Symmetric.
    covariance : array_like (D, D), LinearOperator or GradientCovariance
        Symmetric positive semi-definite.
    num_probes : int
        At least 3; one product of both matrices each.
    rng : numpy.random.Generator
        Source of the random numbers.

    Returns
    -------
    Estimate
        The standard error is the jackknife's over the probes. The bias is of order one over their
        number.

    Raises
    ------
    InputError
        If an argument breaks its rule, or a matrix is zero.

    Notes
    -----
    With signs z the means of ``(H z)^T (Sigma z)``, ``|H z|^2`` and ``|Sigma z|^2`` are unbiased
    for ``Tr(H Sigma)``, ``|H|_F^2`` and ``|Sigma|_F^2``. The same probes serve all three, so that
    proportional matrices give 1 without error.

    Examples
    --------
    >>> hessian = [[2.0, 1.0], [1.0, 2.0]]
    >>> found = cosine_alignment_hutchinson(hessian, hessian, 4, np.random.default_rng(0))
    >>> round(found.value, 12), round(found.standard_error, 12)
    (1.0, 0.0)
    """
    hessian = operands.symmetric("hessian", hessian)
    dimension = hessian.shape[0]
    covariance = operands.covariance("covariance", covariance, size=dimension)
    num_probes = checks.integer("num_probes", num_probes, low=3)
    checks.generator("rng", rng)
    samples = np.empty((3, num_probes))
    for start, stop in operands.ranges(num_probes, dimension):
        probes = rademacher(rng, (dimension, stop - start))
        curved, noisy = (np.asarray(m @ probes, np.float64) for m in (hessian, covariance))
        for row, pair in enumerate(((curved, noisy), (curved, curved), (noisy, noisy))):
            samples[row, start:stop] = np.einsum("ij,ij->j", *pair)
    operands.finite_products(samples)
    total = samples.sum(axis=1)
    for name, size in (("hessian", total[1]), ("covariance", total[2])):
        _require_size(name, math.sqrt(size / num_probes))
    left_out = _cosines(total[:, None] - samples)
    spread = float(np.sum((left_out - left_out.mean()) ** 2))
    error = math.sqrt((num_probes - 1) / num_probes * spread)
    return Estimate(float(_cosines(total)), error, num_probes)


def _cosines(sums):
    with np.errstate(invalid="ignore", divide="ignore"):
        cosines = sums[0] / np.sqrt(np.maximum(sums[1], 0.0)) / np.sqrt(np.maximum(sums[2], 0.0))
    return np.nan_to_num(np.clip(cosines, -1.0, 1.0))


def _require_size(name, size):
    if size == 0:
        raise checks.InputError(
            f"the Frobenius norm of {name} is zero to its rounding; expected a matrix that is not "
            "zero: there is no angle to it"
        )


def _norm(matrix, max_products):
    squared = exact_traces.trace_of_product(matrix, matrix, max_products=max_products)
    return math.sqrt(max(0.0, squared))
