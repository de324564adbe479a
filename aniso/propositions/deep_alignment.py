"""Noise along the leading eigenvector of the Gauss-Newton matrix, for a network of any depth.

    u^T Sigma_1 u  >=  a lambda Tr Sigma_1 / Tr G,
    a  =  kappa_min / kappa_max - (u^T g)^2 Tr G / (lambda Tr Sigma_1)

(lambda, u) is the leading eigenpair of G. The constants are those of
:mod:`aniso.propositions.fisher_order`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aniso import checks
from aniso.arrays import transfer
from aniso.matrices import exact_traces, leading_eigenpairs
from aniso.propositions.fisher_order import OrderConstants, order_constants

if TYPE_CHECKING:
    from aniso.problems import LocalGeometry


@dataclass(frozen=True)
class AlignmentBound:
    """Measured coefficient of the noise along u, beside the bounds that the losses promise.

    ``guaranteed <= lower <= coefficient <= upper``.

    Attributes
    ----------
    constants : OrderConstants
        The constants between F and G.
    eigenvalue : float
        lambda, the largest eigenvalue of G.
    curvature_trace, noise_trace : float
        ``Tr G`` and ``Tr Sigma_1``.
    coefficient : float
        ``u^T Sigma_1 u Tr G / (lambda Tr Sigma_1)``, measured.
    gradient_share : float
        ``(u^T g)^2 Tr G / (lambda Tr Sigma_1)``, measured.
    num_parameters : int
        D.
    """

    constants: OrderConstants
    eigenvalue: float
    curvature_trace: float
    noise_trace: float
    coefficient: float
    gradient_share: float
    num_parameters: int

    @property
    def guaranteed(self) -> float:
        """``a = kappa_min/kappa_max - gradient_share``; at most 0 where nothing is promised."""
        return self.constants.ratio - self.gradient_share

    @property
    def is_vacuous(self) -> bool:
        """Whether `guaranteed` is not positive, so that the claim says nothing."""
        return self.guaranteed <= 0

    @property
    def lower(self) -> float:
        """``kappa_min Tr G / Tr Sigma_1 - gradient_share``, the bound from measured traces."""
        share = self.curvature_trace / self.noise_trace
        return self.constants.lowest * share - self.gradient_share

    @property
    def upper(self) -> float:
        """``kappa_max Tr G / Tr Sigma_1 - gradient_share``, for any number of outputs."""
        share = self.curvature_trace / self.noise_trace
        return self.constants.highest * share - self.gradient_share

    @property
    def guaranteed_ratio(self) -> float:
        """``a D lambda^2 / (Tr G)^2``, at most ``Tr(G Sigma) / Tr(G Sigma_bar)``."""
        return self.guaranteed * self.num_parameters * (self.eigenvalue / self.curvature_trace) ** 2

    @property
    def ratio_ceiling(self) -> float:
        """``kappa_max D lambda / Tr Sigma_1``, at least ``Tr(G Sigma) / Tr(G Sigma_bar)``."""
        return self.constants.highest * self.num_parameters * self.eigenvalue / self.noise_trace

    def __repr__(self):
        verdict = "vacuous" if self.is_vacuous else "guaranteed"
        return (
            f"<AlignmentBound: coefficient {self.coefficient:.6g} within [{self.lower:.6g}, "
            f"{self.upper:.6g}], a = {self.guaranteed:.6g} ({verdict}), lambda = "
            f"{self.eigenvalue:.6g}>"
        )


def deep_alignment_bound(
    geometry: LocalGeometry, *, tolerance: float | None = None
) -> AlignmentBound:
    """Return the coefficient of the noise along u, and the bounds that the losses promise.

    Parameters
    ----------
    geometry : aniso.problems.LocalGeometry
        ``problem.at(theta)`` of a problem with outputs, for instance a network of any depth.
    tolerance : float, optional
        Residual of the leading eigenpair relative to lambda; 1e-10 if not given.

    Returns
    -------
    AlignmentBound

    Raises
    ------
    InputError
        As :func:`aniso.propositions.order_constants`; if G or Sigma_1 is 0.
    MissingFaculty
        If the problem has no outputs.
    NotConverged
        If the leading eigenpair does not reach its tolerance.

    Notes
    -----
    Cost: some products of G, one trace of G and one of Sigma_1. With more than one output, or more
    than two classes, the lower constant is 0: then only `upper` is a promise. The bounds hold for
    every unit vector u and ``lambda = u^T G u``; a residual of the eigenpair only changes which.
    Formulas: docs/theory/deep.md, Noise along the leading eigenvector.

    Examples
    --------
    f = theta x at theta = 1, x = 1 and 2, y = 0 and no bias: g_i = 2 x^2, G = 5, Sigma_1 = 9.

    >>> from aniso.problems import AutogradModel, losses
    >>> class Slope:
    ...     num_parameters, num_outputs = 1, 1
    ...     def outputs(self, theta, inputs):
    ...         return theta[0] * inputs
    >>> line = AutogradModel(Slope(), losses.SquaredLoss(), [[1.0], [2.0]], [[0.0], [0.0]])
    >>> bound = deep_alignment_bound(line.at([1.0]))
    >>> [round(x, 9) for x in (bound.coefficient, bound.gradient_share, bound.guaranteed)]
    [1.0, 2.777777778, -2.527777778]
    """
    constants = order_constants(geometry)
    if constants.num_active == 0:
        raise checks.InputError(
            "no example has a curvature in its output at this theta, so that G = Sigma = 0; "
            "expected a theta at which some example is active"
        )
    if constants.highest == 0:
        raise checks.InputError(
            "every example is fitted exactly, so that all gradients are 0 and the coefficient is "
            "0/0; expected a theta with gradient noise"
        )
    noise, curvature = geometry.noise, geometry.gauss_newton
    noise_trace, curvature_trace = exact_traces.significant_trace(noise), float(curvature.trace())
    if noise_trace == 0:
        raise checks.InputError(
            "the gradients of all examples are equal, so that Tr Sigma = 0 and the coefficient "
            "is 0/0; expected a theta with gradient noise"
        )
    pairs = leading_eigenpairs(curvature, 1, tolerance=tolerance)
    vector = pairs.vectors[:, 0]
    eigenvalue = float(vector @ (curvature @ vector))
    share = curvature_trace / (eigenvalue * noise_trace)
    gradient = transfer.to_numpy(geometry.gradient)
    return AlignmentBound(
        constants=constants,
        eigenvalue=eigenvalue,
        curvature_trace=curvature_trace,
        noise_trace=noise_trace,
        coefficient=noise.quadratic_form(vector) * share,
        gradient_share=float(vector @ gradient) ** 2 * share,
        num_parameters=geometry.num_parameters,
    )
