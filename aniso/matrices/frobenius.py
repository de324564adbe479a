"""Alignment of curvature and noise in the Frobenius inner product."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from aniso import checks
from aniso.estimates import Estimate, power_of_two
from aniso.matrices import exact_traces, operands
from aniso.matrices.stochastic_traces import rademacher

if TYPE_CHECKING:
    from aniso.typing import Matrix


_SMALLEST_SQUARE = 1e-290


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
        if 1e-100 < self.hessian_norm < 1e100:
            return self.alignment / self.hessian_norm**2
        # the square alone would leave the floating-point numbers
        return self.alignment / self.hessian_norm / self.hessian_norm

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
        If the matrix breaks its rule, or more than `max_products` products would be needed. If
        the squares of an operator's entries leave the floating-point numbers.

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
        needed. If ``|H|_F |Sigma|_F`` is not between 1e-290 and 1e290.

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
    _require_product(norms["hessian"] * norms["covariance"])
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
        images = [np.asarray(m @ probes, np.float64) for m in (hessian, covariance)]
        if start == 0:
            # the squares alone may leave the floating-point numbers
            units = [power_of_two(operands.finite_products(image)) for image in images]
        curved, noisy = (image / unit for image, unit in zip(images, units, strict=True))
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


def _require_product(size):
    if not _SMALLEST_SQUARE < size < 1 / _SMALLEST_SQUARE:
        raise checks.InputError(
            f"|H|_F |Sigma|_F = {size:.3g}; expected a number from 1e-290 to 1e290, so that "
            "Tr(H Sigma) keeps its digits: scale a matrix, which leaves the cosine as it is"
        )


def _norm(matrix, max_products):
    if operands.is_dense(matrix):
        matrix, unit = exact_traces.in_range(matrix)
        return unit * math.sqrt(exact_traces.trace_of_product(matrix, matrix))
    squared = exact_traces.trace_of_product(matrix, matrix, max_products=max_products)
    if squared < _SMALLEST_SQUARE:
        _require_zero(matrix)
    return math.sqrt(max(0.0, squared))


def _require_zero(matrix):
    # a product shows whether an operator is zero, or only its squares are
    signs = rademacher(np.random.Generator(np.random.Philox(key=0)), (matrix.shape[0], 1))
    largest = float(np.abs(matrix @ signs).max())
    if largest > 0:
        raise checks.InputError(
            f"the matrix has products of the size {largest:.2g}, whose squares leave the "
            "floating-point numbers; expected a larger matrix: multiply it by a constant"
        )
