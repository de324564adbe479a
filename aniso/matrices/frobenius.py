"""Alignment of curvature and noise in the Frobenius inner product."""

import math
from dataclasses import dataclass

from aniso import checks
from aniso.matrices import exact_traces, operands


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
    def cosine(self):
        """``Tr(H Sigma) / (|H|_F |Sigma|_F)``, 1 where Sigma is a positive multiple of H."""
        cosine = self.alignment / self.hessian_norm / self.covariance_norm
        return min(1.0, max(-1.0, cosine))

    @property
    def coefficient(self):
        """``Tr(H Sigma) / |H|_F^2``, the number c for which ``|Sigma - c H|_F`` is least."""
        return self.alignment / self.hessian_norm**2

    @property
    def residual(self):
        """``|Sigma - c H|_F / |Sigma|_F = sqrt(1 - cosine^2)``, c the best coefficient."""
        return math.sqrt(max(0.0, (1 - self.cosine) * (1 + self.cosine)))

    def loss_scaled(self, loss):
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


def frobenius_norm(matrix, *, max_products=operands.MAX_PRODUCTS):
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


def frobenius_alignment(hessian, covariance, *, max_products=operands.MAX_PRODUCTS):
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
        zero = name == "covariance" and exact_traces.significant_trace(matrix) == 0
        if norms[name] == 0 or zero:
            raise checks.InputError(
                f"the Frobenius norm of {name} is {norms[name]:g}, zero to its rounding; expected "
                "a matrix that is not zero: there is no angle to it"
            )
    aligned = exact_traces.trace_of_product(hessian, covariance, max_products=max_products)
    return FrobeniusAlignment(aligned, norms["hessian"], norms["covariance"])


def _norm(matrix, max_products):
    squared = exact_traces.trace_of_product(matrix, matrix, max_products=max_products)
    return math.sqrt(max(0.0, squared))
