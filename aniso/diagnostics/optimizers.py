"""The optimizer of a training, as the stability of its steps needs it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from aniso import checks, descent
from aniso.closed_forms import sharpness_limit

_KNOWN = (
    "a torch.optim optimizer (SGD, Adam, AdamW, RMSprop), descent.HeavyBall, or "
    "diagnostics.OptimizerState"
)


@dataclass(frozen=True, repr=False)
class OptimizerState:
    """Momentum and preconditioner of an optimizer at one step.

    Attributes
    ----------
    name : str
        For messages and sentences.
    momentum : float
        b, 0 <= b < 1; beta_1 of Adam.
    form : {"heavy_ball", "nesterov", "averaged"}
        Form of the momentum, as in :func:`aniso.closed_forms.sharpness_limit`.
    learning_rate : float or None
        eta of the optimizer itself.
    preconditioner : array_like, shape (D,), or None
        Diagonal of P in the step ``-eta P^{-1} m``; None for the identity. For Adam it is
        :func:`aniso.closed_forms.adam_preconditioner`.
    gradient_scale : float
        Number above 0 by which the gradient enters the momentum: 1 - dampening of PyTorch's SGD.

    Examples
    --------
    >>> ball = OptimizerState("heavy ball", 0.5)
    >>> ball.limit(0.1), ball
    (30.0, <OptimizerState: heavy ball, momentum 0.5 (heavy_ball)>)
    """

    name: str
    momentum: float = 0.0
    form: str = "heavy_ball"
    learning_rate: float | None = None
    preconditioner: np.ndarray | None = None
    gradient_scale: float = 1.0

    def __post_init__(self):
        rate = 1.0 if self.learning_rate is None else self.learning_rate
        sharpness_limit(rate, momentum=self.momentum, form=self.form)  # refuses wrong settings
        checks.number("gradient_scale", self.gradient_scale, low=0, strict=True)
        if self.preconditioner is not None:
            kept = checks.held(checks.array("preconditioner", self.preconditioner, shape=(None,)))
            if kept.size == 0 or not kept.min() > 0:
                raise checks.InputError(
                    f"preconditioner has {kept.size} entries, the least "
                    f"{kept.min(initial=np.inf):.6g}; expected D positive numbers"
                )
            object.__setattr__(self, "preconditioner", kept)

    def limit(self, learning_rate: float) -> float:
        """Largest stable sharpness at a learning rate, as `sharpness_limit` gives it, float."""
        rate = learning_rate * self.gradient_scale
        return sharpness_limit(rate, momentum=self.momentum, form=self.form)

    def settings(self) -> dict[str, Any]:
        """Return name, momentum, its form and the scale of the gradient as plain data."""
        return {
            "name": self.name,
            "momentum": self.momentum,
            "form": self.form,
            "gradient_scale": self.gradient_scale,
            "preconditioned": self.preconditioner is not None,
        }

    def __repr__(self):
        rate = "" if self.learning_rate is None else f", learning rate {self.learning_rate:g}"
        if self.gradient_scale != 1:
            rate += f", gradient times {self.gradient_scale:g}"
        scaled = ""
        if self.preconditioner is not None:
            low, high = self.preconditioner.min(), self.preconditioner.max()
            scaled = f", preconditioner {low:.3g} to {high:.3g}"
        return (
            f"<OptimizerState: {self.name}, momentum {self.momentum:g} ({self.form}){rate}{scaled}>"
        )


def read_optimizer(optimizer, problem, theta):
    """Return momentum and preconditioner of an optimizer at the present step.

    Parameters
    ----------
    optimizer : object
        A torch optimizer of the model of the problem, a :class:`aniso.descent.HeavyBall`, or an
        :class:`OptimizerState`.
    problem : problems.Problem
        One from PyTorch for a torch optimizer.
    theta : ndarray, shape (D,)
        Present parameters, which the optimizer must have too.

    Returns
    -------
    OptimizerState

    Raises
    ------
    InputError
        If the optimizer is of another kind or another model, or has no state yet.

    Examples
    --------
    >>> read_optimizer(descent.HeavyBall(0.5), None, None).limit(1.0)
    3.0
    """
    if isinstance(optimizer, OptimizerState):
        made = optimizer
    elif isinstance(optimizer, descent.HeavyBall):
        form = "nesterov" if optimizer.nesterov else "heavy_ball"
        made = OptimizerState("HeavyBall", optimizer.momentum, form)
    elif isinstance(optimizer, descent.Adam):
        raise checks.InputError(
            f"optimizer={optimizer!r} carries no second moments; expected its state too: "
            "diagnostics.OptimizerState('Adam', momentum, 'averaged', preconditioner="
            "closed_forms.adam_preconditioner(second_moments, ...))"
        )
    elif hasattr(optimizer, "param_groups"):
        made = _of_torch(optimizer, problem, theta)
    else:
        raise checks.InputError(
            f"optimizer is of type {type(optimizer).__name__}; expected {_KNOWN}"
        )
    scaled = made.preconditioner
    if scaled is not None and theta is not None and len(scaled) != len(theta):
        raise checks.InputError(
            f"the preconditioner of {made.name} has {len(scaled)} entries; expected D={len(theta)}"
        )
    return made


def _of_torch(optimizer, problem, theta):
    reader = getattr(problem, "optimizer_settings", None)
    if reader is None:
        raise checks.InputError(
            f"optimizer is a {type(optimizer).__name__} of PyTorch, but the problem is a "
            f"{type(problem).__name__}; expected the problem of frameworks.from_torch, or "
            "diagnostics.OptimizerState"
        )
    return OptimizerState(**reader(optimizer, theta))
