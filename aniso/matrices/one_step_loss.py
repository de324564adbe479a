"""Expected change of the loss in one step of SGD, from gradient, curvature and noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from aniso import checks
from aniso.estimates import Estimate
from aniso.matrices import convention, indicators, operands

if TYPE_CHECKING:
    from aniso.typing import ArrayLike, Matrix


@dataclass(frozen=True, repr=False)
class LossChange:
    """Expected change of the loss in one step, in its three parts.

    Attributes
    ----------
    learning_rate : float
        Learning rate eta.
    gradient_square_norm : float
        ``|g|^2``.
    gradient_curvature : float
        ``g^T H g``.
    noise_curvature : float
        ``Tr(H S)``, S the covariance of the batch mean.
    standard_error : float
        Standard error of `noise_curvature`; 0 where it is exact.

    Examples
    --------
    >>> LossChange(0.1, 4.0, 8.0, 2.0, 0.0)
    <LossChange: -0.35 = -0.4 (slope) + 0.04 (curvature) + 0.01 (noise), learning rate 0.1>
    """

    learning_rate: float
    gradient_square_norm: float
    gradient_curvature: float
    noise_curvature: float
    standard_error: float

    @property
    def slope_part(self) -> float:
        """``-eta |g|^2``, in units of loss."""
        return -self.learning_rate * self.gradient_square_norm

    @property
    def curvature_part(self) -> float:
        """``eta^2 g^T H g / 2``, in units of loss."""
        return 0.5 * self.learning_rate**2 * self.gradient_curvature

    @property
    def noise_part(self) -> float:
        """``eta^2 Tr(H S) / 2``, in units of loss."""
        return 0.5 * self.learning_rate**2 * self.noise_curvature

    @property
    def total(self) -> float:
        """Sum of the three parts, float; its standard error is `total_error`."""
        return self.slope_part + self.curvature_part + self.noise_part

    @property
    def total_error(self) -> float:
        """Standard error of `total`, ``eta^2 / 2`` times that of Tr(H S)."""
        return 0.5 * self.learning_rate**2 * self.standard_error

    @property
    def best_learning_rate(self) -> float:
        """``|g|^2 / (g^T H g + Tr(H S))``, where the expected loss falls most.

        Raises
        ------
        InputError
            If the curvature ``g^T H g + Tr(H S)`` is not positive: the change has no minimum.
        """
        curvature = self.gradient_curvature + self.noise_curvature
        if not curvature > 0:
            raise checks.InputError(
                f"g^T H g + Tr(H S) is {curvature:g}; expected a positive number: otherwise the "
                "quadratic model falls without bound and has no best learning rate"
            )
        return self.gradient_square_norm / curvature

    def __repr__(self):
        error = f" ± {self.total_error:.2g}" if self.total_error else ""
        return (
            (
                f"<LossChange: {self.total:.6g}{error} = {self.slope_part:.6g} (slope) "
                f"{self.curvature_part:+.6g} (curvature) {self.noise_part:+.6g} (noise), "
                f"learning rate {self.learning_rate:g}>"
            )
            .replace(") +", ") + ")
            .replace(") -", ") - ")
        )


def expected_loss_change(
    gradient: ArrayLike,
    hessian: Matrix,
    minibatch_covariance: Matrix,
    learning_rate: float,
    *,
    noise_curvature: Estimate | float | None = None,
    max_products: int = operands.MAX_PRODUCTS,
) -> LossChange:
    """Expected change of the loss in one step, ``-eta |g|^2 + eta^2 (g^T H g + Tr(H S)) / 2``.

    Parameters
    ----------
    gradient : array_like, shape (D,)
        g, the gradient of the mean loss.
    hessian : array_like (D, D) or LinearOperator
        H, symmetric.
    minibatch_covariance : array_like (D, D), LinearOperator or GradientCovariance
        S, the covariance of the batch mean: :func:`aniso.matrices.minibatch_covariance` of
        ``at.noise``, a batch size and ``replacement``. A matrix of another convention is refused.
    learning_rate : float
        eta >= 0.
    noise_curvature : Estimate or float, optional
        ``Tr(H S)`` where it is known, for instance from :func:`aniso.matrices.alignment_hutchinson`
        of the same two matrices. Computed exactly if not given.
    max_products : int
        Largest number of products of an operator of unknown structure.

    Returns
    -------
    LossChange

    Raises
    ------
    InputError
        If an argument breaks its rule, or more than `max_products` products would be needed.

    Notes
    -----
    Exact for a quadratic mean loss, whether its examples share H or not. For another loss the error
    is of order eta^3. Cost: one product of H, and those of :func:`aniso.matrices.alignment`.
    Derivation: docs/theory/noise.md. Source: McCandlish et al. 2018.

    Examples
    --------
    Two examples with the gradients 1 and 3, H = 2, batches of one:

    >>> from aniso.matrices import gradient_covariance, minibatch_covariance
    >>> noise = minibatch_covariance(gradient_covariance([[1.0], [3.0]]), 1, replacement=True)
    >>> change = expected_loss_change([2.0], [[2.0]], noise, 0.1)
    >>> change.slope_part, round(change.curvature_part, 12), round(change.noise_part, 12)
    (-0.4, 0.04, 0.01)
    >>> change.best_learning_rate  # 4 / (8 + 2)
    0.4
    """
    convention.check_stage("minibatch_covariance", minibatch_covariance, "mini-batch")
    hessian = operands.symmetric("hessian", hessian)
    dimension = hessian.shape[0]
    gradient = operands.vector("gradient", gradient, dimension)
    learning_rate = checks.number("learning_rate", learning_rate, low=0)
    error = 0.0
    if isinstance(noise_curvature, Estimate):
        operands.covariance("minibatch_covariance", minibatch_covariance, size=dimension)
        noise_curvature, error = noise_curvature.value, noise_curvature.standard_error
    elif noise_curvature is None:
        noise_curvature = indicators.alignment(
            hessian, minibatch_covariance, max_products=max_products
        )
    else:
        noise_curvature = checks.number("noise_curvature", noise_curvature)
    image = operands.finite_products(np.asarray(hessian @ gradient))
    return LossChange(
        learning_rate,
        float(gradient @ gradient),
        float(gradient @ image),
        float(noise_curvature),
        float(error),
    )
