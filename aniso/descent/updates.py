"""Updates: how a step uses the gradient, by momentum or as Adam, and weight decay beside it.

With the gradient g of a step, noise included, and the learning rate eta of that step:

    no update           theta <- theta - eta g
    HeavyBall           m <- beta m + g,  theta <- theta - eta m         as torch.optim.SGD
    Adam                theta <- theta - eta m^ / (sqrt(v^) + floor)     as torch.optim.Adam
    CoupledDecay        g <- g + rho theta, before the update            "L2 regularisation"
    DecoupledDecay      theta <- (1 - eta rho) theta, before the step    with Adam: AdamW

Each is a frozen dataclass, compared by its values. The arrays of an update are its state. They are
kept in checkpoints, so that a resumed run has the same bits.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from aniso import checks

if TYPE_CHECKING:
    from aniso.typing import Array


class ByValue:
    """A part of the settings of a run that is identified by its kind and its values."""

    def identity(self) -> dict[str, Any]:
        """Return kind and values as plain data, for a run directory."""
        return {"kind": type(self).__name__} | asdict(self)


@dataclass(frozen=True)
class HeavyBall(ByValue):
    """Momentum, ``m <- beta m + g`` from m = 0 and ``theta <- theta - eta m``.

    Attributes
    ----------
    momentum : float
        beta in [0, 1).
    nesterov : bool
        Whether the step is ``-eta (g + beta m)`` instead, with the new m.

    Notes
    -----
    The convention is that of `torch.optim.SGD` without dampening. The learning rate stands outside
    of m, so that a change of it acts on the whole memory at once. A steady gradient moves theta by
    ``eta g / (1 - beta)`` a step. Source: Polyak 1964; Sutskever et al. 2013.

    Examples
    --------
    >>> ball = HeavyBall(0.5)
    >>> direction, state = ball.direction(np.array([1.0]), ball.start(1), 1)
    >>> ball.direction(np.array([1.0]), state, 2)[0].tolist()  # 0.5 * 1 + 1
    [1.5]
    """

    momentum: float
    nesterov: bool = False

    def __post_init__(self):
        momentum = checks.number("momentum", self.momentum, low=0, high=1 - 1e-12)
        object.__setattr__(self, "momentum", momentum)
        object.__setattr__(self, "nesterov", checks.flag("nesterov", self.nesterov))

    def start(self, num_parameters: int) -> Any:
        """Return the state before the first step: m = 0."""
        return {"momentum": np.zeros(num_parameters)}

    def direction(self, gradient: Array, state: Any, count: int) -> tuple[Array, Any]:  # noqa: ARG002
        """Return the direction of step number `count`, from 1 on, and the new state."""
        memory = self.momentum * state["momentum"] + gradient
        direction = gradient + self.momentum * memory if self.nesterov else memory
        return direction, {"momentum": memory}


@dataclass(frozen=True)
class Adam(ByValue):
    """Adam, ``theta <- theta - eta m^ / (sqrt(v^) + floor)``.

    m and v are running means of the gradient and of its square, m^ and v^ without their bias.

    Attributes
    ----------
    decay_rates : tuple of float
        Decay rates of m and of v, each in [0, 1).
    floor : float
        Added to the root, in the units of the gradient. With 0, a coordinate whose root is 0 has
        not moved yet and stays.

    Notes
    -----
    Source: Kingma & Ba 2015, Algorithm 1. The convention is that of `torch.optim.Adam`.

    Examples
    --------
    The first step moves every coordinate by the learning rate against the sign of its gradient:

    >>> adam = Adam()
    >>> adam.direction(np.array([3.0, -0.1]), adam.start(2), 1)[0].round(6).tolist()
    [1.0, -1.0]
    """

    decay_rates: tuple[float, ...] = (0.9, 0.999)
    floor: float = 1e-8

    def __post_init__(self):
        rates = self.decay_rates
        if np.ndim(rates) != 1 or len(rates) != 2:
            raise checks.InputError(
                f"decay_rates={rates!r}; expected two numbers, for instance (0.9, 0.999)"
            )
        rates = tuple(checks.number("decay_rates", r, low=0, high=1 - 1e-12) for r in rates)
        object.__setattr__(self, "decay_rates", rates)
        object.__setattr__(self, "floor", checks.number("floor", self.floor, low=0))

    def start(self, num_parameters: int) -> Any:
        """Return the state before the first step: both means are 0."""
        return {"mean": np.zeros(num_parameters), "square": np.zeros(num_parameters)}

    def direction(self, gradient: Array, state: Any, count: int) -> tuple[Array, Any]:
        """Return the direction of step number `count`, from 1 on, and the new state."""
        first, second = self.decay_rates
        mean = first * state["mean"] + (1 - first) * gradient
        square = second * state["square"] + (1 - second) * gradient**2
        root = np.sqrt(square / (1 - second**count))
        if self.floor == 0:
            root = np.where(root == 0, 1.0, root)  # the mean is 0 there
        direction = (mean / (1 - first**count)) / (root + self.floor)
        return direction, {"mean": mean, "square": square}

    def identity(self) -> dict[str, Any]:
        """Return kind and values as plain data, for a run directory."""
        return super().identity() | {"decay_rates": list(self.decay_rates)}


@dataclass(frozen=True)
class _Decay(ByValue):
    rate: float

    def __post_init__(self):
        object.__setattr__(self, "rate", checks.number("rate", self.rate, low=0))


class CoupledDecay(_Decay):
    """Weight decay through the gradient, ``g <- g + rho theta``.

    It is the gradient of the penalty ``rho |theta|^2 / 2``. Momentum and the roots of Adam take
    part in it. The convention is `weight_decay` of `torch.optim.SGD` and `torch.optim.Adam`.

    Attributes
    ----------
    rate : float
        rho >= 0.
    """


class DecoupledDecay(_Decay):
    """Weight decay beside the gradient, ``theta <- (1 - eta rho) theta`` before the step.

    With :class:`Adam` it is AdamW; the convention is `weight_decay` of `torch.optim.AdamW`. Without
    momentum it is the coupled form. Source: Loshchilov & Hutter 2019.

    Attributes
    ----------
    rate : float
        rho >= 0.
    """


def advanced(theta, gradient, learning_rate, update, decay, state, count):
    """Return theta and the state of the update after one step.

    Parameters
    ----------
    theta, gradient : ndarray, shape (D,)
        Point in parameter space, and the gradient of the step, noise included.
    learning_rate : float
        eta of this step.
    update : HeavyBall, Adam or None
        None for the plain step.
    decay : CoupledDecay, DecoupledDecay or None
        Weight decay.
    state : dict of str to ndarray
        State of the update, as its `start` or the last call returned it; {} without an update.
    count : int
        Number of the step, from 1 on.

    Returns
    -------
    tuple
        (theta, state).

    Examples
    --------
    >>> advanced(np.array([2.0]), np.array([1.0]), 0.5, None, CoupledDecay(0.5), {}, 1)
    (array([1.]), {})
    """
    if isinstance(decay, CoupledDecay):
        gradient = gradient + decay.rate * theta
    elif decay is not None:
        theta = (1 - learning_rate * decay.rate) * theta
    if update is not None:
        gradient, state = update.direction(gradient, state, count)
    return theta - learning_rate * gradient, state
