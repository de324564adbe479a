"""Results of a forecast of the escape of SGD: curves, exits and what they rest on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from aniso.escape.censoring import MeanExitTime
from aniso.escape.leading_models import LeadingModel
from aniso.escape.quadrature import QuadratureExitTime
from aniso.matrices import convention

if TYPE_CHECKING:
    from aniso.estimates import Estimate


@dataclass(frozen=True)
class MotionForecast:
    """Expected loss and first exits of one kind of motion; entry j belongs to ``steps[j]``.

    Attributes
    ----------
    loss : ndarray, shape (T,)
        Expected loss, exact for the quadratic model.
    deviation : ndarray, shape (T,)
        Standard deviation of the loss from run to run, of the directions inside the subspace.
    probability : tuple of estimates.Estimate, length T
        Probability of an exit within the steps, with the error of sampling.
    mean_time : MeanExitTime
        Mean exit time, in steps.
    discretisation : float
        Change of the last probability when half as many points of time are used; 0 for a chain,
        whose time is discrete.
    exact_mean : quadrature.QuadratureExitTime or None
        Mean exit time by quadrature, in steps. Only for the equation in one dimension, and
        None where the time is too long for a number.
    """

    loss: np.ndarray
    deviation: np.ndarray
    probability: tuple[Estimate, ...]
    mean_time: MeanExitTime
    discretisation: float = 0.0
    exact_mean: QuadratureExitTime | None = None


@dataclass(frozen=True, repr=False)
class EscapeForecast:
    """Expected loss and exits of SGD near theta, as far as the quadratic model reaches.

    All times are in steps.

    Attributes
    ----------
    steps : ndarray of int, shape (T,)
        From 0 to `valid_until`.
    examples : MotionForecast or None
        SGD on the examples, linear in each: ``x <- x - eta (g_B + H_B x)``. Its noise depends on x.
        None if the noise is not that of the examples, or they are too many.
    chain : MotionForecast
        ``x <- x - eta (g + H x + eps)`` with Gaussian eps of constant covariance.
    equation : MotionForecast
        The equation of the chain, ``dx = -(g + H x) dt + (eta S)^{1/2} dW``.
    below, above : ndarray, shape (T,)
        The expected loss lies between `loss - below` and `loss + above`, whatever the spectrum
        outside of the subspace within its bounds.
    level, radius : float or None
        Boundary: loss, or distance from theta.
    valid_until : int
        Steps up to which the model is meaningful, at most the number that was asked for.
    limit : str
        What ends the forecast, in words.
    remainder : float
        Measured remainder of the model relative to its quadratic term at `valid_until`.
    boundary_remainder : float
        The same at the boundary, relative to the rise there; nan if no ray reaches the boundary.
    outside_share : float
        Share of the way to the boundary that noise outside of the subspace goes, by its mean. For
        a radius the squared distance counts.
    noise_change : float
        Noise where the chain is at `valid_until`, weighted with curvature, over that at theta. 1
        where it is not taken as constant, or not that of the examples.
    step_error : float
        Error of the quadratic term at `valid_until` that the steps of the model add up to, relative
        to it: of the mean square after one more step, measured with gradients and noise.
    model : LeadingModel
        The quadratic model.
    learning_rate : float
        eta.
    noise : matrices.Convention
        Convention of the noise, with the batch size.
    """

    steps: np.ndarray
    examples: MotionForecast | None
    chain: MotionForecast
    equation: MotionForecast
    below: np.ndarray
    above: np.ndarray
    level: float | None
    radius: float | None
    valid_until: int
    limit: str
    remainder: float
    boundary_remainder: float
    outside_share: float
    noise_change: float
    step_error: float
    model: LeadingModel
    learning_rate: float
    noise: convention.Convention

    @property
    def motions(self) -> dict[str, MotionForecast]:
        """The motions by name: those of `examples` (if any), `chain` and `equation`."""
        found = {"examples": self.examples, "chain": self.chain, "equation": self.equation}
        return {name: motion for name, motion in found.items() if motion is not None}

    @property
    def assumptions(self) -> tuple[str, ...]:
        """Assumptions of the numbers, with how well they hold, a tuple of str."""
        model = self.model
        lines = [
            f"loss quadratic: remainder {self.remainder:.2g} of the quadratic term at the end, "
            f"{self.boundary_remainder:.2g} of the rise at the boundary",
            f"steps linear: their error adds up to {self.step_error:.2g} of the quadratic term",
        ]
        if self.examples is None:
            lines.append(
                f"noise constant: {self.noise_change:.3g} times that at the start at the end"
            )
        if model.outside.num_directions:
            lines.append(
                f"{model.outside.num_directions} directions outside of the subspace count by their "
                f"mean; their noise goes {100 * self.outside_share:.2g} % of the way to the "
                "boundary"
            )
        return tuple(lines)

    def __repr__(self):
        model = self.model
        where = f"loss {self.level:.6g}" if self.level is not None else f"radius {self.radius:.6g}"
        lines = [
            f"EscapeForecast: from loss {model.loss:.6g} to {where}, learning rate "
            f"{self.learning_rate:g}",
            f"  noise: {self.noise}",
            f"  {repr(model)[1:-1]}",
            f"  meaningful for {self.valid_until} steps: {self.limit}",
            f"  expected loss ± deviation of a run; probability of an exit: "
            f"{', '.join(self.motions)}",
        ]
        last = len(self.steps) - 1
        for j in sorted({*range(0, last, max(1, last // 5)), last}):
            losses = ", ".join(
                f"{motion.loss[j]:.6g} ± {motion.deviation[j]:.2g}"
                for motion in self.motions.values()
            )
            shares = ", ".join(f"{m.probability[j]:.2g}" for m in self.motions.values())
            lines.append(f"  step {self.steps[j]:<6d} {losses}; {shares}")
        lines.append(f"  bounds of the loss: -{self.below[last]:.2g}, +{self.above[last]:.2g}")
        for name, motion in self.motions.items():
            time = motion.mean_time
            low, high = time.interval
            mean = "unknown" if time.mean is None else str(time.mean)
            text = f"  mean exit of {name}: {mean} steps, in ({low:.4g}, {high:.4g})"
            if motion.exact_mean is not None:
                text += f"; by quadrature {motion.exact_mean.value:.6g}"
            lines.append(text)
        lines.append(
            "  discretisation of the equation's probability at the end: "
            f"{self.equation.discretisation:.1e}"
        )
        return "\n".join([*lines, *(f"  assumes: {line}" for line in self.assumptions)])
